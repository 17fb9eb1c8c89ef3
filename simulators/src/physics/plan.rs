//! `fleet.toml`: the physics of a zone's entities, and what each meter measures of it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::battery::BatteryPlan;
use super::building::{Archetype, BuildingPlan};
use super::charging::ChargingPlan;
use super::compressed_air::CompressorPlan;
use super::data_centre::DataCentrePlan;
use super::energy_station::{BoilerPlan, ChillerPlan};
use super::measures::Measure;
use super::production::LinePlan;
use super::public_space::{GreenSpacePlan, StreetLightingPlan};
use super::solar::PhotovoltaicPlan;
use super::steady::SteadyPlan;
use super::v2g::V2gPlan;
use crate::zone::Carrier;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub season: Season,
    pub loss: Loss,
    pub archetype: BTreeMap<String, Archetype>,
    #[serde(default)]
    pub building: Vec<BuildingPlan>,
    #[serde(default)]
    pub line: Vec<LinePlan>,
    #[serde(default)]
    pub compressor: Vec<CompressorPlan>,
    #[serde(default)]
    pub boiler: Vec<BoilerPlan>,
    #[serde(default)]
    pub chiller: Vec<ChillerPlan>,
    #[serde(default)]
    pub photovoltaic: Vec<PhotovoltaicPlan>,
    #[serde(default)]
    pub battery: Vec<BatteryPlan>,
    #[serde(default)]
    pub charging: Vec<ChargingPlan>,
    #[serde(default)]
    pub v2g: Vec<V2gPlan>,
    #[serde(default)]
    pub data_centre: Vec<DataCentrePlan>,
    #[serde(default)]
    pub street_lighting: Vec<StreetLightingPlan>,
    #[serde(default)]
    pub green_space: Vec<GreenSpacePlan>,
    #[serde(default)]
    pub steady: Vec<SteadyPlan>,
    /// What a trial's measured run does.
    #[serde(default)]
    pub measure: Vec<Measure>,
    /// By meter: the flows it measures itself, besides what its sub-meters measure.
    pub measures: BTreeMap<String, String>,
}

/// The district network's heating season, MM-DD.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Season {
    pub heating_from: String,
    pub heating_to: String,
}

/// What is lost between a meter and the meter upstream of it, as a share of what flows.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    pub electricity: f64,
    pub natural_gas: f64,
    pub heat: f64,
    pub steam: f64,
    pub water: f64,
}

impl Loss {
    pub fn share(&self, carrier: Carrier) -> f64 {
        match carrier {
            Carrier::Electricity => self.electricity,
            Carrier::NaturalGas => self.natural_gas,
            Carrier::Heat => self.heat,
            Carrier::Steam => self.steam,
            Carrier::Water => self.water,
            Carrier::Production | Carrier::Weather => 0.0,
        }
    }
}

/// A share of one flow of one model.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    pub share: f64,
    pub model: String,
    pub flow: String,
}

impl Plan {
    pub fn load(folder: &Path) -> Result<Plan, String> {
        let path = folder.join("fleet.toml");
        let text =
            std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}; the fleet needs the zone's physics", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// Reads `model.flow + 0.5*model.flow`; empty text is no flow.
pub fn terms(text: &str) -> Result<Vec<Term>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split('+').map(|part| term(part.trim())).collect()
}

fn term(text: &str) -> Result<Term, String> {
    let (share, name) = match text.split_once('*') {
        Some((share, name)) => (share.trim().parse().map_err(|_| format!("share is {:?}, wanted a number", share.trim()))?, name.trim()),
        None => (1.0, text),
    };
    let (model, flow) =
        name.split_once('.').ok_or_else(|| format!("flow is {name:?}, wanted model.flow such as \"office-01.lighting\""))?;
    Ok(Term { share, model: model.to_owned(), flow: flow.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_shares_of_flows() {
        let read = terms("office-01.lighting + 0.5*dc-1.it").unwrap();
        assert_eq!(read[0], Term { share: 1.0, model: "office-01".into(), flow: "lighting".into() });
        assert_eq!(read[1], Term { share: 0.5, model: "dc-1".into(), flow: "it".into() });
        assert!(terms("").unwrap().is_empty());
    }

    #[test]
    fn a_malformed_term_is_named() {
        assert!(terms("lighting").unwrap_err().contains("lighting"));
        assert!(terms("half*dc-1.it").unwrap_err().contains("half"));
    }
}
