//! The suites that every adapter passes, recordings in files, and tokio's paused clock.

mod conformance;
mod journal;
mod paused;
mod recording;
#[cfg(feature = "signal")]
mod signal;
mod stored;
#[cfg(feature = "net")]
mod streams;

/// The one under test: `sluis-smol` runs the suites for journals, signalling, stores and streams from here, too.
use sluis_tokio as adapter;
