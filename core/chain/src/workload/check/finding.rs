//! What may be wrong with the steps of a chain.

use core::fmt;

use crate::token::Hash32;

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StepFault {
    /// The token's action is one of a workload, and its members are not as those have it.
    Malformed,
    /// A workload begins that began, or ended, before.
    DuplicateWorkload,
    /// A step, or an end, of a workload whose first token is missing.
    MissingWorkload,
    /// Steps are missing before this one, or it came before.
    Order,
    /// An earlier step of the workload has this name.
    DuplicateStep,
    /// The step does not follow the token that stands before it.
    Link,
    /// The step's input is not the output of the step before, and is not declared to be independent.
    InputMismatch,
    /// The files that the step names in its metadata are not those that the hash of its input or output covers.
    Files,
    /// The step says so itself: its input was another when it ended than when it was started.
    Compromised,
    /// Something of a workload behind its last token.
    AfterClose,
    /// The last token counts more steps than there are before it.
    Truncated,
    /// The last token counts otherwise than the steps before it ended.
    Counts,
    /// The workload has no last token.
    Unfinished,
}

impl StepFault {
    /// The word for it in findings.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed_step",
            Self::DuplicateWorkload => "duplicate_workload",
            Self::MissingWorkload => "missing_workload",
            Self::Order => "step_order",
            Self::DuplicateStep => "duplicate_step",
            Self::Link => "step_link",
            Self::InputMismatch => "input_mismatch",
            Self::Files => "step_files",
            Self::Compromised => "compromised",
            Self::AfterClose => "after_close",
            Self::Truncated => "truncated",
            Self::Counts => "step_count",
            Self::Unfinished => "unfinished",
        }
    }
}

impl fmt::Display for StepFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One side of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Nothing to say.
    None,
    /// A number: of steps, or a place.
    Number(u32),
    /// A hash, or that there is none.
    Hash(Option<Hash32>),
    /// A word.
    Word(&'static str),
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None | Self::Hash(None) => Ok(()),
            Self::Number(number) => number.fmt(f),
            Self::Hash(Some(hash)) => hash.fmt(f),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// Something is wrong with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepFinding {
    /// What kind of thing.
    pub kind: StepFault,
    /// What should be.
    pub expected: Fact,
    /// What is.
    pub actual: Fact,
}

impl StepFinding {
    pub(super) const fn new(kind: StepFault, expected: Fact, actual: Fact) -> Self {
        Self { kind, expected, actual }
    }
}

impl fmt::Display for StepFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if self.expected != Fact::None {
            write!(f, ": expected {}, found {}", self.expected, self.actual)?;
        }
        Ok(())
    }
}
