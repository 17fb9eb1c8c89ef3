//! From registers to energy (`docs/registers.md`): which readings are good, and what flowed between them.
//!
//! Pure: never reads a clock, a file or the network. Invariant: the verdicts and spans of a channel are a function of the set of
//! its readings and declared events, never of their order of arrival.

pub mod mark;
pub mod scan;
pub mod slices;
pub mod window;

#[cfg(test)]
mod tests;
