//! Relaying: what a node does with a ping for somebody else, and with the answer to it.
//!
//! What this room promises:
//!
//! - **An answer finds its way back.** The [`Relay`] remembers over whom a ping came, and gives the answer back to him: also one that comes
//!   from a reference node, and only one that was asked for, from whom it was asked of.
//! - **No loop.** A ping is passed on once, however often it comes; never back to where it came from; and over no more hops than both
//!   its own `max_hops` and ours allow.
//! - **Nobody is taken for somebody else.** What counts as passed on already is recognised by sender, signatures and all that it says: who
//!   knows the id or the signature of a ping cannot have it dropped.
//! - **Never everyone.** A ping goes to the target itself, to its record, to a hop that was learned, and else to the few
//!   [neighbours](Relay::set_neighbour) with the best score. A way without an answer is avoided by whoever had none.
//! - **Only for who is let in**, within quotas for each source, each target and each link: one that sends too much takes nothing from
//!   others.
//! - **No amplifier.** An address that has proven nothing is sent at most three times what came from there. Where a [neighbour](Relay::set_neighbour) is the operator says, and a
//!   reservation is given to who has shown where he is: to them goes what there is.
//! - **Sessions pass unread.** A [circuit](CircuitPacket) carries frames of a session: the relay reads a label and a number of hops.
//! - **Who changed a packet can be named**: [`trace`].
//! - **Bounded.** Tables have caps ([`RelayConfig`]) and hold keyed hashes, no texts. Passing on allocates nothing once they have grown.
//!
//! The room does no I/O and knows no node. Here a hub passes a ping on, and its answer back:
//!
//! ```
//! use sluis_core::framing::{Decision, Encoding, Packet, Response, RoutingMode, Text, Zone};
//! use sluis_core::relay::{Relay, RelayConfig, RelayReject, Transit, Way};
//! use sluis_core::{Instant, Path, Seed};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let now = Instant::ZERO;
//! let mut hub = Relay::new(RelayConfig::default(), &mut Seed::from_u64(1).fork("relay")); // in production: a seed of the system's
//! let (sensor, display) = (Path::to("192.0.2.1:7150".parse()?), Path::to("192.0.2.2:7150".parse()?));
//!
//! let ping = Packet {
//!     packet_id: Text::new("ping_1"),
//!     source_did: Text::new("jis:sensor"),
//!     target_did: Text::new("jis:display"),
//!     routing_mode: RoutingMode::Mesh,
//!     ..Packet::default()
//! };
//! let transit =
//!     Transit { packet: &ping, from: sensor, len: 400, zone: Zone::Groen, proven: true, peer: Some(display), peer_proven: true, recorded: None, room: None };
//! let forward = hub.forward(now, &transit)?;
//! assert_eq!((forward.to(), forward.way(), forward.hop_count()), (&[display][..], Way::Peer, 1));
//! let mut out = [0; 1500];
//! let frame = forward.encode(&ping, Encoding::Json, &mut out)?; // goes to all of `forward.to()`
//! # assert!(frame > 0);
//! assert_eq!(hub.forward(now, &transit), Err(RelayReject::Duplicate));
//!
//! let answer = Response {
//!     in_response_to: ping.packet_id,
//!     responder_did: ping.target_did,
//!     decision: Decision::Accept,
//!     ..Response::default()
//! };
//! assert_eq!(hub.answer(now, display, &answer)?.to(), [sensor]);
//! assert_eq!(hub.answer(now, display, &answer), Err(RelayReject::Unrequested));
//! # Ok(())
//! # }
//! ```
//!
//! Source: `tibet_iot` 0.1.1 (`relay.py`, `node.py`). There an answer is never passed back, a ping goes to everyone, its own limit of
//! hops counts for nothing, and who knows its id can have it dropped; `core/tests/deviations.toml` lists the fixtures. A reference relay
//! takes off all that it does not know: proofs, and traces.

mod carried;
mod circuit;
mod config;
mod credit;
mod faults;
#[cfg(test)]
mod mesh_tests;
mod names;
mod neighbours;
mod open;
mod quota;
mod recent;
mod reject;
#[expect(clippy::module_inception, reason = "the room is named like the machine in it")]
mod relay;
mod reserve;
mod routes;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_strangers;
mod told;
pub mod trace;

pub(crate) use carried::peek_answered;
pub use carried::{ANSWER_INTENT, pack_answer, unpack_answer};
pub(crate) use circuit::enters_circuit;
pub use circuit::{CIRCUIT_HEAD, CircuitPacket, Label};
pub use config::{MAX_FANOUT, Rate, RelayConfig};
pub(crate) use faults::Faults;
pub use reject::{RelayReject, RelayRejects};
pub use relay::Relay;
pub use reserve::ReserveError;
pub use told::{Back, Forward, RelayStats, Transit, Way};
