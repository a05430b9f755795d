//! What a relay is told, and what it tells: pings, where they go, where answers go back to, and what was done.

use super::config::MAX_FANOUT;
use super::open::MOST_ALIKE;
use super::reject::RelayRejects;
use crate::Path;
use crate::framing::{EncodeError, Encoding, Packet, Zone};

/// A ping for somebody else, with all that a relay has to be told about it.
#[derive(Clone, Copy, Debug)]
pub struct Transit<'a> {
    /// The ping, decoded.
    pub packet: &'a Packet<'a>,
    /// Where it came from.
    pub from: Path,
    /// Where the airlock puts its source. Only what is [`Zone::Groen`] goes on.
    pub zone: Zone,
    /// Whether its source was proven: by a proof under the key that is pinned to it, or by the session it came through. Only from
    /// proven sources next hops are learned; the others share what they [may use up](super::RelayConfig).
    pub proven: bool,
    /// How many bytes of answers may go to where it came from: three times what came, where that address has not proven itself; else
    /// `None`.
    pub room: Option<usize>,
    /// How many bytes it came in. It goes to an address that has proven nothing only if so many may be sent there.
    pub len: usize,
    /// Where the target is as a peer, if it is one that is not stale.
    pub peer: Option<Path>,
    /// Whether that address has proven to be the peer's.
    pub peer_proven: bool,
    /// Where the record of the target says that it is, if there is one. A record proves nothing of an address.
    pub recorded: Option<Path>,
}

/// How the next hop was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "lowercase"))]
pub enum Way {
    /// The target is a peer.
    Peer,
    /// The target holds a reservation.
    Reserved,
    /// By the record of the target.
    Recorded,
    /// Learned from what came along before.
    Learned,
    /// Nothing is known of the target: the neighbours with the best score.
    Chosen,
}

/// Where a ping goes: at least one and at most [`MAX_FANOUT`] addresses, none of them the one that it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    pub(super) to: heapless::Vec<Path, MAX_FANOUT>,
    pub(super) way: Way,
    pub(super) hop_count: i64,
    /// Of each address that has proven nothing its keyed hash, and how many bytes may go there.
    pub(super) rooms: heapless::Vec<Option<(u64, usize)>, MAX_FANOUT>,
    /// How many bytes it counts for already at each of those.
    pub(super) charged: usize,
}

impl Forward {
    /// The addresses, best first.
    #[must_use]
    pub fn to(&self) -> &[Path] {
        &self.to
    }

    /// How the first of them was found.
    #[must_use]
    pub const fn way(&self) -> Way {
        self.way
    }

    /// The hops that the ping has travelled when it leaves.
    #[must_use]
    pub const fn hop_count(&self) -> i64 {
        self.hop_count
    }

    /// How many bytes may go to the address with this number; `None`: as many as there are.
    #[must_use]
    pub fn room(&self, n: usize) -> Option<usize> {
        self.rooms.get(n).copied().flatten().map(|(_, room)| room)
    }

    /// Write the frame that goes to all of them: the ping with its hop counted, in the encoding in which it came, because a proof
    /// covers that. How many bytes it took.
    ///
    /// # Errors
    /// As [`Packet::encode`].
    pub fn encode(&self, packet: &Packet<'_>, encoding: Encoding, out: &mut [u8]) -> Result<usize, EncodeError> {
        Packet { hop_count: self.hop_count, ..*packet }.encode(encoding, out)
    }
}

/// Where an answer goes back to: whoever asked, of whom there is one unless a packet id was used twice. It goes as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back {
    pub(super) to: heapless::Vec<Path, MOST_ALIKE>,
    /// The ways back, and how many bytes may go there.
    pub(super) ways: heapless::Vec<WayBack, MOST_ALIKE>,
    /// The keyed hash of the address that the answer came from, where that has proven nothing.
    pub(super) unproven: Option<u64>,
    /// The circuit that stands now.
    pub(super) circuit: Option<u64>,
}

impl Back {
    /// The addresses.
    #[must_use]
    pub fn to(&self) -> &[Path] {
        &self.to
    }

    /// How many bytes may go to the address with this number; `None`: as many as there are. Behind an answer that says `pending` room for
    /// the decision is to be left.
    #[must_use]
    pub fn room(&self, n: usize) -> Option<usize> {
        self.ways.get(n)?.room
    }

    /// Whether a circuit stands now between who asked and who answered.
    #[must_use]
    pub const fn opened_circuit(&self) -> bool {
        self.circuit.is_some()
    }
}

/// One of the ways that an answer goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WayBack {
    pub(super) slot: u32,
    /// How many bytes may go there, where that address has proven nothing.
    pub(super) room: Option<usize>,
    /// The keyed hash of the address, where nothing more goes this way: what is left of the room is for pings.
    pub(super) ended: Option<u64>,
}

/// What a relay has done, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RelayStats {
    /// Pings that were passed on.
    pub forwarded: u64,
    /// Copies that went for them: more where the way was not known.
    pub copies: u64,
    /// Answers that were passed back.
    pub answered: u64,
    /// Pings that were passed on and not answered within the patience of the relay.
    pub silent: u64,
    /// Packets of circuits that were passed on.
    pub carried: u64,
    /// Their bytes.
    pub carried_bytes: u64,
    /// What was turned away, by reason.
    pub rejects: RelayRejects,
    /// Pings that are remembered so as not to be passed on again.
    pub seen: usize,
    /// Ways back that are open.
    pub open: usize,
    /// Targets whose next hop was learned.
    pub routes: usize,
    /// Neighbours to choose from.
    pub neighbours: usize,
    /// Reservations.
    pub reservations: usize,
    /// Circuits.
    pub circuits: usize,
    /// Addresses that have proven nothing and may be sent something.
    pub unproven: usize,
    /// Names and addresses whose quota is counted.
    pub quotas: usize,
}
