//! What an application may ask of a relay, as part of [`Command`](crate::node::Command).

use core::net::SocketAddr;

use crate::airlock::LegacyError;
use crate::node::{CommandOutcome, Node};
use crate::time::Now;
use crate::{DidError, Path};

/// Something that an application asks of the relay of a node. Each has a method of the same name on [`Node`], which says what it does.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RelayCommand<'a> {
    /// [`Node::relay_for`], names that match this pattern.
    RelayFor(&'a str),
    /// [`Node::stop_relaying_for`], names that match this pattern.
    StopRelayingFor(&'a str),
    /// [`Node::set_neighbour`].
    SetNeighbour {
        /// Who.
        did: &'a str,
        /// Where.
        path: Path,
        /// How good he is.
        score: f64,
    },
    /// [`Node::remove_neighbour`], of this name.
    RemoveNeighbour(&'a str),
    /// [`Node::add_address`].
    AddAddress(SocketAddr),
    /// [`Node::reserve_at`].
    ReserveAt {
        /// The relay.
        did: &'a str,
        /// Where it is.
        path: Path,
    },
}

/// Why a relay does not do what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The node is no relay.
    #[error("the node is no relay")]
    Off,
    /// The name is none.
    #[error(transparent)]
    Did(#[from] DidError),
    /// The pattern is none, or there are too many.
    #[error(transparent)]
    Pattern(#[from] LegacyError),
    /// A node is not its own neighbour.
    #[error("a relay is not its own neighbour")]
    OwnName,
    /// There is no more room for neighbours.
    #[error("there are {0} neighbours already, which is the most this relay takes")]
    TooManyNeighbours(usize),
    /// Nobody can be reached at this address, there are as many as there may be, or the node has no sessions to tell it in.
    #[error("{0} is no address to be reached at, there are {max} already, or the node has no sessions", max = crate::session::MAX_ADDRESSES)]
    Address(SocketAddr),
    /// The node has no sessions: a reservation goes through one.
    #[error("a reservation goes through a session, and this node has none")]
    NoSessions,
    /// There is no more room for relays to be reached over.
    #[error("there are {0} relays to be reached over already, which is the most")]
    TooManyRelays(usize),
    /// There is no such pattern or neighbour.
    #[error("there is none of this name")]
    Unknown,
}

impl Node {
    pub(in crate::node) fn handle_relay(&mut self, now: Now, command: &RelayCommand<'_>) -> CommandOutcome {
        match *command {
            RelayCommand::RelayFor(pattern) => self.relay_for(pattern).into(),
            RelayCommand::StopRelayingFor(pattern) => self.stop_relaying_for(pattern).into(),
            RelayCommand::SetNeighbour { did, path, score } => self.set_neighbour(did, path, score).into(),
            RelayCommand::RemoveNeighbour(did) => self.remove_neighbour(did).into(),
            RelayCommand::ReserveAt { did, path } => self.reserve_at(now, did, path).into(),
            RelayCommand::AddAddress(at) => self.add_address(at).into(),
        }
    }
}
