//! One measured item of a meter.
//!
//! Invariant of a register: its step is a whole number of ledger units, so every value it can show is one too.

use std::sync::Arc;

use super::decimal::{self, Decimal, DecimalError};
use super::entity::{EntityIndex, named};
use super::units::{Millis, Quantity};

/// Position of a channel's line in `meters.csv`, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u32);

/// Position in [`super::zone::Zone::meters`], in order of first appearance in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MeterIndex(pub u32);

/// Position in [`super::zone::Zone::gateways`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayIndex(pub u32);

named! {
    Carrier {
        Electricity = "electricity",
        NaturalGas = "natural_gas",
        Heat = "heat",
        Steam = "steam",
        Water = "water",
        Production = "production",
        Weather = "weather",
    }
}

named! {
    Direction {
        Import = "import",
        Export = "export",
        /// From nature: photovoltaics.
        Generation = "generation",
        /// Heat, steam or cold from energy that is metered elsewhere.
        Made = "made",
        /// An instantaneous value; no register, no energy.
        Gauge = "gauge",
    }
}

named! {
    Level {
        Entry = "entry",
        Unit = "unit",
        Equipment = "equipment",
    }
}

named! {
    /// What a [`Quantity`] counts.
    LedgerUnit {
        WattHour = "Wh",
        Kilojoule = "kJ",
        Litre = "litre",
        Gram = "gram",
        Piece = "piece",
    }
}

/// The ledger unit of a carrier's display unit, and how many of them it is; none for gauges.
#[must_use]
pub fn ledger_unit(carrier: Carrier, unit: &str) -> Option<(LedgerUnit, i64)> {
    match (carrier, unit) {
        (Carrier::Electricity, "kwh") => Some((LedgerUnit::WattHour, 1_000)),
        (Carrier::Electricity, "mwh") => Some((LedgerUnit::WattHour, 1_000_000)),
        (Carrier::NaturalGas | Carrier::Water, "m3") => Some((LedgerUnit::Litre, 1_000)),
        (Carrier::NaturalGas | Carrier::Water, "l") => Some((LedgerUnit::Litre, 1)),
        (Carrier::Heat, "gj") => Some((LedgerUnit::Kilojoule, 1_000_000)),
        (Carrier::Heat, "mj") => Some((LedgerUnit::Kilojoule, 1_000)),
        (Carrier::Heat, "kwh") => Some((LedgerUnit::Kilojoule, 3_600)),
        (Carrier::Steam | Carrier::Production, "t") => Some((LedgerUnit::Gram, 1_000_000)),
        (Carrier::Steam | Carrier::Production, "kg") => Some((LedgerUnit::Gram, 1_000)),
        (Carrier::Production, "pcs") => Some((LedgerUnit::Piece, 1)),
        _ => None,
    }
}

/// The display units a carrier's register may have.
#[must_use]
pub fn register_units(carrier: Carrier) -> &'static [&'static str] {
    match carrier {
        Carrier::Electricity => &["kwh", "mwh"],
        Carrier::NaturalGas | Carrier::Water => &["m3", "l"],
        Carrier::Heat => &["gj", "mj", "kwh"],
        Carrier::Steam => &["t", "kg"],
        Carrier::Production => &["t", "kg", "pcs"],
        Carrier::Weather => &[],
    }
}

#[derive(Clone, Debug)]
pub struct Channel {
    pub id: ChannelId,
    pub meter: MeterIndex,
    /// Shared by all channels of the same item.
    pub item: Arc<str>,
    pub entity: EntityIndex,
    pub parent: Option<MeterIndex>,
    pub level: Level,
    /// Counts into its entity's use.
    pub boundary: bool,
    pub carrier: Carrier,
    pub direction: Direction,
    pub valid_from: Millis,
    pub kind: ChannelKind,
}

impl Channel {
    #[must_use]
    pub fn register(&self) -> Option<&RegisterSpec> {
        match &self.kind {
            ChannelKind::Register(register) => Some(register),
            ChannelKind::Gauge | ChannelKind::Virtual { .. } => None,
        }
    }

    /// None for gauges.
    #[must_use]
    pub fn ledger_unit(&self) -> Option<LedgerUnit> {
        match &self.kind {
            ChannelKind::Register(register) => Some(register.ledger_unit),
            ChannelKind::Virtual { ledger_unit, .. } => Some(*ledger_unit),
            ChannelKind::Gauge => None,
        }
    }
}

#[derive(Clone, Debug)]
pub enum ChannelKind {
    Register(RegisterSpec),
    Gauge,
    /// A sum of other channels; nobody publishes it.
    Virtual {
        ledger_unit: LedgerUnit,
        terms: Box<[Term]>,
    },
}

/// One addend of a virtual meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    pub channel: ChannelId,
    /// 1 or −1.
    pub sign: i32,
}

/// Calls `each` with the registers that a channel is made of and how often each counts, `times` for the channel itself. Formulas are without cycles.
pub fn each_register(channels: &[Channel], channel: ChannelId, times: i32, each: &mut dyn FnMut(ChannelId, i32)) {
    match &channels[channel.0 as usize].kind {
        ChannelKind::Register(_) => each(channel, times),
        ChannelKind::Virtual { terms, .. } => {
            for term in terms {
                each_register(channels, term.channel, times * term.sign, each);
            }
        }
        ChannelKind::Gauge => {}
    }
}

/// A register's scale. All amounts in ledger units after the multiplier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterSpec {
    ledger_unit: LedgerUnit,
    per_display_mantissa: i64,
    per_display_decimals: u32,
    step: i64,
    full: i64,
    rating_per_h: i64,
}

/// What of a register's line breaks the invariant; named like the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterFault {
    Resolution,
    Multiplier,
    WidthDigits,
    Rating,
}

impl RegisterSpec {
    /// `resolution` and `rating` in the display's unit, `ledger_per_unit` as [`ledger_unit`] has it. The rating is after the multiplier.
    pub fn new(
        (ledger_unit, ledger_per_unit): (LedgerUnit, i64),
        resolution: Decimal,
        multiplier: Decimal,
        width_digits: u32,
        rating: Decimal,
    ) -> Result<Self, Vec<RegisterFault>> {
        let mut faults = Vec::new();
        let rating_per_h =
            positive(&mut faults, rating.times(Decimal::from(ledger_per_unit)).and_then(Decimal::whole), RegisterFault::Rating);
        let per_display = Decimal::from(ledger_per_unit).times(multiplier);
        let parts = per_display.and_then(Decimal::parts);
        let (Ok(per_display), Ok((per_display_mantissa @ 1.., per_display_decimals))) = (per_display, parts) else {
            // The other columns cannot be judged without it.
            faults.push(RegisterFault::Multiplier);
            return Err(faults);
        };
        let step = positive(&mut faults, resolution.times(per_display).and_then(Decimal::whole), RegisterFault::Resolution);
        let full = positive(
            &mut faults,
            per_display.times(Decimal::power_of_ten(width_digits)).and_then(Decimal::whole),
            RegisterFault::WidthDigits,
        );
        if faults.is_empty() && full <= step {
            faults.push(RegisterFault::WidthDigits);
        }
        if faults.is_empty() {
            Ok(Self { ledger_unit, per_display_mantissa, per_display_decimals, step, full, rating_per_h })
        } else {
            Err(faults)
        }
    }

    /// The register a display shows, from the text of a JSON number.
    /// A display cannot show 10^`width_digits` or more: such a value is too large.
    pub fn parse(&self, text: &str) -> Result<i64, DecimalError> {
        let register = decimal::parse_at(text, self.per_display_mantissa, self.per_display_decimals, self.step)?;
        if register < self.full { Ok(register) } else { Err(DecimalError::TooLarge) }
    }

    #[must_use]
    pub fn ledger_unit(&self) -> LedgerUnit {
        self.ledger_unit
    }

    /// Ledger units in one of the display's units, multiplier included, as mantissa × 10^−decimals.
    #[must_use]
    pub fn ledger_per_unit(&self) -> (i64, u32) {
        (self.per_display_mantissa, self.per_display_decimals)
    }

    /// The smallest difference of two registers.
    #[must_use]
    pub fn step(&self) -> i64 {
        self.step
    }

    /// Where the register rolls over to zero.
    #[must_use]
    pub fn full(&self) -> i64 {
        self.full
    }

    /// The largest possible flow per hour.
    #[must_use]
    pub fn rating_per_h(&self) -> Quantity {
        Quantity(self.rating_per_h)
    }
}

/// The amount, or its fault and a stand-in, so that the other columns are still judged.
fn positive(faults: &mut Vec<RegisterFault>, amount: Result<i64, DecimalError>, fault: RegisterFault) -> i64 {
    match amount {
        Ok(amount) if amount > 0 => amount,
        Ok(_) | Err(_) => {
            faults.push(fault);
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(
        unit: (Carrier, &str),
        resolution: &str,
        multiplier: &str,
        width: u32,
        rating: &str,
    ) -> Result<RegisterSpec, Vec<RegisterFault>> {
        let decimal = |text| Decimal::parse(text).unwrap();
        RegisterSpec::new(ledger_unit(unit.0, unit.1).unwrap(), decimal(resolution), decimal(multiplier), width, decimal(rating))
    }

    #[test]
    fn a_display_behind_transformers_is_read_in_watt_hours() {
        // CT 150/5 = 30, PT 10 kV / 100 V = 100.
        let register = register((Carrier::Electricity, "kwh"), "0.01", "3000", 6, "5000").unwrap();
        assert_eq!((register.step(), register.full(), register.rating_per_h()), (30_000, 3_000_000_000_000, Quantity(5_000_000)));
        assert_eq!(register.parse("12.34"), Ok(37_020_000));
        assert_eq!(register.parse("12.345"), Err(DecimalError::TooManyDigits));
        assert_eq!(register.parse("999999.99"), Ok(2_999_999_970_000));
        assert_eq!(register.parse("1000000"), Err(DecimalError::TooLarge));
    }

    #[test]
    fn a_fractional_multiplier_is_exact() {
        let register = register((Carrier::Heat, "gj"), "0.001", "1.025", 7, "12").unwrap();
        assert_eq!(register.parse("0.001"), Ok(1_025));
        assert_eq!(register.ledger_per_unit(), (1_025_000, 0));
        let coarse = self::register((Carrier::Electricity, "kwh"), "10", "0.0001", 6, "5").unwrap();
        assert_eq!(coarse.ledger_per_unit(), (1, 1));
        assert_eq!((coarse.step(), coarse.full(), coarse.parse("120")), (1, 100_000, Ok(12)));
    }

    #[test]
    fn a_scale_that_is_not_whole_names_its_columns() {
        use RegisterFault::{Multiplier, Rating, Resolution, WidthDigits};
        let kwh = (Carrier::Electricity, "kwh");
        let cases: [(&str, &str, u32, &str, &[RegisterFault]); 7] = [
            ("0.0001", "3", 6, "100", &[Resolution]),
            ("0", "1", 6, "100", &[Resolution]),
            ("0.01", "0", 6, "0", &[Rating, Multiplier]),
            ("0.01", "1", 18, "100", &[WidthDigits]),
            ("0.01", "1", 6, "0", &[Rating]),
            ("0.0001", "1", 6, "0.0005", &[Rating, Resolution]),
            ("10", "1", 1, "100", &[WidthDigits]),
        ];
        for (resolution, multiplier, width, rating, faults) in cases {
            assert_eq!(register(kwh, resolution, multiplier, width, rating), Err(faults.to_vec()), "{resolution} × {multiplier}");
        }
    }
}
