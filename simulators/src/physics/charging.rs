//! Charging posts for vehicles: sessions that come and go, drawn per post and block of hours.

use serde::Deserialize;

use super::draws::{Draws, Stream};
use super::model::Model;
use super::moment::{HOUR_MS, Moment};

const FLOWS: &[&str] = &["electricity"];

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
    /// Its set point caps all posts together, in kW.
    pub asset: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Charging {
    plan: ChargingPlan,
    taken: Stream,
    starts: Stream,
    lengths: Stream,
    powers: Stream,
}

impl Charging {
    pub fn new(plan: ChargingPlan, draws: Draws) -> Charging {
        let stream = |purpose: &str| draws.stream(&plan.entity, &format!("{purpose} of {}", plan.id));
        Charging { taken: stream("taken"), starts: stream("starts"), lengths: stream("lengths"), powers: stream("powers"), plan }
    }

    /// What the sessions begun in one block draw between two moments, in kWh. Moments are hours since 1970.
    fn drawn(&self, block: i64, local_hour: usize, from_h: f64, to_h: f64) -> f64 {
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
                overlap * self.plan.post_kw * (0.45 + 0.5 * self.powers.uniform(key))
            })
            .sum()
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
        let sessions: f64 = [block - 1, block]
            .into_iter()
            .map(|block| {
                let hours_ago = (hour_index - block * self.plan.block_h) as usize;
                self.drawn(block, (moment.hour + 24 - hours_ago % 24) % 24, from_h, to_h)
            })
            .sum();
        let installed_kw = self.plan.post_kw * f64::from(self.plan.posts);
        let cap_kw = moment.controls.set_point(self.plan.asset.as_deref()).unwrap_or(installed_kw);
        flows[0] = sessions.min(cap_kw * moment.hours);
    }
}
