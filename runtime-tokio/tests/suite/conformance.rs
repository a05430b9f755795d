//! The suite that every adapter passes, on a runtime of one thread and on one of several.

use std::future::Future;
use std::net::SocketAddr;

use sluis_core::driver::{App, DriverStats, Events, Handle, HandleConfig, Requests};
use sluis_core::sim::conformance::Adapter;
use sluis_core::{Datagrams, SocketId};
use sluis_tokio::Socket;

struct Tokio<const THREADS: bool>;

impl<const THREADS: bool> Adapter for Tokio<THREADS> {
    type Socket = Socket;

    fn bind(addr: SocketAddr) -> Result<Socket, String> {
        sluis_tokio::bind(addr).map_err(|error| error.to_string())
    }

    fn add(socket: &mut Socket, other: Socket) -> Result<SocketId, String> {
        socket.add(other).map_err(|error| error.to_string())
    }

    fn local_addr(socket: &Socket) -> SocketAddr {
        socket.local_addr()
    }

    async fn run<M: Datagrams, A: App<M>>(
        socket: &mut Socket,
        machine: &mut M,
        app: &mut A,
    ) -> Result<DriverStats, String> {
        sluis_tokio::run(socket, machine, app).await.map_err(|error| error.to_string())
    }

    fn spawn<M>(socket: Socket, machine: M, config: HandleConfig) -> (Handle<M>, Events<M>)
    where
        M: Requests + Datagrams + Send + 'static,
    {
        sluis_tokio::spawn_with(socket, machine, config)
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        if !THREADS {
            return sluis_tokio::block_on(future);
        }
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(2).enable_all().build().expect("a runtime").block_on(future)
    }
}

mod one_thread {
    sluis_core::conformance!(super::Tokio<false>);
}

mod threads {
    sluis_core::conformance!(super::Tokio<true>);
}
