//! A node on the chosen runtime.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use sluis_core::driver::{App, Driver, DriverConfig, DriverStats};
use sluis_core::node::{Node, NodeConfig};
use sluis_core::record::Recorded;
use sluis_core::{Datagrams, Durable, Seed, Wall};
use sluis_store::Store;
use sluis_tokio::FileTape;
use sluis_udp::{Multicast, MulticastError, Refusals};

use crate::common::Runtime;
use crate::fail::Fail;
use crate::metrics::{Commits, Watched};
use crate::state;
use crate::values::Place;

/// How long what is queued may take to leave when a command ends: a signal ends it within a second, whatever blocks.
const GRACE: Duration = Duration::from_millis(200);

/// An app that wants to know where its socket is.
pub(crate) trait Bound {
    /// The socket is open, and this is where it tells of ports that nobody listens on.
    fn bound(&mut self, addr: SocketAddr, refusals: Refusals);

    /// Where the commits of its store are counted, if anywhere.
    fn commits(&self) -> Option<Commits> {
        None
    }
}

/// A node with a seed of its own.
pub(crate) fn node(config: NodeConfig) -> Result<Node, Fail> {
    Node::new(config, &seed()?).map_err(Fail::usage)
}

/// The same, and everything that goes in and out of it is recorded.
pub(crate) fn recorded(config: NodeConfig, tape: FileTape) -> Result<Recorded<Node>, Fail> {
    Node::recorded(config, &seed()?, Box::new(tape)).map_err(Fail::usage)
}

/// What the wall clock shows.
pub(crate) fn wall() -> Wall {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Wall::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

pub(crate) fn seed() -> Result<Seed, Fail> {
    sluis_tokio::system_seed().map_err(|why| Fail::runtime(format!("the system has no randomness: {why}")))
}

/// Open a socket.
pub(crate) fn bind(addr: SocketAddr) -> Result<UdpSocket, Fail> {
    sluis_udp::bind(addr).map_err(Fail::runtime)
}

/// Nobody can be called: what was asked for is wrong, or the system refuses it.
fn no_multicast(why: &MulticastError) -> Fail {
    match why {
        MulticastError::Join { .. } | MulticastError::List(_) => Fail::runtime(why),
        _ => Fail::usage(why),
    }
}

/// Run the app on a socket, and on the networks on which everybody is called, until it has enough. What the node has to keep goes to the store, if there is one.
pub(crate) fn drive<M: Datagrams + Durable, A: App<M> + Bound>(
    runtime: Runtime,
    (socket, lan): (UdpSocket, Option<Multicast>),
    store: Option<Store>,
    node: &mut M,
    app: &mut A,
) -> Result<DriverStats, Fail> {
    let config = DriverConfig { grace: GRACE, ..DriverConfig::default() };
    let commits = app.commits();
    macro_rules! on {
        ($runtime:ident) => {
            $runtime::block_on(async {
                let mut socket = $runtime::adopt(socket).map_err(Fail::runtime)?;
                lan.map_or(Ok(()), |lan| socket.discover(lan)).map_err(|why| no_multicast(&why))?;
                app.bound(socket.local_addr(), socket.refusals());
                let driver = Driver::lend(&mut socket, node, app, config);
                let ended = match store {
                    Some(store) => {
                        let store = state::beside(store, $runtime::blocking());
                        driver.with_store(Watched::new(store, commits)).await
                    }
                    None => driver.await,
                };
                ended.map_err(|why| {
                    Fail::runtime(format!("the socket on {} failed ({why}), start again", socket.local_addr()))
                })
            })
        };
    }
    match runtime {
        Runtime::Tokio => on!(sluis_tokio),
        Runtime::Smol => on!(sluis_smol),
    }
}

/// The addresses of a place, or what to do about it that there are none.
pub(crate) fn resolve(place: &Place) -> Result<Vec<SocketAddr>, Fail> {
    let mend = "check the name, or write an address in numbers";
    match place.resolve() {
        Ok(addrs) if addrs.is_empty() => Err(Fail::runtime(format!("{place} has no address, {mend}"))),
        Ok(addrs) => Ok(addrs),
        Err(why) => Err(Fail::runtime(format!("cannot find the address of {place} ({why}), {mend}"))),
    }
}

/// The address of a place to bind to: IPv4 where there is a choice.
pub(crate) fn resolve_bind(place: &Place) -> Result<SocketAddr, Fail> {
    let addrs = resolve(place)?;
    let first = addrs.iter().find(|addr| addr.is_ipv4()).or(addrs.first());
    first.copied().ok_or_else(|| Fail::runtime(format!("{place} has no address")))
}
