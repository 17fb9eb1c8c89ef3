//! The factors and prices that figures are made with.
//!
//! Invariant: what a figure was first made with stays in force for its time, whatever the zone folder says later, until somebody asks for a
//! restatement: figures never change silently.

use rustc_hash::FxHashMap;

use super::EngineError;
use crate::accounting::{Book, YearFactors, assess};
use crate::domain::calendar::{LocalCalendar, Span};
use crate::domain::factors::FactorSet;
use crate::domain::tariff::{Band, PriceSpan, Tariff};
use crate::domain::units::{HOUR_MS, MINUTE_MS, Millis, NanoCny};
use crate::domain::zone::Profile;
use crate::store::Store;
use crate::store::accounts::FactorSpan;
use crate::store::batch::{CostDelta, CostKey, RollupDelta, RowId};

/// Days of prices kept in memory, over all books; beyond, they are read again.
const PRICE_DAYS_MAX: usize = 4096;

#[derive(Debug)]
pub(super) struct InForce {
    pub factors: FactorSet,
    pub tariff: Tariff,
    /// By book and the local year's start.
    spans: FxHashMap<(Book, Millis), Vec<FactorSpan>>,
    /// By book and the local day's start.
    prices: FxHashMap<(Book, Millis), Vec<PriceSpan>>,
    pub news: News,
}

/// What was used for the first time, and what the zone folder now says otherwise.
#[derive(Debug, Default)]
pub(super) struct News {
    pub factors: Vec<(Book, FactorSpan)>,
    pub prices: Vec<(Book, PriceSpan)>,
    pub changed_factors: Vec<(Book, i16)>,
}

/// What the rules are looked up with.
pub(super) struct Desk<'a> {
    pub store: &'a Store,
    pub profile: &'a Profile,
    pub calendar: &'a mut LocalCalendar,
}

type Parts = FxHashMap<(Millis, RowId, Book), RollupDelta>;
type Costs = FxHashMap<CostKey, CostDelta>;

impl InForce {
    #[must_use]
    pub fn new(factors: FactorSet, tariff: Tariff) -> InForce {
        InForce { factors, tariff, spans: FxHashMap::default(), prices: FxHashMap::default(), news: News::default() }
    }

    /// Forgets what is in memory: the store knows better.
    pub fn forget(&mut self) {
        self.spans.clear();
        self.prices.clear();
    }

    /// Whether a band may change inside of an hour, so that quantities have to be kept by interval.
    pub fn is_finer_than_hours(&self, store: &Store, profile: &Profile, calendar: &mut LocalCalendar) -> Result<bool, EngineError> {
        let hours = self.tariff.electricity.iter().flat_map(|tariff| &tariff.seasons).flat_map(|season| &season.hours);
        let off_the_hour = hours.clone().any(|(_, hours)| hours.from % 60 != 0 || hours.to % 60 != 0);
        let around = profile.live_from.unwrap_or(Millis(0));
        let mut half_hours = [around, around.plus_ms(183 * 24 * HOUR_MS)].into_iter().map(|at| calendar.offset_ms(at) % HOUR_MS != 0);
        Ok(off_the_hour || half_hours.any(|half| half) || store.has_prices_off_the_hour()?)
    }

    /// Gives parts their carbon and standard coal, and adds up their costs.
    pub fn assess(&mut self, parts: &mut Parts, costs: &mut Costs, desk: &mut Desk) -> Result<(), EngineError> {
        for ((part, entity, book), delta) in parts {
            let factors = &self.factors_at(*book, *part, desk)?.factors;
            delta.assessed = assess(factors, delta.quantity, delta.bought);
            if book.is_energy() {
                let day = desk.calendar.day(*part).start;
                let price = self.price_at(*book, *part, desk)?;
                add_cost(costs, (day, *part, *entity, *book), delta, price, desk.profile.interval_ms, 1);
            }
        }
        Ok(())
    }

    /// The factors in force at a moment.
    pub fn factors_at(&mut self, book: Book, at: Millis, desk: &mut Desk) -> Result<&FactorSpan, EngineError> {
        let year = desk.calendar.year(at);
        let spans = match self.spans.entry((book, year.start)) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                let number = desk.calendar.date(at).year();
                let found = YearFactors::find(&self.factors, desk.profile, book, number)?;
                let kept = desk.store.keep_factors(book, number, &found)?;
                if kept != found {
                    self.news.changed_factors.push((book, number));
                }
                let mut spans = desk.store.factor_spans(book, year)?;
                if spans.is_empty() {
                    let first = FactorSpan { span: year, factors: kept };
                    self.news.factors.push((book, first.clone()));
                    spans.push(first);
                }
                new.insert(spans)
            }
        };
        let after = spans.partition_point(|span| span.span.start <= at);
        Ok(&spans[after.saturating_sub(1)])
    }

    /// The price in force at a moment.
    pub fn price_at(&mut self, book: Book, at: Millis, desk: &mut Desk) -> Result<&PriceSpan, EngineError> {
        let day = desk.calendar.day(at);
        if self.prices.len() > PRICE_DAYS_MAX && !self.prices.contains_key(&(book, day.start)) {
            self.prices.clear();
        }
        let spans = match self.prices.entry((book, day.start)) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                let mut spans = desk.store.prices(book, day)?;
                if spans.is_empty() {
                    // Not yet written ones are in memory or, after it was emptied, here.
                    let pending = self.news.prices.iter().filter(|(of, price)| *of == book && day.contains(price.from));
                    spans.extend(pending.map(|(_, price)| price.clone()));
                }
                if spans.is_empty() {
                    spans = self.tariff.day(book.carrier(), day.start, desk.calendar);
                    self.news.prices.extend(spans.iter().map(|span| (book, span.clone())));
                }
                new.insert(spans)
            }
        };
        let after = spans.partition_point(|span| span.from <= at);
        Ok(&spans[after.saturating_sub(1)])
    }

    /// What the zone folder's factors and tariff say for a book between two moments of one local day.
    pub fn folder_says(&self, book: Book, span: Span, desk: &mut Desk) -> Result<(YearFactors, Vec<PriceSpan>), EngineError> {
        let year = desk.calendar.date(span.start).year();
        let factors = YearFactors::find(&self.factors, desk.profile, book, year)?;
        let mut prices = self.tariff.day(book.carrier(), span.start, desk.calendar);
        prices.retain(|price| price.from < span.end && span.start < price.to);
        for price in &mut prices {
            price.from = price.from.max(span.start);
            price.to = price.to.min(span.end);
        }
        Ok((factors, prices))
    }
}

/// Adds a part's cost, `sign` 1, or takes it away, −1.
pub(super) fn add_cost(
    costs: &mut Costs,
    (day, part, entity, book): (Millis, Millis, RowId, Book),
    delta: &RollupDelta,
    price: &PriceSpan,
    interval_ms: i64,
    sign: i64,
) {
    let cost = price.price.map_or(NanoCny(0), |price| delta.bought * price);
    let key = CostKey { day, entity, book, band: price.band.number() };
    let of_hours = price.band != Band::Unpriced && price.to < part.plus_ms(HOUR_MS);
    let of_intervals = price.band != Band::Unpriced && price.to < part.plus_ms(interval_ms.max(MINUTE_MS));
    costs.entry(key).or_default().add(delta, (of_intervals, of_hours), cost, sign);
}
