//! What one commit writes.
//!
//! Invariant: quantities are differences to what is stored, so a batch adds the same whatever came before it.

use rustc_hash::FxHashMap;

use crate::accounting::{Assessed, Book};
use crate::alerts::Transition;
use crate::domain::tariff::PriceSpan;
use crate::domain::units::{Millis, NanoCny, Quantity};
use crate::ledger::mark::Mark;
use crate::lines::Lines;

use super::accounts::FactorSpan;

/// Messages may bring hundreds of readings each; a batch is bounded by what is in it as well. Ten thousand readings with two gauges cost no more each than a hundred thousand.
const ROWS_MAX: usize = 30_000;

/// Row number of a channel, entity in the store; stable while the data folder lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId(pub u32);

/// Where a gauge lies that comes with a register: a slot, from 1 on, in the register's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub host: RowId,
    pub slot: u8,
}

impl Place {
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.slot) - 1
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GaugeRow {
    pub at: Millis,
    pub channel: RowId,
    pub place: Option<Place>,
    pub value: f64,
    pub seq: i64,
}

impl GaugeRow {
    #[must_use]
    pub fn host(&self) -> Option<RowId> {
        self.place.map(|place| place.host)
    }
}

/// A change of one channel's interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntervalDelta {
    pub minutes: i64,
    pub quantity: Quantity,
    pub assumed: Quantity,
    pub estimated: Quantity,
    /// Spans that came less spans that went.
    pub parts: i64,
}

/// Roll-up levels. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RollupLevel {
    Hour = 1,
    Day = 2,
    Month = 3,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RollupKey {
    pub level: RollupLevel,
    pub start: Millis,
    pub entity: RowId,
    pub book: Book,
}

/// A change of one entity's roll-up row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RollupDelta {
    pub quantity: Quantity,
    /// The part of the quantity that carries the factor's carbon.
    pub bought: Quantity,
    /// Sum of what was metered, whatever its sign; the shares are of this.
    pub gross: Quantity,
    pub assumed: Quantity,
    pub estimated: Quantity,
    /// The part of gross that was metered by a whole hour, where intervals are shorter.
    pub hourly: Quantity,
    pub assessed: Assessed,
    /// Spans that came less spans that went.
    pub parts: i64,
}

impl RollupDelta {
    pub fn add(&mut self, other: &RollupDelta) {
        self.quantity += other.quantity;
        self.bought += other.bought;
        self.gross += other.gross;
        self.assumed += other.assumed;
        self.estimated += other.estimated;
        self.hourly += other.hourly;
        self.parts += other.parts;
        self.assessed.co2e += other.assessed.co2e;
        self.assessed.ce_calorific += other.assessed.ce_calorific;
        self.assessed.ce_primary += other.assessed.ce_primary;
    }
}

/// One entity's costs of a local day in one band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CostKey {
    pub day: Millis,
    pub entity: RowId,
    pub book: Book,
    /// [`crate::domain::tariff::Band::number`].
    pub band: u8,
}

/// A change of a cost row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostDelta {
    pub bought: Quantity,
    pub gross: Quantity,
    pub assumed: Quantity,
    pub estimated: Quantity,
    /// The part of gross whose metered hour has more than one band.
    pub across: Quantity,
    pub cost: NanoCny,
    pub parts: i64,
}

impl CostDelta {
    /// What `part` adds, `sign` 1, or takes away, −1, at its cost. Whether its intervals, and its metered hours, have more than one band.
    pub fn add(&mut self, part: &RollupDelta, (intervals, hours): (bool, bool), cost: NanoCny, sign: i64) {
        let times = |quantity: Quantity| Quantity(sign * quantity.0);
        let across = match (intervals, hours) {
            (true, _) => part.gross,
            (false, true) => part.hourly,
            (false, false) => Quantity(0),
        };
        self.bought += times(part.bought);
        self.gross += times(part.gross);
        self.assumed += times(part.assumed);
        self.estimated += times(part.estimated);
        self.across += times(across);
        self.cost += NanoCny(i128::from(sign) * cost.0);
        self.parts += sign * part.parts;
    }
}

/// A payload or reading that was refused, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub at: Millis,
    pub topic: String,
    pub reason: &'static str,
    pub detail: String,
    pub payload: Vec<u8>,
}

/// Newest value of a channel; a register in ledger units or a gauge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Register(Quantity),
    Gauge(f64),
}

/// The newest value of a register, or of a gauge that does not lie beside its register's newest one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latest {
    /// Of a register: its very first mark. A gauge has no use for it.
    pub first: Millis,
    pub at: Millis,
    pub value: Value,
}

/// A missing span that a gateway was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    pub meter: Box<str>,
    pub from: Millis,
    pub to: Millis,
    pub at: Millis,
}

/// A condition that began or ceased to hold without having fired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRow {
    pub rule: Box<str>,
    pub subject: Box<str>,
    pub since: Option<Millis>,
}

#[derive(Debug, Default)]
pub struct Batch {
    /// New or changed marks; the last of equal keys counts.
    pub marks: Vec<(RowId, Mark)>,
    pub gauges: Vec<GaugeRow>,
    /// Those of `gauges` that are weather.
    pub weather: Vec<GaugeRow>,
    pub intervals: FxHashMap<(Millis, RowId), IntervalDelta>,
    /// By hour, or by interval where a band may change inside of an hour.
    pub hours: FxHashMap<(Millis, RowId, Book), RollupDelta>,
    pub costs: FxHashMap<CostKey, CostDelta>,
    /// Prices and factors that these figures are the first to use.
    pub prices: Vec<(Book, PriceSpan)>,
    pub factors: Vec<(Book, FactorSpan)>,
    pub latest: FxHashMap<RowId, Latest>,
    pub transitions: Vec<Transition>,
    pub pending: Vec<PendingRow>,
    pub gateways: Vec<(Box<str>, bool, Millis)>,
    pub asked: Vec<Asked>,
    pub counts: FxHashMap<&'static str, i64>,
    pub refusals: FxHashMap<&'static str, i64>,
    pub dead_letters: Vec<DeadLetter>,
    /// The engine's clock as of this batch, and what its next tick will say.
    pub now: Option<(Millis, Millis)>,
    /// The engine's clock when the batch is written: closed intervals that change keep their old version from then on. Without a clock nothing is closed.
    pub recorded: Millis,
    /// The wall clock when the batch's last message was taken in.
    pub wall: Millis,
    /// Points for the outbox; empty while none is configured. They always come with what they tell of.
    pub lines: Lines,
    /// Readings for the outbox that may share their key with an earlier one.
    pub late: Vec<(Millis, Box<str>)>,
}

impl Batch {
    pub fn clear(&mut self) {
        let Batch {
            marks,
            gauges,
            weather,
            intervals,
            hours,
            costs,
            prices,
            factors,
            latest,
            transitions,
            pending,
            gateways,
            asked,
            counts,
            refusals,
            dead_letters,
            now,
            recorded,
            wall: _,
            lines,
            late,
        } = self;
        marks.clear();
        gauges.clear();
        weather.clear();
        intervals.clear();
        hours.clear();
        costs.clear();
        prices.clear();
        factors.clear();
        latest.clear();
        transitions.clear();
        pending.clear();
        gateways.clear();
        asked.clear();
        counts.clear();
        refusals.clear();
        dead_letters.clear();
        *now = None;
        *recorded = Millis::default();
        lines.clear();
        late.clear();
    }

    /// Whether it holds so much that more would only take memory.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.marks.len() + self.gauges.len() >= ROWS_MAX
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Batch {
            marks,
            gauges,
            weather: _,
            intervals: _,
            hours: _,
            costs: _,
            prices: _,
            factors: _,
            latest: _,
            transitions,
            pending,
            gateways,
            asked,
            counts,
            refusals,
            dead_letters,
            now,
            recorded: _,
            wall: _,
            lines: _,
            late: _,
        } = self;
        marks.is_empty()
            && gauges.is_empty()
            && transitions.is_empty()
            && pending.is_empty()
            && gateways.is_empty()
            && asked.is_empty()
            && counts.is_empty()
            && refusals.is_empty()
            && dead_letters.is_empty()
            && now.is_none()
    }
}
