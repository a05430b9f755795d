//! Everything in turn, and what comes of it.

use sluis_benches::contest::median;
use sluis_benches::report::{Report, Row};

use crate::args::{Args, Contestant, RuntimeName};
use crate::ends::{self, Measured};
use crate::quic::Quic;
use crate::{place, reference};

/// How many pings are under way at once in the test of throughput.
const IN_FLIGHT: u64 = 64;

/// Handshakes of the flood a second.
const FLOOD: u64 = 100_000;
/// Pings that go on in the flood, and how many at once.
const FLOODED: (u64, u64) = (20_000, 8);

/// The two tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    /// 64 in flight, one core for each end.
    Many,
    /// One at a time, both ends on one core.
    One,
}

/// What one contestant did in each turn.
struct Series {
    test: Test,
    runtime: RuntimeName,
    contestant: Contestant,
    turns: Vec<Measured>,
}

impl Series {
    /// Round trips a second, or microseconds.
    fn numbers(&self) -> Vec<f64> {
        let pick = |turn: &Measured| if self.test == Test::Many { turn.per_second } else { turn.p50 };
        self.turns.iter().map(pick).collect()
    }

    fn median(&self) -> f64 {
        median(&mut self.numbers())
    }
}

/// What was measured of others than the contestants, turn by turn.
#[derive(Default)]
struct Others {
    /// Round trips a second of two reference nodes.
    reference: Vec<f64>,
    /// The same of quinn.
    quic: Vec<f64>,
}

/// Median of the ratios turn by turn.
fn ratio(ours: &[f64], floor: &[f64]) -> f64 {
    median(&mut ours.iter().zip(floor).map(|(a, b)| a / b).collect::<Vec<_>>())
}

pub(crate) fn run(args: &Args) -> Result<(), String> {
    let cores = match args.cores {
        Some(cores) => cores,
        None => place::two_cores()?,
    };
    let reference = args.reference.then(reference::Pair::prepare).transpose()?;
    let quic = args.quic.then(Quic::prepare).transpose()?;
    let (request, response) = ends::messages(ends::encoding(args.encoding));
    let mut series = plan(args);
    let mut others = Others::default();
    for turn in 0..args.turns {
        // Another one begins each time.
        let count = series.len();
        for step in 0..count {
            let one = &mut series[(turn + step) % count];
            let (cores, count, in_flight) = match one.test {
                Test::Many => (cores, args.count, IN_FLIGHT),
                Test::One => ((cores.1, cores.1), args.singles, 1),
            };
            let measured = ends::measure(one.runtime, one.contestant, args.encoding, cores, count, in_flight)?;
            one.turns.push(measured);
        }
        if let Some(pair) = &reference {
            others.reference.extend(pair.measure(args.encoding, cores)?);
        }
        if let Some(quic) = &quic {
            others.quic.push(quic.measure((request.len(), response.len()), cores, args.count, IN_FLIGHT)?);
        }
    }
    let mut report = show(args, cores, &series, &others);
    if args.flood {
        flood(args, cores, &mut report)?;
    }
    report.finish();
    Ok(())
}

/// What is to be measured. The plain echo on tokio is always there: it is the floor of both runtimes.
fn plan(args: &Args) -> Vec<Series> {
    let mut series = Vec::new();
    for runtime in RuntimeName::ALL.iter().copied() {
        for contestant in Contestant::ALL.iter().copied() {
            let chosen = args.runtimes.contains(&runtime);
            if chosen || (runtime, contestant) == (RuntimeName::Tokio, Contestant::Plain) {
                series.push(Series { test: Test::Many, runtime, contestant, turns: Vec::new() });
            }
            if chosen && contestant != Contestant::Single {
                series.push(Series { test: Test::One, runtime, contestant, turns: Vec::new() });
            }
        }
    }
    series
}

fn find(series: &[Series], test: Test, runtime: RuntimeName, contestant: Contestant) -> Option<&Series> {
    series.iter().find(|s| (s.test, s.runtime, s.contestant) == (test, runtime, contestant))
}

/// What is left of the pings of a session under a flood.
fn flood(args: &Args, cores: (usize, usize), report: &mut Report) -> Result<(), String> {
    for runtime in args.runtimes.iter().copied() {
        let (measured, rate) = ends::measure_flooded(runtime, args.encoding, cores, FLOODED, FLOOD)?;
        let (count, in_flight) = FLOODED;
        let what = format!(
            "sluis on {runtime}, {in_flight} in flight through a session: answered under a flood of {:.0} k/s",
            rate / 1000.0
        );
        let value = 1.0 - measured.lost / count as f64;
        report.at_least(&Row { what, value, unit: "×", target: Some(0.9), floor: None, nanos: None });
    }
    Ok(())
}

fn show(args: &Args, cores: (usize, usize), series: &[Series], others: &Others) -> Report {
    let (request, response) = ends::messages(ends::encoding(args.encoding));
    if !args.json {
        let (request, response) = (request.len(), response.len());
        println!(
            "{} requests of {request} bytes, responses of {response}; medians of {} turns",
            args.encoding, args.turns
        );
        println!(
            "64 in flight: ends on cores {} and {}; one at a time: both on core {}{}\n",
            cores.0,
            cores.1,
            cores.1,
            if cores.0 == cores.1 { "  (only one core: this is not what the targets are about)" } else { "" }
        );
    }
    let mut report = Report::new("loopback", args.json);
    for one in series {
        let (what, unit) = match one.test {
            Test::Many => ("64 in flight", "/s"),
            Test::One => ("one at a time, p50", "µs"),
        };
        let what = format!("{what}: {} on {}", one.contestant, one.runtime);
        report.add(&Row { what, value: one.median(), unit, target: None, floor: None, nanos: None });
    }
    for (name, turns) in [("reference pair", &others.reference), ("datagrams of quinn", &others.quic)] {
        if !turns.is_empty() {
            let (what, value) = (format!("64 in flight: {name}"), median(&mut turns.clone()));
            report.add(&Row { what, value, unit: "/s", target: None, floor: None, nanos: None });
        }
    }
    for runtime in args.runtimes.iter().copied() {
        ratios(&mut report, series, others, runtime);
        sessions(&mut report, series, others, runtime);
    }
    report
}

/// How encrypted sessions compare.
fn sessions(report: &mut Report, series: &[Series], others: &Others, runtime: RuntimeName) {
    let Some(ours) = find(series, Test::Many, runtime, Contestant::Sealed).map(Series::numbers) else { return };
    let mut row = |what: &str, floor: &[f64], target| {
        let what = format!("sessions of sluis on {runtime} ÷ {what}, 64 in flight");
        let value = ratio(&ours, floor);
        report.at_least(&Row { what, value, unit: "×", target: Some(target), floor: None, nanos: None });
    };
    if let Some(plain) = find(series, Test::Many, runtime, Contestant::Sluis) {
        row("sluis without", &plain.numbers(), 0.7);
    }
    if !others.quic.is_empty() {
        row("datagrams of quinn", &others.quic, 1.2);
    }
}

fn ratios(report: &mut Report, series: &[Series], others: &Others, runtime: RuntimeName) {
    let row = |what: &str, value, target| Row {
        what: format!("sluis on {runtime} ÷ {what}"),
        value,
        unit: "×",
        target,
        floor: None,
        nanos: None,
    };
    let ours = |test| find(series, test, runtime, Contestant::Sluis).map(Series::numbers).unwrap_or_default();
    let many = ours(Test::Many);
    let floors = [
        (RuntimeName::Tokio, Contestant::Plain, Some(1.5)),
        (runtime, Contestant::Single, None),
        (runtime, Contestant::Batched, None),
    ];
    for (on, contestant, target) in floors {
        if let Some(floor) = find(series, Test::Many, on, contestant) {
            let what = format!("{contestant} on {on}, 64 in flight");
            report.at_least(&row(&what, ratio(&many, &floor.numbers()), target));
        }
    }
    if !others.reference.is_empty() {
        report.at_least(&row("reference pair, 64 in flight", ratio(&many, &others.reference), Some(25.0)));
    }
    for (contestant, target) in [(Contestant::Batched, Some(1.15)), (Contestant::Plain, None)] {
        if let Some(floor) = find(series, Test::One, runtime, contestant) {
            let what = format!("{contestant} on {runtime}, p50 one at a time");
            report.add(&row(&what, ratio(&ours(Test::One), &floor.numbers()), target));
        }
    }
}
