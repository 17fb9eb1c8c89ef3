//! The integration tests: real processes, a real Mosquitto, a real ledger on disk.
//!
//! `make test` builds the fleet's binary first and then runs them. Names are claims; nothing waits a fixed time.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod harness;

mod absence;
mod accounting;
mod accounts;
mod allocation;
mod bad_input;
mod brokers;
mod check;
mod clock;
mod crash;
mod dashboards;
mod demand;
mod demo;
mod deploy;
mod disk;
#[cfg(feature = "demo")]
mod dispatch;
mod ending;
mod explain;
mod export;
mod forecast;
mod gauges;
mod history;
mod influx;
mod layers;
mod one_collector;
mod operations;
mod order;
mod outage;
mod own_generation;
mod packing;
mod parts;
mod planning;
mod rank;
mod readers;
mod refused;
mod register_cases;
mod regulation;
mod reload;
mod replay;
mod restart;
mod restate;
mod retention;
mod same_seed;
mod savings;
mod savings_change;
mod savings_water;
mod tree;
#[cfg(feature = "demo")]
mod trial;
mod verify;
mod wire_bytes;
