//! What a strategy cost, emitted and lost.

use std::time::Duration;

use super::meters::Quarter;
use crate::dispatch::heat::Gas;
use crate::dispatch::outlook::Outlook;
use crate::dispatch::shape;

pub const QUARTERS_PER_H: f64 = 4.0;

/// What a strategy made of the time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Energy bought at the zone's border, and the charge for each month's highest quarter of an hour, CNY.
    pub energy_cny: f64,
    pub demand_cny: f64,
    /// Gas of the stations that have a heat pump, CNY.
    pub gas_cny: f64,
    pub bought_kwh: f64,
    /// Electricity by the annual factor and by the synthetic hourly shape of it, and the stations' gas, kg.
    pub annual_kg: f64,
    pub shape_kg: f64,
    /// Of each month, kW.
    pub peaks_kw: Vec<f64>,
    /// What batteries took and neither gave nor hold.
    pub storage_loss_kwh: f64,
    /// What vehicles left without.
    pub undelivered_kwh: f64,
    /// Work that waits when the time is over.
    pub waiting_kwh: f64,
    /// Plans asked for; of these, those that came too late and those that failed.
    pub plans: u32,
    pub late: u32,
    pub failed: u32,
    /// The processor's time for planning.
    pub cpu: Duration,
}

impl Outcome {
    pub(super) fn add(&mut self, quarter: &Quarter, hour: &Outlook, kg_per_kwh: f64, gas: &Gas) {
        let (price, shape) = (hour.steps.price[0], kg_per_kwh * shape::synthetic(hour.hours[0].of_day));
        let bought = quarter.bought_kwh.max(0.0);
        self.bought_kwh += bought;
        self.energy_cny += bought * price;
        self.gas_cny += quarter.gas_m3 * gas.cny_per_m3;
        self.annual_kg += bought * kg_per_kwh + quarter.gas_m3 * gas.kg_per_m3;
        self.shape_kg += bought * shape + quarter.gas_m3 * gas.kg_per_m3;
        self.storage_loss_kwh += quarter.batteries_kwh.iter().sum::<f64>();
        self.undelivered_kwh += quarter.undelivered_kwh;
        self.waiting_kwh = quarter.waiting_kwh.iter().sum();
        if let Some(peak) = self.peaks_kw.last_mut() {
            *peak = peak.max(bought * QUARTERS_PER_H);
        }
    }

    #[must_use]
    pub fn bill_cny(&self) -> f64 {
        self.energy_cny + self.demand_cny + self.gas_cny
    }
}
