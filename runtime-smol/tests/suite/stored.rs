//! The suite that machines with state pass on every runtime.

use std::future::Future;
use std::net::SocketAddr;

use sluis_core::driver::{Events, Handle, HandleConfig};
use sluis_core::sim::machines::Keeper;
use sluis_store::conformance::Runtime;
use sluis_store::{Background, Store};

struct Smol;

impl Runtime for Smol {
    fn spawn(store: Store, keeper: Keeper) -> (SocketAddr, Handle<Keeper>, Events<Keeper>) {
        let socket = sluis_smol::bind("127.0.0.1:0").expect("a free port");
        let (at, store) = (socket.local_addr(), Background::new(store, sluis_smol::blocking()));
        let (handle, events) = sluis_smol::spawn_stored(socket, keeper, store, HandleConfig::default());
        (at, handle, events)
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        sluis_smol::block_on(future)
    }
}

sluis_store::conformance!(Smol);
