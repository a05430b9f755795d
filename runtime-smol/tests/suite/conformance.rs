//! The suite that every adapter passes.

use std::future::Future;
use std::net::SocketAddr;

use sluis_core::driver::{App, DriverStats, Events, Handle, HandleConfig, Requests};
use sluis_core::sim::conformance::Adapter;
use sluis_core::{Datagrams, SocketId};
use sluis_smol::Socket;

struct Smol;

impl Adapter for Smol {
    type Socket = Socket;

    fn bind(addr: SocketAddr) -> Result<Socket, String> {
        sluis_smol::bind(addr).map_err(|error| error.to_string())
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
        sluis_smol::run(socket, machine, app).await.map_err(|error| error.to_string())
    }

    fn spawn<M>(socket: Socket, machine: M, config: HandleConfig) -> (Handle<M>, Events<M>)
    where
        M: Requests + Datagrams + Send + 'static,
    {
        sluis_smol::spawn_with(socket, machine, config)
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        sluis_smol::block_on(future)
    }
}

sluis_core::conformance!(Smol);
