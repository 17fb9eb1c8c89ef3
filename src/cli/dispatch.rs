//! `nengtan dispatch`: a year of what can be moved under three strategies, and the bill that no strategy undercuts; the work is in [`crate::trial::dispatch`].

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::{self, Format};
use super::{CliError, start_log};
use crate::dispatch::site::CARBON_CNY_PER_T;
use crate::store::read::{Cell, Table};
use crate::trial::dispatch::outcome::Outcome;
use crate::trial::dispatch::{self, Compared, Options};

const KG_PER_T: f64 = 1000.0;

#[derive(clap::Args)]
pub struct Arguments {
    /// The zone's folder.
    #[arg(long, value_name = "DIR", default_value = "config/zones/qingdao-hightech")]
    zone: PathBuf,
    /// The same seed plays the same time.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Months that are played; they end where the zone's live part begins.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=12))]
    months: u32,
    /// What a tonne of CO2 costs in a plan by the synthetic hourly shape, CNY.
    #[arg(long, value_name = "CNY", default_value_t = CARBON_CNY_PER_T)]
    carbon_price: f64,
    /// Batteries lose what pays; otherwise no more than heat pumps spare, so that carbon by the annual factor does not rise.
    #[arg(long)]
    carbon_may_rise: bool,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

const COLUMNS: [&str; 24] = [
    "strategy",
    "seed",
    "months",
    "bill_cny",
    "energy_cny",
    "demand_cny",
    "gas_cny",
    "bill_vs_greedy_pct",
    "bought_kwh",
    "annual_factor_t_co2",
    "synthetic_hourly_t_co2",
    "annual_vs_greedy_pct",
    "synthetic_vs_greedy_pct",
    "highest_peak_kw",
    "mean_peak_kw",
    "months_above_greedys_peak",
    "most_above_greedys_peak_kw",
    "storage_loss_kwh",
    "undelivered_kwh",
    "waiting_kwh",
    "plans",
    "plans_late",
    "plans_failed",
    "plans_cpu_s",
];

pub fn execute(arguments: &Arguments) -> Result<(), CliError> {
    start_log("warn", false);
    if !arguments.carbon_price.is_finite() || arguments.carbon_price < 0.0 {
        return Err(CliError::Usage(format!("--carbon-price is {}, wanted 0 or more", arguments.carbon_price)));
    }
    let options = Options {
        zone: &arguments.zone,
        seed: arguments.seed,
        months: arguments.months,
        carbon_cny_per_kg: arguments.carbon_price / KG_PER_T,
        spares_what_it_loses: !arguments.carbon_may_rise,
    };
    let style = ProgressStyle::with_template("dispatch {bar:40} {pos}/{len} hours, {eta} left");
    let bar = ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let played = dispatch::run(&options, |played, hours| {
        bar.set_length(hours);
        bar.set_position(played);
    });
    bar.finish_and_clear();
    let table = compared(arguments, &played?);
    let table = if arguments.output == Format::Table { output::turned(&table) } else { table };
    Ok(output::print(&table, arguments.output)?)
}

/// One row for each strategy, the first one being what the others are compared with, and one for the bound.
fn compared(arguments: &Arguments, Compared { outcomes, bound_cny, bound_cpu }: &Compared) -> Table {
    let mut table = Table::new(&COLUMNS);
    let Some((_, greedy)) = outcomes.first() else { return table };
    for (strategy, outcome) in outcomes {
        let against = |value: fn(&Outcome) -> f64| Cell::Real(100.0 * (value(outcome) / value(greedy) - 1.0));
        let peaks = &outcome.peaks_kw;
        let above: Vec<f64> = peaks.iter().zip(&greedy.peaks_kw).map(|(peak, greedy)| peak - greedy).filter(|above| 0.0 < *above).collect();
        table.rows.push(vec![
            strategy.as_str().into(),
            Cell::Integer(arguments.seed.cast_signed()),
            Cell::Integer(arguments.months.into()),
            Cell::Real(outcome.bill_cny()),
            Cell::Real(outcome.energy_cny),
            Cell::Real(outcome.demand_cny),
            Cell::Real(outcome.gas_cny),
            against(Outcome::bill_cny),
            Cell::Real(outcome.bought_kwh),
            Cell::Real(outcome.annual_kg / KG_PER_T),
            Cell::Real(outcome.shape_kg / KG_PER_T),
            against(|outcome| outcome.annual_kg),
            against(|outcome| outcome.shape_kg),
            Cell::Real(peaks.iter().copied().fold(0.0, f64::max)),
            Cell::Real(peaks.iter().sum::<f64>() / peaks.len().max(1) as f64),
            Cell::Integer(i64::try_from(above.len()).unwrap_or(i64::MAX)),
            Cell::Real(above.into_iter().fold(0.0, f64::max)),
            Cell::Real(outcome.storage_loss_kwh),
            Cell::Real(outcome.undelivered_kwh),
            Cell::Real(outcome.waiting_kwh),
            Cell::Integer(outcome.plans.into()),
            Cell::Integer(outcome.late.into()),
            Cell::Integer(outcome.failed.into()),
            Cell::Real(outcome.cpu.as_secs_f64()),
        ]);
    }
    // Of the bound only the bill is known.
    let of_bound = |column: &'static str| match column {
        "strategy" => "bound".into(),
        "seed" => Cell::Integer(arguments.seed.cast_signed()),
        "months" => Cell::Integer(arguments.months.into()),
        "bill_cny" => Cell::Real(*bound_cny),
        "bill_vs_greedy_pct" => Cell::Real(100.0 * (bound_cny / greedy.bill_cny() - 1.0)),
        "plans_cpu_s" => Cell::Real(bound_cpu.as_secs_f64()),
        _ => Cell::Null,
    };
    table.rows.push(COLUMNS.map(of_bound).to_vec());
    table
}
