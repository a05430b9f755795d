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
/// Nothing in its state depends on the very socket, so on Linux it is shown a throw-away one, and ours gets only what we
/// use: the address a datagram was sent to, and coalescing. It otherwise stays an ordinary socket, which fragments what
/// is above the path MTU.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn prepare(socket: &impl AsSocket, ipv6: bool) -> io::Result<UdpSocketState> {
    use nix::sys::socket::{setsockopt, sockopt};
    if ipv6 {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    // Kernels before 5.0 do not coalesce; then every slot holds one datagram.
    let _ = setsockopt(socket, sockopt::UdpGroSegment, &true);
    offload(socket, ipv6)
}

/// Find out what the kernel can send at once.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn offload(_: &impl AsSocket, ipv6: bool) -> io::Result<UdpSocketState> {
    let domain = if ipv6 { socket2::Domain::IPV6 } else { socket2::Domain::IPV4 };
    UdpSocketState::new((&socket2::Socket::new(domain, socket2::Type::DGRAM, None)?).into())
}

/// Prepare a socket for batches. Fragmentation is allowed again afterwards where there is a safe way to say so.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn prepare(socket: &impl AsSocket, ipv6: bool) -> io::Result<UdpSocketState> {
    let state = UdpSocketState::new(socket.into())?;
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    {
        use nix::sys::socket::{setsockopt, sockopt};
        if ipv6 {
            setsockopt(socket, sockopt::Ipv6DontFrag, &false)?;
        } else {
            setsockopt(socket, sockopt::IpDontFrag, &false)?;
        }
    }
    let _ = ipv6;
    Ok(state)
}

/// Find out anew what the system can send at once.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn offload(socket: &impl AsSocket, ipv6: bool) -> io::Result<UdpSocketState> {
    prepare(socket, ipv6)
}
