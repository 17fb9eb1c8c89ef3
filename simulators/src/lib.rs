//! The simulated fleet of a city zone: meters, assets, weather, faults, and the truth to judge a collector by.
//!
//! It shares documents with the collector (`docs/zone.md`, `docs/wire.md`, `docs/registers.md`), never code.

pub mod physics;
pub mod zone;
