//! Envelopes and statements: the specification's own vectors, tampering of every kind, and chains that make no
//! statement.

mod envelope;
mod statement;

use sluis_chain::export::{Statement, StatementError};
use sluis_chain::token::Hash32;
use sluis_chain::workload::{Data, MAX_LINE, NewStep, NewWorkload, Protection, Workload};
use sluis_core::data::Value;
use sluis_core::identity::{MacKey, PublicKey, SecretKey};
use sluis_core::table::Heap;
use sluis_core::{Instant, Now, Rng, Seed, Wall};

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn keys(numbers: &[u8]) -> Vec<PublicKey> {
    numbers.iter().map(|n| key(*n).public()).collect()
}

fn now(seconds: u64) -> Now {
    let micros = 1_736_942_400_000_000 + i64::try_from(seconds).expect("small") * 1_000_000;
    Now::new(Instant::from_nanos(seconds * 1_000_000_000), Wall::from_micros(micros))
}

fn rng(n: u64) -> Rng {
    Seed::from_u64(n).fork("export")
}

/// A pipeline that is run line by line.
struct Run<'k> {
    workload: Workload<Heap>,
    rng: Rng,
    protection: Protection<'k>,
    lines: Vec<String>,
    clock: u64,
}

impl<'k> Run<'k> {
    fn new(seed: u64, protection: Protection<'k>) -> Self {
        let mut rng = rng(seed);
        let new =
            NewWorkload { name: "survey", owner: "ops", actor: "jis:dispatch", node: "n1", ..NewWorkload::default() };
        let workload = Workload::new(now(0), &new, &mut rng).expect("a workload");
        let mut run = Self { workload, rng, protection, lines: Vec::new(), clock: 0 };
        run.write();
        run
    }

    fn write(&mut self) {
        let mut room = vec![0; MAX_LINE];
        while let Some(written) = self.workload.poll_token(&self.protection, &mut room) {
            let line = &room[..written.expect("room").len];
            self.lines.push(String::from_utf8(line.to_vec()).expect("ASCII"));
        }
    }

    /// Run a step with this output and these declared files.
    fn step(&mut self, name: &str, output: Data<'_>, files: Option<&str>) -> &mut Self {
        let metadata = files.map(|files| format!("{{\"outputs\": {files}}}"));
        let metadata = metadata.as_deref().map_or(Value::EMPTY_OBJECT, |text| Value::from_json(text).expect("JSON"));
        let new = NewStep { name, metadata, ..NewStep::default() };
        let sequence = self.workload.add(&new, &mut self.rng).expect("added");
        self.workload.start(now(self.clock + 1), sequence, Data::None, Some("jis:drone")).expect("started");
        self.workload.complete(now(self.clock + 2), sequence, output, None).expect("completed");
        self.clock += 2;
        self.write();
        self
    }

    fn close(&mut self) -> Vec<String> {
        self.workload.close(now(self.clock + 1)).expect("closed");
        self.write();
        self.lines.clone()
    }
}

fn json(text: &str) -> Data<'_> {
    Data::Value(Value::from_json(text).expect("JSON"))
}

fn state(lines: &[String]) -> Result<Statement, StatementError> {
    Statement::of(lines.iter().map(String::as_str), None, None)
}

fn survey() -> Vec<String> {
    let mut run = Run::new(1, Protection::default());
    run.step("plan", json(r#"{"route": [1, 2]}"#), None).step("fly", json(r#"{"photos": 12}"#), None);
    run.close()
}
