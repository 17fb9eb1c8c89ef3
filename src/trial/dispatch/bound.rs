//! What no strategy can undercut: linear programs of months of hours that know everything and are bound by less than any strategy is.
//!
//! Relaxed is: the hour instead of its quarters, so that a peak is an hour's mean; what months hand to each other, at a price (Lagrange); the year's carbon, at a price (the same);
//! machines' power by a margin, losses on lines of batteries, auxiliaries of work at hours without a crew, heat pumps by the part. Invariant: each relaxation widens what may be, so
//! that the bound lies below the bill of every strategy that keeps the conditions: vehicles get what they want, work is done by its end, carbon by the annual factor is not
//! above the given one.

use clarabel::algebra::CscMatrix;
use clarabel::solver::{DefaultSettings, DefaultSolver, IPSolver, SolverStatus, SupportedConeT};

use super::truth::{Store, Truth};
use crate::dispatch::heat::Gas;

/// Commands reach to 93 % of what the fleet's machines can take, and what is due is done whatever is commanded: the power counts as so much more.
const POWER_MORE: f64 = 1.15;
/// What vehicles draw at their posts is more at the border: lines lose 0.6 % from meter to meter. More only widens what can be moved.
const POST_AT_BORDER: f64 = 1.03;
/// Prices of carbon that are tried, CNY/kg: each gives a bound, and halving comes so close to the highest one.
const CARBON_CNY_MAX: f64 = 8.0;
const HALVINGS: usize = 4;
/// By this share of the bill the program's dual may be off, for the solver stops at 1e-8.
const TOLERANCE: f64 = 1e-6;
/// Of the first hours of a month: what is handed over is priced as in them.
const HANDED_OVER_H: usize = 6;

/// What the bound is made of.
#[derive(Clone, Debug)]
pub struct Ground {
    pub hours: Vec<Truth>,
    /// Positions of the hours in which months begin, and the end.
    pub months: Vec<usize>,
    pub stores: Vec<Store>,
    /// Of each work: the most that a command may say, kW, and the local hour by which a day's work is done.
    pub works: Vec<(f64, i8)>,
    pub demand_cny_per_kw: f64,
    pub gas: Gas,
    pub kg_per_kwh: f64,
    /// The most carbon by the annual factor, kg; none: nothing bounds it.
    pub carbon_kg_max: Option<f64>,
}

/// Why there is no bound.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the program of the month of hour {from} ended as {seen}, wanted a solution; play fewer months or another seed, and report it")]
pub struct Unsolved {
    from: usize,
    seen: String,
}

impl Ground {
    /// The bill that no strategy undercuts, CNY.
    pub fn bound_cny(&self) -> Result<f64, Unsolved> {
        let (mut least, mut most) = (0.0, CARBON_CNY_MAX);
        let (mut bound, carbon_kg) = self.priced(least)?;
        let Some(allowed) = self.carbon_kg_max.filter(|allowed| *allowed < carbon_kg) else { return Ok(bound) };
        for _ in 0..HALVINGS {
            // Cheap carbon is what the highest bound has in most zones.
            let price = 0.5 * (least + most);
            let (bill, carbon_kg) = self.priced(price)?;
            bound = bound.max(bill);
            if allowed < carbon_kg { least = price } else { most = price }
        }
        Ok(bound)
    }

    /// The bound by a price of carbon, and the carbon that it comes with, kg.
    fn priced(&self, cny_per_kg: f64) -> Result<(f64, f64), Unsolved> {
        let (mut bill, mut carbon_kg) = (0.0, 0.0);
        for month in 0..self.months.len() - 1 {
            let (cny, kg) = self.month(month, cny_per_kg)?;
            (bill, carbon_kg) = (bill + cny, carbon_kg + kg);
        }
        bill -= cny_per_kg * self.carbon_kg_max.unwrap_or(carbon_kg);
        Ok((bill * (1.0 - TOLERANCE), carbon_kg))
    }

    /// A month's cost with carbon at its price, and its carbon.
    fn month(&self, month: usize, cny_per_kg: f64) -> Result<(f64, f64), Unsolved> {
        let (from, to) = (self.months[month], self.months[month + 1]);
        let hours = &self.hours[from..to];
        let (mut program, gas_cny) = (Program::default(), self.gas.cny_per_m3 + cny_per_kg * self.gas.kg_per_m3);
        let handed = |at: usize| {
            let next = &self.hours[at..(at + HANDED_OVER_H).min(self.hours.len())];
            next.iter().map(|hour| hour.price + cny_per_kg * self.kg_per_kwh).sum::<f64>() / next.len().max(1) as f64
        };
        let (takes_over, hands_over) = (handed(from), if to < self.hours.len() { handed(to) } else { 0.0 });
        let peak = program.variable(self.demand_cny_per_kw, (0.0, f64::INFINITY));
        let mut stored: Vec<usize> = Vec::new();
        for store in &self.stores {
            let begin = if from == 0 { (store.begins_kwh, store.begins_kwh) } else { (store.stored_kwh.min, store.stored_kwh.max) };
            stored.push(program.variable(if from == 0 { 0.0 } else { takes_over }, begin));
        }
        // Nothing waits when the time begins.
        let wait = |program: &mut Program| {
            program.variable(if from == 0 { 0.0 } else { -takes_over }, (0.0, if from == 0 { 0.0 } else { f64::INFINITY }))
        };
        let mut waiting: Vec<usize> = self.works.iter().map(|_| wait(&mut program)).collect();
        let before = |index: usize| if from == 0 { (0.0, 0.0) } else { self.hours[from - 1].wanted_kwh[index] };
        let posts = hours[0].wanted_kwh.len();
        let mut delivered: Vec<usize> = (0..posts).map(|index| program.variable(0.0, (before(index).1, before(index).0))).collect();
        let mut carbon = Vec::new();
        let mut gas_m3 = 0.0;
        for (step, hour) in hours.iter().enumerate() {
            let last = step + 1 == hours.len();
            let at_end = |cny: f64| if last { cny } else { 0.0 };
            let bought = program.variable(hour.price + cny_per_kg * self.kg_per_kwh, (0.0, f64::INFINITY));
            carbon.push((bought, self.kg_per_kwh));
            // bought − what is moved ≥ what was bought; an hour's kWh are its mean kW.
            let (mut drawn, mut untouched) = (vec![(bought, -1.0)], hour.bought_kwh);
            for (store, stored) in self.stores.iter().zip(&mut stored) {
                let posts = if store.is_away[from + step] { 0.0 } else { 1.0 };
                let charge = program.variable(0.0, (0.0, posts * store.power_kw.max.max(0.0)));
                let give = program.variable(0.0, (0.0, posts * (-store.power_kw.min).max(0.0)));
                let least = store.stored_kwh.min.max(store.least_kwh[from + step]);
                let after = program.variable(at_end(-hands_over), (least, store.stored_kwh.max));
                let efficiency = store.one_way_efficiency;
                program.equal(vec![(after, 1.0), (*stored, -1.0), (charge, -efficiency), (give, 1.0 / efficiency)], 0.0);
                drawn.extend([(charge, 1.0), (give, -1.0)]);
                *stored = after;
            }
            for (((kw_max, done_by), (come, draws)), waiting) in self.works.iter().zip(&hour.work).zip(&mut waiting) {
                let is_over = (hour.hour.of_day + 1) % 24 == *done_by;
                let after = program.variable(at_end(hands_over), (0.0, if is_over { 0.0 } else { f64::INFINITY }));
                // Done is what came and what waited, less what waits.
                program.below(vec![(*waiting, -1.0), (after, 1.0)], *come);
                program.below(vec![(*waiting, 1.0), (after, -1.0)], (POWER_MORE * kw_max - come).max(0.0));
                drawn.extend([(*waiting, *draws), (after, -draws)]);
                *waiting = after;
            }
            for (index, delivered) in delivered.iter_mut().enumerate() {
                let (wanted, due) = hour.wanted_kwh[index];
                let after = program.variable(0.0, (due, wanted));
                program.below(vec![(*delivered, 1.0), (after, -1.0)], 0.0);
                drawn.extend([(after, POST_AT_BORDER), (*delivered, -POST_AT_BORDER)]);
                untouched -= POST_AT_BORDER * (wanted - if step == 0 { before(index).0 } else { hours[step - 1].wanted_kwh[index].0 });
                *delivered = after;
            }
            for (spared_kwh, more_m3) in &hour.rests {
                let rests = program.variable(gas_cny * more_m3, (0.0, 1.0));
                carbon.push((rests, self.gas.kg_per_m3 * more_m3));
                drawn.push((rests, -spared_kwh));
            }
            gas_m3 += hour.gas_m3;
            program.below(drawn, -untouched);
            program.below(vec![(bought, 1.0), (peak, -1.0)], 0.0);
        }
        let (cny, values) = program.least().map_err(|seen| Unsolved { from, seen })?;
        let carbon_kg = carbon.iter().map(|(variable, kg)| values[*variable] * kg).sum::<f64>() + self.gas.kg_per_m3 * gas_m3;
        Ok((cny + gas_cny * gas_m3, carbon_kg))
    }
}

/// A linear program while it grows.
#[derive(Default)]
struct Program {
    costs: Vec<f64>,
    equal: Vec<(Vec<(usize, f64)>, f64)>,
    below: Vec<(Vec<(usize, f64)>, f64)>,
}

impl Program {
    fn variable(&mut self, cost: f64, (least, most): (f64, f64)) -> usize {
        let variable = self.costs.len();
        self.costs.push(cost);
        if least < most {
            self.below(vec![(variable, -1.0)], -least);
            if most.is_finite() {
                self.below(vec![(variable, 1.0)], most);
            }
        } else {
            self.equal(vec![(variable, 1.0)], least);
        }
        variable
    }

    fn equal(&mut self, terms: Vec<(usize, f64)>, value: f64) {
        self.equal.push((terms, value));
    }

    fn below(&mut self, terms: Vec<(usize, f64)>, value: f64) {
        self.below.push((terms, value));
    }

    /// The value of the dual, which lies below the least, and a solution; or how the solver ended.
    fn least(self) -> Result<(f64, Vec<f64>), String> {
        let cones = [SupportedConeT::ZeroConeT(self.equal.len()), SupportedConeT::NonnegativeConeT(self.below.len())];
        let (mut rows, mut columns, mut factors, mut values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (terms, value) in self.equal.into_iter().chain(self.below) {
            for (variable, factor) in terms {
                rows.push(values.len());
                columns.push(variable);
                factors.push(factor);
            }
            values.push(value);
        }
        let variables = self.costs.len();
        let constraints = CscMatrix::new_from_triplets(values.len(), variables, rows, columns, factors);
        let settings = DefaultSettings { verbose: false, max_threads: 1, ..DefaultSettings::default() };
        let solver = DefaultSolver::new(&CscMatrix::zeros((variables, variables)), &self.costs, &constraints, &values, &cones, settings);
        let mut solver = solver.map_err(|fault| fault.to_string())?;
        solver.solve();
        let solution = &solver.solution;
        match solution.status {
            SolverStatus::Solved => Ok((solution.obj_val_dual.min(solution.obj_val), solution.x.clone())),
            other => Err(format!("{other:?}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::forecast::Hour;
    use crate::domain::assets::Band;
    use crate::domain::calendar::DayType;
    use crate::domain::units::{HOUR_MS, Millis};

    #[test]
    fn a_battery_and_work_that_may_wait_by_hand() {
        let hour = |(index, price): (i64, f64)| Truth {
            hour: Hour { start: Millis(index * HOUR_MS), of_day: index as i8, kind: DayType::Workday },
            price,
            bought_kwh: 10.0,
            gas_m3: 0.0,
            work: vec![(if index == 0 { 4.0 } else { 0.0 }, 1.0)],
            wanted_kwh: Vec::new(),
            rests: Vec::new(),
        };
        let store = Store {
            power_kw: Band { min: -5.0, max: 5.0 },
            stored_kwh: Band { min: 0.0, max: 5.0 },
            one_way_efficiency: 1.0,
            begins_kwh: 0.0,
            is_away: vec![false; 2],
            least_kwh: vec![0.0; 2],
        };
        let gas = Gas { cny_per_m3: 4.0, kg_per_m3: 2.0, kwh_per_m3: 10.0 };
        let ground = |prices: [f64; 2], demand_cny_per_kw| Ground {
            hours: (0..).zip(prices).map(hour).collect(),
            months: vec![0, 2],
            stores: vec![store.clone()],
            works: vec![(10.0, 2)],
            demand_cny_per_kw,
            gas,
            kg_per_kwh: 0.5,
            carbon_kg_max: None,
        };
        let bound = |prices, demand| ground(prices, demand).bound_cny().unwrap();
        // Bought as it comes both cost 30. The battery takes 5 kWh in the cheap hour and gives them in the dear one.
        assert!((bound([1.0, 2.0], 0.0) - (15.0 + 2.0 * 5.0)).abs() < 1e-3);
        // Where the first hour is dear, its 4 kWh of work wait; the battery has nothing to give.
        assert!((bound([2.0, 1.0], 0.0) - (2.0 * 6.0 + 14.0)).abs() < 1e-3);
        // A peak costs more than it saves to move anything: 10 kW are the least of 20 kWh in two hours.
        assert!((bound([1.0, 2.0], 9.0) - (30.0 + 9.0 * 10.0)).abs() < 1e-3);
        // Carbon above what is allowed is priced: without gas or losses there is none to spare, so nothing changes.
        let with_carbon = Ground { carbon_kg_max: Some(10.0), ..ground([1.0, 2.0], 0.0) };
        assert!((with_carbon.bound_cny().unwrap() - 25.0).abs() < 1e-3);
    }
}
