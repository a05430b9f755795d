//! The command line of Sluis: see `sluis --help` and DESIGN section 6.

mod args;
mod config;
mod histogram;
mod input;
mod output;
mod usage;
mod values;

fn main() {}
