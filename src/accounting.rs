//! Carbon and standard coal of quantities.
//!
//! Pure. Invariant: every product is exact, so that the sum over parts equals the product of the sum.

pub mod apportion;
pub mod demand;
pub mod market;

use crate::domain::calendar::LocalCalendar;
use crate::domain::channel::{Carrier, Channel, LedgerUnit};
use crate::domain::factors::{Applied, CoalBasis, FactorSet, MissingFactor};
use crate::domain::units::{MgCePerUnit, MgPerUnit, MicrogramsCe, MicrogramsCo2e, Millis, Quantity};
use crate::domain::zone::{Profile, Zone};

/// A column of the books: a carrier in one ledger unit. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Book {
    Electricity = 0,
    NaturalGas = 1,
    Heat = 2,
    Steam = 3,
    Water = 4,
    ProductionMass = 5,
    ProductionPieces = 6,
}

/// How a book's figures are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown {
    pub unit: &'static str,
    /// Ledger units in one `unit`.
    pub per_unit: f64,
    /// kWh in one `unit`, where it is energy by itself.
    pub kwh_per_unit: Option<f64>,
}

impl Book {
    pub const ALL: [Book; 7] =
        [Book::Electricity, Book::NaturalGas, Book::Heat, Book::Steam, Book::Water, Book::ProductionMass, Book::ProductionPieces];

    /// The book of a channel; none for weather.
    #[must_use]
    pub fn of(carrier: Carrier, unit: LedgerUnit) -> Option<Book> {
        match carrier {
            Carrier::Electricity => Some(Book::Electricity),
            Carrier::NaturalGas => Some(Book::NaturalGas),
            Carrier::Heat => Some(Book::Heat),
            Carrier::Steam => Some(Book::Steam),
            Carrier::Water => Some(Book::Water),
            Carrier::Production if unit == LedgerUnit::Piece => Some(Book::ProductionPieces),
            Carrier::Production => Some(Book::ProductionMass),
            Carrier::Weather => None,
        }
    }

    #[must_use]
    pub fn carrier(self) -> Carrier {
        match self {
            Book::Electricity => Carrier::Electricity,
            Book::NaturalGas => Carrier::NaturalGas,
            Book::Heat => Carrier::Heat,
            Book::Steam => Carrier::Steam,
            Book::Water => Carrier::Water,
            Book::ProductionMass | Book::ProductionPieces => Carrier::Production,
        }
    }

    /// Whether the book holds energy or an energy-carrying medium, so that it has a sum over the zone.
    #[must_use]
    pub fn is_energy(self) -> bool {
        self.carrier() != Carrier::Production
    }

    #[must_use]
    pub fn shown(self) -> Shown {
        let (unit, per_unit, kwh_per_unit) = match self {
            Book::Electricity => ("kWh", 1e3, Some(1.0)),
            Book::NaturalGas | Book::Water => ("m3", 1e3, None),
            Book::Heat => ("GJ", 1e6, Some(1000.0 / 3.6)),
            Book::Steam | Book::ProductionMass => ("t", 1e6, None),
            Book::ProductionPieces => ("pcs", 1.0, None),
        };
        Shown { unit, per_unit, kwh_per_unit }
    }
}

/// The factors of one book in one year. `None` where the carrier has none by its nature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YearFactors {
    pub carbon: Option<MgPerUnit>,
    pub coal_calorific: Option<MgCePerUnit>,
    pub coal_primary: Option<MgCePerUnit>,
    /// Tier and version of the carbon factor.
    pub tier: String,
    pub version: String,
}

impl YearFactors {
    /// Looks for a factor for everything that a zone measures, in the year in which its live readings start: better at the start than with the first
    /// reading that needs it.
    pub fn find_every(set: &FactorSet, zone: &Zone) -> Result<(), MissingFactor> {
        let profile = zone.profile();
        let year = LocalCalendar::new(profile.time_zone.clone()).date(profile.live_from.unwrap_or(Millis(0))).year();
        let book = |channel: &Channel| channel.ledger_unit().and_then(|unit| Book::of(channel.carrier, unit));
        let mut books: Vec<Book> = zone.channels().iter().filter_map(book).collect();
        books.sort_unstable();
        books.dedup();
        books.into_iter().try_for_each(|book| YearFactors::find(set, profile, book, year).map(|_found| ()))
    }

    /// Looks up what holds for `book` in `year`.
    pub fn find(set: &FactorSet, profile: &Profile, book: Book, year: i16) -> Result<YearFactors, MissingFactor> {
        let carrier = book.carrier();
        let coal = |basis| match set.coal(profile, carrier, basis, year)? {
            Applied::Factor(found) => Ok(Some(found.factor)),
            Applied::NotApplicable => Ok(None),
        };
        let (carbon, tier, version) = match set.carbon(profile, carrier, year)? {
            Applied::Factor(found) => (Some(found.factor), found.tier.as_str().to_owned(), found.version.to_owned()),
            Applied::NotApplicable => (None, "not_applicable".to_owned(), String::new()),
        };
        let (coal_calorific, coal_primary) = (coal(CoalBasis::Calorific)?, coal(CoalBasis::Primary)?);
        Ok(YearFactors { carbon, coal_calorific, coal_primary, tier, version })
    }
}

/// What a quantity stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Assessed {
    pub co2e: MicrogramsCo2e,
    pub ce_calorific: MicrogramsCe,
    pub ce_primary: MicrogramsCe,
}

/// `quantity` is what was used; `bought` the part of it that carries the factor's carbon (own generation from nature carries none).
#[must_use]
pub fn assess(factors: &YearFactors, quantity: Quantity, bought: Quantity) -> Assessed {
    Assessed {
        co2e: factors.carbon.map_or(MicrogramsCo2e(0), |factor| bought * factor),
        ce_calorific: factors.coal_calorific.map_or(MicrogramsCe(0), |factor| quantity * factor),
        ce_primary: factors.coal_primary.map_or(MicrogramsCe(0), |factor| quantity * factor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_sun_is_energy_without_carbon() {
        // Shandong 2023: 0.6191 kg/kWh (MEE/NBS announcement 2025 No. 47); 0.1229 kgce/kWh (GB/T 2589-2020).
        let factors = YearFactors {
            carbon: Some(MgPerUnit(619_100)),
            coal_calorific: Some(MgCePerUnit(122_900)),
            coal_primary: None,
            tier: "region_latest".to_owned(),
            version: String::new(),
        };
        let assessed = assess(&factors, Quantity(3_000), Quantity(2_000));
        assert_eq!(assessed.co2e, MicrogramsCo2e(1_238_200_000), "2 kWh bought: 1.2382 kg");
        assert_eq!(assessed.ce_calorific, MicrogramsCe(368_700_000), "3 kWh used: 0.3687 kgce");
        assert_eq!(assessed.ce_primary, MicrogramsCe(0));
    }
}
