//! The command line of Sluis: see `sluis --help` and DESIGN section 6.

mod args;
mod histogram;
mod output;
mod usage;
mod values;

fn main() {}
