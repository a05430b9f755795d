//! A workload that has begun and not ended, as far as its tokens were seen.

use super::note::{ClosedEntry, StepEntry};
use super::{Fact, StepFault, StepFinding};
use crate::token::Hash32;
use crate::workload::ids::{StepId, WorkloadId};
use crate::workload::{After, StepCounts};
use sluis_core::table::{Chain, Chained};

/// The index of open workloads by id.
pub(super) struct ById;

/// Where the last token of a workload left it.
pub(super) struct Open {
    chain: Chain,
    pub(super) id: WorkloadId,
    /// The line of its first token.
    pub(super) line: u64,
    /// The highest place that was seen.
    pub(super) sequence: u32,
    /// The highest place that was ever seen.
    highest: u32,
    /// Its first token was not seen.
    pub(super) headless: bool,
    /// The step at that place.
    step: Option<StepId>,
    /// The hash of its token.
    token: Hash32,
    /// The last output.
    output: Option<Hash32>,
    counts: StepCounts,
    /// A step that was missing when the one behind it came: its place, and the hash of its token.
    late: Option<(u32, Hash32)>,
    /// A step that came before those that it follows, and that is missing in its place: where it should be, itself, its token.
    stray: Option<(u32, StepId, Hash32)>,
    /// What the next step says that it follows cannot be judged.
    tainted: bool,
    /// In how many places lines were gone or changed by its last token, and whether some are since.
    gaps: u64,
    shaken: bool,
    /// Something was reported about this workload.
    pub(super) reported: bool,
}

impl Chained<ById> for Open {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

impl Open {
    pub(super) fn new(id: WorkloadId, token: Hash32, tainted: bool, line: u64, gaps: u64) -> Self {
        Self {
            chain: Chain::default(),
            id,
            line,
            sequence: 0,
            highest: 0,
            headless: false,
            step: None,
            token,
            output: None,
            counts: StepCounts::default(),
            late: None,
            stray: None,
            tainted,
            gaps,
            shaken: false,
            reported: tainted,
        }
    }

    /// A workload whose first token was not seen. Its steps may begin anywhere.
    pub(super) fn headless(id: WorkloadId, line: u64, gaps: u64) -> Self {
        Self { headless: true, shaken: true, ..Self::new(id, Hash32([0; 32]), true, line, gaps) }
    }

    /// A token of it comes. If lines were found to be gone or changed since the last, it need not follow that.
    pub(super) fn shake(&mut self, gaps: u64) {
        self.shaken = self.gaps < gaps || (self.headless && self.highest == 0);
        self.gaps = gaps;
        self.tainted |= self.shaken;
        self.reported |= self.shaken;
    }

    /// A step whose token is not sound: take its place for the next.
    pub(super) fn unsound(&mut self, step: &StepEntry) {
        self.sequence = self.sequence.saturating_add(1);
        self.highest = self.highest.max(self.sequence);
        self.step = Some(step.step_id);
        self.token = step.token;
        self.output = step.output.or(self.output);
        self.counts.saw(step.status);
        self.tainted = true;
        self.reported = true;
    }

    /// Whether it is the step that was missing before.
    pub(super) fn is_late(&self, step: &StepEntry) -> bool {
        self.late.is_some_and(|(sequence, _)| sequence == step.sequence)
    }

    /// Whether the step is in its place.
    pub(super) fn place(&mut self, step: &StepEntry, excused: &mut u32) -> Option<StepFinding> {
        let expected = self.sequence.saturating_add(1);
        let follows_stray = self.stray.is_some_and(|(place, ..)| place == expected && step.sequence == expected + 1);
        if step.sequence == expected || follows_stray {
            return None;
        }
        if step.sequence > expected {
            self.stray = Some((step.sequence, step.step_id, step.token));
        }
        if self.shaken {
            return None;
        }
        let finding = StepFinding::new(StepFault::Order, Fact::Number(expected), Fact::Number(step.sequence));
        let Some(missing) = step.sequence.checked_sub(expected) else {
            // It was missed, and reported, when the one behind it came.
            let found = self.late.is_some_and(|late| late == (step.sequence, step.token));
            // Else it may be what the next one follows.
            self.tainted |= !found;
            return (!found).then_some(finding);
        };
        self.reported = true;
        self.tainted = true;
        if missing <= *excused {
            *excused -= missing;
            return None;
        }
        self.late = (missing == 1).then_some((expected, step.after.token));
        // A workload that was not there before: nothing is known of what is missing.
        Some(finding)
    }

    /// Whether the step follows what stands before it.
    pub(super) fn link(&self, step: &StepEntry) -> Option<StepFinding> {
        if self.tainted || step.sequence <= self.sequence {
            return None;
        }
        if self.is_stray(&step.after) {
            return None;
        }
        if step.after.token != self.token || step.after.step != self.step {
            let (expected, actual) = (Fact::Hash(Some(step.after.token)), Fact::Hash(Some(self.token)));
            return Some(StepFinding::new(StepFault::Link, expected, actual));
        }
        if step.after.output != self.output {
            let (expected, actual) = (Fact::Hash(step.after.output), Fact::Hash(self.output));
            return Some(StepFinding::new(StepFault::Link, expected, actual));
        }
        None
    }

    /// Whether what is followed is the step that came too early.
    fn is_stray(&self, after: &After) -> bool {
        self.stray.is_some_and(|(_, step, token)| after.step == Some(step) && after.token == token)
    }

    /// Go on behind the step.
    pub(super) fn follow(&mut self, step: &StepEntry, found: Option<StepFault>) {
        self.reported |= found.is_some_and(|kind| kind != StepFault::Compromised);
        if step.sequence <= self.sequence && !self.shaken {
            if self.is_late(step) {
                self.late = None;
                self.counts.saw(step.status);
            }
            return;
        }
        self.sequence = step.sequence;
        self.highest = self.highest.max(step.sequence);
        self.step = Some(step.step_id);
        self.token = step.token;
        self.output = step.output.or(step.after.output);
        self.counts.saw(step.status);
        // Whoever made the step say what it may not say has changed its hash.
        self.tainted = matches!(found, Some(StepFault::InputMismatch | StepFault::DuplicateStep));
    }

    /// Whether the last token fits.
    pub(super) fn end(&self, closed: &ClosedEntry, excused: &mut u32) -> Option<StepFinding> {
        let missing = closed.counts.steps.saturating_sub(self.highest);
        if missing > 0 && !self.shaken {
            if missing <= *excused {
                *excused -= missing;
                return None;
            }
            let (expected, actual) = (Fact::Number(closed.counts.steps), Fact::Number(self.sequence));
            return Some(StepFinding::new(StepFault::Truncated, expected, actual));
        }
        if !self.tainted
            && !self.is_stray(&closed.after)
            && (closed.after.token != self.token || closed.after.step != self.step)
        {
            let (expected, actual) = (Fact::Hash(Some(closed.after.token)), Fact::Hash(Some(self.token)));
            return Some(StepFinding::new(StepFault::Link, expected, actual));
        }
        if !self.reported && (closed.counts != self.counts || closed.status != self.counts.outcome()) {
            let (expected, actual) = (closed.status.as_str(), self.counts.outcome().as_str());
            return Some(StepFinding::new(StepFault::Counts, Fact::Word(expected), Fact::Word(actual)));
        }
        None
    }
}
