//! Networks on which everybody can be called at once.

use crate::path::{Path, SocketId};

/// A network that one of a machine's sockets belongs to, on which one datagram reaches everybody who listens: an interface with IP multicast, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    /// The socket through which comes what is said to everybody. Nothing else comes through it.
    pub socket: SocketId,
    /// How everybody is reached: the group, and the socket and the address that a datagram to it leaves from. That is the main socket where the system lets it choose the interface:
    /// who hears the datagram then sees from where we listen.
    pub group: Path,
    /// The port at which the main socket listens.
    pub port: u16,
}

/// A change of the [`Network`]s of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkChange {
    /// It can be used from now on.
    Up(Network),
    /// The one with this socket is gone; its number may come again for another.
    Down(SocketId),
}
