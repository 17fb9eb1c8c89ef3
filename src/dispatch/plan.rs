//! One plan: a linear program over a horizon of steps, with whole numbers only where batches may start.
//!
//! Minimises cost + carbon price × carbon + demand charge × what the month's peak so far is exceeded by, less the worth of what is stored at the end; storages lose
//! no more than they may. Never reads a clock for what it decides: the size of a problem and the number of nodes are bounded, the time limit is the last resort and ends in
//! [`Failure::Late`].

use std::time::Duration;

use microlp::{ComparisonOp, OptimizationDirection, Problem as Program, SolveOptions, SolveOutcome, Variable};

/// The most variables of a problem: a month of hours for two batteries and two groups of vehicles, and little more.
pub const VARIABLES_MAX: usize = 12_000;
/// The most nodes of branch and bound; without batches there are none.
const NODES_MAX: u64 = 500;
/// A plan within this share of the best one is good enough where batches are chosen.
const GAP: f64 = 1e-4;
/// What a kW above [`Steps::charge_below_kw`] costs, CNY: more than an hour of any price is worth, so that it comes only where something is due.
const ABOVE_CNY_PER_KW: f64 = 10.0;
/// What is off a bound by no more than this share of a thousand kWh is the solver's arithmetic.
const TOLERANCE_KWH: f64 = 1e-3;

/// What is known of each step. All series of a problem have the length of `hours`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps {
    /// Lengths in hours.
    pub hours: Vec<f64>,
    /// Of what is bought, CNY/kWh.
    pub price: Vec<f64>,
    /// Of the grid, kg CO2/kWh.
    pub carbon: Vec<f64>,
    /// Forecast of what is drawn besides the storages and batches, less photovoltaics: mean kW. Below 0 there is more sun than use; what is fed in earns nothing.
    pub load_kw: Vec<f64>,
    /// The highest quarter of an hour above the step's mean, kW: it makes the peak, not the mean.
    pub excess_kw: Vec<f64>,
    /// What is held (see [`Storage::held`]) is charged only as long as what is bought stays below this, mean kW, or because it is due; infinite where nothing
    /// bounds it.
    pub charge_below_kw: Vec<f64>,
    /// The month's peak so far that holds for each step, kW, as a position in [`Problem::peaks_kw`].
    pub month: Vec<usize>,
}

/// A battery, vehicles at their posts, or work that may wait.
///
/// The energy of vehicles and of work is counted from what the horizon begins with: a ceiling that rises as they come, a floor that has risen as they leave.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// At the terminal.
    pub charge_kw_max: f64,
    /// 0 for vehicles that only charge.
    pub discharge_kw_max: f64,
    /// Stored per charged, and delivered per stored.
    pub one_way_efficiency: f64,
    pub stored_kwh: f64,
    /// What must be stored, and what can be, at the end of each step.
    pub floor_kwh: Vec<f64>,
    pub ceiling_kwh: Vec<f64>,
    /// What a kWh that is stored at the end is worth, CNY.
    pub worth_cny_per_kwh: f64,
    /// Whether its charging is held below a peak.
    pub held: bool,
}

/// Something that runs once, for a time, at a constant power.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub kw: f64,
    pub run_h: f64,
    /// It begins with a step of these, and is over by `deadline_h` hours after the horizon's begin.
    pub earliest_step: usize,
    pub deadline_h: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Problem {
    pub steps: Steps,
    pub storages: Vec<Storage>,
    /// What storages that give may lose, kWh at the terminal; none: nothing bounds it. What stays stored is not lost.
    pub losses_kwh_max: Option<f64>,
    pub batches: Vec<Batch>,
    /// Of carbon, CNY/kg.
    pub carbon_cny_per_kg: f64,
    /// Of the month's highest mean, CNY/kW; of each month that the horizon touches what it has seen already, kW.
    pub peak_cny_per_kw: f64,
    pub peaks_kw: Vec<f64>,
}

/// What to do in each step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Of each storage: charging above 0, giving below, mean kW at the terminal.
    pub storage_kw: Vec<Vec<f64>>,
    /// The step with which each batch begins.
    pub batch_step: Vec<usize>,
    /// What the horizon costs by this plan, CNY: what is minimised.
    pub cost_cny: f64,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    #[error("{what} has {seen} values, wanted one for each of the {steps} steps")]
    Length { what: &'static str, seen: usize, steps: usize },
    #[error("{what} is {seen}, wanted {wanted}")]
    Value { what: &'static str, seen: f64, wanted: &'static str },
    #[error("the plan has {0} variables, wanted at most {VARIABLES_MAX}; pool assets or shorten the horizon")]
    TooLarge(usize),
    #[error(
        "no plan keeps all bounds; an energy that is wanted by a time may be more than the power gives, or a batch longer than its window"
    )]
    Infeasible,
    #[error("the solver ran out of its time or its nodes")]
    Late,
    #[error("the solver gave up: {0}")]
    Solver(String),
}

/// The best plan. `last_resort` bounds the solver's time by the wall clock; a plan never depends on it, only whether there is one.
pub fn solve(problem: &Problem, last_resort: Duration) -> Result<Plan, Failure> {
    problem.check()?;
    let mut model = Model::of(problem);
    let (program, drawn, mut charging) = (&mut model.program, std::mem::take(&mut model.drawn), std::mem::take(&mut model.charging));
    let steps = &problem.steps;
    let peaks: Vec<Variable> = problem.peaks_kw.iter().map(|_| program.add_var(problem.peak_cny_per_kw, (0.0, f64::INFINITY))).collect();
    for (step, mut drawn) in drawn.into_iter().enumerate() {
        let cny_per_kw = steps.hours[step] * (steps.price[step] + problem.carbon_cny_per_kg * steps.carbon[step]);
        let bought = program.add_var(cny_per_kw, (0.0, f64::INFINITY));
        // What is bought covers what is drawn; what the sun gives beyond that is fed in.
        drawn.push((bought, -1.0));
        program.add_constraint(&drawn, ComparisonOp::Le, -steps.load_kw[step]);
        let month = steps.month[step];
        program.add_constraint([(bought, 1.0), (peaks[month], -1.0)], ComparisonOp::Le, problem.peaks_kw[month] - steps.excess_kw[step]);
        let mut charged = std::mem::take(&mut charging[step]);
        let room_kw = steps.charge_below_kw[step] - steps.load_kw[step];
        if !charged.is_empty() && room_kw.is_finite() {
            charged.push((program.add_var(ABOVE_CNY_PER_KW, (0.0, f64::INFINITY)), -1.0));
            program.add_constraint(&charged, ComparisonOp::Le, room_kw.max(0.0));
        }
    }
    let mut options = SolveOptions::default();
    (options.time_limit, options.node_limit, options.mip_gap) = (Some(last_resort), Some(NODES_MAX), GAP);
    // The solver asserts what it believes of its arithmetic: where that does not hold there is no plan, and no reason to die.
    let solved = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| model.program.solve_with(options)));
    let solution = match solved.unwrap_or_else(|_| Err(microlp::Error::InternalError("an assertion of its own failed".to_owned()))) {
        Ok(SolveOutcome::Solution(solution)) => solution,
        Ok(SolveOutcome::Interrupted(_)) => return Err(Failure::Late),
        Err(microlp::Error::Infeasible) => return Err(Failure::Infeasible),
        Err(other) => return Err(Failure::Solver(other.to_string())),
    };
    let value = |variable: &Variable| solution.var_value(*variable);
    let plan = Plan {
        storage_kw: model
            .storages
            .iter()
            .map(|steps| steps.iter().map(|(charge, give)| value(charge) - give.as_ref().map_or(0.0, value)).collect())
            .collect(),
        batch_step: model
            .starts
            .iter()
            .filter_map(|starts| starts.iter().max_by(|a, b| value(&a.1).total_cmp(&value(&b.1))))
            .map(|(step, _)| *step)
            .collect(),
        cost_cny: solution.objective(),
    };
    plan.keeps(problem).then_some(plan).ok_or_else(|| Failure::Solver("its plan leaves the bounds".to_owned()))
}

/// The program while it grows.
struct Model {
    program: Program,
    /// Of each step: what the zone draws by it, in kW per unit of a variable.
    drawn: Vec<Vec<(Variable, f64)>>,
    /// Of each step: the charging of what is held.
    charging: Vec<Vec<(Variable, f64)>>,
    /// Of each storage and step: charging, and giving where it can.
    storages: Vec<Vec<(Variable, Option<Variable>)>>,
    /// What storages that give lose, in kWh per unit of a variable, and less this constant.
    losses: (Vec<(Variable, f64)>, f64),
    /// Of each batch: whether it begins with a step.
    starts: Vec<Vec<(usize, Variable)>>,
}

impl Model {
    fn of(problem: &Problem) -> Model {
        let program = Program::new(OptimizationDirection::Minimize);
        let drawn = vec![Vec::new(); problem.steps.hours.len()];
        let charging = drawn.iter().map(|_: &Vec<(Variable, f64)>| Vec::new()).collect();
        let mut model = Model { program, drawn, charging, storages: Vec::new(), losses: (Vec::new(), 0.0), starts: Vec::new() };
        for storage in &problem.storages {
            model.store(storage, &problem.steps.hours);
        }
        if let Some(most) = problem.losses_kwh_max.filter(|_| !model.losses.0.is_empty()) {
            model.program.add_constraint(&model.losses.0, ComparisonOp::Le, most + model.losses.1);
        }
        for batch in &problem.batches {
            model.batch(batch, &problem.steps.hours);
        }
        model
    }

    fn store(&mut self, storage: &Storage, hours: &[f64]) {
        let (mut before, mut flows) = (None, Vec::with_capacity(hours.len()));
        for (step, hours) in hours.iter().enumerate() {
            let last = step + 1 == storage.floor_kwh.len();
            let charge = self.program.add_var(0.0, (0.0, storage.charge_kw_max));
            let give = (0.0 < storage.discharge_kw_max).then(|| self.program.add_var(0.0, (0.0, storage.discharge_kw_max)));
            let worth = if last { -storage.worth_cny_per_kwh } else { 0.0 };
            let after = self.program.add_var(worth, (storage.floor_kwh[step], storage.ceiling_kwh[step]));
            let mut balance = vec![(after, 1.0), (charge, -hours * storage.one_way_efficiency)];
            balance.extend(give.map(|give| (give, hours / storage.one_way_efficiency)));
            balance.extend(before.map(|before| (before, -1.0)));
            let from = if before.is_none() { storage.stored_kwh } else { 0.0 };
            self.program.add_constraint(&balance, ComparisonOp::Eq, from);
            self.drawn[step].push((charge, 1.0));
            self.drawn[step].extend(give.map(|give| (give, -1.0)));
            self.charging[step].extend(storage.held.then_some((charge, 1.0)));
            if let Some(give) = give {
                self.losses.0.extend([(charge, *hours), (give, -hours)]);
                self.losses.0.extend(last.then_some((after, -storage.one_way_efficiency)));
            }
            flows.push((charge, give));
            before = Some(after);
        }
        if 0.0 < storage.discharge_kw_max {
            self.losses.1 -= storage.one_way_efficiency * storage.stored_kwh;
        }
        self.storages.push(flows);
    }

    fn batch(&mut self, batch: &Batch, hours: &[f64]) {
        let starts: Vec<(usize, Variable)> = batch.starts(hours).into_iter().map(|step| (step, self.program.add_binary_var(0.0))).collect();
        for (start, variable) in &starts {
            for (step, share) in batch.shares(*start, hours) {
                self.drawn[step].push((*variable, batch.kw * share));
            }
        }
        let once: Vec<(Variable, f64)> = starts.iter().map(|(_, variable)| (*variable, 1.0)).collect();
        self.program.add_constraint(&once, ComparisonOp::Eq, 1.0);
        self.starts.push(starts);
    }
}

impl Batch {
    /// The steps it may begin with.
    fn starts(&self, hours: &[f64]) -> Vec<usize> {
        let end = self.deadline_h.min(hours.iter().sum());
        let mut begin = 0.0;
        let mut found = Vec::new();
        for (step, hours) in hours.iter().enumerate() {
            if self.earliest_step <= step && begin + self.run_h <= end + 1e-9 {
                found.push(step);
            }
            begin += hours;
        }
        found
    }

    /// The share of each step in which it runs, begun with `start`.
    fn shares(&self, start: usize, hours: &[f64]) -> Vec<(usize, f64)> {
        let mut left = self.run_h;
        let mut shares = Vec::new();
        for (step, hours) in hours.iter().enumerate().skip(start) {
            if left <= 1e-9 {
                break;
            }
            shares.push((step, (left / hours).min(1.0)));
            left -= hours;
        }
        shares
    }
}

impl Problem {
    fn check(&self) -> Result<(), Failure> {
        let steps = self.steps.hours.len();
        let length = |what, seen: usize| if seen == steps { Ok(()) } else { Err(Failure::Length { what, seen, steps }) };
        let all = |what, values: &[f64], holds: fn(f64) -> bool, wanted| match values.iter().find(|value| !holds(**value)) {
            Some(seen) => Err(Failure::Value { what, seen: *seen, wanted }),
            None => Ok(()),
        };
        let (finite, not_below_0) = (|value: f64| value.is_finite(), |value: f64| value.is_finite() && 0.0 <= value);
        let Steps { hours, price, carbon, load_kw, excess_kw, charge_below_kw, month } = &self.steps;
        all("a step's length in hours", hours, |value| value.is_finite() && 0.0 < value, "more than 0")?;
        for (what, values) in [("the price", price), ("the carbon", carbon), ("the load", load_kw), ("the excess", excess_kw)] {
            length(what, values.len())?;
            all(what, values, finite, "a number")?;
        }
        length("the month", month.len())?;
        if let Some(month) = month.iter().find(|month| self.peaks_kw.len() <= **month) {
            return Err(Failure::Value { what: "a step's month", seen: *month as f64, wanted: "the position of a peak" });
        }
        length("the limit of charging", charge_below_kw.len())?;
        all("the limit of charging", charge_below_kw, |value| !value.is_nan(), "a number or infinity")?;
        all("the peak so far", &self.peaks_kw, not_below_0, "0 or more")?;
        all("a price of carbon or demand", &[self.carbon_cny_per_kg, self.peak_cny_per_kw], not_below_0, "0 or more")?;
        for storage in &self.storages {
            length("the floor", storage.floor_kwh.len())?;
            length("the ceiling", storage.ceiling_kwh.len())?;
            all("a storage's power", &[storage.charge_kw_max, storage.discharge_kw_max], not_below_0, "0 or more")?;
            all("a storage's efficiency", &[storage.one_way_efficiency], |value| 0.0 < value && value <= 1.0, "above 0, at most 1")?;
            all("a storage's energy", &[storage.stored_kwh, storage.worth_cny_per_kwh], finite, "a number")?;
            all("the floor", &storage.floor_kwh, finite, "a number")?;
            all("the ceiling", &storage.ceiling_kwh, finite, "a number")?;
            if storage.floor_kwh.iter().zip(&storage.ceiling_kwh).any(|(floor, ceiling)| ceiling < floor) {
                return Err(Failure::Infeasible);
            }
        }
        all("what may be lost", self.losses_kwh_max.as_slice(), not_below_0, "0 or more")?;
        for batch in &self.batches {
            all("a batch", &[batch.kw, batch.run_h, batch.deadline_h], not_below_0, "0 or more")?;
            if batch.starts(hours).is_empty() {
                return Err(Failure::Infeasible);
            }
        }
        let variables = steps * (1 + 3 * self.storages.len() + self.batches.len());
        if VARIABLES_MAX < variables { Err(Failure::TooLarge(variables)) } else { Ok(()) }
    }
}

impl Plan {
    /// Whether the storages stay within their bounds, reckoned once more from the powers.
    fn keeps(&self, problem: &Problem) -> bool {
        let within = |storage: &Storage, powers: &[f64]| {
            let mut stored = storage.stored_kwh;
            powers.iter().enumerate().all(|(step, kw)| {
                let exchanged = kw * problem.steps.hours[step];
                stored += if 0.0 < exchanged { exchanged * storage.one_way_efficiency } else { exchanged / storage.one_way_efficiency };
                let slack = TOLERANCE_KWH * (1.0 + storage.ceiling_kwh[step].abs());
                kw.is_finite() && storage.floor_kwh[step] - slack <= stored
            })
        };
        self.cost_cny.is_finite()
            && self.batch_step.len() == problem.batches.len()
            && problem.storages.iter().zip(&self.storage_kw).all(|(storage, powers)| within(storage, powers))
    }
}

#[cfg(test)]
mod tests;
