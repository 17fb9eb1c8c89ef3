//! What is summed: how a channel's quantity counts for entities and for the zone (`docs/zone.md`, "What is summed").
//!
//! Invariant: each quantity that is passed on is added below and taken away above, so Σ entities + residual = zone, exactly.

use std::collections::BTreeMap;

use super::channel::{Channel, ChannelId, ChannelKind, Direction, MeterIndex};
use super::entity::EntityIndex;
use super::zone::Meter;

/// One entity's share in a channel: quantity × `sign` adds to the entity's use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contribution {
    pub entity: EntityIndex,
    /// Mostly 1 or −1; another whole number where virtual meters count a channel several times. Never 0.
    pub sign: i32,
    /// Fed by what is made inside from metered energy: shown for the entity, not added to the zone.
    pub made_fed: bool,
}

/// Signs per entity and whether the energy is fed by what is made inside.
type Sums = Vec<BTreeMap<(EntityIndex, bool), i32>>;

/// Contributions of every channel, by [`ChannelId`]. A virtual channel's own go to the registers it is made of: its own list is empty.
/// Parents and formulas are without cycles.
#[must_use]
pub fn contributions(channels: &[Channel], meters: &[Meter]) -> Vec<Vec<Contribution>> {
    let mut sums: Sums = vec![BTreeMap::new(); channels.len()];
    for channel in channels.iter().filter(|channel| channel.boundary) {
        let upstream = Upstream { channels, meters, channel };
        let made_fed = upstream.is_made_fed();
        let mut add = |entity, sign| add_to_registers(channels, &mut sums, channel.id, (entity, made_fed), sign);
        add(channel.entity, sign_for_entity(channel.direction));
        if let Some(passed_on_by) = upstream.passing_entity() {
            add(passed_on_by, sign_for_passing(channel.direction));
        }
    }
    let keep = |((entity, made_fed), sign): ((EntityIndex, bool), i32)| (sign != 0).then_some(Contribution { entity, sign, made_fed });
    sums.into_iter().map(|sum| sum.into_iter().filter_map(keep).collect()).collect()
}

fn sign_for_entity(direction: Direction) -> i32 {
    match direction {
        Direction::Import | Direction::Generation => 1,
        Direction::Export => -1,
        Direction::Made | Direction::Gauge => 0,
    }
}

fn sign_for_passing(direction: Direction) -> i32 {
    match direction {
        Direction::Import => -1,
        Direction::Export => 1,
        Direction::Generation | Direction::Made | Direction::Gauge => 0,
    }
}

/// The way up from one channel.
struct Upstream<'z> {
    channels: &'z [Channel],
    meters: &'z [Meter],
    channel: &'z Channel,
}

impl Upstream<'_> {
    /// The entity upstream that passes the channel's quantity on, if it is another one and did not make it.
    fn passing_entity(&self) -> Option<EntityIndex> {
        let parent = self.channel.parent?;
        let entity = self.meters[parent.0 as usize].entity;
        (entity != self.channel.entity && !self.is_made(parent)).then_some(entity)
    }

    fn is_made_fed(&self) -> bool {
        let mut parent = self.channel.parent;
        while let Some(meter) = parent {
            if self.is_made(meter) {
                return true;
            }
            parent = self.of_same_carrier(meter).find_map(|upstream| upstream.parent);
        }
        false
    }

    fn is_made(&self, meter: MeterIndex) -> bool {
        self.of_same_carrier(meter).any(|upstream| upstream.direction == Direction::Made)
    }

    fn of_same_carrier(&self, meter: MeterIndex) -> impl Iterator<Item = &Channel> {
        let channels = self.meters[meter.0 as usize].channels.iter().map(|id| &self.channels[id.0 as usize]);
        channels.filter(|upstream| upstream.carrier == self.channel.carrier)
    }
}

fn add_to_registers(channels: &[Channel], sums: &mut Sums, id: ChannelId, key: (EntityIndex, bool), sign: i32) {
    match &channels[id.0 as usize].kind {
        ChannelKind::Register(_) => *sums[id.0 as usize].entry(key).or_insert(0) += sign,
        ChannelKind::Virtual { terms, .. } => {
            for term in terms {
                add_to_registers(channels, sums, term.channel, key, sign * term.sign);
            }
        }
        ChannelKind::Gauge => {}
    }
}
