//! The suites that every adapter passes.

mod conformance;
mod journal;
mod stored;
