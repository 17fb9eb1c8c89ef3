//! All models of a zone, in the order in which one needs another's result: users first, then what feeds them, then the makers of heat,
//! steam and cold.

use rustc_hash::FxHashMap;

use super::battery::Battery;
use super::building::{Building, BuildingPlan};
use super::charging::Charging;
use super::compressed_air::Compressor;
use super::data_centre::DataCentre;
use super::draws::{Draws, Drift};
use super::energy_station::{Boiler, Chiller};
use super::measures::Measure;
use super::metering::Metering;
use super::model::Model;
use super::moment::Moment;
use super::plan::Plan;
use super::production::{Line, Shifts};
use super::public_space::{GreenSpace, StreetLighting};
use super::solar::Photovoltaic;
use super::steady::Steady;
use super::v2g::V2g;
use crate::zone::{Carrier, Zone};

/// What a model has to feed.
#[derive(Clone, Debug)]
enum Demand {
    None,
    /// The sum of these flows.
    Flows(Vec<usize>),
    /// The sum of these meters, each times GJ per unit.
    Meters(Vec<(usize, f64)>),
}

struct Member {
    /// The table of `fleet.toml` that it comes from.
    kind: &'static str,
    id: String,
    model: Box<dyn Model>,
    demand: Demand,
    /// None for what does not drift: sun and what is stored.
    drift: Option<Drift>,
    first_flow: usize,
    /// Goods do not drift, only what they cost.
    exempt: [Option<usize>; 2],
}

#[derive(Clone)]
pub struct Roster {
    members: Vec<Member>,
    /// Members before this index need no meter.
    makers_from: usize,
    maker_ids: Vec<String>,
    flow_of: FxHashMap<String, usize>,
}

impl Roster {
    pub fn new(zone: &Zone, plan: &Plan, draws: Draws, faults: &mut Vec<String>) -> Roster {
        let mut roster = Roster { members: Vec::new(), makers_from: 0, maker_ids: Vec::new(), flow_of: FxHashMap::default() };
        let mut registration = Registration { roster: &mut roster, zone, draws, faults };
        registration.users(plan);
        registration.compressors(plan);
        registration.makers(plan);
        roster
    }

    /// Connects the makers with the meters of what they make.
    pub fn connect(&mut self, zone: &Zone, plan: &Plan, metering: &Metering, faults: &mut Vec<String>) {
        let served = plan.boiler.iter().map(|p| &p.serves).chain(plan.chiller.iter().map(|p| &p.serves));
        for ((member, id), meters) in self.members[self.makers_from..].iter_mut().zip(&self.maker_ids).zip(served) {
            let mut found = Vec::new();
            for meter in meters {
                let channel = zone.channels.iter().find(|channel| channel.meter == *meter);
                let gj_per_unit = match channel.map(|channel| channel.carrier) {
                    Some(Carrier::Heat) => 1.0,
                    Some(Carrier::Steam) => zone.steam_kj_per_kg / 1000.0,
                    seen => {
                        faults.push(format!(
                            "fleet.toml: {id} serves {meter:?} of carrier {seen:?}, wanted a heat or steam meter of meters.csv"
                        ));
                        continue;
                    }
                };
                found.extend(metering.find(meter).map(|index| (index, gj_per_unit)));
            }
            member.demand = Demand::Meters(found);
        }
    }

    /// Why a measure cannot be taken, if it cannot.
    pub fn refusal(&self, measure: &Measure) -> Option<String> {
        let taken = self
            .members
            .iter()
            .find(|member| member.id == measure.model)
            .map(|member| member.model.copied().take(measure.kind, measure.by));
        let refused = match taken {
            None => Err(format!("the measure {:?} names {:?}, which is no model of the file", measure.kind, measure.model)),
            Some(false) => Err(format!("the measure {:?} is nothing to {:?}; wanted a model of another kind", measure.kind, measure.model)),
            Some(true) => measure.check(),
        };
        refused.err().map(|fault| format!("fleet.toml: {fault}"))
    }

    /// Does what a measure says; one that was not refused does something.
    pub fn take(&mut self, measure: &Measure) {
        for member in self.members.iter_mut().filter(|member| member.id == measure.model) {
            member.model.take(measure.kind, measure.by);
        }
    }

    /// What the programme builds is there from now on.
    pub fn commission(&mut self) {
        for member in &mut self.members {
            member.model.commission();
        }
    }

    /// The assets that hold rooms' temperatures, and the temperatures, °C.
    pub fn rooms(&self) -> impl Iterator<Item = (&str, f64)> {
        self.members.iter().filter_map(|member| member.model.room())
    }

    /// All flows in the order of their indices: table, model, flow.
    pub fn names(&self) -> impl Iterator<Item = (&'static str, &str, &'static str)> {
        self.members.iter().flat_map(|member| member.model.flows().iter().map(|flow| (member.kind, member.id.as_str(), *flow)))
    }

    /// Index of each flow by `model.flow`.
    pub fn flow_of(&self) -> &FxHashMap<String, usize> {
        &self.flow_of
    }

    pub fn flow_count(&self) -> usize {
        self.flow_of.len()
    }

    /// Steps all but the makers of heat, steam and cold.
    pub fn step_users(&mut self, moment: &Moment, flows: &mut [f64]) {
        for member in &mut self.members[..self.makers_from] {
            let demand = match &member.demand {
                Demand::Flows(feeds) => feeds.iter().map(|flow| flows[*flow]).sum(),
                Demand::None | Demand::Meters(_) => 0.0,
            };
            member.step(moment, demand, flows);
        }
    }

    /// Steps the makers after their users' meters are summed.
    pub fn step_makers(&mut self, moment: &Moment, metering: &Metering, flows: &mut [f64]) {
        for member in &mut self.members[self.makers_from..] {
            let demand = match &member.demand {
                Demand::Meters(served) => served.iter().map(|(meter, gj_per_unit)| metering.net(*meter) * gj_per_unit).sum(),
                Demand::None | Demand::Flows(_) => 0.0,
            };
            member.step(moment, demand, flows);
        }
    }
}

impl Member {
    fn step(&mut self, moment: &Moment, demand: f64, flows: &mut [f64]) {
        let own = &mut flows[self.first_flow..self.first_flow + self.model.flows().len()];
        self.model.step(moment, demand, own);
        if let Some(drift) = &mut self.drift {
            let factor = drift.factor(moment.date.year());
            for (index, flow) in own.iter_mut().enumerate() {
                if !self.exempt.contains(&Some(index)) {
                    *flow *= factor;
                }
            }
        }
    }
}

impl Clone for Member {
    fn clone(&self) -> Member {
        Member { id: self.id.clone(), model: self.model.copied(), demand: self.demand.clone(), drift: self.drift.clone(), ..*self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drifts {
    Yes,
    No,
}

/// Enters models into the roster and collects what is wrong with them.
struct Registration<'a> {
    roster: &'a mut Roster,
    zone: &'a Zone,
    draws: Draws,
    faults: &'a mut Vec<String>,
}

impl Registration<'_> {
    fn users(&mut self, plan: &Plan) {
        for p in &plan.building {
            if let Some(model) = self.building(p, plan) {
                self.add("building", (&p.id, &p.entity), Drifts::Yes, model);
            }
        }
        let draws = self.draws;
        for p in &plan.line {
            if p.shiftable.is_some() && p.shifts != Shifts::Three {
                self.faults.push(format!(
                    "fleet.toml: {} is shiftable with {:?} shifts, wanted three: nobody is there to make up for it",
                    p.id, p.shifts
                ));
            }
            self.add("line", (&p.id, &p.entity), Drifts::Yes, Box::new(Line::new(p.clone(), draws)));
        }
        for p in &plan.photovoltaic {
            self.add("photovoltaic", (&p.id, &p.entity), Drifts::No, Box::new(Photovoltaic::new(p.clone())));
        }
        for p in &plan.battery {
            self.add("battery", (&p.id, &p.entity), Drifts::No, Box::new(Battery::new(p.clone())));
        }
        for p in &plan.charging {
            self.add("charging", (&p.id, &p.entity), Drifts::Yes, Box::new(Charging::new(p.clone(), draws)));
        }
        for p in &plan.v2g {
            match self.zone.assets.iter().find(|asset| asset.id == p.asset) {
                Some(asset) => self.add("v2g", (&p.id, &p.entity), Drifts::No, Box::new(V2g::new(p.clone(), asset.clone()))),
                None => self.faults.push(format!(
                    "fleet.toml: {} has the asset {:?}, wanted one of assets.toml: it says when vehicles are away",
                    p.id, p.asset
                )),
            }
        }
        for p in &plan.data_centre {
            self.add("data_centre", (&p.id, &p.entity), Drifts::Yes, Box::new(DataCentre::new(p.clone(), draws)));
        }
        for p in &plan.street_lighting {
            self.add("street_lighting", (&p.id, &p.entity), Drifts::Yes, Box::new(StreetLighting::new(p.clone())));
        }
        for p in &plan.green_space {
            self.add("green_space", (&p.id, &p.entity), Drifts::Yes, Box::new(GreenSpace::new(p.clone())));
        }
        for p in &plan.steady {
            self.add("steady", (&p.id, &p.entity), Drifts::Yes, Box::new(Steady::new(p.clone(), draws)));
        }
    }

    fn compressors(&mut self, plan: &Plan) {
        for p in &plan.compressor {
            let lines = self.air_of(&p.id, &p.feeds);
            self.add("compressor", (&p.id, &p.entity), Drifts::Yes, Box::new(Compressor::new(p.clone())));
            if let Some(member) = self.roster.members.last_mut() {
                member.demand = Demand::Flows(lines);
            }
        }
    }

    fn makers(&mut self, plan: &Plan) {
        self.roster.makers_from = self.roster.members.len();
        for p in &plan.boiler {
            let boiler = Boiler::new(p.clone(), self.zone.gas_mj_per_m3);
            self.add("boiler", (&p.id, &p.entity), Drifts::Yes, Box::new(boiler));
            self.roster.maker_ids.push(p.id.clone());
        }
        for p in &plan.chiller {
            self.add("chiller", (&p.id, &p.entity), Drifts::Yes, Box::new(Chiller::new(p.clone())));
            self.roster.maker_ids.push(p.id.clone());
        }
    }

    fn add(&mut self, kind: &'static str, (id, entity): (&str, &str), drifts: Drifts, model: Box<dyn Model>) {
        if entity != self.zone.id && !self.zone.entities.iter().any(|known| known.id == entity) {
            self.faults.push(format!("fleet.toml: {id} has the entity {entity:?}, which entities.geojson does not know"));
        }
        let first_flow = self.roster.flow_of.len();
        for (flow, index) in model.flows().iter().zip(first_flow..) {
            if self.roster.flow_of.insert(format!("{id}.{flow}"), index).is_some() {
                self.faults.push(format!("fleet.toml: the id {id:?} is used twice; give each model its own"));
                return;
            }
        }
        self.roster.members.push(Member {
            demand: Demand::None,
            drift: (drifts == Drifts::Yes).then(|| Drift::new(self.draws, entity)),
            first_flow,
            kind,
            id: id.to_owned(),
            exempt: ["product", "put_off"].map(|goods| model.flows().iter().position(|flow| *flow == goods)),
            model,
        });
    }

    fn air_of(&mut self, id: &str, lines: &[String]) -> Vec<usize> {
        let mut flows = Vec::new();
        for line in lines {
            match self.roster.flow_of.get(&format!("{line}.air")) {
                Some(flow) => flows.push(*flow),
                None => self.faults.push(format!("fleet.toml: {id} feeds {line:?}, wanted the id of a line")),
            }
        }
        flows
    }

    fn building(&mut self, p: &BuildingPlan, plan: &Plan) -> Option<Box<dyn Model>> {
        let Some(archetype) = plan.archetype.get(&p.archetype) else {
            self.faults.push(format!("fleet.toml: {} has the archetype {:?}, which the file does not describe", p.id, p.archetype));
            return None;
        };
        let entity = self.zone.entities.iter().find(|entity| entity.id == p.entity);
        let size = entity.and_then(|entity| Some((entity.floor_area_m2?, entity.head_count?)));
        let Some((floor_m2, people)) = size else {
            self.faults.push(format!("fleet.toml: {} stands for {:?}, wanted an entity with floor_area_m2 and head_count", p.id, p.entity));
            return None;
        };
        let gas_kwh_per_m3 = self.zone.gas_mj_per_m3 / 3.6;
        match Building::new(p.clone(), archetype.clone(), floor_m2, people, gas_kwh_per_m3, self.draws) {
            Ok(building) => Some(Box::new(building)),
            Err(fault) => {
                self.faults.push(format!("fleet.toml: archetype {}: {fault}", p.archetype));
                None
            }
        }
    }
}
