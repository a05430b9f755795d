//! What can go wrong, each with its mend.

use std::io;
use std::path::{Path, PathBuf};

use sluis_core::StoreError;

/// Why a store was not opened. Nothing in its directory was changed, but that it was made if it was not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open, or this one twice.
    #[error("{} is in use by another process; stop that one first", .dir.display())]
    InUse {
        /// The directory.
        dir: PathBuf,
    },
    /// Others than its owner may use it.
    #[error("{} is open to others (mode {mode:o}); close it with `chmod {wanted:o} {}`", .path.display(), .path.display())]
    Open {
        /// The directory, or a file in it.
        path: PathBuf,
        /// The permissions that it has.
        mode: u32,
        /// Those that it should have.
        wanted: u32,
    },
    /// A name is taken by something else than it should be.
    #[error("{} is no {wanted}; move it away, or name another directory", .path.display())]
    Kind {
        /// The name.
        path: PathBuf,
        /// What should be there.
        wanted: &'static str,
    },
    /// It cannot be read as what it should be.
    #[error(
        "{} is damaged ({why}), nothing was changed: bring it back from a copy, or move it away to begin with nothing", .path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A later version of this crate wrote it.
    #[error("{} has version {version}, of which this program knows nothing: use a newer one", .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It holds the state of another node.
    #[error("{} is the state of another node: name the directory of this one, or the key of that one", .path.display())]
    OtherNode {
        /// The file.
        path: PathBuf,
    },
    /// What names the node is longer than may be.
    #[error("a node is named by at most {} bytes", crate::MAX_NODE)]
    NodeTooLong,
    /// The system refused.
    #[error("{}: {doing}: {source}", .path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// Why a batch is not known to be on the medium, or the state could not be read. The store can be used again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// There is no room for it.
    #[error("{}: {why}; nothing is kept until there is room", .path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// The system refuses, or the medium fails.
    #[error("{}: {why}", .path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
}

impl From<&CommitError> for StoreError {
    fn from(error: &CommitError) -> Self {
        match error {
            CommitError::Full { .. } => Self::Full,
            CommitError::Failed { .. } => Self::Failed,
        }
    }
}

/// What systems say where there is no room.
const NO_ROOM: [io::ErrorKind; 3] =
    [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];

impl CommitError {
    pub(crate) fn new(path: &Path, error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::Io(source) => Self::io(path, &source),
            other => Self::Failed { path: path.to_owned(), why: other.to_string() },
        }
    }

    pub(crate) fn io(path: &Path, source: &io::Error) -> Self {
        let (path, why) = (path.to_owned(), source.to_string());
        if NO_ROOM.contains(&source.kind()) { Self::Full { path, why } } else { Self::Failed { path, why } }
    }

    pub(crate) fn failed(path: &Path, why: &str) -> Self {
        Self::Failed { path: path.to_owned(), why: why.to_owned() }
    }
}

impl OpenError {
    pub(crate) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), doing, source }
    }

    pub(crate) fn corrupt(path: &Path, why: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), why: why.into() }
    }

    /// Of a file that could not be opened as a database, or not be read as one.
    pub(crate) fn of(path: &Path, error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse { dir: path.parent().unwrap_or(path).to_owned() },
            // What redb finds in a file that is none of its own, or where that ends too early, is no trouble of the system's.
            redb::Error::Io(source)
                if !matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
            {
                Self::Io { path: path.to_owned(), doing: "opening", source }
            }
            redb::Error::Io(source) => Self::corrupt(path, source.to_string()),
            other => Self::corrupt(path, other.to_string()),
        }
    }
}
