//! What the three kinds of tokens of a workload say, as values.

use super::ids::{StepId, WorkloadId};
use super::status::{StepStatus, WorkloadStatus};
use crate::token::Hash32;
use sluis_core::data::{Text, Value};
use sluis_core::time::Wall;

/// What the token says that begins a workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Created<'a> {
    /// The workload.
    pub workload_id: WorkloadId,
    /// Its name.
    pub name: Text<'a>,
    /// Whose it is.
    pub owner: Text<'a>,
    /// Its SPIFFE ID, or empty.
    pub spiffe_id: Text<'a>,
    /// Who coordinates it, and signs the first and the last token.
    pub actor: Text<'a>,
    /// Where that is.
    pub node: Text<'a>,
    /// When.
    pub at: Wall,
    /// The token for which it was made.
    pub parent_id: Option<Text<'a>>,
    /// Anything else about it: an object.
    pub metadata: Value<'a>,
}

/// What the token of a step says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<'a> {
    /// The workload.
    pub workload_id: WorkloadId,
    /// The step.
    pub step_id: StepId,
    /// Its name, unique in the workload.
    pub name: Text<'a>,
    /// Its place, from 1.
    pub sequence: u32,
    /// How it ended.
    pub status: StepStatus,
    /// WHO ran it (a DID or SPIFFE ID), and signs.
    pub executor: Text<'a>,
    /// WHERE it ran.
    pub node: Text<'a>,
    /// WHY, when that is not just to execute the step.
    pub intent: Option<Text<'a>>,
    /// The input was declared not to be the output of the step before.
    pub independent: bool,
    /// Hash of what went in.
    pub input: Option<Hash32>,
    /// Hash of what came out.
    pub output: Option<Hash32>,
    /// When it was started.
    pub started: Option<Wall>,
    /// When it ended.
    pub ended: Wall,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// What went wrong; empty for nothing.
    pub error: Text<'a>,
    /// What was tampered with.
    pub finding: Option<Finding<'a>>,
    /// Anything else about it: an object.
    pub metadata: Value<'a>,
    /// The SPIFFE identity that signs.
    pub spiffe: Option<Spiffe<'a>>,
    /// What it follows.
    pub after: After,
}

/// What the token says that ends a workload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Closed<'a> {
    /// The workload.
    pub workload_id: WorkloadId,
    /// Who coordinates it, and signs.
    pub actor: Text<'a>,
    /// Where that is.
    pub node: Text<'a>,
    /// When.
    pub at: Wall,
    /// How it ended.
    pub status: WorkloadStatus,
    /// How its steps ended.
    pub counts: StepCounts,
    /// What it follows.
    pub after: After,
}

/// The place of a token in its workload: behind which other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct After {
    /// The step before; `None` for the first token of the workload.
    pub step: Option<StepId>,
    /// The `content_hash` of that token.
    pub token: Hash32,
    /// The last output of a step before, if there is one: what the input is tied to.
    pub output: Option<Hash32>,
}

/// A step's input was another when it ended than when it was started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding<'a> {
    /// Its hash as it was recorded at the start.
    pub expected: Hash32,
    /// Its hash as it was found.
    pub actual: Hash32,
    /// What was found, where the operator wants that kept.
    pub data: Option<Value<'a>>,
}

/// A SPIFFE identity, bound into a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spiffe<'a> {
    /// `spiffe://…`
    pub id: Text<'a>,
    /// The end of its certificate's validity.
    pub expires_at: Wall,
    /// SHA-256 of the leaf certificate (DER).
    pub certificate: Hash32,
}

/// How many steps ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepCounts {
    /// All, those that have not ended included.
    pub steps: u32,
    /// Ended well.
    pub completed: u32,
    /// Failed.
    pub failed: u32,
    /// With another input than recorded.
    pub compromised: u32,
    /// Left out.
    pub skipped: u32,
}

impl StepCounts {
    /// How many ended.
    #[must_use]
    pub const fn ended(&self) -> u32 {
        self.completed.saturating_add(self.failed).saturating_add(self.compromised).saturating_add(self.skipped)
    }

    /// Count the end of a step.
    pub(super) const fn end(&mut self, status: StepStatus) {
        let count = match status {
            StepStatus::Completed => &mut self.completed,
            StepStatus::Failed => &mut self.failed,
            StepStatus::Compromised => &mut self.compromised,
            StepStatus::Skipped => &mut self.skipped,
            StepStatus::Pending | StepStatus::Running => return,
        };
        *count = count.saturating_add(1);
    }

    /// How a workload ends whose steps ended like this.
    #[must_use]
    pub(crate) const fn outcome(&self) -> WorkloadStatus {
        if self.compromised > 0 {
            WorkloadStatus::Compromised
        } else if self.failed > 0 {
            WorkloadStatus::Failed
        } else {
            WorkloadStatus::Completed
        }
    }
}

/// One token of a workload.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "borrowed views, made and read on the stack")]
pub enum Entry<'a> {
    /// The first.
    Created(Created<'a>),
    /// A step.
    Step(Step<'a>),
    /// The last.
    Closed(Closed<'a>),
}

impl Entry<'_> {
    /// The workload that it belongs to.
    #[must_use]
    pub const fn workload_id(&self) -> WorkloadId {
        match self {
            Self::Created(created) => created.workload_id,
            Self::Step(step) => step.workload_id,
            Self::Closed(closed) => closed.workload_id,
        }
    }
}
