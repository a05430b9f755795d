//! Where a datagram came from or goes to.

use core::net::{IpAddr, SocketAddr};

/// One of the sockets that a machine is served by: its main one, one for discovery on each interface, and so on.
///
/// Numbers are given by whoever runs the machine; to the machine they only tell sockets apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SocketId(u16);

impl SocketId {
    /// The socket that there always is.
    pub const MAIN: Self = Self(0);

    /// No socket: what has this number goes over relays, inside of packets of a circuit. Nothing may come in under it.
    #[cfg(feature = "alloc")]
    pub(crate) const CIRCUIT: Self = Self(u16::MAX);

    /// The socket with this number; 0 is [`MAIN`](Self::MAIN), and 65,535 is no socket's: what comes in through it is turned away.
    #[must_use]
    pub const fn new(number: u16) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// The two ends of a datagram's way, and the socket at ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    /// The other end.
    pub remote: SocketAddr,
    /// Our address that the datagram was sent to, where the socket can tell: an answer leaves from it. `None` lets the
    /// operating system choose.
    pub local: Option<IpAddr>,
    /// Our socket that it came in through, or goes out through.
    pub socket: SocketId,
}

impl Path {
    /// To (or from) `remote` through the main socket, with the local address left to the operating system.
    #[must_use]
    pub const fn to(remote: SocketAddr) -> Self {
        Self { remote, local: None, socket: SocketId::MAIN }
    }

    /// The same through another socket.
    #[must_use]
    pub const fn through(self, socket: SocketId) -> Self {
        Self { socket, ..self }
    }

    /// Whether both lead to the same address, which may be written as IPv4 or as IPv4 mapped into IPv6
    /// (`::ffff:192.0.2.1`, RFC 4291): a socket that serves both may show it either way. Through which of our sockets does
    /// not matter: who is asked through one may answer through another.
    #[must_use]
    #[cfg(feature = "alloc")]
    pub(crate) fn same_remote(&self, other: &Self) -> bool {
        let plain = |at: SocketAddr| (at.ip().to_canonical(), at.port());
        self.remote == other.remote || plain(self.remote) == plain(other.remote)
    }

    /// The way through a circuit, whose packets bear this label: no address that anybody sees, only one that tells it apart from all others. It is of the range that is nobody's (RFC 4193).
    #[cfg(feature = "alloc")]
    pub(crate) fn of_circuit(label: u64) -> Self {
        let mut octets = *b"\xfdsluis\0\0........";
        octets[8..].copy_from_slice(&label.to_be_bytes());
        Self { remote: SocketAddr::from((octets, 1)), local: None, socket: SocketId::CIRCUIT }
    }

    /// The label of the circuit that it leads through, if it does.
    #[cfg(feature = "alloc")]
    pub(crate) fn circuit(&self) -> Option<u64> {
        match self.remote.ip() {
            IpAddr::V6(ip) if self.socket == SocketId::CIRCUIT => {
                ip.octets().last_chunk().copied().map(u64::from_be_bytes)
            }
            _ => None,
        }
    }

    /// The largest UDP payload in bytes that any datagram on this path can carry.
    #[must_use]
    pub const fn max_datagram(&self) -> usize {
        match self.remote.ip().to_canonical() {
            IpAddr::V4(_) => crate::limits::MAX_DATAGRAM_V4,
            IpAddr::V6(_) => crate::limits::MAX_DATAGRAM_V6,
        }
    }
}

impl From<SocketAddr> for Path {
    fn from(remote: SocketAddr) -> Self {
        Self::to(remote)
    }
}
