//! What every adapter offers under its own name, whatever its runtime.

use std::io;

use sluis_core::driver::{
    App, Clock, Driver, DriverConfig, DriverStats, Events, Handle, HandleConfig, Lend, Requests, Store, Stored,
    StreamTransport, Task, share_over,
};
use sluis_core::{Durable, Streams};

use crate::{NetStreams, Runtime};

/// Drive a machine on its streams until its app says stop (what is queued is written first), and say what was done.
///
/// Can be dropped at any time; all streams are dropped with it.
///
/// # Errors
/// The io can no longer be used.
pub async fn run<R, C, M, A>(io: NetStreams<R, C>, machine: &mut M, app: &mut A) -> io::Result<DriverStats>
where
    R: Runtime,
    C: Clock,
    M: Streams,
    A: App<M>,
{
    Driver::over(StreamTransport::new(io), Lend { machine, app }, DriverConfig::default().grace).await
}

/// As [`run`], of a machine that keeps something: that goes to a store.
///
/// # Errors
/// The io can no longer be used.
pub async fn run_stored<R, C, M, A, S>(
    io: NetStreams<R, C>,
    machine: &mut M,
    app: &mut A,
    store: S,
) -> io::Result<DriverStats>
where
    R: Runtime,
    C: Clock,
    M: Streams + Durable,
    A: App<M>,
    S: Store,
{
    let driver = Driver::over(StreamTransport::new(io), Lend { machine, app }, DriverConfig::default().grace);
    driver.with_store(store).await
}

/// The future that drives a shared machine on its streams.
pub type StreamTask<M, R, C> = Task<M, StreamTransport<NetStreams<R, C>>>;

/// Share a machine between a task that drives it on its streams, which is yours to spawn where you like, a handle, and a stream of its
/// events.
pub fn prepare<R, C, M>(
    io: NetStreams<R, C>,
    machine: M,
    config: HandleConfig,
) -> (StreamTask<M, R, C>, Handle<M>, Events<M>)
where
    R: Runtime,
    C: Clock + Clone + 'static,
    M: Requests + Streams,
{
    let clock = io.clock().clone();
    share_over(StreamTransport::new(io), machine, clock, config)
}

/// As [`prepare`], of a machine that keeps something: that goes to a store.
#[expect(clippy::type_complexity, reason = "a task, a handle and events, as everywhere")]
pub fn prepare_stored<R, C, M, S>(
    io: NetStreams<R, C>,
    machine: M,
    store: S,
    config: HandleConfig,
) -> (Task<M, Stored<StreamTransport<NetStreams<R, C>>, S>>, Handle<M>, Events<M>)
where
    R: Runtime,
    C: Clock + Clone + 'static,
    M: Requests + Streams + Durable,
    S: Store,
{
    let clock = io.clock().clone();
    share_over(Stored::new(StreamTransport::new(io), store), machine, clock, config)
}
