//! What a wish may become: limits, comfort, dwell, rate of change, an operator's hand, an operator's stop.
//!
//! Never sends and never remembers. Invariant: what is passed lies within the asset's limits, whoever wishes.

use std::fmt;

use crate::domain::assets::{Asset, Band};
use crate::domain::units::{HOUR_MS, Millis};

/// Set points are cut to hundredths of their unit, so that what is sent, stored and heard again is the same number.
const STEPS_PER_UNIT: f64 = 100.0;

/// Where an asset's set point stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// What is commanded; none where the asset follows its plan.
    pub value: Option<f64>,
    /// When that last changed, if it ever did.
    pub changed: Option<Millis>,
}

/// What people have said about an asset.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hand {
    /// The whole regulation is stopped.
    pub stopped: bool,
    /// A person holds the asset at this set point, until then.
    pub holds: Option<(f64, Millis)>,
}

/// Why a wish goes no further.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refused {
    NotANumber,
    Stopped,
    Held { value: f64, until: Millis },
    Dwells { until: Millis },
    OutsideOfLimits(Band),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refused::NotANumber => write!(f, "the set point is no number"),
            Refused::Stopped => write!(f, "an operator has stopped the regulation; `nengtan regulate resume` lets it go on"),
            Refused::Held { value, until } => {
                write!(f, "an operator holds it at {value} until {} ms; `nengtan regulate release` lets go of it", until.0)
            }
            Refused::Dwells { until } => write!(f, "it was changed less than its dwell time ago; it may change again at {} ms", until.0),
            Refused::OutsideOfLimits(Band { min, max }) => write!(f, "the set point is outside of the asset's limits, {min} to {max}"),
        }
    }
}

/// What a strategy's wish becomes: a set point, and by what it was changed.
pub fn strategy(
    asset: &Asset,
    wish: f64,
    (standing, hand, in_use): (Standing, Hand, bool),
    now: Millis,
) -> Result<(f64, Option<&'static str>), Refused> {
    if !wish.is_finite() {
        return Err(Refused::NotANumber);
    }
    if hand.stopped {
        return Err(Refused::Stopped);
    }
    if let Some((value, until)) = hand.holds.filter(|(_, until)| now < *until) {
        return Err(Refused::Held { value, until });
    }
    let band = asset.band(in_use);
    let mut value = band.nearest(wish);
    let mut changed_by = (!band.contains(wish)).then_some(if in_use { "comfort band" } else { "limits" });
    if let (Some(rate_per_h), Some(from)) = (asset.rate_per_h, standing.value.or(asset.normal)) {
        let hours = standing.changed.map_or(1.0, |changed| (now.ms_since(changed) as f64 / HOUR_MS as f64).clamp(0.0, 1.0));
        let reach = Band { min: from - rate_per_h * hours, max: from + rate_per_h * hours };
        if !reach.contains(value) {
            (value, changed_by) = (reach.nearest(value), Some("rate of change"));
        }
    }
    // Cut to the inside of the limits: the nearest step may lie beyond one that is finer.
    value = asset.limits.nearest((value * STEPS_PER_UNIT).round() / STEPS_PER_UNIT);
    if standing.value != Some(value) {
        dwell(asset, standing, now)?;
    }
    Ok((value, changed_by))
}

/// Whether a strategy may give the asset back to its plan.
pub fn release(asset: &Asset, standing: Standing, hand: Hand, now: Millis) -> Result<(), Refused> {
    match hand.holds.filter(|(_, until)| now < *until) {
        Some((value, until)) => Err(Refused::Held { value, until }),
        None => dwell(asset, standing, now),
    }
}

/// What a person's wish becomes: people are held to the limits only.
pub fn person(asset: &Asset, wish: f64) -> Result<f64, Refused> {
    if !wish.is_finite() {
        return Err(Refused::NotANumber);
    }
    if asset.limits.contains(wish) { Ok(wish) } else { Err(Refused::OutsideOfLimits(asset.limits)) }
}

fn dwell(asset: &Asset, standing: Standing, now: Millis) -> Result<(), Refused> {
    match standing.changed.map(|changed| changed.plus_ms(asset.dwell_ms)).filter(|until| now < *until) {
        Some(until) => Err(Refused::Dwells { until }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::assets::tests::asset;

    const NOW: Millis = Millis(100 * HOUR_MS);

    fn ago(minutes: i64) -> Millis {
        NOW.plus_ms(-minutes * 60_000)
    }

    #[test]
    fn a_wish_is_held_to_what_may_be() {
        let plan = Standing::default();
        let slow = Asset { rate_per_h: Some(1.0), normal: Some(22.0), ..asset() };
        let fine = Asset { limits: Band { min: 18.004, max: 18.004 }, ..asset() };
        let at = |value, minutes| Standing { value: Some(value), changed: Some(ago(minutes)) };
        let cases = [
            ("within comfort it passes", asset(), 21.0, plan, true, (21.0, None)),
            ("comfort holds in use", asset(), 30.0, plan, true, (26.0, Some("comfort band"))),
            ("limits hold out of use", asset(), 30.0, plan, false, (28.0, Some("limits"))),
            ("hundredths are enough", asset(), 21.006, plan, true, (21.01, None)),
            ("and never leave the limits", fine, 21.0, plan, false, (18.004, Some("limits"))),
            ("the first step counts from the plan", slow.clone(), 20.0, plan, true, (21.0, Some("rate of change"))),
            ("an hour later the next", slow.clone(), 20.0, at(21.0, 60), true, (20.0, None)),
            ("a long rest allows no leap", slow, 20.0, at(26.0, 900), true, (25.0, Some("rate of change"))),
            ("what stands may be said again at any time", asset(), 21.0, at(21.0, 1), true, (21.0, None)),
        ];
        for (claim, asset, wish, standing, in_use, wanted) in cases {
            assert_eq!(strategy(&asset, wish, (standing, Hand::default(), in_use), NOW), Ok(wanted), "{claim}");
        }
    }

    #[test]
    fn a_wish_is_refused_with_its_reason() {
        let stopped = Hand { stopped: true, ..Hand::default() };
        let held = Hand { holds: Some((25.0, NOW.plus_ms(1))), ..Hand::default() };
        let over = Hand { holds: Some((25.0, NOW)), ..Hand::default() };
        let fresh = Standing { value: Some(22.0), changed: Some(ago(59)) };
        let cases = [
            ("no number", f64::NAN, Standing::default(), Hand::default(), Some(Refused::NotANumber)),
            ("stopped", 21.0, Standing::default(), stopped, Some(Refused::Stopped)),
            ("a person holds it", 21.0, Standing::default(), held, Some(Refused::Held { value: 25.0, until: NOW.plus_ms(1) })),
            ("the person's time is up", 21.0, Standing::default(), over, None),
            ("too soon", 21.0, fresh, Hand::default(), Some(Refused::Dwells { until: NOW.plus_ms(60_000) })),
        ];
        for (claim, wish, standing, hand, wanted) in cases {
            assert_eq!(strategy(&asset(), wish, (standing, hand, true), NOW).err(), wanted, "{claim}");
        }
        assert_eq!(release(&asset(), fresh, Hand::default(), NOW), Err(Refused::Dwells { until: NOW.plus_ms(60_000) }));
        assert_eq!(release(&asset(), Standing { changed: Some(ago(60)), ..fresh }, Hand::default(), NOW), Ok(()));
    }

    #[test]
    fn people_are_held_to_the_limits_only() {
        assert_eq!(person(&asset(), 27.5), Ok(27.5));
        assert_eq!(person(&asset(), 28.01), Err(Refused::OutsideOfLimits(asset().limits)));
        assert_eq!(person(&asset(), f64::INFINITY), Err(Refused::NotANumber));
    }

    /// Whatever is asked, in whatever state: what comes out is within the limits, and changes neither too soon nor too much.
    #[test]
    fn no_wish_leaves_the_limits() {
        let mut state = 7_u64;
        let mut draw = |from: f64, to: f64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            from + (to - from) * ((state >> 11) as f64 / (1_u64 << 53) as f64)
        };
        let mut passed = 0;
        for _ in 0..20_000 {
            let rate_per_h = draw(0.05, 4.0);
            let asset = Asset { rate_per_h: Some(rate_per_h), ..asset() };
            let (value, minutes) = (draw(18.0, 28.0), draw(0.0, 180.0) as i64);
            let standing = Standing { value: Some(value), changed: Some(ago(minutes)) };
            let in_use = draw(0.0, 1.0) < 0.5;
            if let Ok((passed_value, _)) = strategy(&asset, draw(-100.0, 100.0), (standing, Hand::default(), in_use), NOW) {
                passed += 1;
                assert!(asset.limits.contains(passed_value), "{passed_value}");
                assert!((passed_value - value).abs() <= rate_per_h + 0.01, "from {value} to {passed_value} at {rate_per_h} an hour");
                assert!(60 <= minutes || (passed_value - value).abs() < 1e-9, "changed after {minutes} min");
            }
        }
        assert!(10_000 < passed, "{passed} passed");
    }
}
