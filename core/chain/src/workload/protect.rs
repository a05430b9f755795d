//! How the tokens of a chain are protected.

use core::fmt;

use crate::token::{Hash32, Seal, SealError};
use sluis_core::data::{EncodeError, Full};
use sluis_core::identity::MacKey;

/// How a token is protected beyond its hash, and what of a log stands in it.
#[derive(Clone, Copy, Default)]
pub struct Protection<'k> {
    /// HMAC-SHA256 under this key in place of SHA-256.
    pub mac: Option<&'k MacKey>,
    /// Signs it.
    pub seal: Option<&'k dyn Seal>,
    /// The leaf hash of the line before it in its log: written as `prev:sha256:…`, last in `eraan`.
    pub link: Option<Hash32>,
    /// The header of the log, or segment of one, that begins with this token: see [`LogHeader`](crate::log::LogHeader).
    pub header: Option<&'k str>,
}

impl fmt::Debug for Protection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protection")
            .field("mac", &self.mac.is_some())
            .field("seal", &self.seal.is_some())
            .field("link", &self.link)
            .field("header", &self.header)
            .finish()
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
    /// The buffer is too small; [`MAX_LINE`](super::MAX_LINE) bytes are always enough.
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
        Self::Encode(error)
    }
}
