//! Signalling over a pool of MQTT brokers, on the wire of `sidewire`.
//!
//! Peers who know each other's public key exchange small messages over brokers that neither of them runs or trusts. Both put the brokers
//! of a pool into the same order for a key, so they meet without asking anybody.
//!
//! | module | what it is |
//! |---|---|
//! | [`key`] | secp256k1 keys, and the curve for [handshakes](sluis_core::noise) |
//! | `pool` (feature `std`) | which brokers there are, from a file |
//! | [`rank`] | rendezvous hashing: the order of the brokers for a key |
//! | [`envelope`] | the signed messages of the reference, decoded without a copy |
//! | [`mqtt`] | MQTT 3.1.1: the codec |
//! | [`sealed`] | sessions between nodes of ours: nobody on the way reads, changes or replays |
//! | [`broker`] | one broker as a machine: joined, paced, found out when dead, tried again for ever |
//! | [`delivery`] | acknowledged is handed over exactly once, in order; every send ends |
//! | [`rendezvous`] | messages to keys, over whatever brokers live: all of the above as one machine |
//! | [`server`] | a small broker, which may be told to misbehave |
//! | [`text`] | what becomes of a text at peers that run the reference |
//!
//! ```
//! use sluis_core::Seed;
//! use sluis_signal::envelope::{Content, Kind, Unverified};
//! use sluis_signal::key::SecretKey;
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let alice = SecretKey::generate(&mut Seed::from_u64(1).fork("key")); // in production: a seed of the system's
//! let said = Content { queue: [7; 32], seq: 0, timestamp: 1_736_942_400, kind: Kind::Message as u8, body: b"hello" };
//! let mut wire = [0; 256];
//! let len = said.sign(&alice, &mut wire)?;
//! let heard = Unverified::parse(&wire[..len])?.verify()?;
//! assert_eq!((heard.source, heard.content.body), (alice.public(), &b"hello"[..]));
//! # Ok(())
//! # }
//! ```
//!
//! Without the feature `std` (default) the crate needs `alloc` only.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod broker;
#[cfg(feature = "sim")]
pub mod conformance;
pub mod delivery;
pub mod envelope;
mod faults;
pub mod key;
pub mod mqtt;
mod pace;
#[cfg(feature = "std")]
pub mod pool;
pub mod rank;
pub mod rendezvous;
mod row;
pub mod sealed;
mod seconds;
pub mod server;
pub mod text;

#[cfg(feature = "sim")]
pub use faults::Fault;
