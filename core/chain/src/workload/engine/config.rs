//! How an engine is set up, and what it tells.

use super::{StepView, WorkloadStatus};

/// How an engine is set up.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig<'a> {
    /// Who coordinates, and executes what names nobody: a DID or SPIFFE ID.
    pub actor: &'a str,
    /// Where that is.
    pub node: &'a str,
    /// Most workloads.
    pub max_workloads: u32,
    /// Most steps of one workload.
    pub max_steps: u32,
    /// Most entries of the audit trail. What would need one more is refused.
    pub max_audit: u32,
    /// Keep the tampered data itself in the finding of a compromised step.
    pub keep_data: bool,
}

impl Default for EngineConfig<'_> {
    /// The reference's actor; 65,536 workloads of 16,777,216 steps, 2^30 audit entries; no tampered data is kept.
    fn default() -> Self {
        Self {
            actor: "tibet-workload",
            node: "",
            max_workloads: 1 << 16,
            max_steps: 1 << 24,
            max_audit: 1 << 30,
            keep_data: false,
        }
    }
}

/// Something happened that the operator wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A step was found to be compromised.
    Compromised {
        /// Name of its workload.
        workload: &'a str,
        /// The step: what was expected and found is in it.
        step: StepView<'a>,
    },
}

/// How many workloads are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// All of them.
    pub total_workloads: u32,
    /// Started, not ended.
    pub running: u32,
    /// Ended well.
    pub completed: u32,
    /// Failed.
    pub failed: u32,
    /// Compromised.
    pub compromised: u32,
    /// Entries of the audit trail.
    pub audit_entries: u32,
}

impl EngineStats {
    pub(super) fn of(&mut self, status: WorkloadStatus) -> Option<&mut u32> {
        match status {
            WorkloadStatus::Created => None,
            WorkloadStatus::Running => Some(&mut self.running),
            WorkloadStatus::Completed => Some(&mut self.completed),
            WorkloadStatus::Failed => Some(&mut self.failed),
            WorkloadStatus::Compromised => Some(&mut self.compromised),
        }
    }
}
