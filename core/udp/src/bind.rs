//! Opening a socket.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Kernel buffers that are asked for, in bytes each way; the system may grant less.
const BUFFER: usize = 4 << 20;

/// A socket could not be opened: which, why, and what to do about it, in one sentence.
#[derive(Debug)]
#[non_exhaustive]
pub struct BindError {
    /// The address that was asked for; `None` where its name could not be resolved to one.
    pub addr: Option<SocketAddr>,
    /// What the system said.
    pub source: io::Error,
}

impl BindError {
    /// The system refused; `None`: it found no address by the name.
    #[must_use]
    pub fn new(addr: Option<SocketAddr>, source: io::Error) -> Self {
        Self { addr, source }
    }
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { addr, source } = self;
        let Some(addr) = addr else {
            return write!(
                f,
                "cannot find the address to listen on ({source}); check the name, or write it in numbers: 0.0.0.0:7150"
            );
        };
        write!(f, "cannot listen on UDP {addr}: ")?;
        match source.kind() {
            io::ErrorKind::AddrInUse => {
                let port = addr.port();
                write!(f, "port {port} is in use; stop what uses it or choose another port (0 takes any free one)")
            }
            io::ErrorKind::PermissionDenied => {
                write!(f, "not allowed ({source}); choose a port from 1024 up, or run it with the right to this one")
            }
            io::ErrorKind::AddrNotAvailable => {
                let all = if addr.is_ipv4() { "0.0.0.0" } else { "[::]" };
                write!(f, "{} is not an address of this machine; {all} stands for all of them", addr.ip())
            }
            _ if addr.is_ipv6() => write!(f, "{source}; if this machine has no IPv6, choose an IPv4 address"),
            _ => write!(f, "{source}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Open a non-blocking UDP socket with enlarged buffers on the first address that can be had. `[::]` takes IPv4 datagrams too;
/// port 0 is any free port. A name is looked up by the system, which may take its time; an address does not wait.
///
/// # Errors
/// [`BindError`] if none can be had; it tells of the last.
pub fn bind(addrs: impl ToSocketAddrs) -> Result<UdpSocket, BindError> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let mut tried = None;
    for addr in addrs.to_socket_addrs().map_err(|source| BindError { addr: None, source })? {
        match open(addr) {
            Ok(socket) => return Ok(socket),
            Err(source) => (tried, last) = (Some(addr), source),
        }
    }
    Err(BindError { addr: tried, source: last })
}

fn open(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(!addr.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    // Less than asked for is no reason to fail.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::{BindError, SocketAddr, bind};
    use std::io;

    #[test]
    fn errors_name_the_address_and_the_mend() {
        let taken = bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let port = addr.port();
        assert_eq!(
            bind(addr).unwrap_err().to_string(),
            format!(
                "cannot listen on UDP 127.0.0.1:{port}: port {port} is in use; stop what uses it or choose another port \
                 (0 takes any free one)"
            )
        );
        assert_eq!(
            bind("192.0.2.1:7150").unwrap_err().to_string(),
            "cannot listen on UDP 192.0.2.1:7150: 192.0.2.1 is not an address of this machine; 0.0.0.0 stands for all of \
             them"
        );
        let denied = BindError::new(Some(([0, 0, 0, 0], 53).into()), io::ErrorKind::PermissionDenied.into());
        assert!(denied.to_string().ends_with("choose a port from 1024 up, or run it with the right to this one"));
        let nowhere = bind("no host:7150").unwrap_err().to_string();
        assert!(nowhere.starts_with("cannot find the address to listen on ("), "{nowhere}");
        assert!(nowhere.ends_with("); check the name, or write it in numbers: 0.0.0.0:7150"), "{nowhere}");
        assert!(bind(&[][..]).unwrap_err().addr.is_none());
    }

    #[test]
    fn the_first_address_that_can_be_had_is_taken() {
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 7150));
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = bind(&[elsewhere, here][..]).unwrap();
        assert_eq!(socket.local_addr().unwrap().ip(), here.ip());
        assert_eq!(bind(&[here, elsewhere][1..]).unwrap_err().addr, Some(elsewhere));
    }
}
