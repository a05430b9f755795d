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

    /// The largest UDP payload in bytes that any datagram on this route can carry.
    #[must_use]
    pub const fn max_datagram(&self) -> usize {
        match self.remote {
            SocketAddr::V4(_) => crate::limits::MAX_DATAGRAM_V4,
            SocketAddr::V6(_) => crate::limits::MAX_DATAGRAM_V6,
        }
    }
}

impl From<SocketAddr> for Route {
    fn from(remote: SocketAddr) -> Self {
        Self::to(remote)
    }
}
