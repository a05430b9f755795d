//! Values, texts and numbers as they are on the wire: JSON and msgpack as Python reads and writes them, canonical text, and
//! where bytes are written to. It knows no format of ours.
//!
//! What this room promises:
//!
//! - Reading is one pass over borrowed bytes. It allocates nothing, follows no input by recursion, and never panics.
//! - A [`Value`] is checked as a whole when it is read, and looked at only when asked for. Texts ([`Text`]) are unescaped only
//!   when looked at. Numbers ([`Number`]) keep the difference between `1` and `1.0` and integers of any size.
//! - For the same values, writing gives the reference's bytes. What was read from such bytes is copied, not formatted again.
//! - Canonical text ([`canonical`]) is Python's, for any value, streamed into any [`Sink`].
//!
//! ```
//! use sluis_core::data::{Number, Style, Value};
//!
//! let value = Value::from_json(r#"{"celsius": 21.5, "room": "caf\u00e9"}"#)?;
//! assert_eq!(value.get("celsius").and_then(Value::as_number).map(Number::to_f64), Some(21.5));
//! assert_eq!(value.get("room").and_then(Value::as_text).unwrap(), "caf\u{e9}");
//! let mut out = Vec::new();
//! value.write_json(&mut out, Style::WIRE)?;
//! assert_eq!(out, br#"{"celsius":21.5,"room":"caf\u00e9"}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Without `alloc` everything works within fixed stack space; the few writers that must put members in order then have
//! limits, and say so.

pub mod canonical;
#[cfg(feature = "alloc")]
pub(crate) mod cursor;
mod error;
mod exact;
pub mod hex;
pub(crate) mod json;
mod lines;
pub(crate) mod msgpack;
mod number;
mod sink;
mod spill;
#[cfg(test)]
mod tests;
mod text;
mod trusted;
#[cfg(feature = "serde")]
mod typed;
pub(crate) mod value;
mod walk;

pub use canonical::{Member, Order, Separators, Style};
pub use error::{EncodeError, ParseError, Unrepresentable, ValueError};
pub use lines::{Reader, put_inside};
pub use number::{BigInt, Number};
pub use sink::{Counter, FnSink, Full, Sink, SliceSink};
pub use text::{Text, TextChars, TextError};
#[cfg(feature = "serde")]
pub use typed::TypedError;
#[cfg(feature = "alloc")]
pub use value::ValueBuf;
pub use value::{MAX_DEPTH, Tokens, Value, ValueToken};
