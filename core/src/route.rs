//! Where a datagram came from or goes to.

use core::net::{IpAddr, SocketAddr};

/// The two ends of a datagram's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The other end.
    pub remote: SocketAddr,
    /// Our address that the datagram was sent to, where the socket can tell: an answer leaves from it. `None` lets the
    /// operating system choose.
    pub local: Option<IpAddr>,
}

impl Route {
    /// To (or from) `remote`, with the local address left to the operating system.
    #[must_use]
    pub const fn to(remote: SocketAddr) -> Self {
        Self { remote, local: None }
    }

    /// Whether both lead to the same address, which may be written as IPv4 or as IPv4 mapped into IPv6
    /// (`::ffff:192.0.2.1`, RFC 4291): a socket that serves both may show it either way.
    #[must_use]
    pub fn same_remote(&self, other: &Self) -> bool {
        let plain = |at: SocketAddr| (at.ip().to_canonical(), at.port());
        self.remote == other.remote || plain(self.remote) == plain(other.remote)
    }

    /// The largest UDP payload in bytes that any datagram on this route can carry.
    #[must_use]
    pub const fn max_datagram(&self) -> usize {
        match self.remote.ip().to_canonical() {
            IpAddr::V4(_) => crate::limits::MAX_DATAGRAM_V4,
            IpAddr::V6(_) => crate::limits::MAX_DATAGRAM_V6,
        }
    }
}

impl From<SocketAddr> for Route {
    fn from(remote: SocketAddr) -> Self {
        Self::to(remote)
    }
}
