//! One provenance token: reading, writing, hashing, verifying, sealing.
//!
//! What this room promises:
//!
//! - [`Token::parse`] is one pass over a line and borrows from it. It allocates nothing, never panics, and reads what
//!   the reference's `Token.from_json` reads, save for the rows of `tests/deviations.toml`: members of the wrong type are
//!   refused, and a content hash that is not there is [`Fault::MissingHash`], not quietly made up.
//! - [`Token::hash_input`] is, byte for byte, the text that the reference hashes; [`Token::write_json`] the line that it
//!   writes. What was read in that form is copied, not formatted again.
//! - [`Token::verify`] streams that text into SHA-256 or HMAC-SHA256 and compares in constant time.
//! - Everything works without a heap.
//!
//! ```
//! use sluis_chain::token::{Fault, Token};
//!
//! let line = concat!(
//!     r#"{"token_id": "tibet_20250115120000000000_deadbeef", "action": "user_login", "timestamp": "2025-01-15T12:00:00", "#,
//!     r#""actor": "jis:humotica:my_app", "erin": "plain", "eraan": [], "eromheen": {}, "erachter": "", "parent_id": null, "#,
//!     r#""state": "created", "content_hash": "d49916bd0997b15baeb9668fcb407b95d61fbdb607e4c7caf4120d0f42d244c2", "signature": ""}"#,
//! );
//! let token = Token::parse(line)?;
//! assert_eq!(token.verify(None), Ok(()));
//!
//! let forged = line.replace("user_login", "user_admin");
//! assert!(matches!(Token::parse(&forged)?.verify(None), Err(Fault::ContentHash { .. })));
//! # Ok::<(), sluis_chain::token::TokenError>(())
//! ```
//!
//! # What ours adds inside the members
//!
//! | where | what |
//! |---|---|
//! | `eraan`, last | `prev:sha256:<64 hex>`, the leaf hash of the entry before it in its log: [`Token::prev`], [`Token::link`] |
//! | `eraan`, before that | `log:…` in the first entry of a file, what it says of its log: [`Token::log_header`] |
//! | `signature` | `ed25519:<public key>:<signature>` over [`signed_text`], both in hex; other kinds have another prefix |

mod error;
mod gap;
mod hash;
mod id;
mod parse;
mod seal;
mod stamp;
mod state;
#[cfg(test)]
mod tests;
mod verify;
mod write;

pub use error::{Fault, Field, TokenError};
pub use gap::GAP;
pub use hash::Hash32;
pub use id::TokenId;
pub(crate) use id::TokenIds;
pub use seal::{Authority, KnownKeys, Protection, SIGNED_TEXT_LEN, Seal, SealError, Verdict, signed_text};
pub use stamp::{MAX_FUTURE, MAX_NAIVE_FUTURE, Stamp};
pub use state::State;
pub(crate) use write::write_seal;

use sluis_core::data::{Text, Value};

/// What stands before the leaf hash of the entry before, in the last reference of a token of ours.
pub const PREV_PREFIX: &str = "prev:sha256:";

/// What stands before the [header](crate::log::LogHeader) of a log, in the last reference but the link.
pub const HEADER_PREFIX: &str = "log:";

/// A provenance token, borrowed.
///
/// The members are in the reference's order. A token is put together by filling them in; what the hash and the signature
/// are is asked of [`content_hash`](Self::content_hash) and of a [`Seal`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Token<'a> {
    /// Its name, unique within a log.
    pub token_id: Text<'a>,
    /// What kind of thing happened.
    pub action: Text<'a>,
    /// When, in ISO 8601. The reference writes local time without an offset, ours UTC with `+00:00`.
    pub timestamp: Text<'a>,
    /// Who did it.
    pub actor: Text<'a>,
    /// ERIN, what is in it: any value.
    pub erin: Value<'a>,
    /// ERAAN, what it is linked to: an array, of texts as a rule.
    pub eraan: Value<'a>,
    /// EROMHEEN, what was around it: an object.
    pub eromheen: Value<'a>,
    /// ERACHTER, why it happened.
    pub erachter: Text<'a>,
    /// The token from which it follows.
    pub parent_id: Option<Text<'a>>,
    /// Where it is in its life.
    pub state: State,
    /// SHA-256 or HMAC-SHA256 of the members above, as 64 lower-case hex digits; empty when there is none.
    pub content_hash: Text<'a>,
    /// Free text to the reference; ours puts a seal there.
    pub signature: Text<'a>,
    /// Written (and hashed) as one more, last reference of `eraan`: `prev:sha256:` and this hash. Only for writing: of a
    /// token that was read it is `None`, and [`prev`](Self::prev) finds the link in `eraan`.
    pub link: Option<Hash32>,
    /// Written (and hashed) as one more reference of `eraan`, before the link: the header of a log that begins. Only for writing,
    /// as [`link`](Self::link) is; [`log_header`](Self::log_header) finds it.
    pub header: Option<Text<'a>>,
}

impl Default for Token<'_> {
    /// Every text empty, no ERIN, no references, no parent.
    fn default() -> Self {
        Self {
            token_id: Text::EMPTY,
            action: Text::EMPTY,
            timestamp: Text::EMPTY,
            actor: Text::EMPTY,
            erin: Value::NULL,
            eraan: Value::EMPTY_ARRAY,
            eromheen: Value::EMPTY_OBJECT,
            erachter: Text::EMPTY,
            parent_id: None,
            state: State::Created,
            content_hash: Text::EMPTY,
            signature: Text::EMPTY,
            link: None,
            header: None,
        }
    }
}
