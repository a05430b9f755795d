//! The states of steps and workloads, in the reference's words.

use core::fmt;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reference's word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The one with exactly this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|status| status.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// Where a step is. It goes from [`Pending`](Self::Pending) to [`Running`](Self::Running) to one of the others, or from the first to
    /// `Failed` or `Skipped`, and never back: a step that ended is final.
    StepStatus {
        /// Added, not started.
        Pending = "pending",
        /// Started here, or handed over.
        Running = "running",
        /// Ended well.
        Completed = "completed",
        /// Ended with an error, or could not be started.
        Failed = "failed",
        /// Ended, and its input was found to be another than the one recorded at its start.
        Compromised = "compromised",
        /// Left out.
        Skipped = "skipped",
    }
}

impl StepStatus {
    /// Whether nothing can change it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Whether it ended after it was started, well or with other input.
    #[must_use]
    pub const fn has_run(self) -> bool {
        matches!(self, Self::Completed | Self::Compromised)
    }

    /// The action of the token that says so; `None` while the step has none.
    #[must_use]
    pub const fn action(self) -> Option<&'static str> {
        match self {
            Self::Pending | Self::Running => None,
            Self::Completed => Some("step_completed"),
            Self::Failed => Some("step_failed"),
            Self::Compromised => Some("step_compromised"),
            Self::Skipped => Some("step_skipped"),
        }
    }
}

words! {
    /// Where a workload is.
    WorkloadStatus {
        /// No step was started.
        Created = "created",
        /// Some step was started.
        Running = "running",
        /// Every step ended, none badly. (A step added then does not change that until it ended; the reference does the same.)
        Completed = "completed",
        /// A step failed.
        Failed = "failed",
        /// Every step ended and one is compromised; or one is, and another failed. Final.
        Compromised = "compromised",
    }
}

impl WorkloadStatus {
    /// The action of the token that closes a workload in this state.
    #[must_use]
    pub const fn closing_action(self) -> &'static str {
        match self {
            Self::Created | Self::Running | Self::Completed => "workload_completed",
            Self::Failed => "workload_failed",
            Self::Compromised => "workload_compromised",
        }
    }
}
