//! The two runtimes behind one face: what an echo needs of a socket, and Sluis on it.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};

use async_io::Async;
use quinn_udp::UdpSockRef;
use sluis_core::driver::{App, DriverStats, Io as _};
use sluis_core::node::Node;
use sluis_core::time::Now;
use tokio::io::Interest;

pub(crate) trait Runtime {
    /// A plain UDP socket of the runtime.
    type Socket;
    /// Sluis on a socket of the runtime.
    type Line;

    fn block_on<F: Future>(future: F) -> F::Output;

    fn open(socket: UdpSocket) -> io::Result<Self::Socket>;
    async fn recv_from(socket: &Self::Socket, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)>;
    async fn send_to(socket: &Self::Socket, bytes: &[u8], to: SocketAddr) -> io::Result<usize>;
    /// Call `read` until it does not say `WouldBlock`.
    async fn read<T>(socket: &Self::Socket, read: impl FnMut(UdpSockRef<'_>) -> io::Result<T>) -> io::Result<T>;
    /// The same for writing.
    async fn write<T>(socket: &Self::Socket, write: impl FnMut(UdpSockRef<'_>) -> io::Result<T>) -> io::Result<T>;

    fn line(addr: SocketAddr) -> Result<Self::Line, String>;
    fn addr(line: &Self::Line) -> SocketAddr;
    fn now(line: &Self::Line) -> Now;
    async fn run<A: App<Node>>(line: &mut Self::Line, node: &mut Node, app: &mut A) -> io::Result<DriverStats>;
}

pub(crate) struct Tokio;

impl Runtime for Tokio {
    type Socket = tokio::net::UdpSocket;
    type Line = sluis_tokio::Socket;

    fn block_on<F: Future>(future: F) -> F::Output {
        sluis_tokio::block_on(future)
    }

    fn open(socket: UdpSocket) -> io::Result<Self::Socket> {
        tokio::net::UdpSocket::from_std(socket)
    }

    async fn recv_from(socket: &Self::Socket, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        socket.recv_from(buf).await
    }

    async fn send_to(socket: &Self::Socket, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        socket.send_to(bytes, to).await
    }

    async fn read<T>(socket: &Self::Socket, mut read: impl FnMut(UdpSockRef<'_>) -> io::Result<T>) -> io::Result<T> {
        socket.async_io(Interest::READABLE, || read(socket.into())).await
    }

    async fn write<T>(socket: &Self::Socket, mut write: impl FnMut(UdpSockRef<'_>) -> io::Result<T>) -> io::Result<T> {
        socket.async_io(Interest::WRITABLE, || write(socket.into())).await
    }

    fn line(addr: SocketAddr) -> Result<Self::Line, String> {
        sluis_tokio::bind(addr).map_err(|e| e.to_string())
    }

    fn addr(line: &Self::Line) -> SocketAddr {
        line.local_addr()
    }

    fn now(line: &Self::Line) -> Now {
        line.now()
    }

    async fn run<A: App<Node>>(line: &mut Self::Line, node: &mut Node, app: &mut A) -> io::Result<DriverStats> {
        sluis_tokio::run(line, node, app).await
    }
}

pub(crate) struct Smol;

impl Runtime for Smol {
    type Socket = Async<UdpSocket>;
    type Line = sluis_smol::Socket;

    fn block_on<F: Future>(future: F) -> F::Output {
        sluis_smol::block_on(future)
    }

    fn open(socket: UdpSocket) -> io::Result<Self::Socket> {
        Async::new_nonblocking(socket)
    }

    async fn recv_from(socket: &Self::Socket, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        socket.recv_from(buf).await
    }

    async fn send_to(socket: &Self::Socket, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        socket.send_to(bytes, to).await
    }

    async fn read<T>(socket: &Self::Socket, mut read: impl FnMut(UdpSockRef<'_>) -> io::Result<T>) -> io::Result<T> {
        socket.read_with(|socket| read(socket.into())).await
    }

    async fn write<T>(socket: &Self::Socket, mut write: impl FnMut(UdpSockRef<'_>) -> io::Result<T>) -> io::Result<T> {
        socket.write_with(|socket| write(socket.into())).await
    }

    fn line(addr: SocketAddr) -> Result<Self::Line, String> {
        sluis_smol::bind(addr).map_err(|e| e.to_string())
    }

    fn addr(line: &Self::Line) -> SocketAddr {
        line.local_addr()
    }

    fn now(line: &Self::Line) -> Now {
        line.now()
    }

    async fn run<A: App<Node>>(line: &mut Self::Line, node: &mut Node, app: &mut A) -> io::Result<DriverStats> {
        sluis_smol::run(line, node, app).await
    }
}
