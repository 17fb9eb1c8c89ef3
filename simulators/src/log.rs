//! What a gateway remembers of one meter: every reading, published or withheld.
//!
//! Invariant: device times strictly increase.

/// Index of a reading in its meter's log.
pub type Index = u32;

#[derive(Clone, Default)]
pub struct MeterLog {
    /// Device time in ms.
    pub at: Vec<i64>,
    /// The gateway's count of readings.
    pub seq: Vec<u32>,
    /// How often the reading was published.
    pub published: Vec<u8>,
    /// One per register of the meter, in the roster's order.
    pub registers: Vec<RegisterLog>,
    /// One per gauge channel of the meter, values in thousandths.
    pub gauges: Vec<Vec<i64>>,
    /// The mean flow since the reading before, in thousandths of the flow gauge's unit; none before `flow_from`.
    pub flow: Vec<i64>,
    pub flow_from: usize,
}

#[derive(Clone)]
pub struct RegisterLog {
    /// Ledger units on the display.
    pub shown: Vec<i64>,
    /// True flow up to the reading's true moment, in thousandths of a ledger unit.
    pub total: Vec<i64>,
}

impl RegisterLog {
    fn new(readings: usize) -> RegisterLog {
        RegisterLog { shown: Vec::with_capacity(readings), total: Vec::with_capacity(readings) }
    }
}

impl MeterLog {
    /// Room for so many readings, in memory that is touched only as they come.
    #[must_use]
    pub fn new(registers: usize, gauges: usize, readings: usize) -> MeterLog {
        MeterLog {
            registers: (0..registers).map(|_| RegisterLog::new(readings)).collect(),
            gauges: vec![Vec::new(); gauges],
            at: Vec::with_capacity(readings),
            seq: Vec::with_capacity(readings),
            published: Vec::with_capacity(readings),
            flow_from: usize::MAX,
            ..MeterLog::default()
        }
    }

    /// The flow gauge of a reading in thousandths, if it carried one.
    #[must_use]
    pub fn flow_of(&self, index: Index) -> Option<i64> {
        (index as usize).checked_sub(self.flow_from).and_then(|position| self.flow.get(position)).copied()
    }

    /// The readings dated strictly between two times.
    #[must_use]
    pub fn between(&self, from_ms: i64, to_ms: i64) -> std::ops::Range<Index> {
        let first = self.at.partition_point(|at| *at <= from_ms);
        let last = self.at.partition_point(|at| *at < to_ms).max(first);
        first as Index..last as Index
    }

    /// The newest published reading dated before `at_ms`.
    #[must_use]
    pub fn published_before(&self, at_ms: i64) -> Option<usize> {
        let end = self.at.partition_point(|at| *at < at_ms);
        (0..end).rev().find(|index| self.published[*index] > 0)
    }

    /// The oldest published reading dated at or after `at_ms`.
    #[must_use]
    pub fn published_from(&self, at_ms: i64) -> Option<usize> {
        let start = self.at.partition_point(|at| *at < at_ms);
        (start..self.at.len()).find(|index| self.published[*index] > 0)
    }
}
