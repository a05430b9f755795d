//! `sluis chain` from outside: what it writes, what it finds, and with which code it ends.

mod checking;
#[path = "../common/mod.rs"]
mod common;
mod covering;
mod evidence;
#[cfg(unix)]
mod files;
mod logs;
mod room;
#[cfg(unix)]
mod signals;
mod spiffe;
mod steps;
mod trips;
mod writing;
