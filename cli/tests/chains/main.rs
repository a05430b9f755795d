//! `sluis chain` from outside: what it writes, what it finds, and with which code it ends.

mod checking;
#[path = "../common/mod.rs"]
mod common;
mod evidence;
mod spiffe;
mod trips;
mod writing;
