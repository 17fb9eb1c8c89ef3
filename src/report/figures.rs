//! Figures of one subject, and the sheet they stand on.
//!
//! Invariant: a figure has its unit in its name, and beside it the tiers of its factors and the measured share of what it is made of.

use rusqlite::{Connection, params};
use rustc_hash::FxHashMap;

use super::subject::{Carbon, Subject, Use};
use crate::accounting::Book;
use crate::domain::units::Millis;
use crate::show::ShowError;
use crate::store::read::{Cell, Table};

const UG_PER_T: f64 = 1e12;
const UG_PER_KG: f64 = 1e9;
/// The size from which the larger parks' limit holds, and the one below which the national rule sees no park.
const PARK_TCE_BIG: f64 = 1_000_000.0;
const PARK_TCE_LEAST: f64 = 200_000.0;

/// Thresholds on what a whole year adds up to. A part of a year may reach them, but never shows that they are not reached.
const SUMS_OF_A_YEAR: [&str; 3] = ["keu", "keu_designated", "ets"];

pub struct Figures {
    pub used: Use,
    pub carbon: Carbon,
    /// Part of the year that has data, 0 to 1.
    year_share: f64,
    /// Standard coal per kWh, µg per Wh, calorific and primary.
    coal_per_wh: (i128, i128),
    /// Zero-carbon-park rule: mg CO2 per kWh that is not green, and the factor's tier.
    park_fossil: Option<(i64, String)>,
    /// What the zone states of the year.
    declared: Vec<Stated>,
    /// Every day has data.
    is_whole: bool,
}

struct Stated {
    name: String,
    value_pct: f64,
    source: String,
}

impl Figures {
    /// `last`: a moment of the year whose factors stand for it.
    pub fn new(ledger: &Connection, used: Use, carbon: Carbon, (year, days, last): (i16, f64, Millis)) -> Result<Figures, ShowError> {
        use rusqlite::OptionalExtension;
        let sql = "SELECT coal_calorific_mg_per_unit, coal_primary_mg_per_unit FROM factor_row WHERE carrier = ?1 AND year = ?2";
        let electricity = Book::Electricity as u8;
        let coal =
            ledger.query_row(sql, params![electricity, year], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).optional()?;
        let sql = "SELECT mg_per_unit, tier FROM named_factor_row WHERE name = 'park_fossil' AND from_ts <= ?1 AND ?1 < to_ts AND recorded_to IS NULL";
        let park_fossil = ledger.query_row(sql, [last.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let coal_per_wh = coal.map_or((0, 0), |(calorific, primary)| (i128::from(calorific), i128::from(primary)));
        let mut statement = ledger.prepare_cached("SELECT indicator, value_pct, source, recorded FROM indicator_row WHERE year = ?1")?;
        let stated = statement.query_map([year], |row| {
            let source = format!("declared: {}, recorded {}", row.get::<_, String>(2)?, row.get::<_, String>(3)?);
            Ok(Stated { name: row.get(0)?, value_pct: row.get(1)?, source })
        })?;
        let declared = stated.collect::<Result<_, _>>()?;
        let is_whole = days <= used.days as f64;
        Ok(Figures { year_share: used.days as f64 / days, is_whole, used, carbon, coal_per_wh, park_fossil, declared })
    }

    /// Metered, and declared fuels, µg: what a fuel holds is the same on both bases.
    fn ce_calorific_ug(&self) -> i128 {
        self.used.ce_calorific_ug + self.carbon.declared_ce_ug
    }

    fn ce_primary_ug(&self) -> i128 {
        self.used.ce_primary_ug + self.carbon.declared_ce_ug
    }

    fn tce_calorific(&self) -> f64 {
        self.ce_calorific_ug() as f64 / UG_PER_T
    }

    fn tce_primary(&self) -> f64 {
        self.ce_primary_ug() as f64 / UG_PER_T
    }

    /// Own generation and green supplies.
    fn non_fossil_wh(&self) -> i128 {
        self.carbon.own_wh + self.carbon.green_wh
    }

    /// CO2 of fuels, processes, heat, and of electricity that is not green at the fossil factor, tonnes. None without that factor.
    fn park_rule_t(&self) -> Option<f64> {
        let (mg_per_kwh, _) = self.park_fossil.as_ref()?;
        Some((self.carbon.co2_without_electricity_ug + self.carbon.other_wh * i128::from(*mg_per_kwh)) as f64 / UG_PER_T)
    }

    fn scopes_1_and_2_t(&self) -> f64 {
        (self.carbon.scope1_ug + self.carbon.scope2_location_ug) as f64 / UG_PER_T
    }
}

/// A limit as the ledger keeps it.
struct Limit {
    at_least: bool,
    value: f64,
    version: String,
}

pub struct Sheet {
    pub table: Table,
    limits: FxHashMap<String, Limit>,
}

impl Sheet {
    pub fn new(ledger: &Connection) -> Result<Sheet, ShowError> {
        let mut statement = ledger.prepare("SELECT code, bound, value, version FROM target_row")?;
        let limits = statement.query_map([], |row| {
            let limit = Limit { at_least: row.get::<_, String>(1)? == "at_least", value: row.get(2)?, version: row.get(3)? };
            Ok((row.get(0)?, limit))
        })?;
        let columns =
            ["entity", "indicator", "value", "threshold", "bound", "gap", "met", "factor_tier", "measured_share", "days_with_data", "note"];
        Ok(Sheet { table: Table::new(&columns), limits: limits.collect::<Result<_, _>>()? })
    }

    /// What was used and given off.
    pub fn uses(&mut self, subject: &Subject, figures: &Figures) {
        for (book, name) in [
            (Book::Electricity, "electricity_kwh"),
            (Book::NaturalGas, "natural_gas_m3"),
            (Book::Heat, "heat_gj"),
            (Book::Steam, "steam_t"),
            (Book::Water, "water_m3"),
        ] {
            self.plain(subject, figures, name, Some(figures.used.of(book) as f64 / book.shown().per_unit));
        }
        for (name, wh) in
            [("own_generation_self_used_kwh", figures.carbon.own_wh), ("own_generation_exported_kwh", figures.used.exported_wh)]
        {
            self.plain(subject, figures, name, Some(wh as f64 / 1e3));
        }
        self.plain(subject, figures, "declared_fuels_tce", Some(figures.carbon.declared_ce_ug as f64 / UG_PER_T));
        self.plain(subject, figures, "tce_calorific", Some(figures.tce_calorific()));
        self.plain(subject, figures, "tce_primary", Some(figures.tce_primary()));
        let carbon = &figures.carbon;
        for (name, ug) in [
            ("scope_1_t_co2e", carbon.scope1_ug),
            ("scope_2_location_t_co2e", carbon.scope2_location_ug),
            ("scope_2_market_t_co2e", carbon.scope2_market_ug),
            ("scope_3_t_co2e", carbon.scope3_ug),
            ("sinks_t_co2e", carbon.sinks_ug),
        ] {
            self.plain(subject, figures, name, Some(ug as f64 / UG_PER_T));
        }
        self.plain(subject, figures, "days_with_data", Some(figures.used.days as f64));
    }

    /// Per floor area, output value, head and product, and shares of supply. Location-based, scopes 1 and 2.
    pub fn intensities(&mut self, subject: &Subject, figures: &Figures) {
        let kg = (figures.carbon.scope1_ug + figures.carbon.scope2_location_ug) as f64 / UG_PER_KG;
        let kwh = figures.used.of(Book::Electricity) as f64 / 1e3;
        let per = |value: f64, size: Option<f64>| size.filter(|size| *size > 0.0).map(|size| value / size);
        // A year's output, in the part of the year that has data.
        let output_10k_cny = subject.output_cny_per_year.map(|cny| cny / 1e4 * figures.year_share);
        let product_t = Some(figures.used.of(Book::ProductionMass) as f64 / 1e6);
        let product_pcs = Some(figures.used.of(Book::ProductionPieces) as f64);
        for (name, value) in [
            ("kg_co2e_per_m2", per(kg, subject.floor_area_m2)),
            ("kwh_per_m2", per(kwh, subject.floor_area_m2)),
            ("kg_co2e_per_head", per(kg, subject.head_count)),
            ("kg_co2e_per_10k_cny", per(kg, output_10k_cny)),
            ("tce_calorific_per_10k_cny", per(figures.tce_calorific(), output_10k_cny)),
            ("tce_primary_per_10k_cny", per(figures.tce_primary(), output_10k_cny)),
            ("kg_co2e_per_t_product", per(kg, product_t)),
            ("kg_co2e_per_piece_product", per(kg, product_pcs)),
        ] {
            if value.is_some() {
                self.plain(subject, figures, name, value);
            }
        }
        let electricity = figures.used.of(Book::Electricity) as f64;
        let share = |part: i128| per(100.0 * part as f64, Some(electricity));
        self.plain(subject, figures, "self_supply_share_of_electricity_pct", share(figures.carbon.own_wh));
        self.plain(subject, figures, "non_fossil_share_of_electricity_pct", share(figures.non_fossil_wh()));
    }

    /// The zero-carbon-park rule, which counts power that is not green as fossil power.
    pub fn park(&mut self, zone: &Subject, figures: &Figures) {
        let code = if figures.tce_calorific() >= PARK_TCE_BIG { "park_ci_big" } else { "park_ci_mid" };
        let small =
            if figures.tce_calorific() < PARK_TCE_LEAST { "; smaller than the parks the rule is made for (0.2 Mtce a year)" } else { "" };
        let note = format!("park rule: power that is not green at the fossil factor{small}");
        let t = figures.park_rule_t();
        let tier = figures.park_fossil.as_ref().map_or(String::new(), |(_, tier)| tier.clone());
        self.judged(zone, figures, ("park_rule_t_co2_per_tce_calorific", code), ratio(t, figures.tce_calorific()), (&tier, &note));
        self.judged(zone, figures, ("park_rule_t_co2_per_tce_primary", code), ratio(t, figures.tce_primary()), (&tier, &note));
        self.non_fossil(zone, figures, "park_clean");
        let direct = ratio(Some(100.0 * figures.carbon.own_wh as f64), figures.used.of(Book::Electricity) as f64);
        self.judged(zone, figures, ("direct_supply_share_of_electricity_pct", "park_direct"), direct, ("", "own generation"));
        for (name, code) in [
            ("industrial_solid_waste_use_pct", "park_solid"),
            ("waste_heat_use_pct", "park_wasteheat"),
            ("industrial_water_reuse_pct", "park_water"),
        ] {
            let declared = figures.declared.iter().find(|declared| declared.name == name);
            let note = declared.map_or_else(|| "not declared; indicators.csv takes it".to_owned(), |declared| declared.source.clone());
            let tier = declared.map_or("", |_| "declared");
            self.judged(zone, figures, (name, code), declared.map(|declared| declared.value_pct), (tier, &note));
        }
    }

    /// The rule of zero-carbon factories: to enter, and by 2030.
    pub fn factory(&mut self, subject: &Subject, figures: &Figures) {
        let t = Some((figures.carbon.scope1_ug + figures.carbon.scope2_market_ug) as f64 / UG_PER_T);
        for (code, note) in [("fact_ci_base", "to enter"), ("fact_ci_2030", "by 2030")] {
            let note = format!("{note}; market-based, scopes 1 and 2");
            let tiers = figures.carbon.tiers.join(" ");
            let (calorific, primary) = (ratio(t, figures.tce_calorific()), ratio(t, figures.tce_primary()));
            self.judged(subject, figures, ("t_co2e_market_per_tce_calorific", code), calorific, (&tiers, &note));
            self.judged(subject, figures, ("t_co2e_market_per_tce_primary", code), primary, (&tiers, &note));
        }
        self.non_fossil(subject, figures, "fact_nf_base");
        self.non_fossil(subject, figures, "fact_nf_2030");
    }

    fn non_fossil(&mut self, subject: &Subject, figures: &Figures, code: &str) {
        let (calorific, primary) = figures.coal_per_wh;
        let wh = figures.non_fossil_wh();
        let share = |per_wh: i128, whole: i128| ratio(Some(100.0 * (wh * per_wh) as f64), whole as f64);
        let note = ("", "own generation and green supplies; the electricity in bought heat is not counted");
        let calorific = share(calorific, figures.ce_calorific_ug());
        self.judged(subject, figures, ("non_fossil_share_of_tce_calorific_pct", code), calorific, note);
        let primary = share(primary, figures.ce_primary_ug());
        self.judged(subject, figures, ("non_fossil_share_of_tce_primary_pct", code), primary, note);
    }

    /// Thresholds of key units, on the rolling year, whose days `rolling` names. A designated unit's lower bound holds for those that the zone lists.
    pub fn key_unit(&mut self, subject: &Subject, figures: &Figures, rolling: &str) {
        let code = if subject.key_unit { "keu_designated" } else { "keu" };
        let days = figures.used.days;
        let judged = if figures.is_whole { "" } else { "; not judged unless met: days without data would add to it" };
        let told = format!("{rolling}, {days} days with data{judged}");
        let note = format!("key energy-using unit when met; {told}");
        self.judged(subject, figures, ("rolling_year_tce_calorific", code), Some(figures.tce_calorific()), ("", &note));
        self.judged(subject, figures, ("rolling_year_tce_primary", code), Some(figures.tce_primary()), ("", &note));
        let note = format!("reports to the carbon market when met; {told}");
        let tiers = figures.carbon.tiers.join(" ");
        let value = Some(figures.scopes_1_and_2_t());
        self.judged(subject, figures, ("rolling_year_scopes_1_and_2_location_t_co2e", "ets"), value, (&tiers, &note));
    }

    #[must_use]
    pub fn reaches_a_key_threshold(&self, subject: &Subject, figures: &Figures) -> bool {
        let limit = |code| self.limits.get(code).map_or(f64::INFINITY, |limit: &Limit| limit.value);
        let tce = limit(if subject.key_unit { "keu_designated" } else { "keu" });
        figures.tce_calorific() >= tce || figures.tce_primary() >= tce || figures.scopes_1_and_2_t() >= limit("ets")
    }

    fn plain(&mut self, subject: &Subject, figures: &Figures, name: &str, value: Option<f64>) {
        let tiers = if name.contains("co2") { figures.carbon.tiers.join(" ") } else { String::new() };
        self.row(subject, figures, (name, None), value, (&tiers, ""));
    }

    fn judged(&mut self, subject: &Subject, figures: &Figures, (name, code): (&str, &str), value: Option<f64>, told: (&str, &str)) {
        self.row(subject, figures, (name, Some(code)), value, told);
    }

    fn row(
        &mut self,
        subject: &Subject,
        figures: &Figures,
        (name, code): (&str, Option<&str>),
        value: Option<f64>,
        (tier, note): (&str, &str),
    ) {
        let limit = code.and_then(|code| self.limits.get(code));
        // How far is still to go: above 0 where the threshold is not kept.
        let gap = limit.zip(value).map(|(limit, value)| if limit.at_least { limit.value - value } else { value - limit.value });
        let mut note = note.to_owned();
        if let Some(limit) = limit {
            note = format!("{note}{}{}", if note.is_empty() { "" } else { "; " }, limit.version);
        }
        // What is declared is not measured.
        let gross = figures.used.gross_energy_ug + figures.carbon.declared_ce_ug.abs();
        let measured = figures.used.measured_energy_ug as f64 / gross as f64;
        self.table.rows.push(vec![
            subject.id.clone().into(),
            name.into(),
            value.into(),
            limit.map(|limit| limit.value).into(),
            limit.map_or(Cell::Null, |limit| if limit.at_least { "at_least" } else { "at_most" }.into()),
            gap.into(),
            gap.map_or(Cell::Null, |gap| match () {
                () if gap <= 0.0 => "yes".into(),
                // What days without data would add is not known.
                () if !figures.is_whole && code.is_some_and(|code| SUMS_OF_A_YEAR.contains(&code)) => Cell::Null,
                () => "no".into(),
            }),
            tier.into(),
            if measured.is_finite() { Cell::Real(measured) } else { Cell::Null },
            Cell::Integer(figures.used.days.cast_signed() as i64),
            note.into(),
        ]);
    }
}

fn ratio(value: Option<f64>, by: f64) -> Option<f64> {
    value.filter(|_| by > 0.0).map(|value| value / by)
}
