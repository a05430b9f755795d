//! The suite that machines with state pass on every runtime.

use std::future::Future;
use std::net::SocketAddr;

use sluis_core::driver::{Events, Handle, HandleConfig};
use sluis_core::sim::machines::Keeper;
use sluis_store::conformance::Runtime;
use sluis_store::{Background, Store};

use crate::adapter;

struct Adapter;

impl Runtime for Adapter {
    fn spawn(store: Store, keeper: Keeper) -> (SocketAddr, Handle<Keeper>, Events<Keeper>) {
        let socket = adapter::bind("127.0.0.1:0").expect("a free port");
        let (at, store) = (socket.local_addr(), Background::new(store, adapter::blocking()));
        let (handle, events) = adapter::spawn_stored(socket, keeper, store, HandleConfig::default());
        (at, handle, events)
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        adapter::block_on(future)
    }
}

sluis_store::conformance!(Adapter);
