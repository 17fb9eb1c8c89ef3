//! Commands, where each asset stands, and the audit log.
//!
//! Never judges. Invariants: what happened at the desk is in the file as a whole or not at all, before anything of it leaves the process, and each entry of
//! the audit log carries the hash of all entries before it: one that is changed, moved or taken out from between breaks the chain.

use std::fmt::Write;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sha2::{Digest, Sha256};

use super::batch::Batch;
use super::savings::TEMPERATURE;
use super::{Store, StoreError};
use crate::domain::assets::Mode;
use crate::domain::calendar::LocalCalendar;
use crate::domain::units::Millis;
use crate::regulation::desk::{Asker, Move, Order, Place, Reply, Stage};

/// A command that an asset took.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    pub asset: String,
    pub id: String,
    /// None: a release.
    pub value: Option<f64>,
    pub from: Millis,
    pub until: Millis,
    /// The asset's clock when it took it.
    pub taken: Millis,
}

/// Every command that was accepted, in the order in which assets took them.
pub fn taken(ledger: &Connection) -> Result<Vec<Taken>, StoreError> {
    let sql = "SELECT asset, id, value, issued, until, taken FROM command_row WHERE taken IS NOT NULL ORDER BY taken, issued, id";
    let mut statement = ledger.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let [from, until, taken] = [row.get(3)?, row.get(4)?, row.get(5)?].map(Millis);
        Ok(Taken { asset: row.get(0)?, id: row.get(1)?, value: row.get(2)?, from, until, taken })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What an asset's row and the audit log's entry are about.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    pub asset: &'a str,
    pub place: &'a Place,
}

impl Store {
    /// Whether an operator has stopped the regulation, and when it last decided.
    pub fn regulation(&self) -> Result<(bool, Option<Millis>), StoreError> {
        let read =
            |key: &str| self.connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, i64>(0)).optional();
        Ok((read("regulation_stopped")? == Some(1), read("regulation_decided")?.map(Millis)))
    }

    /// Where an asset stands; nothing sent by this process.
    pub fn place(&self, asset: &str) -> Result<Place, StoreError> {
        let sql = "SELECT command, changed, hold_value, hold_until, mode, unanswered FROM asset_row WHERE asset = ?1";
        let found = self.connection.prepare_cached(sql)?.query_row([asset], |row| {
            let holds = row.get::<_, Option<f64>>(2)?.zip(row.get::<_, Option<i64>>(3)?.map(Millis));
            let mode = row.get::<_, Option<String>>(4)?.and_then(|name| Mode::from_name(&name));
            let millis = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Millis));
            Ok((row.get::<_, Option<String>>(0)?, Place { order: None, changed: millis(1)?, holds, mode, unanswered: millis(5)? }))
        });
        let Some((command, mut place)) = found.optional()? else { return Ok(Place::default()) };
        place.order = command.map(|id| self.order(&id)).transpose()?.flatten();
        Ok(place)
    }

    /// A command by its id.
    pub fn order(&self, id: &str) -> Result<Option<Order>, StoreError> {
        let sql = "SELECT value, issued, until, asker, reason, stage FROM command_row WHERE id = ?1";
        let found = self.connection.prepare_cached(sql)?.query_row([id], |row| {
            Ok(Order {
                id: id.to_owned(),
                value: row.get(0)?,
                from: Millis(row.get(1)?),
                until: Millis(row.get(2)?),
                // Unknown words would be another version's; the command is then nobody's to send.
                asker: Asker::from_name(&row.get::<_, String>(3)?).unwrap_or(Asker::Rules),
                reason: row.get(4)?,
                stage: Stage::from_name(&row.get::<_, String>(5)?).unwrap_or(Stage::Refused),
                sent: None,
            })
        });
        Ok(found.optional()?)
    }

    /// Writes what happened at the desk, in order, and where the assets stand from now on. When this returns, it survives a crash.
    /// `points` holds what goes to the outbox with it.
    pub fn keep_moves<'a>(
        &mut self,
        moves: &[Move],
        assets: impl Iterator<Item = Kept<'a>>,
        (stopped, decided): (bool, Option<Millis>),
        (points, calendar): (&mut Batch, &mut LocalCalendar),
    ) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for kept in assets {
            keep_place(&transaction, kept)?;
        }
        write_moves(&transaction, moves)?;
        let mut meta = transaction.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")?;
        meta.execute(params!["regulation_stopped", i64::from(stopped)])?;
        if let Some(decided) = decided {
            meta.execute(params!["regulation_decided", decided.0])?;
        }
        drop(meta);
        if let Some(feed) = &mut self.feed {
            feed.keep(&transaction, points, calendar)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Mean of the zone's outdoor temperature after `from` up to `to`, °C; none without a gauge or a reading.
    pub fn outdoor_c(&self, from: Millis, to: Millis) -> Result<Option<f64>, StoreError> {
        let sql = "SELECT AVG(value) FROM weather_row WHERE channel = (SELECT channel FROM driver_row WHERE name = ?1 ORDER BY entity LIMIT 1) \
                   AND ?2 < ts AND ts <= ?3";
        Ok(self.connection.prepare_cached(sql)?.query_row(params![TEMPERATURE, from.0, to.0], |row| row.get(0))?)
    }
}

fn keep_place(transaction: &Transaction, Kept { asset, place }: Kept) -> Result<(), StoreError> {
    let Place { order, changed, holds, mode, unanswered } = place;
    let mut upsert = transaction.prepare_cached("INSERT OR REPLACE INTO asset_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
    let millis = |at: &Option<Millis>| at.map(|at| at.0);
    let (hold_value, hold_until) = holds.map(|(value, until)| (value, until.0)).unzip();
    let command = order.as_ref().map(|order| &order.id);
    upsert.execute(params![asset, command, millis(changed), hold_value, hold_until, mode.map(Mode::as_str), millis(unanswered)])?;
    Ok(())
}

fn write_moves(transaction: &Transaction, moves: &[Move]) -> Result<(), StoreError> {
    let mut command = transaction.prepare_cached(
        "INSERT INTO command_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO UPDATE SET value = excluded.value, \
         issued = excluded.issued, until = excluded.until, asker = excluded.asker, reason = excluded.reason, stage = excluded.stage, cause = excluded.cause, answered = excluded.answered, taken = excluded.taken",
    )?;
    let mut entry = transaction.prepare_cached("INSERT INTO audit_row VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    let last: Option<(i64, String)> = transaction
        .query_row("SELECT id, hash FROM audit_row ORDER BY id DESC LIMIT 1", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (mut id, mut hash) = last.unwrap_or_default();
    for Move { asset, at, who, what, why, outcome, order, reply } in moves {
        if let Some(Order { id, value, from, until, asker, reason, stage, .. }) = order {
            let (taken, cause) = match reply {
                Some(Reply::Accepted { taken }) => (Some(taken.0), None),
                Some(Reply::Refused(cause)) => (None, Some(cause)),
                None => (None, None),
            };
            let answered = reply.as_ref().map(|_| at.0);
            let columns = params![id, asset, value, from.0, until.0, asker.as_str(), reason, stage.as_str(), cause, answered, taken];
            command.execute(columns)?;
        }
        id += 1;
        hash = chained(&hash, &Entry { id, at: at.0, texts: [who, asset, what, why, outcome].map(|text| text.clone().into()) });
        entry.execute(params![id, at.0, who, asset, what, why, outcome, hash])?;
    }
    Ok(())
}

/// An entry of the audit log without its hash.
struct Entry {
    id: i64,
    at: i64,
    /// Who, asset, what, why, outcome.
    texts: [Box<str>; 5],
}

/// SHA-256 (FIPS 180-4), in hexadecimal, over the hash before, the entry's number and time, and each text behind its length in bytes.
fn chained(before: &str, Entry { id, at, texts }: &Entry) -> String {
    let mut hasher = Sha256::new();
    hasher.update(format!("{before}\n{id}\n{at}\n"));
    for text in texts {
        hasher.update(format!("{}\n{text}\n", text.len()));
    }
    let mut text = String::with_capacity(64);
    for byte in hasher.finalize() {
        write!(text, "{byte:02x}").expect("a string takes every write");
    }
    text
}

/// What a look through the audit log found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    pub entries: i64,
    /// The hash of the last entry: kept elsewhere, it proves later that nothing was cut off the end.
    pub head: String,
    /// The first entry whose number or hash does not follow from those before it.
    pub broken_at: Option<i64>,
}

/// Makes the chain's hashes anew and compares.
pub fn chain(ledger: &Connection) -> Result<Chain, StoreError> {
    let mut statement = ledger.prepare("SELECT id, at, who, asset, what, why, outcome, hash FROM audit_row ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut chain = Chain { entries: 0, head: String::new(), broken_at: None };
    while let Some(row) = rows.next()? {
        let text = |column| row.get::<_, Box<str>>(column);
        let entry = Entry { id: row.get(0)?, at: row.get(1)?, texts: [text(2)?, text(3)?, text(4)?, text(5)?, text(6)?] };
        chain.entries += 1;
        let hash: String = row.get(7)?;
        if chain.broken_at.is_none() && (entry.id != chain.entries || chained(&chain.head, &entry) != hash) {
            chain.broken_at = Some(entry.id);
        }
        chain.head = hash;
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn order(id: &str, value: Option<f64>, stage: Stage) -> Order {
        let (from, until, reason) = (Millis(10), Millis(20), "because".to_owned());
        Order { id: id.to_owned(), value, from, until, asker: Asker::Rules, reason, stage, sent: None }
    }

    fn happened(order: Order, reply: Option<Reply>) -> Move {
        let [who, what, why, outcome] = ["rules", "set 20.5 c", "because", order.stage.as_str()].map(str::to_owned);
        Move { asset: "a".to_owned(), at: Millis(10), who, what, why, outcome, order: Some(order), reply }
    }

    fn keep(store: &mut Store, moves: &[Move], place: &Place) {
        let mut calendar = LocalCalendar::new(jiff::tz::TimeZone::UTC);
        let kept = [Kept { asset: "a", place }];
        store.keep_moves(moves, kept.into_iter(), (true, Some(Millis(7))), (&mut Batch::default(), &mut calendar)).unwrap();
    }

    #[test]
    fn what_is_kept_comes_back_as_it_was() {
        let (_folder, mut store) = store();
        assert_eq!((store.place("a").unwrap(), store.regulation().unwrap()), (Place::default(), (false, None)));
        let order = order("a@10", Some(20.1 + 0.2), Stage::Waiting);
        let (holds, mode) = (Some((21.3, Millis(99))), Some(Mode::Approve));
        let place = Place { order: Some(order.clone()), changed: Some(Millis(5)), holds, mode, unanswered: Some(Millis(6)) };
        keep(&mut store, &[happened(order.clone(), None)], &place);
        assert_eq!((store.place("a").unwrap(), store.regulation().unwrap()), (place.clone(), (true, Some(Millis(7)))));
        let refused = Order { stage: Stage::Refused, ..order };
        let place = Place { order: Some(refused.clone()), ..place };
        keep(&mut store, &[happened(refused.clone(), Some(Reply::Refused("too hot".to_owned())))], &place);
        assert_eq!((store.place("a").unwrap(), store.order("a@10").unwrap()), (place, Some(refused)));
        let cause: String = store.connection.query_row("SELECT cause FROM command", [], |row| row.get(0)).unwrap();
        assert_eq!(cause, "too hot");
    }

    #[test]
    fn whatever_is_changed_in_the_audit_log_breaks_its_chain() {
        let cases = [
            ("UPDATE audit_row SET why = 'nothing' WHERE id = 2", Some(2)),
            ("UPDATE audit_row SET at = 11 WHERE id = 1", Some(1)),
            ("UPDATE audit_row SET who = 'rulesset', what = ' 20.5 c' WHERE id = 3", Some(3)),
            ("DELETE FROM audit_row WHERE id = 2", Some(3)),
            ("DELETE FROM audit_row WHERE id = 1", Some(2)),
            ("UPDATE audit_row SET outcome = outcome", None),
        ];
        for (change, broken_at) in cases {
            let (_folder, mut store) = store();
            let moves: Vec<Move> = ["a@1", "a@2", "a@3"].map(|id| happened(order(id, None, Stage::Waiting), None)).to_vec();
            keep(&mut store, &moves[..2], &Place::default());
            keep(&mut store, &moves[2..], &Place::default());
            let whole = chain(&store.connection).unwrap();
            assert_eq!((whole.entries, whole.broken_at, whole.head.len()), (3, None, 64));
            store.connection.execute(change, []).unwrap();
            assert_eq!(chain(&store.connection).unwrap().broken_at, broken_at, "{change}");
        }
    }

    #[test]
    fn the_hash_is_the_one_of_the_standard() {
        // sha256sum of "\n1\n2\n1\na\n1\nb\n1\nc\n1\nd\n1\ne\n".
        let entry = Entry { id: 1, at: 2, texts: ["a", "b", "c", "d", "e"].map(Into::into) };
        assert_eq!(chained("", &entry), "9e32a27fbbac5879ad1fdd77059f7c5632ff34da7a2aa8c7e12af8be5102fc0b");
    }
}
