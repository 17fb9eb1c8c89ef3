//! The meter tree: what flows into a node, and what the meters right below it account for.
//!
//! Pure. Invariant: virtual meters are no part of the tree, because they are made of meters that are; so nothing below a node is counted twice.

use rustc_hash::FxHashSet;

use super::channel::{Carrier, Channel, ChannelId, ChannelKind, Direction, MeterIndex};
use super::zone::Zone;

/// What one channel has to do with one node. The residual of a node is the sum of quantity × sign over its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodePart {
    pub node: MeterIndex,
    pub carrier: Carrier,
    pub channel: ChannelId,
    pub sign: i32,
    /// The node's own, not one below it.
    pub own: bool,
}

/// The parts of every meter that has another one of its carrier below it, node by node.
#[must_use]
pub fn node_parts(zone: &Zone) -> Vec<NodePart> {
    let registers = || zone.channels().iter().filter(|channel| matches!(channel.kind, ChannelKind::Register(_)));
    let mut parts = Vec::new();
    for below in registers() {
        let Some(node) = below.parent.filter(|node| !zone.is_virtual(*node)) else { continue };
        let sign = match below.direction {
            Direction::Import => -1,
            // What is put in below the node flows through it, too.
            Direction::Export | Direction::Generation | Direction::Made => 1,
            Direction::Gauge => continue,
        };
        parts.push(NodePart { node, carrier: below.carrier, channel: below.id, sign, own: false });
    }
    let nodes: FxHashSet<(MeterIndex, Carrier)> = parts.iter().map(|part| (part.node, part.carrier)).collect();
    parts.extend(registers().filter(|channel| nodes.contains(&(channel.meter, channel.carrier))).filter_map(own));
    parts.sort_by_key(|part| (part.node, part.carrier, !part.own, part.channel));
    parts
}

fn own(channel: &Channel) -> Option<NodePart> {
    let sign = match channel.direction {
        Direction::Import | Direction::Made | Direction::Generation => 1,
        Direction::Export => -1,
        Direction::Gauge => return None,
    };
    Some(NodePart { node: channel.meter, carrier: channel.carrier, channel: channel.id, sign, own: true })
}
