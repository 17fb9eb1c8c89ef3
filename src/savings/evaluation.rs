//! Savings of a case: fits the baseline, screens it, and holds the reporting period against it.
//!
//! Only hours with a reading and all inputs are counted, in the counterfactual as in the metered energy, so a gap is neither a saving nor a
//! loss. Invariant: all figures are finite.

use serde::{Deserialize, Serialize};

use super::case::{Case, Driver};
use super::events::{self, Residual, Shift, strongest_shift};
use super::hours::{Hour, Inputs, hours};
use super::model::{Baseline, Training};
use super::sufficiency::{DAYS_BEYOND_MIN, MONTHS_MIN, MONTHS_OF_A_YEAR, full_months, is_enough, possible_from};
use super::uncertainty::{Noise, Seasons, Stretch};
use crate::domain::units::Millis;

/// Share of the reporting period's metered hours that must have all inputs: the rest might be the very hours that matter.
const REPORTING_COVERAGE_MIN: f64 = 0.5;
/// A mean load below this share of the mean magnitude is no yardstick: photovoltaics have balanced it away.
const MEAN_SHARE_MIN: f64 = 1e-6;

/// Days of the baseline that are kept.
const LAST_DAYS: usize = 90;
const HOURS_PER_DAY: usize = 24;
/// So many days earlier a shift may seem to begin than it does.
const SUN_TOLERANCE_DAYS: i64 = 7;

/// Why no savings are claimed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "the baseline has {full} full months of readings with all inputs (nine days of ten, with two thirds of their hours), wanted {MONTHS_MIN} and {DAYS_BEYOND_MIN} days; \
         baseline building, possible from {possible_from} on if readings go on"
    )]
    BaselineBuilding { full: i64, possible_from: String },
    #[error("nothing was used in any hour of the baseline, so nobody knows what use depends on; choose a baseline that has seen some")]
    NothingUsed,
    #[error("there is no temperature in the baseline; wanted one for each hour")]
    NoTemperature,
    #[error(
        "driver {driver} is missing in {missing} of {metered} metered hours of the {period} period; complete it or leave the driver out"
    )]
    DriverMissing { driver: String, missing: usize, metered: usize, period: &'static str },
    #[error(
        "driver {driver} never varies in the baseline but does in the reporting period, so nobody knows what it takes; \
         choose a baseline that has seen it, or leave the driver out"
    )]
    DriverUnseen { driver: String },
    #[error(
        "the reporting period has {usable} hours with all inputs of {metered} with a reading, wanted at least half; complete the inputs"
    )]
    ReportingInputs { usable: usize, metered: usize },
    #[error("the reporting period has no reading; wait for some")]
    NothingReported,
    #[error("the baseline's equations have no finite answer; check the readings and inputs for absurd values")]
    Unsolvable,
}

/// Root mean square and mean of residuals as fractions of the mean load (CV(RMSE) and NMBE of ASHRAE Guideline 14, 2014, without its
/// correction for parameters, which a ridge has no count of).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub cv_rmse: f64,
    pub nmbe: f64,
}

/// How well the baseline explains its own year. `None` where the mean load is nothing and no yardstick.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Of the hours that the fit saw, as the guideline and other models' figures have it.
    pub fitted: Option<Spread>,
    /// Of hours that the fit did not see: the honest ones.
    pub cross_validated: Option<Spread>,
    pub hours_used: usize,
    /// Hours of the baseline without a reading.
    pub hours_unmetered: usize,
    /// Hours with a reading but without all inputs.
    pub hours_unexplained: usize,
}

/// A fitted baseline: all that a prediction, its interval and a report need. Frozen: nothing changes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    pub inputs: Inputs,
    pub drivers: Vec<String>,
    pub baseline: Baseline,
    pub noise: Noise,
    pub quality: Quality,
    pub provisional: bool,
    /// A shift within the baseline itself.
    pub shift: Option<Shift>,
    /// Its last days: what a shift soon after them stands out from.
    pub last_days: Vec<events::Day>,
}

/// One hour of the reporting period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReportedHour {
    pub at: Millis,
    pub baseline_kwh: f64,
    pub metered_kwh: Option<f64>,
}

/// Savings and their band up to the end of a local day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Day {
    pub end: Millis,
    pub baseline_kwh: f64,
    pub metered_kwh: f64,
    pub savings_so_far_kwh: f64,
    pub half_width_so_far_kwh: f64,
}

#[derive(Clone, Debug)]
pub struct Evaluation {
    pub counterfactual_kwh: f64,
    pub metered_kwh: f64,
    pub half_width_kwh: f64,
    /// The strongest shift of the reporting period. The claim ends before photovoltaics begin.
    pub shift: Option<Shift>,
    /// Hours that are colder or warmer than the baseline's range, and are taken as its end.
    pub beyond_temperature: usize,
    /// Drivers that were beyond all that the baseline has seen, and in how many hours: there the prediction follows a straight line on.
    pub extrapolated: Vec<(String, usize)>,
    pub hours: Vec<ReportedHour>,
    pub days: Vec<Day>,
}

impl Evaluation {
    #[must_use]
    pub fn savings_kwh(&self) -> f64 {
        self.counterfactual_kwh - self.metered_kwh
    }

    /// Per cent of the adjusted baseline's magnitude, so that less of an export is no saving; `None` when that is nothing.
    #[must_use]
    pub fn savings_pct(&self) -> Option<f64> {
        let pct = 100.0 * self.savings_kwh() / self.counterfactual_kwh.abs();
        pct.is_finite().then_some(pct)
    }
}

/// Fits the baseline of a case.
pub fn fit(case: &Case) -> Result<Fitted, Refusal> {
    let baseline_slots = case.slots(case.periods.baseline);
    let inputs = Inputs::of(case).ok_or(Refusal::NoTemperature)?;
    check_drivers(case)?;
    let hours = hours(case, &inputs);
    let usable: Vec<bool> = hours.iter().zip(&case.meter_kwh).map(|(hour, metered)| hour.is_some() && metered.is_some()).collect();
    let full = full_months(case, &usable);
    if !is_enough(case, full) {
        return Err(Refusal::BaselineBuilding { full, possible_from: possible_from(case, full) });
    }
    let provisional = full < MONTHS_OF_A_YEAR;
    let (used, metered_kwh): (Vec<&Hour>, Vec<f64>) =
        baseline_slots.clone().filter_map(|slot| Some((hours[slot].as_ref()?, case.meter_kwh[slot]?))).unzip();
    if metered_kwh.iter().all(|kwh| *kwh == 0.0) {
        return Err(Refusal::NothingUsed);
    }
    let training = Training { hours: &used, metered_kwh: &metered_kwh, a_year: !provisional };
    let (baseline, residuals) = Baseline::fit(training).map_err(|_| Refusal::Unsolvable)?;
    let weeks: Vec<i64> = used.iter().map(|hour| hour.moment.week).collect();
    let noise = Noise::of(&residuals.cross_validated_kwh, &weeks, provisional, &residuals.influence_kwh);
    let predicted_kwh = metered_kwh.iter().zip(&residuals.fitted_kwh).map(|(metered_kwh, residual_kwh)| metered_kwh - residual_kwh);
    let load_square_kwh2 = predicted_kwh.map(|kwh| kwh * kwh).sum::<f64>() / used.len() as f64;
    let noise = Noise { load_square_kwh2, seasons: if provisional { Some(seasons(training)?) } else { None }, ..noise };
    let metered_hours = case.meter_kwh[baseline_slots.clone()].iter().flatten().count();
    let quality = Quality {
        fitted: spread(&metered_kwh, &residuals.fitted_kwh),
        cross_validated: spread(&metered_kwh, &residuals.cross_validated_kwh),
        hours_used: used.len(),
        hours_unmetered: baseline_slots.len() - metered_hours,
        hours_unexplained: metered_hours - used.len(),
    };
    // The pooled level has no months: the full model would learn a lasting shift by heart and show none.
    let left_over: Vec<Residual> = used
        .iter()
        .zip(&metered_kwh)
        .zip(&residuals.pooled_kwh)
        .map(|((hour, metered_kwh), &residual_kwh)| Residual {
            moment: &hour.moment,
            baseline_kwh: metered_kwh - residual_kwh,
            residual_kwh,
        })
        .collect();
    let shift = strongest_shift(&left_over, &noise);
    let frozen: Vec<Residual> = left_over
        .iter()
        .zip(&residuals.fitted_kwh)
        .zip(&metered_kwh)
        .map(|((hour, &residual_kwh), metered_kwh)| Residual { baseline_kwh: metered_kwh - residual_kwh, residual_kwh, ..*hour })
        .collect();
    let mut last_days = events::days(&frozen);
    last_days.drain(..last_days.len().saturating_sub(LAST_DAYS));
    let drivers = case.drivers.iter().map(|driver| driver.name.clone()).collect();
    Ok(Fitted { inputs, drivers, baseline, noise, quality, provisional, shift, last_days })
}

/// What is known of seasons that less than a year has not seen: the mean error of each outer third, predicted from the rest, over how far in the middle of it
/// its days lie from them; the worse of the two.
fn seasons(training: Training<'_>) -> Result<Seasons, Refusal> {
    let Training { hours, metered_kwh, a_year } = training;
    let third = hours.len() / 3;
    let (inner, outer) = (third..hours.len(), 0..third);
    let mut seasons = Seasons { first_day: hours[0].moment.day, last_day: hours[hours.len() - 1].moment.day, kwh_per_day_beyond: 0.0 };
    let last = hours.len() - third;
    for (seen, unseen) in [(inner, outer), (0..last, last..hours.len())] {
        let training = Training { hours: &hours[seen.clone()], metered_kwh: &metered_kwh[seen], a_year };
        let (baseline, _) = Baseline::fit(training).map_err(|_| Refusal::Unsolvable)?;
        let (hours, metered_kwh) = (&hours[unseen.clone()], &metered_kwh[unseen]);
        let errors = hours.iter().zip(metered_kwh).map(|(hour, metered_kwh)| metered_kwh - baseline.predict_kwh(hour));
        let days = (hours[hours.len() - 1].moment.day - hours[0].moment.day + 1) as f64;
        let per_day = mean(&errors.collect::<Vec<_>>()).abs() / (days / 2.0);
        seasons.kwh_per_day_beyond = seasons.kwh_per_day_beyond.max(per_day);
    }
    Ok(seasons)
}

/// Without a driver the model would fit well and judge wrongly, so its gaps are never passed over in silence.
fn check_drivers(case: &Case) -> Result<(), Refusal> {
    let share_missing_max = 0.1;
    for (period, span) in [("baseline", case.periods.baseline), ("reporting", case.periods.reporting)] {
        for driver in &case.drivers {
            let slots = case.slots(span);
            let metered = slots.clone().filter(|&slot| case.meter_kwh[slot].is_some());
            let missing = metered.clone().filter(|&slot| driver.quantity[slot].is_none()).count();
            let metered = metered.count();
            if share_missing_max * (metered as f64) < missing as f64 {
                return Err(Refusal::DriverMissing { driver: driver.name.clone(), missing, metered, period });
            }
        }
    }
    let unseen = |driver: &&Driver| seen(case, driver).is_some_and(|(low, high)| low >= high) && beyond(case, driver) > 0;
    match case.drivers.iter().find(unseen) {
        Some(driver) => Err(Refusal::DriverUnseen { driver: driver.name.clone() }),
        None => Ok(()),
    }
}

/// The lowest and the highest that the baseline has seen of a driver.
fn seen(case: &Case, driver: &Driver) -> Option<(f64, f64)> {
    let values = driver.quantity[case.slots(case.periods.baseline)].iter().flatten();
    values.fold(None, |range, &value| Some(range.map_or((value, value), |(low, high): (f64, f64)| (low.min(value), high.max(value)))))
}

/// Hours of the reporting period with more or less of a driver than that.
fn beyond(case: &Case, driver: &Driver) -> usize {
    let Some((low, high)) = seen(case, driver) else { return 0 };
    let reported = driver.quantity[case.slots(case.periods.reporting)].iter().flatten();
    reported.filter(|&&value| value < low || high < value).count()
}

/// Hours of the reporting period that are colder or warmer than the range that a baseline can tell apart.
fn beyond_temperature(case: &Case, inputs: &Inputs) -> usize {
    let reported = case.temperature_c[case.slots(case.periods.reporting)].iter().flatten();
    reported.filter(|&&celsius| celsius < inputs.range.low_c || inputs.range.high_c < celsius).count()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn spread(metered_kwh: &[f64], residuals_kwh: &[f64]) -> Option<Spread> {
    let mean_kwh = mean(metered_kwh);
    let magnitude_kwh = metered_kwh.iter().map(|kwh| kwh.abs()).sum::<f64>() / metered_kwh.len().max(1) as f64;
    let square = residuals_kwh.iter().map(|residual| residual * residual).sum::<f64>() / residuals_kwh.len().max(1) as f64;
    let spread = Spread { cv_rmse: square.sqrt() / mean_kwh.abs(), nmbe: mean(residuals_kwh) / mean_kwh };
    (MEAN_SHARE_MIN * magnitude_kwh < mean_kwh.abs()).then_some(spread)
}

impl Fitted {
    /// Adds an hour and what was predicted for it to a stretch.
    pub fn add(&self, hour: &Hour, predicted_kwh: f64, stretch: &mut Stretch) {
        self.baseline.add_row(hour, &mut stretch.row_sum);
        stretch.hours += 1;
        stretch.magnitude_kwh += predicted_kwh.abs();
        stretch.square_kwh2 += predicted_kwh * predicted_kwh;
        stretch.days_beyond += self.noise.seasons.map_or(0.0, |seasons| seasons.days_beyond(hour.moment.day));
    }

    /// Holds the reporting period against the baseline.
    pub fn evaluate(&self, case: &Case) -> Result<Evaluation, Refusal> {
        let slots = case.slots(case.periods.reporting);
        let hours = hours(case, &self.inputs);
        let metered = case.meter_kwh[slots.clone()].iter().flatten().count();
        let reported: Vec<(&Hour, ReportedHour)> = slots
            .filter_map(|slot| {
                let hour = hours[slot].as_ref()?;
                let baseline_kwh = self.baseline.predict_kwh(hour);
                Some((hour, ReportedHour { at: case.at(slot), baseline_kwh, metered_kwh: case.meter_kwh[slot] }))
            })
            .collect();
        let counted: Vec<Counted> = reported.iter().filter_map(|(hour, reported)| Counted::of(hour, reported)).collect();
        if metered == 0 {
            return Err(Refusal::NothingReported);
        }
        if (counted.len() as f64) < REPORTING_COVERAGE_MIN * metered as f64 || counted.is_empty() {
            return Err(Refusal::ReportingInputs { usable: counted.len(), metered });
        }
        if counted.iter().any(|hour| !hour.baseline_kwh.is_finite()) {
            return Err(Refusal::Unsolvable);
        }
        let shift = self.shift_of(case, &hours, &counted);
        let sun_from = shift.as_ref().and_then(Shift::photovoltaics_from);
        let claimed = counted.partition_point(|counted| sun_from.is_none_or(|first_day| counted.hour.moment.day < first_day));
        let days = self.days(&counted[..claimed]);
        Ok(Evaluation {
            counterfactual_kwh: counted[..claimed].iter().map(|counted| counted.baseline_kwh).sum(),
            metered_kwh: counted[..claimed].iter().map(|counted| counted.metered_kwh).sum(),
            half_width_kwh: days.last().map_or(0.0, |day| day.half_width_so_far_kwh),
            shift,
            beyond_temperature: beyond_temperature(case, &self.inputs),
            extrapolated: case
                .drivers
                .iter()
                .map(|driver| (driver.name.clone(), beyond(case, driver)))
                .filter(|(_, hours)| *hours > 0)
                .collect(),
            hours: reported.into_iter().map(|(_, hour)| hour).collect(),
            days,
        })
    }

    /// The strongest shift of the reported hours; or else photovoltaics that came with them or soon after, which only the baseline's last days tell.
    fn shift_of(&self, case: &Case, hours: &[Option<Hour>], counted: &[Counted]) -> Option<Shift> {
        let reported: Vec<Residual> = counted.iter().map(Counted::residual).collect();
        let shift = strongest_shift(&reported, &self.noise);
        if shift.as_ref().is_some_and(|shift| shift.photovoltaics_from().is_some()) {
            return shift;
        }
        let last = case.slots(case.periods.baseline).rev().filter_map(|slot| {
            let (hour, metered_kwh) = (hours[slot].as_ref()?, case.meter_kwh[slot]?);
            Some(Counted { hour, at: case.at(slot), baseline_kwh: self.baseline.predict_kwh(hour), metered_kwh })
        });
        let mut both: Vec<Residual> = last.take(LAST_DAYS * HOURS_PER_DAY).map(|counted| counted.residual()).collect();
        both.reverse();
        both.extend(reported);
        let first_day = counted[0].hour.moment.day;
        let came_with_it = |shift: &Shift| shift.photovoltaics_from().is_some_and(|from| first_day - SUN_TOLERANCE_DAYS <= from);
        strongest_shift(&both, &self.noise)
            .filter(came_with_it)
            .map(|sun| Shift { first_day: sun.first_day.max(first_day), ..sun })
            .or(shift)
    }

    fn days(&self, counted: &[Counted]) -> Vec<Day> {
        let mut stretch = Stretch::default();
        let mut savings_kwh = 0.0;
        let same_day = counted.chunk_by(|a, b| a.hour.moment.day == b.hour.moment.day);
        same_day
            .map(|hours| {
                for counted in hours {
                    self.add(counted.hour, counted.baseline_kwh, &mut stretch);
                }
                let baseline_kwh = hours.iter().map(|counted| counted.baseline_kwh).sum::<f64>();
                let metered_kwh = hours.iter().map(|counted| counted.metered_kwh).sum::<f64>();
                savings_kwh += baseline_kwh - metered_kwh;
                Day {
                    end: hours[hours.len() - 1].at,
                    baseline_kwh,
                    metered_kwh,
                    savings_so_far_kwh: savings_kwh,
                    half_width_so_far_kwh: self.noise.half_width_kwh(&stretch),
                }
            })
            .collect()
    }
}

/// An hour of the reporting period with a prediction and a reading.
struct Counted<'a> {
    hour: &'a Hour,
    at: Millis,
    baseline_kwh: f64,
    metered_kwh: f64,
}

impl<'a> Counted<'a> {
    fn residual(&self) -> Residual<'a> {
        Residual { moment: &self.hour.moment, baseline_kwh: self.baseline_kwh, residual_kwh: self.metered_kwh - self.baseline_kwh }
    }

    fn of(hour: &'a Hour, reported: &ReportedHour) -> Option<Self> {
        Some(Self { hour, at: reported.at, baseline_kwh: reported.baseline_kwh, metered_kwh: reported.metered_kwh? })
    }
}
