//! Socket options, where systems differ.

use std::io;

#[cfg(unix)]
pub use std::os::fd::AsFd as AsSocket;
#[cfg(windows)]
pub use std::os::windows::io::AsSocket;

use quinn_udp::UdpSocketState;

/// Prepare a socket for batches.
///
/// `quinn-udp` prepares the sockets it is shown for QUIC: it forbids fragmentation and asks for marks and time stamps.
/// Nothing in its state depends on the very socket, so on Linux and FreeBSD it is shown a throw-away one, and ours gets only what we
/// use: the address a datagram was sent to, and coalescing where there is any. It otherwise stays an ordinary socket, which fragments
/// what is above the path MTU.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(crate) fn prepare(socket: &impl AsSocket, ipv6: bool) -> io::Result<UdpSocketState> {
    use nix::sys::socket::{setsockopt, sockopt};
    #[cfg(not(target_os = "freebsd"))]
    use sockopt::Ipv4PacketInfo as Ipv4Destination;
    #[cfg(target_os = "freebsd")]
    use sockopt::Ipv4RecvDstAddr as Ipv4Destination;
    if ipv6 {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(socket, Ipv4Destination, &true)?;
    }
    // Kernels before 5.0 do not coalesce; then every slot holds one datagram.
    #[cfg(not(target_os = "freebsd"))]
    let _ = setsockopt(socket, sockopt::UdpGroSegment, &true);
    offload(socket, ipv6)
}

/// Find out what the kernel can send at once.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
pub(crate) fn offload(_: &impl AsSocket, ipv6: bool) -> io::Result<UdpSocketState> {
    let domain = if ipv6 { socket2::Domain::IPV6 } else { socket2::Domain::IPV4 };
    UdpSocketState::new((&socket2::Socket::new(domain, socket2::Type::DGRAM, None)?).into())
}

/// Prepare a socket for batches. Fragmentation is allowed again afterwards where there is a safe way to say so; Windows has
/// none, and datagrams above the path MTU are not sent there.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
#[cfg_attr(not(target_vendor = "apple"), expect(unused_variables, reason = "nothing to set back"))]
pub(crate) fn prepare(socket: &impl AsSocket, ipv6: bool) -> io::Result<UdpSocketState> {
    let state = UdpSocketState::new(socket.into())?;
    #[cfg(target_vendor = "apple")]
    {
        use nix::sys::socket::{setsockopt, sockopt};
        if ipv6 {
            setsockopt(socket, sockopt::Ipv6DontFrag, &false)?;
        } else {
            setsockopt(socket, sockopt::IpDontFrag, &false)?;
        }
    }
    Ok(state)
}

/// Find out anew what the system can send at once.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
pub(crate) fn offload(socket: &impl AsSocket, ipv6: bool) -> io::Result<UdpSocketState> {
    prepare(socket, ipv6)
}
