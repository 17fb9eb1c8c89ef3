//! A zone folder (`docs/zone.md`), read as a whole: either all of it is good, or every fault is told.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use super::fault::Fault;
use super::meter_links::MeterList;
use super::meters_csv::KnownEntities;
use super::zone_toml::ZoneToml;
use super::{
    alerts_toml, allocations_csv, assets_toml, calendar_csv, entities_geojson, entries_csv, factors, indicators_csv, meters_csv,
    source_text, supplies_csv, tariffs, zone_toml,
};
use crate::domain::alert_rules::AlertRules;
use crate::domain::calendar::DayTypes;
use crate::domain::channel::{Carrier, Channel, ChannelKind, Direction};
use crate::domain::declared::Declared;
use crate::domain::entity::EntityIndex;
use crate::domain::factors::{CoalBasis, FactorSet, MissingFactor};
use crate::domain::substances::GwpSet;
use crate::domain::tariff::Tariff;
use crate::domain::zone::{Zone, ZoneParts};

#[derive(Debug)]
pub struct ZoneFolder {
    pub zone: Zone,
    pub alert_rules: AlertRules,
    pub factors: FactorSet,
    /// Without prices where the zone names none.
    pub tariff: Tariff,
}

/// Reads and checks everything but `fleet.toml`, which is the fleet's own.
pub fn load(folder: &Path) -> Result<ZoneFolder, Vec<Fault>> {
    let mut faults = Vec::new();
    let zone_toml =
        text(source_text::read_needed(folder, "zone.toml").map(Some), &mut faults).map(|text| kept(zone_toml::read(&text), &mut faults));
    let zone_id = zone_toml.as_ref().and_then(|zone| zone.id.as_deref());
    let entities = text(source_text::read_needed(folder, "entities.geojson").map(Some), &mut faults)
        .map(|text| kept(entities_geojson::read(&text, zone_id), &mut faults));
    let ids = entities.as_ref().and_then(|entities| entities.ids.as_ref());
    let known = KnownEntities {
        zone_id,
        ids,
        residual: EntityIndex(ids.map_or(0, |_| entities.as_ref().map_or(0, |entities| entities.list.len() as u32))),
    };
    let meters = text(source_text::read_needed(folder, "meters.csv").map(Some), &mut faults)
        .map(|text| kept(meters_csv::read(&text, &known), &mut faults));
    let day_types = text(source_text::read(folder, "calendar.csv"), &mut faults)
        .map_or_else(DayTypes::default, |text| kept(calendar_csv::read(&text), &mut faults));
    let factors = zone_toml.as_ref().and_then(|zone| factors::find(folder, &zone.factors, &mut faults));
    let is_shared = |id: &str| meters.as_ref().is_none_or(|meters| has_import_register(meters, id));
    let declared = declared(folder, zone_toml.as_ref(), ids, &is_shared, factors.as_ref(), &mut faults);
    let is_entity = |id: &str| ids.is_none_or(|ids| ids.contains_key(id)) || zone_id == Some(id);
    let (assets, mut asset_faults) = text(source_text::read(folder, "assets.toml"), &mut faults)
        .map_or_else(Default::default, |text| assets_toml::read(&text, &is_entity));
    let tariff = zone_toml.as_ref().and_then(|zone| zone.tariff.as_ref()).map(|tariff| tariffs::find(folder, tariff, &mut faults));
    let places = zone_toml.as_ref().map(|zone| (zone.region_line, zone.zone_line));
    let zone = match (zone_toml.and_then(|zone| zone.profile), entities, meters) {
        (Some(profile), Some(entities), Some(meters)) if faults.is_empty() => Some(Zone::new(ZoneParts {
            profile,
            entities: entities.list,
            meters: meters.meters,
            gateways: meters.gateways,
            channels: meters.channels,
            assets,
            day_types,
            declared,
        })),
        _ => None,
    };
    if let (Some(zone), Some(factors), Some(places)) = (&zone, &factors, places) {
        refuse_missing_factors(zone, factors, places, &mut faults);
    }
    let alert_rules = text(source_text::read(folder, "alerts.toml"), &mut faults)
        .map_or_else(AlertRules::default, |text| kept(alerts_toml::read(&text, zone.as_ref()), &mut faults));
    faults.append(&mut asset_faults);
    match (zone, factors) {
        (Some(zone), Some(factors)) if faults.is_empty() => {
            Ok(ZoneFolder { zone, alert_rules, factors, tariff: tariff.flatten().unwrap_or_default() })
        }
        _ => Err(faults),
    }
}

/// The files that the folder's `zone.toml` names in the place of built-in sets, wherever they lie; a built-in set is a path to nothing.
#[must_use]
pub fn named_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(Some(text)) = source_text::read(folder, "zone.toml") else { return Vec::new() };
    let (zone, _told_by_load) = zone_toml::read(&text);
    [Some(zone.factors), zone.tariff].into_iter().flatten().map(|set| folder.join(&set.name)).collect()
}

/// What users declare beside the meters. Entities and gases are checked only where their own file could be read.
fn declared(
    folder: &Path,
    zone: Option<&ZoneToml>,
    ids: Option<&FxHashMap<String, EntityIndex>>,
    is_shared: &dyn Fn(&str) -> bool,
    factors: Option<&FactorSet>,
    faults: &mut Vec<Fault>,
) -> Declared {
    let zone_id = zone.and_then(|zone| zone.id.as_deref());
    let is_entity = |id: &str| ids.is_none_or(|ids| ids.contains_key(id)) || zone_id == Some(id);
    let gwp = zone.and_then(|zone| zone.profile.as_ref()).map_or(GwpSet::Ar5, |profile| profile.gwp);
    let known = entries_csv::Known { entity: &is_entity, factors, gwp };
    let entries = text(source_text::read(folder, "entries.csv"), faults).map(|text| kept(entries_csv::read(&text, &known), faults));
    let contracts =
        text(source_text::read(folder, "contracts.csv"), faults).map(|text| kept(supplies_csv::contracts(&text, &known), faults));
    let certificates =
        text(source_text::read(folder, "certificates.csv"), faults).map(|text| kept(supplies_csv::certificates(&text, &known), faults));
    let supplies = contracts.into_iter().chain(certificates).flatten().collect();
    let indicators = text(source_text::read(folder, "indicators.csv"), faults).map(|text| kept(indicators_csv::read(&text), faults));
    let allocations = text(source_text::read(folder, "allocations.csv"), faults)
        .map(|text| kept(allocations_csv::read(&text, &known, is_shared), faults));
    Declared {
        allocations: allocations.unwrap_or_default(),
        entries: entries.unwrap_or_default(),
        supplies,
        indicators: indicators.unwrap_or_default(),
    }
}

/// Whether a meter is a device that counts an import.
fn has_import_register(meters: &MeterList, id: &str) -> bool {
    let is_register = |channel: &Channel| channel.direction == Direction::Import && channel.register().is_some();
    let Some(meter) = meters.meters.iter().find(|meter| &*meter.id == id) else { return false };
    meter.channels.iter().filter_map(|channel| meters.channels.get(channel.0 as usize)).any(is_register)
}

fn text(read: Result<Option<String>, Box<Fault>>, faults: &mut Vec<Fault>) -> Option<String> {
    read.unwrap_or_else(|fault| {
        faults.push(*fault);
        None
    })
}

fn kept<T>((value, mut found): (T, Vec<Fault>), faults: &mut Vec<Fault>) -> T {
    faults.append(&mut found);
    value
}

/// Any year will do: a factor of another year is a fallback, one of no year is missing.
fn refuse_missing_factors(zone: &Zone, factors: &FactorSet, (region_line, zone_line): (usize, usize), faults: &mut Vec<Fault>) {
    const ANY_YEAR: i16 = 2023;
    let measured = |carrier: &Carrier| {
        zone.channels().iter().any(|channel| channel.carrier == *carrier && !matches!(channel.kind, ChannelKind::Gauge))
    };
    for carrier in Carrier::ALL.iter().copied().filter(measured) {
        let profile = zone.profile();
        let carbon = factors.carbon(profile, carrier, ANY_YEAR).err();
        let coal = |basis| factors.coal(profile, carrier, basis, ANY_YEAR).err();
        let missing = carbon.or_else(|| coal(CoalBasis::Calorific)).or_else(|| coal(CoalBasis::Primary));
        let Some(missing) = missing else { continue };
        let (line, key) = match missing {
            MissingFactor::Region { .. } => (region_line, "zone.region"),
            MissingFactor::SteamEnthalpy => (zone_line, "steam.kj_per_kg"),
            MissingFactor::Code { .. } | MissingFactor::Substance { .. } | MissingFactor::Value { .. } => (zone_line, "zone.factors"),
        };
        let text = missing.to_string();
        let (seen, remedy) = text.split_once("; ").unwrap_or((&text, "correct it"));
        faults.push(Fault {
            file: "zone.toml".to_owned(),
            line: Some(line),
            key: key.to_owned(),
            seen: seen.to_owned(),
            wanted: format!("a factor for the zone's {}", carrier.as_str()),
            remedy: remedy.to_owned(),
        });
    }
}
