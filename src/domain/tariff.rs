//! What energy costs, when: dated tariffs with bands by local hour.
//!
//! Never reads a clock or a file. Invariants: prices are rounded once, half to even, to `µCNY`; bands change at whole multiples of
//! [`BAND_STEP_MINUTES`]; the spans of a day join without gap. What has no price says [`Band::Unpriced`], never a zero.

use jiff::civil::Date;

use super::calendar::LocalCalendar;
use super::channel::Carrier;
use super::entity::named;
use super::factors::Confidence;
use super::units::{MINUTE_MS, MicroCnyPerUnit, Millis};

/// Borders of bands lie at multiples of this: no interval is shorter.
pub const BAND_STEP_MINUTES: i64 = 5;
/// Minutes of a day.
pub const DAY_MINUTES: u16 = 1440;

named! {
    /// A part of the day with a price of its own.
    Band {
        Sharp = "sharp",
        Peak = "peak",
        Flat = "flat",
        Valley = "valley",
        DeepValley = "deep_valley",
        /// Not a band of any tariff: no price holds here.
        Unpriced = "unpriced",
    }
}

impl Band {
    /// Bands a tariff can price.
    pub const PRICED: [Band; 5] = [Band::Sharp, Band::Peak, Band::Flat, Band::Valley, Band::DeepValley];

    /// The number the store keeps.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Band::Sharp => 0,
            Band::Peak => 1,
            Band::Flat => 2,
            Band::Valley => 3,
            Band::DeepValley => 4,
            Band::Unpriced => 5,
        }
    }

    #[must_use]
    pub fn from_number(number: u8) -> Option<Band> {
        Band::ALL.iter().copied().find(|band| band.number() == number)
    }
}

/// From a local date up to, not including, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub from: Date,
    pub to: Option<Date>,
}

impl Validity {
    #[must_use]
    pub fn holds_on(&self, date: Date) -> bool {
        self.from <= date && self.to.is_none_or(|to| date < to)
    }

    #[must_use]
    pub fn overlaps(&self, other: &Validity) -> bool {
        self.to.is_none_or(|to| other.from < to) && other.to.is_none_or(|to| self.from < to)
    }
}

/// Where a price comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceSource {
    pub recorded: Box<str>,
    pub source: Box<str>,
    pub confidence: Confidence,
}

/// Minutes after local midnight, `from` up to, not including, `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    pub from: u16,
    pub to: u16,
}

impl Hours {
    #[must_use]
    pub fn contains(&self, minute: u16) -> bool {
        self.from <= minute && minute < self.to
    }
}

/// The bands of some months.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Season {
    /// 1 to 12.
    pub months: Vec<i8>,
    /// The first one that contains a minute wins; what is in none is flat.
    pub hours: Vec<(Band, Hours)>,
}

/// Electricity's prices of one period of validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectricityTariff {
    pub valid: Validity,
    /// Price of a kWh by [`Band::number`]: floating part × multiplier + fixed parts.
    pub price: [MicroCnyPerUnit; 5],
    /// The part of each price that the power factor does not adjust: government funds.
    pub funds: MicroCnyPerUnit,
    /// Millionths of a yuan for each kW of the month's demand.
    pub demand_ucny_per_kw_month: Option<i64>,
    /// None: flat all day.
    pub seasons: Vec<Season>,
    pub from: PriceSource,
}

impl ElectricityTariff {
    fn band(&self, month: i8, minute: u16) -> Band {
        let season = self.seasons.iter().find(|season| season.months.contains(&month));
        let found = season.and_then(|season| season.hours.iter().find(|(_, hours)| hours.contains(minute)));
        found.map_or(Band::Flat, |(band, _)| *band)
    }
}

/// A carrier's one price of one period of validity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlatPrice {
    pub carrier: Carrier,
    pub valid: Validity,
    pub price: MicroCnyPerUnit,
    pub from: PriceSource,
}

/// The prices of a zone; without any, all is unpriced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tariff {
    /// Empty where the zone names no tariff.
    pub id: Box<str>,
    pub electricity: Vec<ElectricityTariff>,
    pub prices: Vec<FlatPrice>,
}

/// What a bill adds to the prices of electricity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charges {
    /// The part of the price that the power factor does not adjust.
    pub funds: MicroCnyPerUnit,
    /// Millionths of a yuan for each kW of the month's demand; none where demand costs nothing.
    pub demand_ucny_per_kw_month: Option<i64>,
}

/// A band's price over a span of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceSpan {
    pub from: Millis,
    pub to: Millis,
    pub band: Band,
    /// None exactly where the band is [`Band::Unpriced`].
    pub price: Option<MicroCnyPerUnit>,
    pub charges: Charges,
    /// Names the entry of the tariff, such as `cn-sd-industry/electricity/2023-12-01`; empty where none holds.
    pub version: String,
}

impl Tariff {
    /// The spans of the local day that holds `at`, in order, without gap.
    #[must_use]
    pub fn day(&self, carrier: Carrier, at: Millis, calendar: &mut LocalCalendar) -> Vec<PriceSpan> {
        let day = calendar.day(at);
        let date = calendar.date(day.start);
        let version = |valid: &Validity| format!("{}/{}/{}", self.id, carrier.as_str(), valid.from);
        let whole = |band, price, version| PriceSpan { from: day.start, to: day.end, band, price, charges: Charges::default(), version };
        let unpriced = || vec![whole(Band::Unpriced, None, String::new())];
        if carrier != Carrier::Electricity {
            let Some(found) = self.prices.iter().find(|price| price.carrier == carrier && price.valid.holds_on(date)) else {
                return unpriced();
            };
            return vec![whole(Band::Flat, Some(found.price), version(&found.valid))];
        }
        let Some(tariff) = self.electricity_on(date) else { return unpriced() };
        // Step by step, because a day on which the clocks change has hours twice or not at all.
        let mut spans: Vec<PriceSpan> = Vec::new();
        let mut from = day.start;
        while from < day.end {
            let to = from.plus_ms(BAND_STEP_MINUTES * MINUTE_MS).min(day.end);
            let local_minute = (from.0 + calendar.offset_ms(from)).div_euclid(MINUTE_MS).rem_euclid(i64::from(DAY_MINUTES));
            let band = tariff.band(date.month(), local_minute as u16);
            match spans.last_mut() {
                Some(last) if last.band == band => last.to = to,
                Some(_) | None => {
                    let price = Some(tariff.price[usize::from(band.number())]);
                    let charges = Charges { funds: tariff.funds, demand_ucny_per_kw_month: tariff.demand_ucny_per_kw_month };
                    spans.push(PriceSpan { from, to, band, price, charges, version: version(&tariff.valid) });
                }
            }
            from = to;
        }
        spans
    }

    #[must_use]
    pub fn electricity_on(&self, date: Date) -> Option<&ElectricityTariff> {
        self.electricity.iter().find(|tariff| tariff.valid.holds_on(date))
    }
}

/// What the month's power factor changes of its bill, in hundredths of a percent; above 0 costs more. `factor` in hundredths, rounded as the bill rounds it.
///
/// Measures for adjusting electricity charges by power factor (Shui Dian Cai Zi 1983 No. 215), table for 0.90: 0.5 % for each hundredth below
/// down to 0.70, 1 % for each down to 0.65, 2 % for each below; 0.15 % off for each hundredth above up to 0.94, 0.75 % off from 0.95.
#[must_use]
pub fn power_factor_adjustment(factor_hundredths: i64) -> i64 {
    match factor_hundredths {
        95.. => -75,
        90..=94 => -15 * (factor_hundredths - 90),
        70..=89 => 50 * (90 - factor_hundredths),
        65..=69 => 1_000 + 100 * (70 - factor_hundredths),
        ..=64 => 1_500 + 200 * (65 - factor_hundredths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_power_factor_moves_the_bill_as_the_table_says() {
        // Shui Dian Cai Zi [1983] No. 215, table 1 (standard 0.90), in percent × 100.
        let table = [
            (100, -75),
            (95, -75),
            (94, -60),
            (93, -45),
            (92, -30),
            (91, -15),
            (90, 0),
            (89, 50),
            (85, 250),
            (80, 500),
            (75, 750),
            (70, 1_000),
            (69, 1_100),
            (65, 1_500),
            (64, 1_700),
            (60, 2_500),
        ];
        for (factor, wanted) in table {
            assert_eq!(power_factor_adjustment(factor), wanted, "0.{factor}");
        }
    }

    #[test]
    fn a_band_keeps_its_number() {
        for band in Band::ALL {
            assert_eq!(Band::from_number(band.number()), Some(*band));
        }
        assert_eq!(Band::from_number(6), None);
    }
}
