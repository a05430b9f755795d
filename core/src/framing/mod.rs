//! The TP wire format: frames, the two packets in them, and canonical text.
//!
//! What this room promises:
//!
//! - Decoding is one pass over borrowed bytes. It allocates nothing, follows no input by recursion, never panics, and
//!   accepts what the reference accepts, save for the deviations in `tests/deviations.toml`.
//! - Free-form members ([`Value`]) are checked as a whole when they are decoded, and read only when asked for. Texts
//!   ([`Text`]) are unescaped only when looked at. Numbers ([`Number`]) keep the difference between `1` and `1.0` and
//!   integers of any size.
//! - For the same values, encoding writes the reference's bytes, into the caller's buffer. What was decoded from such
//!   bytes is copied, not formatted again.
//! - Canonical text ([`canonical`]) is Python's, for any value, streamed into any [`Sink`].
//!
//! ```
//! use sluis_core::framing::{Decision, Encoding, Frame, Message, Number, Response, Text, Value};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! # let text = br#"{"packet_id":"ping_1","source_did":"jis:sensor","target_did":"jis:hub","ping_type":"intent",
//! #   "priority":2,"routing_mode":"direct","intent":"temperature.report","purpose":"","payload":{"celsius":21.5}}"#;
//! # let mut datagram = vec![b'T', b'P', 1, 0];
//! # datagram.extend(u32::try_from(text.len())?.to_be_bytes());
//! # datagram.extend(text);
//! let Frame { encoding, message: Message::Packet(ping) } = Frame::decode(&datagram)? else { return Ok(()) };
//! assert_eq!(ping.intent, "temperature.report");
//! let celsius = ping.payload.get("celsius").and_then(Value::as_number).map(Number::to_f64);
//! assert_eq!(celsius, Some(21.5));
//!
//! let answer = Response {
//!     response_id: Text::new("resp_1"),
//!     in_response_to: ping.packet_id,
//!     responder_did: Text::new("jis:hub"),
//!     decision: Decision::Accept,
//!     payload: Value::from_json(r#"{"stored": true}"#)?,
//!     capabilities: Value::EMPTY_ARRAY,
//!     trust_score: Number::Float(0.9),
//!     fira_breakdown: Value::EMPTY_OBJECT,
//!     tibet_token_id: None,
//!     timestamp: Text::new("2025-01-15T12:00:00+00:00"),
//!     rtt_ms: None,
//!     airlock_zone: Text::new("GROEN"),
//!     applied_rule: None,
//! };
//! let mut out = [0; 1500];
//! let len = answer.encode(encoding, &mut out)?;
//! assert_eq!(Frame::decode(&out[..len])?.message, Message::Response(answer));
//! # Ok(())
//! # }
//! ```
//!
//! Without `alloc` everything works within fixed stack space; the few writers that must put members in order then have
//! limits, and say so.

pub mod canonical;
mod error;
mod fields;
mod frame;
mod header;
pub mod hex;
mod json;
mod lines;
mod msgpack;
mod number;
mod packet;
mod postcard;
mod sink;
mod spill;
#[cfg(test)]
mod tests;
mod text;
mod trusted;
#[cfg(feature = "serde")]
mod typed;
mod types;
mod value;
mod walk;

pub use canonical::{Member, Order, Separators, Style};
pub use error::{DecodeError, EncodeError, Unrepresentable, ValueError};
pub use header::Header;
pub use lines::{Reader, put_inside};
pub use number::{BigInt, Number};
pub use packet::{Frame, Message, Packet, Response};
pub use sink::{Counter, FnSink, Full, Sink, SliceSink};
pub use text::{Text, TextChars, TextError};
#[cfg(feature = "serde")]
pub use typed::TypedError;
pub use types::{Decision, Encoding, PingType, Priority, RoutingMode, Zone};
#[cfg(feature = "alloc")]
pub use value::ValueBuf;
pub use value::{MAX_DEPTH, Token, Tokens, Value};
