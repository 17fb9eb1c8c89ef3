//! The owed and physical energy of one channel over a whole run.

use super::Swap;
use super::scan::{Bounded, Limits, Point, Scan};
use crate::log::MeterLog;
use crate::zone::Channel;

/// Device time between two good bounds; `owed` in ledger units, `physical` in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from_ms: i64,
    pub to_ms: i64,
    pub owed: i64,
    pub physical: i64,
}

impl Limits {
    #[must_use]
    pub fn of(channel: &Channel) -> Limits {
        Limits { step: channel.step, full: channel.full, rating_per_h: channel.rating_per_h }
    }
}

/// Scans what was published of the register at `slot` of a meter.
#[must_use]
pub fn spans(channel: &Channel, slot: usize, log: &MeterLog, swaps: &[Swap]) -> Vec<Span> {
    let mut scan = Scan::new(Limits::of(channel));
    let mut bounded = Vec::new();
    let mut swaps = swaps.iter().peekable();
    let register = &log.registers[slot];
    for (index, &at_ms) in log.at.iter().enumerate().filter(|(index, _)| log.published[*index] > 0) {
        while let Some(swap) = swaps.next_if(|swap| swap.at_ms <= at_ms) {
            declare(&mut scan, slot, swap, &mut bounded);
        }
        scan.read(Point { at_ms, register: register.shown[index], total: register.total[index] }, &mut bounded);
    }
    for swap in swaps {
        declare(&mut scan, slot, swap, &mut bounded);
    }
    bounded.iter().map(span).collect()
}

fn declare(scan: &mut Scan, slot: usize, swap: &Swap, bounded: &mut Vec<Bounded>) {
    let point = |register| Point { at_ms: swap.at_ms, register, total: swap.totals[slot] };
    scan.swap(point(swap.closing[slot]), point(swap.opening[slot]), bounded);
}

fn span(Bounded { from, to, owed }: &Bounded) -> Span {
    Span { from_ms: from.at_ms, to_ms: to.at_ms, owed: *owed, physical: to.total - from.total }
}
