//! The meter tree: what flows into a node and the meters right below it do not account for, and what virtual meters say.
//!
//! Pure. Both are parts of what entities use, told apart but never added to it. Invariants: a part is a sum of registers, so the residual of a node and what
//! is right below it add up to what the node took, exactly; a virtual meter is a node, too, but never counts below one, because it is made of meters that do.

use std::collections::BTreeMap;

use super::channel::{Channel, ChannelId, ChannelKind, Direction, MeterIndex, each_register};
use super::entity::named;
use super::zone::{Zone, residual_id};

named! {
    PartKind {
        /// What a meter took less what the meters right below it took.
        Residual = "node_residual",
        /// What a formula adds up.
        Virtual = "virtual_meter",
    }
}

/// A part of what entities use, shown like one of them. Its quantity is the sum of quantity × sign over its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// `<meter>-residual`, or the virtual meter's own id.
    pub id: Box<str>,
    pub kind: PartKind,
    pub meter: MeterIndex,
    /// In order of their channels, each once.
    pub terms: Box<[PartTerm]>,
}

/// Position in [`Zone::parts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartIndex(pub u32);

/// One register of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartTerm {
    pub channel: ChannelId,
    /// May be 0 where a virtual meter takes off what lies below it anyway.
    pub sign: i32,
    /// How often of that it counts for what the meter itself took.
    pub own: i32,
}

/// The residual of every meter that has another one of its carrier below it, and every virtual meter, in order of their meters.
#[must_use]
pub fn parts(zone: &Zone) -> Vec<Part> {
    let mut terms: BTreeMap<(MeterIndex, PartKind), Vec<PartTerm>> = BTreeMap::new();
    for below in zone.channels().iter().filter(|channel| matches!(channel.kind, ChannelKind::Register(_))) {
        let sign = sign_below(below.direction);
        let mut above = below.parent;
        while let Some(node) = above {
            terms.entry((node, PartKind::Residual)).or_default().push(PartTerm { channel: below.id, sign, own: 0 });
            // What is below a virtual meter is below the next device above it, too.
            above = Some(node).filter(|node| zone.is_virtual(*node)).and_then(|node| parent_of(zone, node, below));
        }
    }
    for ((node, _), terms) in &mut terms {
        let mut carriers: Vec<_> = terms.iter().map(|term| zone.channel(term.channel).carrier).collect();
        carriers.sort_unstable();
        carriers.dedup();
        for id in zone.meter(*node).channels.iter().filter(|id| carriers.contains(&zone.channel(**id).carrier)) {
            add_own(zone, *id, terms);
        }
    }
    for meter in (0..zone.meters().len() as u32).map(MeterIndex).filter(|meter| zone.is_virtual(*meter)) {
        let terms = terms.entry((meter, PartKind::Virtual)).or_default();
        zone.meter(meter).channels.iter().for_each(|id| add_own(zone, *id, terms));
    }
    terms.into_iter().map(|((meter, kind), terms)| part(zone, meter, kind, terms)).collect()
}

fn part(zone: &Zone, meter: MeterIndex, kind: PartKind, mut terms: Vec<PartTerm>) -> Part {
    terms.sort_unstable();
    terms.dedup_by(|later, kept| {
        let same = later.channel == kept.channel;
        if same {
            kept.sign += later.sign;
            kept.own += later.own;
        }
        same
    });
    let meter_id = &zone.meter(meter).id;
    let id = match kind {
        PartKind::Residual => residual_id(meter_id).into(),
        PartKind::Virtual => meter_id.clone(),
    };
    Part { id, kind, meter, terms: terms.into() }
}

fn parent_of(zone: &Zone, meter: MeterIndex, below: &Channel) -> Option<MeterIndex> {
    let channels = zone.meter(meter).channels.iter().map(|id| zone.channel(*id));
    channels.filter(|channel| channel.carrier == below.carrier).find_map(|channel| channel.parent)
}

fn add_own(zone: &Zone, id: ChannelId, terms: &mut Vec<PartTerm>) {
    let sign = match zone.channel(id).direction {
        Direction::Import | Direction::Made | Direction::Generation => 1,
        Direction::Export => -1,
        Direction::Gauge => return,
    };
    each_register(zone.channels(), id, sign, &mut |channel, sign| terms.push(PartTerm { channel, sign, own: sign }));
}

fn sign_below(direction: Direction) -> i32 {
    match direction {
        Direction::Import => -1,
        // What is put in below the node flows through it, too.
        Direction::Export | Direction::Generation | Direction::Made => 1,
        Direction::Gauge => 0,
    }
}
