//! The reference's audit trail: kept as what happened when, written out when it is read.

use super::super::StepStatus;
use super::super::data::short_hash;
use super::super::ids::AuditId;
use super::super::machine::Workload;
use super::super::view::{ErrorText, StepView, put_members};
use super::{Engine, compromised};
use sluis_core::data::{EncodeError, Member, Number, Sink, Text, put_inside};
use sluis_core::table::{Heap, Storage, Store};
use sluis_core::time::{Now, Wall, iso};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A workload was created.
    WorkloadCreated,
    /// A step was added.
    StepAdded,
    /// A step was started.
    StepStarted,
    /// A step was completed.
    StepCompleted,
    /// A step was found to be compromised.
    StepCompromised,
    /// A step failed.
    StepFailed,
    /// A workload was checked.
    ChainVerified,
}

impl Action {
    /// The reference's word.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::WorkloadCreated => "workload_created",
            Self::StepAdded => "step_added",
            Self::StepStarted => "step_started",
            Self::StepCompleted => "step_completed",
            Self::StepCompromised => "step_compromised",
            Self::StepFailed => "step_failed",
            Self::ChainVerified => "chain_verified",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) at: Wall,
    pub(super) slot: u32,
    /// Of the step; how many had ended, where a workload was checked.
    pub(super) sequence: u32,
    /// Steps that were checked.
    pub(super) checked: u32,
    pub(super) action: Action,
}

impl Record {
    pub(super) const fn new(now: Now, action: Action, slot: u32, sequence: u32) -> Self {
        Self { at: now.wall, slot, sequence, checked: 0, action }
    }
}

/// Everything that happened.
#[derive(Default)]
pub(super) struct Trail {
    records: <Heap as Storage>::List<Record>,
    len: u32,
}

impl Trail {
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    pub(super) fn push(&mut self, record: Record) {
        if self.records.push(record).is_ok() {
            self.len = self.len.saturating_add(1);
        }
    }
}

/// One entry of the audit trail.
#[derive(Clone, Copy, Debug)]
pub struct AuditEntry<'e> {
    engine: &'e Engine,
    workload: &'e Workload<Heap>,
    record: Record,
    sequence: u32,
    id: AuditId,
    parent: Option<AuditId>,
}

/// Every entry, in order.
pub(super) fn entries(engine: &Engine) -> impl Iterator<Item = AuditEntry<'_>> {
    let mut parent = None;
    (0..engine.trail.len).filter_map(move |n| {
        let record = *engine.trail.records.get(n as usize)?;
        let workload = &engine.slots.at(record.slot)?.workload;
        let sequence = n.saturating_add(1);
        let mut stamp = [0; iso::FORMAT_LEN];
        let stamp = iso::format(record.at, &mut stamp);
        let id = AuditId::derive(record.action.as_str(), workload.id().as_str(), stamp, sequence.into());
        let entry = AuditEntry { engine, workload, record, sequence, id, parent };
        parent = Some(id);
        Some(entry)
    })
}

impl<'e> AuditEntry<'e> {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> AuditId {
        self.id
    }

    /// The step that it is about, if it is about one.
    #[must_use]
    pub(crate) fn step(&self) -> Option<StepView<'e>> {
        match self.record.action {
            Action::WorkloadCreated | Action::ChainVerified => None,
            _ => self.workload.step(self.record.sequence),
        }
    }

    pub(super) const fn slot(&self) -> u32 {
        self.record.slot
    }

    /// Write it as `json.dumps` prints the reference's dictionary.
    ///
    /// # Errors
    /// The sink is full.
    pub fn write_json(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let mut stamp = [0; iso::FORMAT_LEN];
        let stamp = iso::format(self.record.at, &mut stamp);
        let (action, workload) = (self.record.action.as_str(), self.workload.id());
        sink.put(b"{")?;
        let head: [(&str, Member<'_>); 5] = [
            ("token_id", self.id.as_str().into()),
            ("timestamp", stamp.into()),
            ("type", "workload_tracking".into()),
            ("action", action.into()),
            ("workload_id", workload.as_str().into()),
        ];
        put_members(sink, &head)?;
        sink.put(b", \"erin\": {")?;
        put_members(sink, &[("action", action.into()), ("workload_id", workload.as_str().into())])?;
        sink.put(b", \"details\": {")?;
        self.details(sink)?;
        sink.put(b"}}, \"eraan\": {")?;
        let parent = self.parent.as_ref().map(AuditId::as_str);
        let sequence = Number::Int(self.sequence.into());
        put_members(sink, &[("parent_token", parent.into()), ("sequence", sequence.into())])?;
        sink.put(b"}, \"eromheen\": {")?;
        let around: [(&str, Member<'_>); 3] =
            [("node", (*self.engine.node).into()), ("timestamp", stamp.into()), ("actor", (*self.engine.actor).into())];
        put_members(sink, &around)?;
        sink.put(b"}, \"erachter\": {\"intent\": \"")?;
        self.intent(sink)?;
        Ok(sink.put(b"\", \"protocol\": \"tibet-workload/0.1\"}}")?)
    }

    fn details(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let Some(step) = self.step() else {
            return if self.record.action == Action::ChainVerified { self.checked(sink) } else { self.created(sink) };
        };
        put_members(sink, &[("step_id", step.id.as_str().into()), ("step_name", step.name.into())])?;
        sink.put(b", ")?;
        let (input, output) = (short_hash(step.input), short_hash(step.output));
        match self.record.action {
            Action::StepAdded => {
                let sequence = Number::Int(step.sequence.into());
                put_members(sink, &[("sequence", sequence.into()), ("executor", step.planned.into())])
            }
            Action::StepStarted => {
                let executor = ("executor", step.executor.into());
                put_members(sink, &[("input_hash", input.as_str().into()), executor, ("node", step.node.into())])
            }
            Action::StepFailed => put_members(sink, &[("error", step.error(&mut ErrorText::new()).into())]),
            _ => {
                let members: [(&str, Member<'_>); 4] = [
                    ("status", step.status.as_str().into()),
                    ("output_hash", output.as_str().into()),
                    ("duration_ms", Number::Float(step.duration_ms).into()),
                    ("compromised", Member::Bool(compromised(step.status))),
                ];
                put_members(sink, &members)
            }
        }
    }

    fn created(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let workload = self.workload;
        let members: [(&str, Member<'_>); 3] = [
            ("name", (*workload.name).into()),
            ("owner", (*workload.owner).into()),
            ("spiffe_id", (*workload.spiffe_id).into()),
        ];
        put_members(sink, &members)
    }

    fn checked(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        // Steps end in order: those that had ended then are the first of them now.
        let ended = (1..=self.record.sequence).filter_map(|sequence| self.workload.step(sequence));
        let mut bad = ended.filter(|step| step.status == StepStatus::Compromised).peekable();
        put_members(sink, &[("valid", Member::Bool(bad.peek().is_none()))])?;
        sink.put(b", \"issues\": [")?;
        let mut comma: &[u8] = b"";
        for step in bad {
            sink.put(comma)?;
            comma = b", ";
            sink.put(b"{")?;
            let mut room = ErrorText::new();
            let members: [(&str, Member<'_>); 3] =
                [("step", step.name.into()), ("issue", "compromised".into()), ("error", step.error(&mut room).into())];
            put_members(sink, &members)?;
            sink.put(b"}")?;
        }
        sink.put(b"], ")?;
        put_members(sink, &[("steps_checked", Number::Int(self.record.checked.into()).into())])
    }

    /// Why, between quotes.
    fn intent(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let mut put = |parts: &[&str]| parts.iter().try_for_each(|part| put_inside(Text::new(part), sink));
        let Some(step) = self.step() else {
            let before = match self.record.action {
                Action::ChainVerified => "Verify workload chain integrity for ",
                _ => "Create workload pipeline: ",
            };
            return Ok(put(&[before, &self.workload.name])?);
        };
        Ok(match (self.record.action, step.intent) {
            (Action::StepAdded, Some(intent)) => put(&[intent]),
            (Action::StepAdded, None) => put(&["Add step '", step.name, "' to workload"]),
            (Action::StepStarted, _) => put(&["Start step '", step.name, "' on ", step.node]),
            (Action::StepFailed, _) => put(&["Step '", step.name, "' failed: ", step.error(&mut ErrorText::new())]),
            _ => {
                let outcome = if compromised(step.status) { "COMPROMISED" } else { "OK" };
                put(&["Complete step '", step.name, "' \u{2014} ", outcome])
            }
        }?)
    }
}
