//! Nengtan (能碳, "energy and carbon"): watches the energy and carbon of a city zone.
//!
//! The way of a reading stands in `ARCHITECTURE.md`.

pub mod accounting;
pub mod alerts;
pub mod claiming;
pub mod claims;
pub mod cli;
pub mod collector;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod dispatch;
pub mod domain;
pub mod engine;
pub mod explain;
pub mod export;
pub mod http;
pub mod influx;
pub mod ledger;
pub mod lines;
pub mod mqtt;
pub mod operating;
pub mod outbox;
pub mod rank;
pub mod regulation;
pub mod reload;
pub mod report;
pub mod restating;
pub mod savings;
pub mod show;
pub mod store;
#[cfg(feature = "demo")]
pub mod trial;
pub mod verify;
pub mod wire;
