//! What signalling costs, beside plain MQTT and rumqttc; whether pairs meet; what is lost while brokers die.
//!
//! `cargo run --release -p sluis-benches --bin signal [-- --json] [--quick] [--chaos SECONDS]`
//!
//! All on one core: this process and the mosquitto that it starts. `--quick` takes a hundredth, to see that it works. `--chaos` runs three
//! mosquitto of which one is killed or revived every five seconds, in place of everything else; without mosquitto only what needs none runs.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use sluis_benches::contest::{self, Runner, median};
use sluis_benches::mqtt::{Ours, Theirs};
use sluis_benches::report::{Report, Row};
use sluis_benches::signal::brokers::{self, Mosquitto};
use sluis_benches::signal::meet::{Meetings, meet, percentile};
use sluis_benches::signal::{chaos, nodes, raw};

#[path = "loopback/place.rs"]
mod place;

const USAGE: &str = "usage: signal [--json] [--quick] [--chaos SECONDS]";
/// Bytes of a message.
const BYTES: usize = 200;
/// What two peers of the reference take for a message and its acknowledgement, p50, in nanoseconds (measured apart, over one mosquitto).
const REFERENCE: f64 = 543e6;

struct Args {
    json: bool,
    quick: bool,
    chaos: Option<u64>,
}

fn main() -> ExitCode {
    let Some(args) = args() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("signal: {why}");
            ExitCode::FAILURE
        }
    }
}

fn args() -> Option<Args> {
    let mut parsed = Args { json: false, quick: false, chaos: None };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => parsed.json = true,
            "--quick" => parsed.quick = true,
            "--chaos" => parsed.chaos = Some(args.next()?.parse().ok().filter(|seconds| *seconds > 0)?),
            _ => return None,
        }
    }
    Some(parsed)
}

fn run(args: &Args) -> io::Result<()> {
    let mut report = Report::new("signal", args.json);
    if let Some(seconds) = args.chaos {
        chaos(&mut report, Duration::from_secs(seconds))?;
        report.finish();
        return Ok(());
    }
    let (core, _) = place::two_cores().map_err(io::Error::other)?;
    place::pin(core).map_err(io::Error::other)?;
    codec(&mut report, if args.quick { 3 } else { 151 });
    let (rounds, messages) = if args.quick { (1, 500) } else { (9, 50_000) };
    let null = brokers::null()?;
    throughput(&mut report, "the null broker", null, (rounds, messages), 4.0)?;
    match Mosquitto::find() {
        Some(program) => {
            let mosquitto = Mosquitto::start(&program)?;
            throughput(&mut report, "mosquitto", mosquitto.port, (rounds, messages / 5), 1.0)?;
            latency(&mut report, mosquitto.port, rounds, if args.quick { 50 } else { 2000 })?;
        }
        None => eprintln!("signal: mosquitto is not installed, so nothing was measured over it"),
    }
    meetings(&mut report, if args.quick { 10 } else { 1000 });
    report.finish();
    Ok(())
}

fn codec(report: &mut Report, rounds: usize) {
    let (mut floor, mut ours) = (Theirs::new(), Ours::new());
    let runners = &mut [Runner::new("rumqttc's v4 codec", || floor.turn()), Runner::new("sluis", || ours.turn())];
    let standings = contest::run(runners, rounds);
    report.add(&Row {
        what: "PUBLISH encode + PUBACK decode, 200 bytes, in memory".into(),
        value: standings[1].ratio,
        unit: "×",
        target: Some(0.2),
        floor: Some((standings[0].name, standings[0].nanos)),
        nanos: Some(standings[1].nanos),
    });
}

/// Messages a second, as a multiple of rumqttc's.
fn throughput(
    report: &mut Report,
    broker: &str,
    port: u16,
    (rounds, messages): (usize, u64),
    target: f64,
) -> io::Result<()> {
    let each = |took: Duration| took.as_nanos() as f64 / messages as f64;
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (a, b) = (each(raw::theirs(port, messages, BYTES)?), each(raw::ours(port, messages, BYTES)?));
        theirs.push(a);
        ours.push(b);
        ratios.push(a / b);
    }
    report.at_least(&Row {
        what: format!("rate of QoS 1, {} in flight, one core, against {broker}", raw::IN_FLIGHT),
        value: median(&mut ratios),
        unit: "×",
        target: Some(target),
        floor: Some(("rumqttc", median(&mut theirs))),
        nanos: Some(median(&mut ours)),
    });
    Ok(())
}

fn p50(nanos: &[u64]) -> f64 {
    median(&mut nanos.iter().map(|nanos| *nanos as f64).collect::<Vec<_>>())
}

/// One message at a time through a broker, beside plain MQTT of the same size in the same round.
fn latency(report: &mut Report, port: u16, rounds: usize, count: usize) -> io::Result<()> {
    let (mut raws, mut events, mut acks, mut plains, mut plain_floors) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut sealed_ratios, mut plain_ratios) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let raw = p50(&nodes::floor(port, BYTES, count)?);
        let sealed = nodes::sealed(port, BYTES, count)?;
        let plain = p50(&nodes::plain(port, BYTES, count / 10 + 1)?);
        let plain_floor = raw + p50(&nodes::signatures(BYTES, count / 10 + 1)?);
        sealed_ratios.push(p50(&sealed.event) / raw);
        plain_ratios.push(plain / plain_floor);
        raws.push(raw);
        events.push(p50(&sealed.event));
        acks.push(p50(&sealed.ack));
        plains.push(plain);
        plain_floors.push(plain_floor);
    }
    let (raw, ack) = (median(&mut raws), median(&mut acks));
    report.add(&Row {
        what: "sealed message, call to event, through mosquitto, p50".into(),
        value: median(&mut sealed_ratios),
        unit: "×",
        target: Some(2.0),
        floor: Some(("a raw std client", raw)),
        nanos: Some(median(&mut events)),
    });
    report.at_least(&Row {
        what: "the same to the acknowledgement in the sender's hand, p50: faster by".into(),
        value: REFERENCE / ack,
        unit: "×",
        target: Some(1000.0),
        floor: Some(("two peers of the reference", REFERENCE)),
        nanos: Some(ack),
    });
    report.add(&Row {
        what: "message in the clear, call to event, p50".into(),
        value: median(&mut plain_ratios),
        unit: "×",
        target: Some(1.2),
        floor: Some(("raw + a signature + a verification", median(&mut plain_floors))),
        nanos: Some(median(&mut plains)),
    });
    Ok(())
}

/// Simulated pairs, on virtual time: nothing here depends on this machine.
fn meetings(report: &mut Report, pairs: usize) {
    for pool in [1, 3, 8, 16] {
        for dead in [0, 30] {
            if pool * dead / 100 == 0 && dead > 0 {
                continue;
            }
            let Meetings { met, cold, joined, .. } = meet(pairs, pool, dead, 7);
            let name = format!("{pool} brokers, {dead} % dead");
            let row = |what: String, value, unit, target| Row { what, value, unit, target, floor: None, nanos: None };
            let share = 100.0 * met as f64 / pairs as f64;
            report.at_least(&row(format!("{name}: of {pairs} pairs meet"), share, "%", Some(100.0)));
            for (which, times, target) in [("cold", cold, 2.5), ("joined", joined, 1.0)] {
                let p99 = percentile(&times, 99).as_secs_f64();
                report.add(&row(format!("{name}: first acknowledgement {which}, p99"), p99, "s", Some(target)));
            }
        }
    }
}

fn chaos(report: &mut Report, span: Duration) -> io::Result<()> {
    let outcome = chaos::run(span, Duration::from_secs(5), 50)?;
    let row =
        |what: &str, value: f64, target| Row { what: what.into(), value, unit: "", target, floor: None, nanos: None };
    report.add(&row("messages sent, 50 a second", outcome.sent as f64, None));
    report.add(&row("mosquitto killed", outcome.kills as f64, None));
    report.add(&row("acknowledged and lost", outcome.lost as f64, Some(0.0)));
    report.add(&row("twice, or out of order", outcome.wrong as f64, Some(0.0)));
    report.add(&row("not acknowledged in time, and said so", outcome.failed as f64, None));
    let mut p99 =
        row("from the call to the acknowledgement, p99", percentile(&outcome.took, 99).as_secs_f64(), Some(2.0));
    p99.unit = "s";
    report.add(&p99);
    Ok(())
}
