//! A fleet and an engine side by side: what the one publishes the other takes in, and what the engine commands the assets get.
//!
//! Both speak in the bytes of `docs/wire.md`, each with its own encoding and decoding. The wall clock is the fleet's: the same seed gives the same bytes.

use std::path::Path;

use nengtan_fleet::unplugged::{Message, Unplugged};

use super::promise::{Flow, Side, Sum};
use super::{Commands, TrialError};
use crate::config::zone_folder;
use crate::domain::units::Millis;
use crate::domain::zone::ClockMode;
use crate::engine::{Effects, Engine};
use crate::store::read::{self, Cell};
use crate::store::{self, StoreError, savings};

/// Days are told to who waits; a step may be shorter.
const DAY_MS: i64 = 86_400_000;

pub fn open(zone: &Path, data: &Path, fleet: &Unplugged) -> Result<Engine, TrialError> {
    let folder = zone_folder::load(zone).map_err(TrialError::Folder)?;
    let profile = folder.zone.profile();
    if profile.clock != ClockMode::Feed {
        return Err(TrialError::WallClock { zone: profile.id.to_string() });
    }
    Ok(Engine::open(data, folder.zone, (folder.factors, folder.tariff), folder.alert_rules, Millis(fleet.now_ms()))?)
}

/// All messages are one batch.
pub fn take(engine: &mut Engine, messages: Vec<Message>, fleet: &Unplugged) -> Result<Effects, TrialError> {
    for Message { topic, payload } in messages {
        engine.apply(&topic, &payload, Millis(fleet.now_ms()))?;
    }
    Ok(engine.commit()?)
}

/// Plays what is left, a day at a time, as in a demo's history.
pub fn days(engine: &mut Engine, fleet: &mut Unplugged, step: &mut impl FnMut()) -> Result<(), TrialError> {
    while let Some(messages) = fleet.day() {
        take(engine, messages, fleet)?;
        step();
    }
    Ok(())
}

/// Carries a command to its asset and gives the answer, if there is one.
pub type Carry = fn(&mut Unplugged, &Message) -> Option<Message>;

/// Plays what is left in lock-step: what the engine decides when a step is over the assets obey in the next one, and their answers are heard before it.
pub fn regulated(engine: &mut Engine, fleet: &mut Unplugged, carry: Carry, step: &mut impl FnMut()) -> Result<(), TrialError> {
    engine.set_regulation(true);
    engine.commission();
    fleet.commission();
    let start_ms = fleet.now_ms();
    while let Some(messages) = fleet.step() {
        let effects = take(engine, messages, fleet)?;
        let answers: Vec<Message> = commanded(engine, effects).iter().filter_map(|command| carry(fleet, command)).collect();
        if !answers.is_empty() {
            take(engine, answers, fleet)?;
        }
        if (fleet.now_ms() - start_ms) % DAY_MS == 0 {
            step();
        }
    }
    Ok(())
}

fn commanded(engine: &Engine, effects: Effects) -> Vec<Message> {
    let message = |(asset, order)| {
        let (topic, payload) = engine.command(asset, &order);
        Message { topic, payload }
    };
    effects.commands.into_iter().map(message).collect()
}

/// The truth of a run from `border` on: sums of a ledger that was held against the fleet's registers, and the fleet's own models.
pub fn side(data: &Path, fleet: &Unplugged, border: Millis) -> Result<Side, TrialError> {
    let flows =
        fleet.totals().map(|flow| Flow { table: flow.table, model: flow.model.to_owned(), name: flow.name, total: flow.total }).collect();
    let mut side = Side { flows, peaks_kw: fleet.peaks_kw().clone(), comfort_kh: fleet.comfort().all_kh(), ..Side::default() };
    let ledger = store::open_to_read(data)?;
    let sql = "SELECT e.carrier, SUM(e.quantity), SUM(e.tce_calorific), SUM(e.tce_primary), \
               (SELECT SUM(kg_co2e) FROM carbon_day c WHERE c.entity = e.entity AND c.carrier = e.carrier AND ?1 <= c.ts), \
               (SELECT SUM(cny) FROM cost_day p WHERE p.entity = e.entity AND p.carrier = e.carrier AND ?1 <= p.ts) \
               FROM energy_day e WHERE e.entity = e.zone AND ?1 <= e.ts GROUP BY e.carrier";
    for row in read::query(&ledger, sql, &[Cell::Integer(border.0)])?.rows {
        let [Cell::Text(carrier), numbers @ ..] = &row[..] else { continue };
        let Some(book) = savings::IN_KWH.iter().find(|book| book.carrier().as_str() == carrier) else { continue };
        let number = |index: usize| match numbers[index] {
            Cell::Real(value) => value,
            Cell::Integer(value) => value as f64,
            Cell::Null | Cell::Boolean(_) | Cell::Text(_) => 0.0,
        };
        let kg_co2e = number(3) * frozen(&ledger, *book, border)?;
        let sum = Sum { quantity: number(0), tce_calorific: number(1), tce_primary: number(2), kg_co2e, cny: number(4) };
        side.sums.insert(carrier.clone(), sum);
    }
    Ok(side)
}

/// The factor of the baseline's last year as a share of the played one's.
fn frozen(ledger: &rusqlite::Connection, book: crate::accounting::Book, border: Millis) -> Result<f64, StoreError> {
    let year = |at: Millis| jiff::Timestamp::from_millisecond(at.0).map_or(0, |at| at.to_zoned(jiff::tz::TimeZone::UTC).year());
    // Half a day on either side is the year on either side in every time zone.
    let [then, now] = [border.plus_ms(-DAY_MS), border.plus_ms(DAY_MS)].map(year);
    let factor = |year| Ok::<_, StoreError>(savings::factors(ledger, book, year)?.and_then(|[mg_co2e, ..]| mg_co2e));
    Ok(match (factor(then)?, factor(now)?) {
        (Some(then), Some(now)) if now > 0 => then as f64 / now as f64,
        _ => 1.0,
    })
}

pub fn commands(data: &Path) -> Result<Commands, StoreError> {
    let ledger = store::open_to_read(data)?;
    let count = |stage: &str| -> Result<i64, StoreError> {
        let table = read::query(&ledger, "SELECT COUNT(*) FROM command_row WHERE ?1 IN ('', stage)", &[stage.into()])?;
        Ok(table.rows.first().and_then(|row| if let Some(Cell::Integer(count)) = row.first() { Some(*count) } else { None }).unwrap_or(0))
    };
    Ok(Commands { sent: count("")?, refused: count("refused")?, unanswered: count("waiting")? })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use nengtan_fleet::unplugged::Ground;

    use super::*;
    use crate::verify;

    fn zone() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config/zones/qingdao-hightech")
    }

    /// A January with regulation whose commands go the way of `carry`, after another fleet that nobody commands; both have the programme.
    fn january(carry: Carry) -> (Side, Side, Commands, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let ground = Ground::load(&zone()).unwrap();
        let mut fleet = Unplugged::new(&ground, (0, 1), 7).unwrap();
        let mut twin = fleet.clone();
        let border = Millis(fleet.now_ms());
        let sides = ["with", "without"].map(|name| {
            let data = folder.path().join(name);
            let fleet = if name == "with" { &mut fleet } else { &mut twin };
            let mut engine = open(&zone(), &data, fleet).unwrap();
            take(&mut engine, fleet.greeting(), fleet).unwrap();
            if name == "with" {
                regulated(&mut engine, fleet, carry, &mut || ()).unwrap();
            } else {
                fleet.commission();
                days(&mut engine, fleet, &mut || ()).unwrap();
            }
            engine.settle().unwrap();
            drop(engine);
            side(&data, fleet, border).unwrap()
        });
        let data = folder.path().join("with");
        let truth = data.join("truth.jsonl");
        fleet.write_truth(&mut std::fs::File::create(&truth).unwrap()).unwrap();
        let verified = verify::verify(&data, &truth).unwrap();
        let failed = verified.findings.iter().filter(|finding| finding.failed > 0).map(|finding| finding.detail.clone()).collect();
        let [with, without] = sides;
        (without, with, commands(&data).unwrap(), failed)
    }

    #[test]
    fn with_a_dead_command_topic_nothing_changes_and_the_house_stands() {
        let (without, with, commands, failed) = january(|_, _| None);
        assert_eq!(failed, Vec::<String>::new());
        assert_eq!(without, with);
        assert!(commands.sent > 100 && commands.unanswered > 0, "{commands:?}");
    }

    #[test]
    fn an_asset_that_says_yes_and_does_nothing_changes_nothing_and_the_house_stands() {
        let (without, with, commands, failed) = january(|fleet, command| {
            let sent: serde_json::Value = serde_json::from_slice(&command.payload).ok()?;
            let answer = serde_json::json!({"id": sent["id"], "asset": sent["asset"], "outcome": "accepted", "at": fleet.now_ms()});
            Some(Message { topic: command.topic.replace("/command", "/result"), payload: answer.to_string().into_bytes() })
        });
        assert_eq!(failed, Vec::<String>::new());
        assert_eq!(without, with);
        assert!(commands.sent > 100, "{commands:?}");
    }
}
