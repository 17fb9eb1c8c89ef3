//! Restatement: the zone folder's factors and prices take the place of those in force, and the figures made with them follow.
//!
//! Works in slices of at most a local day, each a transaction, so that readings go on in between. Invariant: only figures whose factor or
//! price differs change, and restating in pieces equals restating at once.

use rustc_hash::{FxHashMap, FxHashSet};

use super::in_force::{Desk, add_cost};
use super::{Engine, EngineError};
use crate::accounting::{Book, YearFactors, assess};
use crate::domain::calendar::Span;
use crate::domain::factors::FactorSet;
use crate::domain::tariff::{PriceSpan, Tariff};
use crate::domain::units::{MicrogramsCe, MicrogramsCo2e, Millis};
use crate::domain::zone::Zone;
use crate::store::accounts::FactorSpan;
use crate::store::batch::{Batch, RollupDelta};
use crate::store::named;
use crate::store::restate::NewRules;

/// A restatement under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restatement {
    pub from: Millis,
    pub to: Millis,
    /// The engine's clock at its beginning; its figures are known from here on.
    pub recorded: Millis,
    /// Meters' intervals looked at, and those whose factor or price changed.
    pub intervals: u64,
    pub changed: u64,
    next: Millis,
    last: Millis,
}

impl Restatement {
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.to <= self.next
    }

    /// Done part, from 0 to 1.
    #[must_use]
    pub fn progress(&self) -> f64 {
        let all = self.to.ms_since(self.from).max(1);
        self.next.ms_since(self.from) as f64 / all as f64
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RestateError {
    #[error("{what} lies inside of an hour, wanted a whole local hour; move it to a border")]
    InsideAnHour { what: &'static str },
    #[error("--from is not before --to; exchange them")]
    EmptyRange,
    #[error(
        "intervals before {from_ms} ms are no longer kept (keep.intervals_days), so figures before cannot be restated; give a later --from"
    )]
    NoLongerKept { from_ms: i64 },
}

impl Engine {
    /// The factors and tariff that a zone folder now holds. What is in force stays in force until it is restated.
    pub fn take_rules(&mut self, factors: FactorSet, tariff: Tariff) -> Result<(), EngineError> {
        self.store.adopt_versions(&factors)?;
        self.in_force.factors = factors;
        self.in_force.tariff = tariff;
        self.in_force.forget();
        self.find_grid()
    }

    /// Begins to restate what begins at `from` or later and before `to`; without it, to the end of the last year with data.
    /// The batch is committed.
    pub fn begin_restatement(&mut self, from: Millis, to: Option<Millis>) -> Result<Result<Restatement, RestateError>, EngineError> {
        let borders = [("--from", Some(from)), ("--to", to)];
        for (what, at) in borders {
            if at.is_some_and(|at| self.calendar.hour(at).start != at) {
                return Ok(Err(RestateError::InsideAnHour { what }));
            }
        }
        if to.is_some_and(|to| to <= from) {
            return Ok(Err(RestateError::EmptyRange));
        }
        if let Some(kept) = self.store.kept().intervals.filter(|kept| from < *kept) {
            return Ok(Err(RestateError::NoLongerKept { from_ms: kept.0 }));
        }
        let recorded = if self.recorded() == Millis(i64::MIN) { self.wall } else { self.recorded() };
        let Some((first, last)) = self.store.interval_range()? else {
            return Ok(Ok(Restatement { from, to: from, recorded, intervals: 0, changed: 0, next: from, last: from }));
        };
        let year = self.calendar.year(last).end;
        let (from, to) = (from.max(self.calendar.hour(first).start), to.map_or(year, |to| to.min(year)));
        Ok(Ok(Restatement { from, to, recorded, intervals: 0, changed: 0, next: from, last }))
    }

    /// Restates the next slice. The batch is committed.
    pub fn restate_slice(&mut self, restatement: &mut Restatement) -> Result<(), EngineError> {
        let start = restatement.next;
        // After the last interval there is only the rest of the year, for which the factors hold.
        let end = if start <= restatement.last { self.calendar.day(start).end } else { self.calendar.year(start).end };
        let span = Span { start, end: end.min(restatement.to) };
        let mut batch = Batch::default();
        let by_row: FxHashMap<_, _> = self.registers.iter().map(|channel| (channel.row, channel)).collect();
        let mut intervals: FxHashMap<Book, u64> = FxHashMap::default();
        self.store.each_interval(span.start, span.end, |row, interval| {
            if let Some(channel) = by_row.get(&row) {
                channel.post_again((interval.start, interval.minutes), interval.amounts, interval.parts, &mut batch);
                if let Some(book) = channel.book {
                    *intervals.entry(book).or_default() += 1;
                }
            }
        })?;
        let mut changes = self.changes_of(&span)?;
        let named = changes.named.iter().filter_map(|factor| book_of(factor.name));
        let changed: FxHashSet<Book> =
            changes.factors.iter().map(|(book, _)| *book).chain(changes.prices.iter().map(|(book, _)| *book)).chain(named).collect();
        restatement.intervals += intervals.values().sum::<u64>();
        restatement.changed += changed.iter().filter_map(|book| intervals.get(book)).sum::<u64>();
        restatement.next = span.end;
        if changes.is_empty() {
            return Ok(());
        }
        self.differences(&changes, &mut batch)?;
        changes.factors.sort_unstable_by_key(|(book, _)| *book);
        let year = self.calendar.date(span.start).year();
        self.store.restate((span, year), &changes, restatement.recorded, &mut batch, &mut self.calendar)?;
        self.in_force.forget();
        self.find_grid()
    }

    /// What the zone folder says otherwise than what is in force in a span of one local year, and of one day where there are intervals.
    fn changes_of(&mut self, span: &Span) -> Result<NewRules, EngineError> {
        let mut changes = NewRules::default();
        let year = self.calendar.year(span.start);
        let day = self.calendar.day(span.start);
        for book in books(&self.zone) {
            let mut desk = Desk { store: &self.store, profile: self.zone.profile(), calendar: &mut self.calendar };
            let (factors, prices) = self.in_force.folder_says(book, *span, &mut desk)?;
            let overlaps = |from: Millis, to: Millis| from < span.end && span.start < to;
            let held = self.store.factor_spans(book, year)?;
            if held.iter().any(|held| overlaps(held.span.start, held.span.end) && held.factors != factors) {
                changes.factors.push((book, FactorSpan { span: *span, factors }));
            }
            let held: Vec<PriceSpan> = self.store.prices(book, day)?.into_iter().filter(|held| overlaps(held.from, held.to)).collect();
            if !held.is_empty() && !is_same(&held, &prices, span) {
                changes.prices.extend(prices.into_iter().map(|price| (book, price)));
            }
        }
        for factor in named::of_year(self.zone.profile(), &self.in_force.factors, self.calendar.date(span.start).year()) {
            if !self.store.holds_named(&factor, *span)? {
                changes.named.push(factor);
            }
        }
        Ok(changes)
    }

    /// Makes of a batch's full amounts the differences that new rules make to its roll-ups and costs.
    fn differences(&mut self, changes: &NewRules, batch: &mut Batch) -> Result<(), EngineError> {
        let factors: FxHashMap<Book, &YearFactors> = changes.factors.iter().map(|(book, new)| (*book, &new.factors)).collect();
        let mut desk = Desk { store: &self.store, profile: self.zone.profile(), calendar: &mut self.calendar };
        let interval_ms = desk.profile.interval_ms;
        for ((part, entity, book), delta) in &mut batch.hours {
            let full = *delta;
            *delta = RollupDelta::default();
            if let Some(new) = factors.get(book) {
                let before = assess(&self.in_force.factors_at(*book, *part, &mut desk)?.factors, full.quantity, full.bought);
                let after = assess(new, full.quantity, full.bought);
                delta.assessed.co2e = MicrogramsCo2e(after.co2e.0 - before.co2e.0);
                delta.assessed.ce_calorific = MicrogramsCe(after.ce_calorific.0 - before.ce_calorific.0);
                delta.assessed.ce_primary = MicrogramsCe(after.ce_primary.0 - before.ce_primary.0);
            }
            let new = changes.prices.iter().rfind(|(of, price)| of == book && price.from <= *part);
            if let (Some((_, new)), true) = (new, book.is_energy()) {
                let day = desk.calendar.day(*part).start;
                let key = (day, *part, *entity, *book);
                add_cost(&mut batch.costs, key, &full, self.in_force.price_at(*book, *part, &mut desk)?, interval_ms, -1);
                add_cost(&mut batch.costs, key, &full, new, interval_ms, 1);
            }
        }
        Ok(())
    }
}

/// Whose figures a factor that no book uses changes; none for the rules of reports.
fn book_of(name: &str) -> Option<Book> {
    match name {
        "CH4" | "N2O" => Some(Book::NaturalGas),
        "residual" => Some(Book::Electricity),
        _ => None,
    }
}

/// Whether two lists say the same of a span, wherever they are cut.
fn is_same(held: &[PriceSpan], new: &[PriceSpan], span: &Span) -> bool {
    let at = |list: &[PriceSpan], moment: Millis| {
        let found = list.iter().find(|price| price.from <= moment && moment < price.to);
        found.map(|price| (price.band, price.price, price.charges, price.version.clone()))
    };
    let borders = held.iter().chain(new).map(|price| price.from.max(span.start));
    borders.collect::<Vec<_>>().into_iter().all(|moment| at(held, moment) == at(new, moment))
}

/// Books that the zone's registers fill.
fn books(zone: &Zone) -> Vec<Book> {
    let of = |channel: &crate::domain::channel::Channel| {
        channel.register().and_then(|register| Book::of(channel.carrier, register.ledger_unit()))
    };
    let mut books: Vec<Book> = zone.channels().iter().filter_map(of).collect();
    books.sort_unstable();
    books.dedup();
    books
}
