//! How the tokens of a workload are written.

use crate::token::{Hash32, Protection, SealError};
use sluis_core::data::{EncodeError, Full};

/// How a token of a workload is written: its protection, and what of the log that it is a line of stands in it. Made from a
/// `&Protection` where there is no log.
#[derive(Clone, Copy, Debug, Default)]
pub struct InLog<'k> {
    /// How it is hashed and signed.
    pub protection: Protection<'k>,
    /// The leaf hash of the line before it in its log: written as `prev:sha256:…`, last in `eraan`.
    pub link: Option<Hash32>,
    /// The header of the log, or segment of one, that begins with this token: see [`LogHeader`](crate::log::LogHeader).
    pub header: Option<&'k str>,
}

impl<'k> From<&Protection<'k>> for InLog<'k> {
    fn from(protection: &Protection<'k>) -> Self {
        Self { protection: *protection, link: None, header: None }
    }
}

/// A line was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its bytes, without a line feed.
    pub len: usize,
    /// Its `content_hash`.
    pub content_hash: Hash32,
}

/// Why a line was not written. Nothing changed: it can be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The buffer is too small; [`MAX_LINE`](super::MAX_LINE) bytes are always enough for a step without metadata.
    #[error(transparent)]
    Full(#[from] Full),
    /// Something in it has no JSON form.
    #[error(transparent)]
    Encode(EncodeError),
    /// It could not be signed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl From<EncodeError> for WriteError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::BufferFull => Self::Full(Full),
            error => Self::Encode(error),
        }
    }
}
