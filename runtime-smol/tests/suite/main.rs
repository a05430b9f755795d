//! The suites that every adapter passes.

mod conformance;
mod journal;
#[cfg(feature = "net")]
mod streams;
