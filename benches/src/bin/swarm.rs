//! Runs simulated networks, one for each seed: see `swarm --help`.

use std::io::Write;
use std::process::ExitCode;

use sluis_benches::alloc::Counting;
use sluis_benches::swarm::args::{Args, Asked, parse};
use sluis_benches::swarm::run::Trouble;
use sluis_benches::swarm::show::{Ticker, objects, table};
use sluis_benches::swarm::{HELP, run};

#[global_allocator]
static ALLOC: Counting = Counting;

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Asked::Help) => {
            say(HELP);
            ExitCode::SUCCESS
        }
        Ok(Asked::Run(args)) => swarm(&args),
        Err(why) => impossible(&why),
    }
}

fn swarm(args: &Args) -> ExitCode {
    let ticker = Ticker::new(args.seeds.end - args.seeds.start);
    let total = match run::run(args, &|progress| ticker.tick(progress)) {
        Ok(total) => total,
        Err(why @ Trouble::Scenario(_)) => return impossible(&why.to_string()),
        Err(why) => {
            ticker.done();
            let _ = writeln!(std::io::stderr(), "swarm: {why}");
            return ExitCode::FAILURE;
        }
    };
    ticker.done();
    if args.json {
        for object in objects(args, &total) {
            say(&format!("{object}\n"));
        }
    } else {
        say(&table(args, &total));
    }
    if total.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn impossible(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "swarm: {why}");
    ExitCode::from(2)
}

/// Print; a reader that has gone away is no reason to fail.
fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
