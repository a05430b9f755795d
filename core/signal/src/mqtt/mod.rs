//! MQTT 3.1.1 (OASIS, 2014): the codec, both ways.
//!
//! - **Borrowed and bounded.** [`decode`] takes the first packet of some bytes apart without copying. [`Reader`] puts packets together that
//!   arrive in pieces: it looks at the length before it keeps a byte, refuses what is longer than it was told to take, and
//!   holds no more memory than bytes have arrived for the packet. Any chunking gives the same packets.
//! - **Strict.** What the standard calls malformed is an error with a name, from reserved flags to wildcards in the topic of
//!   a message. A broker that sends such a thing is not listened to any further.
//! - **Written into the caller's buffer**, by the functions in [`encode`].
//!
//! ```
//! use sluis_signal::mqtt::{MAX_PACKET, Packet, Publish, Qos, decode, encode};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let said = Publish { topic: "a/b", payload: b"hello", id: Some(2), retain: false, duplicate: false };
//! let mut wire = [0; 64];
//! let len = encode::publish(&said, &mut wire)?;
//! assert_eq!(decode(&wire[..len - 1], MAX_PACKET)?, None, "not all there yet");
//! let (packet, taken) = decode(&wire, MAX_PACKET)?.expect("a packet");
//! assert_eq!((packet, taken), (Packet::Publish(said), len));
//! # Ok(())
//! # }
//! ```

mod decode;
pub mod encode;
mod reader;
mod types;

pub use decode::decode;
pub use encode::EncodeError;
pub use reader::Reader;
pub use types::{Connect, DecodeError, Filters, Packet, Publish, Qos, Will};

/// The longest packet that is taken unless told otherwise, header included, in bytes. The standard allows 256 MiB.
pub const MAX_PACKET: usize = 128 * 1024;

/// What a SUBACK says of a subscription that was refused.
pub const SUBSCRIPTION_REFUSED: u8 = 0x80;
