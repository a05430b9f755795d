//! What can be wrong with an envelope or a statement.

use crate::token::TokenError;
use sluis_core::data::EncodeError;

/// An envelope cannot be read, or does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not a JSON object.
    #[error("it is not a JSON object")]
    NotJson,
    /// A member that must be there is not, or is of another type.
    #[error("its member {0} is missing or of the wrong type")]
    Member(&'static str),
    /// A member is not Base64: the standard or the URL-safe alphabet, with padding.
    #[error("its member {0} is not Base64")]
    Base64(&'static str),
    /// More signatures than [`MAX_SIGNATURES`](super::MAX_SIGNATURES).
    #[error("it has more than 64 signatures")]
    TooManySignatures,
    /// No keys, or more signers were asked for than there are keys.
    #[error("{threshold} signers cannot be found among {keys} keys")]
    Threshold {
        /// Different keys.
        keys: usize,
        /// Signers asked for.
        threshold: usize,
    },
    /// Fewer of the keys signed than were asked for.
    #[error("{found} of the known keys signed it, and {threshold} must")]
    Unverified {
        /// Different keys whose signature holds.
        found: usize,
        /// Signers asked for.
        threshold: usize,
    },
    /// What was signed is not an in-toto statement.
    #[error("its payload is not an in-toto statement")]
    PayloadType,
}

/// Lines make no statement, or a statement is not one of ours. Lines count from 1, in the order in which they were
/// given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// A line is no token.
    #[error("line {line} is no token: {error}")]
    Token {
        /// Which.
        line: usize,
        /// What is wrong with it.
        error: TokenError,
    },
    /// The content hash of a token is not that of its members (under this key).
    #[error("the content hash of line {line} is wrong")]
    ContentHash {
        /// Which.
        line: usize,
    },
    /// A token of a workload is not as those are.
    #[error("{member} of line {line} is not as the tokens of workloads have it")]
    Malformed {
        /// Which.
        line: usize,
        /// What of it.
        member: &'static str,
    },
    /// A token does not follow the one before it in its workload: one is missing, moved, repeated or changed.
    #[error("line {line} does not follow the token before it in its workload")]
    OutOfOrder {
        /// Which.
        line: usize,
    },
    /// There is no token of a workload, or of the one that was asked for.
    #[error("there is no such workload in these lines")]
    NoWorkload,
    /// Several workloads, and none was asked for.
    #[error("there are several workloads in these lines: name one")]
    Several,
    /// A payload is not a statement of ours.
    #[error("it is not a statement about a workload")]
    NotOurs,
    /// A statement says something else than the tokens in it.
    #[error("it says something else than its own tokens")]
    Differs,
    /// Something has no JSON form.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
