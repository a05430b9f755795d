//! The commands from outside: what they print, when they end, and with which code; on both runtimes.

#[path = "../common/mod.rs"]
mod common;
#[cfg(unix)]
mod control;
mod deciding;
mod demo;
#[cfg(unix)]
mod discover;
mod doctor;
mod ends;
mod flow;
mod identity;
mod installing;
#[cfg(unix)]
mod joining;
#[cfg(unix)]
mod kept;
mod keys;
mod looks;
mod metrics;
#[cfg(target_os = "linux")]
mod moving;
mod overlay;
#[cfg(unix)]
mod packaging;
#[cfg(unix)]
mod readme;
mod recording;
mod relay;
#[cfg(target_os = "linux")]
mod relay_networks;
#[cfg(unix)]
mod reload;
mod sessions;
mod signal;
mod sluis;
#[cfg(target_os = "linux")]
mod spaces;
#[cfg(unix)]
mod talking;
#[cfg(unix)]
mod terminal;
mod tokens;
mod unread;
mod usage;
