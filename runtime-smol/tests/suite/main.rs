//! The suites that every adapter passes.

mod conformance;
mod journal;
#[cfg(feature = "signal")]
mod signal;
mod stored;
#[cfg(feature = "net")]
mod streams;
