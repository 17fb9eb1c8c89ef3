//! What stands on the wire (`docs/wire.md`): topics and payloads in, topics and payloads out.
//!
//! Never judges a value: registers leave here as the decimal text that was sent. Bytes end here.

pub mod assets;
pub mod decode;
pub mod encode;
pub mod topic;
