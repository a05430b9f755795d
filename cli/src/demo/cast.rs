//! Who plays: a hub and three sensors, each a node on a socket of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::channel;
use std::thread;

use sluis_core::Did;
use sluis_core::driver::{Events, Handle};
use sluis_core::framing::{Value, ValueBuf};
use sluis_core::node::{Node, NodeConfig, Reply};

use crate::common::Runtime;
use crate::fail::Fail;
use crate::run;

/// What the hub answers about temperatures.
pub(super) const TEMPERATURE: &str = r#"{"celsius":21.5}"#;

/// A node that runs.
pub(super) struct Actor {
    /// What the story calls it.
    pub(super) name: &'static str,
    pub(super) did: &'static str,
    pub(super) addr: SocketAddr,
    pub(super) handle: Handle<Node>,
    pub(super) events: Events<Node>,
}

/// Everybody. The nodes end when this is dropped.
pub(super) struct Cast {
    pub(super) hub: Actor,
    /// The hub trusts it.
    pub(super) thermo: Actor,
    /// The hub trusts it half.
    pub(super) door: Actor,
    /// The hub does not know it.
    pub(super) stranger: Actor,
}

const HUB: (&str, &str) = ("hub", "jis:demo:hub");
const THERMO: (&str, &str) = ("thermo", "jis:demo:thermo");
const DOOR: (&str, &str) = ("door", "jis:demo:door");
const STRANGER: (&str, &str) = ("stranger", "jis:demo:stranger");

/// Trust of the hub in those that it knows.
pub(super) const TRUST: [(&str, f64); 2] = [(THERMO.1, 0.9), (DOOR.1, 0.5)];

impl Cast {
    /// Open the sockets and start the nodes.
    pub(super) fn call(runtime: Runtime) -> Result<Self, Fail> {
        Ok(Self {
            hub: actor(runtime, HUB, hub()?)?,
            thermo: actor(runtime, THERMO, sensor(THERMO.1)?)?,
            door: actor(runtime, DOOR, sensor(DOOR.1)?)?,
            stranger: actor(runtime, STRANGER, sensor(STRANGER.1)?)?,
        })
    }

    pub(super) fn all(&self) -> [&Actor; 4] {
        [&self.hub, &self.thermo, &self.door, &self.stranger]
    }
}

fn sensor(did: &str) -> Result<Node, Fail> {
    run::node(NodeConfig::new(Did::new(did).map_err(Fail::runtime)?))
}

fn hub() -> Result<Node, Fail> {
    let mut node = sensor(HUB.1)?;
    for (did, trust) in TRUST {
        node.set_trust(did, trust).map_err(Fail::runtime)?;
        node.allow_legacy(did).map_err(Fail::runtime)?;
    }
    let reply = Value::from_json(TEMPERATURE).map_err(Fail::runtime)?;
    let reply = ValueBuf::new(reply).map_err(Fail::runtime)?;
    node.set_reply("temperature.*", Reply::Now(reply)).map_err(Fail::runtime)?;
    Ok(node)
}

/// Start a node in a thread of its own, with a runtime of its own.
fn actor(runtime: Runtime, (name, did): (&'static str, &'static str), node: Node) -> Result<Actor, Fail> {
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let (send, started) = channel();
    macro_rules! on {
        ($runtime:ident) => {
            $runtime::block_on(async move {
                let socket = match $runtime::bind(any) {
                    Ok(socket) => socket,
                    Err(why) => return drop(send.send(Err(Fail::runtime(why)))),
                };
                let addr = socket.local_addr();
                let (handle, events) = $runtime::spawn(socket, node);
                let ended = handle.ended();
                // The story may be over already.
                drop(send.send(Ok(Actor { name, did, addr, handle, events })));
                drop(ended.await);
            })
        };
    }
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || match runtime {
            Runtime::Tokio => on!(sluis_tokio),
            Runtime::Smol => on!(sluis_smol),
        })
        .map_err(|why| Fail::runtime(format!("the system gives no thread: {why}")))?;
    started.recv().map_err(|_| Fail::runtime(format!("the node of {name} did not start")))?
}
