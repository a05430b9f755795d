//! Native connections: many channels on one stream of bytes, as machines.
//!
//! | machine | what it does |
//! |---|---|
//! | [`Hub`] | lets agents in and joins the streams of their channels; it passes credit on and buffers no more than a stream takes |
//! | [`Client`] | is one agent: it dials the hub, opens channels and is opened channels to, and goes on with them after a cut |
//!
//! Both are [`Streams`](sluis_core::Streams) machines: any io of `sluis-net` drives them, and so does the simulator.

mod client;
mod greeting;
mod hello;
mod hub;
mod joining;
mod local;
mod orders;
mod relay;
mod tap;
mod taps;

pub use client::{Channel, Client, ClientConfig, Credentials, Event, Lost, OpenError};
pub use hub::{Hub, HubConfig, HubStats};
pub(crate) use local::{LocalEvent, LocalId};

/// The protocol's name in ALPN.
pub const ALPN: &str = "sluis-mux/1";
