//! A zone: its place and time, who is in it, and what is measured.
//!
//! Read once, then never changed. Invariants: every index points into its list, parents and formulas have no cycles, the lines of one meter agree,
//! and the last entity is the residual.

use jiff::tz::TimeZone;

use super::assets::Asset;
use super::by_id::ById;
use super::calendar::DayTypes;
use super::channel::{Channel, ChannelId, ChannelKind, GatewayIndex, MeterIndex};
use super::contribution::{Contribution, Contributions};
use super::decimal::Decimal;
use super::declared::Declared;
use super::entity::{Entity, EntityIndex, EntityKind};
use super::substances::GwpSet;
use super::tree::{self, Part, PartIndex};
use super::units::Millis;

/// The zone itself: `zone.toml`.
#[derive(Clone, Debug)]
pub struct Profile {
    pub id: Box<str>,
    pub name_en: Box<str>,
    pub name_zh: Box<str>,
    pub time_zone: TimeZone,
    /// Region of the grid factor, such as `CN-SD`.
    pub region: Box<str>,
    pub latitude: f64,
    pub longitude: f64,
    pub clock: ClockMode,
    /// The roll-up's finest interval; divides an hour.
    pub interval_ms: i64,
    /// Spacing of readings before `live_from`.
    pub history_interval_ms: i64,
    pub live_from: Option<Millis>,
    pub gas: GasSupply,
    pub steam: Option<SteamSupply>,
    /// The warming potentials of the zone's reports.
    pub gwp: GwpSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockMode {
    Wall,
    /// The engine's clock comes from the clock topic.
    Feed,
}

/// The gas supply's heat value, from which carbon and standard coal both follow.
#[derive(Clone, Copy, Debug)]
pub struct GasSupply {
    /// None: the factor set's.
    pub heat_value_mj_per_nm3: Option<Decimal>,
    /// Normal cubic metres (0 °C) in a metered one.
    pub nm3_per_m3: Decimal,
}

#[derive(Clone, Copy, Debug)]
pub struct SteamSupply {
    /// Enthalpy of the steam less the feed water's.
    pub kj_per_kg: Decimal,
}

/// A device, or a formula in a device's place.
#[derive(Clone, Debug)]
pub struct Meter {
    pub id: Box<str>,
    pub entity: EntityIndex,
    /// None for a virtual meter.
    pub gateway: Option<GatewayIndex>,
    /// In file order, at least one.
    pub channels: Vec<ChannelId>,
}

#[derive(Clone, Debug)]
pub struct Gateway {
    pub id: Box<str>,
    pub meters: Vec<MeterIndex>,
}

#[derive(Clone, Debug)]
pub struct Zone {
    profile: Profile,
    entities: Vec<Entity>,
    meters: Vec<Meter>,
    gateways: Vec<Gateway>,
    channels: Vec<Channel>,
    assets: Vec<Asset>,
    day_types: DayTypes,
    declared: Declared,
    contributions: Contributions,
    parts: Vec<Part>,
    entity_by_id: ById,
    meter_by_id: ById,
    gateway_by_id: ById,
}

/// The lists of a zone, checked by the reader against the invariants above.
pub struct ZoneParts {
    pub profile: Profile,
    /// Without the residual, which gets the index after the last one; the zone's own feeders point there.
    pub entities: Vec<Entity>,
    pub meters: Vec<Meter>,
    pub gateways: Vec<Gateway>,
    pub channels: Vec<Channel>,
    pub assets: Vec<Asset>,
    pub day_types: DayTypes,
    pub declared: Declared,
}

/// The id of the entity of what the zone's own feeders, or a meter, measure and do not pass on.
#[must_use]
pub fn residual_id(of: &str) -> String {
    format!("{of}-residual")
}

impl Zone {
    #[must_use]
    pub fn new(parts: ZoneParts) -> Self {
        let ZoneParts { profile, mut entities, meters, gateways, channels, assets, day_types, declared } = parts;
        entities.push(residual(&profile));
        let mut zone = Self {
            contributions: Contributions::of(&channels, &meters),
            parts: Vec::new(),
            entity_by_id: ById::new(&entities, |entity| &entity.id),
            meter_by_id: ById::new(&meters, |meter| &meter.id),
            gateway_by_id: ById::new(&gateways, |gateway| &gateway.id),
            profile,
            entities,
            meters,
            gateways,
            channels,
            assets,
            day_types,
            declared,
        };
        zone.parts = tree::parts(&zone);
        zone
    }

    #[must_use]
    pub fn id(&self) -> &str {
        &self.profile.id
    }

    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// All entities, the residual last; the zone as a whole is not one of them.
    #[must_use]
    pub fn entities(&self) -> &[Entity] {
        &self.entities
    }

    #[must_use]
    pub fn entity(&self, index: EntityIndex) -> &Entity {
        &self.entities[index.0 as usize]
    }

    #[must_use]
    pub fn entity_of(&self, id: &str) -> Option<EntityIndex> {
        self.entity_by_id.find(&self.entities, |entity| &entity.id, id).map(EntityIndex)
    }

    #[must_use]
    pub fn residual(&self) -> EntityIndex {
        EntityIndex(self.entities.len() as u32 - 1)
    }

    #[must_use]
    pub fn meters(&self) -> &[Meter] {
        &self.meters
    }

    #[must_use]
    pub fn meter(&self, index: MeterIndex) -> &Meter {
        &self.meters[index.0 as usize]
    }

    #[must_use]
    pub fn meter_of(&self, id: &str) -> Option<MeterIndex> {
        self.meter_by_id.find(&self.meters, |meter| &meter.id, id).map(MeterIndex)
    }

    /// All channels in file order, virtual ones and gauges included.
    #[must_use]
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    #[must_use]
    pub fn channel(&self, id: ChannelId) -> &Channel {
        &self.channels[id.0 as usize]
    }

    /// The channel of a meter's item; none if `meters.csv` does not list the item or the meter.
    #[must_use]
    pub fn channel_of(&self, meter: &str, item: &str) -> Option<&Channel> {
        self.channel_of_meter(self.meter_of(meter)?, item)
    }

    /// As [`Self::channel_of`] where the meter is known already.
    #[must_use]
    pub fn channel_of_meter(&self, meter: MeterIndex, item: &str) -> Option<&Channel> {
        self.meter(meter).channels.iter().map(|id| self.channel(*id)).find(|channel| &*channel.item == item)
    }

    #[must_use]
    pub fn gateways(&self) -> &[Gateway] {
        &self.gateways
    }

    #[must_use]
    pub fn gateway_of(&self, id: &str) -> Option<GatewayIndex> {
        self.gateway_by_id.find(&self.gateways, |gateway| &gateway.id, id).map(GatewayIndex)
    }

    /// Empty for a gateway the zone does not know.
    #[must_use]
    pub fn meters_of_gateway(&self, id: &str) -> &[MeterIndex] {
        self.gateway_of(id).map_or(&[], |index| &self.gateways[index.0 as usize].meters)
    }

    /// Entities a channel's quantity counts for. Virtual meters are worked in: only registers have contributions.
    #[must_use]
    pub fn contributions(&self, channel: ChannelId) -> &[Contribution] {
        self.contributions.of_channel(channel)
    }

    /// How often a channel's quantity counts for the zone as a whole.
    #[must_use]
    pub fn zone_sign(&self, channel: ChannelId) -> i32 {
        self.contributions(channel).iter().filter(|share| !share.made_fed).map(|share| share.sign).sum()
    }

    /// Residuals of meters and virtual meters: shown like entities, and never added to them.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    #[must_use]
    pub fn part(&self, index: PartIndex) -> &Part {
        &self.parts[index.0 as usize]
    }

    #[must_use]
    pub fn part_of(&self, id: &str) -> Option<PartIndex> {
        self.parts.iter().position(|part| *part.id == *id).map(|index| PartIndex(index as u32))
    }

    /// What can be regulated, in file order.
    #[must_use]
    pub fn assets(&self) -> &[Asset] {
        &self.assets
    }

    #[must_use]
    pub fn declared(&self) -> &Declared {
        &self.declared
    }

    #[must_use]
    pub fn day_types(&self) -> &DayTypes {
        &self.day_types
    }

    /// A meter that no gateway publishes.
    #[must_use]
    pub fn is_virtual(&self, meter: MeterIndex) -> bool {
        self.meter(meter).channels.iter().all(|id| matches!(self.channel(*id).kind, ChannelKind::Virtual { .. }))
    }
}

fn residual(profile: &Profile) -> Entity {
    Entity {
        id: residual_id(&profile.id).into(),
        name_en: format!("{}, residual", profile.name_en).into(),
        name_zh: format!("{}（未分摊）", profile.name_zh).into(),
        kind: EntityKind::Residual,
        industry: None,
        parent: None,
        floor_area_m2: None,
        output_cny_per_year: None,
        head_count: None,
        product_unit: None,
        key_unit: false,
    }
}
