//! What a strategy cost, emitted and lost.

use std::time::Duration;

use super::meters::Quarter;
use crate::dispatch::outlook::Outlook;

pub const QUARTERS_PER_H: f64 = 4.0;

/// What a strategy made of the time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Energy bought at the zone's border, and the charge for each month's highest quarter of an hour, CNY.
    pub energy_cny: f64,
    pub demand_cny: f64,
    /// What batteries and vehicles took less what they gave, at the prices of their hours, CNY.
    pub assets_cny: f64,
    pub bought_kwh: f64,
    /// By the annual factor, and by the synthetic hourly shape of it, kg.
    pub annual_kg: f64,
    pub shape_kg: f64,
    /// Of each month, kW.
    pub peaks_kw: Vec<f64>,
    /// What batteries took and neither gave nor hold.
    pub storage_loss_kwh: f64,
    /// What vehicles left without.
    pub undelivered_kwh: f64,
    /// Plans asked for; of these, those that came too late and those that failed.
    pub plans: u32,
    pub late: u32,
    pub failed: u32,
    /// The processor's time for planning.
    pub cpu: Duration,
}

impl Outcome {
    pub(super) fn add(&mut self, quarter: &Quarter, hour: &Outlook, kg_per_kwh: f64) {
        let (price, shape) = (hour.steps.price[0], hour.steps.carbon[0]);
        let bought = quarter.bought_kwh.max(0.0);
        self.bought_kwh += bought;
        self.energy_cny += bought * price;
        self.annual_kg += bought * kg_per_kwh;
        self.shape_kg += bought * shape;
        let batteries: f64 = quarter.batteries_kwh.iter().sum();
        self.assets_cny += (batteries + quarter.vehicles_kwh.iter().sum::<f64>()) * price;
        self.storage_loss_kwh += batteries;
        self.undelivered_kwh += quarter.undelivered_kwh;
        if let Some(peak) = self.peaks_kw.last_mut() {
            *peak = peak.max(bought * QUARTERS_PER_H);
        }
    }

    #[must_use]
    pub fn bill_cny(&self) -> f64 {
        self.energy_cny + self.demand_cny
    }

    /// What set points of batteries and charging can change of the bill.
    #[must_use]
    pub fn influenced_cny(&self) -> f64 {
        self.assets_cny + self.demand_cny
    }
}
