//! SVIDs, what is signed with them, and where they come from.

#[path = "../common/mod.rs"]
mod common;

mod files;
mod steps;
mod svid;
#[cfg(unix)]
mod workload_api;
