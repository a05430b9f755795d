//! The audit trail of the reference's engine.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use super::dictionary::{Dictionary, Step, items};
use super::{ImportFault, Imported, shown, text};
use crate::workload::AuditId;
use sluis_core::data::{Number, Text, Value};
use sluis_core::time::iso;

/// Longest time between what happened and its entry: both clocks are read one after the other.
const APART_US: i64 = 10_000_000;

/// Hold the workload and the trail together.
pub(super) fn check(workload: &Dictionary<'_>, trail: Value<'_>, imported: &mut Imported) {
    let Some(entries) = items(trail) else {
        imported.find(None, ImportFault::Trail, "audit_trail", String::from("an array"), String::new());
        return;
    };
    let mut before: Option<(i64, Text<'_>)> = None;
    let mut seen =
        Seen { steps: workload.steps.iter().map(|step| (step.id, step.sequence)).collect(), ..Seen::default() };
    for entry in &entries {
        before = link(*entry, before, imported);
        if text(*entry, "workload_id") == Some(workload.id) {
            seen.entry(workload, *entry, imported);
        }
    }
    if !seen.created {
        let expected = String::from("an entry of its creation");
        imported.find(None, ImportFault::Trail, "workload_created", expected, String::new());
    }
    if seen.added != workload.steps.len() {
        let actual = format!("{}", workload.steps.len());
        imported.find(None, ImportFault::Trail, "step_added", format!("{} steps", seen.added), actual);
    }
    for (n, step) in (1..).zip(&workload.steps) {
        last(n, step, seen.said.get(&step.id).copied().unwrap_or_default(), imported);
    }
}

/// What the trail said last of a step: when it was added, started, and ended.
#[derive(Clone, Copy, Default)]
struct Said<'a> {
    added: Option<Value<'a>>,
    started: Option<Value<'a>>,
    ended: Option<Value<'a>>,
}

#[derive(Default)]
struct Seen<'a> {
    created: bool,
    added: usize,
    /// The places of the workload's steps, by id.
    steps: BTreeMap<Text<'a>, i64>,
    said: BTreeMap<Text<'a>, Said<'a>>,
}

/// An entry's own id, and its link to the entry before.
fn link<'a>(entry: Value<'a>, before: Option<(i64, Text<'a>)>, imported: &mut Imported) -> Option<(i64, Text<'a>)> {
    let eraan = entry.get("eraan").unwrap_or(Value::NULL);
    let sequence = match eraan.get("sequence").and_then(Value::as_number) {
        Some(Number::Int(n)) => n,
        _ => -1,
    };
    let get = |key| text(entry, key).unwrap_or(Text::EMPTY);
    let [id, action, of, at] = ["token_id", "action", "workload_id", "timestamp"].map(get);
    let plain = |text: Text<'a>| text.as_str().unwrap_or_default();
    let derived = AuditId::derive(plain(action), plain(of), plain(at), u64::try_from(sequence).unwrap_or(0));
    imported.same(None, ImportFault::Trail, "token_id", Text::new(derived.as_str()), Some(id));
    let parent = text(eraan, "parent_token");
    match before {
        Some((last, expected)) if sequence == last.wrapping_add(1) => {
            imported.same(None, ImportFault::Trail, "eraan.parent_token", expected, parent);
        }
        // Entries of others are between.
        Some((last, _)) if sequence > last => {}
        None if sequence == 1 && parent.is_none() => {}
        None if sequence > 1 => {}
        _ => {
            let actual = format!("{sequence}");
            imported.find(None, ImportFault::Trail, "eraan.sequence", String::from("the next"), actual);
        }
    }
    let (erin, around) = (entry.get("erin").unwrap_or(Value::NULL), entry.get("eromheen").unwrap_or(Value::NULL));
    imported.same(None, ImportFault::Trail, "erin.action", action, text(erin, "action"));
    imported.same(None, ImportFault::Trail, "erin.workload_id", of, text(erin, "workload_id"));
    imported.same(None, ImportFault::Trail, "eromheen.timestamp", at, text(around, "timestamp"));
    Some((sequence, id))
}

fn details(entry: Value<'_>) -> Value<'_> {
    entry.get("erin").and_then(|erin| erin.get("details")).unwrap_or(Value::NULL)
}

impl<'a> Seen<'a> {
    fn entry(&mut self, workload: &Dictionary<'_>, entry: Value<'a>, imported: &mut Imported) {
        let details = details(entry);
        if let Some(id) = text(details, "step_id") {
            let said = self.said.entry(id).or_default();
            match text(entry, "action").and_then(Text::as_str) {
                Some("step_added") => said.added = Some(entry),
                Some("step_started") => said.started = Some(entry),
                Some("step_completed" | "step_compromised" | "step_failed") => said.ended = Some(entry),
                _ => {}
            }
        }
        match text(entry, "action").and_then(Text::as_str) {
            Some("workload_created") => {
                self.created = true;
                imported.same(None, ImportFault::Trail, "name", workload.name, text(details, "name"));
                imported.same(None, ImportFault::Trail, "owner", workload.owner, text(details, "owner"));
                imported.same(None, ImportFault::Trail, "spiffe_id", workload.spiffe_id, text(details, "spiffe_id"));
            }
            Some("step_added") => {
                self.added += 1;
                let sequence = details.get("sequence").and_then(Value::as_number);
                let id = text(details, "step_id");
                let known = id.and_then(|id| self.steps.get(&id));
                if known.is_none_or(|place| sequence != Some(Number::Int(*place))) {
                    let expected = id.map(shown).unwrap_or_default();
                    imported.find(None, ImportFault::Trail, "step_added", expected, String::from("no such step there"));
                }
            }
            _ => {}
        }
    }
}

/// Hold a step and what was last said of it together.
fn last(n: u32, step: &Step<'_>, said: Said<'_>, imported: &mut Imported) {
    let (at, fault) = (Some(n), ImportFault::Trail);
    match said.added {
        Some(added) => {
            imported.same(at, fault, "name", step.name, text(details(added), "step_name"));
            if step.started.is_empty() {
                imported.same(at, fault, "executor", step.executor, text(details(added), "executor"));
            }
        }
        None => imported.find(at, fault, "step_added", shown(step.id), String::from("no entry")),
    }
    match said.started {
        Some(started) => {
            let said = details(started);
            imported.same(at, fault, "input_hash", step.input, text(said, "input_hash"));
            imported.same(at, fault, "executor", step.executor, text(said, "executor"));
            imported.same(at, fault, "node", step.node, text(said, "node"));
            near(n, "started_at", step.started, started, imported);
        }
        None if !step.started.is_empty() => imported.find(at, fault, "started_at", String::new(), shown(step.started)),
        None => {}
    }
    match said.ended {
        Some(ended) if text(ended, "action").is_some_and(|action| action == "step_failed") => {
            imported.same(at, fault, "error", step.error, text(details(ended), "error"));
            imported.same(at, fault, "status", Text::new(step.status.as_str()), Some(Text::new("failed")));
            near(n, "completed_at", step.completed, ended, imported);
        }
        Some(ended) => {
            let said = details(ended);
            imported.same(at, fault, "output_hash", step.output, text(said, "output_hash"));
            imported.same(at, fault, "status", Text::new(step.status.as_str()), text(said, "status"));
            near(n, "completed_at", step.completed, ended, imported);
        }
        None if !step.completed.is_empty() => {
            imported.find(at, fault, "completed_at", String::new(), shown(step.completed));
        }
        None => {}
    }
}

/// An entry is written right after what it tells.
fn near(n: u32, member: &'static str, at: Text<'_>, entry: Value<'_>, imported: &mut Imported) {
    let wall = |text: Text<'_>| text.as_str().and_then(iso::parse);
    let written = text(entry, "timestamp");
    let apart = written.and_then(wall).zip(wall(at)).map(|(written, at)| written.micros_since(at));
    if !apart.is_some_and(|apart| (0..APART_US).contains(&apart)) {
        let expected = written.map(shown).unwrap_or_default();
        imported.find(Some(n), ImportFault::Trail, member, expected, shown(at));
    }
}
