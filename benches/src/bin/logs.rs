//! Appending to logs and verifying them, beside the hashing that they need: ratios, memory, allocations.
//!
//! `cargo run --release -p sluis-benches --bin logs [-- --json] [--tokens N] [--rounds N]`
//!
//! Verification runs on two threads, as its floor does, in turns. Timings decide nothing: the exit code is 0.

use std::process::ExitCode;

use sluis_benches::alloc::{Counting, calls_in, heap};
use sluis_benches::contest::{self, Runner, median};
use sluis_benches::logs::{Append, append_floor, blocks, file, node_file, processor_time, verify, verify_floor};
use sluis_benches::report::{Report, Row};
use sluis_chain::verify::{Settings, Verifier};
use sluis_core::Seed;

#[global_allocator]
static ALLOC: Counting = Counting;

const USAGE: &str = "usage: logs [--json] [--tokens N] [--rounds N]    (1000000 tokens, 5 rounds unless told)";

fn main() -> ExitCode {
    let (mut json, mut tokens, mut rounds) = (false, 1_000_000, 5);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse::<u64>().ok()).filter(|n| *n > 0);
        match arg.as_str() {
            "--json" => json = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            "--tokens" => match number() {
                Some(n) => tokens = n,
                None => return usage(),
            },
            "--rounds" => match number() {
                Some(n) => rounds = n,
                None => return usage(),
            },
            _ => return usage(),
        }
    }
    let mut report = Report::new("logs", json);
    append(&mut report);
    let (plain, linked) = ("pings, members unsorted, as the reference writes them", "the same pings with links");
    verification(&mut report, tokens, rounds, &file(tokens, false), (false, plain));
    verification(&mut report, tokens, rounds, &file(tokens, true), (true, linked));
    let node = "pings, responses and heartbeats in turns, as our node records and links them";
    verification(&mut report, tokens, rounds, &node_file(tokens), (true, node));
    report.finish();
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn append(report: &mut Report) {
    let (content, leaf) = Append::new().hashed();
    let count = blocks(content.len()) + blocks(leaf.len()) + blocks(65);
    let mut ours = Append::new();
    let standings = contest::run(
        &mut [
            Runner::new("SHA-256 of the same blocks", || append_floor(&content, &leaf)),
            Runner::new("sluis", || {
                ours.step();
            }),
        ],
        301,
    );
    let what = format!("append of a token of {} bytes ({count} blocks of SHA-256)", leaf.len());
    let (floor, ours) = (&standings[0], &standings[1]);
    report.add(&Row {
        what,
        value: ours.ratio,
        unit: "×",
        target: Some(1.3),
        floor: Some((floor.name, floor.nanos)),
        nanos: Some(ours.nanos),
    });
    let mut log = Append::new();
    let calls = calls_in(|| (0..10_000).for_each(|_| assert!(log.step() > 0)));
    let what = "heap allocations per append".into();
    report.add(&Row { what, value: calls as f64 / 1e4, unit: "", target: Some(0.0), floor: None, nanos: None });
}

fn verification(report: &mut Report, tokens: u64, rounds: u64, file: &[u8], (linked, name): (bool, &str)) {
    let (mut ratios, mut floors, mut times, mut work) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = processor_time();
        let floor = verify_floor(file, 2);
        let middle = processor_time();
        let (ours, summary) = verify(file, 2, Settings::default());
        let end = processor_time();
        work.push((middle - start).as_secs_f64() / (end - middle).as_secs_f64());
        assert_eq!((summary.tokens, summary.linked), (tokens, linked && tokens > 1));
        // Speed, not time: of what the floor does in a second.
        ratios.push(floor.as_secs_f64() / ours.as_secs_f64());
        floors.push(floor.as_nanos() as f64 / tokens as f64);
        times.push(ours.as_nanos() as f64 / tokens as f64);
    }
    let mean = file.len() as u64 / tokens;
    report.add(&Row {
        what: format!("speed of verifying {tokens} tokens: {name}, {mean} bytes each, two threads (≥ 0.7)"),
        value: median(&mut ratios),
        unit: "×",
        target: None,
        floor: Some(("IgnoredAny + SHA-256 of each line", median(&mut floors))),
        nanos: Some(median(&mut times)),
    });
    report.add(&Row {
        what: format!("the same by processor time, {name}"),
        value: median(&mut work),
        unit: "×",
        target: None,
        floor: None,
        nanos: None,
    });
    let before = heap();
    let mut verifier = Verifier::new(Settings::default(), None, &Seed::from_u64(2));
    let mut most = 0;
    for piece in file.chunks(1 << 20) {
        verifier.push(piece, &mut |finding| panic!("{finding}"));
        most = most.max(heap().live - before.live);
    }
    drop(verifier);
    let what = format!("heap per token at {tokens} {name}, the 64 KiB in hand included");
    let value = most as f64 / tokens as f64;
    report.add(&Row { what, value, unit: "bytes", target: Some(32.0), floor: None, nanos: None });
}
