//! What many channels on one connection cost, beside those who do something of the kind: both ends in one thread, in memory and on loopback.
//!
//! `cargo run --release -p sluis-benches --bin mux [-- --json] [--rounds N] [memory|network|web]`
//!
//! An operation is one message (or write) that is read at the other end. Processor time of the thread, what the system does for it included;
//! timings decide nothing: the exit code is 0 whatever they are.

mod memory;
mod network;
mod streams;
mod web;

use std::process::ExitCode;

use sluis_benches::contest::{self, Runner};
use sluis_benches::report::{Report, Row};

const USAGE: &str = "usage: mux [--json] [--rounds N (41)] [memory|network|web]";

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (mut json, mut rounds, mut only) = (false, 41, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--json" => json = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            "--rounds" => match words.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0) {
                Some(n) => rounds = n,
                None => return usage(),
            },
            "memory" | "network" | "web" => only = Some(word),
            _ => return usage(),
        }
    }
    let mut report = Report::new("mux", json);
    let is_asked = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if is_asked("memory") {
        memory::run(&mut report, rounds);
    }
    if is_asked("network") {
        network::run(&mut report, rounds);
    }
    if is_asked("web") {
        web::run(&mut report, rounds);
    }
    report.finish();
    ExitCode::SUCCESS
}

/// How many times as many operations in the same time the second makes as the first.
fn rate(report: &mut Report, rounds: usize, what: &str, target: f64, mut runners: [Runner<'_>; 2]) {
    let standings = contest::run(&mut runners, rounds);
    report.at_least(&Row {
        what: format!("{what}: rate"),
        value: 1.0 / standings[1].ratio,
        unit: "×",
        target: Some(target),
        floor: Some((standings[0].name, standings[0].nanos)),
        nanos: Some(standings[1].nanos),
    });
}
