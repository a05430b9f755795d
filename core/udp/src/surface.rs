//! What every adapter offers under its own name, whatever its runtime.

use std::io;

use sluis_core::driver::{
    App, DatagramTransport, Driver, DriverConfig, DriverStats, Events, Handle, HandleConfig, Requests, Store, Stored,
    Task, share, share_over,
};
use sluis_core::{Datagrams, Durable};

use crate::{Readiness, Timer, UdpIo};

/// Drive a machine until its app says stop (what is queued is flushed first), and say what was done.
///
/// Can be dropped at any time; it then stops at once, without a flush, and both may be run again.
///
/// # Errors
/// The socket can no longer be used.
pub async fn run<S, T, M, A>(socket: &mut UdpIo<S, T>, machine: &mut M, app: &mut A) -> io::Result<DriverStats>
where
    S: Readiness,
    T: Timer,
    M: Datagrams,
    A: App<M>,
{
    Driver::lend(socket, machine, app, DriverConfig::default()).await
}

/// The future that drives a shared machine on a socket.
pub type UdpTask<M, S, T> = Task<M, DatagramTransport<UdpIo<S, T>>>;

/// Share a machine between a task that drives it, which is yours to spawn where you like, a handle, and a stream of its
/// events.
pub fn prepare<S, T, M>(
    socket: UdpIo<S, T>,
    machine: M,
    config: HandleConfig,
) -> (UdpTask<M, S, T>, Handle<M>, Events<M>)
where
    S: Readiness,
    T: Timer,
    M: Requests + Datagrams,
{
    let clock = socket.clock();
    share(socket, machine, clock, config)
}

/// The future that drives a shared machine on a socket, and brings what it keeps to a store.
pub type StoredTask<M, S, T, K> = Task<M, Stored<DatagramTransport<UdpIo<S, T>>, K>>;

/// As [`prepare`], of a machine whose state is kept in a store.
pub fn prepare_stored<S, T, M, K>(
    socket: UdpIo<S, T>,
    machine: M,
    store: K,
    config: HandleConfig,
) -> (StoredTask<M, S, T, K>, Handle<M>, Events<M>)
where
    S: Readiness,
    T: Timer,
    M: Requests + Datagrams + Durable,
    K: Store,
{
    let clock = socket.clock();
    let transport = Stored::new(DatagramTransport::new(socket, &config.driver), store);
    share_over(transport, machine, clock, config)
}
