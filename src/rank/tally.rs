//! What each subject used in a period, in ledger units until a figure is made.

use rusqlite::{Connection, params};

use super::{RankError, bounds, index_of};
use crate::accounting::Book;
use crate::domain::calendar::Span;
use crate::domain::tariff::Band;
use crate::report::subject::Subject;

const UG_PER_T: f64 = 1e12;

#[derive(Clone, Debug, Default)]
pub struct Tally {
    ce_calorific_ug: i128,
    ce_primary_ug: i128,
    co2e_ug: i128,
    /// Standard coal of what was metered, whatever its sign, and the measured part of it.
    gross_ug: i128,
    measured_ug: i128,
    cost_ncny: i128,
    is_priced: bool,
    /// Electricity that has a band, and what of it fell into the peak and sharp ones, Wh.
    banded_wh: i128,
    peak_wh: i128,
    pub days: usize,
}

impl Tally {
    pub fn tce_calorific(&self) -> f64 {
        self.ce_calorific_ug as f64 / UG_PER_T
    }

    pub fn tce_primary(&self) -> f64 {
        self.ce_primary_ug as f64 / UG_PER_T
    }

    pub fn t_co2e(&self) -> f64 {
        self.co2e_ug as f64 / UG_PER_T
    }

    /// None where no price holds.
    pub fn cny(&self) -> Option<f64> {
        self.is_priced.then_some(self.cost_ncny as f64 / 1e9)
    }

    /// Peak and sharp bands' part of the electricity that has a price.
    pub fn peak_share(&self) -> Option<f64> {
        (self.banded_wh > 0).then(|| self.peak_wh as f64 / self.banded_wh as f64)
    }

    pub fn measured_share(&self) -> Option<f64> {
        (self.gross_ug > 0).then(|| self.measured_ug as f64 / self.gross_ug as f64)
    }
}

/// Uses in a period of whole local days.
pub fn tallies(ledger: &Connection, found: &[(String, Subject)], period: Span) -> Result<Vec<Tally>, RankError> {
    let index = index_of(found);
    let mut tallies = vec![Tally::default(); found.len()];
    let mut days = vec![rustc_hash::FxHashSet::default(); found.len()];
    let [from, to] = bounds(period);
    let sql = "SELECT ts, entity, gross, assumed + estimated, co2e_ug, ce_calorific_ug, ce_primary_ug FROM rollup_row WHERE level = 2 AND ts >= ?1 AND ts < ?2";
    let mut statement = ledger.prepare(sql)?;
    let mut rows = statement.query(params![from, to])?;
    while let Some(row) = rows.next()? {
        let Some(subject) = index.get(&row.get(1)?) else { continue };
        let amount = |column: usize| row.get::<_, i64>(column).map(i128::from);
        let (gross, calorific) = (amount(2)?, amount(5)?);
        let tally = &mut tallies[*subject];
        days[*subject].insert(row.get::<_, i64>(0)?);
        tally.co2e_ug += amount(4)?;
        tally.ce_calorific_ug += calorific;
        tally.ce_primary_ug += amount(6)?;
        // Shares of different carriers weigh by their standard coal.
        tally.gross_ug += calorific.abs();
        tally.measured_ug += if gross == 0 { calorific.abs() } else { calorific.abs() * (gross - amount(3)?) / gross };
    }
    let sql = "SELECT entity, carrier, band, bought, cost_ncny FROM cost_row WHERE ts >= ?1 AND ts < ?2";
    let mut statement = ledger.prepare(sql)?;
    let mut rows = statement.query(params![from, to])?;
    while let Some(row) = rows.next()? {
        let Some(subject) = index.get(&row.get(0)?) else { continue };
        let Some(band) = Band::from_number(row.get(2)?).filter(|band| *band != Band::Unpriced) else { continue };
        let tally = &mut tallies[*subject];
        tally.is_priced = true;
        tally.cost_ncny += i128::from(row.get::<_, i64>(4)?);
        if row.get::<_, u8>(1)? == Book::Electricity as u8 {
            let wh = i128::from(row.get::<_, i64>(3)?);
            tally.banded_wh += wh;
            tally.peak_wh += if matches!(band, Band::Sharp | Band::Peak) { wh } else { 0 };
        }
    }
    for (tally, days) in tallies.iter_mut().zip(days) {
        tally.days = days.len();
    }
    Ok(tallies)
}

/// Which thresholds of key units the rolling year reaches (see `report park` for value, threshold and gap).
pub fn classes(ledger: &Connection, rolling: &[Tally], found: &[(String, Subject)]) -> Result<Vec<&'static str>, RankError> {
    let mut statement = ledger.prepare("SELECT code, value FROM target_row WHERE code IN ('keu', 'keu_designated', 'ets')")?;
    let limits: rustc_hash::FxHashMap<String, f64> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let limit = |code: &str| limits.get(code).copied().unwrap_or(f64::INFINITY);
    let class = |(tally, (_, subject)): (&Tally, &(String, Subject))| {
        let tce = tally.tce_calorific().max(tally.tce_primary());
        match (tally.t_co2e() >= limit("ets"), tce >= limit("keu"), subject.key_unit && tce >= limit("keu_designated")) {
            (true, ..) => "carbon_market",
            (false, true, _) => "key_unit",
            (false, false, true) => "designated_key_unit",
            (false, false, false) => "none",
        }
    };
    Ok(rolling.iter().zip(found).map(class).collect())
}
