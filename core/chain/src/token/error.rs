//! What can be wrong with a line, and with a token.

use super::Hash32;
use sluis_core::data::ValueError;

/// A member of a token, in the order of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// `token_id`
    TokenId,
    /// `action`
    Action,
    /// `timestamp`
    Timestamp,
    /// `actor`
    Actor,
    /// `erin`
    Erin,
    /// `eraan`
    Eraan,
    /// `eromheen`
    Eromheen,
    /// `erachter`
    Erachter,
    /// `parent_id`
    ParentId,
    /// `state`
    State,
    /// `content_hash`
    ContentHash,
    /// `signature`
    Signature,
}

impl Field {
    /// Every member, in the order in which they are written.
    pub(crate) const ALL: &'static [Self; 12] = &[
        Self::TokenId,
        Self::Action,
        Self::Timestamp,
        Self::Actor,
        Self::Erin,
        Self::Eraan,
        Self::Eromheen,
        Self::Erachter,
        Self::ParentId,
        Self::State,
        Self::ContentHash,
        Self::Signature,
    ];

    /// Its key.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::TokenId => "token_id",
            Self::Action => "action",
            Self::Timestamp => "timestamp",
            Self::Actor => "actor",
            Self::Erin => "erin",
            Self::Eraan => "eraan",
            Self::Eromheen => "eromheen",
            Self::Erachter => "erachter",
            Self::ParentId => "parent_id",
            Self::State => "state",
            Self::ContentHash => "content_hash",
            Self::Signature => "signature",
        }
    }
}

impl core::fmt::Display for Field {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a line is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not UTF-8.
    #[error("not UTF-8 at byte {at}")]
    NotUtf8 {
        /// Offset in bytes of the first that is none.
        at: usize,
    },
    /// Not one JSON value.
    #[error("{0}")]
    NotJson(#[from] ValueError),
    /// A JSON value, but no object.
    #[error("not a JSON object")]
    NotAnObject,
    /// A member that tokens do not have.
    #[error("a member at byte {at} that tokens do not have")]
    UnknownMember {
        /// Offset in bytes of its key.
        at: usize,
    },
    /// A member that is there twice. Ours only: the reference takes the last one, and others the first, so that they would read what
    /// nobody hashed or signed.
    #[error("{0} is there twice")]
    Twice(Field),
    /// A member without which there is no token.
    #[error("no {0}")]
    MissingMember(Field),
    /// A member of the wrong type. Ours only: the reference carries it along.
    #[error("{0} has the wrong type")]
    Mistyped(Field),
    /// A state that there is not.
    #[error("unknown state")]
    UnknownState,
}

/// Why a token does not verify. Of several faults it is the first in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No content hash, or an empty one. Ours only: the reference then makes one up, so whoever removes a hash is never
    /// found out.
    #[error("no content hash")]
    MissingHash,
    /// `NaN`, an infinity or a number beyond the range of floats. Ours only: it is no JSON, so other readers cannot check it.
    #[error("{0} holds a number that is not finite")]
    NonFinite(Field),
    /// A key that an object holds twice, or a number that no float holds to its last digit: the hash covers what is left of them
    /// when they are read, and other readers read something else. Ours only; no writer of tokens writes such a line.
    #[error("{0} holds a key twice or a number that no float holds, so that what was hashed is not what it says")]
    Inexact(Field),
    /// The members are not those that were hashed, the key is another one, or the hash is no 64 lower-case hex digits.
    #[error("content hash is not {}", actual.as_ref().map_or(&"what the members give under the key" as &dyn core::fmt::Display, |hash| hash))]
    ContentHash {
        /// What the members hash to. Not told under a key: whoever read it could put it into the token that he changed.
        actual: Option<Hash32>,
    },
    /// Something in it has no canonical text. Only without `alloc`: an object with too many members or too many levels to be
    /// put in order on the stack.
    #[error("too large to be put in canonical form")]
    TooLarge,
}
