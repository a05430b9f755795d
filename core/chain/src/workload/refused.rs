//! Why something was not done.

use super::status::StepStatus;
use super::storage::TooLong;
use crate::token::Hash32;
use sluis_core::data::EncodeError;

/// Why an operation on a workload was refused. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such workload.
    #[error("there is no such workload")]
    UnknownWorkload,
    /// There is no such step.
    #[error("there is no such step")]
    UnknownStep,
    /// Another step has this name.
    #[error("step {sequence} has this name already")]
    DuplicateName {
        /// The step that has it.
        sequence: u32,
    },
    /// A step before it has not ended.
    #[error("step {first} has to end before")]
    OutOfOrder {
        /// The first step that has not ended.
        first: u32,
    },
    /// The step was started before.
    #[error("the step runs already")]
    AlreadyStarted,
    /// The step was not started.
    #[error("the step was not started")]
    NotStarted,
    /// The step ended. That is final.
    #[error("the step is {0}, and that is final")]
    Ended(StepStatus),
    /// The step was handed over: only its signed token ends it.
    #[error("the step was handed over: its signed token is awaited")]
    HandedOver,
    /// The input is not the output of the step before, and was not declared to be independent of it.
    #[error("the input is not the output of the step before (declare it independent if it need not be)")]
    InputMismatch {
        /// The output of the step before.
        expected: Hash32,
        /// The input; `None` for an empty one.
        actual: Option<Hash32>,
    },
    /// The workload was closed.
    #[error("the workload is closed")]
    Closed,
    /// A token that was read from the log is not the one that comes next in its workload.
    #[error("it does not follow the token before it in its workload")]
    NotNext,
    /// A step has not ended.
    #[error("step {first} has not ended")]
    Unfinished {
        /// The first that has not.
        first: u32,
    },
    /// Tokens wait to be written, and what is asked needs their hashes.
    #[error("tokens wait to be written: poll them first")]
    TokensWaiting,
    /// There is no room for another step, workload or audit entry.
    #[error("no room: the configured capacity is reached")]
    Full,
    /// A text is too long.
    #[error("a text is too long")]
    TooLong,
    /// Data has no JSON form.
    #[error(transparent)]
    Data(#[from] EncodeError),
}

impl From<TooLong> for Refused {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}
