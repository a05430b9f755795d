//! TCP and TLS on tokio.
//!
//! [`streams`] is the io of a [`Streams`] machine; [`run`] drives one that you own, [`spawn`] gives one away. Everything else of
//! [`sluis_net`] is generic over [`Tokio`].
//!
//! ```
//! use sluis_core::sim::machines::{Call, StreamCaller, StreamEcho};
//! use sluis_tokio::{HandleConfig, net};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! sluis_tokio::block_on(async {
//!     let mut server = net::streams();
//!     let listener = server.listen(std::net::TcpListener::bind("127.0.0.1:0")?, None)?;
//!     let port = server.local_addr(listener)?.port();
//!     let (_echo, _events) = net::spawn(server, StreamEcho::new(8), HandleConfig::default());
//!
//!     let (caller, _events) = net::spawn(net::streams(), StreamCaller::default(), HandleConfig::default());
//!     let call = caller.request(|caller, _| Ok::<_, ()>(caller.call(Call::new("127.0.0.1", port, 1000)))).expect("asked");
//!     assert!(call.await.is_done());
//!     Ok(())
//! })
//! # }
//! ```

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sluis_core::driver::{App, DriverStats, Events, Handle, HandleConfig, Requests, Store};
use sluis_core::{Durable, Streams};
use sluis_net::{Accept, ByteStream, NetStreams, Runtime};
use sluis_udp::SystemClock;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Tokio, from within: what is spawned runs where this is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

/// The io of a machine on streams.
pub type StreamSocket = NetStreams<Tokio, SystemClock>;

/// Streams that dial; [`listen`](NetStreams::listen) adds listeners.
#[must_use]
pub fn streams() -> StreamSocket {
    NetStreams::new(Tokio, crate::clock())
}

/// Drive a machine on its streams until its app says stop; see [`sluis_net::run`].
///
/// # Errors
/// The io can no longer be used.
pub async fn run<M: Streams, A: App<M>>(io: StreamSocket, machine: &mut M, app: &mut A) -> io::Result<DriverStats> {
    sluis_net::run(io, machine, app).await
}

/// Drive a machine on its streams in a task of its own. It ends with [`Handle::shutdown`], or when the handles, the events and all
/// requests are gone.
pub fn spawn<M>(io: StreamSocket, machine: M, config: HandleConfig) -> (Handle<M>, Events<M>)
where
    M: Requests + Streams + Send + 'static,
{
    let (task, handle, events) = sluis_net::prepare(io, machine, config);
    drop(tokio::spawn(task));
    (handle, events)
}

/// As [`run`], of a machine that keeps something in a store: a `sluis_store::Background` on [`blocking`](crate::blocking) threads, say.
///
/// # Errors
/// The io can no longer be used.
pub async fn run_stored<M, A, S>(io: StreamSocket, machine: &mut M, app: &mut A, store: S) -> io::Result<DriverStats>
where
    M: Streams + Durable,
    A: App<M>,
    S: Store,
{
    sluis_net::run_stored(io, machine, app, store).await
}

/// As [`spawn`], of a machine that keeps something in a store.
pub fn spawn_stored<M, S>(io: StreamSocket, machine: M, store: S, config: HandleConfig) -> (Handle<M>, Events<M>)
where
    M: Requests + Streams + Durable + Send + 'static,
    S: Store + Send + 'static,
{
    let (task, handle, events) = sluis_net::prepare_stored(io, machine, store, config);
    drop(tokio::spawn(task));
    (handle, events)
}

/// A TCP connection.
#[derive(Debug)]
pub struct TokioTcp(TcpStream);

/// A listening socket.
#[derive(Debug)]
pub struct TokioListener(TcpListener);

impl Runtime for Tokio {
    type Tcp = TokioTcp;
    type Listener = TokioListener;

    fn listen(&self, socket: std::net::TcpListener) -> io::Result<TokioListener> {
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket).map(TokioListener)
    }

    #[allow(clippy::manual_async_fn, reason = "the future must not borrow the runtime")]
    fn connect(
        &self,
        addr: SocketAddr,
        from: Option<IpAddr>,
    ) -> impl Future<Output = io::Result<TokioTcp>> + Send + 'static {
        async move {
            let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            from.map_or(Ok(()), |from| socket.bind((from, 0).into()))?;
            prepared(socket.connect(addr).await?)
        }
    }

    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
        let host = host.to_owned();
        async move { tokio::net::lookup_host((host, port)).await.map(Iterator::collect) }
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(future));
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + Sync + 'static {
        tokio::time::sleep(time)
    }
}

/// Small messages leave at once.
fn prepared(stream: TcpStream) -> io::Result<TokioTcp> {
    stream.set_nodelay(true)?;
    Ok(TokioTcp(stream))
}

impl Accept for TokioListener {
    type Tcp = TokioTcp;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TokioTcp, SocketAddr)>> {
        let (stream, from) = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(prepared(stream).map(|stream| (stream, from)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl ByteStream for TokioTcp {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn abort(&mut self) {
        // A system that refuses it ends the connection in order.
        let _ = self.0.set_zero_linger();
    }
}
