//! Who plays: a hub, four sensors and a forger, each a node on a socket of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::channel;
use std::thread;

use sluis_core::Did;
use sluis_core::driver::{Events, Handle};
use sluis_core::framing::{Value, ValueBuf};
use sluis_core::identity::SecretKey;
use sluis_core::node::{Identity, Node, NodeConfig, Reply, SessionPolicy};
use sluis_core::pins::Origin;
use sluis_core::{Instant, Now};

use crate::common::Runtime;
use crate::fail::Fail;
use crate::run;

/// What the hub answers about temperatures.
pub(super) const TEMPERATURE: &str = r#"{"celsius":21.5}"#;

/// A node that runs.
pub(crate) struct Actor {
    /// What the story calls it.
    pub(super) name: &'static str,
    pub(super) did: &'static str,
    pub(crate) addr: SocketAddr,
    pub(crate) handle: Handle<Node>,
    pub(crate) events: Events<Node>,
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
    /// The hub has pinned its key, and it has pinned the hub's.
    pub(super) meter: Actor,
    /// Writes the name of the meter, and does not have its key.
    pub(super) forger: Actor,
}

const HUB: (&str, &str) = ("hub", "jis:demo:hub");
const THERMO: (&str, &str) = ("thermo", "jis:demo:thermo");
const DOOR: (&str, &str) = ("door", "jis:demo:door");
const METER: (&str, &str) = ("meter", "jis:demo:meter");
const FORGER: (&str, &str) = ("forger", METER.1);
const STRANGER: (&str, &str) = ("stranger", "jis:demo:stranger");

/// Trust of the hub in those that it knows.
pub(super) const TRUST: [(&str, f64); 3] = [(THERMO.1, 0.9), (DOOR.1, 0.5), (METER.1, 0.9)];

impl Cast {
    /// Open the sockets and start the nodes.
    pub(super) fn call(runtime: Runtime) -> Result<Self, Fail> {
        let seed =
            sluis_tokio::system_seed().map_err(|why| Fail::runtime(format!("the system has no randomness: {why}")))?;
        let [hub_key, meter_key] = [HUB, METER].map(|(name, _)| SecretKey::generate(&mut seed.fork(name)));
        let (hub_public, meter_public) = (hub_key.public(), meter_key.public());
        let (mut hub, mut meter) = (hub(hub_key)?, keyed(METER.1, meter_key)?);
        let now = Now::new(Instant::ZERO, run::wall());
        hub.pin(now, METER.1, meter_public, Origin::Operator).map_err(Fail::runtime)?;
        meter.pin(now, HUB.1, hub_public, Origin::Operator).map_err(Fail::runtime)?;
        Ok(Self {
            hub: actor(runtime, HUB, hub)?,
            thermo: actor(runtime, THERMO, sensor(THERMO.1)?)?,
            door: actor(runtime, DOOR, sensor(DOOR.1)?)?,
            stranger: actor(runtime, STRANGER, sensor(STRANGER.1)?)?,
            meter: actor(runtime, METER, meter)?,
            forger: actor(runtime, FORGER, sensor(FORGER.1)?)?,
        })
    }

    /// Whom the story begins with.
    pub(super) fn known(&self) -> [&Actor; 5] {
        [&self.hub, &self.thermo, &self.door, &self.stranger, &self.meter]
    }
}

fn sensor(did: &str) -> Result<Node, Fail> {
    run::node(NodeConfig::new(Did::new(did).map_err(Fail::runtime)?))
}

/// A node with a key, which speaks sessions.
fn keyed(did: &str, key: SecretKey) -> Result<Node, Fail> {
    let mut config = NodeConfig::new(Did::new(did).map_err(Fail::runtime)?);
    config.identity = Some(Identity::from(key));
    config.sessions = SessionPolicy::Auto;
    run::node(config)
}

fn hub(key: SecretKey) -> Result<Node, Fail> {
    let mut node = keyed(HUB.1, key)?;
    for (did, trust) in TRUST {
        node.set_trust(did, trust).map_err(Fail::runtime)?;
    }
    for did in [THERMO.1, DOOR.1] {
        node.allow_legacy(did).map_err(Fail::runtime)?;
    }
    let reply = Value::from_json(TEMPERATURE).map_err(Fail::runtime)?;
    let reply = ValueBuf::new(reply).map_err(Fail::runtime)?;
    node.set_reply("temperature.*", Reply::Now(reply)).map_err(Fail::runtime)?;
    Ok(node)
}

/// Start a node in a thread of its own, with a runtime of its own.
fn actor(runtime: Runtime, (name, did): (&'static str, &'static str), node: Node) -> Result<Actor, Fail> {
    actor_at(runtime, (name, did), node, SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))
}

/// The same at an address of choice.
pub(crate) fn actor_at(
    runtime: Runtime,
    (name, did): (&'static str, &'static str),
    node: Node,
    any: SocketAddr,
) -> Result<Actor, Fail> {
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
