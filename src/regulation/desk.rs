//! The one command that each asset has, from its making to its end.
//!
//! Never sends by itself and never reads a clock; what has to be stored comes out as [`Move`]s. Invariants: a command's id is a function of the asset and the
//! time of the decision, a command goes out only while it is valid, and when its validity is over the asset is taken to be back at its plan.

use crate::domain::assets::{Asset, AssetKind, Mode};
use crate::domain::entity::named;
use crate::domain::units::{HOUR_MS, MINUTE_MS, Millis};

use super::guard::{self, Hand, Refused, Standing};
use super::rules::Wish;

/// How long a command holds. An asset that hears no more reverts to its plan after this time at most.
pub const VALIDITY_MS: i64 = 12 * HOUR_MS;
/// What is planned anew each hour is given no longer: users wait for what is withheld from them.
const VALIDITY_PLANNED_MS: i64 = 2 * HOUR_MS;
/// So long after its use begins or ends an asset still has the command of before: the next one is there by then.
const BEYOND_USE_MS: i64 = 15 * MINUTE_MS;
/// A command that goes on being wanted is renewed when this much of its validity is left and more can be given.
const RENEW_MS: i64 = HOUR_MS;
/// What an asset refused is asked again after this time.
const RETRY_MS: i64 = HOUR_MS;
/// A command without a result is sent again after this time.
pub const RESEND_MS: i64 = 15 * MINUTE_MS;
/// And after this time somebody is told.
pub const UNANSWERED_MS: i64 = 45 * MINUTE_MS;
/// A person may hold an asset for so long.
pub const HOLD_HOURS_MAX: i64 = 7 * 24;

named! {
    /// How far a command has come.
    Stage {
        /// Written down only (mode advise).
        Advised = "advised",
        /// Waits for a person (mode approve).
        Proposed = "proposed",
        /// Sent, or about to be; no result yet.
        Waiting = "waiting",
        Accepted = "accepted",
        Refused = "refused",
        /// Was written down or proposed, and is wanted no more.
        Withdrawn = "withdrawn",
    }
}

named! {
    /// Who asked.
    Asker {
        Rules = "rules",
        Operator = "operator",
    }
}

/// A command, in the asset's unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    pub id: String,
    /// None: back to the asset's own plan.
    pub value: Option<f64>,
    pub from: Millis,
    pub until: Millis,
    pub asker: Asker,
    pub reason: String,
    pub stage: Stage,
    /// When it was last sent by this process.
    pub sent: Option<Millis>,
}

/// An asset's place at the desk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    pub order: Option<Order>,
    /// When the commanded set point last changed.
    pub changed: Option<Millis>,
    /// A person holds it at this set point, until then.
    pub holds: Option<(f64, Millis)>,
    /// What a person said instead of the zone folder's mode.
    pub mode: Option<Mode>,
    /// Since when the alert of a missing result fires.
    pub unanswered: Option<Millis>,
}

/// Something that happened at the desk, to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// Empty for all of them.
    pub asset: String,
    pub at: Millis,
    /// Who asked, what, why, with which outcome: the audit log's entry.
    pub who: String,
    pub what: String,
    pub why: String,
    pub outcome: String,
    /// The command as it is from now on.
    pub order: Option<Order>,
    /// The asset's answer to it, if that is what happened.
    pub reply: Option<Reply>,
}

/// What an asset says to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// When it took it, by its own clock.
    Accepted { taken: Millis },
    /// With the cause.
    Refused(String),
}

/// How long a command of `now` may hold: its kind's validity, and not far beyond the next begin or end of the asset's use, in so many ms.
#[must_use]
pub fn valid_until(asset: &Asset, use_changes_in_ms: i64, now: Millis) -> Millis {
    let most_ms = match asset.kind {
        AssetKind::Battery | AssetKind::EvCharging | AssetKind::V2g | AssetKind::Batch => VALIDITY_PLANNED_MS,
        AssetKind::Hvac
        | AssetKind::Compressor
        | AssetKind::Boiler
        | AssetKind::Lighting
        | AssetKind::Ventilation
        | AssetKind::IndoorLighting
        | AssetKind::Cooling
        | AssetKind::ChilledWater
        | AssetKind::Auxiliary
        | AssetKind::HeatPump
        | AssetKind::Combustion => VALIDITY_MS,
    };
    now.plus_ms(most_ms.min(use_changes_in_ms.saturating_add(BEYOND_USE_MS)))
}

impl Place {
    /// What is commanded: advice and proposals move nothing, so the next step is counted from where the asset really is.
    #[must_use]
    pub fn standing(&self, now: Millis) -> Standing {
        let order = self.order.as_ref().filter(|order| matches!(order.stage, Stage::Waiting | Stage::Accepted) && now < order.until);
        Standing { value: order.and_then(|order| order.value), changed: self.changed }
    }

    #[must_use]
    pub fn mode(&self, asset: &Asset) -> Mode {
        self.mode.unwrap_or(asset.mode)
    }

    /// What a person has said about it.
    #[must_use]
    pub fn hand(&self, stopped: bool) -> Hand {
        Hand { stopped, holds: self.holds }
    }

    /// A strategy's decision at `now` about a command that holds up to `until`: nothing where all stays as it is. What is refused for the same reason again and again
    /// is silent.
    pub fn decide(
        &mut self,
        asset: &Asset,
        wish: Option<&Wish>,
        (stopped, in_use): (bool, bool),
        (now, until): (Millis, Millis),
    ) -> Option<Order> {
        let (standing, hand) = (self.standing(now), self.hand(stopped));
        if let Some((value, held)) = self.holds.filter(|(_, held)| now < *held) {
            let (reason, until) = (format!("an operator holds it until {} ms", held.0), until.min(held));
            let is_due = self.wants_renewal(Some(value), (now, until));
            return is_due.then(|| self.issue(asset, Some(value), (Asker::Operator, reason), (now, until)));
        }
        self.holds = None;
        let (ruled, reason) = match wish {
            Some(&Wish { value, reason }) => {
                (guard::strategy(asset, value, (standing, hand, in_use), now).map(|(value, by)| (Some(value), by)), reason)
            }
            None if standing.value.is_some() => {
                (guard::release(asset, standing, hand, now).map(|()| (None, None)), "its own plan is as good")
            }
            None => return self.withdraw(now),
        };
        let (value, changed_by) = match ruled {
            Ok(ruled) => ruled,
            // What stands is not given up because it may not change yet.
            Err(Refused::Dwells { .. }) if standing.value.is_some() => (standing.value, None),
            Err(_) => return None,
        };
        if !self.wants_renewal(value, (now, until)) {
            return None;
        }
        let reason = changed_by.map_or_else(|| reason.to_owned(), |by| format!("{reason}; held by its {by}"));
        Some(self.issue(asset, value, (Asker::Rules, reason), (now, until)))
    }

    /// Whether a new command, up to `until`, is due for the asset to be at `value`.
    fn wants_renewal(&self, value: Option<f64>, (now, until): (Millis, Millis)) -> bool {
        match self.order.as_ref().filter(|order| order.stage != Stage::Withdrawn) {
            Some(order) if order.value == value && now < order.until => {
                let is_old = match order.stage {
                    Stage::Refused => RETRY_MS <= now.ms_since(order.from),
                    Stage::Advised | Stage::Proposed | Stage::Waiting | Stage::Accepted | Stage::Withdrawn => {
                        order.until.ms_since(now) <= RENEW_MS && order.until < until
                    }
                };
                value.is_some() && is_old
            }
            Some(_) => true,
            None => value.is_some(),
        }
    }

    /// Makes the command that takes the place of the one before.
    pub fn issue(&mut self, asset: &Asset, value: Option<f64>, (asker, reason): (Asker, String), (now, until): (Millis, Millis)) -> Order {
        let before = self.standing(now).value;
        let stage = match (asker, self.mode(asset)) {
            (Asker::Operator, _) | (Asker::Rules, Mode::Automatic) => Stage::Waiting,
            (Asker::Rules, Mode::Approve) => Stage::Proposed,
            (Asker::Rules, Mode::Advise) => Stage::Advised,
        };
        if stage == Stage::Waiting && before != value {
            self.changed = Some(now);
        }
        // Two decisions at one time are two commands: a person may be as quick as the rules.
        let before_at_once = self.order.as_ref().filter(|order| order.from == now);
        let id = before_at_once.map_or_else(|| format!("{}@{}", asset.id, now.0), |order| format!("{}b", order.id));
        let order = Order { id, value, from: now, until, asker, reason, stage, sent: None };
        self.order = Some(order.clone());
        order
    }

    /// Gives the asset back to its plan, because a person said so; nothing where it is there already.
    pub fn revert(&mut self, asset: &Asset, reason: &str, now: Millis) -> Option<Order> {
        self.holds = None;
        if self.standing(now).value.is_some() {
            return Some(self.issue(asset, None, (Asker::Operator, reason.to_owned()), (now, now.plus_ms(VALIDITY_MS))));
        }
        self.withdraw(now)
    }

    /// Takes back what was only written down or proposed.
    pub fn withdraw(&mut self, now: Millis) -> Option<Order> {
        let is_open = |order: &&mut Order| matches!(order.stage, Stage::Advised | Stage::Proposed) && now < order.until;
        let order = self.order.as_mut().filter(is_open)?;
        order.stage = Stage::Withdrawn;
        Some(order.clone())
    }

    /// A person says yes to what is proposed: the command goes out as of now.
    pub fn approve(&mut self, now: Millis) -> Option<Order> {
        let order = self.order.as_mut().filter(|order| order.stage == Stage::Proposed && now < order.until)?;
        (order.stage, order.from) = (Stage::Waiting, now);
        let order = order.clone();
        self.changed = Some(now);
        Some(order)
    }

    /// An asset's answer; nothing where it was known, or is about an earlier command.
    pub fn answered(&mut self, id: &str, accepted: bool) -> Option<Order> {
        let order = self.order.as_mut().filter(|order| order.id == id && order.stage == Stage::Waiting)?;
        order.stage = if accepted { Stage::Accepted } else { Stage::Refused };
        Some(order.clone())
    }

    /// The command, if it has to go out now: first of all, or again because there is no result.
    pub fn to_send(&mut self, now: Millis) -> Option<Order> {
        let order = self.order.as_mut().filter(|order| order.stage == Stage::Waiting && now < order.until)?;
        if order.sent.is_some_and(|sent| now.ms_since(sent) < RESEND_MS) {
            return None;
        }
        order.sent = Some(now);
        Some(order.clone())
    }

    /// Whether a result has been missing for too long.
    #[must_use]
    pub fn is_unanswered(&self, now: Millis) -> bool {
        self.order.as_ref().is_some_and(|order| order.stage == Stage::Waiting && UNANSWERED_MS <= now.ms_since(order.from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::assets::tests::asset;

    const QUARTER_MS: i64 = 15 * MINUTE_MS;

    fn wish(value: f64) -> Wish {
        Wish { value, reason: "because" }
    }

    fn at(quarters: i64) -> Millis {
        Millis(1_000 * HOUR_MS + quarters * QUARTER_MS)
    }

    /// A decision at a time, and how long its command would hold: two hours.
    fn due(quarter: i64) -> (Millis, Millis) {
        (at(quarter), at(quarter + 8))
    }

    /// The commands of consecutive quarters under one wish, in quarters since the first, each answered at once.
    fn issued(place: &mut Place, asset: &Asset, wish: Option<&Wish>, quarters: std::ops::Range<i64>) -> Vec<(i64, Option<f64>)> {
        let mut found = Vec::new();
        for quarter in quarters {
            if let Some(order) = place.decide(asset, wish, (false, true), due(quarter)) {
                place.answered(&order.id, true);
                found.push((quarter, order.value));
            }
        }
        found
    }

    #[test]
    fn a_wish_that_lasts_is_renewed_before_its_validity_is_over() {
        let mut place = Place::default();
        assert_eq!(issued(&mut place, &asset(), Some(&wish(21.0)), 0..9), [(0, Some(21.0)), (4, Some(21.0)), (8, Some(21.0))]);
        // The end of the wish gives the asset back, once.
        assert_eq!(issued(&mut place, &asset(), None, 9..20), [(9, None)]);
    }

    #[test]
    fn a_command_holds_for_its_kind_and_not_far_beyond_the_use_of_its_asset() {
        let cases = [
            (AssetKind::Hvac, i64::MAX, 48),
            (AssetKind::Hvac, 40 * HOUR_MS, 48),
            (AssetKind::Hvac, 3 * HOUR_MS, 13),
            (AssetKind::Battery, i64::MAX, 8),
            (AssetKind::EvCharging, 3 * HOUR_MS, 8),
        ];
        for (kind, use_changes_in_ms, quarters) in cases {
            assert_eq!(valid_until(&Asset { kind, ..asset() }, use_changes_in_ms, at(0)), at(quarters), "{kind:?} {use_changes_in_ms}");
        }
        // Nothing more can be given before the use ends: the command stands as it is until then.
        let mut place = Place::default();
        let decided = |place: &mut Place, quarter| {
            place.decide(&asset(), Some(&wish(21.0)), (false, true), (at(quarter), at(13))).map(|order| order.until)
        };
        assert_eq!((decided(&mut place, 0), decided(&mut place, 12)), (Some(at(13)), None));
    }

    #[test]
    fn a_change_waits_for_its_dwell_time_and_what_stands_stays() {
        let mut place = Place::default();
        assert_eq!(issued(&mut place, &asset(), Some(&wish(21.0)), 0..1), [(0, Some(21.0))]);
        assert_eq!(issued(&mut place, &asset(), Some(&wish(23.0)), 1..6), [(4, Some(23.0))]);
    }

    #[test]
    fn what_a_person_must_see_first_is_not_sent() {
        for (mode, stage) in [(Mode::Advise, Stage::Advised), (Mode::Approve, Stage::Proposed)] {
            let (mut place, asset) = (Place::default(), Asset { mode, ..asset() });
            let order = place.decide(&asset, Some(&wish(21.0)), (false, true), due(0)).unwrap();
            assert_eq!((order.stage, place.to_send(at(0))), (stage, None));
            assert_eq!(place.approve(at(1)).is_some(), mode == Mode::Approve);
            assert_eq!(place.to_send(at(1)).is_some(), mode == Mode::Approve);
            assert_eq!(place.approve(at(1)), None, "once");
        }
    }

    #[test]
    fn what_nobody_approved_moves_nothing_and_is_withdrawn_when_it_is_wanted_no_more() {
        let slow = Asset { mode: Mode::Approve, rate_per_h: Some(0.5), normal: Some(22.0), ..asset() };
        let mut place = Place::default();
        let proposed =
            [0, 4, 8].map(|quarter| place.decide(&slow, Some(&wish(20.0)), (false, true), due(quarter)).and_then(|order| order.value));
        assert_eq!(proposed, [Some(21.5); 3], "the rate counts from the plan");
        let order = place.decide(&slow, None, (false, true), due(9)).unwrap();
        assert_eq!((order.stage, place.approve(at(9))), (Stage::Withdrawn, None));
        assert_eq!(place.decide(&slow, None, (false, true), due(10)), None);
        assert_eq!(place.decide(&slow, Some(&wish(20.0)), (false, true), due(10)).map(|order| order.stage), Some(Stage::Proposed));
        assert_eq!(place.revert(&slow, "stopped", at(10)).map(|order| order.stage), Some(Stage::Withdrawn));
    }

    #[test]
    fn a_missing_result_is_asked_for_again_until_the_validity_is_over() {
        let mut place = Place::default();
        let order = place.decide(&asset(), Some(&wish(21.0)), (false, true), due(0)).unwrap();
        let sent: Vec<bool> = (0..10).map(|quarter| place.to_send(at(quarter)).is_some()).collect();
        assert_eq!(sent, [true, true, true, true, true, true, true, true, false, false]);
        let told: Vec<bool> = (0..5).map(|quarter| place.is_unanswered(at(quarter))).collect();
        assert_eq!(told, [false, false, false, true, true]);
        assert_eq!(place.standing(at(8)).value, None, "by then the asset is back at its plan");
        assert_eq!(place.answered(&order.id, true).map(|order| order.stage), Some(Stage::Accepted));
        assert_eq!(place.answered(&order.id, false), None, "the first result counts");
        assert_eq!(place.answered("other", true), None);
    }

    #[test]
    fn a_restored_command_goes_out_at_once_but_never_after_its_validity() {
        let (mut place, mut late) = (Place::default(), Place::default());
        let order = place.decide(&asset(), Some(&wish(21.0)), (false, true), due(0)).unwrap();
        late.order = Some(order.clone());
        assert_eq!(place.to_send(at(7)).map(|order| order.id), Some(order.id));
        assert_eq!(late.to_send(at(8)), None);
    }

    #[test]
    fn a_refused_command_stands_for_nothing_and_is_tried_again_later() {
        let mut place = Place::default();
        let order = place.decide(&asset(), Some(&wish(21.0)), (false, true), due(0)).unwrap();
        place.answered(&order.id, false);
        assert_eq!(place.standing(at(1)).value, None);
        assert_eq!(issued(&mut place, &asset(), Some(&wish(21.0)), 1..6), [(4, Some(21.0))]);
    }

    #[test]
    fn a_person_holds_an_asset_until_the_time_is_up_and_a_stop_reverts_it() {
        let (mut place, asset) = (Place { holds: Some((27.5, at(10))), ..Place::default() }, asset());
        assert_eq!(
            issued(&mut place, &asset, Some(&wish(21.0)), 0..14),
            [(0, Some(27.5)), (4, Some(27.5)), (10, Some(21.0))],
            "no command outlives the hold"
        );
        let order = place.revert(&asset, "stopped", at(14)).unwrap();
        assert_eq!((order.value, order.stage), (None, Stage::Waiting));
        assert_eq!(place.revert(&asset, "stopped", at(14)), None, "harmless twice");
        assert_eq!(place.decide(&asset, Some(&wish(21.0)), (true, true), due(15)), None);
    }
}
