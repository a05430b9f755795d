//! Round trips over loopback: Sluis beside echo servers on the same runtime, with requests and responses of the same
//! sizes, in the same run.
//!
//! `cargo run --release -p sluis-benches --bin loopback [-- --help]`
//!
//! Each end is a process of its own, pinned to a core. Everything runs in turn, several times over; what counts is the
//! median of the ratios within one turn. Timings decide nothing: the exit code is 0 whatever they are.

mod args;
mod echo;
mod ends;
mod flood;
mod forward;
mod metrics;
mod place;
mod quic;
mod quick;
mod reference;
mod runtime;
mod table;

use std::process::ExitCode;

use args::{Args, Mode};

fn main() -> ExitCode {
    let done = match Args::parse(std::env::args().skip(1)) {
        Ok(Mode::Help) => {
            println!("{}", args::HELP);
            Ok(())
        }
        Ok(Mode::Compare(args)) => compare(&args),
        Ok(Mode::End(end)) => ends::run(&end),
        Err(why) => {
            eprintln!("{why}\n\n{}", args::HELP);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("loopback: {why}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &Args) -> Result<(), String> {
    match &args.metrics {
        Some(program) => metrics::compare(args, program),
        None if args.relay => forward::compare(args),
        None => table::run(args),
    }
}
