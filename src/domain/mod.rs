//! Values of the field and their arithmetic: no file, clock, task, log or serialisation in here.

pub mod alert_rules;
pub mod assets;
mod by_id;
pub mod calendar;
pub mod channel;
pub mod contribution;
pub mod decimal;
pub mod declared;
pub mod entity;
pub mod factors;
pub mod keep;
pub mod substances;
pub mod tariff;
pub mod tree;
pub mod units;
pub mod zone;
