//! The truth file: JSON lines, one `spans` line per channel and local month.

use std::io::{self, Write};

use serde_json::json;

use super::alerts::Alert;
use super::{Loss, Played, Span, Tally};
use crate::assets::{Assets, Obeyed};
use crate::faults::Level;
use crate::register::MILLI;
use crate::simulation::Simulation;
use crate::window::Window;
use crate::zone::Zone;

/// What the first line says.
pub struct Header<'a> {
    pub zone: &'a Zone,
    pub seed: u64,
    pub faults: Level,
    pub meters: usize,
    pub channels: usize,
    pub window: &'a Window,
}

/// Writes everything a finished run knows; the line `end` comes last and makes the file complete.
pub fn write(simulation: &Simulation, seed: u64, faults: Level, end_ms: i64, out: &mut impl Write) -> io::Result<()> {
    let (meters, channels) = (simulation.roster.meters.len(), simulation.zone.channels.len());
    write_run(&Header { zone: simulation.zone, seed, faults, meters, channels, window: &simulation.window }, out)?;
    for (meter, roster) in simulation.roster.meters.iter().enumerate() {
        for slot in 0..roster.registers.len() {
            let item = &simulation.zone.channels[roster.registers[slot]].item;
            write_months(simulation.zone, &roster.id, item, &spans_of(simulation, meter, slot), out)?;
        }
    }
    for played in &simulation.played {
        writeln!(out, "{}", fault(simulation, played))?;
    }
    write_alerts(simulation.alerts(), out)?;
    write_obeyed(&simulation.assets, out)?;
    write_end(&simulation.tally, end_ms, out)
}

pub fn write_run(header: &Header, out: &mut impl Write) -> io::Result<()> {
    let Header { zone, seed, faults, meters, channels, window } = header;
    let line = json!({"kind": "run", "zone": zone.id, "seed": seed, "faults": faults.name(), "from": window.start_ms, "to": window.to_ms,
        "meters": meters, "channels": channels, "live_from": window.live_from_ms});
    writeln!(out, "{line}")
}

/// One line per local month in which spans begin.
pub fn write_months(zone: &Zone, meter: &str, item: &str, spans: &[Span], out: &mut impl Write) -> io::Result<()> {
    let month = |span: &Span| zone.local(span.from_ms).date().first_of_month();
    spans.chunk_by(|a, b| month(a) == month(b)).try_for_each(|spans| write_spans(meter, item, spans, out))
}

pub fn write_alerts(alerts: &[Alert], out: &mut impl Write) -> io::Result<()> {
    for Alert { rule, subject, since_ms, raised_ms, cleared_ms } in alerts {
        let line =
            json!({"kind": "alert", "rule": rule, "subject": subject, "since": since_ms, "raised": raised_ms, "cleared": cleared_ms});
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn write_obeyed(assets: &Assets, out: &mut impl Write) -> io::Result<()> {
    for Obeyed { asset, id, value, from_ms, to_ms } in &assets.obeyed {
        let line = json!({"kind": "obeyed", "asset": assets.id(*asset), "id": id, "value": value, "from": from_ms, "to": to_ms});
        writeln!(out, "{line}")?;
    }
    Ok(())
}

pub fn write_end(tally: &Tally, end_ms: i64, out: &mut impl Write) -> io::Result<()> {
    let Tally { readings, messages, duplicates, reordered, late } = tally;
    let line = json!({"kind": "end", "readings": readings, "messages": messages, "duplicates": duplicates, "reordered": reordered, "late": late,
        "at": end_ms});
    writeln!(out, "{line}")?;
    out.flush()
}

/// The spans of the register at `slot` of a meter.
#[must_use]
pub fn spans_of(simulation: &Simulation, meter: usize, slot: usize) -> Vec<Span> {
    let channel = &simulation.zone.channels[simulation.roster.meters[meter].registers[slot]];
    super::spans(channel, slot, &simulation.logs[meter], &simulation.swaps[meter])
}

fn write_spans(meter: &str, item: &str, spans: &[Span], out: &mut impl Write) -> io::Result<()> {
    let start_ms = spans.first().map_or(0, |span| span.from_ms);
    write!(out, "{{\"kind\":\"spans\",\"meter\":\"{meter}\",\"item\":\"{item}\",\"start\":{start_ms},\"ends\":")?;
    write_array(spans, |span| (span.to_ms - span.from_ms) * MILLI, out)?;
    write!(out, ",\"owed\":")?;
    write_array(spans, |span| span.owed * MILLI, out)?;
    write!(out, ",\"physical\":")?;
    write_array(spans, |span| span.physical, out)?;
    writeln!(out, "}}")
}

/// Numbers in thousandths, without trailing zeros after the point.
fn write_array(spans: &[Span], number: impl Fn(&Span) -> i64, out: &mut impl Write) -> io::Result<()> {
    for (position, span) in spans.iter().enumerate() {
        let bracket = if position == 0 { '[' } else { ',' };
        write!(out, "{bracket}{}", thousandths(number(span)))?;
    }
    write!(out, "]")
}

fn thousandths(number: i64) -> String {
    let (whole, fraction) = (number / MILLI, (number % MILLI).abs());
    let sign = if number < 0 && whole == 0 { "-" } else { "" };
    if fraction == 0 { format!("{whole}") } else { format!("{sign}{whole}.{fraction:03}").trim_end_matches('0').to_owned() }
}

fn fault(simulation: &Simulation, played: &Played) -> serde_json::Value {
    let mut line = json!({"kind": "fault", "fault": played.kind.name(), "gateway": simulation.roster.gateways[played.gateway],
        "from": played.from_ms, "to": played.to_ms, "unobservable": unobservable(simulation, played) as f64 / MILLI as f64});
    if let Some(meter) = played.meter {
        line["meter"] = json!(simulation.roster.meters[meter].id);
    }
    if let Some(channel) = played.channel {
        line["item"] = json!(simulation.zone.channels[channel].item);
    }
    line
}

/// Thousandths of a ledger unit that nobody can know, from the physics of the fault and from which readings were published around it.
#[must_use]
pub fn unobservable(simulation: &Simulation, played: &Played) -> i64 {
    let (Some(meter), Some(channel)) = (played.meter, played.channel) else {
        return 0;
    };
    let slot = simulation.roster.meters[meter].registers.iter().position(|register| *register == channel);
    let (Some(slot), log) = (slot, &simulation.logs[meter]) else {
        return 0;
    };
    let total = |index: usize| log.registers[slot].total[index];
    let before = log.published_before(played.from_ms).map(total);
    match played.loss {
        Loss::Nothing => 0,
        Loss::Uncounted(lost) => lost,
        Loss::SinceLastReading { total } => before.map_or(0, |before| total - before),
        Loss::UntilNextReading => before.zip(log.published_from(played.from_ms).map(total)).map_or(0, |(before, after)| after - before),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn thousandths_are_written_without_trailing_zeros() {
        let cases = [(0, "0"), (1000, "1"), (1250, "1.25"), (-5, "-0.005"), (-1500, "-1.5")];
        for (number, text) in cases {
            assert_eq!(super::thousandths(number), text);
        }
    }
}
