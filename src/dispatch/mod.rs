//! Plans for what can be moved in time: batteries, vehicles, heat supply, batches (`docs/regulation.md`).
//!
//! Pure: forecasts and prices come in as series, a plan goes out; nothing here knows an asset's id, a clock or a store. Invariant: a plan that comes out keeps
//! every bound of its problem; what cannot be kept is an error, never a number.

pub mod forecast;
pub mod heat;
pub mod outlook;
pub mod plan;
pub mod pool;
pub mod rounds;
pub mod shape;
pub mod site;
