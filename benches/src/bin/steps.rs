//! What steps cost: unsigned, MACed and signed, at 1,000 to 1,000,000 steps of one workload, against the reference and against raw Ed25519.
//!
//! `cargo run --release -p sluis-benches --bin steps [-- --help]`
#![allow(clippy::disallowed_methods, reason = "a measuring command is the outside world")]

use std::process::{Command, ExitCode};

use ed25519_dalek::{Signer as _, SigningKey};
use sluis_benches::alloc::{self, Counting};
use sluis_benches::contest::Stopwatch;
use sluis_benches::report::{Report, Row};
use sluis_chain::verify::{Settings, Verifier};
use sluis_chain::workload::check::StepChecker;
use sluis_chain::workload::{Data, Engine, EngineConfig, MAX_LINE, NewStep, NewWorkload, Protection};
use sluis_core::framing::Value;
use sluis_core::identity::{MacKey, SecretKey};
use sluis_core::{Instant, Now, Seed, Wall};

#[global_allocator]
static ALLOC: Counting = Counting;

/// Steps a second that the reference was measured at, on the machine of the issue, where it is not measured here.
const REFERENCE: f64 = 6_500.0;

/// What `--help` prints.
const USAGE: &str = "\
steps: what steps of a workload cost, unsigned, MACed and signed, at 1,000 to 1,000,000 steps

  --json                     one object a line
  --quick                    1,000 and 10,000 steps only
  --reference PYTHON:PATH    measure the reference in this run, with this Python and the folder that holds
                             tibet_workload; without it, its figure is 6,500 steps a second, which tibet-workload
                             0.1.0 was measured at with 1,000 steps

Everything is processor time of one thread; run it under `taskset` on a machine that does other things. Timings decide
nothing: the exit code is 0 whatever they are, 1 when the reference cannot be run, 2 when the command line is wrong.";

/// What is asked for on the command line.
#[derive(Default)]
struct Args {
    json: bool,
    quick: bool,
    help: bool,
    /// A Python, and where the reference is.
    reference: Option<(String, String)>,
}

impl Args {
    fn read(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let (mut read, mut args) = (Self::default(), args.into_iter());
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--json" => read.json = true,
                "--quick" => read.quick = true,
                "--help" | "-h" => read.help = true,
                "--reference" => {
                    let place = args.next().and_then(|place| {
                        place.split_once(':').map(|(python, path)| (python.to_owned(), path.to_owned()))
                    });
                    read.reference = Some(place.ok_or("--reference takes PYTHON:PATH")?);
                }
                other => return Err(format!("there is no argument `{other}` here")),
            }
        }
        Ok(read)
    }
}

/// How the steps of a run are protected.
#[derive(Clone, Copy)]
enum Kind<'k> {
    Unsigned,
    Maced(&'k MacKey),
    Signed(&'k SecretKey),
}

impl<'k> Kind<'k> {
    const fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "unsigned",
            Self::Maced(_) => "MACed",
            Self::Signed(_) => "signed",
        }
    }

    fn protection(self) -> Protection<'k> {
        match self {
            Self::Unsigned => Protection::default(),
            Self::Maced(mac) => Protection { mac: Some(mac), ..Protection::default() },
            Self::Signed(key) => Protection { seal: Some(key), ..Protection::default() },
        }
    }
}

fn at(n: u32) -> Now {
    let wall = Wall::from_micros(1_736_942_400_000_000 + i64::from(n) * 137);
    Now::new(Instant::from_nanos(u64::from(n) * 137_000), wall)
}

/// Add, start and complete as many steps, each on the output of the one before, and write their tokens: seconds, and bytes written.
fn run(kind: Kind<'_>, names: &[String]) -> (f64, usize) {
    let config = EngineConfig { actor: "jis:bench:engine", node: "bench-node", ..EngineConfig::default() };
    let mut engine = Engine::new(&config, &Seed::from_u64(1));
    let new = NewWorkload { name: "bench", owner: "jis:bench", ..NewWorkload::default() };
    let id = engine.create(at(0), &new).expect("a workload");
    let data = Value::from_json(r#"{"in": 1, "value": 21.5}"#).expect("JSON");
    let protection = kind.protection();
    let mut out = vec![0; MAX_LINE];
    let mut bytes = 0;
    let watch = Stopwatch::start();
    for (n, name) in (0..).zip(names) {
        let now = at(n);
        engine.add_step(now, id, &NewStep { name, ..NewStep::default() }).expect("added");
        engine.start_step(now, id, name, Data::Value(data), None).expect("started");
        engine.complete_step(now, id, name, Data::Value(data), None).expect("completed");
        while let Some(written) = engine.poll_token(&protection, &mut out) {
            bytes += written.expect("written").len;
        }
    }
    let took = watch.elapsed().as_secs_f64();
    assert_eq!(engine.workload(id).map(|w| w.counts().completed as usize), Some(names.len()));
    (took, bytes)
}

/// Verify the file of one workload with all these steps while it is written: bytes of heap for each step at the most, with what is in
/// hand, and seconds.
fn verified(names: &[String]) -> (f64, f64) {
    let config = EngineConfig { actor: "jis:bench:engine", node: "bench-node", ..EngineConfig::default() };
    let mut engine = Engine::new(&config, &Seed::from_u64(1));
    let new = NewWorkload { name: "bench", owner: "jis:bench", ..NewWorkload::default() };
    let id = engine.create(at(0), &new).expect("a workload");
    let seed = Seed::from_u64(2);
    let mut verifier = Verifier::with_checker(Settings::default(), None, &seed, StepChecker::new(&seed));
    let (mut out, mut chunk) = (vec![0; MAX_LINE], Vec::new());
    let (mut held, mut most, mut took) = (0, 0, 0.0);
    for (n, name) in (0..).zip(names) {
        engine.add_step(at(n), id, &NewStep { name, ..NewStep::default() }).expect("added");
        engine.start_step(at(n), id, name, Data::None, None).expect("started");
        engine.complete_step(at(n), id, name, Data::None, None).expect("completed");
        while let Some(written) = engine.poll_token(&Protection::default(), &mut out) {
            chunk.extend(&out[..written.expect("written").len]);
            chunk.push(b'\n');
        }
        if chunk.len() > 1 << 20 || n as usize + 1 == names.len() {
            let (before, watch) = (alloc::heap().live, Stopwatch::start());
            verifier.push(&chunk, &mut |finding| panic!("{finding}"));
            took += watch.elapsed().as_secs_f64();
            held += alloc::heap().live as i64 - before as i64;
            most = most.max(held);
            chunk.clear();
        }
    }
    let (summary, _) = verifier.finish(&mut |finding| panic!("{finding}"));
    assert!(summary.tokens >= names.len() as u64);
    (most as f64 / names.len() as f64, took)
}

/// Nanoseconds of one raw signature of `ed25519-dalek` over as long a text as a seal signs.
fn raw_sign(key: &SigningKey, count: u32) -> f64 {
    let mut text = [b'a'; 80];
    let watch = Stopwatch::start();
    for n in 0..count {
        text[..4].copy_from_slice(&n.to_le_bytes());
        std::hint::black_box(key.sign(std::hint::black_box(&text)));
    }
    watch.elapsed().as_secs_f64() * 1e9 / f64::from(count)
}

/// Steps a second of the reference: add, start and complete with the same data.
fn reference(python: &str, path: &str, steps: usize) -> Result<f64, String> {
    let script = "import sys, time\nfrom tibet_workload.engine import WorkloadEngine\nn = int(sys.argv[1])\nd = {'in': 1, 'value': 21.5}\n\
                  e = WorkloadEngine(actor='jis:bench:engine')\nw = e.create('bench', 'jis:bench').workload_id\nt = time.process_time()\n\
                  for i in range(n):\n    s = 'step-%d' % i\n    e.add_step(w, s)\n    e.start_step(w, s, input_data=d)\n    \
                  e.complete_step(w, s, output_data=d)\nprint(n / (time.process_time() - t))\n";
    let done = Command::new(python)
        .args(["-c", script, &steps.to_string()])
        .env("PYTHONPATH", path)
        .output()
        .map_err(|e| format!("{python}: {e}"))?;
    let text = String::from_utf8_lossy(&done.stdout);
    text.trim().parse().map_err(|_| format!("the reference gave up: {}", String::from_utf8_lossy(&done.stderr)))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> ExitCode {
    let Args { json, quick, help, reference: asked } = match Args::read(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(why) => {
            eprintln!("{why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if help {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let mut report = Report::new("steps", json);
    let measured = match asked.map(|(python, path)| reference(&python, &path, 1_000)) {
        None => None,
        Some(Ok(rate)) => Some(rate),
        Some(Err(why)) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let floor = measured.unwrap_or(REFERENCE);
    let floor_name = if measured.is_some() { "reference, this run" } else { "reference, as reported" };
    let (mac, key) = (MacKey::new(b"a shared key of the bench"), SecretKey::from_seed(&[7; 32]));
    let raw_key = SigningKey::from_bytes(&[7; 32]);
    let sizes: &[usize] = if quick { &[1_000, 10_000] } else { &[1_000, 10_000, 100_000, 1_000_000] };
    let names: Vec<String> = (0..*sizes.last().expect("sizes")).map(|n| format!("step-{n}")).collect();
    for kind in [Kind::Unsigned, Kind::Maced(&mac), Kind::Signed(&key)] {
        for &size in sizes {
            if matches!(kind, Kind::Signed(_)) && size > 100_000 && quick {
                continue;
            }
            let turns = (20_000 / size).clamp(1, 15);
            let mut nanos = Vec::new();
            let mut ratios = Vec::new();
            let mut bytes = 0;
            for _ in 0..turns {
                let raw = matches!(kind, Kind::Signed(_)).then(|| raw_sign(&raw_key, 500));
                let (took, wrote) = run(kind, &names[..size]);
                bytes = wrote / size;
                let each = took * 1e9 / size as f64;
                nanos.push(each);
                let raw = raw.map(|raw| f64::midpoint(raw, raw_sign(&raw_key, 500)));
                ratios.push(raw.map_or_else(|| 1e9 / each / floor, |raw| raw / each));
            }
            let what = format!("{} steps, {size} of one workload, {bytes} bytes each", kind.name());
            let (target, floor) = match kind {
                Kind::Signed(_) => (0.9, ("raw Ed25519 signing", median(nanos.clone()) * median(ratios.clone()))),
                _ => (100.0, (floor_name, 1e9 / floor)),
            };
            report.at_least(&Row {
                what,
                value: median(ratios),
                unit: "×",
                target: Some(target),
                floor: Some(floor),
                nanos: Some(median(nanos)),
            });
        }
    }
    for &size in sizes {
        let (bytes, took) = verified(&names[..size]);
        report.add(&Row {
            what: format!("heap per step to verify {size} of one workload, the 64 KiB in hand included"),
            value: bytes,
            unit: "bytes",
            target: (size >= 1_000_000).then_some(32.0),
            floor: None,
            nanos: Some(took * 1e9 / size as f64),
        });
    }
    let calls = alloc::calls_in(|| {
        let _ = run(Kind::Unsigned, &names[..1_000]);
    });
    report.add(&Row {
        what: "allocations a step (its name, and the growth of tables)".into(),
        value: calls as f64 / 1_000.0,
        unit: "calls",
        target: Some(1.5),
        floor: None,
        nanos: None,
    });
    report.finish();
    ExitCode::SUCCESS
}
