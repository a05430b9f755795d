//! The TP wire format: frames and the two packets in them, in JSON, msgpack and postcard.
//!
//! What this room promises:
//!
//! - Decoding is one pass over borrowed bytes. It allocates nothing, follows no input by recursion, never panics, and
//!   accepts what the reference accepts, save for the deviations in `tests/deviations.toml`.
//! - Free-form members ([`Value`]) are checked as a whole when they are decoded, and read only when asked for.
//! - For the same values, encoding writes the reference's bytes, into the caller's buffer. What was decoded from such
//!   bytes is copied, not formatted again.
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
//!     proof: None,
//! };
//! let mut out = [0; 1500];
//! let len = answer.encode(encoding, &mut out)?;
//! assert_eq!(Frame::decode(&out[..len])?.message, Message::Response(answer));
//! # Ok(())
//! # }
//! ```

mod error;
mod frame;
mod header;
mod json;
mod msgpack;
mod postcard;
mod proof;
#[cfg(test)]
mod proof_tests;
mod schema;
#[cfg(test)]
mod tests;
mod types;

pub use error::DecodeError;
pub use frame::{Frame, Message};
pub use header::Header;
pub use proof::{Digest, PingSignatures, Proof, ProofError, SigningError};
pub use schema::{Packet, Response};
pub use types::{Decision, Encoding, PingType, Priority, RoutingMode, Zone};

// What the members of packets are made of.
#[cfg(feature = "alloc")]
pub use crate::data::ValueBuf;
pub use crate::data::{EncodeError, Number, ParseError, Text, TextError, Value, ValueError};
