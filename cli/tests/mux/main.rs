//! `sluis mux` from outside: hub and clients against each other, against the reference's, and against strangers.

mod agents;
#[cfg(unix)]
mod browser;
#[path = "../common/mod.rs"]
mod common;
mod fallback;
mod forward;
mod hub;
#[cfg(unix)]
mod lives;
mod meeting;
mod native;
mod reference;
#[cfg(unix)]
mod signed;
mod strangers;
#[cfg(unix)]
mod told;
mod usage;
