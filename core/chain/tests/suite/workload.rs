//! Workloads against what `tibet-workload` did: op sequences, hashes and ids.

use std::collections::BTreeMap;

use crate::common::{Deviations, Json, Row, Tagged, rows, unhex};
use sluis_chain::workload::{
    AuditId, Data, Engine, EngineConfig, Event, NewStep, NewWorkload, Refused, StepId, WorkloadId, hash_data,
    short_hash,
};
use sluis_core::data::{Sink, Value};
use sluis_core::{Instant, Now, Seed, Wall, time::iso};

#[test]
fn hashes_of_data() {
    let mut deviations = Deviations::of("workload_hashes.jsonl");
    for row in rows("workload_hashes.jsonl") {
        let json = row.get("data").unwrap().tagged().json().unwrap();
        let hash = hash_data(Value::from_json(&json).unwrap()).unwrap();
        deviations.check(row.id(), row.str("input_hash"), &short_hash(hash));
        assert_eq!(row.str("input_hash"), row.str("output_hash"), "{}: both are made alike", row.id());
    }
    deviations.finish();
}

#[test]
fn ids_derive_as_in_the_reference() {
    let mut checked = 0;
    for row in rows("workload_ids.jsonl") {
        let random = || unhex(row.str("random_hex")).try_into().unwrap();
        let kind = row.id().split('_').next().unwrap();
        let (ours, theirs) = match kind {
            "workload" => {
                let now = iso::parse(row.str("now")).unwrap();
                let id = WorkloadId::derive(row.str("name"), row.str("owner"), now, random());
                (id.to_string(), row.str("workload_id"))
            }
            "step" => {
                let workload = WorkloadId::parse(row.str("workload_id")).unwrap();
                let sequence = u32::try_from(row.int("sequence")).unwrap();
                (StepId::derive(workload, row.str("step_name"), sequence, random()).to_string(), row.str("step_id"))
            }
            "token" => {
                let sequence = u64::try_from(row.int("sequence")).unwrap();
                let id = AuditId::derive(row.str("action"), row.str("workload_id"), row.str("now"), sequence);
                (id.to_string(), row.str("token_id"))
            }
            other => panic!("{other}"),
        };
        assert_eq!(ours, theirs, "{}", row.id());
        checked += 1;
    }
    assert!(checked >= 16);
}

/// One op sequence of the table, replayed.
struct Replay {
    engine: Engine,
    current: Option<WorkloadId>,
    /// `<wl:1>` and so on, by real id.
    names: BTreeMap<String, String>,
    workloads: usize,
    now: Now,
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn parse(text: &str) -> Tagged {
    serde_json::from_str::<Json>(text).unwrap_or_else(|e| panic!("{e}: {text}")).tagged()
}

fn plain(units: &[u16]) -> String {
    String::from_utf16_lossy(units)
}

impl Replay {
    fn new(row: &Row) -> Self {
        let config = EngineConfig { actor: row.str("actor"), node: row.str("node"), ..EngineConfig::default() };
        Self {
            engine: Engine::new(&config, &Seed::from_u64(1)),
            current: None,
            names: BTreeMap::new(),
            workloads: 0,
            now: Now::new(Instant::from_nanos(5), Wall::from_micros(1_736_942_400_000_000)),
        }
    }

    /// Our text with generated ids in the table's words.
    fn named(&self, mut tagged: Tagged) -> Tagged {
        fn walk(names: &BTreeMap<String, String>, tagged: &mut Tagged) {
            match tagged {
                Tagged::Str(units) => {
                    if let Some(name) = names.get(&plain(units)) {
                        *units = name.encode_utf16().collect();
                    }
                }
                Tagged::Array(items) => items.iter_mut().for_each(|item| walk(names, item)),
                Tagged::Map(members) => members.iter_mut().for_each(|(_, value)| walk(names, value)),
                _ => {}
            }
        }
        walk(&self.names, &mut tagged);
        tagged
    }

    fn data(op: &Json, key: &str) -> Option<String> {
        op.get("kwargs").and_then(|kwargs| kwargs.get(key)).map(|data| data.tagged().json().unwrap())
    }

    fn word<'o>(op: &'o Json, key: &str) -> Option<&'o str> {
        op.get("kwargs").and_then(|kwargs| kwargs.get(key)).and_then(Json::str)
    }

    /// Do one op: the dictionary that the reference returns.
    fn op(&mut self, op: &Json) -> Result<String, Refused> {
        self.now = Now::new(
            self.now.mono + core::time::Duration::from_micros(1500),
            self.now.wall.saturating_add(core::time::Duration::from_micros(1500)),
        );
        let now = self.now;
        let arg = |n: usize| op.get("args").and_then(Json::array).and_then(|args| args.get(n)?.str()).unwrap_or("");
        let metadata = Self::data(op, "metadata").unwrap_or_else(|| "{}".into());
        let metadata = Value::from_json(&metadata).unwrap();
        let [input, output, verify] = ["input_data", "output_data", "verify_input"].map(|key| Self::data(op, key));
        let value = |text: &Option<String>| match text {
            Some(text) => Data::Value(Value::from_json(Box::leak(text.clone().into_boxed_str())).unwrap()),
            None => Data::None,
        };
        if op.get("op").and_then(Json::str) == Some("create") {
            let spiffe_id = Self::word(op, "spiffe_id").unwrap_or("");
            let new = NewWorkload { name: arg(0), owner: arg(1), spiffe_id, metadata, ..NewWorkload::default() };
            let id = self.engine.create(now, &new)?;
            self.workloads += 1;
            self.names.insert(id.to_string(), format!("<wl:{}>", self.workloads));
            self.current = Some(id);
            return Ok(self.workload());
        }
        let id = self.current.unwrap();
        let name = arg(0);
        match op.get("op").and_then(Json::str).unwrap() {
            "add_step" => {
                // The reference ties no input to anything.
                let step = NewStep {
                    name,
                    executor: Self::word(op, "executor"),
                    intent: Self::word(op, "intent"),
                    metadata,
                    independent: true,
                };
                let sequence = self.engine.add_step(now, id, &step)?;
                let step = self.engine.workload(id).unwrap().step(sequence).unwrap().id;
                self.names.insert(step.to_string(), format!("<step:{}.{sequence}>", self.workloads));
            }
            "start_step" => {
                self.engine.start_step(now, id, name, value(&input), Self::word(op, "executor"))?;
            }
            "complete_step" => {
                let verify = verify.is_some().then(|| value(&verify));
                self.engine.complete_step(now, id, name, value(&output), verify)?;
            }
            "fail_step" => self.engine.fail_step(now, id, name, Self::word(op, "error").unwrap_or(""))?,
            "skip" => {
                self.engine.skip_step(now, id, name)?;
                return Ok("null".into());
            }
            "verify_chain_of" => {
                let unknown = WorkloadId::parse("0000000000000000").unwrap();
                return self.verification(unknown);
            }
            "verify_chain" => return self.verification(id),
            other => panic!("{other}"),
        }
        let workload = self.engine.workload(id).unwrap();
        let step = workload.step(workload.find(name).unwrap()).unwrap();
        Ok(text(|out| step.write_dict(out).unwrap()))
    }

    fn verification(&mut self, id: WorkloadId) -> Result<String, Refused> {
        let mut out = Vec::new();
        self.engine.write_verification(self.now, id, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn workload(&self) -> String {
        let workload = self.engine.workload(self.current.unwrap()).unwrap();
        text(|out| workload.write_dict(out).unwrap())
    }
}

/// All that differs, with where it stands; `<any>` and members whose order differs count.
fn differences(at: &str, theirs: &Tagged, ours: &Tagged, found: &mut Vec<String>) {
    let any = Tagged::Str("<any>".encode_utf16().collect());
    match (theirs, ours) {
        (theirs, ours) if *theirs == any || theirs == ours => {}
        (Tagged::Map(theirs), Tagged::Map(ours)) => {
            let word = |name: &Tagged| if let Tagged::Str(name) = name { plain(name) } else { panic!("{name:?}") };
            let keys =
                |members: &[(Tagged, Tagged)]| members.iter().map(|(k, _)| word(k)).collect::<Vec<_>>().join(" ");
            if keys(theirs) != keys(ours) {
                return found.push(format!("{at}: members [{}] and [{}]", keys(theirs), keys(ours)));
            }
            for ((key, theirs), (_, ours)) in theirs.iter().zip(ours) {
                let Tagged::Str(key) = key else { panic!("{key:?}") };
                differences(&format!("{at}.{}", plain(key)), theirs, ours, found);
            }
        }
        // What comes behind the first that is more or less is another thing.
        (Tagged::Array(theirs), Tagged::Array(ours)) if theirs.len() != ours.len() => {
            found.push(format!("{at}: {} and {} ({})", theirs.len(), ours.len(), actions(ours)));
        }
        (Tagged::Array(theirs), Tagged::Array(ours)) => {
            for (n, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                differences(&format!("{at}[{n}]"), theirs, ours, found);
            }
        }
        (Tagged::Str(theirs), Tagged::Str(ours)) => {
            found.push(format!("{at}: {} and {}", plain(theirs), plain(ours)));
        }
        (theirs, ours) => {
            let word = |tagged: &Tagged| tagged.json().unwrap_or_else(|| "no JSON".to_owned());
            found.push(format!("{at}: {} and {}", word(theirs), word(ours)));
        }
    }
}

/// What the entries of a trail are about.
fn actions(entries: &[Tagged]) -> String {
    let action = |entry: &Tagged| match entry {
        Tagged::Map(members) => members.iter().find_map(|(name, action)| match action {
            Tagged::Str(action) if *name == key("action") => Some(plain(action)),
            _ => None,
        }),
        _ => None,
    };
    entries.iter().map(|entry| action(entry).unwrap_or_default()).collect::<Vec<_>>().join(" ")
}

/// Replay a row; all that is not as in the reference.
fn replay(row: &Row) -> Vec<String> {
    let mut replay = Replay::new(row);
    let mut found = Vec::new();
    for (n, op) in row.get("ops").unwrap().array().unwrap().iter().enumerate() {
        let name = op.get("op").and_then(Json::str).unwrap();
        let at = format!("op {n} {name}");
        match (replay.op(op), op.get("error")) {
            (Err(Refused::UnknownStep), Some(error)) => assert_eq!(error.str(), Some("KeyError"), "{at}"),
            (Err(refused), _) => found.push(format!("{at}: {refused:?}")),
            (Ok(_), Some(error)) => found.push(format!("{at}: done, where the reference says {error:?}")),
            (Ok(ours), None) => {
                let theirs = op.get("result").map_or(Tagged::Null, Json::tagged);
                differences(&at, &theirs, &replay.named(parse(&ours)), &mut found);
            }
        }
        let now = replay.named(parse(&replay.workload()));
        let Tagged::Map(now) = now else { panic!() };
        let status = op.get("workload_status").map_or(Tagged::Null, Json::tagged);
        differences(&format!("{at}: workload_status"), &status, &now[3].1, &mut found);
        let completed = now.iter().any(|(k, v)| *k == key("completed_at") && *v != key(""));
        if op.get("workload_completed").and_then(Json::bool) != Some(completed) {
            found.push(format!("{at}: workload_completed: {completed}"));
        }
    }
    found.extend(finals(row, replay));
    found
}

fn key(text: &str) -> Tagged {
    Tagged::Str(text.encode_utf16().collect())
}

/// Compare what is left at the end.
fn finals(row: &Row, mut replay: Replay) -> Vec<String> {
    let ids: Vec<_> = replay.engine.audit_trail(None).map(|entry| entry.id().to_string()).collect();
    for (n, id) in ids.iter().enumerate() {
        replay.names.insert(id.clone(), format!("<token:{}>", n + 1));
    }
    let trail: Vec<String> =
        replay.engine.audit_trail(None).map(|entry| text(|out| entry.write_json(out).unwrap())).collect();
    let trail = replay.named(parse(&format!("[{}]", trail.join(", "))));
    let stats = replay.engine.stats();
    let stats = format!(
        r#"{{"total_workloads": {}, "running": {}, "completed": {}, "failed": {}, "compromised": {}, "tibet_tokens": {}, "spiffe_connected": false}}"#,
        stats.total_workloads, stats.running, stats.completed, stats.failed, stats.compromised, stats.audit_entries
    );
    let workload = replay.named(parse(&replay.workload()));
    let mut callbacks = Vec::new();
    while let Some(Event::Compromised { step, .. }) = replay.engine.poll_event() {
        callbacks.push(key(step.name));
    }
    let theirs = |key: &str| row.get(key).unwrap().tagged();
    let mut found = Vec::new();
    differences("final", &theirs("final"), &workload, &mut found);
    differences("audit_trail", &theirs("audit_trail"), &trail, &mut found);
    differences("stats", &theirs("stats"), &parse(&stats), &mut found);
    differences("callbacks", &theirs("compromise_callbacks"), &Tagged::Array(callbacks), &mut found);
    found
}

#[test]
fn op_sequences() {
    let mut deviations = Deviations::of("workload.jsonl");
    let table = rows("workload.jsonl");
    assert_eq!(table.len(), 41);
    for row in &table {
        let found = replay(row);
        let ours = if found.is_empty() { "the same".to_owned() } else { found.join("; ") };
        deviations.check(row.id(), "the same", &ours);
    }
    deviations.finish();
}

#[test]
fn a_dictionary_is_byte_for_byte_the_references() {
    let mut out = Vec::new();
    out.put(b"").unwrap();
    let mut engine = Engine::new(&EngineConfig { node: "n", ..EngineConfig::default() }, &Seed::from_u64(3));
    let now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000));
    let id = engine.create(now, &NewWorkload { name: "p", owner: "o", ..NewWorkload::default() }).unwrap();
    engine.workload(id).unwrap().write_dict(&mut out).unwrap();
    let expected = format!(
        r#"{{"workload_id": "{id}", "name": "p", "owner": "o", "status": "created", "steps": [], "created_at": "2025-01-15T12:00:00+00:00", "completed_at": "", "spiffe_id": "", "step_count": 0, "completed_steps": 0, "failed_steps": 0, "compromised_steps": 0}}"#
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}
