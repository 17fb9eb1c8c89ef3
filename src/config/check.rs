//! `nengtan check`: a zone folder at a glance, or its faults.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::fault::Fault;
use super::zone_folder::{ZoneFolder, load};
use crate::domain::channel::{Carrier, Channel, ChannelKind, Direction};
use crate::domain::factors::{Applied, Found};
use crate::domain::zone::Zone;

/// What is in the folder, several lines for people.
pub fn check(folder: &Path) -> Result<String, Vec<Fault>> {
    load(folder).map(|folder| report(&folder))
}

#[must_use]
pub fn report(folder: &ZoneFolder) -> String {
    let zone = &folder.zone;
    let profile = zone.profile();
    let mut text = String::new();
    let mut line = |label: &str, value: String| writeln!(text, "{label:<10} {value}").expect("a string takes every write");
    line("zone", format!("{} · {} · {}", profile.id, profile.name_en, profile.name_zh));
    let name = profile.time_zone.iana_name().unwrap_or("unknown");
    let history = profile.live_from.map_or(String::new(), |_| format!(", before live_from {} min", profile.history_interval_ms / 60_000));
    line("time", format!("{name}, every {} min{history}", profile.interval_ms / 60_000));
    line("entities", counted(zone.entities().iter().map(|entity| entity.kind.as_str())));
    let of_meters = |label: fn(&Channel) -> &'static str| counted(zone.meters().iter().map(|meter| label(zone.channel(meter.channels[0]))));
    line("meters", of_meters(|channel| channel.level.as_str()));
    line("", of_meters(|channel| channel.carrier.as_str()));
    line(
        "channels",
        counted(zone.channels().iter().map(|channel| match channel.kind {
            ChannelKind::Register(_) => "register",
            ChannelKind::Gauge => "gauge",
            ChannelKind::Virtual { .. } => "virtual",
        })),
    );
    line("gateways", zone.gateways().len().to_string());
    let rules = &folder.alert_rules;
    let subjects: usize = rules.thresholds.iter().map(|rule| rule.subjects.len()).sum();
    let silence = [rules.stale.is_some().then_some("stale"), rules.gateway.is_some().then_some("gateway")];
    let silence = silence.into_iter().flatten().collect::<Vec<_>>().join(", ");
    line(
        "rules",
        format!("{} thresholds on {subjects} meters{}{silence}", rules.thresholds.len(), if silence.is_empty() { "" } else { ", " }),
    );
    line("factors", factors(folder));
    for note in notes(folder) {
        line("note", note);
    }
    text
}

/// `3 (a 1, b 2)`.
fn counted(names: impl Iterator<Item = &'static str>) -> String {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_insert(0) += 1;
    }
    let total: i32 = counts.values().sum();
    let each: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!("{total} ({})", each.join(", "))
}

fn factors(folder: &ZoneFolder) -> String {
    let profile = folder.zone.profile();
    let latest = folder.factors.grid.iter().map(|factor| factor.from.year).max().unwrap_or_default();
    let electricity = folder.factors.carbon(profile, Carrier::Electricity, latest);
    match electricity {
        Ok(Applied::Factor(Found { factor, tier, version })) => {
            format!("{}, electricity {} mg CO2/kWh ({version}, {})", folder.factors.id, factor.0, tier.as_str())
        }
        Ok(Applied::NotApplicable) | Err(_) => format!("{}, none for electricity", folder.factors.id),
    }
}

/// What is allowed and still likely a mistake.
fn notes(folder: &ZoneFolder) -> Vec<String> {
    let zone = &folder.zone;
    let idle = folder.alert_rules.thresholds.iter().filter(|rule| rule.subjects.is_empty());
    let mut notes: Vec<String> = idle.map(|rule| format!("rule {} matches no meter", rule.head.id)).collect();
    notes.extend(counted_twice(zone));
    notes
}

/// A boundary import behind a boundary import of the same entity adds the same energy a second time.
fn counted_twice(zone: &Zone) -> Vec<String> {
    let imports = |channel: &&Channel| channel.boundary && channel.direction == Direction::Import;
    let twice = zone.channels().iter().filter(imports).filter_map(|channel| {
        let parent = zone.meter(channel.parent?);
        let upstream =
            parent.channels.iter().map(|id| zone.channel(*id)).filter(imports).find(|upstream| upstream.carrier == channel.carrier)?;
        (upstream.entity == channel.entity).then(|| {
            let (meter, entity) = (&zone.meter(channel.meter).id, &zone.entity(channel.entity).id);
            format!("meter {meter} and its parent {} both count into {entity}; set boundary = no for one of them", parent.id)
        })
    });
    twice.collect()
}
