//! What assets do with commands (`docs/wire.md`): each checks its own limits and the validity, obeys until its time is up, and answers.
//!
//! Never trusts who commands and never reads a clock. Invariant: a set point outside of an asset's limits never reaches the physics, and one whose time
//! is up is gone with the step that begins then.

use std::collections::{BTreeMap, VecDeque};
use std::iter::Peekable;

use crate::physics::controls::Controls;
use crate::wire::{Answer, Command};
use crate::zone::Asset;

/// Commands that an asset remembers, to know one that comes again.
const REMEMBERED_MAX: usize = 64;

/// A set point that an asset followed, ms.
#[derive(Clone, Debug, PartialEq)]
pub struct Obeyed {
    pub asset: usize,
    pub id: String,
    pub value: f64,
    pub from_ms: i64,
    pub to_ms: i64,
}

#[derive(Clone, Debug, Default)]
struct State {
    order: Option<Command>,
    answers: VecDeque<Answer>,
}

#[derive(Clone, Debug)]
pub struct Assets {
    list: Vec<Asset>,
    by_id: BTreeMap<String, usize>,
    states: Vec<State>,
    /// Whether those of the programme are there.
    commissioned: bool,
    /// In the order in which they began.
    pub obeyed: Vec<Obeyed>,
}

impl Assets {
    #[must_use]
    pub fn new(list: &[Asset]) -> Assets {
        let by_id = list.iter().enumerate().map(|(index, asset)| (asset.id.clone(), index)).collect();
        Assets { list: list.to_vec(), by_id, states: vec![State::default(); list.len()], commissioned: false, obeyed: Vec::new() }
    }

    #[must_use]
    pub fn id(&self, asset: usize) -> &str {
        &self.list[asset].id
    }

    /// Those of the programme are there from now on.
    pub fn commission(&mut self) {
        self.commissioned = true;
    }

    /// A command on the topic of `asset`; the answer, or none from an asset that is not there.
    pub fn take(&mut self, asset: &str, command: Command, now_ms: i64) -> Option<Answer> {
        let index = *self.by_id.get(asset).filter(|index| self.commissioned || !self.list[**index].programme)?;
        let state = &mut self.states[index];
        if let Some(given) = state.answers.iter().find(|answer| answer.id == command.id) {
            return Some(given.clone());
        }
        let cause = refusal(&self.list[index], &command, now_ms);
        let answer = Answer { id: command.id.clone(), asset: asset.to_owned(), cause, at_ms: now_ms };
        if answer.cause.is_none() {
            state.order = Some(command);
        }
        if state.answers.len() == REMEMBERED_MAX {
            state.answers.pop_front();
        }
        state.answers.push_back(answer.clone());
        Some(answer)
    }

    /// Takes what was taken up to `now_ms` in an earlier part of the run, and answers nobody.
    pub fn take_again<'c>(&mut self, taken: &mut Peekable<impl Iterator<Item = &'c (i64, Command)>>, now_ms: i64) {
        while let Some((at_ms, command)) = taken.next_if(|(at_ms, _)| *at_ms <= now_ms) {
            self.take(&command.asset, command.clone(), *at_ms);
        }
    }

    /// Sets what holds in the step from `from_ms` to `to_ms`. A command holds for whole steps: from the first that begins at its `from` or later.
    pub fn control(&mut self, from_ms: i64, to_ms: i64, controls: &mut Controls) {
        for (index, (asset, state)) in self.list.iter().zip(&mut self.states).enumerate() {
            state.order.take_if(|order| order.until_ms <= from_ms);
            let order = state.order.as_ref().filter(|order| order.from_ms <= from_ms);
            let Some((order, value)) = order.and_then(|order| Some((order, order.value?))) else {
                controls.clear(&asset.id);
                continue;
            };
            controls.set(&asset.id, value);
            match self.obeyed.iter_mut().rev().find(|obeyed| obeyed.asset == index) {
                Some(obeyed) if obeyed.id == order.id && obeyed.to_ms == from_ms => obeyed.to_ms = to_ms,
                _ => self.obeyed.push(Obeyed { asset: index, id: order.id.clone(), value, from_ms, to_ms }),
            }
        }
    }
}

fn refusal(asset: &Asset, command: &Command, now_ms: i64) -> Option<String> {
    let Asset { id, unit, min, max, .. } = asset;
    if command.asset != *id {
        return Some(format!("the command is for {}, wanted one for {id}", command.asset));
    }
    if command.unit != *unit {
        return Some(format!("unit is {}, wanted {unit}", command.unit));
    }
    if command.until_ms <= now_ms.max(command.from_ms) {
        return Some(format!("valid until {} ms, which is over at {now_ms} ms", command.until_ms));
    }
    match command.value {
        Some(value) if !(*min..=*max).contains(&value) => {
            Some(format!("value {value} is outside of the asset's own limits, {min} to {max} {unit}"))
        }
        Some(_) | None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_MS: i64 = 10;

    fn assets() -> Assets {
        let asset = |id: &str| Asset {
            id: id.to_owned(),
            unit: "c".to_owned(),
            min: 18.0,
            max: 28.0,
            comfort: (20.0, 26.0),
            hours: [(0, 24); 3],
            programme: id == "new",
        };
        Assets::new(&[asset("a"), asset("b"), asset("new")])
    }

    fn command(id: &str, value: Option<f64>, (from_ms, until_ms): (i64, i64)) -> Command {
        Command { id: id.to_owned(), asset: "a".to_owned(), value, unit: "c".to_owned(), from_ms, until_ms }
    }

    /// What holds in the step from `from_ms` on, of a and b.
    fn held(assets: &mut Assets, controls: &mut Controls, from_ms: i64) -> (Option<f64>, Option<f64>) {
        assets.control(from_ms, from_ms + STEP_MS, controls);
        (controls.set_point(Some("a")), controls.set_point(Some("b")))
    }

    #[test]
    fn a_command_is_obeyed_until_its_time_is_up_and_then_the_plan_holds_again() {
        let (mut assets, mut controls) = (assets(), Controls::default());
        assert_eq!(assets.take("a", command("1", Some(20.0), (20, 40)), 0).unwrap().cause, None);
        let seen: Vec<_> = [0, 10, 20, 30, 40, 50].map(|from_ms| held(&mut assets, &mut controls, from_ms).0).to_vec();
        assert_eq!(seen, [None, None, Some(20.0), Some(20.0), None, None]);
        assert_eq!(assets.obeyed, [Obeyed { asset: 0, id: "1".to_owned(), value: 20.0, from_ms: 20, to_ms: 40 }]);
    }

    #[test]
    fn a_release_ends_the_command_before_it() {
        let (mut assets, mut controls) = (assets(), Controls::default());
        assets.take("a", command("1", Some(20.0), (0, 90)), 0);
        assert_eq!(held(&mut assets, &mut controls, 0), (Some(20.0), None));
        assets.take("a", command("2", None, (10, 90)), 10);
        assert_eq!(held(&mut assets, &mut controls, 10), (None, None));
    }

    #[test]
    fn what_breaks_a_limit_is_refused_and_the_command_before_it_stays() {
        let (mut assets, mut controls) = (assets(), Controls::default());
        assets.take("a", command("1", Some(20.0), (0, 90)), 0);
        let other_unit = Command { unit: "k".to_owned(), ..command("5", Some(20.0), (0, 90)) };
        let other_asset = Command { asset: "b".to_owned(), ..command("6", Some(20.0), (0, 90)) };
        let cases = [
            (command("2", Some(17.9), (0, 90)), "own limits"),
            (command("3", Some(f64::NAN), (0, 90)), "own limits"),
            (command("4", Some(20.0), (0, 50)), "over at 50"),
            (other_unit, "unit is k, wanted c"),
            (other_asset, "for b, wanted one for a"),
            (command("7", Some(20.0), (80, 70)), "valid until 70"),
        ];
        for (command, wanted) in cases {
            let cause = assets.take("a", command, 50).unwrap().cause.unwrap();
            assert!(cause.contains(wanted), "{cause}");
        }
        assert_eq!(held(&mut assets, &mut controls, 50).0, Some(20.0));
        assert_eq!(assets.take("c", command("8", Some(20.0), (0, 90)), 0), None);
    }

    #[test]
    fn posts_that_are_not_declared_to_give_refuse_to() {
        let posts = |id: &str, min: f64| Asset {
            id: id.to_owned(),
            unit: "kw".to_owned(),
            min,
            max: 600.0,
            comfort: (0.0, 0.0),
            hours: [(6, 20); 3],
            programme: false,
        };
        let mut assets = Assets::new(&[posts("only-charge", 0.0), posts("v2g", -600.0)]);
        for (asset, refused) in [("only-charge", Some("own limits, 0 to 600 kw")), ("v2g", None)] {
            let command =
                Command { id: "1".to_owned(), asset: asset.to_owned(), unit: "kw".to_owned(), ..command("1", Some(-100.0), (0, 90)) };
            let cause = assets.take(asset, command, 0).unwrap().cause;
            assert_eq!(cause.is_some(), refused.is_some(), "{asset}");
            assert!(cause.unwrap_or_default().contains(refused.unwrap_or_default()), "{asset}");
        }
    }

    #[test]
    fn what_was_taken_before_is_taken_again_at_its_time() {
        let (mut assets, mut controls) = (assets(), Controls::default());
        let before = [(0, command("1", Some(20.0), (0, 90))), (10, command("2", None, (10, 90))), (20, command("3", Some(24.0), (20, 90)))];
        let mut taken = before.iter().peekable();
        let seen = [0, 10, 20].map(|from_ms| {
            assets.take_again(&mut taken, from_ms);
            held(&mut assets, &mut controls, from_ms).0
        });
        assert_eq!(seen, [Some(20.0), None, Some(24.0)]);
        let again = assets.take("a", before[0].1.clone(), 30).unwrap();
        assert_eq!((again.at_ms, again.cause), (0, None), "it is remembered");
    }

    #[test]
    fn an_asset_of_the_programme_answers_nobody_before_it_is_there() {
        let mut assets = assets();
        let command = Command { asset: "new".to_owned(), ..command("1", Some(20.0), (0, 90)) };
        assert_eq!(assets.take("new", command.clone(), 0), None);
        assets.commission();
        assert_eq!(assets.take("new", command, 0).unwrap().cause, None);
    }

    #[test]
    fn a_command_that_comes_again_changes_nothing_and_gets_the_same_answer() {
        let (mut assets, mut controls) = (assets(), Controls::default());
        let first = command("1", Some(20.0), (0, 90));
        let answer = assets.take("a", first.clone(), 0);
        assets.take("a", command("2", Some(24.0), (0, 90)), 10);
        assert_eq!(assets.take("a", first, 20), answer);
        assert_eq!(held(&mut assets, &mut controls, 20).0, Some(24.0));
    }
}
