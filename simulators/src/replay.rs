//! Publishes a real series as one meter, as fast as the broker takes it.

use std::path::PathBuf;

use crate::faults::Level;
use crate::fleet_links::{FleetLinks, FleetLinksError};
use crate::keyed::Key;
use crate::link::{Broker, Message};
use crate::log::MeterLog;
use crate::payload;
use crate::register::{MILLI, ledger_of_display};
use crate::roster::Roster;
use crate::series::{self, Map, Reading, SeriesError};
use crate::truth::{Tally, file};
use crate::vigil::Vigil;
use crate::window::Window;
use crate::wire::Clock;
use crate::zone::{AlertRules, Fault, Zone};

const READINGS_PER_MESSAGE: usize = 200;
/// Messages per round of acknowledgements.
const MESSAGES_PER_ROUND: usize = 50;

#[derive(Clone, Debug)]
pub struct ReplayOptions {
    pub file: PathBuf,
    pub map: PathBuf,
    pub zone: PathBuf,
    pub broker: Broker,
    pub truth: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Series(#[from] SeriesError),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Zone(Vec<Fault>),
    #[error("the map says {what} `{map}`, the zone {zone}; make them agree")]
    Disagreement { what: &'static str, map: String, zone: String },
    #[error(transparent)]
    Links(#[from] FleetLinksError),
    #[error("the truth cannot be written to {}: {error}", path.display())]
    Truth { path: PathBuf, error: std::io::Error },
}

impl ReplayError {
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, ReplayError::Series(_) | ReplayError::Zone(_) | ReplayError::Disagreement { .. })
    }
}

/// The series in its place in the zone.
struct Replay {
    zone: Zone,
    rules: AlertRules,
    roster: Roster,
    meter: usize,
    /// Which of the meter's registers.
    slot: usize,
    log: MeterLog,
}

/// Ends when the broker has acknowledged every reading.
pub async fn replay(options: &ReplayOptions) -> Result<Tally, ReplayError> {
    let replay = Replay::load(options)?;
    let messages = replay.messages();
    let tally = Tally { readings: replay.log.at.len() as u64, messages: messages.len() as u64, ..Tally::default() };
    let (_, end_ms) = replay.bounds();
    let gateway = &replay.roster.gateways[replay.roster.meters[replay.meter].gateway];
    let mut links = FleetLinks::start(&replay.zone.id, std::slice::from_ref(gateway), &options.broker);
    links.await_online().await?;
    links.clock(Clock { now_ms: end_ms, next_ms: end_ms, lockstep: false }).await?;
    for round in messages.chunks(MESSAGES_PER_ROUND) {
        links.publish(round.to_vec()).await?;
    }
    links.close().await?;
    if let Some(path) = &options.truth {
        let created = std::fs::File::create(path);
        let written = created.and_then(|file| replay.write_truth(&tally, &mut std::io::BufWriter::new(file)));
        written.map_err(|error| ReplayError::Truth { path: path.clone(), error })?;
    }
    Ok(tally)
}

impl Replay {
    fn load(options: &ReplayOptions) -> Result<Replay, ReplayError> {
        let map = Map::load(&options.map)?;
        let zone = Zone::load(&options.zone).map_err(ReplayError::Zone)?;
        let rules = AlertRules::load(&zone).map_err(ReplayError::Zone)?;
        let roster = Roster::new(&zone);
        let (meter, slot) = place(&map, &zone, &roster)?;
        let readings = series::read(&options.file, &map.series)?;
        let registers = &roster.meters[meter].registers;
        let channel = &zone.channels[registers[slot]];
        let log = log(&readings, registers.len(), slot, |digits| ledger_of_display(channel, digits, map.series.decimals));
        Ok(Replay { zone, rules, roster, meter, slot, log })
    }

    /// The times of the first and the last reading.
    fn bounds(&self) -> (i64, i64) {
        (self.log.at[0], self.log.at[self.log.at.len() - 1])
    }

    fn messages(&self) -> Vec<(usize, Message)> {
        let roster = &self.roster.meters[self.meter];
        let topic = format!("nengtan/{}/gw/{}/telemetry", self.zone.id, self.roster.gateways[roster.gateway]);
        let indices: Vec<u32> = (0..self.log.at.len() as u32).collect();
        let message = |batch: &[u32]| {
            let write_one =
                |index: usize, out: &mut Vec<u8>| payload::write_reading(&self.zone, roster, &self.log, batch[index], Key::new(0), out);
            (0, Message { topic: topic.clone(), payload: payload::batch(batch.len(), write_one), retain: false })
        };
        indices.chunks(READINGS_PER_MESSAGE).map(message).collect()
    }

    fn write_truth(&self, tally: &Tally, out: &mut impl std::io::Write) -> std::io::Result<()> {
        let Replay { zone, rules, roster, meter, slot, log } = self;
        let (start_ms, end_ms) = self.bounds();
        let window = &Window {
            start_ms,
            live_from_ms: start_ms,
            to_ms: end_ms,
            history_step_ms: zone.history_interval_ms,
            step_ms: zone.interval_ms,
        };
        let mut vigil = Vigil::new(zone, rules, roster, window, Key::new(0));
        for index in 0..log.at.len() as u32 {
            vigil.observe(*meter, &roster.meters[*meter], log, index);
        }
        let channel = &zone.channels[roster.meters[*meter].registers[*slot]];
        let spans = crate::truth::spans(channel, *slot, log, &[]);
        file::write_run(&file::Header { zone, seed: 0, faults: Level::None, meters: 1, channels: 1, window }, out)?;
        file::write_months(zone, &channel.meter, &channel.item, &spans, out)?;
        file::write_alerts(&vigil.alerts, out)?;
        file::write_end(tally, end_ms, out)
    }
}

/// The map's meter in the zone: index of the meter, slot of the register.
fn place(map: &Map, zone: &Zone, roster: &Roster) -> Result<(usize, usize), ReplayError> {
    let differs = |what, map: &str, zone: String| ReplayError::Disagreement { what, map: map.to_owned(), zone };
    if zone.id != map.zone {
        return Err(differs("zone", &map.zone, format!("is `{}`", zone.id)));
    }
    let meter = roster.meter_of(&map.meter).ok_or_else(|| differs("meter", &map.meter, "has no such meter".to_owned()))?;
    let gateway = &roster.gateways[roster.meters[meter].gateway];
    if *gateway != map.gateway {
        return Err(differs("gateway", &map.gateway, format!("has `{gateway}`")));
    }
    let slot = roster.meters[meter].registers.iter().position(|channel| zone.channels[*channel].item == map.item);
    let slot = slot.ok_or_else(|| differs("item", &map.item, "has no such register".to_owned()))?;
    let decimals = zone.channels[roster.meters[meter].registers[slot]].decimals;
    if decimals < map.series.decimals {
        return Err(differs("decimals", &map.series.decimals.to_string(), format!("has a resolution of {decimals}")));
    }
    Ok((meter, slot))
}

/// The series as a log in which everything is published; other registers of the meter stay at zero.
fn log(readings: &[Reading], registers: usize, slot: usize, ledger: impl Fn(i64) -> i64) -> MeterLog {
    let mut log = MeterLog::new(registers, 0, readings.len());
    for (seq, reading) in (1..).zip(readings) {
        log.at.push(reading.at_ms);
        log.seq.push(seq);
        log.published.push(1);
        for (register, log) in log.registers.iter_mut().enumerate() {
            let shown = if register == slot { ledger(reading.digits) } else { 0 };
            log.shown.push(shown);
            log.total.push(shown * MILLI);
        }
    }
    log
}
