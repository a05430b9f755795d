//! From datagrams to packets and back, in whatever encoding.

use super::error::DecodeError;
use super::header::Header;
use super::schema::{Packet, Response};
use super::types::Encoding;
use crate::data::{Counter, EncodeError, Order, Separators, Sink, SliceSink, Style, canonical};
use crate::limits::{HEADER_LEN, MAX_PAYLOAD};

/// What a TP frame holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message<'a> {
    /// A ping.
    Packet(Packet<'a>),
    /// An answer.
    Response(Response<'a>),
}

/// A decoded TP frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame<'a> {
    /// How it was written, and how an answer to it must be written.
    pub encoding: Encoding,
    /// What it holds.
    pub message: Message<'a>,
}

impl<'a> Frame<'a> {
    /// Decode a TP frame. Bytes after its declared length are ignored, as in the reference.
    ///
    /// The packet borrows from `datagram`; free-form members are checked but neither copied nor turned into trees.
    /// Texts are not limited in length here.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, payload) = Header::split(datagram)?;
        match (header.encoding, header.response) {
            (Encoding::Json, false) => Packet::read_json(payload),
            (Encoding::Json, true) => Response::read_json(payload),
            (Encoding::Msgpack, false) => Packet::read_msgpack(payload),
            (Encoding::Msgpack, true) => Response::read_msgpack(payload),
            (Encoding::Postcard, false) => Packet::read_postcard(payload),
            (Encoding::Postcard, true) => Response::read_postcard(payload),
        }
    }
}

impl Message<'_> {
    /// Encode as a whole frame, header included, at the start of `out`; how many bytes it took.
    ///
    /// # Errors
    /// As [`Packet::encode`].
    pub fn encode(&self, encoding: Encoding, out: &mut [u8]) -> Result<usize, EncodeError> {
        match self {
            Self::Packet(packet) => packet.encode(encoding, out),
            Self::Response(response) => response.encode(encoding, out),
        }
    }
}

macro_rules! frames {
    ($($packet:ident: $response:literal),+) => { $(
        impl $packet<'_> {
            /// Encode as a whole frame, header included, at the start of `out`; how many bytes it took.
            ///
            /// # Errors
            /// The payload is over the limit, `out` is too small, or the encoding has no form for something in the packet.
            #[inline]
            pub fn encode(&self, encoding: Encoding, out: &mut [u8]) -> Result<usize, EncodeError> {
                let mut sink = begin(out)?;
                let written = self.write(encoding, &mut sink);
                finish(sink, written, Header { response: $response, encoding, len: 0 }, || self.encoded_len(encoding))
            }

            /// How many bytes [`encode`](Self::encode) takes.
            ///
            /// # Errors
            /// As [`encode`](Self::encode), except for the buffer.
            pub fn encoded_len(&self, encoding: Encoding) -> Result<usize, EncodeError> {
                let mut counter = Counter::default();
                self.write(encoding, &mut counter)?;
                frame_len(counter.count())
            }

            /// Write the payload of a frame.
            #[inline]
            fn write(&self, encoding: Encoding, sink: &mut impl Sink) -> Result<(), EncodeError> {
                match encoding {
                    Encoding::Json => self.write_json(sink),
                    Encoding::Msgpack => self.write_msgpack(sink),
                    Encoding::Postcard => self.write_postcard(sink),
                }
            }
        }
    )+ };
}

frames!(Packet: false, Response: true);

impl Packet<'_> {
    /// Write the canonical text that a signature covers: eight members, sorted by key at every level.
    ///
    /// It leaves out purpose, routing and hops, as in the reference.
    ///
    /// # Errors
    /// As [`canonical::write`](canonical::write()).
    pub fn signature_payload(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let members = [
            ("intent", self.intent.into()),
            ("nonce", self.nonce.into()),
            ("packet_id", self.packet_id.into()),
            ("payload", self.payload.into()),
            ("ping_type", self.ping_type.as_str().into()),
            ("source_did", self.source_did.into()),
            ("target_did", self.target_did.into()),
            ("timestamp", self.timestamp.into()),
        ];
        canonical::write_object(sink, &members, Style { separators: Separators::Compact, order: Order::ByKey })
    }
}

/// Leave room for the header.
#[inline]
fn begin(out: &mut [u8]) -> Result<SliceSink<'_>, EncodeError> {
    let mut sink = SliceSink::new(out);
    sink.put(&[0; HEADER_LEN])?;
    Ok(sink)
}

/// Fill in the header. A buffer that was too small for a payload that is too large in any case is not to blame.
#[inline]
fn finish(
    mut sink: SliceSink<'_>,
    written: Result<(), EncodeError>,
    header: Header,
    encoded_len: impl FnOnce() -> Result<usize, EncodeError>,
) -> Result<usize, EncodeError> {
    if let Err(error) = written {
        if error == EncodeError::BufferFull {
            encoded_len()?;
        }
        return Err(error);
    }
    let len = frame_len(sink.len() - HEADER_LEN)?;
    let header = Header { len: u32::try_from(len - HEADER_LEN).unwrap_or(u32::MAX), ..header };
    sink.patch(0, &header.to_bytes());
    Ok(len)
}

#[inline]
const fn frame_len(payload: usize) -> Result<usize, EncodeError> {
    if payload > MAX_PAYLOAD { Err(EncodeError::TooLarge { len: payload }) } else { Ok(HEADER_LEN + payload) }
}
