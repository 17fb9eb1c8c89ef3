//! `nengtan savings`.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::output::{self, Format};
use super::{CliError, adjust, change, claims};
use crate::domain::calendar::Span;
use crate::domain::units::Millis;
use crate::savings::case::{Case, Periods, Texts};
use crate::savings::evaluation::{self, Evaluation, Fitted, ReportedHour};
use crate::savings::events::{Kind, Shift};
use crate::savings::plot;
use crate::store::read::{Cell, Table};

const COLUMNS: [&str; 17] = [
    "savings_kwh",
    "savings_pct",
    "low_kwh",
    "high_kwh",
    "counterfactual_kwh",
    "metered_kwh",
    "cv_rmse",
    "nmbe",
    "provisional",
    "fit_ms",
    "refused",
    "events",
    "baseline_hours",
    "unmetered_hours",
    "unexplained_hours",
    "cross_validated_cv_rmse",
    "cross_validated_nmbe",
];

/// Share of the reporting period's hours that a driver may be beyond its range without a word.
const EXTRAPOLATED_SHARE_TOLD: f64 = 0.05;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Judge the savings model on a folder of one meter's readings and weather.
    Evaluate(EvaluateArguments),
    /// Fit baselines from the ledger; those in force stay as they are.
    Fit(claims::FitArguments),
    /// Show what was saved against the baselines, with its 90 % interval.
    Show(claims::ShowArguments),
    /// Show why energy and emission differ from the baseline year's: weather, activity, efficiency, own supply, factors.
    Change(change::ChangeArguments),
    /// Leave hours out of baselines to come and of savings, with the reason on record.
    Exclude(adjust::ExcludeArguments),
    /// Add a known change to a load's baseline, with the reason on record.
    Adjust(adjust::AdjustArguments),
}

#[derive(clap::Args)]
struct EvaluateArguments {
    /// Folder with meter.csv, temperature.csv, periods.json and optionally humidity.csv, ghi.csv, drivers.csv and calendar.csv.
    #[arg(long, value_name = "DIR")]
    case: PathBuf,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Write the baseline of each reporting hour here, as `ts_utc,baseline_kwh`.
    #[arg(long, value_name = "FILE")]
    hourly: Option<PathBuf>,
    /// Draw metered energy against the baseline, and the savings so far with their band.
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

pub fn execute(arguments: &Arguments) -> Result<(), CliError> {
    match &arguments.action {
        Action::Evaluate(arguments) => evaluate(arguments),
        Action::Fit(arguments) => claims::fit(arguments),
        Action::Show(arguments) => claims::show(arguments),
        Action::Change(arguments) => change::change(arguments),
        Action::Exclude(arguments) => adjust::exclude(arguments),
        Action::Adjust(arguments) => adjust::adjust(arguments),
    }
}

fn evaluate(arguments: &EvaluateArguments) -> Result<(), CliError> {
    let case = load(&arguments.case)?;
    let started = now();
    let fitted = evaluation::fit(&case);
    let fit_ms = started.elapsed().as_secs_f64() * 1000.0;
    let judged = fitted.and_then(|fitted| fitted.evaluate(&case).map(|evaluation| (fitted, evaluation)));
    let mut table = Table::new(&COLUMNS);
    match judged {
        Ok((fitted, evaluation)) => {
            if let Some(path) = &arguments.hourly {
                write(path, &hourly(&evaluation.hours)?)?;
            }
            if let Some(path) = &arguments.plot {
                write(path, &plot::svg(&evaluation))?;
            }
            table.rows.push(figures(&fitted, &evaluation, fit_ms));
        }
        Err(refusal) => table.rows.push(refused(&refusal.to_string())),
    }
    let table = if arguments.output == Format::Table { output::upright(&table) } else { table };
    Ok(output::print(&table, arguments.output)?)
}

#[allow(clippy::disallowed_methods, reason = "a fit's duration is a figure of the shell, not of the model")]
fn now() -> Instant {
    Instant::now()
}

/// `periods.json`; unknown keys are other tools' business.
#[derive(Deserialize)]
struct PeriodsFile {
    tz: String,
    baseline: PeriodFile,
    reporting: PeriodFile,
}

#[derive(Deserialize)]
struct PeriodFile {
    start: String,
    end: String,
}

impl PeriodFile {
    fn span(&self, name: &str) -> Result<Span, CliError> {
        let at = |key: &str, text: &str| {
            Millis::from_rfc3339(text).ok_or_else(|| {
                CliError::Usage(format!("periods.json: {name}.{key} is \"{text}\", wanted a time such as 2026-01-01T00:00:00Z; correct it"))
            })
        };
        Ok(Span { start: at("start", &self.start)?, end: at("end", &self.end)? })
    }
}

fn load(folder: &Path) -> Result<Case, CliError> {
    let file: PeriodsFile = serde_json::from_str(&required(folder, "periods.json")?)
        .map_err(|error| CliError::Usage(format!("periods.json: {error}; wanted tz, baseline and reporting, each with start and end")))?;
    let time_zone = TimeZone::get(&file.tz).map_err(|_| {
        CliError::Usage(format!("periods.json: tz is \"{}\", wanted an IANA name such as Asia/Shanghai; correct it", file.tz))
    })?;
    let periods = Periods { time_zone, baseline: file.baseline.span("baseline")?, reporting: file.reporting.span("reporting")? };
    let texts = Texts {
        meter: required(folder, "meter.csv")?,
        temperature: required(folder, "temperature.csv")?,
        humidity: optional(folder, "humidity.csv")?,
        ghi: optional(folder, "ghi.csv")?,
        drivers: optional(folder, "drivers.csv")?,
        calendar: optional(folder, "calendar.csv")?,
    };
    Case::read(&texts, periods).map_err(|error| CliError::Usage(error.to_string()))
}

fn required(folder: &Path, name: &str) -> Result<String, CliError> {
    optional(folder, name)?.ok_or_else(|| {
        CliError::Usage(format!(
            "{} has no {name}; wanted a case folder with meter.csv, temperature.csv and periods.json",
            folder.display()
        ))
    })
}

fn optional(folder: &Path, name: &str) -> Result<Option<String>, CliError> {
    let path = folder.join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CliError::Usage(format!("{}: {error}; wanted a readable text in UTF-8", path.display()))),
    }
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display())).map_err(CliError::Failure)
}

fn hourly(hours: &[ReportedHour]) -> Result<String, CliError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let rows = [["ts_utc".to_owned(), "baseline_kwh".to_owned()]].into_iter();
    for row in rows.chain(hours.iter().map(|hour| [hour.at.timestamp().to_string(), format!("{:.6}", hour.baseline_kwh)])) {
        writer.write_record(row).map_err(|error| CliError::Failure(error.into()))?;
    }
    let bytes = writer.into_inner().map_err(|error| CliError::Failure(anyhow::anyhow!("{error}")))?;
    String::from_utf8(bytes).map_err(|error| CliError::Failure(error.into()))
}

fn figures(fitted: &Fitted, evaluation: &Evaluation, fit_ms: f64) -> Vec<Cell> {
    let savings_kwh = evaluation.savings_kwh();
    let quality = &fitted.quality;
    let count = |hours: usize| Cell::Integer(i64::try_from(hours).expect("a case has at most 20 years of hours"));
    let mut events: Vec<String> = [("baseline", &fitted.shift), ("reporting", &evaluation.shift)]
        .into_iter()
        .filter_map(|(period, shift)| shift.as_ref().map(|shift| told(period, shift)))
        .collect();
    let all = evaluation.hours.len();
    let many = |hours: usize| 0 < hours && EXTRAPOLATED_SHARE_TOLD * all as f64 <= hours as f64;
    if many(evaluation.beyond_temperature) {
        let hours = evaluation.beyond_temperature;
        events.push(format!("it was colder or warmer than the baseline knows in {hours} of {all} hours, which count as its coldest or warmest, and the interval does not know"));
    }
    let extrapolated = evaluation.extrapolated.iter().filter(|(_, hours)| many(*hours));
    events.extend(extrapolated.map(|(driver, hours)| {
        format!("driver {driver} is beyond the baseline's range in {hours} of {all} hours: its line is drawn on there, and the interval does not know")
    }));
    vec![
        Cell::Real(savings_kwh),
        evaluation.savings_pct().into(),
        Cell::Real(savings_kwh - evaluation.half_width_kwh),
        Cell::Real(savings_kwh + evaluation.half_width_kwh),
        Cell::Real(evaluation.counterfactual_kwh),
        Cell::Real(evaluation.metered_kwh),
        quality.fitted.map(|spread| spread.cv_rmse).into(),
        quality.fitted.map(|spread| spread.nmbe).into(),
        Cell::Boolean(fitted.provisional),
        Cell::Real(fit_ms),
        Cell::Null,
        if events.is_empty() { Cell::Null } else { events.join("; ").into() },
        count(quality.hours_used),
        count(quality.hours_unmetered),
        count(quality.hours_unexplained),
        quality.cross_validated.map(|spread| spread.cv_rmse).into(),
        quality.cross_validated.map(|spread| spread.nmbe).into(),
    ]
}

fn refused(reason: &str) -> Vec<Cell> {
    COLUMNS.iter().map(|column| if *column == "refused" { reason.into() } else { Cell::Null }).collect()
}

fn told(period: &str, shift: &Shift) -> String {
    let ((from, to), pct) = (shift.dates(), 100.0 * shift.share);
    match shift.kind {
        Kind::NonRoutine => format!("non-routine event in the {period} period from {from} to {to}: {pct:+.0} %, not adjusted for"),
        Kind::Photovoltaics if period == "reporting" => {
            format!("asset event (photovoltaics) from {from} on: {pct:+.0} %, the claim ends before it")
        }
        Kind::Photovoltaics => format!("asset event (photovoltaics) in the {period} period from {from} on: {pct:+.0} %, not adjusted for"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case with a known answer, or `None` where the shared data are not beside the checkout.
    fn shared(name: &str) -> Option<Case> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/savings-cases").join(name);
        if !folder.is_dir() {
            println!("skipped: {} is missing", folder.display());
            return None;
        }
        Some(load(&folder).unwrap())
    }

    /// The saving in per cent, its half width, and the fit's CV(RMSE).
    fn judged(case: &Case) -> (f64, f64, f64) {
        let fitted = evaluation::fit(case).unwrap();
        let evaluation = fitted.evaluate(case).unwrap();
        let half_width_pct = 100.0 * evaluation.half_width_kwh / evaluation.counterfactual_kwh;
        (evaluation.savings_pct().unwrap(), half_width_pct, fitted.quality.fitted.unwrap().cv_rmse)
    }

    #[test]
    fn a_plant_with_more_production_is_judged_by_its_production() {
        let Some(mut case) = shared("syn_industry_ecm") else { return };
        // known.json: 12.02 % by construction; the prototype says 12.26 % with a CV(RMSE) of 0.02767.
        let (savings_pct, half_width_pct, cv_rmse) = judged(&case);
        assert!((savings_pct - 12.26).abs() < 0.1 && (savings_pct - 12.02).abs() < half_width_pct, "{savings_pct} ± {half_width_pct}");
        assert!(half_width_pct < 2.0 && cv_rmse < 0.027_67 * 1.01, "{half_width_pct}, {cv_rmse}");
        case.drivers.clear();
        let (without_pct, ..) = judged(&case);
        assert!((-9.0..-5.0).contains(&without_pct), "{without_pct}");
    }

    #[test]
    fn a_noisy_building_saves_a_tenth() {
        let Some(case) = shared("il_electricity_cdd_hdd") else { return };
        // known.json: 10 % in expectation; the prototype says 9.80 ± 4.19 % with a CV(RMSE) of 1.1423.
        let evaluation = evaluation::fit(&case).unwrap().evaluate(&case).unwrap();
        let pairs: Vec<(f64, f64)> =
            evaluation.hours.iter().filter_map(|hour| Some((hour.metered_kwh? / 0.9, hour.baseline_kwh))).collect();
        let squares: f64 = pairs.iter().map(|(metered, predicted)| (metered - predicted).powi(2)).sum();
        let (count, sum) = (pairs.len() as f64, pairs.iter().map(|(metered, _)| metered).sum::<f64>());
        // OpenDSM 1.2.7's hourly model, at 1.042 within its own baseline, comes to 1.278 in the year after it.
        assert!((squares / count).sqrt() / (sum / count) < 1.278 * 0.97, "{}", (squares / count).sqrt() / (sum / count));
        let (savings_pct, half_width_pct, cv_rmse) = judged(&case);
        assert!((savings_pct - 10.0).abs() < half_width_pct && half_width_pct < 5.0, "{savings_pct} ± {half_width_pct}");
        assert!(cv_rmse < 1.1423 * 1.01, "{cv_rmse}");
    }

    #[test]
    fn a_refusal_fills_its_own_column_and_no_other() {
        let row = refused("why");
        let filled: Vec<_> = COLUMNS.iter().zip(&row).filter(|(_, cell)| **cell != Cell::Null).collect();
        assert_eq!(filled, [(&"refused", &Cell::Text("why".to_owned()))]);
    }
}
