//! Many workloads, as the reference's engine has them: by id and by name, with its audit trail and statistics.

mod audit;
mod config;
mod verification;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::fmt;

pub use audit::{Action, AuditEntry};
use audit::{Record, Trail};
pub use config::{EngineConfig, EngineStats, Event};

use super::inputs::{Completion, Data, NewStep, NewWorkload};
use super::machine::Workload;
use super::protect::{InLog, WriteError, Written};
use super::refused::Refused;
use super::view::{StepView, Verification};
use super::{StepStatus, WorkloadId, WorkloadStatus};
use sluis_core::table::{Chain, Chained, Heap, Index, Slab};
use sluis_core::time::Now;
use sluis_core::{Rng, Seed, SipKey};

struct ById;

struct Slot {
    chain: Chain,
    workload: Workload<Heap>,
    /// It waits in the queue of those with tokens to write.
    queued: bool,
}

impl Chained<ById> for Slot {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

/// Many workloads: what `tibet-workload`'s `WorkloadEngine` is, with the rules of [`Workload`].
///
/// Its operations take the reference's names and order; each writes an entry of the audit trail, which is derived from the
/// workloads when it is read and costs 24 bytes until then. `on_compromise` is an event.
pub struct Engine {
    actor: Box<str>,
    node: Box<str>,
    limits: (u32, u32),
    keep_data: bool,
    slots: Slab<Slot, Heap>,
    by_id: Index<ById, Heap>,
    key: SipKey,
    rng: Rng,
    trail: Trail,
    compromised: VecDeque<(u32, u32)>,
    waiting: VecDeque<u32>,
    stats: EngineStats,
    /// Workload and step of the last operation.
    last: (u32, u32),
}

impl Engine {
    /// An engine without workloads.
    #[must_use]
    pub fn new(config: &EngineConfig<'_>, seed: &Seed) -> Self {
        let mut rng = seed.fork("workloads");
        Self {
            actor: config.actor.into(),
            node: config.node.into(),
            limits: (config.max_steps, config.max_audit),
            keep_data: config.keep_data,
            slots: Slab::new(config.max_workloads as usize),
            by_id: Index::new(),
            key: rng.sip_key(),
            rng,
            trail: Trail::default(),
            compromised: VecDeque::new(),
            waiting: VecDeque::new(),
            stats: EngineStats::default(),
            last: (0, 0),
        }
    }

    fn slot(&self, id: WorkloadId) -> Result<u32, Refused> {
        if self.slots.at(self.last.0).is_some_and(|slot| slot.workload.id() == id) {
            return Ok(self.last.0);
        }
        let hash = self.key.hash(id.as_bytes());
        self.by_id.find(&self.slots, hash, |slot| slot.workload.id() == id).ok_or(Refused::UnknownWorkload)
    }

    fn at(&mut self, slot: u32) -> Result<&mut Workload<Heap>, Refused> {
        self.slots.at_mut(slot).map(|slot| &mut slot.workload).ok_or(Refused::UnknownWorkload)
    }

    fn step(&mut self, id: WorkloadId, name: &str) -> Result<(u32, u32, &mut Workload<Heap>), Refused> {
        let slot = self.slot(id)?;
        // It is the one of the operation before as a rule, or the one after.
        let last = self.last.1;
        let workload = &mut self.slots.at_mut(slot).ok_or(Refused::UnknownWorkload)?.workload;
        let near = [last, last.wrapping_add(1)].into_iter().find(|near| workload.is_named(*near, name));
        let sequence = near.or_else(|| workload.find(name)).ok_or(Refused::UnknownStep)?;
        self.last = (slot, sequence);
        Ok((slot, sequence, workload))
    }

    const fn room_for_audit(&self) -> Result<(), Refused> {
        if self.trail.len() < self.limits.1 { Ok(()) } else { Err(Refused::Full) }
    }

    /// Something was done: it may have given a token, and changed where the workload is.
    fn done(&mut self, slot: u32, before: WorkloadStatus) {
        let Some(entry) = self.slots.at_mut(slot) else { return };
        let after = entry.workload.status();
        if !entry.queued && entry.workload.pending().is_some() {
            entry.queued = true;
            self.waiting.push_back(slot);
        }
        if before != after {
            if let Some(count) = self.stats.of(before) {
                *count = count.saturating_sub(1);
            }
            if let Some(count) = self.stats.of(after) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Create a workload. Its actor, node, limits and whether data is kept are the engine's.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn create(&mut self, now: Now, new: &NewWorkload<'_>) -> Result<WorkloadId, Refused> {
        self.room_for_audit()?;
        if self.slots.is_full() {
            return Err(Refused::Full);
        }
        let new = NewWorkload {
            actor: &self.actor,
            node: &self.node,
            max_steps: self.limits.0,
            keep_data: self.keep_data,
            ..*new
        };
        let workload = Workload::new(now, &new, &mut self.rng)?;
        let id = workload.id();
        let slot = Slot { chain: Chain::default(), workload, queued: false };
        let slot = self.slots.insert(slot).map_err(|_| Refused::Full)?.slot();
        self.by_id.insert(&mut self.slots, slot, self.key.hash(id.as_bytes()));
        self.stats.total_workloads += 1;
        self.trail.push(Record::new(now, Action::WorkloadCreated, slot, 0));
        self.done(slot, WorkloadStatus::Created);
        Ok(id)
    }

    /// Add a step at the end of a workload.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn add_step(&mut self, now: Now, id: WorkloadId, step: &NewStep<'_>) -> Result<u32, Refused> {
        self.room_for_audit()?;
        let slot = self.slot(id)?;
        let entry = self.slots.at_mut(slot).ok_or(Refused::UnknownWorkload)?;
        let sequence = entry.workload.add(step, &mut self.rng)?;
        self.last = (slot, sequence);
        self.trail.push(Record::new(now, Action::StepAdded, slot, sequence));
        Ok(sequence)
    }

    /// Start a step.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn start_step(
        &mut self,
        now: Now,
        id: WorkloadId,
        name: &str,
        input: Data<'_>,
        executor: Option<&str>,
    ) -> Result<(), Refused> {
        self.room_for_audit()?;
        let (slot, sequence, workload) = self.step(id, name)?;
        let before = workload.status();
        workload.start(now, sequence, input, executor)?;
        self.trail.push(Record::new(now, Action::StepStarted, slot, sequence));
        self.done(slot, before);
        Ok(())
    }

    /// Complete a step that runs, and with `verify` compare its input.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn complete_step(
        &mut self,
        now: Now,
        id: WorkloadId,
        name: &str,
        output: Data<'_>,
        verify: Option<Data<'_>>,
    ) -> Result<Completion, Refused> {
        self.room_for_audit()?;
        let (slot, sequence, workload) = self.step(id, name)?;
        let before = workload.status();
        let completion = workload.complete(now, sequence, output, verify)?;
        let action = match completion {
            Completion::Completed => Action::StepCompleted,
            Completion::Compromised { .. } => {
                self.compromised.push_back((slot, sequence));
                Action::StepCompromised
            }
        };
        self.trail.push(Record::new(now, action, slot, sequence));
        self.done(slot, before);
        Ok(completion)
    }

    /// A step failed.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn fail_step(&mut self, now: Now, id: WorkloadId, name: &str, error: &str) -> Result<(), Refused> {
        self.room_for_audit()?;
        let (slot, sequence, workload) = self.step(id, name)?;
        let before = workload.status();
        workload.fail(now, sequence, error)?;
        self.trail.push(Record::new(now, Action::StepFailed, slot, sequence));
        self.done(slot, before);
        Ok(())
    }

    /// Leave out a step that was not started. (The reference has no operation for it, and no audit entry.)
    ///
    /// # Errors
    /// [`Refused`].
    pub fn skip_step(&mut self, now: Now, id: WorkloadId, name: &str) -> Result<(), Refused> {
        let (slot, sequence, workload) = self.step(id, name)?;
        let before = workload.status();
        workload.skip(now, sequence)?;
        self.done(slot, before);
        Ok(())
    }

    /// Close a workload. (Ours: the reference never closes one.)
    ///
    /// # Errors
    /// [`Refused`].
    pub fn close(&mut self, now: Now, id: WorkloadId) -> Result<WorkloadStatus, Refused> {
        let slot = self.slot(id)?;
        let workload = self.at(slot)?;
        let before = workload.status();
        let status = workload.close(now)?;
        self.done(slot, before);
        Ok(status)
    }

    /// Check a workload as the reference's `verify_chain` does, which writes an audit entry too.
    ///
    /// # Errors
    /// [`Refused::UnknownWorkload`], and [`Refused::Full`] when there is no room for the entry.
    pub(crate) fn verify_chain(&mut self, now: Now, id: WorkloadId) -> Result<Verification, Refused> {
        let slot = self.slot(id)?;
        self.room_for_audit()?;
        let workload = self.at(slot)?;
        let (verification, ended) = (workload.verify(), workload.counts().ended());
        let checked = verification.steps_checked;
        self.trail.push(Record { checked, ..Record::new(now, Action::ChainVerified, slot, ended) });
        Ok(verification)
    }

    /// A workload.
    #[must_use]
    pub fn workload(&self, id: WorkloadId) -> Option<&Workload<Heap>> {
        self.slots.at(self.slot(id).ok()?).map(|slot| &slot.workload)
    }

    /// The reference's audit trail, of one workload or of all.
    pub fn audit_trail(&self, only: Option<WorkloadId>) -> impl Iterator<Item = AuditEntry<'_>> {
        let only = only.map(|id| self.slot(id).unwrap_or(u32::MAX));
        audit::entries(self).filter(move |entry| only.is_none_or(|slot| entry.slot() == slot))
    }

    /// How many workloads are where.
    #[must_use]
    pub const fn stats(&self) -> EngineStats {
        EngineStats { audit_entries: self.trail.len(), ..self.stats }
    }

    /// What the operator wants to hear of, oldest first.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        let (slot, sequence) = self.compromised.pop_front()?;
        let workload = &self.slots.at(slot)?.workload;
        Some(Event::Compromised { workload: workload.name(), step: workload.step(sequence)? })
    }

    /// Write the next token of any workload into `out`, as a line without a line feed; `None` when none waits.
    ///
    /// # Errors
    /// [`WriteError`]; the token then still waits.
    pub fn poll_token<'k>(&mut self, how: impl Into<InLog<'k>>, out: &mut [u8]) -> Option<Result<Written, WriteError>> {
        let how = how.into();
        loop {
            let slot = *self.waiting.front()?;
            if let Some(entry) = self.slots.at_mut(slot) {
                match entry.workload.poll_token(how, out) {
                    Some(written) => {
                        if entry.workload.pending().is_none() {
                            entry.queued = false;
                            self.waiting.pop_front();
                        }
                        return Some(written);
                    }
                    None => entry.queued = false,
                }
            }
            self.waiting.pop_front();
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("actor", &self.actor).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// Whether a step was completed in the reference's sense of its audit trail.
const fn compromised(status: StepStatus) -> bool {
    matches!(status, StepStatus::Compromised)
}
