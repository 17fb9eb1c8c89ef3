//! The newest marks of one channel, and the insertion of a mark into them.
//!
//! Never reads the store: when the marks at hand do not reach far enough back it says so, and the caller brings more.
//! Invariant: after an insertion the marks' verdicts are those that one scan over all of the channel's marks would give.

use super::mark::{Mark, Span, What};
use super::scan::{Limits, Scan, State};
use crate::domain::units::{Millis, Quantity};

/// Marks kept in memory for each channel, the newest included, and more until two anchors are among the older ones: a reading that comes in order, or a
/// little late, needs no store.
const MARKS_KEPT: usize = 4;

/// After so many marks with the old verdicts a rescan has nothing more to say: a mark's verdict depends on the two before and the one after it.
const SAME_AGAIN: u32 = 3;

/// What an insertion changed. The same value is used again and again, so that the hot path allocates nothing.
#[derive(Debug, Default)]
pub struct Changes {
    /// Marks whose rows are new or differ from what was stored.
    pub marks: Vec<Mark>,
    pub removed: Vec<Span>,
    pub added: Vec<Span>,
    before: Vec<Mark>,
}

/// What became of an inserted mark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// It counts; see the changes.
    Inserted,
    /// The same value at the same moment was there before.
    Duplicate,
    /// Another value at the same moment was there: the one given lost and is not part of the set.
    Lost(Mark),
    /// The marks given do not reach far enough back, or forward, for the rescan.
    NeedsHistory,
}

/// The newest marks of a channel, in order.
#[derive(Clone, Debug, Default)]
pub struct Window {
    marks: Vec<Mark>,
    /// Whether older marks of the channel stand in the store only.
    truncated: bool,
}

impl Window {
    /// A window over marks that the store gave, oldest first; `truncated` if the store has older ones.
    #[must_use]
    pub fn restored(marks: Vec<Mark>, truncated: bool) -> Window {
        let mut window = Window { marks, truncated };
        window.forget_oldest();
        window.marks.shrink_to(MARKS_KEPT);
        window
    }

    #[must_use]
    pub fn oldest(&self) -> Option<Millis> {
        self.marks.first().map(|mark| mark.at)
    }

    #[must_use]
    pub fn newest(&self) -> Option<&Mark> {
        self.marks.last()
    }

    /// The newest good mark.
    #[must_use]
    pub fn newest_good(&self) -> Option<&Mark> {
        self.marks.iter().rev().find(|mark| mark.verdict.class.is_good())
    }

    /// Begin and end of the spans between the good marks in memory.
    pub fn good_spans(&self) -> impl Iterator<Item = (Millis, Millis)> {
        let goods = || self.marks.iter().filter(|mark| mark.verdict.class.is_good()).map(|mark| mark.at);
        goods().zip(goods().skip(1))
    }

    /// The span that ends at the good mark of a moment, if both its marks are in memory.
    #[must_use]
    pub fn good_span_until(&self, at: Millis) -> Option<(Millis, Millis)> {
        self.good_spans().find(|(_, to)| *to == at)
    }

    /// Whether no good mark lies between two moments, as far as the window knows; what it no longer holds may still be missing.
    #[must_use]
    pub fn has_gap(&self, from: Millis, to: Millis) -> bool {
        !self.marks.iter().any(|mark| from < mark.at && mark.at < to && mark.verdict.class.is_good())
    }

    /// Inserts a mark; `changes` is cleared first.
    pub fn insert(&mut self, limits: Limits, mark: Mark, changes: &mut Changes) -> Outcome {
        if self.newest().is_some_and(|newest| newest.at < mark.at) {
            self.forget_oldest();
        }
        // There are as many windows as registers: none keeps room that it does not need, nor grows step by step and leaves holes.
        if self.marks.len() == self.marks.capacity() {
            self.marks.reserve_exact(MARKS_KEPT.saturating_sub(self.marks.len()).max(1));
        }
        insert(&mut self.marks, Reach { from_first: !self.truncated, to_last: true }, limits, mark, changes)
    }

    /// Makes room for one more mark; two anchors stay.
    fn forget_oldest(&mut self) {
        let Some(from) = (self.marks.len() + 1).checked_sub(MARKS_KEPT) else { return };
        let mut anchors = (0..self.marks.len()).rev().filter(|index| self.marks[*index].verdict.anchor).skip(1);
        let Some(mut cut) = anchors.find(|index| *index <= from) else { return };
        // A swap and the reading of the same moment stay together: the store is asked by time.
        while cut > 0 && self.marks[cut - 1].at == self.marks[cut].at {
            cut -= 1;
        }
        self.marks.drain(..cut);
        self.truncated = self.truncated || cut > 0;
        if self.marks.capacity() > 2 * MARKS_KEPT {
            self.marks.shrink_to_fit();
        }
    }

    /// Inserts a mark older than the window, given the marks of the store from an anchor (or the channel's very first mark, then `complete`)
    /// up to the window's first, exclusive. The window's own marks take part.
    pub fn insert_with_history(
        &mut self,
        limits: Limits,
        mut history: Vec<Mark>,
        complete: bool,
        mark: Mark,
        changes: &mut Changes,
    ) -> Outcome {
        let older = history.len();
        history.extend_from_slice(&self.marks);
        let outcome = insert(&mut history, Reach { from_first: complete, to_last: true }, limits, mark, changes);
        if outcome != Outcome::NeedsHistory {
            let grown = history.len() - older - self.marks.len();
            let own_from = if mark.at < self.oldest().unwrap_or(Millis(i64::MAX)) { older + grown } else { older };
            self.marks.clear();
            self.marks.extend_from_slice(&history[own_from..]);
        }
        outcome
    }
}

/// Inserts a mark far older than the window into a stretch of stored marks; `complete` if the stretch begins with the channel's first.
pub fn insert_into_stretch(stretch: &mut Vec<Mark>, complete: bool, limits: Limits, mark: Mark, changes: &mut Changes) -> Outcome {
    insert(stretch, Reach { from_first: complete, to_last: false }, limits, mark, changes)
}

/// Which of a channel's marks are at hand.
#[derive(Clone, Copy)]
struct Reach {
    from_first: bool,
    to_last: bool,
}

fn insert(marks: &mut Vec<Mark>, reach: Reach, limits: Limits, mark: Mark, changes: &mut Changes) -> Outcome {
    changes.marks.clear();
    changes.removed.clear();
    changes.added.clear();
    changes.before.clear();

    let at = marks.partition_point(|other| other.key() < mark.key());
    let twin = marks.get(at).filter(|other| other.key() == mark.key()).copied();
    // From the anchor before the nearest one: the nearest one's own verdict may depend on what follows it.
    let mut anchors = (0..at).rev().filter(|index| marks[*index].verdict.anchor);
    let anchor = anchors.next().and_then(|_| anchors.next());
    if anchor.is_none() && !reach.from_first {
        return Outcome::NeedsHistory;
    }
    if let Some(twin) = twin {
        if rank(&mark) <= rank(&twin) {
            return if twin.what == mark.what { Outcome::Duplicate } else { Outcome::Lost(mark) };
        }
        marks[at] = mark;
    } else {
        marks.insert(at, mark);
    }

    let start = anchor.map_or(0, |anchor| anchor + 1);
    let mut scan = Scan { marks, limits, state: anchor.map_or(State::Empty, State::Settled) };
    let mut end = start;
    let mut same_again = 0;
    while end < scan.marks.len() && same_again < SAME_AGAIN {
        let before = if end == at { twin } else { Some(scan.marks[end]) };
        changes.before.extend(before);
        scan.take(end);
        let same = end > at
            && scan.state == State::Settled(end)
            && before.is_some_and(|mark| {
                let (before, now) = (mark.verdict, scan.marks[end].verdict);
                before.anchor && (before.class, before.serial) == (now.class, now.serial)
            });
        same_again = if same { same_again + 1 } else { 0 };
        if let (SAME_AGAIN, Some(before)) = (same_again, before) {
            // What follows has not changed, so neither has its word on this mark.
            scan.marks[end].verdict = before.verdict;
        }
        end += 1;
    }
    if same_again < SAME_AGAIN && !reach.to_last {
        return Outcome::NeedsHistory;
    }

    let from = anchor.map(|anchor| marks[anchor].at);
    spans(from, &changes.before, &mut changes.removed);
    spans(from, &marks[start..end], &mut changes.added);
    changes.removed.retain(|span| {
        let kept = changes.added.iter().position(|other| other == span);
        kept.map(|index| changes.added.remove(index)).is_none()
    });
    let before = &changes.before;
    changes.marks.extend(marks[start..end].iter().filter(|mark| !before.contains(mark)));
    match twin {
        Some(same) if same.what == mark.what => Outcome::Duplicate,
        Some(loser) => Outcome::Lost(loser),
        None => Outcome::Inserted,
    }
}

/// Of two marks of one moment the higher stays: the later count of the gateway, then the larger register; then, for two of the same value, the
/// larger of what came with it.
fn rank(mark: &Mark) -> (i64, Quantity, Quantity, Option<u32>, u32) {
    let (value, opening) = match mark.what {
        What::Reading(register) => (register, Quantity(0)),
        What::Swap { closing, opening } => (closing, opening),
    };
    // Flows are magnitudes, so their bits are ordered as they are; none at all is less than a flow of nothing.
    (mark.seq, value, opening, mark.flow_per_h.map(f32::to_bits), mark.serial)
}

fn spans(from: Option<Millis>, marks: &[Mark], out: &mut Vec<Span>) {
    let mut from = from;
    for mark in marks.iter().filter(|mark| mark.verdict.class.is_good()) {
        if let Some(from) = from {
            out.push(Span { from, to: mark.at, energy: mark.verdict.energy, quality: mark.verdict.quality });
        }
        from = Some(mark.at);
    }
}
