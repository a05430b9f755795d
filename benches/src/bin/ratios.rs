//! All CPU ratios of the project in one run of less than a minute.
//!
//! `cargo run --release -p sluis-benches --bin ratios [-- --json] [--rounds N]`
//!
//! Whatever has a floor ran interleaved with it, in this process; the target stands beside the result. Timings decide
//! nothing: the exit code is 0 whatever they are.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use sluis_benches::alloc::{Counting, calls_in};
use sluis_benches::bad::{Flood, Kind};
use sluis_benches::contenders::{self, WholePing, WholePingFloor, floor_name};
use sluis_benches::contest::{self, Runner, Standing, Stopwatch};
use sluis_benches::memory::World;
use sluis_benches::mqtt::{Ours, Theirs};
use sluis_benches::nodes::{STEP, rules};
use sluis_benches::population::{MILLION, heap_of};
use sluis_benches::relaying::{Carried, Relaying};
use sluis_benches::relays::{Carrying, Forwarding};
use sluis_benches::report::{Report, Row};
use sluis_benches::samples::{ENCODINGS, INTENT, SENSOR, ping, ping_frame};
use sluis_benches::sessions::{HandshakeFloor, Handshakes};
use sluis_core::airlock::{Gate, GateConfig, Subject};
use sluis_core::framing::{Encoding, Header, PingType};
use sluis_core::identity::SecretKey;
use sluis_core::session::Suites;

#[global_allocator]
static ALLOC: Counting = Counting;

const USAGE: &str = "usage: ratios [--json] [--rounds N]    (N: how often everything is timed, 151 unless told)";

fn main() -> ExitCode {
    let (mut json, mut rounds) = (false, 151);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--json" => json = true,
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            "--rounds" => match args.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0) {
                Some(n) => rounds = n,
                None => return usage(),
            },
            _ => return usage(),
        }
    }
    let mut report = Report::new("ratios", json);
    codecs(&mut report, rounds);
    whole_pings(&mut report, rounds);
    sealed_pings(&mut report, rounds);
    signed_pings(&mut report, rounds);
    relayed(&mut report, rounds);
    relayed_by_nodes(&mut report, rounds);
    allocations(&mut report);
    population(&mut report);
    handshakes(&mut report, rounds);
    signalling(&mut report, rounds);
    parts(&mut report, rounds);
    report.finish();
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn row(what: String, floor: &Standing, ours: &Standing, target: Option<f64>) -> Row {
    Row { what, value: ours.ratio, unit: "×", target, floor: Some((floor.name, floor.nanos)), nanos: Some(ours.nanos) }
}

/// Decode a typical ping and encode it again.
fn codecs(report: &mut Report, rounds: usize) {
    for (encoding, name) in ENCODINGS {
        let frame = ping_frame(encoding);
        let floor = Runner::new(floor_name(encoding), contenders::floor(encoding, &frame));
        let ours = Runner::new("sluis", contenders::ours(&frame));
        let standings = contest::run(&mut [floor, ours], rounds);
        let target = if encoding == Encoding::Json { 0.5 } else { 1.2 };
        report.add(&row(format!("{name} ping decode + encode"), &standings[0], &standings[1], Some(target)));
    }
}

/// From a datagram to the response, event taken (and looked at or not); the floor only decodes the request and encodes the response.
fn whole_pings(report: &mut Report, rounds: usize) {
    for (encoding, name) in ENCODINGS {
        let (mut floor, mut ours) = (WholePingFloor::new(encoding), WholePing::new(encoding));
        let mut looked_at = WholePing::new(encoding).looked_at();
        let runners = &mut [
            Runner::custom(floor_name(encoding), |n| floor.run(n)),
            Runner::custom("sluis", |n| ours.run(n)),
            Runner::custom("sluis, looked at", |n| looked_at.run(n)),
        ];
        let standings = contest::run(runners, rounds);
        let target = (encoding == Encoding::Json).then_some(1.0);
        report.add(&row(format!("{name} ping, datagram to response"), &standings[0], &standings[1], target));
        let what = format!("the same, and the application looks at the {name} ping");
        report.add(&row(what, &standings[0], &standings[2], None));
    }
}

/// The same through an encrypted session, against the ping that goes without.
fn sealed_pings(report: &mut Report, rounds: usize) {
    for (encoding, name) in ENCODINGS {
        let (mut plain, mut sealed) = (WholePing::new(encoding), WholePing::sealed(encoding));
        let runners = &mut [
            Runner::custom("the same ping, neither signed nor encrypted", |n| plain.run(n)),
            Runner::custom("sluis, through a session", |n| sealed.run(n)),
        ];
        let standings = contest::run(runners, rounds);
        let what = format!("{name} ping through a session, datagram to response");
        report.add(&row(what, &standings[0], &standings[1], Some(2.0)));
    }
}

/// The same signed, without a session: against the ping without a signature, one signature and one strict verification.
fn signed_pings(report: &mut Report, rounds: usize) {
    let signer = SecretKey::from_seed(&[1; 32]);
    let (public, mut message) = (signer.public(), [7; 48]);
    for (encoding, name) in ENCODINGS {
        let (mut plain, mut signed) = (WholePing::new(encoding), WholePing::signed(encoding));
        let runners = &mut [
            Runner::custom("the same ping unsigned, one signature and one verification", |n| {
                let began = Stopwatch::start();
                for n in 0..n {
                    message[..8].copy_from_slice(&n.to_le_bytes());
                    let signature = signer.sign_now(black_box(&message));
                    black_box(public.verify(black_box(&message), &signature)).expect("it was just made");
                }
                began.elapsed() + plain.run(n)
            }),
            Runner::custom("sluis, signed", |n| signed.run(n)),
        ];
        let standings = contest::run(runners, rounds / 3 + 1);
        let what = format!("{name} ping signed, without a session, datagram to response");
        report.add(&row(what, &standings[0], &standings[1], Some(1.1)));
    }
}

/// What passes through a relay: pings, with and without a record of their trace, and packets of circuits.
fn relayed(report: &mut Report, rounds: usize) {
    for (encoding, name) in ENCODINGS {
        let frame = ping_frame(encoding);
        let mut passed = Forwarding::new(encoding);
        let runners = &mut [
            Runner::new("decode + encode of it", contenders::ours(&frame)),
            Runner::custom("sluis", |n| passed.run(n)),
        ];
        let standings = contest::run(runners, rounds);
        report.add(&row(format!("{name} ping through a relay, unsigned"), &standings[0], &standings[1], Some(1.3)));
    }
    let (mut plain, mut traced) = (Forwarding::new(Encoding::Json), Forwarding::traced(Encoding::Json));
    let standings = beside_a_signature(|n| plain.run(n), |n| traced.run(n), rounds);
    report.add(&row("JSON ping through a relay, traced".into(), &standings[0], &standings[1], Some(1.1)));
    for len in [128, 1400] {
        let (mut floor, mut ours) = (Carrying::new(len), Carrying::new(len));
        let runners = &mut [Runner::new("a header and a copy", || floor.copy()), Runner::new("sluis", || ours.pass())];
        let standings = contest::run(runners, rounds);
        let what = format!("packet of a circuit through a relay, {len} bytes");
        report.add(&row(what, &standings[0], &standings[1], Some(1.2)));
    }
}

/// Time what passes traced beside the same without a trace and one Ed25519 signature.
fn beside_a_signature(
    mut plain: impl FnMut(u64) -> Duration,
    traced: impl FnMut(u64) -> Duration,
    rounds: usize,
) -> Vec<Standing> {
    let (signer, mut message) = (SecretKey::from_seed(&[1; 32]), [7; 112]);
    let runners = &mut [
        Runner::custom("the same without, and one Ed25519 signature", |n| {
            let began = Stopwatch::start();
            for n in 0..n {
                message[..8].copy_from_slice(&n.to_le_bytes());
                black_box(signer.sign_now(black_box(&message)));
            }
            began.elapsed() + plain(n)
        }),
        Runner::custom("sluis", traced),
    ];
    contest::run(runners, rounds / 3 + 1)
}

/// The same through whole nodes, from datagram to datagram: gate, quotas, queue and all.
fn relayed_by_nodes(report: &mut Report, rounds: usize) {
    for (encoding, name) in ENCODINGS {
        let frame = ping_frame(encoding);
        let mut passed = Relaying::new(encoding);
        let runners = &mut [
            Runner::new("decode + encode of it", contenders::ours(&frame)),
            Runner::custom("sluis", |n| passed.run(n)),
        ];
        let standings = contest::run(runners, rounds);
        let what = format!("{name} ping through a node that relays, unsigned");
        report.add(&row(what, &standings[0], &standings[1], Some(1.3)));
    }
    let (mut plain, mut traced) = (Relaying::new(Encoding::Json), Relaying::traced(Encoding::Json));
    let standings = beside_a_signature(|n| plain.run(n), |n| traced.run(n), rounds);
    report.add(&row("JSON ping through a node that relays, traced".into(), &standings[0], &standings[1], Some(1.1)));
    for len in [128, 1400] {
        let (mut floor, mut ours) = (Carrying::new(len), Carried::new(len));
        let runners = &mut [Runner::new("a header and a copy", || floor.copy()), Runner::new("sluis", || ours.pass())];
        let standings = contest::run(runners, rounds);
        let what = format!("packet of a session through a node that relays, {len} bytes");
        report.add(&row(what, &standings[0], &standings[1], Some(1.2)));
    }
    let mut passed = [Relaying::new(Encoding::Json), Relaying::traced(Encoding::Json)];
    for (passed, what) in passed.iter_mut().zip(["ping", "traced ping"]) {
        const PINGS: u64 = 5_000;
        passed.run(2 * PINGS);
        let calls = calls_in(|| _ = passed.run(PINGS));
        let what = format!("heap allocations per {what} that a node passes on, and its answer");
        let value = calls as f64 / PINGS as f64;
        report.add(&Row { what, value, unit: "", target: Some(0.0), floor: None, nanos: None });
    }
}

/// A message written and its acknowledgement read, as MQTT; the floor does the same, and owns what it read.
fn signalling(report: &mut Report, rounds: usize) {
    let (mut floor, mut ours) = (Theirs::new(), Ours::new());
    let calls = calls_in(|| (0..1000).for_each(|_| ours.turn()));
    let runners = &mut [Runner::new("rumqttc's v4 codec", || floor.turn()), Runner::new("sluis", || ours.turn())];
    let standings = contest::run(runners, rounds);
    let what = "MQTT PUBLISH encode + PUBACK decode, 200 bytes";
    report.add(&row(what.into(), &standings[0], &standings[1], Some(0.2)));
    let (what, value) = ("heap allocations of that".into(), calls as f64 / 1000.0);
    report.add(&Row { what, value, unit: "", target: Some(0.0), floor: None, nanos: None });
}

/// Hub and sensor together, each behind its driver.
fn allocations(report: &mut Report) {
    const PINGS: u64 = 10_000;
    for (encoding, name) in ENCODINGS {
        let mut world = World::new(encoding, 64);
        world.run(PINGS);
        let calls = calls_in(|| assert_eq!(world.run(PINGS), PINGS));
        let what = format!("heap allocations per accepted {name} ping, both ends");
        report.add(&Row {
            what,
            value: calls as f64 / PINGS as f64,
            unit: "",
            target: Some(0.0),
            floor: None,
            nanos: None,
        });
    }
}

fn population(report: &mut Report) {
    let heap = heap_of(MILLION);
    for (what, bytes, target) in [
        ("heap per known peer at 1,000,000", heap.live, Some(256.0)),
        ("the same with malloc's overhead", heap.held, None),
    ] {
        let value = bytes as f64 / f64::from(MILLION);
        report.add(&Row { what: what.into(), value, unit: "bytes", target, floor: None, nanos: None });
    }
}

/// Handshakes of sessions, as a part of the rate that their curve operations (and in suite 2 those of ML-KEM) allow.
fn handshakes(report: &mut Report, rounds: usize) {
    for (name, suites) in [("suite 1", Suites::One), ("suite 2", Suites::Two)] {
        let (floor, mut ours) = (HandshakeFloor::new(suites), Handshakes::new(suites));
        let runners = &mut [Runner::new("bare operations", || floor.run()), Runner::new("sluis", || ours.run())];
        let standings = contest::run(runners, rounds / 3 + 1);
        let mut row = row(format!("rate of session handshakes, {name}"), &standings[0], &standings[1], Some(0.8));
        row.value = row.value.recip();
        report.at_least(&row);
    }
}

/// What the parts cost, for orientation.
fn parts(report: &mut Report, rounds: usize) {
    let frame = ping_frame(Encoding::Json);
    let subject = Subject { source_did: SENSOR, intent: INTENT, pod_id: None, ping_type: PingType::Intent };
    let gates = [0, 50, 1000].map(|count| {
        let mut gate = Gate::new(GateConfig::default()).expect("the defaults make sense");
        rules(count).for_each(|rule| gate.add_rule(&rule).expect("within the limits"));
        gate
    });
    let (ping, mut text) = (ping(), Vec::with_capacity(1024));
    let mut world = World::new(Encoding::Json, 64);
    world.run(10_000);
    let floods =
        [("garbage, refused", Kind::Noise), ("ROOD, refused", Kind::Stranger), ("replay, refused", Kind::Replayed)];
    let mut floods = floods.map(|(name, kind)| (name, Flood::new(&[kind], &[Encoding::Json], STEP)));
    let mut runners = vec![
        Runner::new("header", || {
            let _ = black_box(Header::parse(black_box(&frame)));
        }),
        Runner::new("canonical text of a ping", || {
            text.clear();
            let _ = black_box(black_box(&ping).signature_payload(&mut text));
        }),
        Runner::custom("round trip over two drivers, no sockets", |n| {
            let began = Stopwatch::start();
            assert_eq!(world.run(n), n);
            began.elapsed()
        }),
    ];
    for (name, gate) in ["gate, no rules", "gate, 50 rules", "gate, 1000 rules"].into_iter().zip(&gates) {
        runners.push(Runner::new(name, || {
            black_box(gate.judge(black_box(&subject), black_box(0.9)));
        }));
    }
    runners.extend(floods.iter_mut().map(|(name, flood)| Runner::new(name, || flood.send())));
    for standing in contest::run(&mut runners, rounds / 3 + 1) {
        let what = standing.name.to_owned();
        report.add(&Row { what, value: standing.nanos, unit: "ns", target: None, floor: None, nanos: None });
    }
}
