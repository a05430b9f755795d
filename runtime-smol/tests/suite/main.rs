//! The suites that every adapter passes.

mod conformance;
mod journal;
mod stored;
#[cfg(feature = "net")]
mod streams;
