//! What the system moves in one call.

use std::io;

use socket2::{Domain, Socket, Type};

use crate::sys;

/// How many datagrams the system moves in one call; 1 where each takes a call of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offload {
    /// Sent to one address (GSO).
    pub send: usize,
    /// Taken from one address (GRO).
    pub receive: usize,
}

/// Ask the system, with a socket that is thrown away.
///
/// # Errors
/// It gives no socket of this family.
pub fn offload(ipv6: bool) -> io::Result<Offload> {
    let domain = if ipv6 { Domain::IPV6 } else { Domain::IPV4 };
    let state = sys::offload(&Socket::new(domain, Type::DGRAM, None)?, ipv6)?;
    Ok(Offload { send: state.max_gso_segments(), receive: state.gro_segments() })
}
