//! Charging posts for vehicles: sessions that come and go, drawn per post and block of hours; what a cap withholds waits until the vehicle leaves.
//!
//! Invariant: what sessions want is delivered, still waits, or is counted as undelivered at a departure.

use serde::Deserialize;

use super::draws::{Draws, Stream};
use super::model::Model;
use super::moment::{HOUR_MS, Moment};

/// What the posts draw, and what vehicles left without: the second is truth that no meter shows.
const FLOWS: &[&str] = &["electricity", "undelivered"];

/// When posts are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occupancy {
    Public,
    /// Buses come in at night and over midday.
    Depot,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChargingPlan {
    pub id: String,
    pub entity: String,
    pub posts: u16,
    pub post_kw: f64,
    /// At most one session per post begins in so many hours; a session lasts a quarter to all of them.
    pub block_h: i64,
    pub occupancy: Occupancy,
    /// Vehicles stay plugged in so long after their session: the time in which what was withheld can be made up.
    #[serde(default = "linger_h")]
    pub linger_h: f64,
    /// Its set point caps all posts together, in kW.
    pub asset: Option<String>,
}

/// A quarter of an hour at a public post, an assumption; at a depot or at work it is hours.
fn linger_h() -> f64 {
    0.25
}

/// What a vehicle was withheld, or wants now. Moments are hours since 1970.
#[derive(Clone, Debug)]
struct Wanted {
    kwh: f64,
    kw: f64,
    /// It can take it from here on,
    from_h: f64,
    /// and no longer than to here.
    to_h: f64,
}

impl Wanted {
    /// The most it can take between two moments, kWh.
    fn takes(&self, from_h: f64, to_h: f64) -> f64 {
        self.kwh.min(self.kw * (self.to_h.min(to_h) - self.from_h.max(from_h)).max(0.0))
    }
}

#[derive(Clone, Debug)]
pub struct Charging {
    plan: ChargingPlan,
    taken: Stream,
    starts: Stream,
    lengths: Stream,
    powers: Stream,
    /// What a cap has withheld from vehicles that are still there.
    withheld: Vec<Wanted>,
}

impl Charging {
    pub fn new(plan: ChargingPlan, draws: Draws) -> Charging {
        let stream = |purpose: &str| draws.stream(&plan.entity, &format!("{purpose} of {}", plan.id));
        Charging {
            taken: stream("taken"),
            starts: stream("starts"),
            lengths: stream("lengths"),
            powers: stream("powers"),
            withheld: Vec::new(),
            plan,
        }
    }

    /// What the sessions begun in one block want between two moments, in kWh; each is told to `each`.
    fn wanted(&self, (block, local_hour): (i64, usize), (from_h, to_h): (f64, f64), mut each: impl FnMut(Wanted)) -> f64 {
        let chance = self.plan.occupancy.chance(local_hour);
        let block_h = self.plan.block_h as f64;
        (0..i64::from(self.plan.posts))
            .map(|post| {
                let key = block * 1024 + post;
                if self.taken.uniform(key) >= chance {
                    return 0.0;
                }
                let start = (block as f64 + self.starts.uniform(key)) * block_h;
                let end = start + block_h * (0.25 + 0.75 * self.lengths.uniform(key));
                let overlap = (end.min(to_h) - start.max(from_h)).max(0.0);
                // The vehicle seldom takes all that the post could give.
                let kwh = overlap * self.plan.post_kw * (0.45 + 0.5 * self.powers.uniform(key));
                if 0.0 < kwh {
                    each(Wanted { kwh, kw: kwh / overlap, from_h: end, to_h: end + self.plan.linger_h });
                }
                kwh
            })
            .sum()
    }

    /// Shares out `most_kwh` to whoever leaves first, and gives what was delivered and what vehicles left without.
    fn share_out(&mut self, sessions: Vec<Wanted>, (from_h, to_h): (f64, f64), most_kwh: f64) -> (f64, f64) {
        // What each could take now, and all that it wants.
        let mut asking: Vec<(f64, Wanted)> = self.withheld.drain(..).map(|wanted| (wanted.takes(from_h, to_h), wanted)).collect();
        asking.extend(sessions.into_iter().map(|wanted| (wanted.kwh, wanted)));
        asking.sort_by(|(_, a), (_, b)| a.to_h.total_cmp(&b.to_h));
        let (mut left, mut undelivered) = (most_kwh, 0.0);
        for (takes, mut wanted) in asking {
            let given = takes.min(left);
            left -= given;
            wanted.kwh -= given;
            if wanted.to_h <= to_h {
                undelivered += wanted.kwh;
            } else if 0.0 < wanted.kwh {
                self.withheld.push(wanted);
            }
        }
        (most_kwh - left, undelivered)
    }
}

impl Occupancy {
    fn chance(self, local_hour: usize) -> f64 {
        const PUBLIC: [f64; 24] = [
            0.10, 0.08, 0.06, 0.05, 0.05, 0.08, 0.12, 0.22, 0.30, 0.34, 0.42, 0.50, 0.52, 0.46, 0.40, 0.34, 0.32, 0.40, 0.50, 0.52, 0.46,
            0.36, 0.24, 0.16,
        ];
        const DEPOT: [f64; 24] = [
            0.70, 0.66, 0.60, 0.50, 0.32, 0.12, 0.05, 0.05, 0.10, 0.20, 0.34, 0.44, 0.46, 0.40, 0.26, 0.14, 0.08, 0.06, 0.08, 0.14, 0.26,
            0.44, 0.60, 0.68,
        ];
        match self {
            Occupancy::Public => PUBLIC[local_hour],
            Occupancy::Depot => DEPOT[local_hour],
        }
    }
}

impl Model for Charging {
    fn flows(&self) -> &'static [&'static str] {
        FLOWS
    }

    fn step(&mut self, moment: &Moment, _demand: f64, flows: &mut [f64]) {
        let hour_index = moment.from_ms.div_euclid(HOUR_MS);
        let block = hour_index.div_euclid(self.plan.block_h);
        let (from_h, to_h) = (moment.from_ms as f64 / HOUR_MS as f64, moment.to_ms as f64 / HOUR_MS as f64);
        // A session begins in this block or in the one before.
        let mut sessions = Vec::new();
        let wanted: f64 = [block - 1, block]
            .into_iter()
            .map(|block| {
                let hours_ago = (hour_index - block * self.plan.block_h) as usize;
                let local_hour = (moment.hour + 24 - hours_ago % 24) % 24;
                self.wanted((block, local_hour), (from_h, to_h), |wanted| sessions.push(wanted))
            })
            .sum();
        let installed_kw = self.plan.post_kw * f64::from(self.plan.posts);
        let most_kwh = moment.controls.set_point(self.plan.asset.as_deref()).unwrap_or(installed_kw) * moment.hours;
        if self.withheld.is_empty() && wanted <= most_kwh {
            (flows[0], flows[1]) = (wanted, 0.0);
            return;
        }
        (flows[0], flows[1]) = self.share_out(sessions, (from_h, to_h), most_kwh);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::physics::controls::Controls;
    use crate::physics::moment::tests::quarter;

    const HOUR: i64 = 491_000;

    fn posts(linger_h: f64) -> Charging {
        let (id, entity) = ("ev".to_owned(), "E".to_owned());
        let plan = ChargingPlan {
            id,
            entity,
            posts: 24,
            post_kw: 120.0,
            block_h: 1,
            occupancy: Occupancy::Public,
            linger_h,
            asset: Some("ev".into()),
        };
        Charging::new(plan, Draws::new(7))
    }

    /// kWh drawn and undelivered in each of `quarters`, at noon, with the caps in kW.
    fn played(posts: &mut Charging, caps: &[Option<f64>]) -> Vec<(f64, f64)> {
        let step = |(index, cap): (usize, &Option<f64>)| {
            let mut controls = Controls::default();
            if let Some(cap) = cap {
                controls.set("ev", *cap);
            }
            let from_ms = HOUR * HOUR_MS + i64::try_from(index).unwrap() * HOUR_MS / 4;
            let moment = quarter(from_ms, (12 + index / 4) % 24, &[], &controls);
            let mut flows = [0.0; 2];
            posts.step(&moment, 0.0, &mut flows);
            (flows[0], flows[1])
        };
        caps.iter().enumerate().map(step).collect()
    }

    #[test]
    fn what_a_cap_withholds_is_made_up_by_those_who_stay_and_counted_for_those_who_leave() {
        let sum = |steps: &[(f64, f64)]| steps.iter().fold((0.0, 0.0), |sum, step| (sum.0 + step.0, sum.1 + step.1));
        let free = sum(&played(&mut posts(12.0), &[None; 64]));
        let caps: Vec<Option<f64>> = (0..64).map(|quarter| (quarter < 16).then_some(300.0)).collect();
        let capped = played(&mut posts(12.0), &caps);
        assert!(capped[..16].iter().all(|(drawn, _)| *drawn <= 75.0 + 1e-9), "{capped:?}");
        let (drawn, undelivered) = sum(&capped);
        assert!((drawn - free.0).abs() < 1e-6 && undelivered < 1e-9, "all stay twelve hours: {drawn} of {}, {undelivered}", free.0);
        assert!(sum(&capped[..16]).0 < 0.7 * sum(&played(&mut posts(12.0), &[None; 16])).0, "the cap bites");
        // Whoever leaves at once goes without.
        let (drawn, undelivered) = sum(&played(&mut posts(0.0), &caps));
        assert!(100.0 < undelivered && (drawn + undelivered - free.0).abs() < 1e-6, "{drawn} and {undelivered} of {}", free.0);
    }
}
