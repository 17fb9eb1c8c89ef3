//! What each gateway has to publish, and when: late, reordered and repeated readings wait here, and so does everything of an outage.

use std::collections::BTreeMap;

use crate::log::Index;

/// A reading: meter of the roster, index in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    pub meter: u32,
    pub index: Index,
}

#[derive(Clone, Default)]
pub struct Outbox {
    pub offline: bool,
    /// Kept during an outage, for the flood on return.
    backlog: Vec<Item>,
    /// In the order in which they were read.
    fresh: Vec<Item>,
    /// By the time at which they leave.
    delayed: BTreeMap<i64, Vec<Item>>,
    asked: Vec<Item>,
}

impl Outbox {
    pub fn now(&mut self, item: Item) {
        self.fresh.push(item);
    }

    pub fn later(&mut self, at_ms: i64, item: Item) {
        self.delayed.entry(at_ms).or_default().push(item);
    }

    /// Answers a request for missing readings.
    pub fn answer(&mut self, item: Item) {
        self.asked.push(item);
    }

    /// The batches that leave at `now_ms`: the backlog in device time (by `date`), then what was just read, then what is older or repeated.
    pub fn leave(&mut self, now_ms: i64, date: impl Fn(Item) -> i64) -> [Vec<Item>; 3] {
        let later = self.delayed.split_off(&(now_ms + 1));
        let mut due: Vec<Item> = std::mem::replace(&mut self.delayed, later).into_values().flatten().collect();
        if self.offline {
            self.backlog.append(&mut self.fresh);
            self.backlog.append(&mut due);
            return [Vec::new(), Vec::new(), Vec::new()];
        }
        due.append(&mut self.asked);
        let mut backlog = std::mem::take(&mut self.backlog);
        backlog.sort_by_key(|item| date(*item));
        [backlog, std::mem::take(&mut self.fresh), due]
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, Outbox};

    const fn item(index: u32) -> Item {
        Item { meter: 0, index }
    }

    #[test]
    fn an_outage_keeps_everything_and_floods_in_order_on_return() {
        let mut outbox = Outbox { offline: true, ..Outbox::default() };
        outbox.now(item(2));
        outbox.later(10, item(1));
        assert_eq!(outbox.leave(10, |item| i64::from(item.index)), [vec![], vec![], vec![]]);
        outbox.offline = false;
        outbox.now(item(3));
        outbox.later(30, item(0));
        assert_eq!(outbox.leave(20, |item| i64::from(item.index)), [vec![item(1), item(2)], vec![item(3)], vec![]]);
        assert_eq!(outbox.leave(30, |item| i64::from(item.index)), [vec![], vec![], vec![item(0)]]);
    }
}
