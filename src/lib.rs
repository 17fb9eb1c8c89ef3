//! Nengtan.
