//! A workload as its log tells it, to go on with.

use super::entry::{After, Closed, Created, Entry, Step};
use super::inputs::NewWorkload;
use super::machine::{Workload, keep_metadata};
use super::plan::{Plan, Planned};
use super::refused::Refused;
use super::row::{Rare, Row};
use super::status::{StepStatus, WorkloadStatus};
use super::storage::{MAX_NAME, MAX_NOTE, StepStorage, keep};
use crate::token::Hash32;
use sluis_core::SipKey;
use sluis_core::data::{Text, Value};
use sluis_core::time::{Instant, Now};

impl<S: StepStorage> Workload<S> {
    /// A workload that was begun before, from its first token and the hash of that. The rest of its tokens follow with
    /// [`replay`](Self::replay) and [`replay_plan`](Self::replay_plan), in the order of the log; after that it is where it was, but for
    /// what is only in the tokens (errors, metadata, findings), and none of the tokens that were read waits to be written.
    ///
    /// The key keeps whoever chooses names of steps from making them collide: of randomness, and not used elsewhere. `max_steps` is the
    /// most that it may have, 0 for as many as there is room for.
    ///
    /// # Errors
    /// [`Refused::TooLong`], [`Refused::Data`].
    pub fn resume(created: &Created<'_>, token: Hash32, key: SipKey, max_steps: u32) -> Result<Self, Refused> {
        let mut room = [[0; MAX_NAME]; 5];
        let [name, owner, spiffe_id, actor, node] = &mut room;
        let mut parent = [0; MAX_NOTE];
        let new = NewWorkload {
            name: resolve(created.name, name)?,
            owner: resolve(created.owner, owner)?,
            spiffe_id: resolve(created.spiffe_id, spiffe_id)?,
            actor: resolve(created.actor, actor)?,
            node: resolve(created.node, node)?,
            parent_id: created.parent_id.map(|id| resolve(id, &mut parent)).transpose()?,
            max_steps,
            ..NewWorkload::default()
        };
        let mut workload = Self::with_id(Now::new(Instant::ZERO, created.at), &new, created.workload_id, key)?;
        workload.metadata = keep_metadata::<S>(created.metadata)?;
        workload.written = 1;
        workload.head = After { step: None, token, output: None };
        Ok(workload)
    }

    /// Take in the next token of its log, and its hash.
    ///
    /// # Errors
    /// It is none of this workload ([`Refused::UnknownWorkload`]), or does not follow what was read so far: [`Refused`] says. Nothing
    /// changed.
    pub fn replay(&mut self, entry: &Entry<'_>, token: Hash32) -> Result<(), Refused> {
        if entry.workload_id() != self.id {
            return Err(Refused::UnknownWorkload);
        }
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        match entry {
            Entry::Created(_) => Err(Refused::NotNext),
            Entry::Step(step) => self.replay_step(step, token),
            Entry::Closed(closed) => self.replay_closed(closed),
        }
    }

    fn replay_step(&mut self, step: &Step<'_>, token: Hash32) -> Result<(), Refused> {
        if step.sequence != self.first_open() || step.after != self.head {
            return Err(Refused::NotNext);
        }
        let known = self.row(step.sequence).map(|row| row.id);
        match known {
            None => {
                let mut room = [0; MAX_NAME];
                let name = resolve(step.name, &mut room)?;
                let mut row = Row::new(step.step_id, keep::<S>(name, MAX_NAME)?, step.independent);
                row.rare = executor::<S>(Some(step.executor).filter(|executor| *executor != self.actor.as_ref()))?;
                self.insert(row, name)?;
            }
            Some(id) if id == step.step_id => {}
            Some(_) => return Err(Refused::NotNext),
        }
        let started = step.started.map(|at| Now::new(Instant::ZERO, at));
        if let Some(row) = self.row_mut(step.sequence) {
            row.started = started;
            row.input = step.input;
        }
        if started.is_some() && self.status == WorkloadStatus::Created {
            self.status = WorkloadStatus::Running;
        }
        self.end(Now::new(Instant::ZERO, step.ended), step.sequence, step.status, step.output);
        if let Some(row) = self.row_mut(step.sequence) {
            row.micros = micros(step.duration_ms);
        }
        self.wrote(step.sequence, step.step_id, token, step.output);
        Ok(())
    }

    fn replay_closed(&mut self, closed: &Closed<'_>) -> Result<(), Refused> {
        if closed.after.token != self.head.token || closed.after.step != self.head.step || closed.counts != self.counts
        {
            return Err(Refused::NotNext);
        }
        self.close(Now::new(Instant::ZERO, closed.at))?;
        self.closing_written = true;
        Ok(())
    }

    /// Take in a token about a step that had not ended then.
    ///
    /// How long a step takes that was started in another process is measured on the wall clock.
    ///
    /// # Errors
    /// As [`replay`](Self::replay).
    pub fn replay_plan(&mut self, plan: &Plan<'_>) -> Result<(), Refused> {
        if plan.workload_id != self.id {
            return Err(Refused::UnknownWorkload);
        }
        let mut room = [0; MAX_NAME];
        let name = resolve(plan.name, &mut room)?;
        match plan.said {
            Planned::Added { intent, independent } => {
                if self.is_closed() {
                    return Err(Refused::Closed);
                }
                if plan.sequence != self.counts.steps.saturating_add(1) {
                    return Err(Refused::NotNext);
                }
                let mut row = Row::new(plan.step_id, keep::<S>(name, MAX_NAME)?, independent);
                row.rare = executor::<S>(plan.executor)?;
                if let Some(intent) = intent {
                    row.rare_mut().intent = Some(keep::<S>(resolve(intent, &mut [0; MAX_NOTE])?, MAX_NOTE)?);
                }
                self.insert(row, name).map(drop)
            }
            Planned::Started { at, input, .. } => {
                let row = self.waiting(plan.sequence)?;
                if row.id != plan.step_id || row.name.as_ref() != name {
                    return Err(Refused::NotNext);
                }
                let tied = self.output.filter(|_| !row.independent);
                if let Some(expected) = tied.filter(|output| input != Some(*output)) {
                    return Err(Refused::InputMismatch { expected, actual: input });
                }
                let runner = plan.executor.map(text::<S>).transpose()?;
                self.begin(plan.sequence, Now::new(Instant::ZERO, at), input, runner);
                if let Some(row) = self.row_mut(plan.sequence) {
                    row.rare_mut().elsewhere = true;
                }
                Ok(())
            }
        }
    }

    /// What a token says that plans a step of this workload.
    #[must_use]
    pub fn plan(&self, sequence: u32) -> Option<Plan<'_>> {
        let step = self.step(sequence)?;
        Some(Plan {
            workload_id: self.id,
            step_id: step.id,
            name: Text::new(step.name),
            sequence,
            executor: Some(step.planned).filter(|planned| *planned != self.actor.as_ref()).map(Text::new),
            said: Planned::Added { intent: step.intent.map(Text::new), independent: step.independent },
        })
    }

    /// What a token says that a step of this workload was started, with the files that are its input (an object of names and
    /// hashes, empty for none), and the links by which some of them were given (an object of names, empty for none).
    #[must_use]
    pub fn started<'a>(&'a self, sequence: u32, inputs: Value<'a>, links: Value<'a>) -> Option<Plan<'a>> {
        let step = self.step(sequence).filter(|step| step.status == StepStatus::Running)?;
        Some(Plan {
            executor: Some(step.executor).filter(|executor| *executor != self.actor.as_ref()).map(Text::new),
            said: Planned::Started { at: step.started?, input: step.input, inputs, links },
            ..self.plan(sequence)?
        })
    }

    /// Somebody else coordinates it from now on, and signs its last token.
    ///
    /// # Errors
    /// [`Refused::TooLong`].
    pub fn set_actor(&mut self, actor: &str) -> Result<(), Refused> {
        self.actor = keep::<S>(actor, MAX_NAME)?;
        Ok(())
    }

    /// Where it is coordinated from now on, or where a step runs that is running.
    ///
    /// # Errors
    /// [`Refused::TooLong`], or that step does not run here.
    pub fn set_node(&mut self, step: Option<u32>, node: &str) -> Result<(), Refused> {
        let node = keep::<S>(node, MAX_NAME)?;
        match step {
            None => self.node = node,
            Some(sequence) => {
                self.running(sequence)?;
                if let Some(row) = self.row_mut(sequence) {
                    row.rare_mut().node = Some(node);
                }
            }
        }
        Ok(())
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.owner.as_ref()
    }

    /// What its next token follows.
    #[must_use]
    pub const fn head(&self) -> After {
        self.head
    }
}

/// Whoever runs a step, where that is somebody else than whoever coordinates it.
fn executor<S: StepStorage>(executor: Option<Text<'_>>) -> Result<Option<S::Rare<Rare<S>>>, Refused> {
    let Some(executor) = executor else { return Ok(None) };
    let executor = Some(text::<S>(executor)?);
    Ok(Some(S::rare(Rare { executor, ..Rare::default() })))
}

/// A name as it is kept.
fn text<S: StepStorage>(text: Text<'_>) -> Result<S::Text, Refused> {
    Ok(keep::<S>(resolve(text, &mut [0; MAX_NAME])?, MAX_NAME)?)
}

/// A text without its escapes.
fn resolve<'b>(text: Text<'b>, room: &'b mut [u8]) -> Result<&'b str, Refused> {
    text.resolve(room).map_err(|_| Refused::TooLong)
}

/// Milliseconds of a token, in microseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number below zero or too large is brought into range"
)]
const fn micros(duration_ms: f64) -> u64 {
    // Rounded by hand: without an operating system there is no function for it.
    (duration_ms * 1000.0 + 0.5) as u64
}
