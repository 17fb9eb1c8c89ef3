//! What `nengtan trial --regulation on` prints: truth and claim side by side, then what gave it, then whether the promise holds.

use std::process::ExitCode;

use crate::store::read::{Cell, Table};
use crate::trial::Trial;
use crate::trial::judge;
use crate::trial::promise::{Outcome, Sum};

const COLUMNS: [&str; 9] = ["figure", "unit", "without", "with", "saved", "saved_pct", "claimed", "half_width", "covered"];

/// A figure of one carrier.
type Value = fn(&Sum) -> f64;
/// What is claimed, and half the width of its interval.
type Claim = Option<(f64, Option<f64>)>;

/// A figure of both runs, and what is claimed of the difference with its half width.
fn row(figure: &str, unit: &str, (without, with): (f64, f64), claimed: Claim) -> Vec<Cell> {
    let saved = without - with;
    let half_width = claimed.and_then(|(_, half_width)| half_width);
    let covered = claimed.zip(half_width).map_or(Cell::Null, |((claimed, _), half)| Cell::Boolean((claimed - saved).abs() <= half));
    vec![
        figure.into(),
        unit.into(),
        Cell::Real(without),
        Cell::Real(with),
        Cell::Real(saved),
        if without == 0.0 { Cell::Null } else { Cell::Real(100.0 * saved / without.abs()) },
        claimed.map(|(claimed, _)| claimed).into(),
        half_width.into(),
        covered,
    ]
}

/// What is claimed of the cost, at the prices of the hours, for what was not used: the sun has no part in it, and no interval is made of it.
fn row_of_cost(cny: f64, all_judged: bool) -> Vec<Cell> {
    let claimed = if all_judged { Cell::Real(cny) } else { Cell::Null };
    vec!["cost_claimed".into(), "CNY".into(), Cell::Null, Cell::Null, Cell::Null, Cell::Null, claimed, Cell::Null, Cell::Null]
}

/// Without, with, saved, and the claim where there is one; then the parts, as shares of all energy without. A few entities' claims are none of the zone.
pub fn table(tried: &Trial, regulated: &Outcome, (zone_id, all_judged): (&str, bool)) -> Table {
    let mut table = Table::new(&COLUMNS);
    let zone = judge::zone(&tried.judged, zone_id);
    table.rows.push(row("energy_judged", "kWh", (zone.without_kwh, zone.metered_kwh), Some((zone.claimed_kwh, Some(zone.half_width_kwh)))));
    let [calorific, primary, carbon] = tried.claimed.half_widths;
    let claims = &tried.claimed;
    let figures: [(&str, &str, Value, Claim); 4] = [
        ("energy_calorific", "tce", |sum| sum.tce_calorific, Some((claims.tce_calorific, Some(calorific)))),
        ("energy_primary", "tce", |sum| sum.tce_primary, Some((claims.tce_primary, Some(primary)))),
        // A claim has no part of what the sun gave, so these two are held against no claim; emissions without it are, below.
        ("carbon_location", "kg", |sum| sum.kg_co2e, None),
        ("cost_energy", "CNY", |sum| sum.cny, None),
    ];
    let (without, with) = (&regulated.without, &regulated.with);
    for (figure, unit, value, claimed) in figures {
        table.rows.push(row(figure, unit, (without.sum(value), with.sum(value)), claimed.filter(|_| all_judged)));
    }
    let claimed = Some((claims.kg_co2e, Some(carbon))).filter(|_| all_judged);
    table.rows.push(row("carbon_without_photovoltaics", "kg", regulated.without_sun_kg(), claimed));
    table.rows.push(row_of_cost(claims.cny, all_judged));
    for carrier in without.sums.keys() {
        let quantity = |sums: &std::collections::BTreeMap<String, Sum>| sums.get(carrier).map_or(0.0, |sum| sum.quantity);
        let unit = if carrier == "electricity" { "kWh" } else { "m3 or GJ" };
        table.rows.push(row(carrier, unit, (quantity(&without.sums), quantity(&with.sums)), None));
    }
    for ((year, month), kw) in &without.peaks_kw {
        let with_kw = with.peaks_kw.get(&(*year, *month)).copied().unwrap_or(0.0);
        table.rows.push(row(&format!("peak_{year}-{month:02}"), "kW", (*kw, with_kw), None));
    }
    table.rows.push(row("out_of_comfort", "K h", (without.comfort_kh, with.comfort_kh), None));
    table.rows.push(row("vehicles_left_without", "kWh", regulated.undelivered_kwh(), None));
    let apart = |figure: &str, unit: &str, value: f64, share: Option<f64>| {
        let share = share.map_or(Cell::Null, |share| Cell::Real(100.0 * share));
        vec![figure.into(), unit.into(), Cell::Null, Cell::Null, Cell::Real(value), share, Cell::Null, Cell::Null, Cell::Null]
    };
    let used = without.sum(|sum| sum.tce_calorific).max(f64::MIN_POSITIVE);
    table.rows.push(apart("control", "tce", regulated.control_tce(), Some(regulated.control_tce() / used)));
    for (part, tce) in &regulated.parts {
        table.rows.push(apart(&format!("part_{part}"), "tce", *tce, Some(tce / used)));
    }
    table.rows.push(apart("own_photovoltaics", "kWh", regulated.generated_kwh, None));
    table.rows.push(apart("goods_lost_at_most", "share", regulated.goods_lost.0, Some(regulated.goods_lost.0)));
    for (figure, count) in [
        ("commands_sent", tried.commands.sent),
        ("commands_refused", tried.commands.refused),
        ("commands_unanswered", tried.commands.unanswered),
    ] {
        table.rows.push(apart(figure, "", count as f64, None));
    }
    table
}

/// Says which parts of the promise the true figures miss; 3 if there is one.
pub fn judged(regulated: &Outcome) -> ExitCode {
    let missed = regulated.promise().into_iter().filter(|(.., holds)| !holds);
    let mut code = ExitCode::SUCCESS;
    for (asked, seen, wanted, _) in missed {
        eprintln!("nengtan: the promise is missed: {asked}: {seen:.4}, wanted {wanted:.4}");
        code = ExitCode::from(3);
    }
    code
}
