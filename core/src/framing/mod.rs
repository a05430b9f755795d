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
//! Without `alloc` everything works within fixed stack space; the few writers that must put members in order then have
//! limits, and say so.

pub mod canonical;
mod error;
mod frame;
mod header;
pub mod hex;
mod json;
mod msgpack;
mod number;
mod packet;
mod postcard;
mod sink;
mod spill;
#[cfg(test)]
mod tests;
mod text;
#[cfg(feature = "alloc")]
mod trusted;
mod types;
mod value;
mod walk;

pub use canonical::{Member, Order, Separators, Style};
pub use error::{DecodeError, EncodeError, Unrepresentable, ValueError};
pub use header::Header;
pub use number::{BigInt, Number};
pub use packet::{Frame, Message, Packet, Response};
pub use sink::{Counter, FnSink, Full, Sink, SliceSink};
pub use text::{Text, TextChars, TextError};
pub use types::{Decision, Encoding, PingType, Priority, RoutingMode, Zone};
#[cfg(feature = "alloc")]
pub use value::ValueBuf;
pub use value::{MAX_DEPTH, Token, Tokens, Value};
