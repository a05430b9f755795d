//! Sockets where there are no descriptors to watch (Windows).

use std::io;
use std::net::UdpSocket;
use std::os::windows::io::{AsSocket, BorrowedSocket};
use std::task::{Context, Poll};

use sluis_udp::Readiness;
use tokio::io::Interest;

/// Tokio's side of a [`Socket`](crate::Socket).
#[derive(Debug)]
pub struct TokioUdp(tokio::net::UdpSocket);

impl AsSocket for TokioUdp {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.0.as_socket()
    }
}

impl Readiness for TokioUdp {
    fn register(socket: UdpSocket) -> io::Result<Self> {
        tokio::net::UdpSocket::from_std(socket).map(Self)
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_recv_ready(cx)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_send_ready(cx)
    }

    fn try_read<R>(&self, read: impl FnOnce(&Self) -> io::Result<R>) -> io::Result<R> {
        self.0.try_io(Interest::READABLE, || read(self))
    }

    fn try_write<R>(&self, write: impl FnOnce(&Self) -> io::Result<R>) -> io::Result<R> {
        self.0.try_io(Interest::WRITABLE, || write(self))
    }
}
