//! What is summed: how a channel's quantity counts for entities and for the zone (`docs/zone.md`, "What is summed").
//!
//! Invariant: each quantity that is passed on is added below and taken away above, so Σ entities + residual = zone, exactly.

use std::collections::{BTreeMap, BTreeSet};

use super::channel::{Carrier, Channel, ChannelId, Direction, MeterIndex, each_register};
use super::entity::{Entity, EntityIndex};
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

/// The contributions of every channel, one list after the other.
#[derive(Clone, Debug)]
pub struct Contributions {
    all: Box<[Contribution]>,
    /// Where each channel's list ends.
    ends: Box<[u32]>,
}

/// A sum that a register has a part in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sum {
    channel: ChannelId,
    entity: EntityIndex,
    made_fed: bool,
}

impl Contributions {
    /// Parents and formulas are without cycles.
    #[must_use]
    pub fn of(channels: &[Channel], meters: &[Meter]) -> Self {
        let mut signs: Vec<(Sum, i32)> = Vec::with_capacity(channels.len());
        for channel in channels.iter().filter(|channel| channel.boundary) {
            let upstream = Upstream { channels, meters, channel };
            let sum = Sum { channel: channel.id, entity: channel.entity, made_fed: upstream.is_made_fed() };
            let mut add =
                |sum: Sum, sign| each_register(channels, channel.id, sign, &mut |channel, sign| signs.push((Sum { channel, ..sum }, sign)));
            add(sum, sign_for_entity(channel.direction));
            if let Some(entity) = upstream.passing_entity() {
                add(Sum { entity, ..sum }, sign_for_passing(channel.direction));
            }
        }
        signs.sort_unstable_by_key(|(sum, _)| *sum);
        signs.dedup_by(|(later, sign), (kept, total)| {
            let same = later == kept;
            *total += if same { *sign } else { 0 };
            same
        });
        signs.retain(|(_, sign)| *sign != 0);
        let end = |channel: &Channel| signs.partition_point(|(sum, _)| sum.channel <= channel.id) as u32;
        Self {
            ends: channels.iter().map(end).collect(),
            all: signs
                .iter()
                .map(|(Sum { entity, made_fed, .. }, sign)| Contribution { entity: *entity, sign: *sign, made_fed: *made_fed })
                .collect(),
        }
    }

    /// A virtual channel's contributions are those of the registers it is made of: its own list is empty.
    #[must_use]
    pub fn of_channel(&self, channel: ChannelId) -> &[Contribution] {
        let at = channel.0 as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[start as usize..self.ends[at] as usize]
    }
}

/// Entities whose exports are of own generation: those that generate, and those above them, be it on the map (a works and its roof) or by the meters that
/// feed them. What leaves through an entry meter comes from what lies behind it.
#[must_use]
pub fn with_generation(channels: &[Channel], meters: &[Meter], entities: &[Entity]) -> BTreeSet<(EntityIndex, Carrier)> {
    let generates = |channel: &&Channel| channel.boundary && channel.direction == Direction::Generation;
    let mut feeding: BTreeMap<(EntityIndex, Carrier), BTreeSet<EntityIndex>> = BTreeMap::new();
    for (channel, parent) in channels.iter().filter_map(|channel| Some((channel, channel.parent?))) {
        let upstream = meters[parent.0 as usize].entity;
        if upstream != channel.entity {
            feeding.entry((channel.entity, channel.carrier)).or_default().insert(upstream);
        }
    }
    let mut open: Vec<(EntityIndex, Carrier)> =
        channels.iter().filter(generates).map(|channel| (channel.entity, channel.carrier)).collect();
    let mut found = BTreeSet::new();
    while let Some((entity, carrier)) = open.pop() {
        if !found.insert((entity, carrier)) {
            continue;
        }
        let by_meter = feeding.get(&(entity, carrier)).into_iter().flatten().copied();
        open.extend(by_meter.chain(entities[entity.0 as usize].parent).map(|above| (above, carrier)));
    }
    found
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
