//! The simulated fleet of a city zone: meters, assets, weather, faults, and the truth to judge a collector by.
//!
//! It shares documents with the collector (`docs/zone.md`, `docs/wire.md`), never code.

pub mod access;
mod assets;
pub mod comfort;
pub mod faults;
mod fleet_links;
mod keyed;
pub mod link;
mod log;
mod outbox;
mod payload;
pub mod physics;
mod register;
pub mod replay;
mod roster;
pub mod runner;
pub mod scale;
pub mod series;
pub mod simulation;
pub mod truth;
pub mod unplugged;
mod vigil;
pub mod window;
mod wire;
pub mod zone;
