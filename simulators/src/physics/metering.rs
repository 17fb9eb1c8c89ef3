//! From flows to meters: what a meter measures is its own flows plus all that its sub-meters pass on, plus the loss on the way.
//!
//! Invariant: a meter's net flow is never less than the sum of its sub-meters' net flows.

use rustc_hash::FxHashMap;

use super::draws::{Draws, Stream};
use super::moment::{HOUR_MS, Moment};
use super::plan::{Plan, terms};
use crate::zone::{Carrier, Channel, Direction, Zone};

/// All meters of a zone, sub-meters before the meters upstream of them.
#[derive(Clone, Debug)]
pub struct Metering {
    meters: Vec<Meter>,
    /// Net flow of each meter in the step, in natural units: kWh, m³, GJ, t.
    net: Vec<f64>,
    sources: Vec<Source>,
    of_id: FxHashMap<String, usize>,
}

#[derive(Clone, Debug)]
struct Meter {
    carrier: Carrier,
    terms: Vec<Measured>,
    below: Vec<usize>,
    loss: f64,
}

#[derive(Clone, Debug)]
struct Measured {
    flow: usize,
    share: f64,
    /// Machines that share a load never share it evenly.
    unevenness: Option<Stream>,
}

/// Where a channel's value comes from.
#[derive(Clone, Debug)]
enum Source {
    Inwards {
        meter: usize,
        ledger_per_unit: f64,
    },
    Outwards {
        meter: usize,
        ledger_per_unit: f64,
    },
    Temperature,
    Humidity,
    Irradiance,
    /// A flow that is a state: of charge.
    State {
        flow: usize,
    },
}

const UNEVENNESS_SD: f64 = 0.03;

/// The media whose makers need their users' demand before they can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    MadeMedia,
    Rest,
}

fn stage_of(carrier: Carrier) -> Stage {
    match carrier {
        Carrier::Heat | Carrier::Steam => Stage::MadeMedia,
        Carrier::Electricity | Carrier::NaturalGas | Carrier::Water | Carrier::Production | Carrier::Weather => Stage::Rest,
    }
}

impl Metering {
    /// Faults go to `faults`, all of them. `flow_of` finds a flow by `model.flow`.
    pub fn new(zone: &Zone, plan: &Plan, flow_of: &FxHashMap<String, usize>, draws: Draws, faults: &mut Vec<String>) -> Metering {
        let devices: Vec<&Channel> = in_order(zone);
        let of_id: FxHashMap<String, usize> = devices.iter().zip(0..).map(|(channel, index)| (channel.meter.clone(), index)).collect();
        for meter in plan.measures.keys().filter(|meter| !of_id.contains_key(*meter)) {
            faults.push(format!("fleet.toml: measures names the meter {meter:?}, which is no register in meters.csv"));
        }
        let mut measured = vec![0.0; flow_of.len()];
        let mut meters: Vec<Meter> = Vec::with_capacity(devices.len());
        for channel in &devices {
            let text = plan.measures.get(&channel.meter).map_or("", String::as_str);
            let terms = read_terms(channel, text, flow_of, draws, faults);
            for term in &terms {
                measured[term.flow] += term.share;
            }
            meters.push(Meter { carrier: channel.carrier, terms, below: Vec::new(), loss: plan.loss.share(channel.carrier) });
        }
        for (channel, index) in devices.iter().zip(0..) {
            if let Some(parent) = channel.parent.as_ref().and_then(|parent| of_id.get(parent)) {
                meters[*parent].below.push(index);
            }
        }
        for (name, flow) in flow_of {
            if measured[*flow] > 1.0 + 1e-9 {
                faults.push(format!("fleet.toml: the flow {name:?} is measured {} times, wanted at most once", measured[*flow]));
            }
        }
        let mut sources = Vec::with_capacity(zone.channels.len());
        for channel in &zone.channels {
            let text = plan.measures.get(&channel.meter).map_or("", String::as_str);
            sources.extend(source(channel, (&of_id, flow_of, text), faults));
        }
        Metering { net: vec![0.0; meters.len()], meters, sources, of_id }
    }

    pub fn find(&self, meter: &str) -> Option<usize> {
        self.of_id.get(meter).copied()
    }

    pub fn net(&self, meter: usize) -> f64 {
        self.net[meter]
    }

    /// Sums the meters of one stage.
    pub fn measure(&mut self, stage: Stage, moment: &Moment, flows: &[f64]) {
        let hour = moment.from_ms.div_euclid(HOUR_MS);
        for (index, meter) in self.meters.iter().enumerate().filter(|(_, meter)| stage_of(meter.carrier) == stage) {
            let own: f64 = meter
                .terms
                .iter()
                .map(|term| {
                    let uneven = term.unevenness.map_or(1.0, |stream| 1.0 + UNEVENNESS_SD * stream.normal_cut(hour));
                    flows[term.flow] * term.share * uneven
                })
                .sum();
            let passed_on: f64 = meter.below.iter().map(|below| self.net[*below] + meter.loss * self.net[*below].abs()).sum();
            self.net[index] = own + passed_on;
        }
    }

    /// Writes one value per channel of the zone, in its order.
    pub fn write(&self, moment: &Moment, flows: &[f64], out: &mut [f64]) {
        for (value, source) in out.iter_mut().zip(&self.sources) {
            *value = match source {
                Source::Inwards { meter, ledger_per_unit } => (self.net[*meter] * ledger_per_unit).max(0.0),
                Source::Outwards { meter, ledger_per_unit } => (-self.net[*meter] * ledger_per_unit).max(0.0),
                Source::Temperature => moment.temperature_c,
                Source::Humidity => moment.humidity_pct,
                Source::Irradiance => moment.irradiance_w_m2,
                Source::State { flow } => flows[*flow],
            };
        }
    }
}

/// One channel per register meter, the deepest in the tree first.
fn in_order(zone: &Zone) -> Vec<&Channel> {
    let mut first: FxHashMap<&str, &Channel> = FxHashMap::default();
    let mut devices = Vec::new();
    for channel in zone.channels.iter().filter(|channel| channel.direction != Direction::Gauge) {
        if first.insert(&channel.meter, channel).is_none() {
            devices.push(channel);
        }
    }
    let depth = |channel: &Channel| std::iter::successors(channel.parent.as_deref(), |id| first.get(id)?.parent.as_deref()).count();
    devices.sort_by_key(|channel| std::cmp::Reverse(depth(channel)));
    devices
}

fn read_terms(channel: &Channel, text: &str, flow_of: &FxHashMap<String, usize>, draws: Draws, faults: &mut Vec<String>) -> Vec<Measured> {
    let read = terms(text).unwrap_or_else(|fault| {
        faults.push(format!("fleet.toml: measures of {}: {fault}", channel.meter));
        Vec::new()
    });
    let uneven = channel.carrier == Carrier::Electricity && channel.direction == Direction::Import;
    read.into_iter()
        .filter_map(|term| {
            let name = format!("{}.{}", term.model, term.flow);
            let Some(flow) = flow_of.get(&name) else {
                faults.push(format!("fleet.toml: measures of {} name the flow {name:?}, which no model has", channel.meter));
                return None;
            };
            let unevenness = (uneven && term.share < 1.0).then(|| draws.stream(&channel.meter, &name));
            Some(Measured { flow: *flow, share: term.share, unevenness })
        })
        .collect()
}

/// `measures` is what its meter measures, in `fleet.toml`.
fn source(
    channel: &Channel,
    (of_id, flow_of, measures): (&FxHashMap<String, usize>, &FxHashMap<String, usize>, &str),
    faults: &mut Vec<String>,
) -> Option<Source> {
    if channel.direction == Direction::Gauge {
        // What the model behind the meter has under the item's name.
        let models = terms(measures).unwrap_or_default();
        if let Some(flow) = models.iter().find_map(|term| flow_of.get(&format!("{}.{}", term.model, channel.item))) {
            return Some(Source::State { flow: *flow });
        }
        return match channel.item.as_str() {
            "outdoor_temperature_c" => Some(Source::Temperature),
            "relative_humidity_pct" => Some(Source::Humidity),
            "global_irradiance_w_m2" => Some(Source::Irradiance),
            other => {
                faults.push(format!(
                    "meters.csv: {} has the gauge {other:?}, wanted outdoor_temperature_c, relative_humidity_pct, global_irradiance_w_m2, state_of_charge_pct of a battery's meter, or waiting_kwh of a line's or data centre's",
                    channel.meter
                ));
                None
            }
        };
    }
    let meter = of_id[&channel.meter];
    let ledger_per_unit = match channel.carrier {
        // Wh per kWh, litres per m³; kJ per GJ, grams per t; goods are modelled in the display's own unit.
        Carrier::Electricity | Carrier::NaturalGas | Carrier::Water => 1e3,
        Carrier::Heat | Carrier::Steam => 1e6,
        Carrier::Production | Carrier::Weather => channel.ledger_per_unit as f64,
    };
    Some(match channel.direction {
        Direction::Import | Direction::Made | Direction::Gauge => Source::Inwards { meter, ledger_per_unit },
        Direction::Export | Direction::Generation => Source::Outwards { meter, ledger_per_unit },
    })
}
