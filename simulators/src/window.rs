//! The simulated time of a run and how it is cut.

pub const MINUTE_MS: i64 = 60_000;
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// History, then the live part with the faults.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub start_ms: i64,
    pub live_from_ms: i64,
    pub to_ms: i64,
    pub history_step_ms: i64,
    pub step_ms: i64,
}

impl Window {
    /// Readings of a meter that is never late: the first register, then one per step.
    #[must_use]
    pub fn readings(&self) -> usize {
        let history = (self.live_from_ms - self.start_ms) / self.history_step_ms;
        let live = (self.to_ms - self.live_from_ms) / self.step_ms;
        (1 + history + live) as usize
    }
}

/// What lies between two ticks of the clock: a day of history, or one interval of the live part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    pub from_ms: i64,
    pub to_ms: i64,
}

impl Slice {
    /// Nothing yet: the next slice is the first one.
    #[must_use]
    pub fn before(window: &Window) -> Slice {
        Slice { from_ms: window.start_ms, to_ms: window.start_ms }
    }

    #[must_use]
    pub fn next(self, window: &Window) -> Slice {
        let from_ms = self.to_ms;
        let is_history = from_ms < window.live_from_ms;
        let to_ms = if is_history { (from_ms + DAY_MS).min(window.live_from_ms) } else { from_ms + window.step_ms };
        Slice { from_ms, to_ms }
    }

    /// The steps of the physics.
    pub fn steps(self, window: &Window) -> impl Iterator<Item = (i64, i64)> {
        let step_ms = if self.from_ms < window.live_from_ms { window.history_step_ms } else { window.step_ms };
        (self.from_ms..self.to_ms).step_by(step_ms as usize).map(move |at_ms| (at_ms, (at_ms + step_ms).min(self.to_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_is_cut_into_days_of_hours_and_the_live_part_into_intervals() {
        let live_from_ms = 30 * HOUR_MS;
        let window = Window { start_ms: 0, live_from_ms, to_ms: 40 * HOUR_MS, history_step_ms: HOUR_MS, step_ms: 15 * MINUTE_MS };
        let first = Slice::before(&window).next(&window);
        assert_eq!((first.to_ms, first.steps(&window).count()), (DAY_MS, 24));
        let second = first.next(&window);
        assert_eq!((second.to_ms, second.steps(&window).count()), (live_from_ms, 6));
        let third = second.next(&window);
        assert_eq!((third.to_ms, third.steps(&window).count()), (live_from_ms + 15 * MINUTE_MS, 1));
    }
}
