//! What a registry costs: a name that is looked up, a record that is taken in, a device on the heap, and a start with many of them.
//!
//! `cargo run --release -p sluis-benches --bin registry [-- --json] [--rounds N (61)] [--devices N (1000000)] [--folder PATH] [--heap] [--test]`
//!
//! `--heap`: only what a device takes. `--test`: everything once, with a thousand devices. A look-up is timed beside one in a `HashMap`, and the reference's beside that in its own process where
//! `cargo test` has built its environment under `target/`. Finding by capability is timed in a registry of so many devices beside one with a hundredth of them. Registrations, in batches of 100, are verified, taken in and kept; their floor is one verification and one commit of the same bytes. The
//! start reads a state of so many devices; its floor is reading the file. Times of the disk are on the wall. Timings decide nothing: the exit code is 0 whatever they are.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sluis_benches::alloc::Counting;
use sluis_benches::contest::{self, Runner, median};
use sluis_benches::fleet::{CAPABILITIES, Fleet, RARE, heap_of};
use sluis_benches::medium;
use sluis_benches::report::{Report, Row};
use sluis_core::driver::StoreBatch;
use sluis_core::registry::{Change, Record, Registry, ResolveConfig, Resolver, Unverified};
use sluis_core::{Seed, StoreOp, StoreSeq};
use sluis_store::Store;

#[global_allocator]
static ALLOC: Counting = Counting;

const USAGE: &str = "usage: registry [--json] [--rounds N (61)] [--devices N (1000000)] [--folder PATH (under target/)] [--heap] [--test]";
/// By how much smaller the registry is beside which one finds devices by what they can do, and how much longer that may take: where it were linear, so many times as long.
const FEWER: u32 = 100;
const LONGER: f64 = 10.0;
/// How many are taken of those that are found.
const FOUND: usize = 50;
/// Registrations in a batch.
const BATCH: u32 = 100;
/// Changes in a commit while a state is made.
const COMMIT: usize = 500;
/// What the reference is asked, in its own process: nanoseconds of a look-up that hits.
const REFERENCE: &str = r#"
import time
from tibet_overlay import OverlayResolver
resolver = OverlayResolver()
names = [f"jis:fleet:sensor-{n:015}" for n in range(1000)]
for name in names:
    resolver.register_local(name, "10.0.0.1:7150")
best = float("inf")
for _ in range(9):
    began = time.perf_counter_ns()
    for _ in range(20):
        for name in names:
            resolver.resolve(name)
    best = min(best, (time.perf_counter_ns() - began) / 20000)
print(best)
"#;

struct Asked {
    json: bool,
    rounds: usize,
    devices: u32,
    folder: PathBuf,
    heap: bool,
}

fn main() -> ExitCode {
    let asked = match parse(std::env::args().skip(1)) {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(()) => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut report = Report::new("registry", asked.json);
    heap_row(&mut report, asked.devices);
    let measured = if asked.heap { Ok(()) } else { measure(&mut report, &asked) };
    report.finish();
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("registry: {why}");
            ExitCode::FAILURE
        }
    }
}

/// `None`: help.
fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Asked>, ()> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let mut asked = Asked { json: false, rounds: 61, devices: 1_000_000, folder: target.into(), heap: false };
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse::<u32>().ok()).filter(|n| *n > 0).ok_or(());
        match arg.as_str() {
            "--help" | "-h" => return Ok(None),
            "--json" => asked.json = true,
            "--heap" => asked.heap = true,
            "--test" => (asked.rounds, asked.devices) = (1, 1_000),
            "--rounds" => asked.rounds = number()? as usize,
            "--devices" => asked.devices = number()?,
            "--folder" => asked.folder = args.next().ok_or(())?.into(),
            _ => return Err(()),
        }
    }
    Ok(Some(asked))
}

fn heap_row(report: &mut Report, devices: u32) {
    let heap = heap_of(devices);
    report.add(&Row {
        what: format!("heap per registered device at {devices}, malloc's overhead included"),
        value: heap.held as f64 / f64::from(devices),
        unit: "bytes",
        target: Some(512.0),
        floor: None,
        nanos: None,
    });
}

fn measure(report: &mut Report, asked: &Asked) -> Result<(), Box<dyn Error>> {
    let folder = asked.folder.join(format!("registry-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    look_ups(report, asked);
    finds(report, asked);
    let done = registrations(report, asked, &folder).and_then(|()| start(report, asked, &folder));
    std::fs::remove_dir_all(&folder)?;
    done
}

/// A name that is known.
fn look_ups(report: &mut Report, asked: &Asked) {
    let devices = asked.devices.min(100_000);
    let (_, registry) = Fleet::fill(devices, |_| ());
    let resolver = Resolver::new(ResolveConfig::default(), &mut Seed::from_u64(3).fork("resolver"));
    let names: Vec<String> = (0..devices).map(Fleet::did).collect();
    let map: HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
    let (mut one, mut other) = (0, 0);
    let pick = |at: &mut usize| {
        *at = (*at + 40_503) % names.len();
        &names[*at]
    };
    let runners = &mut [
        Runner::new("a look-up in a HashMap", || {
            black_box(map.get(pick(&mut one).as_str()));
        }),
        Runner::new("sluis", || {
            black_box(resolver.known(Fleet::wall(), pick(&mut other), &registry, |_| None));
        }),
    ];
    let standings = contest::run(runners, asked.rounds);
    let [floor, ours] = standings.as_slice() else { return };
    report.add(&Row {
        what: format!("resolve a known name among {devices}"),
        value: ours.ratio,
        unit: "×",
        target: None,
        floor: Some((floor.name, floor.nanos)),
        nanos: Some(ours.nanos),
    });
    let Some(theirs) = reference(&asked.folder) else {
        eprintln!(
            "registry: the reference is not there to be timed: `cargo test -p sluis-cli --test interop overlay` builds it"
        );
        return;
    };
    report.at_least(&Row {
        what: "resolve a known name, beside the reference".into(),
        value: theirs / ours.nanos,
        unit: "×",
        target: Some(20.0),
        floor: Some(("tibet-overlay", theirs)),
        nanos: Some(ours.nanos),
    });
}

/// Devices found by what they can do, in a large registry and in a small one: what many can do, and what only one can.
fn finds(report: &mut Report, asked: &Asked) {
    // As many as have what is looked for `FOUND` times.
    let few = (asked.devices / FEWER).max(1_000);
    let [(_, small), (_, large)] = [few, asked.devices].map(|devices| Fleet::fill(devices, |_| ()));
    let find = |registry: &Registry, capability| {
        black_box(registry.find(Fleet::wall(), black_box(capability)).take(FOUND).count());
    };
    for (capability, whom) in [(CAPABILITIES[0], "the first 50 of many"), (RARE, "the only one")] {
        let mut runners = [
            Runner::new("in the small one", || find(&small, capability)),
            Runner::new("in the large one", || find(&large, capability)),
        ];
        let standings = contest::run(&mut runners, asked.rounds);
        let [floor, ours] = standings.as_slice() else { return };
        report.add(&Row {
            what: format!("find by capability {whom} among {}, beside {few}", asked.devices),
            value: ours.ratio,
            unit: "×",
            target: Some(LONGER),
            floor: Some((floor.name, floor.nanos)),
            nanos: Some(ours.nanos),
        });
    }
}

/// Nanoseconds of a look-up of the reference, if it is there.
fn reference(target: &Path) -> Option<f64> {
    let python = target.join("overlay-venv/bin/python");
    let said = Command::new(python).args(["-c", REFERENCE]).output().ok()?;
    String::from_utf8(said.stdout).ok()?.trim().parse().ok()
}

fn push(batch: &mut StoreBatch, seq: &mut u64, change: &Change) {
    let Some((key, value)) = change.record() else { return };
    *seq += 1;
    let op = match value {
        Some(value) => StoreOp::put(StoreSeq(*seq), key, value),
        None => StoreOp::remove(StoreSeq(*seq), key),
    };
    assert!(batch.push(&op.expect("short enough")));
}

/// The next records of the first devices, signed.
fn sign(fleet: &mut Fleet, seq: u64) -> Vec<Vec<u8>> {
    let mut buf = [0; Record::MAX_LEN];
    (0..BATCH).map(|n| fleet.record(n, seq, &mut buf).as_bytes().to_vec()).collect()
}

/// What so many batches take on the wall, each of records that were signed just before.
fn time_each(n: u64, fleet: &mut Fleet, mut take: impl FnMut(&[Vec<u8>])) -> std::time::Duration {
    static SEQ: AtomicU64 = AtomicU64::new(2);
    let mut took = std::time::Duration::ZERO;
    for _ in 0..n {
        let records = sign(fleet, SEQ.fetch_add(1, Ordering::Relaxed));
        let began = Instant::now();
        take(&records);
        took += began.elapsed();
    }
    took
}

/// Records that are verified, taken in, and on the disk.
fn registrations(report: &mut Report, asked: &Asked, folder: &Path) -> Result<(), Box<dyn Error>> {
    let devices = asked.devices.clamp(BATCH, 10_000);
    let (mut fleet, mut registry) = Fleet::fill(devices, |_| ());
    let mut bare = Store::open(folder.join("bare"), b"node")?;
    let mut kept = Store::open(folder.join("kept"), b"node")?;
    let (mut first, mut second) = (0, 0);
    let mut signing = Fleet::new(devices);
    let changes: Vec<_> = {
        let mut empty = Fleet::registry(devices);
        let fleet = Fleet::new(devices);
        let read = |bytes: &Vec<u8>| fleet.register(&mut empty, &Record::read(bytes).expect("ours")).change;
        sign(&mut signing, 1).iter().map(read).collect()
    };
    let other = Fleet::new(devices);
    // Signed beforehand, for the floor, too: what is measured is who takes them in, and both find records that nobody has looked at yet, and a medium that had the same pause.
    let mut runners = [
        Runner::custom("one verification each, and one commit", |n| {
            time_each(n, &mut signing, |records| {
                let mut batch = StoreBatch::new();
                for (bytes, change) in records.iter().zip(&changes) {
                    let verified = Unverified::parse(bytes).and_then(Unverified::verify);
                    assert!(black_box(verified).is_ok());
                    push(&mut batch, &mut first, change);
                }
                bare.commit(&batch).expect("a disk that works");
            })
        }),
        Runner::custom("registrations", |n| {
            time_each(n, &mut fleet, |records| {
                let mut batch = StoreBatch::new();
                for bytes in records {
                    let record = Unverified::parse(bytes).and_then(Unverified::verify).expect("ours");
                    push(&mut batch, &mut second, &other.register(&mut registry, &record).change);
                }
                kept.commit(&batch).expect("a disk that works");
            })
        }),
    ];
    medium::compare(report, (BATCH as usize, asked.rounds), 0.8, &mut runners);
    Ok(())
}

/// A registry that is read from a state of many devices.
fn start(report: &mut Report, asked: &Asked, folder: &Path) -> Result<(), Box<dyn Error>> {
    let folder = folder.join("many");
    let mut store = Store::open(&folder, b"node")?;
    let (mut batch, mut seq, mut pending) = (StoreBatch::new(), 0, 0);
    let mut commit = |batch: &mut StoreBatch| store.commit(&std::mem::take(batch));
    let mut failed = None;
    let (_, registry) = Fleet::fill(asked.devices, |change| {
        push(&mut batch, &mut seq, change);
        pending += 1;
        if pending % COMMIT == 0 {
            failed = commit(&mut batch).err().or(failed.take());
        }
    });
    commit(&mut batch)?;
    if let Some(why) = failed {
        return Err(why.into());
    }
    let file = store.path();
    drop((store, registry));
    let (mut reads, mut opens) = (Vec::new(), Vec::new());
    for _ in 0..asked.rounds.min(5) {
        let began = Instant::now();
        black_box(std::fs::read(&file)?);
        let read = began.elapsed().as_secs_f64();
        let began = Instant::now();
        let mut store = Store::open(&folder, b"node")?;
        let mut registry = Fleet::registry(asked.devices);
        for entry in store.entries()? {
            let (key, value) = entry?;
            registry.restore(&key, &value, false)?;
        }
        opens.push(began.elapsed().as_secs_f64());
        reads.push(read);
        assert_eq!(registry.len(), asked.devices as usize, "all of them are there");
    }
    let (read, open) = (median(&mut reads), median(&mut opens));
    report.add(&Row {
        what: format!("a registry of {} opens", asked.devices),
        value: open / read.max(1e-9),
        unit: "×",
        target: Some(1.5),
        floor: Some(("reading the file", read * 1e9)),
        nanos: Some(open * 1e9),
    });
    Ok(())
}
