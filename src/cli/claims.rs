//! `nengtan savings fit` and `nengtan savings show`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use rusqlite::Connection;

use super::output::{self, Format};
use super::{CliError, asked};
use crate::claiming;
use crate::claims::ClaimError;
use crate::claims::figures::{self, Balance, Building, By, Claim, Figure};
use crate::claims::fit::{self, Attempt, Outcome, Wanted};
use crate::claims::inputs::time_zone;
use crate::domain::units::Millis;
use crate::savings::events::{Kind, Shift};
use crate::show::Selection;
use crate::store;
use crate::store::read::{Cell, Table};
use crate::store::savings::{BaselineRow, Load};
use crate::wire::encode::rfc3339;

#[derive(clap::Args)]
pub struct Chosen {
    /// Id or name of an entity; may be given several times.
    #[arg(long)]
    pub entity: Vec<String>,
    /// electricity, `natural_gas`, heat, steam or water.
    #[arg(long)]
    carrier: Option<String>,
    /// From this moment on: a date, a local time, or a time with offset.
    #[arg(long)]
    from: Option<String>,
    /// Before this moment (exclusive).
    #[arg(long)]
    to: Option<String>,
    /// The folder of the ledger.
    #[arg(long, value_name = "DIR", default_value = super::DATA_DEFAULT)]
    pub data: PathBuf,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

#[derive(clap::Args)]
pub struct FitArguments {
    #[command(flatten)]
    chosen: Chosen,
    /// Replace baselines in force, and put this reason on record.
    #[arg(long, value_name = "REASON")]
    replace: Option<String>,
}

#[derive(clap::Args)]
pub struct ShowArguments {
    #[command(flatten)]
    chosen: Chosen,
    #[arg(long, value_enum, default_value_t = By::Total)]
    by: By,
    /// One row per kind of entity (factory, office, …) instead of one per entity.
    #[arg(long)]
    group: bool,
}

impl From<ClaimError> for CliError {
    fn from(error: ClaimError) -> CliError {
        match error {
            ClaimError::Store(error) => error.into(),
            ClaimError::Document { .. } | ClaimError::TimeZone(_) => CliError::Failure(error.into()),
        }
    }
}

impl Chosen {
    pub fn wanted(&self, ledger: &Connection) -> Result<Wanted, CliError> {
        let selection = Selection { entities: self.entity.clone(), from: self.from.clone(), to: self.to.clone(), as_known_on: None };
        let resolved = selection.resolve(ledger)?;
        let book = |name: &String| {
            claiming::book(name).ok_or_else(|| {
                CliError::Usage(format!("--carrier is {name:?}, wanted electricity, natural_gas, heat, steam or water; correct it"))
            })
        };
        let books = self.carrier.iter().map(book).collect::<Result<_, _>>()?;
        Ok(Wanted { entities: resolved.entities, books, from: resolved.from, to: resolved.to, replace: None })
    }
}

/// Baselines that are handed over to be kept at once: a few megabytes.
const HANDED_OVER: usize = 32;

/// Fits on a snapshot, beside whatever collector runs; that one, or else this command, keeps the baselines.
pub fn fit(arguments: &FitArguments) -> Result<(), CliError> {
    let chosen = &arguments.chosen;
    if arguments.replace.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        return Err(CliError::Usage("--replace has no reason, wanted why the baselines are replaced; say it".to_owned()));
    }
    let ledger = store::open_to_read(&chosen.data)?;
    let wanted = Wanted { replace: arguments.replace.clone(), ..chosen.wanted(&ledger)? };
    let bar = ProgressBar::new(fit::loads(&ledger, &wanted)?.len() as u64);
    let zone = time_zone(&ledger)?;
    let mut table = Table::new(&FIT_COLUMNS);
    fit_and_keep(&chosen.data, &wanted, |attempt| {
        table.rows.push(told(attempt, &zone));
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    asked::predict(&chosen.data)?;
    Ok(output::print(&table, chosen.output)?)
}

/// Fits what is wanted and has it kept; `told` hears of each attempt.
pub fn fit_and_keep(data: &Path, wanted: &Wanted, mut told: impl FnMut(&Attempt)) -> Result<(), CliError> {
    let mut ledger = store::open_to_read(data)?;
    let snapshot = ledger.transaction()?;
    let (mut fitted, mut kept) = (Vec::new(), Ok(()));
    let mut hand_over = |fitted: &mut Vec<BaselineRow>| {
        if kept.is_ok() {
            kept = keep_baselines(data, fitted, wanted.replace.as_deref());
        }
        fitted.clear();
    };
    fit::fit(&snapshot, wanted, |attempt| {
        told(&attempt);
        if let Outcome::Fitted(baseline) = attempt.outcome {
            fitted.push(baseline.0);
        }
        if fitted.len() == HANDED_OVER {
            hand_over(&mut fitted);
        }
    })?;
    hand_over(&mut fitted);
    kept
}

fn keep_baselines(data: &Path, fitted: &[BaselineRow], replacing: Option<&str>) -> Result<(), CliError> {
    let requests = fitted.iter().map(|row| claiming::baseline(row, replacing)).collect::<Result<Vec<_>, _>>();
    asked::keep(data, claiming::BASELINE, &requests.map_err(|error| CliError::Failure(error.into()))?)
}

const FIT_COLUMNS: [&str; 13] = [
    "entity",
    "carrier",
    "status",
    "from",
    "to",
    "provisional",
    "cv_rmse",
    "nmbe",
    "hours_used",
    "hours_unmetered",
    "hours_unexplained",
    "estimated_share",
    "reason",
];

fn told(attempt: &Attempt, zone: &jiff::tz::TimeZone) -> Vec<Cell> {
    let at = |at: Option<Millis>| at.map_or(Cell::Null, |at| rfc3339(at, zone).into());
    let (from, to) = (at(attempt.period.map(|period| period.start)), at(attempt.period.map(|period| period.end)));
    let (entity, carrier): (Cell, Cell) = (attempt.entity.clone().into(), attempt.load.book.carrier().as_str().into());
    let count = |hours: usize| Cell::Integer(i64::try_from(hours).expect("a baseline has at most 20 years of hours"));
    let without = |status: &str, reason: Cell| {
        let mut row = vec![entity.clone(), carrier.clone(), status.into(), from.clone(), to.clone()];
        row.resize(FIT_COLUMNS.len() - 1, Cell::Null);
        row.push(reason);
        row
    };
    match &attempt.outcome {
        Outcome::Kept => without("kept", "a baseline is in force; --replace REASON replaces it".into()),
        Outcome::Refused(reason) => without("refused", reason.to_string().into()),
        Outcome::Fitted(fitted) => {
            let (row, fitted) = &**fitted;
            let quality = &fitted.quality;
            vec![
                entity,
                carrier,
                "fitted".into(),
                from,
                to,
                Cell::Boolean(fitted.provisional),
                quality.fitted.map(|spread| spread.cv_rmse).into(),
                quality.fitted.map(|spread| spread.nmbe).into(),
                count(quality.hours_used),
                count(quality.hours_unmetered),
                count(quality.hours_unexplained),
                Cell::Real(row.estimated_share),
                Cell::Null,
            ]
        }
    }
}

const SHOW_COLUMNS: [&str; 36] = [
    "entity",
    "name_en",
    "name_zh",
    "carrier",
    "from",
    "to",
    "baseline_kwh",
    "metered_kwh",
    "saved_kwh",
    "low_kwh",
    "high_kwh",
    "baseline_m3",
    "metered_m3",
    "saved_m3",
    "low_m3",
    "high_m3",
    "saved_pct",
    "saved_tce_calorific",
    "saved_tce_primary",
    "saved_kg_co2e",
    "low_kg_co2e",
    "high_kg_co2e",
    "factor_effect_kg_co2e",
    "saved_cny",
    "low_cny",
    "high_cny",
    "unpriced_kwh",
    "unpriced_m3",
    "factor_year",
    "provisional",
    "cv_rmse",
    "nmbe",
    "hours",
    "hours_left_out",
    "estimated_share",
    "status",
];

/// What people want to see of a claim where a terminal has no room for all.
const SHOW_FIRST: [&str; 9] = ["entity", "carrier", "from", "saved_kwh", "low_kwh", "high_kwh", "saved_pct", "saved_kg_co2e", "status"];

/// Carrier of a sum over all of them.
pub const ALL_CARRIERS: &str = "all";

pub fn show(arguments: &ShowArguments) -> Result<(), CliError> {
    let chosen = &arguments.chosen;
    let mut ledger = store::open_to_read(&chosen.data)?;
    let snapshot = ledger.transaction()?;
    let wanted = chosen.wanted(&snapshot)?;
    let (claims, building) = figures::claims(&snapshot, &wanted, arguments.by)?;
    let labels = Labels::read(&snapshot)?;
    let mut table = Table::new(&SHOW_COLUMNS);
    if arguments.group {
        table.rows.extend(sums(&claims, &labels, |claim| Some(labels.kind(claim))));
    } else {
        table.rows.extend(claims.iter().flat_map(|claim| each(claim, &labels)));
    }
    if chosen.entity.is_empty() {
        table.rows.extend(sums(&claims, &labels, |claim| (!claim.made_inside).then(|| labels.zone.clone())));
    }
    if arguments.by == By::Total {
        table.rows.extend(building.iter().map(|building| without(building, &labels)));
    }
    Ok(output::print_first(&table, chosen.output, &SHOW_FIRST)?)
}

pub struct Labels {
    time_zone: jiff::tz::TimeZone,
    pub zone: String,
    /// Names and kind by entity.
    entities: BTreeMap<String, [String; 3]>,
}

impl Labels {
    pub fn read(ledger: &Connection) -> Result<Labels, CliError> {
        let mut statement = ledger.prepare("SELECT entity, name_en, name_zh, kind FROM entity_row")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?])))?;
        let zone = ledger.query_row("SELECT value FROM meta WHERE key = 'zone'", [], |row| row.get(0))?;
        Ok(Labels { time_zone: time_zone(ledger)?, zone, entities: rows.collect::<Result<_, _>>()? })
    }

    fn kind(&self, claim: &Claim) -> String {
        self.entities.get(&claim.entity).map_or_else(String::new, |[_, _, kind]| kind.clone())
    }

    /// Id, names and carrier, and a stretch of time.
    pub fn head(&self, entity: &str, carrier: &str, (from, to): (Millis, Millis)) -> Vec<Cell> {
        let names = self.entities.get(entity).map_or([entity, entity], |[name_en, name_zh, _]| [name_en, name_zh]);
        let at = |at| rfc3339(at, &self.time_zone).into();
        vec![entity.into(), names[0].into(), names[1].into(), carrier.into(), at(from), at(to)]
    }
}

fn each(claim: &Claim, labels: &Labels) -> Vec<Vec<Cell>> {
    let carrier = claim.baseline.load.book.carrier().as_str();
    let spread = claim.fitted.quality.fitted;
    let rows = |(stretch, figure): (&(Millis, Millis), &Figure)| {
        let head = labels.head(&claim.entity, carrier, *stretch);
        let mut row = head.clone();
        row.extend(amounts(figure));
        row.extend([
            Cell::Integer(claim.baseline.vintage.year.into()),
            Cell::Boolean(claim.fitted.provisional),
            spread.map(|spread| spread.cv_rmse).into(),
            spread.map(|spread| spread.nmbe).into(),
        ]);
        row.extend(counts(figure));
        row.push(claim.shift.as_ref().map_or_else(|| "claimed".into(), |shift| status(shift).into()));
        [Some(row), beside(head, figure)]
    };
    claim.figures.iter().flat_map(rows).flatten().collect()
}

/// A claim's status with something in it, or beside it, that may be no saving.
fn status(shift: &Shift) -> String {
    let ((from, to), pct) = (shift.dates(), 100.0 * shift.share);
    match shift.kind {
        Kind::NonRoutine => {
            format!("claimed with a non-routine event from {from} to {to}, {pct:+.0} %: adjust for it or exclude it")
        }
        Kind::Photovoltaics => format!("claimed until photovoltaics that no meter sees begin on {from}: meter them"),
    }
}

/// The line of an asset event, if there is one: what was expected and what was metered since, and no saving.
fn beside(mut head: Vec<Cell>, figure: &Figure) -> Option<Vec<Cell>> {
    let asset = figure.asset?;
    head.extend([asset.baseline, asset.metered].map(Cell::Real));
    head.resize(SHOW_COLUMNS.len() - 1, Cell::Null);
    let less_kwh = asset.saved();
    head.push(format!("asset event: photovoltaics that no meter sees, {less_kwh:.0} kWh less and no saving").into());
    Some(head)
}

/// Rows per carrier and of all carriers, of the claims that `of` gives one name; those without a name are left out.
fn sums(claims: &[Claim], labels: &Labels, of: impl Fn(&Claim) -> Option<String>) -> Vec<Vec<Cell>> {
    type Parts<'c> = Vec<(&'c Claim, &'c Figure)>;
    let mut groups: BTreeMap<(String, &str, (Millis, Millis)), Parts> = BTreeMap::new();
    for (claim, name) in claims.iter().filter_map(|claim| of(claim).map(|name| (claim, name))) {
        for (stretch, figure) in &claim.figures {
            for carrier in [claim.baseline.load.book.carrier().as_str(), ALL_CARRIERS] {
                groups.entry((name.clone(), carrier, *stretch)).or_default().push((claim, figure));
            }
        }
    }
    let rows = |((name, carrier, stretch), parts): (&(String, &str, (Millis, Millis)), &Parts)| {
        let figure = Figure::sum(parts.iter().map(|(_, figure)| *figure));
        let head = labels.head(name, carrier, *stretch);
        let mut row = head.clone();
        row.extend(amounts(&figure));
        let year = parts[0].0.baseline.vintage.year;
        let same_year = parts.iter().all(|(claim, _)| claim.baseline.vintage.year == year);
        row.push(if same_year { Cell::Integer(year.into()) } else { Cell::Null });
        row.push(Cell::Boolean(parts.iter().any(|(claim, _)| claim.fitted.provisional)));
        row.extend([Cell::Null, Cell::Null]);
        row.extend(counts(&figure));
        row.push("claimed".into());
        [Some(row), beside(head, &figure)]
    };
    groups.iter().flat_map(rows).flatten().collect()
}

fn amounts(figure: &Figure) -> Vec<Cell> {
    let five = |of: Option<Balance>| match of {
        Some(of) => [of.baseline, of.metered, of.saved(), of.saved() - of.half_width, of.saved() + of.half_width].map(Cell::Real),
        None => [Cell::Null, Cell::Null, Cell::Null, Cell::Null, Cell::Null],
    };
    let mut row: Vec<Cell> = five(figure.energy).into_iter().chain(five(figure.water)).collect();
    let pct = figure.energy.or(figure.water).map(|of| 100.0 * of.saved() / of.baseline.abs());
    row.push(pct.filter(|pct| pct.is_finite()).into());
    row.extend([figure.tce_calorific, figure.tce_primary].map(Cell::Real));
    // Water carries no carbon of its own.
    let kg = [figure.kg_co2e, figure.kg_co2e - figure.half_width_kg_co2e, figure.kg_co2e + figure.half_width_kg_co2e];
    row.extend(kg.into_iter().chain([figure.factor_effect_kg_co2e]).map(|kg| Cell::from(figure.energy.map(|_| kg))));
    let half_width_cny = figure.half_width_cny.unwrap_or_default();
    row.extend([0.0, -half_width_cny, half_width_cny].map(|off| Cell::from(figure.cny.map(|cny| cny + off))));
    row.extend([figure.energy.map(|of| of.unpriced), figure.water.map(|of| of.unpriced)].map(Cell::from));
    row
}

fn counts(figure: &Figure) -> [Cell; 3] {
    let count = |hours: usize| Cell::Integer(i64::try_from(hours).expect("a ledger has fewer hours"));
    let share = figure.energy.or(figure.water).map(|of| of.estimated / of.gross);
    [count(figure.hours), count(figure.hours_left_out), share.filter(|share| share.is_finite()).into()]
}

fn without(building: &Building, labels: &Labels) -> Vec<Cell> {
    let Building { load: Load { book, .. }, entity, possible_from } = building;
    let names = labels.entities.get(entity).map_or([entity, entity], |[name_en, name_zh, _]| [name_en, name_zh]);
    let mut row: Vec<Cell> =
        vec![entity.as_str().into(), names[0].as_str().into(), names[1].as_str().into(), book.carrier().as_str().into()];
    row.resize(SHOW_COLUMNS.len() - 1, Cell::Null);
    row.push(match possible_from {
        Some(date) => format!("baseline building: possible with readings until {date}; nengtan savings fit makes it").into(),
        None => "baseline building: one of its import meters has never been read".into(),
    });
    row
}
