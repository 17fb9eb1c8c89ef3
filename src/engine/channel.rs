//! One register channel at work: its window of marks, and the posting of its spans to intervals and roll-ups.

use std::collections::BTreeSet;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::accounting::Book;
use crate::alerts::mean::OpenInterval;
use crate::domain::calendar::LocalCalendar;
use crate::domain::channel::{Carrier, Channel, ChannelId, Direction, RegisterSpec};
use crate::domain::contribution::with_generation;
use crate::domain::entity::EntityIndex;
use crate::domain::units::{Millis, Quantity};
use crate::domain::zone::Zone;
use crate::ledger::mark::{Quality, Span};
use crate::ledger::scan::Limits;
use crate::ledger::slices::{self, Slice};
use crate::ledger::window::Window;
use crate::store::batch::{Batch, RollupDelta, RowId};
use crate::store::restore::Share;

const HOUR_MINUTES: i64 = 60;

/// How finely quantities are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    pub interval_ms: i64,
    /// Bands may change inside of an hour: the batch's parts are intervals, not hours.
    pub by_interval: bool,
}

#[derive(Debug)]
pub struct RegisterChannel {
    pub id: ChannelId,
    pub row: RowId,
    pub window: Window,
    /// Device time of the channel's very first mark.
    pub first: Option<Millis>,
    /// For interval-mean thresholds; none where no rule looks.
    pub mean: Option<Box<OpenInterval>>,
    pub book: Option<Book>,
    /// One list for all channels with the same shares.
    pub shares: Arc<[Share]>,
}

/// What the channels of a zone have in common.
pub struct Sharing<'z> {
    zone: &'z Zone,
    entities: &'z [RowId],
    whole: RowId,
    /// Parts that a channel has a share in, and how often it counts for them.
    of_parts: FxHashMap<ChannelId, Vec<(RowId, i32)>>,
    /// Entities with a source from nature of their own or below them.
    with_generation: BTreeSet<(EntityIndex, Carrier)>,
    lists: FxHashSet<Arc<[Share]>>,
}

impl<'z> Sharing<'z> {
    /// `entities` and `parts` are the rows of the zone's entities and parts; `whole` the zone's own.
    #[must_use]
    pub fn new(zone: &'z Zone, entities: &'z [RowId], whole: RowId, parts: &[RowId]) -> Sharing<'z> {
        let mut of_parts: FxHashMap<ChannelId, Vec<(RowId, i32)>> = FxHashMap::default();
        for (part, row) in zone.parts().iter().zip(parts) {
            for term in part.terms.iter().filter(|term| term.sign != 0) {
                of_parts.entry(term.channel).or_default().push((*row, term.sign));
            }
        }
        let with_generation = with_generation(zone.channels(), zone.meters(), zone.entities());
        Sharing { zone, entities, whole, of_parts, with_generation, lists: FxHashSet::default() }
    }

    pub fn channel(&mut self, channel: &Channel, register: &RegisterSpec, row: RowId) -> RegisterChannel {
        let book = Book::of(channel.carrier, register.ledger_unit());
        let shares = self.shares(channel, book);
        RegisterChannel { id: channel.id, row, window: Window::default(), first: None, mean: None, book, shares }
    }

    fn shares(&mut self, channel: &Channel, book: Option<Book>) -> Arc<[Share]> {
        // What comes from the sun carries no carbon, nor what an entity with such a source passes on.
        let from_nature = match channel.direction {
            Direction::Generation => true,
            Direction::Export => self.with_generation.contains(&(channel.entity, channel.carrier)),
            Direction::Import | Direction::Made | Direction::Gauge => false,
        };
        let bought = i64::from(!from_nature);
        let share = |entity, sign: i32| Share { entity, sign: i64::from(sign), bought: i64::from(sign) * bought };
        let contributions = self.zone.contributions(channel.id).iter();
        let mut shares: Vec<Share> =
            contributions.map(|contribution| share(self.entities[contribution.entity.0 as usize], contribution.sign)).collect();
        let for_zone = self.zone.zone_sign(channel.id);
        // A channel may count for an entity both as bought and as made inside; the store keeps one row for the two.
        shares.sort_unstable();
        shares.dedup_by(|later, kept| {
            let same = later.entity == kept.entity;
            if same {
                kept.sign += later.sign;
                kept.bought += later.bought;
            }
            same
        });
        if for_zone != 0 && book.is_some_and(Book::is_energy) {
            shares.push(share(self.whole, for_zone));
        }
        shares.extend(self.of_parts.get(&channel.id).into_iter().flatten().map(|(part, sign)| share(*part, *sign)));
        if let Some(known) = self.lists.get(&*shares) {
            return known.clone();
        }
        let list: Arc<[Share]> = shares.into();
        self.lists.insert(list.clone());
        list
    }
}

/// What a register can do, as the scan wants it.
#[must_use]
pub fn limits(register: &RegisterSpec) -> Limits {
    Limits { rating_per_h: register.rating_per_h(), step: Quantity(register.step()), full: Quantity(register.full()) }
}

impl RegisterChannel {
    /// Posts a span that came (`sign` 1) or went (`sign` −1).
    pub fn post(&self, span: Span, sign: i64, grid: Grid, calendar: &mut LocalCalendar, batch: &mut Batch) {
        slices::cut(span, grid.interval_ms, calendar, |slice| {
            self.post_interval(slice, (span.quality, span.from == span.to), sign, batch);
            if let Some(book) = self.book {
                let part = if grid.by_interval { slice.start } else { slice.hour };
                self.post_shares((part, slice), span.quality, sign, book, batch);
            }
        });
    }

    fn post_interval(&self, slice: Slice, (quality, instant): (Quality, bool), sign: i64, batch: &mut Batch) {
        let delta = batch.intervals.entry((slice.start, self.row)).or_default();
        // A span without length (a swap at a reading's moment) says nothing about how finely the interval was read.
        if sign > 0 && !instant {
            delta.minutes = slice.minutes;
        }
        let quantity = Quantity(sign * slice.energy.0);
        delta.quantity += quantity;
        delta.parts += sign;
        match quality {
            Quality::Measured => {}
            Quality::Assumed => delta.assumed += quantity,
            Quality::Estimated => delta.estimated += quantity,
        }
    }

    fn post_shares(&self, (part, slice): (Millis, Slice), quality: Quality, sign: i64, book: Book, batch: &mut Batch) {
        let quantity = Quantity(sign * slice.energy.0);
        let by = |wanted| if quality == wanted { quantity } else { Quantity(0) };
        self.post_part((part, slice.minutes), book, [quantity, by(Quality::Assumed), by(Quality::Estimated)], sign, batch);
    }

    /// Posts a stored interval to the roll-ups again.
    pub fn post_again(&self, (part, minutes): (Millis, i64), amounts: [Quantity; 3], parts: i64, batch: &mut Batch) {
        if let Some(book) = self.book {
            self.post_part((part, minutes), book, amounts, parts, batch);
        }
    }

    fn post_part(
        &self,
        (part, minutes): (Millis, i64),
        book: Book,
        [quantity, assumed, estimated]: [Quantity; 3],
        parts: i64,
        batch: &mut Batch,
    ) {
        for share in &*self.shares {
            let times = share.sign.abs();
            let delta = RollupDelta {
                quantity: Quantity(quantity.0 * share.sign),
                bought: Quantity(quantity.0 * share.bought),
                gross: Quantity(quantity.0 * times),
                assumed: Quantity(assumed.0 * times),
                estimated: Quantity(estimated.0 * times),
                hourly: Quantity(if minutes == HOUR_MINUTES { quantity.0 * times } else { 0 }),
                parts,
                ..RollupDelta::default()
            };
            batch.hours.entry((part, share.entity, book)).or_default().add(&delta);
        }
    }
}
