//! Runs [Sluis](sluis_core) machines on [tokio](https://tokio.rs): UDP sockets, timer, spawn.
//!
//! The surface is the same as that of `sluis-smol`; everything needs a tokio runtime with I/O and time enabled, and panics
//! outside of one, as tokio itself does. [`block_on`] starts such a runtime.
//!
//! * [`bind`] opens a [`Socket`].
//! * [`run`] drives a machine that you own with an [`App`](sluis_core::driver::App) that looks after it.
//! * [`spawn`] gives a machine away and returns a [`Handle`] and the stream of [`Events`].
//! * [`blocking`] is where a [`journal`] writes: the runtime's blocking threads.
//! * Under a paused clock ([`tokio::time::pause`], before [`bind`]) machines live in tokio's time: timers, time-outs and the wall clock
//!   advance with it, in no time.
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
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use sluis_core::Datagrams;
use sluis_core::driver::{Events, Handle, HandleConfig, Requests};
use sluis_udp::{Timer, UdpIo};
use tokio::time::Sleep;

pub use sluis_journal as journal;
pub use sluis_udp::{BindError, SystemClock, prepare, run, system_seed};
#[cfg(feature = "record")]
pub use sluis_udp::{FileTape, TapeEnd};
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use unix::TokioFd;
#[cfg(unix)]
pub use unix::TokioUdp;
#[cfg(windows)]
pub use windows::TokioUdp;

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
    let socket = TokioUdp::new(socket)?;
    if is_system_time() {
        return UdpIo::new(socket, SocketTimer::default(), SystemClock::new());
    }
    UdpIo::new(socket, of_runtime(), SystemClock::of_runtime(now))
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Whether tokio's clock is the system's: neither paused nor resumed after a pause.
fn is_system_time() -> bool {
    let before = Instant::now();
    let tokio = now();
    before <= tokio && tokio <= Instant::now()
}

/// A timer that heeds a paused clock, which the kernel's does not.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn of_runtime() -> SocketTimer {
    SocketTimer::of_runtime()
}

/// A timer that heeds a paused clock.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn of_runtime() -> SocketTimer {
    SocketTimer::default()
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
