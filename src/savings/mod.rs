//! Savings of one entity and carrier: what it would have used, had it gone on as in its baseline year, less what it used.
//!
//! The model is TOWT-R, a two-level ridge regression on weather, calendar and production (IPMVP option C, avoided energy use).
//! Pure: texts and numbers in, figures out; no file, clock or network. Invariants: every figure is finite, a difference of two bills is
//! never called a saving, and what cannot be claimed is a [`evaluation::Refusal`] that says why.

pub mod case;
pub mod evaluation;
pub mod events;
pub mod features;
pub mod hours;
pub mod model;
pub mod plot;
pub mod ridge;
pub mod sufficiency;
#[cfg(test)]
mod tests;
pub mod uncertainty;
pub mod weather;
