//! TCP and TLS on smol.
//!
//! [`streams`] is the io of a [`Streams`] machine; [`run`] drives one that you own, [`spawn`] gives one away. Everything else of
//! [`sluis_net`] is generic over [`Smol`].
//!
//! ```
//! use sluis_core::sim::machines::{Call, StreamCaller, StreamEcho};
//! use sluis_smol::{HandleConfig, net};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! sluis_smol::block_on(async {
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
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::{Async, Timer};
use sluis_core::driver::{App, DriverStats, Events, Handle, HandleConfig, Requests, Store};
use sluis_core::{Durable, Streams};
use sluis_net::{Accept, ByteStream, NetStreams, Runtime};
use sluis_udp::SystemClock;
use socket2::{Domain, SockRef, Socket, Type};

/// Smol: what is spawned runs on its own threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Smol;

/// The io of a machine on streams.
pub type StreamSocket = NetStreams<Smol, SystemClock>;

/// Streams that dial; [`listen`](NetStreams::listen) adds listeners.
#[must_use]
pub fn streams() -> StreamSocket {
    NetStreams::new(Smol, SystemClock::new())
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
    smol::spawn(task).detach();
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
    smol::spawn(task).detach();
    (handle, events)
}

/// A TCP connection.
#[derive(Debug)]
pub struct SmolTcp(Async<TcpStream>);

/// A listening socket.
#[derive(Debug)]
pub struct SmolListener(Async<TcpListener>);

impl Runtime for Smol {
    type Tcp = SmolTcp;
    type Listener = SmolListener;

    fn listen(&self, socket: TcpListener) -> io::Result<SmolListener> {
        Async::new(socket).map(SmolListener)
    }

    #[allow(clippy::manual_async_fn, reason = "the future must not borrow the runtime")]
    fn connect(
        &self,
        addr: SocketAddr,
        from: Option<IpAddr>,
    ) -> impl Future<Output = io::Result<SmolTcp>> + Send + 'static {
        async move {
            prepared(match from {
                None => Async::<TcpStream>::connect(addr).await?,
                Some(from) => connect_from(addr, from).await?,
            })
        }
    }

    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
        let host = host.to_owned();
        smol::unblock(move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect))
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(future).detach();
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + Sync + 'static {
        let timer = Timer::after(time);
        async move {
            timer.await;
        }
    }
}

/// Connect from an address of ours, which async-io's own way has no place for.
async fn connect_from(addr: SocketAddr, from: IpAddr) -> io::Result<Async<TcpStream>> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.set_nonblocking(true)?;
    // A connection that is under way is no error, whatever the system calls it; what becomes of it shows when it can be written to.
    let begun = socket.connect(&addr.into());
    let stream = Async::new_nonblocking(TcpStream::from(socket))?;
    if begun.is_err() {
        stream.writable().await?;
        if let Some(error) = stream.get_ref().take_error()? {
            return Err(error);
        }
        // Also tells one that never began.
        stream.get_ref().peer_addr()?;
    }
    Ok(stream)
}

/// Small messages leave at once.
fn prepared(stream: Async<TcpStream>) -> io::Result<SmolTcp> {
    stream.get_ref().set_nodelay(true)?;
    Ok(SmolTcp(stream))
}

impl Accept for SmolListener {
    type Tcp = SmolTcp;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(SmolTcp, SocketAddr)>> {
        loop {
            match self.0.get_ref().accept() {
                Ok((stream, from)) => return Poll::Ready(Async::new(stream).and_then(prepared).map(|s| (s, from))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_readable(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }
}

impl ByteStream for SmolTcp {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.0.get_ref().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_readable(cx))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.0.get_ref().write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_writable(cx))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.get_ref().shutdown(Shutdown::Write) {
            // The other side is gone already.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }

    fn abort(&mut self) {
        // A system that refuses it ends the connection in order.
        let _ = SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
    }
}
