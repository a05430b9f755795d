//! A pipeline of models, under a key that its stages share.

use std::sync::Arc;

use sluis_chain::workload::{Completion, Data, NewStep, NewWorkload, Refused, Workload};
use sluis_core::framing::Value;
use sluis_core::identity::MacKey;
use sluis_core::table::Heap;

use super::forge::rehash;
use super::stage::{Actor, Stage};
use crate::chain::judge;
use crate::chain::ledger::Keys;
use crate::fail::Fail;

pub(super) fn play(stage: &mut Stage<'_>) -> Result<(), Fail> {
    stage.teller.introduce("An AI pipeline: data in, decision out, under a key that its stages share (HMAC-SHA256)");
    let mut secret = [0; 32];
    stage.rng.fill(&mut secret);
    let member = |name: &'static str| Actor {
        name,
        did: format!("jis:demo:{name}"),
        keys: Keys { mac: Some(MacKey::new(&secret)), ..Keys::default() },
    };
    let [ingest, model, judge_model] = ["ingest", "model", "judge"].map(member);
    let shared = |key: &[u8]| Arc::new(judge::Keys { mac: Some(MacKey::new(key)), ..judge::Keys::default() });
    let keys = shared(&secret);
    let others = shared(b"another key");

    stage.teller.step("The pipeline runs");
    stage.begin("triage", &ingest)?;
    stage.step(&ingest, "collect", "read the scans of the day", r#"{"scans": 118, "sha256": "9f86d081"}"#)?;
    stage.step(&model, "infer", "mark what a doctor should see", r#"{"marked": 7, "model": "triage-2.1"}"#)?;
    stage.step(&judge_model, "review", "another model looks again", r#"{"agreed": 6, "disagreed": 1}"#)?;

    stage.teller.step("Whoever shares the key finds nothing wrong");
    stage.expect(&keys, &[])?;

    stage.teller.step("Whoever does not can neither check it nor forge it");
    let findings = stage.verify(&others)?;
    stage.teller.check(findings.len() == 4, "no line was to be right under another key");
    let good = stage.lines()?;
    let mut lines = good.clone();
    if let Some(line) = lines.get_mut(2) {
        *line = rehash(&line.replace("triage-2.1", "triage-1.0").replace("mark what", "hide what"))?;
    }
    stage.put(&lines)?;
    stage.teller.says("mallory", "edits line 3 and hashes it anew, without the key");
    stage.expect(&keys, &[(3, "content_hash")])?;
    stage.put(&good)?;

    stage.teller.step("The next stage is given other data than the last one put out");
    refused(stage)?;

    stage.teller.step("Data that changes while a stage works on it makes that stage compromised, for good");
    compromised(stage)
}

fn value(json: &str) -> Result<Value<'_>, Fail> {
    Value::from_json(json).map_err(Fail::runtime)
}

/// Two stages, of which the first has run.
fn two(stage: &mut Stage<'_>) -> Result<(Workload<Heap>, u32), Fail> {
    let new = NewWorkload { name: "training", owner: "jis:demo:lab", actor: "jis:demo:lab", ..NewWorkload::default() };
    let mut workload = Workload::new(stage.clock.now(), &new, &mut stage.rng).map_err(Fail::runtime)?;
    let mut add = |name| workload.add(&NewStep { name, ..NewStep::default() }, &mut stage.rng).map_err(Fail::runtime);
    let (first, second) = (add("label")?, add("train")?);
    workload.start(stage.clock.now(), first, Data::None, None).map_err(Fail::runtime)?;
    let output = Data::Value(value(r#"{"labels": ["cat", "dog"]}"#)?);
    workload.complete(stage.clock.now(), first, output, None).map_err(Fail::runtime)?;
    Ok((workload, second))
}

fn refused(stage: &mut Stage<'_>) -> Result<(), Fail> {
    let (mut workload, second) = two(stage)?;
    let poisoned = Data::Value(value(r#"{"labels": ["cat", "cat"]}"#)?);
    let refused = workload.start(stage.clock.now(), second, poisoned, None);
    if let Err(why) = &refused {
        stage.teller.says("train", &format!("is not started: {why}"));
    }
    stage.teller.check(matches!(refused, Err(Refused::InputMismatch { .. })), "poisoned data was to be refused");
    Ok(())
}

fn compromised(stage: &mut Stage<'_>) -> Result<(), Fail> {
    let (mut workload, second) = two(stage)?;
    workload.start(stage.clock.now(), second, Data::None, None).map_err(Fail::runtime)?;
    let found = Some(Data::Value(value(r#"{"labels": ["cat", "cat"]}"#)?));
    let done = workload.complete(stage.clock.now(), second, Data::None, found).map_err(Fail::runtime)?;
    match done {
        Completion::Compromised { expected, actual } => {
            stage.teller.says("train", &format!("expected {expected}"));
            stage.teller.says("", &format!("found    {actual}"));
            let again = workload.complete(stage.clock.now(), second, Data::None, None);
            stage.teller.check(matches!(again, Err(Refused::Ended(_))), "that was to be final");
        }
        Completion::Completed => stage.teller.check(false, "the step was to be compromised"),
    }
    Ok(())
}
