//! What will flow, roughly: an hourly run of the physics before the run, so that faults are put where they show.

use crate::window::{HOUR_MS, Window};

pub struct Preview {
    from_ms: i64,
    /// Per channel, in ledger units, before the live part.
    history: Vec<f64>,
    /// Per hour of the live part and channel, since its start.
    hours: Vec<Vec<f64>>,
}

impl Preview {
    /// Runs `flows` over the window; it must start from the same state as the run itself.
    pub fn new(window: &Window, channels: usize, mut flows: impl FnMut(i64, i64, &mut [f64])) -> Preview {
        let mut flow = vec![0.0; channels];
        let mut sum = vec![0.0; channels];
        let mut advance = |from_ms: i64, to_ms: i64, sum: &mut Vec<f64>| {
            flows(from_ms, to_ms, &mut flow);
            for (sum, flow) in sum.iter_mut().zip(&flow) {
                *sum += flow;
            }
        };
        let mut at = window.start_ms;
        while at < window.live_from_ms {
            advance(at, at + window.history_step_ms, &mut sum);
            at += window.history_step_ms;
        }
        let history = std::mem::replace(&mut sum, vec![0.0; channels]);
        let mut hours = vec![sum.clone()];
        while at < window.to_ms {
            advance(at, at + HOUR_MS, &mut sum);
            hours.push(sum.clone());
            at += HOUR_MS;
        }
        Preview { from_ms: window.live_from_ms, history, hours }
    }

    /// Ledger units from the run's start to a moment of the live part.
    #[must_use]
    pub fn total(&self, channel: usize, at_ms: i64) -> f64 {
        let hour = ((at_ms - self.from_ms).max(0) / HOUR_MS) as usize;
        self.history[channel] + self.hours[hour.min(self.hours.len() - 1)][channel]
    }

    /// Ledger units between two moments of the live part.
    #[must_use]
    pub fn between(&self, channel: usize, from_ms: i64, to_ms: i64) -> f64 {
        self.total(channel, to_ms) - self.total(channel, from_ms)
    }
}
