//! The airlock, nodes, and whole networks of them: against the reference's fixtures and models.
#![cfg(feature = "alloc")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/nodes.rs"]
mod nodes;
#[path = "../common/packets.rs"]
mod packets;

mod airlock;
mod discovery;
#[cfg(feature = "sim")]
mod lan;
#[cfg(feature = "sim")]
mod mesh;
mod model_node;
mod node_edges;
mod node_flow;
mod node_make;
mod node_peers;
mod node_receive;
mod registry;
mod relay;
mod replay_flood;
mod resolve;
mod session;
#[cfg(feature = "sim")]
mod sim_effects;
#[cfg(feature = "sim")]
mod sim_runs;
#[cfg(all(feature = "sim", feature = "std"))]
mod sim_stored;
#[cfg(feature = "sim")]
mod sim_worlds;
