//! `nengtan rank`: the entities where saving pays most, and why.
//!
//! Reads a ledger and never writes. Subjects are the entities right below the zone, each with all below it, so that no use is counted twice by its own
//! parent. Invariant: what is called avoidable is an excess over a frozen baseline or over the median of its kind, times how sure that is; size alone
//! never makes it.

mod avoidable;
mod meters;
mod profile;
mod tally;

use rusqlite::Connection;

use crate::claims::ClaimError;
use crate::domain::calendar::Span;
use crate::domain::units::Millis;
use crate::report::subject::{Subject, subjects, topmost};
use crate::report::{last_hour, rolling_year};
use crate::show::books::names;
use crate::show::{Selection, ShowError};
use crate::store::StoreError;
use crate::store::read::{Cell, Table};
use crate::wire::encode::rfc3339;
use avoidable::{Avoidable, Excess, Intensity};
use meters::Leading;
use profile::Profile;
use tally::Tally;

#[derive(Debug, thiserror::Error)]
pub enum RankError {
    #[error(transparent)]
    Show(#[from] ShowError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

impl From<rusqlite::Error> for RankError {
    fn from(error: rusqlite::Error) -> RankError {
        RankError::Show(error.into())
    }
}

impl From<StoreError> for RankError {
    fn from(error: StoreError) -> RankError {
        RankError::Show(error.into())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// Standard coal by heat content.
    Energy,
    /// Location-based, of what is metered.
    Carbon,
    /// What the tariff prices.
    Cost,
    /// Excess over baseline or benchmark × factor × confidence.
    Avoidable,
}

/// One entity of the ranking.
struct Candidate {
    subject: Subject,
    kind: String,
    tally: Tally,
    class: &'static str,
    profile: Profile,
    excess: Option<Excess>,
    intensity: Option<Intensity>,
    avoidable: Avoidable,
    leading: Option<Leading>,
}

impl Candidate {
    fn value(&self, by: By) -> Option<f64> {
        match by {
            By::Energy => Some(self.tally.tce_calorific()),
            By::Carbon => Some(self.tally.t_co2e()),
            By::Cost => self.tally.cny(),
            By::Avoidable => Some(self.avoidable.t_co2e),
        }
    }
}

const COLUMNS: [&str; 27] = [
    "rank",
    "entity",
    "name_en",
    "name_zh",
    "kind",
    "reason",
    "share_pct",
    "cumulative_pct",
    "tce_calorific",
    "tce_primary",
    "t_co2e_location",
    "cost_cny",
    "avoidable_t_co2e",
    "confidence",
    "key_class",
    "intensity",
    "intensity_unit",
    "benchmark",
    "benchmark_peers",
    "excess_over_baseline_pct",
    "night_load_ratio",
    "rest_day_load_ratio",
    "peak_share",
    "measured_share",
    "leading_meter",
    "from",
    "to",
];

/// The entities in order, the first where saving pays most. The period is the rolling year unless the selection names one; it is widened to whole local days.
pub fn rank(ledger: &Connection, selection: &Selection, by: By) -> Result<Table, RankError> {
    let mut wanted = selection.resolve(ledger)?;
    let rolling = rolling_year(&mut wanted.calendar, last_hour(ledger)?.ok_or(ShowError::NoDataYet)?);
    let rolling = Span { start: rolling.0, end: rolling.1 };
    let start = wanted.from.map_or(rolling.start, |from| wanted.calendar.day(from).start);
    let end = wanted.to.map_or(rolling.end, |to| wanted.calendar.day(to.plus_ms(-1)).end);
    let period = Span { start, end };
    if end <= start {
        let [from, last] = [start, end].map(|at| rfc3339(at, &wanted.time_zone));
        return Err(ShowError::BehindTheLast { from, last }.into());
    }
    let zone: i64 = ledger.query_row("SELECT id FROM entity_row WHERE entity = ?1", [&wanted.zone], |row| row.get(0))?;
    let found: Vec<(String, Subject)> = topmost(subjects(ledger, zone)?).map(|(_, kind, subject)| (kind, subject)).collect();
    let uses = tally::tallies(ledger, &found, period)?;
    let classes = tally::classes(ledger, &tally::tallies(ledger, &found, rolling)?, &found)?;
    let profiles = profile::profiles(ledger, &found, period, &mut wanted.calendar)?;
    let excesses = avoidable::excesses(ledger, &found, period)?;
    let intensities = avoidable::intensities(&found, &uses);
    let leading = meters::leading(ledger, &found, period, by == By::Avoidable, &excesses)?;
    let candidate = |(index, (kind, subject)): (usize, (String, Subject))| Candidate {
        avoidable: Avoidable::of(&uses[index], excesses[index].as_ref(), intensities[index].as_ref()),
        subject,
        kind,
        tally: uses[index].clone(),
        class: classes[index],
        profile: profiles[index],
        excess: excesses[index].clone(),
        intensity: intensities[index].clone(),
        leading: leading[index].clone(),
    };
    let mut candidates: Vec<Candidate> = found.into_iter().enumerate().map(candidate).collect();
    // Entities without any use, and with it without a place, come last in the zone's order.
    candidates.sort_by(|a, b| b.value(by).unwrap_or(f64::MIN).total_cmp(&a.value(by).unwrap_or(f64::MIN)));
    let sum: f64 = candidates.iter().filter_map(|candidate| candidate.value(by)).filter(|value| *value > 0.0).sum();
    let names = names(ledger)?;
    let mut table = Table::new(&COLUMNS);
    let mut cumulative = 0.0;
    for (place, candidate) in candidates.iter().enumerate() {
        let value = candidate.value(by).filter(|value| *value > 0.0);
        let share = value.map(|value| 100.0 * value / sum);
        cumulative += share.unwrap_or(0.0);
        if !candidate.subject.rows.iter().any(|row| wanted.wants(*row)) {
            continue;
        }
        let (name_en, name_zh) = names
            .values()
            .find(|(id, ..)| *id == candidate.subject.id)
            .map_or((Cell::Null, Cell::Null), |(_, en, zh)| (en.as_str().into(), zh.as_str().into()));
        let tally = &candidate.tally;
        let intensity = candidate.intensity.as_ref();
        table.rows.push(vec![
            count(place + 1),
            candidate.subject.id.as_str().into(),
            name_en,
            name_zh,
            candidate.kind.as_str().into(),
            reason(candidate, share, by).into(),
            share.into(),
            share.map(|_| cumulative).into(),
            Cell::Real(tally.tce_calorific()),
            Cell::Real(tally.tce_primary()),
            Cell::Real(tally.t_co2e()),
            tally.cny().into(),
            Cell::Real(candidate.avoidable.t_co2e),
            candidate.avoidable.confidence.into(),
            candidate.class.into(),
            intensity.map(|intensity| intensity.value).into(),
            intensity.map_or(Cell::Null, |intensity| intensity.unit.into()),
            intensity.and_then(|intensity| intensity.benchmark).into(),
            intensity.map_or(Cell::Null, |intensity| count(intensity.peers)),
            candidate.excess.as_ref().and_then(Excess::pct).into(),
            candidate.profile.night_ratio().into(),
            candidate.profile.rest_day_ratio().into(),
            tally.peak_share().into(),
            tally.measured_share().into(),
            candidate.leading.as_ref().map_or(Cell::Null, |leading| leading.meter.as_str().into()),
            rfc3339(period.start, &wanted.time_zone).into(),
            rfc3339(period.end, &wanted.time_zone).into(),
        ]);
    }
    Ok(table)
}

/// Nights that draw at least this part of working hours' load are worth a look.
const HIGH_NIGHT: f64 = 0.6;
/// Rest days that draw at least this part of workdays' load, in the same hours.
const HIGH_REST_DAY: f64 = 0.8;

/// Why an entity has its place, in one line: what is asked for first, then what is remarkable about it.
fn reason(candidate: &Candidate, share: Option<f64>, by: By) -> String {
    let what = match by {
        By::Energy => "energy",
        By::Carbon => "carbon",
        By::Cost => "cost",
        By::Avoidable => "avoidable carbon",
    };
    let mut parts = Vec::new();
    match (share, by) {
        (Some(share), _) => parts.push(format!("{share:.1} % of {what}")),
        (None, By::Cost) if candidate.tally.cny().is_none() => parts.push("no price holds".to_owned()),
        (None, _) => parts.push(format!("no {what}")),
    }
    if let Some((excess, pct)) = candidate.excess.as_ref().and_then(|excess| Some((excess, excess.pct()?))) {
        let (low, high) = excess.interval_pct();
        let side = if pct < 0.0 { "below" } else { "above" };
        parts.push(format!("{:.1} % {side} its baseline (90 % interval {low:+.1} to {high:+.1} %)", pct.abs()));
    }
    if let Some((intensity, benchmark)) = candidate.intensity.as_ref().and_then(|intensity| Some((intensity, intensity.benchmark?))) {
        parts.push(format!("{:.1} times the median of {} {}", intensity.value / benchmark, intensity.peers, candidate.kind));
    }
    if let Some(night) = candidate.profile.night_ratio().filter(|ratio| HIGH_NIGHT <= *ratio) {
        parts.push(format!("nights at {:.0} % of working hours", 100.0 * night));
    }
    if let Some(rest) = candidate.profile.rest_day_ratio().filter(|ratio| HIGH_REST_DAY <= *ratio) {
        parts.push(format!("rest days at {:.0} % of workdays", 100.0 * rest));
    }
    if let Some(leading) = &candidate.leading {
        parts.push(leading.told());
    }
    parts.join("; ")
}

#[allow(clippy::cast_possible_wrap, reason = "a zone has fewer entities")]
fn count(number: usize) -> Cell {
    Cell::Integer(number as i64)
}

/// Sums by subject: which of them a row of an entity belongs to.
fn index_of(found: &[(String, Subject)]) -> rustc_hash::FxHashMap<i64, usize> {
    let of = |(index, (_, subject)): (usize, &(String, Subject))| subject.rows.iter().map(move |row| (*row, index)).collect::<Vec<_>>();
    found.iter().enumerate().flat_map(of).collect()
}

fn bounds(period: Span) -> [i64; 2] {
    let Span { start: Millis(start), end: Millis(end) } = period;
    [start, end]
}
