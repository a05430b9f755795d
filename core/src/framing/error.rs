//! What can be wrong with a frame.

use crate::Reject;
use crate::data::ParseError;

/// Why bytes are not a TP frame. The categories of the fixture tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer than eight bytes.
    #[error("shorter than a frame header")]
    TruncatedHeader,
    /// Does not start with `TP`.
    #[error("does not start with the magic bytes")]
    BadMagic,
    /// Another version than 1.
    #[error("unknown frame version")]
    BadVersion,
    /// Flag bit 2 together with anything but bit 0. Ours only: the reference ignores flags that it does not know.
    #[error("unknown frame flags")]
    BadFlags,
    /// Fewer payload bytes than the header declares.
    #[error("shorter than the header says")]
    TruncatedPayload,
    /// The header declares more than [`MAX_PAYLOAD`](crate::limits::MAX_PAYLOAD). The reference checks that only when it
    /// encodes.
    #[error("payload over the limit")]
    TooLarge,
    /// The payload, or a member of it, is not a value.
    #[error(transparent)]
    Value(#[from] ParseError),
    /// The payload is a value, but not an object.
    #[error("not an object")]
    WrongContainer,
    /// A field that has no default is missing.
    #[error("a field is missing")]
    MissingField,
    /// A field of a closed set holds something else.
    #[error("unknown ping type, priority, routing mode or decision")]
    BadEnum,
    /// A field holds a value of another type. Ours only: the reference passes it on.
    #[error("a field has the wrong type")]
    Mistyped,
    /// Not the postcard form of the packet.
    #[error("not postcard")]
    BadPostcard,
}

/// The reason under which a machine counts it.
impl From<DecodeError> for Reject {
    fn from(why: DecodeError) -> Self {
        use DecodeError as Why;
        match why {
            Why::TruncatedHeader | Why::BadMagic | Why::BadVersion | Why::BadFlags | Why::TruncatedPayload => {
                Self::Header
            }
            Why::TooLarge | Why::Value(ParseError::TooLarge | ParseError::IntTooLong | ParseError::TooDeep) => {
                Self::TooLong
            }
            _ => Self::Malformed,
        }
    }
}
