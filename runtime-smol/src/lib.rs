//! Runs [Sluis](sluis_core) machines on [smol](https://docs.rs/smol): UDP sockets, timer, spawn.
//!
//! The surface is the same as that of `sluis-tokio`. Sockets and timers are async-io's, which work on any executor; only
//! [`spawn`] needs smol's own (give the task of [`prepare`] to another if you like).
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
//! sluis_smol::block_on(async {
//!     let mut socket = sluis_smol::bind(([127, 0, 0, 1], 0).into())?;
//!     let mut echo = Echo::new(64);
//!     // Any machine; this app stops at once.
//!     let stats = sluis_smol::run(&mut socket, &mut echo, &mut |_: Now, _: &mut Echo| Flow::Stop).await?;
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
//! sluis_smol::block_on(async {
//!     let hub = Node::new(NodeConfig::new(Did::new("jis:home:hub")?), &sluis_smol::system_seed()?)?;
//!     let (hub, _events) = sluis_smol::spawn(sluis_smol::bind(([127, 0, 0, 1], 0).into())?, hub);
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
#![cfg_attr(docsrs, feature(doc_cfg))]

use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::OwnedFd;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(windows)]
use std::os::windows::io::{AsSocket, BorrowedSocket};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use async_io::Async;
use sluis_core::Datagrams;
use sluis_core::driver::{Events, Handle, HandleConfig, Requests};
use sluis_udp::{Readiness, Timer, UdpIo};

pub use sluis_journal as journal;
pub use sluis_udp::{BindError, SystemClock, prepare, run, system_seed};
#[cfg(feature = "record")]
pub use sluis_udp::{FileTape, TapeEnd};

/// A UDP socket, with the timer and the clock that go with it.
pub type Socket = UdpIo<SmolUdp, SocketTimer>;

#[cfg(any(target_os = "linux", target_os = "android"))]
type SocketTimer = sluis_udp::Alarm<SmolFd, SmolTimer>;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
type SocketTimer = SmolTimer;

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
/// Async-io or the system refuse it.
pub fn adopt(socket: UdpSocket) -> io::Result<Socket> {
    UdpIo::new(SmolUdp(Async::new_nonblocking(socket)?), SocketTimer::default(), SystemClock::new())
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
    smol::spawn(task).detach();
    (handle, events)
}

/// Run a future to its end on this thread, and the reactor with it.
pub fn block_on<F: Future>(future: F) -> F::Output {
    async_io::block_on(future)
}

/// Smol's blocking threads, for [`journal::Setup::spawn`] and [`journal::TokenSetup::spawn`].
#[must_use]
pub fn blocking() -> Blocking {
    Blocking(())
}

/// The blocking threads that smol has for all of a process.
#[derive(Clone, Debug)]
pub struct Blocking(());

impl journal::spawn::Spawn for Blocking {
    fn spawn(&self, job: journal::spawn::Job) {
        smol::unblock(|| job.run()).detach();
    }
}

/// Async-io's side of a [`Socket`].
#[derive(Debug)]
pub struct SmolUdp(Async<UdpSocket>);

#[cfg(unix)]
impl AsFd for SmolUdp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(windows)]
impl AsSocket for SmolUdp {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.0.as_socket()
    }
}

impl Readiness for SmolUdp {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(cx)
    }

    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_writable(cx)
    }
}

/// A descriptor that async-io watches.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[derive(Debug)]
pub struct SmolFd(Async<OwnedFd>);

#[cfg(any(target_os = "linux", target_os = "android"))]
impl sluis_udp::Watched for SmolFd {
    fn watch(fd: OwnedFd) -> io::Result<Self> {
        Async::new_nonblocking(fd).map(Self)
    }

    fn fd(&self) -> &OwnedFd {
        self.0.get_ref()
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(cx)
    }

    fn try_read<R>(&self, read: impl FnOnce(&OwnedFd) -> io::Result<R>) -> io::Result<R> {
        read(self.0.get_ref())
    }
}

/// Async-io's timer, made on first use, where the system has none that can be watched.
#[derive(Debug, Default)]
pub struct SmolTimer {
    timer: Option<async_io::Timer>,
    at: Option<Instant>,
}

impl Timer for SmolTimer {
    fn poll_at(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        let Some(deadline) = at else {
            *self = Self::default();
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| async_io::Timer::at(deadline));
        if self.at != at {
            self.at = at;
            timer.set_at(deadline);
        }
        Pin::new(timer).poll(cx).map(|_| self.at = None)
    }
}
