//! What can be wrong with a frame, and with what somebody asks to be encoded.

use super::sink::Full;
use crate::Reject;

/// Why bytes are not a TP frame, or a text not a value. The categories of the fixture tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
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
    /// A text is not UTF-8.
    #[error("not UTF-8")]
    BadUtf8,
    /// Not one JSON value.
    #[error("not JSON")]
    BadJson,
    /// An integer of more than 4,300 digits (CPython's limit).
    #[error("integer with too many digits")]
    IntTooLong,
    /// Containers nested more than [`MAX_DEPTH`](super::MAX_DEPTH) deep.
    #[error("nested too deep")]
    TooDeep,
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
    /// msgpack ends inside a value.
    #[error("msgpack ends too soon")]
    MsgpackTruncated,
    /// Bytes after the msgpack value.
    #[error("bytes after the msgpack value")]
    MsgpackTrailing,
    /// The reserved msgpack byte.
    #[error("not msgpack")]
    MsgpackFormat,
    /// A msgpack map key that is neither text nor bytes.
    #[error("msgpack map key of the wrong type")]
    MsgpackMapKey,
    /// A msgpack extension that the reference refuses: a code outside 0 to 127, or a timestamp of the wrong length.
    #[error("msgpack extension out of range")]
    MsgpackExt,
    /// Not the postcard form of the packet.
    #[error("not postcard")]
    BadPostcard,
}

impl DecodeError {
    /// The reason under which a machine counts it.
    #[must_use]
    pub const fn reject(self) -> Reject {
        match self {
            Self::TruncatedHeader | Self::BadMagic | Self::BadVersion | Self::BadFlags | Self::TruncatedPayload => {
                Reject::Header
            }
            Self::TooLarge | Self::IntTooLong | Self::TooDeep => Reject::TooLong,
            _ => Reject::Malformed,
        }
    }
}

/// Why a text or bytes are not a [`Value`](super::Value): what is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error} at byte {at}")]
pub struct ValueError {
    /// What is wrong.
    pub error: DecodeError,
    /// Offset in bytes where reading stopped; a string or number that is wrong is named by where it begins.
    pub at: usize,
}

/// Why something cannot be encoded. The caller's own mistake, reported before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The payload of the frame would be longer than [`MAX_PAYLOAD`](crate::limits::MAX_PAYLOAD).
    #[error("the payload would take {len} bytes, a frame has room for 65536")]
    TooLarge {
        /// Length of the payload in bytes, without the frame header.
        len: usize,
    },
    /// The output buffer is too small; `encoded_len` tells what is needed.
    #[error("the output buffer is too small")]
    BufferFull,
    /// The encoding has no form for something in it.
    #[error("{0} cannot be written in this encoding")]
    Unrepresentable(Unrepresentable),
    /// Containers nested deeper than the encoding, or this writer without `alloc`, can follow.
    #[error("nested too deep to be written")]
    TooDeep,
    /// Only without `alloc`: an object with too many members to be put in order on the stack.
    #[error("an object has too many members to be put in order")]
    TooManyMembers,
}

/// What an encoding may have no form for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrepresentable {
    /// A byte string (JSON, postcard).
    Bytes,
    /// A msgpack extension or timestamp (JSON, postcard).
    Extension,
    /// An integer outside of 64 bits (msgpack).
    BigInteger,
    /// A text with a lone surrogate (msgpack, postcard).
    LoneSurrogate,
}

impl core::fmt::Display for Unrepresentable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Bytes => "a byte string",
            Self::Extension => "a msgpack extension",
            Self::BigInteger => "an integer of more than 64 bits",
            Self::LoneSurrogate => "a text with a lone surrogate",
        })
    }
}

impl From<Full> for EncodeError {
    fn from(_: Full) -> Self {
        Self::BufferFull
    }
}
