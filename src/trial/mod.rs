//! `nengtan trial`: savings claimed from a metered run, held against the saving that is known because the same year was played twice.
//!
//! The zone's baseline year is played once, then twice from a copy of that state: with the measures of `fleet.toml` and without. There is no broker
//! in between; every message goes through the engine's own decoding, ledger and commit. Invariants: baselines are fitted before the first measured
//! hour is played, the claim reads the metered ledger only, and both ledgers are held against the fleet's truth.

pub mod dispatch;
pub mod judge;

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use nengtan_fleet::runner::RunError;
use nengtan_fleet::unplugged::{Ground, Message, Unplugged};

use crate::claims::ClaimError;
use crate::claims::figures::{self, By};
use crate::claims::fit::{self, Attempt, Outcome, Wanted};
use crate::config::fault::Fault;
use crate::config::zone_folder;
use crate::domain::calendar::Span;
use crate::domain::units::Millis;
use crate::domain::zone::ClockMode;
use crate::engine::{Engine, EngineError};
use crate::store::backup::backup;
use crate::store::{self, Store, StoreError, savings};
use crate::verify::{self, Verification, VerifyError};
use judge::Judged;

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
    /// Months with measures.
    pub months: u32,
    /// How many entities are judged; none for all.
    pub entities: Option<usize>,
    /// An empty folder for ledgers and truths.
    pub data: PathBuf,
}

/// Loads that got no baseline, and why.
pub type Refused = Vec<(String, String)>;

/// What a trial found.
pub struct Trial {
    pub judged: Vec<Judged>,
    pub refused: Refused,
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

    let mut twin = fleet.clone();
    fleet.take_measures();
    for (fleet, data) in [(&mut fleet, &measured), (&mut twin, &unmeasured)] {
        let mut engine = open(&options.zone, data, fleet)?;
        while let Some(messages) = fleet.day() {
            take(&mut engine, messages, fleet)?;
            step();
        }
        engine.settle()?;
    }
    let end = Millis(fleet.now_ms());
    let verified = [verified(&measured, &fleet)?, verified(&unmeasured, &twin)?];
    drop((fleet, twin));

    let (refused, judged) = claimed(&measured, &unmeasured, attempts, &wanted, Span { start: border, end })?;
    Ok(Trial { judged, refused, verified })
}

fn open(zone: &Path, data: &Path, fleet: &Unplugged) -> Result<Engine, TrialError> {
    let folder = zone_folder::load(zone).map_err(TrialError::Folder)?;
    let profile = folder.zone.profile();
    if profile.clock != ClockMode::Feed {
        return Err(TrialError::WallClock { zone: profile.id.to_string() });
    }
    Ok(Engine::open(data, folder.zone, (folder.factors, folder.tariff), folder.alert_rules, Millis(fleet.now_ms()))?)
}

/// A day is one batch, as in a demo's history. The wall clock is the fleet's: the same seed gives the same bytes.
fn take(engine: &mut Engine, messages: Vec<Message>, fleet: &Unplugged) -> Result<(), TrialError> {
    for Message { topic, payload } in messages {
        engine.apply(&topic, &payload, Millis(fleet.now_ms()))?;
    }
    engine.commit()?;
    Ok(())
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
) -> Result<(Refused, Vec<Judged>), TrialError> {
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
    let mut judged = Vec::new();
    for claim in claims {
        let (load, kwh_per_unit) = (claim.baseline.load, claim.baseline.vintage.kwh_per_unit);
        let kwh = |ledger| Ok::<f64, StoreError>(savings::metered(ledger, load, reporting)? as f64 * kwh_per_unit);
        let claimed = figures::Figure::sum(claim.figures.values()).energy.unwrap_or_default();
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
    Ok((refused, judged))
}
