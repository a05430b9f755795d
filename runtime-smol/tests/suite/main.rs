//! The suites that every adapter passes.

mod conformance;
#[path = "../../../runtime-tokio/tests/suite/journal.rs"]
mod journal;
#[cfg(feature = "signal")]
#[path = "../../../runtime-tokio/tests/suite/signal.rs"]
mod signal;
#[path = "../../../runtime-tokio/tests/suite/stored.rs"]
mod stored;
#[cfg(feature = "net")]
#[path = "../../../runtime-tokio/tests/suite/streams.rs"]
mod streams;

/// The one under test.
use sluis_smol as adapter;
