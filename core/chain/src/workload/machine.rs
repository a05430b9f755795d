//! One workload: the rules of its steps, and its tokens.

use core::fmt;

use super::data::hash_value;
use super::entry::{After, Spiffe, StepCounts};
use super::ids::{StepId, WorkloadId};
use super::inputs::{Completion, Data, NewStep, NewWorkload};
use super::refused::Refused;
use super::row::{ByName, Named, Rare, Row};
use super::status::{StepStatus, WorkloadStatus};
use super::storage::{MAX_NAME, MAX_NOTE, StepStorage, keep};
use crate::token::Hash32;
use sluis_core::data::Value;
use sluis_core::table::{Index, Slab};
use sluis_core::time::{Now, Wall};
use sluis_core::{Rng, SipKey};

/// One workload and its steps: a machine without I/O, clock or randomness of its own.
///
/// Steps run in the order in which they were added, each once: a step is started when all before it have ended, and what it
/// ended as is final. Its input is the output of the step before it (of the last that had one), unless it was declared
/// independent. Each ended step gives one token, which [`poll_token`](Self::poll_token) writes.
pub struct Workload<S: StepStorage> {
    pub(super) id: WorkloadId,
    pub(super) name: S::Text,
    pub(super) owner: S::Text,
    pub(super) spiffe_id: S::Text,
    pub(super) actor: S::Text,
    pub(super) node: S::Text,
    pub(super) parent_id: Option<S::Text>,
    pub(super) metadata: Option<S::Text>,
    pub(super) created: Wall,
    pub(super) completed: Option<Wall>,
    pub(super) closed: Option<Wall>,
    pub(super) status: WorkloadStatus,
    pub(super) counts: StepCounts,
    pub(super) rows: Slab<Row<S>, S>,
    named: Slab<Named, S>,
    names: Index<ByName, S>,
    key: SipKey,
    keep_data: bool,
    /// The last output of a step that ended.
    pub(super) output: Option<Hash32>,
    /// Tokens written: the first, and then steps.
    pub(super) written: u32,
    pub(super) closing_written: bool,
    /// What the next token follows.
    pub(super) head: After,
}

impl<S: StepStorage> Workload<S> {
    /// Create a workload; its first token waits to be polled.
    ///
    /// # Errors
    /// [`Refused::TooLong`], [`Refused::Data`].
    pub fn new(now: Now, new: &NewWorkload<'_>, rng: &mut Rng) -> Result<Self, Refused> {
        let id = WorkloadId::derive(new.name, new.owner, now.wall, rng.u64().to_be_bytes());
        Self::with_id(now, new, id, rng.sip_key())
    }

    pub(super) fn with_id(now: Now, new: &NewWorkload<'_>, id: WorkloadId, key: SipKey) -> Result<Self, Refused> {
        let most = if new.max_steps == 0 { usize::MAX } else { new.max_steps as usize };
        Ok(Self {
            id,
            name: keep::<S>(new.name, MAX_NAME)?,
            owner: keep::<S>(new.owner, MAX_NAME)?,
            spiffe_id: keep::<S>(new.spiffe_id, MAX_NAME)?,
            actor: keep::<S>(new.actor, MAX_NAME)?,
            node: keep::<S>(new.node, MAX_NAME)?,
            parent_id: new.parent_id.map(|parent| keep::<S>(parent, MAX_NOTE)).transpose()?,
            metadata: keep_metadata::<S>(new.metadata)?,
            created: now.wall,
            completed: None,
            closed: None,
            status: WorkloadStatus::Created,
            counts: StepCounts::default(),
            rows: Slab::new(most),
            named: Slab::new(most),
            names: Index::new(),
            key,
            keep_data: new.keep_data,
            output: None,
            written: 0,
            closing_written: false,
            head: After { step: None, token: Hash32([0; 32]), output: None },
        })
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> WorkloadId {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_ref()
    }

    /// Where it is.
    #[must_use]
    pub const fn status(&self) -> WorkloadStatus {
        self.status
    }

    /// How its steps ended.
    #[must_use]
    pub const fn counts(&self) -> StepCounts {
        self.counts
    }

    /// Whether it was closed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// Add a step at the end, and say its place.
    ///
    /// # Errors
    /// [`Refused::DuplicateName`], [`Refused::Closed`], [`Refused::Full`], [`Refused::TooLong`], [`Refused::Data`].
    pub fn add(&mut self, step: &NewStep<'_>, rng: &mut Rng) -> Result<u32, Refused> {
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        let hash = self.key.hash(step.name.as_bytes());
        if let Some(sequence) = self.find_hashed(hash, step.name) {
            return Err(Refused::DuplicateName { sequence });
        }
        let sequence = self.counts.steps.checked_add(1).ok_or(Refused::Full)?;
        let id = StepId::derive(self.id, step.name, sequence, rng.u64().to_be_bytes());
        let mut row = Row::new(id, keep::<S>(step.name, MAX_NAME)?, step.independent);
        if step.executor.is_some() || step.intent.is_some() || step.metadata != Value::EMPTY_OBJECT {
            row.rare = Some(S::rare(Rare {
                executor: step.executor.map(|text| keep::<S>(text, MAX_NAME)).transpose()?,
                intent: step.intent.map(|text| keep::<S>(text, MAX_NOTE)).transpose()?,
                metadata: keep_metadata::<S>(step.metadata)?,
                ..Rare::default()
            }));
        }
        self.insert_hashed(row, hash)
    }

    /// Put a step behind the others, unless one of its name is there.
    pub(super) fn insert(&mut self, row: Row<S>, name: &str) -> Result<u32, Refused> {
        let hash = self.key.hash(name.as_bytes());
        match self.find_hashed(hash, name) {
            Some(sequence) => Err(Refused::DuplicateName { sequence }),
            None => self.insert_hashed(row, hash),
        }
    }

    fn insert_hashed(&mut self, row: Row<S>, hash: u64) -> Result<u32, Refused> {
        let sequence = self.counts.steps.checked_add(1).ok_or(Refused::Full)?;
        let slot = self.rows.insert(row).map_err(|_| Refused::Full)?.slot();
        // There is as much room for it as for the step.
        if let Ok(named) = self.named.insert(Named::new(slot)) {
            self.names.insert(&mut self.named, named.slot(), hash);
        }
        self.counts.steps = sequence;
        Ok(sequence)
    }

    /// The place of the step with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<u32> {
        self.find_hashed(self.key.hash(name.as_bytes()), name)
    }

    fn find_hashed(&self, hash: u64, name: &str) -> Option<u32> {
        let is = |named: &Named| self.rows.at(named.slot).is_some_and(|row| row.name.as_ref() == name);
        self.named.at(self.names.find(&self.named, hash, is)?).map(|named| named.slot.saturating_add(1))
    }

    /// Whether the step in this place has this name.
    #[cfg(feature = "alloc")]
    pub(super) fn is_named(&self, sequence: u32, name: &str) -> bool {
        self.row(sequence).is_some_and(|row| row.name.as_ref() == name)
    }

    /// The place of the first step that has not ended; one behind the last when all have.
    #[must_use]
    pub const fn first_open(&self) -> u32 {
        self.counts.ended().saturating_add(1)
    }

    pub(super) fn row(&self, sequence: u32) -> Option<&Row<S>> {
        self.rows.at(sequence.checked_sub(1)?)
    }

    pub(super) fn row_mut(&mut self, sequence: u32) -> Option<&mut Row<S>> {
        self.rows.at_mut(sequence.checked_sub(1)?)
    }

    /// The step, if it is its turn and it waits to be started.
    pub(super) fn waiting(&self, sequence: u32) -> Result<&Row<S>, Refused> {
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        let row = self.row(sequence).ok_or(Refused::UnknownStep)?;
        match row.status {
            StepStatus::Pending if sequence == self.first_open() => Ok(row),
            StepStatus::Pending => Err(Refused::OutOfOrder { first: self.first_open() }),
            StepStatus::Running => Err(Refused::AlreadyStarted),
            ended => Err(Refused::Ended(ended)),
        }
    }

    /// What goes into a step that was given this.
    pub(super) fn input_of(&self, row: &Row<S>, input: Data<'_>) -> Result<Option<Hash32>, Refused> {
        match (self.output, input) {
            (Some(output), Data::None) if !row.independent => Ok(Some(output)),
            (Some(expected), _) if !row.independent => {
                let actual = input.hash()?;
                if actual == Some(expected) { Ok(actual) } else { Err(Refused::InputMismatch { expected, actual }) }
            }
            _ => input.hash(),
        }
    }

    /// Start a step. `executor`: who really runs it, when that is another than was said when it was added.
    ///
    /// # Errors
    /// It is not its turn, it was started before, or its input is not the output of the step before: [`Refused`] says.
    pub fn start(&mut self, now: Now, sequence: u32, input: Data<'_>, executor: Option<&str>) -> Result<(), Refused> {
        let input = self.input_of(self.waiting(sequence)?, input)?;
        let executor = executor.filter(|e| !e.is_empty()).map(|e| keep::<S>(e, MAX_NAME)).transpose()?;
        self.begin(sequence, now, input, executor);
        Ok(())
    }

    /// Start a step whose turn it is.
    pub(super) fn begin(&mut self, sequence: u32, now: Now, input: Option<Hash32>, runner: Option<S::Text>) {
        let Some(row) = self.row_mut(sequence) else { return };
        row.status = StepStatus::Running;
        row.started = Some(now);
        row.input = input;
        if runner.is_some() {
            row.rare_mut().runner = runner;
        }
        if self.status == WorkloadStatus::Created {
            self.status = WorkloadStatus::Running;
        }
    }

    /// The step that runs here, if it is this one.
    pub(super) fn running(&self, sequence: u32) -> Result<&Row<S>, Refused> {
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        let row = self.row(sequence).ok_or(Refused::UnknownStep)?;
        match row.status {
            StepStatus::Running if row.is_handed_over() => Err(Refused::HandedOver),
            StepStatus::Running => Ok(row),
            StepStatus::Pending => Err(Refused::NotStarted),
            ended => Err(Refused::Ended(ended)),
        }
    }

    /// Complete a step that runs. With `verify`, its input is compared with what was recorded at its start (where that was anything);
    /// another one makes it compromised, and that is final.
    ///
    /// # Errors
    /// It does not run here: [`Refused`] says.
    pub fn complete(
        &mut self,
        now: Now,
        sequence: u32,
        output: Data<'_>,
        verify: Option<Data<'_>>,
    ) -> Result<Completion, Refused> {
        let output = output.hash()?;
        let Some((expected, actual)) = self.compare_input(sequence, verify)? else {
            self.end(now, sequence, StepStatus::Completed, output);
            return Ok(Completion::Completed);
        };
        self.end(now, sequence, StepStatus::Compromised, output);
        Ok(Completion::Compromised { expected, actual })
    }

    /// The hash of the input that a running step was started with, and that of what was found, where they differ. It is kept that they do.
    fn compare_input(&mut self, sequence: u32, found: Option<Data<'_>>) -> Result<Option<(Hash32, Hash32)>, Refused> {
        let (Some(expected), Some(found)) = (self.running(sequence)?.input, found) else { return Ok(None) };
        // Whatever was found is hashed, empty or not.
        let actual = match found {
            Data::None => hash_value(Value::NULL)?,
            Data::Value(value) => hash_value(value)?,
            Data::Hash(hash) => hash,
        };
        if actual == expected {
            return Ok(None);
        }
        let data = match found {
            Data::Value(value) if self.keep_data => Some(keep_value::<S>(value)?),
            _ => None,
        };
        if let Some(row) = self.row_mut(sequence) {
            let rare = row.rare_mut();
            rare.actual = Some(actual);
            rare.data = data;
        }
        Ok(Some((expected, actual)))
    }

    /// A step failed: while it ran, or because it could not be started.
    ///
    /// # Errors
    /// It is not its turn, or it ended before: [`Refused`] says.
    pub fn fail(&mut self, now: Now, sequence: u32, error: &str) -> Result<(), Refused> {
        match self.running(sequence) {
            Ok(_) => {}
            Err(Refused::NotStarted) => drop(self.waiting(sequence)?),
            Err(refused) => return Err(refused),
        }
        if !error.is_empty() {
            let error = keep::<S>(error, MAX_NOTE)?;
            if let Some(row) = self.row_mut(sequence) {
                row.rare_mut().error = Some(error);
            }
        }
        self.end(now, sequence, StepStatus::Failed, None);
        Ok(())
    }

    /// A running step failed, and its input is looked at again: if that is not what the step was started with, the step is compromised,
    /// and the error is kept beside that.
    ///
    /// Gives the hash of the input that the step was started with, and that of what was found, where they differ.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    pub fn fail_verified(
        &mut self,
        now: Now,
        sequence: u32,
        error: &str,
        verify: Data<'_>,
    ) -> Result<Option<(Hash32, Hash32)>, Refused> {
        let error = keep::<S>(error, MAX_NOTE)?;
        let found = self.compare_input(sequence, Some(verify))?;
        if let Some(row) = self.row_mut(sequence) {
            row.rare_mut().error = Some(error);
        }
        let status = if found.is_some() { StepStatus::Compromised } else { StepStatus::Failed };
        self.end(now, sequence, status, None);
        Ok(found)
    }

    /// Leave out a step that was not started.
    ///
    /// # Errors
    /// It is not its turn, or it was started: [`Refused`] says.
    pub fn skip(&mut self, now: Now, sequence: u32) -> Result<(), Refused> {
        self.waiting(sequence)?;
        self.end(now, sequence, StepStatus::Skipped, None);
        Ok(())
    }

    /// Bind the SPIFFE identity that will sign a step which runs here.
    ///
    /// # Errors
    /// It does not run here, or the ID is too long.
    pub fn bind_spiffe(&mut self, sequence: u32, spiffe: &Spiffe<'_>) -> Result<(), Refused> {
        self.running(sequence)?;
        let id = keep::<S>(spiffe.id.as_str().ok_or(Refused::TooLong)?, MAX_NAME)?;
        if let Some(row) = self.row_mut(sequence) {
            row.rare_mut().spiffe = Some((id, spiffe.expires_at, spiffe.certificate));
        }
        Ok(())
    }

    /// End a step: the one place where that happens.
    pub(super) fn end(&mut self, now: Now, sequence: u32, status: StepStatus, output: Option<Hash32>) {
        let Some(row) = self.row_mut(sequence) else { return };
        row.status = status;
        row.ended = now.wall;
        row.output = output;
        let elsewhere = row.rare().is_some_and(|rare| rare.elsewhere);
        row.micros =
            row.started.map_or(0, |started| if elsewhere { wall_micros(started, now) } else { micros(started, now) });
        self.counts.end(status);
        if output.is_some() {
            self.output = output;
        }
        let all_ended = self.counts.ended() == self.counts.steps;
        if status == StepStatus::Failed {
            // The reference says so at once, and never when it was; that a step is compromised is not forgotten over it.
            self.status = self.counts.outcome();
        } else if all_ended && status != StepStatus::Skipped {
            self.status = self.counts.outcome();
            self.completed = Some(now.wall);
        }
    }

    /// Close the workload: its last token waits to be polled, and nothing is added any more.
    ///
    /// # Errors
    /// [`Refused::Unfinished`]: skip or fail what shall not run. [`Refused::Closed`].
    pub fn close(&mut self, now: Now) -> Result<WorkloadStatus, Refused> {
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        if self.counts.ended() != self.counts.steps {
            return Err(Refused::Unfinished { first: self.first_open() });
        }
        self.status = self.counts.outcome();
        self.completed = self.completed.or(Some(now.wall));
        self.closed = Some(now.wall);
        Ok(self.status)
    }
}

/// Microseconds on the monotonic clock.
fn micros(started: Now, ended: Now) -> u64 {
    u64::try_from(ended.mono.saturating_since(started.mono).as_micros()).unwrap_or(u64::MAX)
}

/// Microseconds on the wall clock: all that two processes have in common.
fn wall_micros(started: Now, ended: Now) -> u64 {
    u64::try_from(ended.wall.micros_since(started.wall)).unwrap_or(0)
}

/// Metadata that is kept; nothing for an empty object.
pub(super) fn keep_metadata<S: StepStorage>(metadata: Value<'_>) -> Result<Option<S::Text>, Refused> {
    if metadata == Value::EMPTY_OBJECT { Ok(None) } else { keep_value::<S>(metadata).map(Some) }
}

/// A value, as JSON.
fn keep_value<S: StepStorage>(value: Value<'_>) -> Result<S::Text, Refused> {
    S::json(value)?.ok_or(Refused::TooLong)
}

impl<S: StepStorage> fmt::Debug for Workload<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workload")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("status", &self.status)
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}
