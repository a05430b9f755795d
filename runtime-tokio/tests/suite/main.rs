//! The suites that every adapter passes, and recordings in files.

mod conformance;
mod journal;
mod recording;
