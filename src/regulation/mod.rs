//! What assets are told to do, and why (`docs/regulation.md`).
//!
//! Pure: time is an argument, commands and entries of the audit log are values. [`rules`] say what would be good, [`guard`] says what may be, [`desk`]
//! keeps the one command that each asset has. Invariant: no set point leaves the desk that the guard has not passed.

pub mod desk;
pub mod guard;
pub mod rules;
