//! Traces: who a packet went over, signed by each, and who of them changed it.
//!
//! What this room promises:
//!
//! - **Each hop signs** who it is, when it was, a digest of what it received and of what it passed on, and the hash of the record before
//!   ([`append()`]). The answer goes on where the ping ended: who asked reads the whole way, there and back.
//! - **A tamperer who signs is named, an honest hop never** ([`verify()`]): named is only who signed what an honest hop never signs, or who
//!   sent us something else than he signed. Two who work together can only have one of themselves named.
//! - **Who does not sign is a gap and no culprit**: reference relays take traces off, and what is changed in a gap is told as being between
//!   two who signed.
//! - **Bounded**: a trace stays within a [`budget`], so that it fits into the datagram of its packet. What is over that is folded: records that
//!   fit go, and are bound by the hash in the next one.
//!
//! A trace stands behind the frame, where the reference does not look:
//!
//! ```text
//! trace    "TR" 2 · version 1 · count u8 · length u16 of the records · records
//! record   flags u8 · hop u8 · depth u8 · length of the name - 1, u8 · microseconds since 1970 u64 · link 16 · received 32
//!          · passed on 32, only with the flags 2 or 16 · name · Ed25519 64 over "sluis trace", four zeros, 1, and the record before it
//! flags    1 source · 2 answered · 4 came from somebody who did not sign last · 8 came from who signed last, and does not fit · 16 changed
//! ```
//!
//! `link` is the first 16 bytes of SHA-256 over the record before, `depth` the number of records before, folded ones included.
//!
//! ```
//! use sluis_core::framing::{Packet, RoutingMode, Text};
//! use sluis_core::identity::SecretKey;
//! use sluis_core::relay::trace::{Deed, Known, Trace, append, budget, ping_digest, verify};
//! use sluis_core::{Seed, Wall};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let mut rng = Seed::from_u64(1).fork("keys"); // in production: a seed of the system's
//! let (sensor, relay) = (SecretKey::generate(&mut rng), SecretKey::generate(&mut rng));
//! let (now, mut scratch) = (Wall::from_secs(1_764_400_000), [0; 1500]);
//! let ping = Packet { source_did: Text::new("jis:sensor"), purpose: Text::new("to know"), ..Packet::default() };
//!
//! let sent = ping_digest(&ping, &mut scratch)?;
//! let mut first = [0; 1232];
//! let len = append(None, ("jis:sensor", now), &Deed::Asked { ping: &sent }, &sensor, budget(300), &mut first)?.len;
//! let trace = Trace::read(&first[..len]);
//!
//! // A relay that changes the packet has to say so, or something that does not fit.
//! let changed = ping_digest(&Packet { purpose: Text::new("to sell"), ..ping }, &mut scratch)?;
//! let deed = Deed::Passed { received: &sent, passed: &changed, hop_count: Some(0), from: None };
//! let mut second = [0; 1232];
//! let len = append(trace, ("jis:relay", now), &deed, &relay, budget(300), &mut second)?.len;
//!
//! let keys = |did: &str| match did {
//!     "jis:sensor" => Some(sensor.public()),
//!     "jis:relay" => Some(relay.public()),
//!     _ => None,
//! };
//! let known = Known { arrived: &changed, hop_count: Some(1), from: None, asked: None, responder: None };
//! let report = verify(Trace::read(&second[..len]), &known, keys);
//! assert_eq!(report.first().and_then(|tampered| tampered.relay), Some("jis:relay"));
//! # Ok(())
//! # }
//! ```

mod append;
#[cfg(any(test, feature = "sim"))]
mod forge;
mod record;
#[cfg(test)]
mod tests;
mod verify;

pub use append::{Appended, Deed, Misfit, TraceError, append, budget, ping_digest, response_digest};
#[cfg(feature = "sim")]
pub(crate) use forge::lie;
#[cfg(feature = "sim")]
pub(crate) use record::flag;
pub use record::{MARK, MAX_RECORDS, Record, Trace};
pub(crate) use verify::verify_with;
pub use verify::{Field, Hop, Known, Report, Tampered, Verdict, verify};
