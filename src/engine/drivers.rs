//! What explains each entity's load, as the zone folder has it: `docs/savings.md`, "Drivers".
//!
//! Invariant: an entity has at most one gauge of each kind of weather, and at most [`COUNTERS_MAX`] kinds of production.

use rustc_hash::FxHashMap;

use crate::domain::channel::{Carrier, Channel, ChannelId, ChannelKind};
use crate::domain::entity::EntityIndex;
use crate::domain::zone::Zone;
use crate::store::batch::RowId;
use crate::store::savings::{DriverRow, HUMIDITY, IRRADIANCE, TEMPERATURE};

/// Counters of one entity that are drivers each; more are added up by item, or there would be more columns than a year can tell apart.
const COUNTERS_MAX: usize = 4;

/// Drivers of the zone's entities. `rows` are those of weather and production channels, `entities` those of the zone's entities.
#[must_use]
pub fn drivers(zone: &Zone, rows: &FxHashMap<ChannelId, RowId>, entities: &[RowId]) -> Vec<DriverRow> {
    let of = |carrier: Carrier| zone.channels().iter().filter(move |channel| channel.carrier == carrier).collect::<Vec<_>>();
    let gauges = of(Carrier::Weather);
    let mut counters = of(Carrier::Production);
    counters.retain(|channel| matches!(channel.kind, ChannelKind::Register(_)));
    let mut out = Vec::new();
    for (index, &entity) in entities.iter().enumerate() {
        let index = EntityIndex(index as u32);
        let mut add = |name: &str, channel: &Channel| {
            if let Some(&channel) = rows.get(&channel.id) {
                out.push(DriverRow { entity, name: name.into(), channel });
            }
        };
        for (name, part, unit) in [(TEMPERATURE, "temperature", "_c"), (HUMIDITY, "humidity", "_pct"), (IRRADIANCE, "irradiance", "_w_m2")]
        {
            let fits = |gauge: &&Channel| gauge.item.contains(part) && gauge.item.ends_with(unit);
            let fitting: Vec<&Channel> = gauges.iter().copied().filter(fits).collect();
            if let Some(gauge) = nearest(zone, index, &fitting) {
                add(name, gauge);
            }
        }
        let own = made_in(zone, index, &counters);
        for counter in &own {
            let meter = &zone.meter(counter.meter).id;
            add(if own.len() <= COUNTERS_MAX { meter } else { &counter.item }, counter);
        }
    }
    out.sort_unstable();
    out
}

/// The entity's own, else its parent's and so on, else the zone's, else any.
fn nearest<'z>(zone: &Zone, entity: EntityIndex, gauges: &[&'z Channel]) -> Option<&'z Channel> {
    let places = lineage(zone, entity).chain([zone.residual()]);
    let mut found = places.filter_map(|place| gauges.iter().find(|gauge| gauge.entity == place));
    found.next().or(gauges.first()).copied()
}

/// What is made in the entity and below it; where nothing is, in its parent and below that, and so on.
fn made_in<'z>(zone: &Zone, entity: EntityIndex, counters: &[&'z Channel]) -> Vec<&'z Channel> {
    let below = |place: EntityIndex| {
        let own = counters.iter().filter(move |counter| lineage(zone, counter.entity).any(|above| above == place));
        own.copied().collect::<Vec<_>>()
    };
    lineage(zone, entity).map(below).find(|own| !own.is_empty()).unwrap_or_default()
}

/// The entity, its parent, and so on.
fn lineage(zone: &Zone, entity: EntityIndex) -> impl Iterator<Item = EntityIndex> {
    std::iter::successors(Some(entity), |below| zone.entity(*below).parent)
}
