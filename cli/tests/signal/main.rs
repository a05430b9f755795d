//! `sluis signal` from outside: peers at brokers of ours and at mosquitto, and peers that run the reference.

mod cast;
#[path = "../common/mod.rs"]
mod common;
mod flags;
mod lives;
#[cfg(unix)]
mod reference;
mod told;
#[cfg(unix)]
mod unread;
