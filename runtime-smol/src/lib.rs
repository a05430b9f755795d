//! Runs [Sluis](sluis_core) machines on [smol](https://docs.rs/smol): UDP sockets, timer, spawn.
//!
//! The surface is the same as that of `sluis-tokio`. Sockets and timers are async-io's, which work on any executor; only
//! [`spawn`] needs smol's own (give the task of [`prepare`] to another if you like).
//!
//! * [`node`] makes a node with a seed of the system's, [`bind`] opens a [`Socket`].
//! * [`run`] drives a machine that you own with an [`App`](sluis_core::driver::App) that looks after it.
//! * [`spawn`] gives a machine away and returns a [`Handle`] and the stream of [`Events`].
//! * [`blocking`] is where a [`journal`] writes: the runtime's blocking threads.
//! * With the feature `record`, `FileTape` keeps everything that goes into a node and out of it, to be replayed.
//!
//! A hub in ten lines. It answers whoever it trusts, and prints what comes in:
//!
//! ```no_run
//! use sluis_smol::sluis_core::node::Reply;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! sluis_smol::block_on(async {
//!     let mut hub = sluis_smol::node("jis:home:hub")?;
//!     hub.set_trust("jis:home:sensor", 0.9)?;
//!     hub.allow_legacy("jis:home:*")?; // packets are not signed yet: without this a person decides about each
//!     hub.set_reply("temperature.*", Reply::Now(r#"{"celsius":21.5}"#.parse()?))?;
//!     let (_hub, mut events) = sluis_smol::spawn(sluis_smol::bind("0.0.0.0:7150")?, hub);
//!     while let Some(notice) = events.next().await {
//!         println!("{notice:?}");
//!     }
//!     Ok(())
//! })
//! # }
//! ```
//!
//! The other side, on the same machine: a ping that is awaited, with payloads of types of its own (feature `serde` of the core).
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use sluis_smol::sluis_core::data::ValueBuf;
//! use sluis_smol::sluis_core::node::{Ping, Reply};
//!
//! #[derive(Serialize)]
//! struct Asked<'a> {
//!     room: &'a str,
//! }
//! #[derive(Serialize, Deserialize)]
//! struct Temperature {
//!     celsius: f64,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! sluis_smol::block_on(async {
//!     let mut hub = sluis_smol::node("jis:home:hub")?;
//!     hub.set_trust("jis:home:sensor", 0.9)?;
//!     hub.allow_legacy("jis:home:*")?;
//!     hub.set_reply("temperature.*", Reply::Now(ValueBuf::from_serde(&Temperature { celsius: 21.5 })?))?;
//!     let socket = sluis_smol::bind("127.0.0.1:0")?;
//!     let at = socket.local_addr();
//!     let (_hub, _events) = sluis_smol::spawn(socket, hub);
//!
//!     let (sensor, _events) = sluis_smol::spawn(sluis_smol::bind("127.0.0.1:0")?, sluis_smol::node("jis:home:sensor")?);
//!     let asked = ValueBuf::from_serde(&Asked { room: "attic" })?;
//!     let mut ping = Ping::new("jis:home:hub", at, "temperature.read");
//!     ping.payload = (&asked).into();
//!     let answer = sensor.ping(&ping)?.await?;
//!     let temperature: Temperature = answer.payload.ok_or("a payload that JSON has no form for")?.to_serde()?;
//!     assert_eq!(temperature.celsius, 21.5);
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Any machine can be driven, and any app look after it:
//!
//! ```
//! use sluis_core::driver::Flow;
//! use sluis_core::sim::machines::Echo;
//! use sluis_core::Now;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! sluis_smol::block_on(async {
//!     let mut socket = sluis_smol::bind("127.0.0.1:0")?;
//!     let mut echo = Echo::new(64);
//!     // This app stops at once.
//!     let stats = sluis_smol::run(&mut socket, &mut echo, &mut |_: Now, _: &mut Echo| Flow::Stop).await?;
//!     assert_eq!(stats.received, 0);
//!     Ok(())
//! })
//! # }
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

use std::future::Future;
use std::io;
use std::net::{ToSocketAddrs, UdpSocket};
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
use sluis_core::driver::{Requests, Store};
use sluis_core::{Datagrams, Durable};
use sluis_udp::{Readiness, Timer, UdpIo};

#[cfg(feature = "mux")]
pub mod mux;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "signal")]
pub mod signal;

pub use sluis_core;
pub use sluis_core::driver::{Events, Handle, HandleConfig, Request};
pub use sluis_journal as journal;
pub use sluis_udp::{
    BindError, Multicast, MulticastError, NewNodeError, SystemClock, node, prepare, prepare_stored, run, system_seed,
};
#[cfg(feature = "record")]
pub use sluis_udp::{FileTape, TapeEnd};

/// A UDP socket, with the timer and the clock that go with it.
pub type Socket = UdpIo<SmolUdp, SocketTimer>;

#[cfg(any(target_os = "linux", target_os = "android"))]
type SocketTimer = sluis_udp::Alarm<SmolFd, SmolTimer>;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
type SocketTimer = SmolTimer;

/// Open a UDP socket, IPv4 or IPv6, on the first address that can be had; `[::]` serves both families, port 0 is any free port.
/// A name is looked up by the system, which blocks for as long as that takes.
///
/// # Errors
/// No address can be had; the text says which, why, and what to do.
pub fn bind(addrs: impl ToSocketAddrs) -> Result<Socket, BindError> {
    let socket = sluis_udp::bind(addrs)?;
    let addr = socket.local_addr().ok();
    adopt(socket).map_err(|source| BindError::new(addr, source))
}

/// Take over a bound, non-blocking UDP socket.
///
/// # Errors
/// Async-io or the system refuse it.
pub fn adopt(socket: UdpSocket) -> io::Result<Socket> {
    UdpIo::new(SmolUdp::register(socket)?, SocketTimer::default(), SystemClock::new())
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

/// As [`spawn_with`], of a machine whose state is kept in a store: a `sluis_store::Background` on [`blocking`] threads, say.
pub fn spawn_stored<M, S>(socket: Socket, machine: M, store: S, config: HandleConfig) -> (Handle<M>, Events<M>)
where
    M: Requests + Datagrams + Durable + Send + 'static,
    S: Store + Send + 'static,
{
    let (task, handle, events) = prepare_stored(socket, machine, store, config);
    smol::spawn(task).detach();
    (handle, events)
}

/// Run a future to its end on this thread, and the reactor with it.
pub fn block_on<F: Future>(future: F) -> F::Output {
    async_io::block_on(future)
}

/// Smol's blocking threads, for [`journal::Setup::spawn`], [`journal::TokenSetup::spawn`] and the store of [`spawn_stored`].
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
    fn register(socket: UdpSocket) -> io::Result<Self> {
        Async::new_nonblocking(socket).map(Self)
    }

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
    fn another(&self) -> Self {
        Self::default()
    }

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
