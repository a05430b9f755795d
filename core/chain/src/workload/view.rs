//! What a workload and its steps look like from outside: borrowed, and as the reference's dictionaries.

use super::data::short_hash;
use super::entry::StepCounts;
use super::ids::{StepId, WorkloadId};
use super::machine::Workload;
use super::status::StepStatus;
use super::storage::StepStorage;
use crate::token::Hash32;
use sluis_core::data::{EncodeError, Member, Number, Sink, Style, Text, Value, canonical};
use sluis_core::time::{Wall, iso};

/// Room for the error text of a compromised step.
pub type ErrorText = heapless::String<128>;

/// A step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepView<'a> {
    /// Its id.
    pub id: StepId,
    /// Its workload.
    pub workload_id: WorkloadId,
    /// Its name.
    pub name: &'a str,
    /// Its place, from 1.
    pub sequence: u32,
    /// Where it is.
    pub status: StepStatus,
    /// Who runs it.
    pub executor: &'a str,
    /// Who was to run it when it was added.
    pub planned: &'a str,
    /// Where it runs.
    pub node: &'a str,
    /// Why it was added.
    pub intent: Option<&'a str>,
    /// Its input need not be the output of the step before.
    pub independent: bool,
    /// Hash of what went in.
    pub input: Option<Hash32>,
    /// Hash of what came out.
    pub output: Option<Hash32>,
    /// When it was started.
    pub started: Option<Wall>,
    /// When it ended.
    pub ended: Option<Wall>,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// Its metadata, as JSON.
    pub metadata: Option<&'a str>,
    /// The hash of the input as it was found, where that was another.
    pub found: Option<Hash32>,
    /// The tampered input, as JSON, where it was kept.
    pub tampered: Option<&'a str>,
    /// Id and output of the step before, where that one had an output: what the reference links to.
    pub previous: Option<(StepId, Hash32)>,
    note: Option<&'a str>,
}

impl<'a> StepView<'a> {
    /// What went wrong, in the reference's words; empty for nothing. `room` is written to where the text is made up.
    #[must_use]
    pub fn error<'r>(&self, room: &'r mut ErrorText) -> &'r str
    where
        'a: 'r,
    {
        use core::fmt::Write as _;
        match (self.note, self.found) {
            (Some(note), _) => note,
            (None, None) => "",
            (None, Some(found)) => {
                let (expected, got) = (short_hash(self.input), short_hash(Some(found)));
                room.clear();
                let _ = write!(room, "Input integrity failed: expected {expected}, got {got}");
                room
            }
        }
    }

    /// Write it as the reference's `WorkloadStep.to_dict` as `json.dumps` prints it.
    ///
    /// # Errors
    /// The sink is full.
    pub fn write_dict(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let (mut started, mut ended_text) = ([0; iso::FORMAT_LEN], [0; iso::FORMAT_LEN]);
        let started = self.started.map_or("", |at| iso::format(at, &mut started));
        // The reference knows no time for those.
        let ended = self.ended.filter(|_| self.status != StepStatus::Skipped);
        let ended = ended.map_or("", |at| iso::format(at, &mut ended_text));
        let mut error = ErrorText::new();
        let (input, output) = (short_hash(self.input), short_hash(self.output));
        let members: [(&str, Member<'_>); 14] = [
            ("step_id", self.id.as_str().into()),
            ("name", self.name.into()),
            ("workload_id", self.workload_id.as_str().into()),
            ("sequence", Number::Int(self.sequence.into()).into()),
            ("status", self.status.as_str().into()),
            ("executor", self.executor.into()),
            ("node", self.node.into()),
            ("input_hash", input.as_str().into()),
            ("output_hash", output.as_str().into()),
            ("started_at", started.into()),
            ("completed_at", ended.into()),
            ("duration_ms", Number::Float(self.duration_ms).into()),
            ("error", self.error(&mut error).into()),
            ("metadata", self.metadata.and_then(|m| Value::from_json(m).ok()).unwrap_or(Value::EMPTY_OBJECT).into()),
        ];
        sink.put(b"{")?;
        put_members(sink, &members)?;
        if self.started.is_none() {
            return Ok(sink.put(br#", "erin": {}, "eraan": {}, "eromheen": {}, "erachter": {}}"#)?);
        }
        sink.put(b", \"erin\": ")?;
        let erin =
            [("step", self.name.into()), ("input_hash", input.as_str().into()), ("executor", self.executor.into())];
        canonical::write_object(sink, &erin, Style::SPACED)?;
        sink.put(b", \"eraan\": ")?;
        let previous = short_hash(self.previous.map(|(_, output)| output));
        let link = self.previous.as_ref().map(|(id, _)| id.as_str());
        let eraan = [("previous_step", Member::from(link)), ("previous_output_hash", previous.as_str().into())];
        canonical::write_object(sink, if link.is_some() { &eraan } else { &eraan[..1] }, Style::SPACED)?;
        sink.put(b", \"eromheen\": ")?;
        let eromheen =
            [("node", self.node.into()), ("timestamp", started.into()), ("workload", self.workload_id.as_str().into())];
        canonical::write_object(sink, &eromheen, Style::SPACED)?;
        sink.put(b", \"erachter\": {\"intent\": \"Execute step '")?;
        sluis_core::data::put_inside(Text::new(self.name), sink)?;
        Ok(sink.put(b"'\"}}")?)
    }
}

/// Write members, with commas between them.
pub(super) fn put_members(sink: &mut impl Sink, members: &[(&str, Member<'_>)]) -> Result<(), EncodeError> {
    for (n, (key, member)) in members.iter().enumerate() {
        if n > 0 {
            sink.put(b", ")?;
        }
        sink.put(b"\"")?;
        sink.put(key.as_bytes())?;
        sink.put(b"\": ")?;
        match *member {
            Member::Text(text) => {
                sink.put(b"\"")?;
                sluis_core::data::put_inside(text, sink)?;
                sink.put(b"\"")?;
            }
            Member::Number(number) => number.write(sink)?,
            Member::Value(value) => value.write_json(sink, Style::SPACED)?,
            Member::Bool(true) => sink.put(b"true")?,
            Member::Bool(false) => sink.put(b"false")?,
            Member::Null => sink.put(b"null")?,
        }
    }
    Ok(())
}

/// What the check of a workload in memory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verification {
    /// Nothing is wrong.
    pub valid: bool,
    /// Steps that were looked at: completed and compromised ones.
    pub steps_checked: u32,
}

/// What is wrong with a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Issue<'a> {
    /// Its input was another when it ended than when it was started.
    Compromised(StepView<'a>),
}

impl<S: StepStorage> Workload<S> {
    /// A step, by its place.
    #[must_use]
    pub fn step(&self, sequence: u32) -> Option<StepView<'_>> {
        let row = self.row(sequence)?;
        let planned = row.note(|rare| &rare.executor).filter(|e| !e.is_empty()).unwrap_or(self.actor.as_ref());
        #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
        let duration_ms = row.micros as f64 / 1000.0;
        Some(StepView {
            id: row.id,
            workload_id: self.id,
            name: row.name.as_ref(),
            sequence,
            status: row.status,
            executor: row.note(|rare| &rare.runner).unwrap_or(planned),
            planned,
            node: row.note(|rare| &rare.node).unwrap_or(self.node.as_ref()),
            intent: row.note(|rare| &rare.intent).filter(|intent| !intent.is_empty()),
            independent: row.independent,
            input: row.input,
            output: row.output,
            started: row.started.map(|now| now.wall),
            ended: row.status.is_final().then_some(row.ended),
            duration_ms,
            metadata: row.note(|rare| &rare.metadata),
            found: row.rare().and_then(|rare| rare.actual),
            tampered: row.note(|rare| &rare.data),
            previous: self.row(sequence.wrapping_sub(1)).and_then(|before| Some((before.id, before.output?))),
            note: row.note(|rare| &rare.error),
        })
    }

    /// Its steps, in order.
    pub fn steps(&self) -> impl Iterator<Item = StepView<'_>> {
        (1..=self.counts.steps).filter_map(|sequence| self.step(sequence))
    }

    /// Check the workload as the reference's `verify_chain` does. A link cannot be broken here, where steps run in order and are
    /// final; what is left are the compromised ones.
    #[must_use]
    pub const fn verify(&self) -> Verification {
        let StepCounts { completed, compromised, .. } = self.counts;
        Verification { valid: compromised == 0, steps_checked: completed.saturating_add(compromised) }
    }

    /// What is wrong, step by step.
    pub fn issues(&self) -> impl Iterator<Item = Issue<'_>> {
        self.steps().filter(|step| step.status == StepStatus::Compromised).map(Issue::Compromised)
    }

    /// Write it as the reference's `Workload.to_dict` as `json.dumps` prints it.
    ///
    /// # Errors
    /// The sink is full.
    pub fn write_dict(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let (mut created, mut completed) = ([0; iso::FORMAT_LEN], [0; iso::FORMAT_LEN]);
        let members = [
            ("workload_id", self.id.as_str().into()),
            ("name", self.name.as_ref().into()),
            ("owner", self.owner.as_ref().into()),
            ("status", self.status.as_str().into()),
        ];
        sink.put(b"{")?;
        put_members(sink, &members)?;
        sink.put(b", \"steps\": [")?;
        for step in self.steps() {
            if step.sequence > 1 {
                sink.put(b", ")?;
            }
            step.write_dict(sink)?;
        }
        sink.put(b"], ")?;
        let count = |count: u32| Member::from(Number::Int(count.into()));
        let members = [
            ("created_at", iso::format(self.created, &mut created).into()),
            ("completed_at", self.completed.map_or("", |at| iso::format(at, &mut completed)).into()),
            ("spiffe_id", self.spiffe_id.as_ref().into()),
            ("step_count", count(self.counts.steps)),
            ("completed_steps", count(self.counts.completed)),
            ("failed_steps", count(self.counts.failed)),
            ("compromised_steps", count(self.counts.compromised)),
        ];
        put_members(sink, &members)?;
        Ok(sink.put(b"}")?)
    }
}
