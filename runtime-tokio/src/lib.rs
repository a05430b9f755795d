//! Runs [Sluis](sluis_core) machines on [tokio](https://tokio.rs): UDP sockets, timer, spawn.
//!
//! The surface is the same as that of `sluis-smol`; everything needs a tokio runtime with I/O and time enabled, and panics
//! outside of one, as tokio itself does. [`block_on`] starts such a runtime.
//!
//! * [`bind`] opens a [`Socket`].
//! * [`run`] drives a machine that you own with an [`App`](sluis_core::driver::App) that looks after it.
//! * [`spawn`] gives a machine away and returns a [`Handle`] and the stream of [`Events`].
//! * [`blocking`] is where a [`journal`] writes: the runtime's blocking threads.
//! * With the feature `record`, `FileTape` keeps everything that goes into a node and out of it, to be replayed.
//!
//! ```
//! use sluis_core::driver::Flow;
//! use sluis_core::sim::machines::Echo;
//! use sluis_core::Now;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! sluis_tokio::block_on(async {
//!     let mut socket = sluis_tokio::bind(([127, 0, 0, 1], 0).into())?;
//!     let mut echo = Echo::new(64);
//!     // Any machine; this app stops at once.
//!     let stats = sluis_tokio::run(&mut socket, &mut echo, &mut |_: Now, _: &mut Echo| Flow::Stop).await?;
//!     assert_eq!(stats.received, 0);
//!     Ok(())
//! })
//! # }
//! ```
//!
//! A node in the background, and a ping that is awaited:
//!
//! ```
//! use sluis_core::driver::NoReply;
//! use sluis_core::node::{Node, NodeConfig, Ping};
//! use sluis_core::{Did, Duration};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! sluis_tokio::block_on(async {
//!     let hub = Node::new(NodeConfig::new(Did::new("jis:home:hub")?), &sluis_tokio::system_seed()?)?;
//!     let (hub, _events) = sluis_tokio::spawn(sluis_tokio::bind(([127, 0, 0, 1], 0).into())?, hub);
//!     let nobody = std::net::UdpSocket::bind("127.0.0.1:0")?;
//!     let mut ping = Ping::new("jis:home:sensor", nobody.local_addr()?, "temperature.read");
//!     ping.timeout = Some(Duration::from_millis(20));
//!     assert_eq!(hub.ping(&ping)?.await, Err(NoReply::Timeout));
//!     hub.shutdown().await?;
//!     Ok(())
//! })
//! # }
//! ```
#![forbid(unsafe_code)]

use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use sluis_core::Datagrams;
use sluis_core::driver::{Events, Handle, HandleConfig, Requests};
use sluis_udp::{Readiness, Timer, UdpIo};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::Sleep;

pub use sluis_journal as journal;
#[cfg(feature = "record")]
pub use sluis_udp::FileTape;
pub use sluis_udp::{BindError, SystemClock, prepare, run, system_seed};

/// A UDP socket, with the timer and the clock that go with it.
pub type Socket = UdpIo<TokioUdp, SocketTimer>;

#[cfg(any(target_os = "linux", target_os = "android"))]
type SocketTimer = sluis_udp::Alarm<TokioFd, TokioTimer>;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
type SocketTimer = TokioTimer;

/// Open a UDP socket, IPv4 or IPv6; `[::]` serves both, port 0 is any free port.
///
/// # Errors
/// The address cannot be had; the text says which, why, and what to do.
pub fn bind(addr: SocketAddr) -> Result<Socket, BindError> {
    adopt(sluis_udp::bind(addr)?).map_err(|source| BindError { addr, source })
}

/// Take over a bound, non-blocking UDP socket.
///
/// # Errors
/// Tokio or the system refuse it.
pub fn adopt(socket: UdpSocket) -> io::Result<Socket> {
    UdpIo::new(TokioUdp::new(socket)?, SocketTimer::default())
}

/// Drive a machine in a task of its own. It ends with [`Handle::shutdown`], or when the handles, the events and all
/// requests are gone.
pub fn spawn<M>(socket: Socket, machine: M) -> (Handle<M>, Events<M>)
where
    M: Requests + Datagrams + Send + 'static,
{
    spawn_with(socket, machine, HandleConfig::default())
}

/// As [`spawn`], with bounds of your own.
pub fn spawn_with<M>(socket: Socket, machine: M, config: HandleConfig) -> (Handle<M>, Events<M>)
where
    M: Requests + Datagrams + Send + 'static,
{
    let (task, handle, events) = prepare(socket, machine, config);
    tokio::spawn(task);
    (handle, events)
}

/// Run a future to its end on this thread, with a runtime of its own.
///
/// # Panics
/// If the system gives no runtime, or inside of one.
#[expect(clippy::expect_used, reason = "a program without a runtime has nothing else to do")]
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a tokio runtime").block_on(future)
}

/// This runtime's blocking threads, for [`journal::Setup::spawn`] and [`journal::TokenSetup::spawn`].
///
/// # Panics
/// Outside of a runtime.
#[must_use]
pub fn blocking() -> Blocking {
    Blocking(tokio::runtime::Handle::current())
}

/// The blocking threads of a runtime.
#[derive(Clone, Debug)]
pub struct Blocking(tokio::runtime::Handle);

impl journal::spawn::Spawn for Blocking {
    fn spawn(&self, job: journal::spawn::Job) {
        self.0.spawn_blocking(|| job.run());
    }
}

/// Tokio's side of a [`Socket`].
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

impl TokioUdp {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        Ok(Self { socket: register(socket, Interest::READABLE)?, full: None })
    }
}

impl AsFd for TokioUdp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}

impl Readiness for TokioUdp {
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

/// Tokio's timer, made on first use, where the system has none that can be watched.
#[derive(Debug, Default)]
pub struct TokioTimer {
    sleep: Option<Pin<Box<Sleep>>>,
    at: Option<Instant>,
}

impl Timer for TokioTimer {
    fn poll_at(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        let Some(deadline) = at else {
            *self = Self::default();
            return Poll::Pending;
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        if self.at != at {
            self.at = at;
            sleep.as_mut().reset(deadline.into());
        }
        sleep.as_mut().poll(cx)
    }
}
