//! Checks the steps of a chain, token by token, as they stand in a file.
//!
//! [`StepChecker`] knows only about steps: hashes, seals and the links of a log are the business of whoever feeds it, who also tells
//! it which tokens are not sound. [`StepVerifier`] does the hashes and seals too, for a chain that stands alone.
//!
//! One edit is one finding: what follows from a token that is not sound, or from a finding before, is not reported again.

mod finding;
mod hook;
mod names;
mod note;
mod open;
mod verifier;

pub use finding::{Fact, StepFault, StepFinding};
use names::Names;
pub use note::StepNote;
use note::{ClosedEntry, StepEntry, What};
use open::{ById, Open};
pub use verifier::{LineFault, LineFinding, StepVerifier};

use super::status::StepStatus;
use super::{StepCounts, WorkloadId};
use crate::token::{Hash32, Token};
use sluis_core::table::{Heap, Index, Slab};
use sluis_core::{Seed, SipKey};

/// Workloads that ended and may turn out to have gone on, where the token that ends them stood in the wrong place.
const ENDED: usize = 32;

/// Follows the workloads of a chain.
///
/// Takes some 7 bytes a step (the hash of its name, under a key of its own; up to 20 where there are fewer than 57,000) and 200 for
/// each workload that has not ended. Two names in one workload whose keyed 60-bit hashes agree would be taken for one: among a million
/// steps, once in two million files.
pub struct StepChecker {
    slots: Slab<Open, Heap>,
    by_id: Index<ById, Heap>,
    /// Names of steps, in the scope of their workload; and workloads that ended.
    seen: Names,
    key: SipKey,
    /// Tokens that are not sound, and may have been any step of any workload.
    excused: u32,
    /// The line in hand.
    line: u64,
    /// In how many places before it lines are gone, put in, changed or exchanged.
    gaps: u64,
    /// How many lines are gone, and how many of them have explained that a workload is missing.
    lost: u64,
    lost_used: u64,
    /// Workloads that ended, the last of them, and in how many places lines were gone or changed by then.
    ended: heapless::Deque<(u64, u64), ENDED>,
    must_end: bool,
}

impl StepChecker {
    /// Nothing seen yet. The seed keeps whoever writes files from making names collide.
    #[must_use]
    pub fn new(seed: &Seed) -> Self {
        let key = seed.fork("step checker").sip_key();
        Self {
            slots: Slab::new(u32::MAX as usize),
            by_id: Index::new(),
            seen: Names::new(),
            key,
            excused: 0,
            line: 0,
            gaps: 0,
            lost: 0,
            lost_used: 0,
            ended: heapless::Deque::new(),
            must_end: false,
        }
    }

    /// In a file, a workload without a last token is a finding too.
    #[must_use]
    pub fn must_end(mut self) -> Self {
        self.must_end = true;
        self
    }

    /// Look at the next token of the chain. `sound`: nothing else was found wrong with it. What is wrong with it as a step, if
    /// anything is; never anything for a token that is not sound.
    pub fn token(&mut self, token: &Token<'_>, sound: bool) -> Option<StepFinding> {
        StepNote::of(token, sound).and_then(|note| self.judge(&note, sound))
    }

    /// Judge what was taken down of the next token of the chain: [`token`](Self::token) in two parts, of which the first can be
    /// done anywhere.
    pub fn judge(&mut self, note: &StepNote, sound: bool) -> Option<StepFinding> {
        match note.0 {
            What::Unknown => {
                self.excused = self.excused.saturating_add(1);
                None
            }
            What::Malformed(member) => {
                self.excused = self.excused.saturating_add(1);
                let expected = Fact::Word("the form of a step");
                sound.then(|| StepFinding::new(StepFault::Malformed, expected, Fact::Word(member)))
            }
            What::Created(id, hash) => self.created(id, hash, sound),
            What::Step(step) => self.step(&step, sound),
            What::Closed(closed) => self.closed(&closed, sound),
        }
    }

    fn id_hash(&self, id: WorkloadId) -> u64 {
        self.key.hash(id.as_bytes())
    }

    fn find(&self, id: WorkloadId) -> Option<u32> {
        self.by_id.find(&self.slots, self.id_hash(id), |open| open.id == id)
    }

    fn was_closed(&self, id: WorkloadId) -> bool {
        self.seen.contains(self.id_hash(id))
    }

    fn open(&mut self, open: Open) -> Option<u32> {
        let hash = self.id_hash(open.id);
        let slot = self.slots.insert(open).ok()?.slot();
        self.by_id.insert(&mut self.slots, slot, hash);
        Some(slot)
    }

    /// One token that was not sound explains this.
    const fn excuse(&mut self, tokens: u32) -> bool {
        let excused = tokens <= self.excused;
        if excused {
            self.excused -= tokens;
        }
        excused
    }

    /// Whether lines were found to be gone or changed since this workload ended: then the token that ends it may have stood elsewhere.
    fn goes_on(&mut self, id: WorkloadId) -> bool {
        let (hash, gaps) = (self.id_hash(id), self.gaps);
        let ended = self.ended.iter_mut().find(|(ended, _)| *ended == hash);
        ended.is_some_and(|(_, then)| core::mem::replace(then, gaps) < gaps)
    }

    /// One of the lines that are gone explains this.
    const fn was_lost(&mut self) -> bool {
        let lost = self.lost_used < self.lost;
        if lost {
            self.lost_used += 1;
        }
        lost
    }

    fn created(&mut self, id: WorkloadId, hash: Hash32, sound: bool) -> Option<StepFinding> {
        // Its steps came before it, and that was said.
        if let Some(open) = self.find(id).and_then(|slot| self.slots.at_mut(slot)).filter(|open| open.headless) {
            open.headless = false;
            return None;
        }
        if self.find(id).is_some() || self.was_closed(id) {
            let finding = StepFinding::new(StepFault::DuplicateWorkload, Fact::None, Fact::None);
            return sound.then_some(finding);
        }
        self.open(Open::new(id, hash, !sound, self.line, self.gaps));
        None
    }

    /// The workload of a token; or why there is none.
    fn workload(&mut self, id: WorkloadId, sound: bool) -> Result<u32, Option<StepFinding>> {
        if let Some(slot) = self.find(id) {
            return Ok(slot);
        }
        if !sound {
            self.excused = self.excused.saturating_add(1);
            return Err(None);
        }
        if self.was_closed(id) && !self.goes_on(id) {
            return Err(Some(StepFinding::new(StepFault::AfterClose, Fact::None, Fact::None)));
        }
        // Go on from here, so that what follows is not reported too.
        let excused = self.was_closed(id) || self.excuse(1) || self.was_lost();
        self.open(Open::headless(id, self.line, self.gaps));
        match (excused, self.find(id)) {
            (true, Some(slot)) => Ok(slot),
            _ => Err(Some(StepFinding::new(StepFault::MissingWorkload, Fact::None, Fact::None))),
        }
    }

    fn step(&mut self, step: &StepEntry, sound: bool) -> Option<StepFinding> {
        let (slot, missing) = match self.workload(step.workload_id, sound) {
            Ok(slot) => (slot, None),
            Err(finding) => match self.find(step.workload_id) {
                Some(slot) => (slot, finding),
                None => return finding,
            },
        };
        let name = self.key.hash_in(self.id_hash(step.workload_id), &step.name);
        let known = self.seen.insert(name);
        let (excused, gaps) = (&mut self.excused, self.gaps);
        let open = self.slots.at_mut(slot)?;
        open.shake(gaps);
        if !sound {
            open.unsound(step);
            return None;
        }
        let placed = open.place(step, excused);
        let finding = missing.or(placed);
        let finding =
            finding.or_else(|| known.then(|| StepFinding::new(StepFault::DuplicateStep, Fact::None, Fact::None)));
        let finding = finding.or_else(|| open.link(step)).or_else(|| own(step));
        open.follow(step, finding.map(|finding| finding.kind));
        finding
    }

    fn closed(&mut self, closed: &ClosedEntry, sound: bool) -> Option<StepFinding> {
        let id = closed.workload_id;
        let slot = match self.workload(id, sound) {
            Ok(slot) => slot,
            Err(finding) => {
                if let Some(slot) = self.find(id) {
                    self.forget(slot, id);
                }
                return finding;
            }
        };
        let (excused, gaps) = (&mut self.excused, self.gaps);
        let open = self.slots.at_mut(slot)?;
        open.shake(gaps);
        let finding = if sound { open.end(closed, excused) } else { None };
        self.forget(slot, id);
        finding
    }

    fn forget(&mut self, slot: u32, id: WorkloadId) {
        self.by_id.remove(&mut self.slots, slot);
        self.slots.remove_at(slot);
        let hash = self.id_hash(id);
        self.seen.insert(hash);
        if self.ended.is_full() {
            self.ended.pop_front();
        }
        // There is room now.
        let _ = self.ended.push_back((hash, self.gaps));
    }

    /// How many workloads have not ended.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        self.slots.len()
    }

    /// The workloads that have not ended, with how many steps they have; those left out about which something was reported. Whether that
    /// is [`StepFault::Unfinished`] or just not done yet, the caller knows.
    pub fn open_workloads(&self) -> impl Iterator<Item = (WorkloadId, u32)> {
        self.left().map(|(id, _, steps)| (id, steps))
    }

    /// With the lines of their first tokens.
    fn left(&self) -> impl Iterator<Item = (WorkloadId, u64, u32)> {
        let open = self.slots.iter().filter(|(_, open)| !open.reported);
        open.map(|(_, open)| (open.id, open.line, open.sequence)).skip(self.excused as usize)
    }

    /// Bytes of heap held, the allocator's own overhead aside.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.slots.heap_bytes() + self.by_id.heap_bytes() + self.seen.heap_bytes()
    }
}

impl core::fmt::Debug for StepChecker {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StepChecker").field("unfinished", &self.unfinished()).finish_non_exhaustive()
    }
}

/// What a step says of itself.
fn own(step: &StepEntry) -> Option<StepFinding> {
    if !step.independent && step.after.output.is_some() && step.input != step.after.output && step.status.has_run() {
        let (expected, actual) = (Fact::Hash(step.after.output), Fact::Hash(step.input));
        return Some(StepFinding::new(StepFault::InputMismatch, expected, actual));
    }
    if let Some((said, is)) = step.files {
        return Some(StepFinding::new(StepFault::Files, Fact::Hash(said), Fact::Hash(is)));
    }
    if step.status == StepStatus::Compromised {
        let (expected, actual) = step.finding.map_or((None, None), |(expected, actual)| (Some(expected), Some(actual)));
        return Some(StepFinding::new(StepFault::Compromised, Fact::Hash(expected), Fact::Hash(actual)));
    }
    None
}

/// How the steps of a workload ended, as far as they were seen.
impl StepCounts {
    pub(super) fn saw(&mut self, status: StepStatus) {
        self.steps = self.steps.saturating_add(1);
        self.end(status);
    }
}
