//! What can be wrong with a text or bytes that should be a value, and with what somebody asks to be written.

use super::sink::Full;

/// Why a text or bytes are not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Longer than any format of ours carries: 64 KiB of msgpack, 4 GiB of text.
    #[error("too long")]
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
}

/// Why a text or bytes are not a [`Value`](super::Value): what is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error} at byte {at}")]
pub struct ValueError {
    /// What is wrong.
    pub error: ParseError,
    /// Offset in bytes where reading stopped; a string or number that is wrong is named by where it begins.
    pub at: usize,
}

/// Why something cannot be encoded. The caller's own mistake, reported before anything is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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
