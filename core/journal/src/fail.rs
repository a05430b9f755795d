//! What can go wrong, each with its name.

use std::fmt;
use std::io;

use thiserror::Error;

/// What the journal was doing when the system refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Step {
    /// The caller's code: what it composed is not one line within its bounds, or it panicked, so the chain cannot be trusted.
    Compose,
    /// Writing lines.
    Write,
    /// Waiting until they are on the medium (`fdatasync`).
    Sync,
    /// Cutting the file back to what is acknowledged, after another failure.
    Repair,
    /// Closing a segment and starting the next.
    Rotate,
    /// Looking at the file before writing: it is not as this journal left it, so somebody else writes to it, or has
    /// removed it. Only opening it anew helps.
    Look,
}

/// Why lines did not become durable. Whoever gets this knows that his line does not count as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Failure {
    /// What the journal was doing.
    pub step: Step,
    /// The kind of error.
    pub kind: io::ErrorKind,
    /// The system's own number for it, where there is one.
    pub os: Option<i32>,
}

/// What systems say where there is no room.
const NO_ROOM: [io::ErrorKind; 3] =
    [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];

impl Failure {
    pub(crate) fn new(step: Step, error: &io::Error) -> Self {
        Self { step, kind: error.kind(), os: error.raw_os_error() }
    }

    pub(crate) fn malformed() -> Self {
        Self { step: Step::Compose, kind: io::ErrorKind::InvalidData, os: None }
    }

    pub(crate) fn changed() -> Self {
        Self { step: Step::Look, kind: io::ErrorKind::Other, os: None }
    }

    /// There was no room: the disk, the user's share of it, or what a file may grow to is used up. Appends may be tried again at any
    /// time; they succeed once there is room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.step != Step::Look && NO_ROOM.contains(&self.kind)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = match self.step {
            Step::Compose => "composing a line",
            Step::Write => "writing",
            Step::Sync => "waiting for the disk (fdatasync)",
            Step::Repair => "cutting the file back to its last acknowledged line",
            Step::Rotate => "starting a new segment",
            Step::Look => {
                return f.write_str(
                    "the file is not as this journal left it: another program writes to it or has removed it; open it anew",
                );
            }
        };
        let why = match self.os {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::from(self.kind),
        };
        write!(f, "{doing}: {why}")
    }
}

impl std::error::Error for Failure {}

/// Why a line was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AppendError<E> {
    /// The queue is at its cap: the disk is slower than the appenders. Only [`try_append`](crate::Journal::try_append)
    /// says so; the others wait.
    #[error("the journal is busy: as many lines as it may hold wait for the disk")]
    Busy,
    /// The line is longer than [`Options::max_line`](crate::Options::max_line).
    #[error("a line of {len} bytes is longer than the {max} bytes allowed")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The longest allowed.
        max: usize,
    },
    /// What was to be appended is blank, or has a line feed or a NUL in it.
    #[error("not one line: it is blank, or has a line feed or a NUL in it")]
    NotALine,
    /// Whoever composes the line did not.
    #[error(transparent)]
    Compose(E),
    /// The line, or one before it, did not become durable; or an earlier failure has closed the journal until
    /// [`recover`](crate::Journal::recover).
    #[error("the line is not written: {0}")]
    Failed(Failure),
}

/// Why a journal could not be opened. Nothing was lost or cut, except what a [torn tail](crate#recovery) is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The options contradict each other.
    #[error("the journal's options: {0}")]
    Options(&'static str),
    /// The system refused.
    #[error("{path}: {doing}: {source}")]
    Io {
        /// Which file.
        path: String,
        /// What the journal was doing.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Another journal has the file open.
    #[error("{path} is in use by another writer; stop that one first")]
    Locked {
        /// Which file.
        path: String,
    },
    /// A line is damaged, and not because the last write was torn.
    #[error("{path}: line {line}: {fault}; this is no torn last write, so nothing was changed: find out with `verify`")]
    Damaged {
        /// Which file.
        path: String,
        /// Its number, from 1.
        line: u64,
        /// Where it begins, in bytes.
        offset: u64,
        /// What is wrong with it.
        fault: String,
    },
    /// `FILE.tree` knows another line in this place. Either may have been changed.
    #[error(
        "{path}: line {line} is not the one whose hash is in {tree}: find out with `verify`; if it is {tree} that is \
         wrong, remove that"
    )]
    TreeDiffers {
        /// Which file.
        path: String,
        /// Its sidecar.
        tree: String,
        /// The line's number, from 1; blank lines count.
        line: u64,
    },
    /// Lines that were there are gone.
    #[error(
        "{path} has {entries} entries (lines that are not blank), but {sidecar} knows of {known}: lines are missing at its \
         end; bring the file back, or remove {sidecar} to go on without them"
    )]
    Missing {
        /// Which file.
        path: String,
        /// What knows more.
        sidecar: String,
        /// Entries in the file: whole lines that are not blank.
        entries: u64,
        /// Entries known to have been there.
        known: u64,
    },
    /// `FILE.checkpoint` is no checkpoint of this file.
    #[error("{path} does not agree with {sidecar}: {fault}; find out with `verify`")]
    Checkpoint {
        /// Which file.
        path: String,
        /// The checkpoint.
        sidecar: String,
        /// What is wrong.
        fault: String,
    },
}
