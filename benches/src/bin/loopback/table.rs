//! Everything in turn, and what comes of it.

use sluis_benches::contest::median;
use sluis_benches::report::{Report, Row};

use crate::args::{Args, Contestant, RuntimeName};
use crate::ends::{self, Measured};
use crate::{place, reference};

/// How many pings are under way at once in the test of throughput.
const IN_FLIGHT: u64 = 64;

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
    let mut series = plan(args);
    let mut reference_turns = Vec::new();
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
            reference_turns.extend(pair.measure(args.encoding, cores)?);
        }
    }
    show(args, cores, &series, &reference_turns);
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

fn show(args: &Args, cores: (usize, usize), series: &[Series], reference: &[f64]) {
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
    if !reference.is_empty() {
        let value = median(&mut reference.to_vec());
        report.add(&Row {
            what: "64 in flight: reference pair".into(),
            value,
            unit: "/s",
            target: None,
            floor: None,
            nanos: None,
        });
    }
    for runtime in args.runtimes.iter().copied() {
        ratios(&mut report, series, reference, runtime);
    }
    report.finish();
}

fn ratios(report: &mut Report, series: &[Series], reference: &[f64], runtime: RuntimeName) {
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
    if !reference.is_empty() {
        report.at_least(&row("reference pair, 64 in flight", ratio(&many, reference), Some(25.0)));
    }
    for (contestant, target) in [(Contestant::Batched, Some(1.15)), (Contestant::Plain, None)] {
        if let Some(floor) = find(series, Test::One, runtime, contestant) {
            let what = format!("{contestant} on {runtime}, p50 one at a time");
            report.add(&row(&what, ratio(&ours(Test::One), &floor.numbers()), target));
        }
    }
}
