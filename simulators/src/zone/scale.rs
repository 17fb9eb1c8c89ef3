//! A register's unit, resolution, full scale and rating in ledger units.

use super::decimal::Decimal;
use super::fault::Faults;
use super::meters::Row;
use super::{Carrier, Direction};

const WIDTH_DIGITS_MAX: u32 = 12;

/// Ledger units (Wh, litre, kJ, gram, piece) in one of the line's units.
pub(super) fn ledger_per_unit(row: &Row, carrier: Option<Carrier>, faults: &mut Faults) -> Option<i64> {
    let units: &[(&str, i64)] = match carrier? {
        Carrier::Electricity => &[("kwh", 1000), ("mwh", 1_000_000)],
        Carrier::NaturalGas | Carrier::Water => &[("m3", 1000), ("l", 1)],
        Carrier::Heat => &[("gj", 1_000_000), ("mj", 1000), ("kwh", 3600)],
        Carrier::Steam => &[("t", 1_000_000), ("kg", 1000)],
        Carrier::Production => &[("t", 1_000_000), ("kg", 1000), ("pcs", 1)],
        Carrier::Weather => return Some(1),
    };
    row.choice("unit", units, faults)
}

pub(super) struct Scale {
    pub step: i64,
    pub multiplier: f64,
    pub decimals: u32,
    pub full: i64,
    pub rating_per_h: i64,
}

const NO_REGISTER: Scale = Scale { step: 0, multiplier: 1.0, decimals: 3, full: 0, rating_per_h: 0 };

pub(super) fn scale(
    row: &Row,
    direction: Option<Direction>,
    is_virtual: bool,
    ledger_per_unit: Option<i64>,
    faults: &mut Faults,
) -> Option<Scale> {
    if is_virtual || direction == Some(Direction::Gauge) {
        let empty: &[&str] = if is_virtual { &["resolution", "width_digits", "rating"] } else { &["resolution"] };
        for column in empty.iter().filter(|column| !row.get(column).is_empty()) {
            row.refuse(column, "nothing for a gauge or a virtual meter", faults);
        }
        return Some(NO_REGISTER);
    }
    let resolution = row.positive("resolution", faults);
    let multiplier = if row.get("multiplier").is_empty() { Some(Decimal::ONE) } else { row.positive("multiplier", faults) };
    let width = row.get("width_digits").parse().ok().filter(|digits| (1..=WIDTH_DIGITS_MAX).contains(digits));
    if width.is_none() {
        row.refuse("width_digits", "a whole number from 1 to 12", faults);
    }
    let rating = row.positive("rating", faults);
    let (resolution, multiplier, width, rating, ledger_per_unit) = (resolution?, multiplier?, width?, rating?, ledger_per_unit?);
    let Some(step) = resolution.times_whole(multiplier, ledger_per_unit) else {
        row.refuse("resolution", "resolution × multiplier in whole ledger units (Wh, kJ, litre, gram, piece)", faults);
        return None;
    };
    let full_scale = Decimal { mantissa: 10_i128.pow(width), scale: 0 };
    let Some(full) = full_scale.times_whole(multiplier, ledger_per_unit).filter(|full| full % step == 0) else {
        row.refuse("width_digits", "a full scale in whole steps that fits 63 bits", faults);
        return None;
    };
    let rating_per_h = (rating.to_f64() * ledger_per_unit as f64).round() as i64;
    Some(Scale { step, multiplier: multiplier.to_f64(), decimals: resolution.scale, full, rating_per_h })
}
