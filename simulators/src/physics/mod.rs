//! Physical models of a zone's entities: weather, buildings, production, energy conversion.

use crate::zone::Zone;

/// The physical state of every entity of the zone.
pub struct World {}

impl World {
    /// Builds the world of `zone` from its `fleet.toml`; all randomness is keyed by `seed`, entity and hour.
    pub fn new(_zone: &Zone, _seed: u64) -> Result<World, String> {
        Ok(World {})
    }

    /// Advances from `from_ms` to `to_ms` (at most an hour, within one local hour) and writes, for each channel of `zone.channels` in order, the
    /// quantity that flowed in ledger units (never negative), or the mean value of a gauge channel.
    pub fn step(&mut self, _from_ms: i64, _to_ms: i64, _out: &mut [f64]) {}
}
