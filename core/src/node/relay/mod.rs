//! A node as a relay, and the traces of what goes over relays.
//!
//! It composes [`relay`](crate::relay) and its [traces](crate::relay::trace) into the node. What it promises:
//!
//! * **A ping for somebody else is passed on, and its answer back**, where the node is told to be a relay ([`NodeConfig::relay`](super::NodeConfig::relay)). It is judged as any
//!   other: what the gate turns away, what is stale and what is badly signed goes nowhere. Who is let in, or [named](Node::relay_for) as somebody to relay for, is served.
//! * **What is turned away is counted** with all else that is, and by its own reasons in [`Node::relay_stats`].
//! * **A relay without a key passes on legacy packets only**: pings that are neither signed nor traced, and their answers.
//! * **Others are not crowded out**: what is passed on finds the room in the queue that strangers share, and never what is kept for who is better known.
//! * **Who a packet went over is no peer by that**, nor is who it is from: neither has shown to be at the address that it came from.
//! * **A ping that bears a trace is traced on**: by each relay with a key, and by who answers it. Whoever it ends at verifies it and [tells](super::Event::Trace).
//! * **Who holds a reservation is found**: a node asks a relay for one through a session, as long as both run, and pings for it go where that session is.
//! * **A node without a relay has none of its tables**, and one that hears no traces nothing of theirs.

mod command;
mod news;
mod reserving;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_bounds;
#[cfg(test)]
mod tests_mesh;
#[cfg(test)]
pub(in crate::node) mod tests_net;
#[cfg(test)]
mod tests_reserving;
#[cfg(test)]
mod tests_unproven;
mod traces;
mod transit;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

pub use self::command::{RelayCommand, RelayError};
pub use self::news::{PathHop, Tampering, TraceNews};
pub use self::reserving::{RESERVE, Reservation};
pub(super) use self::reserving::{Reserving, asks, lasts};
pub(super) use self::traces::{Own, Traces, answer, begin};
use super::identity::Budget;
use super::{Node, NodeConfig};
use crate::airlock::LegacyList;
use crate::relay::{Relay, RelayStats};
use crate::seed::Seed;
#[cfg(feature = "sim")]
use crate::time::Instant;
use crate::{Path, check_did};

/// The rooms of a relay.
#[derive(Debug)]
pub(super) struct Relaying {
    relay: Relay,
    /// For whom it relays although nobody knows them.
    sources: LegacyList,
    /// Neighbours by name: a ping for one of them goes to it.
    neighbours: BTreeMap<Box<str>, Path>,
    /// How many signatures may be verified of what neighbours send, when those of all others are used up.
    verifications: Budget<1>,
    /// Where packets are written whose digests traces bear.
    scratch: Vec<u8>,
}

impl Relaying {
    pub(super) fn new(config: &NodeConfig, seed: &Seed) -> Option<Box<Self>> {
        let relay = Relay::new(**config.relay.as_ref()?, &mut seed.fork("node.relay"));
        let (sources, neighbours, scratch) = (LegacyList::default(), BTreeMap::new(), Vec::new());
        let verifications = Budget::new(config.caps.verifications);
        Some(Box::new(Self { relay, sources, neighbours, verifications, scratch }))
    }

    /// Whether the operator has named somebody at this address.
    fn knows(&self, path: &Path) -> bool {
        self.neighbours.values().any(|neighbour| neighbour.same_remote(path))
    }

    pub(super) const fn room(&self) -> &Relay {
        &self.relay
    }

    pub(super) const fn room_mut(&mut self) -> &mut Relay {
        &mut self.relay
    }
}

/// What the operator tells a relay.
impl Node {
    fn relaying(&mut self) -> Result<&mut Relaying, RelayError> {
        self.rooms.relaying.as_deref_mut().ok_or(RelayError::Off)
    }

    /// Relay also for names that match this pattern and are unknown otherwise, or would have to wait. Who is kept out by trust or a rule is not relayed for, and who has a pinned key
    /// has to sign with it.
    ///
    /// # Errors
    /// [`RelayError::Off`], [`RelayError::Pattern`].
    pub fn relay_for(&mut self, pattern: &str) -> Result<(), RelayError> {
        Ok(self.relaying()?.sources.allow(pattern)?)
    }

    /// Take such a pattern back. It must be the same text.
    ///
    /// # Errors
    /// [`RelayError::Off`], [`RelayError::Unknown`].
    pub fn stop_relaying_for(&mut self, pattern: &str) -> Result<(), RelayError> {
        if self.relaying()?.sources.disallow(pattern) { Ok(()) } else { Err(RelayError::Unknown) }
    }

    /// Name somebody who passes pings on, and where; `score` says how good he is, 0 to 1. Pings in his own name go there, too, as long as he is no peer elsewhere.
    ///
    /// # Errors
    /// [`RelayError::Off`], [`RelayError::Did`], [`RelayError::OwnName`], [`RelayError::TooManyNeighbours`].
    pub fn set_neighbour(&mut self, did: &str, path: Path, score: f64) -> Result<(), RelayError> {
        check_did(did)?;
        if did == self.config.did.as_str() {
            return Err(RelayError::OwnName);
        }
        let relaying = self.relaying()?;
        let max = relaying.relay.config().max_neighbours;
        let full = relaying.neighbours.len() >= max && !relaying.neighbours.contains_key(did);
        if full || !relaying.relay.set_neighbour(did, path, score) {
            return Err(RelayError::TooManyNeighbours(max));
        }
        relaying.neighbours.insert(did.into(), path);
        Ok(())
    }

    /// He passes nothing on any more.
    ///
    /// # Errors
    /// [`RelayError::Off`], [`RelayError::Unknown`].
    pub fn remove_neighbour(&mut self, did: &str) -> Result<(), RelayError> {
        let relaying = self.relaying()?;
        relaying.relay.remove_neighbour(did);
        relaying.neighbours.remove(did).map(|_| ()).ok_or(RelayError::Unknown)
    }

    /// As if something that this name signed had come over this hop, and had been verified: what gossip of records teaches.
    #[cfg(feature = "sim")]
    pub(crate) fn hear_of(&mut self, now: Instant, did: &str, via: Path, hops: u8) {
        if let Some(relaying) = self.rooms.relaying.as_deref_mut() {
            relaying.relay.learn(now, did, via, hops);
        }
    }

    /// What the relay has done, and what it holds; `None` where there is none.
    #[must_use]
    pub fn relay_stats(&self) -> Option<RelayStats> {
        self.rooms.relaying.as_ref().map(|relaying| relaying.relay.stats())
    }
}
