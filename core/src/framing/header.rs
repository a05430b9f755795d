//! The eight bytes in front of every TP payload.

use super::{DecodeError, Encoding};
use crate::limits::{HEADER_LEN, MAX_PAYLOAD};

const MAGIC: [u8; 2] = *b"TP";
const VERSION: u8 = 1;
const RESPONSE: u8 = 1;
const MSGPACK: u8 = 1 << 1;
const POSTCARD: u8 = 1 << 2;

/// `"TP"`, version, flags, payload length as big-endian `u32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// A response; otherwise a ping.
    pub response: bool,
    /// How the payload is written.
    pub encoding: Encoding,
    /// Length of the payload in bytes.
    pub len: u32,
}

impl Header {
    /// Read the header of a datagram.
    ///
    /// Unknown flag bits are ignored as in the reference, except where bit 2 makes the frame postcard: there the flags
    /// must be exactly `0x04` or `0x05`.
    ///
    /// # Errors
    /// Short, wrong magic, version or flags, in that order.
    #[inline]
    pub fn parse(datagram: &[u8]) -> Result<Self, DecodeError> {
        let Some(&[m0, m1, version, flags, l0, l1, l2, l3]) = datagram.first_chunk::<HEADER_LEN>() else {
            return Err(DecodeError::TruncatedHeader);
        };
        if [m0, m1] != MAGIC {
            return Err(DecodeError::BadMagic);
        }
        if version != VERSION {
            return Err(DecodeError::BadVersion);
        }
        let encoding = match flags {
            _ if flags & POSTCARD != 0 => {
                if flags & !RESPONSE != POSTCARD {
                    return Err(DecodeError::BadFlags);
                }
                Encoding::Postcard
            }
            _ if flags & MSGPACK != 0 => Encoding::Msgpack,
            _ => Encoding::Json,
        };
        Ok(Self { response: flags & RESPONSE != 0, encoding, len: u32::from_be_bytes([l0, l1, l2, l3]) })
    }

    /// Read the header and cut out the payload. Bytes after the declared length are ignored, as in the reference.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); fewer bytes than declared; more than [`MAX_PAYLOAD`] declared.
    #[inline]
    pub(crate) fn split(datagram: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let header = Self::parse(datagram)?;
        let len = header.len as usize;
        let payload = datagram.get(HEADER_LEN..).and_then(|rest| rest.get(..len));
        let payload = payload.ok_or(DecodeError::TruncatedPayload)?;
        if len > MAX_PAYLOAD {
            return Err(DecodeError::TooLarge);
        }
        Ok((header, payload))
    }

    /// The eight bytes.
    #[must_use]
    #[inline]
    pub const fn to_bytes(self) -> [u8; HEADER_LEN] {
        let encoding = match self.encoding {
            Encoding::Json => 0,
            Encoding::Msgpack => MSGPACK,
            Encoding::Postcard => POSTCARD,
        };
        let [l0, l1, l2, l3] = self.len.to_be_bytes();
        [MAGIC[0], MAGIC[1], VERSION, encoding | self.response as u8, l0, l1, l2, l3]
    }
}
