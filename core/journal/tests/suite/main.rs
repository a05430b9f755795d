//! Journals on disks that fail, lose power and hold damage.

#[path = "../common/mod.rs"]
mod common;

mod faults;
mod power;
mod tokens;
