//! Sockets and timers as descriptors that tokio's reactor watches.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::task::{Context, Poll};

use sluis_udp::Readiness;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Tokio's side of a [`Socket`](crate::Socket).
///
/// Registered for reading only: `tokio::net::UdpSocket` also waits for room to write, which the kernel announces after every single
/// datagram, and each of these announcements wakes the thread for nothing. Room to write is waited for only when there was
/// none.
#[derive(Debug)]
pub struct TokioUdp {
    socket: AsyncFd<UdpSocket>,
    /// Registered for writing, from when the socket was full for the first time.
    full: Option<AsyncFd<UdpSocket>>,
}

/// Register a descriptor with tokio's reactor for one kind of readiness.
#[expect(
    deprecated,
    reason = "its successor is unsafe so that nobody registers a descriptor he does not own: this owns it"
)]
fn register<F: Into<OwnedFd> + AsRawFd>(fd: F, interest: Interest) -> io::Result<AsyncFd<F>> {
    AsyncFd::with_interest(fd, interest)
}

impl AsFd for TokioUdp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}

impl Readiness for TokioUdp {
    fn register(socket: UdpSocket) -> io::Result<Self> {
        Ok(Self { socket: register(socket, Interest::READABLE)?, full: None })
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_read_ready(cx).map_ok(|mut ready| ready.retain_ready())
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let full = match &mut self.full {
            Some(full) => full,
            None => self.full.insert(register(self.socket.get_ref().try_clone()?, Interest::WRITABLE)?),
        };
        // What it knew may be old; it is asked only when there was no room.
        full.poll_write_ready(cx).map_ok(|mut ready| ready.clear_ready())
    }

    fn try_read<R>(&self, read: impl FnOnce(&Self) -> io::Result<R>) -> io::Result<R> {
        self.socket.try_io(Interest::READABLE, |_| read(self))
    }
}

/// A descriptor that tokio watches.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[derive(Debug)]
pub struct TokioFd(AsyncFd<OwnedFd>);

#[cfg(any(target_os = "linux", target_os = "android"))]
impl sluis_udp::Watched for TokioFd {
    fn watch(fd: OwnedFd) -> io::Result<Self> {
        register(fd, Interest::READABLE).map(Self)
    }

    fn fd(&self) -> &OwnedFd {
        self.0.get_ref()
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_ready(cx).map_ok(|mut ready| ready.retain_ready())
    }

    fn try_read<R>(&self, read: impl FnOnce(&OwnedFd) -> io::Result<R>) -> io::Result<R> {
        self.0.try_io(Interest::READABLE, read)
    }
}
