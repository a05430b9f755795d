//! `Workload.to_dict()`.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::{ImportFault, Imported, members, number, quoted, shown, text};
use crate::workload::{StepCounts, StepStatus, WorkloadStatus};
use sluis_core::data::{Number, Text, Value};
use sluis_core::time::iso;

/// A workload as the reference wrote it.
pub(super) struct Dictionary<'a> {
    pub(super) id: Text<'a>,
    pub(super) name: Text<'a>,
    pub(super) owner: Text<'a>,
    pub(super) spiffe_id: Text<'a>,
    status: WorkloadStatus,
    pub(super) steps: Vec<Step<'a>>,
    whole: Value<'a>,
}

/// A step as the reference wrote it.
pub(super) struct Step<'a> {
    pub(super) id: Text<'a>,
    pub(super) name: Text<'a>,
    pub(super) sequence: i64,
    pub(super) status: StepStatus,
    pub(super) executor: Text<'a>,
    pub(super) node: Text<'a>,
    pub(super) input: Text<'a>,
    pub(super) output: Text<'a>,
    pub(super) started: Text<'a>,
    pub(super) completed: Text<'a>,
    pub(super) duration_ms: f64,
    pub(super) error: Text<'a>,
    whole: Value<'a>,
}

/// The values of an array, each read on its own.
pub(super) fn items(array: Value<'_>) -> Option<Vec<Value<'_>>> {
    let mut reader = sluis_core::data::Reader::new(array.as_json()?);
    let mut items = Vec::new();
    if !reader.eat("[") {
        return None;
    }
    reader.space();
    while !reader.eat("]") {
        items.push(reader.value().ok()?);
        reader.space();
        if reader.eat(",") {
            reader.space();
        }
    }
    Some(items)
}

impl<'a> Dictionary<'a> {
    /// Read it; what is missing is a finding.
    pub(super) fn read(whole: Value<'a>, imported: &mut Imported) -> Option<Self> {
        let parts = || {
            let get = |key: &'static str| text(whole, key).ok_or(key);
            let status = get("status")?.as_str().and_then(WorkloadStatus::from_word).ok_or("status")?;
            let steps = whole.get("steps").and_then(items).ok_or("steps")?;
            Ok::<_, &'static str>((get("workload_id")?, get("name")?, get("owner")?, status, steps))
        };
        let expected = || String::from("as the reference writes it");
        let (id, name, owner, status, values) = match parts() {
            Ok(parts) => parts,
            Err(member) => {
                imported.find(None, ImportFault::Malformed, member, expected(), String::new());
                return None;
            }
        };
        let mut steps = Vec::new();
        for (n, value) in (1..).zip(values) {
            match Step::read(value) {
                Ok(step) => steps.push(step),
                Err(member) => {
                    imported.find(Some(n), ImportFault::Malformed, member, expected(), String::new());
                    return None;
                }
            }
        }
        imported.workload_id = shown(id);
        imported.name = shown(name);
        imported.steps = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        let spiffe_id = text(whole, "spiffe_id").unwrap_or(Text::EMPTY);
        Some(Self { id, name, owner, spiffe_id, status, steps, whole })
    }

    /// Everything that can be held together without the audit trail.
    pub(super) fn check(&self, imported: &mut Imported) {
        let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
        let mut before: Option<&Step<'_>> = None;
        for (n, step) in (1..).zip(&self.steps) {
            if step.sequence != i64::from(n) {
                let actual = format!("{}", step.sequence);
                imported.find(Some(n), ImportFault::Order, "sequence", format!("{n}"), actual);
            }
            if !names.insert(step.name) || !ids.insert(step.id) {
                let actual = quoted("step", step.name);
                imported.find(
                    Some(n),
                    ImportFault::DuplicateStep,
                    "name",
                    String::from("a name and id of its own"),
                    actual,
                );
            }
            imported.same(Some(n), ImportFault::Provenance, "workload_id", self.id, text(step.whole, "workload_id"));
            step.check(n, before, self.id, imported);
            if before.is_some_and(|before| !before.output.is_empty() && before.output != step.input) {
                imported.untied += 1;
            }
            before = Some(step);
        }
        self.counts(imported);
    }

    fn counts(&self, imported: &mut Imported) {
        let mut counts = StepCounts::default();
        self.steps.iter().for_each(|step| counts.saw(step.status));
        let said = |key| match self.whole.get(key).and_then(Value::as_number) {
            Some(Number::Int(n)) => usize::try_from(n).ok(),
            _ => None,
        };
        let counted = [
            ("step_count", counts.steps),
            ("completed_steps", counts.completed),
            ("failed_steps", counts.failed),
            ("compromised_steps", counts.compromised),
        ];
        for (key, count) in counted {
            if said(key) != Some(count as usize) {
                let actual = said(key).map(number).unwrap_or_default();
                imported.find(None, ImportFault::Counts, key, number(count as usize), actual);
            }
        }
        let started =
            self.steps.iter().any(|step| step.status != StepStatus::Pending && step.status != StepStatus::Skipped);
        let fits = match self.status {
            WorkloadStatus::Created => !self.steps.iter().any(|step| !step.started.is_empty()),
            WorkloadStatus::Running => counts.ended() < counts.steps || counts.steps == 0,
            WorkloadStatus::Completed => started && counts.failed == 0 && counts.compromised == 0,
            WorkloadStatus::Failed => counts.failed > 0,
            WorkloadStatus::Compromised => counts.compromised > 0,
        };
        if !fits {
            let expected = String::from("what its steps say");
            imported.find(None, ImportFault::Status, "status", expected, String::from(self.status.as_str()));
        }
    }
}

impl<'a> Step<'a> {
    fn read(whole: Value<'a>) -> Result<Self, &'static str> {
        let get = |key: &'static str| text(whole, key).ok_or(key);
        let integer = match whole.get("sequence").and_then(Value::as_number) {
            Some(Number::Int(n)) => Ok(n),
            _ => Err("sequence"),
        };
        Ok(Self {
            id: get("step_id")?,
            name: get("name")?,
            sequence: integer?,
            status: get("status")?.as_str().and_then(StepStatus::from_word).ok_or("status")?,
            executor: get("executor")?,
            node: get("node")?,
            input: get("input_hash")?,
            output: get("output_hash")?,
            started: get("started_at")?,
            completed: get("completed_at")?,
            duration_ms: whole.get("duration_ms").and_then(Value::as_number).ok_or("duration_ms")?.to_f64(),
            error: get("error")?,
            whole,
        })
    }

    fn check(&self, n: u32, before: Option<&Step<'_>>, workload: Text<'_>, imported: &mut Imported) {
        let step = Some(n);
        if self.status == StepStatus::Compromised {
            let actual = shown(self.error);
            imported.find(step, ImportFault::Compromised, "status", String::from("the input of its start"), actual);
        }
        let part = |key| self.whole.get(key).unwrap_or(Value::NULL);
        let [erin, eraan, around, why] = ["erin", "eraan", "eromheen", "erachter"].map(part);
        let sizes = [members(erin), members(around), members(why)];
        if sizes != if self.started.is_empty() { [0; 3] } else { [3, 3, 1] } {
            let expected = String::from("the provenance of its start");
            imported.find(step, ImportFault::Provenance, "erin", expected, format!("{sizes:?} members"));
        }
        if !self.started.is_empty() {
            imported.same(step, ImportFault::Provenance, "erin.step", self.name, text(erin, "step"));
            imported.same(step, ImportFault::Provenance, "erin.input_hash", self.input, text(erin, "input_hash"));
            imported.same(step, ImportFault::Provenance, "erin.executor", self.executor, text(erin, "executor"));
            imported.same(step, ImportFault::Provenance, "eromheen.node", self.node, text(around, "node"));
            imported.same(step, ImportFault::Provenance, "eromheen.timestamp", self.started, text(around, "timestamp"));
            imported.same(step, ImportFault::Provenance, "eromheen.workload", workload, text(around, "workload"));
            let intent = quoted("Execute step", self.name);
            imported.same(step, ImportFault::Provenance, "erachter.intent", Text::new(&intent), text(why, "intent"));
            self.link(n, before, eraan, imported);
        }
        self.times(n, imported);
    }

    /// The link to the step before: there if that had an output when this one began.
    fn link(&self, n: u32, before: Option<&Step<'_>>, eraan: Value<'_>, imported: &mut Imported) {
        let step = Some(n);
        let (linked, output) = (text(eraan, "previous_step"), text(eraan, "previous_output_hash"));
        match before.filter(|before| !before.output.is_empty()) {
            Some(before) if linked.is_none() && later(before.completed, self.started) && eraan.is_object() => {}
            Some(before) => {
                imported.same(step, ImportFault::Link, "eraan.previous_step", before.id, linked);
                imported.same(step, ImportFault::Link, "eraan.previous_output_hash", before.output, output);
            }
            None if linked.is_some() || output.is_some() => {
                let actual = output.map(shown).unwrap_or_default();
                imported.find(
                    step,
                    ImportFault::Link,
                    "eraan",
                    String::from("no link: there is no output before"),
                    actual,
                );
            }
            None => {
                let said = eraan.get("previous_step").is_some_and(Value::is_null);
                if !said {
                    let expected = String::from("that there is no link");
                    imported.find(step, ImportFault::Link, "eraan.previous_step", expected, String::new());
                }
            }
        }
    }

    fn times(&self, n: u32, imported: &mut Imported) {
        let wall = |text: Text<'_>| text.as_str().and_then(iso::parse);
        let ended = matches!(self.status, StepStatus::Completed | StepStatus::Failed | StepStatus::Compromised);
        if ended && self.completed.is_empty() || self.status == StepStatus::Pending && !self.completed.is_empty() {
            let actual = shown(self.completed);
            imported.find(Some(n), ImportFault::Status, "status", String::from(self.status.as_str()), actual);
        }
        if self.started.is_empty() || self.completed.is_empty() || self.status == StepStatus::Running {
            return;
        }
        let (Some(started), Some(completed)) = (wall(self.started), wall(self.completed)) else {
            let actual = format!("{} and {}", shown(self.started), shown(self.completed));
            imported.find(Some(n), ImportFault::Times, "started_at", String::from("times"), actual);
            return;
        };
        #[expect(clippy::cast_precision_loss, reason = "compared to a thousandth")]
        let duration = completed.micros_since(started) as f64 / 1000.0;
        if (duration - self.duration_ms).abs() > 0.0015 {
            let actual = format!("{}", self.duration_ms);
            imported.find(Some(n), ImportFault::Times, "duration_ms", format!("{duration}"), actual);
        }
    }
}

/// Whether the first time is after the second.
fn later(first: Text<'_>, second: Text<'_>) -> bool {
    let wall = |text: Text<'_>| text.as_str().and_then(iso::parse);
    matches!((wall(first), wall(second)), (Some(first), Some(second)) if first > second)
}
