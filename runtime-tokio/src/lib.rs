//! Runs [Sluis](sluis_core) machines on [tokio](https://tokio.rs): UDP sockets, timer, spawn.
//!
//! The surface is the same as that of `sluis-smol`; everything needs a tokio runtime with I/O and time enabled, and panics
//! outside of one, as tokio itself does. [`block_on`] starts such a runtime.
//!
//! * [`node`] makes a node with a seed of the system's, [`bind`] opens a [`Socket`].
//! * [`run`] drives a machine that you own with an [`App`](sluis_core::driver::App) that looks after it.
//! * [`spawn`] gives a machine away and returns a [`Handle`] and the stream of [`Events`].
//! * [`blocking`] is where a [`journal`] writes: the runtime's blocking threads.
//! * Under a paused clock (`tokio::time::pause`, before [`bind`]) machines live in tokio's time: timers, time-outs and the wall clock
//!   advance with it, in no time.
//! * With the feature `record`, `FileTape` keeps everything that goes into a node and out of it, to be replayed.
//!
//! A hub in ten lines. It answers whoever it trusts, and prints what comes in:
//!
//! ```no_run
//! use sluis_tokio::sluis_core::node::Reply;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! sluis_tokio::block_on(async {
//!     let mut hub = sluis_tokio::node("jis:home:hub")?;
//!     hub.set_trust("jis:home:sensor", 0.9)?;
//!     hub.allow_legacy("jis:home:*")?; // packets are not signed yet: without this a person decides about each
//!     hub.set_reply("temperature.*", Reply::Now(r#"{"celsius":21.5}"#.parse()?))?;
//!     let (_hub, mut events) = sluis_tokio::spawn(sluis_tokio::bind("0.0.0.0:7150")?, hub);
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
//! use sluis_tokio::sluis_core::data::ValueBuf;
//! use sluis_tokio::sluis_core::node::{Ping, Reply};
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
//! sluis_tokio::block_on(async {
//!     let mut hub = sluis_tokio::node("jis:home:hub")?;
//!     hub.set_trust("jis:home:sensor", 0.9)?;
//!     hub.allow_legacy("jis:home:*")?;
//!     hub.set_reply("temperature.*", Reply::Now(ValueBuf::from_serde(&Temperature { celsius: 21.5 })?))?;
//!     let socket = sluis_tokio::bind("127.0.0.1:0")?;
//!     let at = socket.local_addr();
//!     let (_hub, _events) = sluis_tokio::spawn(socket, hub);
//!
//!     let (sensor, _events) = sluis_tokio::spawn(sluis_tokio::bind("127.0.0.1:0")?, sluis_tokio::node("jis:home:sensor")?);
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
//! sluis_tokio::block_on(async {
//!     let mut socket = sluis_tokio::bind("127.0.0.1:0")?;
//!     let mut echo = Echo::new(64);
//!     // This app stops at once.
//!     let stats = sluis_tokio::run(&mut socket, &mut echo, &mut |_: Now, _: &mut Echo| Flow::Stop).await?;
//!     assert_eq!(stats.received, 0);
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
use std::net::{ToSocketAddrs, UdpSocket};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use sluis_core::driver::{Requests, Store};
use sluis_core::{Datagrams, Durable};
use sluis_udp::{Readiness as _, Timer, UdpIo};
use tokio::time::Sleep;

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
/// Tokio or the system refuse it.
pub fn adopt(socket: UdpSocket) -> io::Result<Socket> {
    let socket = TokioUdp::register(socket)?;
    if is_system_time() {
        return UdpIo::new(socket, SocketTimer::default(), SystemClock::new());
    }
    UdpIo::new(socket, of_runtime(), SystemClock::of_runtime(now))
}

/// A clock that goes as tokio's does.
#[cfg(feature = "net")]
fn clock() -> SystemClock {
    if is_system_time() { SystemClock::new() } else { SystemClock::of_runtime(now) }
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

/// As [`spawn_with`], of a machine whose state is kept in a store: a `sluis_store::Background` on [`blocking`] threads, say.
pub fn spawn_stored<M, S>(socket: Socket, machine: M, store: S, config: HandleConfig) -> (Handle<M>, Events<M>)
where
    M: Requests + Datagrams + Durable + Send + 'static,
    S: Store + Send + 'static,
{
    let (task, handle, events) = prepare_stored(socket, machine, store, config);
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

/// This runtime's blocking threads, for [`journal::Setup::spawn`], [`journal::TokenSetup::spawn`] and the store of [`spawn_stored`].
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
    fn another(&self) -> Self {
        Self::default()
    }

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
