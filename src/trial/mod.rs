//! `nengtan trial`: savings claimed from a metered run, held against the saving that is known because the same year was played twice.
//!
//! The zone's baseline year is played once, then twice from a copy of that state: without anything, and with the measures of `fleet.toml` or with regulation. There
//! is no broker in between; every message goes through the engine's own decoding, ledger and commit. Invariants: baselines are fitted before the first measured
//! hour is played, the claim reads the metered ledger only, and both ledgers are held against the fleet's truth.

pub mod dispatch;
pub mod judge;
mod play;
pub mod promise;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use nengtan_fleet::runner::RunError;
use nengtan_fleet::unplugged::{Ground, Unplugged};

use crate::claims::ClaimError;
use crate::claims::figures::{self, By};
use crate::claims::fit::{self, Attempt, Outcome, Wanted};
use crate::config::fault::Fault;
use crate::domain::calendar::Span;
use crate::domain::units::Millis;
use crate::engine::EngineError;
use crate::savings::uncertainty::combined_half_width_kwh;
use crate::store::backup::backup;
use crate::store::{self, Store, StoreError, savings};
use crate::verify::{self, Verification, VerifyError};
use judge::Judged;
use play::{open, take};
use promise::Outcome as Regulated;

/// Names of the two runs' folders.
pub const MEASURED: &str = "measured";
pub const UNMEASURED: &str = "without-measures";
const TRUTH_NAME: &str = "truth.jsonl";

#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error("zone {zone} runs on the wall clock; a trial needs clock = \"feed\" in zone.toml")]
    WallClock { zone: String },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Folder(Vec<Fault>),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Ground(Vec<nengtan_fleet::zone::Fault>),
    #[error(transparent)]
    Fleet(#[from] RunError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error("{0}")]
    Dispatch(String),
    #[error("the truth cannot be written to {}: {cause}; check the disk", file.display())]
    Truth { file: PathBuf, cause: std::io::Error },
}

pub struct TrialOptions {
    /// The zone's folder.
    pub zone: PathBuf,
    pub seed: u64,
    /// Months that baselines are fitted to.
    pub baseline_months: u32,
    /// Months with measures or regulation.
    pub months: u32,
    /// The engine's commands and the programme's assets instead of the measures of `fleet.toml`.
    pub regulation: bool,
    /// How many entities are judged; none for all.
    pub entities: Option<usize>,
    /// An empty folder for ledgers and truths.
    pub data: PathBuf,
}

/// Loads that got no baseline, and why.
pub type Refused = Vec<(String, String)>;

/// What is claimed of the zone, from the metered ledger alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Claimed {
    pub tce_calorific: f64,
    pub tce_primary: f64,
    pub kg_co2e: f64,
    pub cny: f64,
    /// Half widths of the three in physical units.
    pub half_widths: [f64; 3],
}

/// Commands of the regulated run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commands {
    pub sent: i64,
    pub refused: i64,
    pub unanswered: i64,
}

/// What a trial found.
pub struct Trial {
    pub judged: Vec<Judged>,
    pub refused: Refused,
    pub claimed: Claimed,
    /// With regulation only.
    pub regulated: Option<Regulated>,
    pub commands: Commands,
    /// Of the run with measures, and of the one without.
    pub verified: [Verification; 2],
}

impl Trial {
    #[must_use]
    pub fn holds(&self) -> bool {
        self.verified.iter().all(Verification::holds)
    }
}

/// Plays and judges; `progress` is told how many days of how many are played.
pub fn run(options: &TrialOptions, mut progress: impl FnMut(u64, u64)) -> Result<Trial, TrialError> {
    let ground = Ground::load(&options.zone).map_err(TrialError::Ground)?;
    let mut fleet = Unplugged::new(&ground, (options.baseline_months, options.months), options.seed)?;
    let [measured, unmeasured] = [MEASURED, UNMEASURED].map(|name| options.data.join(name));
    let border = Millis(fleet.border_ms());
    let (baseline_days, days) = fleet.days();
    let (mut played, all) = (0, 2 * days - baseline_days);
    let mut step = || {
        played += 1;
        progress(played, all);
    };

    let mut engine = open(&options.zone, &measured, &fleet)?;
    take(&mut engine, fleet.greeting(), &fleet)?;
    while fleet.now_ms() < border.0
        && let Some(messages) = fleet.day()
    {
        take(&mut engine, messages, &fleet)?;
        step();
    }
    engine.settle()?;
    drop(engine);
    backup(&measured, &unmeasured)?;
    let (attempts, wanted) = fitted(&measured, options.entities)?;

    fleet.count_from_here();
    let mut twin = fleet.clone();
    let mut engine = open(&options.zone, &measured, &fleet)?;
    if options.regulation {
        play::regulated(&mut engine, &mut fleet, |fleet, told| fleet.command(&told.topic, &told.payload), &mut step)?;
    } else {
        fleet.take_measures();
        play::days(&mut engine, &mut fleet, &mut step)?;
    }
    engine.settle()?;
    drop(engine);
    let mut engine = open(&options.zone, &unmeasured, &twin)?;
    play::days(&mut engine, &mut twin, &mut step)?;
    engine.settle()?;
    drop(engine);
    let reporting = Span { start: border, end: Millis(fleet.now_ms()) };
    let verified = [verified(&measured, &fleet)?, verified(&unmeasured, &twin)?];
    let (sides, commands) = if options.regulation {
        let sides = (play::side(&unmeasured, &twin, border)?, play::side(&measured, &fleet, border)?);
        (Some(sides), play::commands(&measured)?)
    } else {
        (None, Commands::default())
    };
    drop((fleet, twin));

    let (refused, judged, claimed) = claimed(&measured, &unmeasured, attempts, &wanted, reporting)?;
    let regulated = sides.map(|(without, with)| Regulated::new(without, with));
    Ok(Trial { judged, refused, claimed, regulated, commands, verified })
}

/// Baselines of the loads to be judged, from a ledger that ends with its baseline year.
fn fitted(measured: &Path, entities: Option<usize>) -> Result<(Vec<Attempt>, Wanted), TrialError> {
    let ledger = store::open_to_read(measured)?;
    // Water has no part in a zone's kWh.
    let mut wanted = Wanted { books: savings::IN_KWH.to_vec(), ..Wanted::default() };
    if let Some(most) = entities {
        let mut all: Vec<i64> = fit::loads(&ledger, &wanted)?.iter().map(|row| row.load.entity.0.into()).collect();
        all.dedup();
        // Evenly from the zone's list: one kind of entity stands beside another there.
        wanted.entities = (0..most.min(all.len())).map(|index| all[index * all.len() / most.min(all.len())]).collect();
    }
    let mut attempts = Vec::new();
    fit::fit(&ledger, &wanted, |attempt| attempts.push(attempt))?;
    Ok((attempts, wanted))
}

fn verified(data: &Path, fleet: &Unplugged) -> Result<Verification, TrialError> {
    let file = data.join(TRUTH_NAME);
    let written = File::create(&file).and_then(|created| fleet.write_truth(&mut BufWriter::new(created)));
    written.map_err(|cause| TrialError::Truth { file: file.clone(), cause })?;
    Ok(verify::verify(data, &file)?)
}

/// Keeps the baselines, claims as `savings show` would, and sets each claim beside what the two ledgers differ by.
fn claimed(
    measured: &Path,
    unmeasured: &Path,
    attempts: Vec<Attempt>,
    wanted: &Wanted,
    reporting: Span,
) -> Result<(Refused, Vec<Judged>, Claimed), TrialError> {
    let (writer, mut refused) = (Store::open(measured)?, Vec::new());
    for Attempt { load, entity, outcome, .. } in attempts {
        match outcome {
            Outcome::Fitted(fitted) => {
                writer.keep_baseline(&fitted.0, None)?;
            }
            Outcome::Kept => {}
            Outcome::Refused(reason) => refused.push((format!("{entity} {}", load.book.carrier().as_str()), reason.to_string())),
        }
    }
    drop(writer);
    let ledger = store::open_to_read(measured)?;
    let (claims, _) = figures::claims(&ledger, wanted, By::Total)?;
    let without = store::open_to_read(unmeasured)?;
    let (mut judged, mut whole, mut half_widths) = (Vec::new(), Claimed::default(), [const { Vec::new() }; 3]);
    for claim in claims {
        let (load, kwh_per_unit) = (claim.baseline.load, claim.baseline.vintage.kwh_per_unit);
        let kwh = |ledger| Ok::<f64, StoreError>(savings::metered(ledger, load, reporting)? as f64 * kwh_per_unit);
        let figure = figures::Figure::sum(claim.figures.values());
        let claimed = figure.energy.unwrap_or_default();
        if !claim.made_inside {
            whole.tce_calorific += figure.tce_calorific;
            whole.tce_primary += figure.tce_primary;
            whole.kg_co2e += figure.kg_co2e;
            whole.cny += figure.cny.unwrap_or(0.0);
            let vintage = &claim.baseline.vintage;
            let factors = [vintage.mg_ce_calorific, vintage.mg_ce_primary, vintage.mg_co2e];
            for ((widths, factor), mg_per_unit) in half_widths.iter_mut().zip(factors).zip([1e12, 1e12, 1e9]) {
                widths.push(claimed.half_width / kwh_per_unit * factor.unwrap_or(0) as f64 / mg_per_unit);
            }
        }
        judged.push(Judged {
            carrier: load.book.carrier().as_str(),
            made_inside: claim.made_inside,
            without_kwh: kwh(&without)?,
            metered_kwh: kwh(&ledger)?,
            claimed_kwh: claimed.saved(),
            half_width_kwh: claimed.half_width,
            cv_rmse: claim.fitted.quality.cross_validated.map(|spread| spread.cv_rmse),
            entity: claim.entity,
        });
    }
    whole.half_widths = half_widths.map(|widths| combined_half_width_kwh(&widths));
    Ok((refused, judged, whole))
}
