//! Sans-IO state machines for traffic that carries identity.
//!
//! A *machine* takes in datagrams, time and commands, and gives out datagrams, events and when it wants to be called again. It does no I/O, reads no
//! clock, starts no thread and draws no randomness of its own, so it runs in any event loop, on any async runtime, in a
//! simulator and under a fuzzer, with the same bytes coming out for the same bytes going in.
//!
//! | room | what it is |
//! |---|---|
//! | [`framing`] | the TP wire format: frames and the two packets, in JSON, msgpack and postcard |
//! | [`identity`] | keys: Ed25519 with one acceptance rule, HMAC, the forms in which others read them |
//! | [`noise`] | handshakes of the Noise framework, with the curve as a parameter |
//! | `session` (`alloc`) | encrypted sessions: handshakes, packets under their keys, addresses that change |
//! | [`airlock`] | the gate: trust, rules, vouches, replay window, waiting room |
//! | `registry` (`alloc`) | who is where: signed records of devices, found by name and by capability |
//! | `discovery` (`alloc`) | the local network: beacons and their answers, auto-vouch rules, join tokens |
//! | `relay` (`alloc`) | for somebody else: forwarding with a way back, and the signed record of every hop |
//! | [`node`] | the datagram machine: it pings, and gates the pings of others |
//! | [`driver`] | the one loop that runs any machine on any io, and the shared handle |
//! | `record` (feature) | what went in and out of a node, to be replayed |
//! | `sim` (feature) | whole networks on virtual time: a failing run is a seed that replays |
//! | [`data`] | values, texts, numbers, canonical text: no format of ours |
//! | [`table`], [`time`], [`limits`] | the ground |
//!
//! Arrows point down only: every room is useful without those above it.
//!
//! # The loop
//!
//! Whoever drives a machine does three things, for ever: hand in what came ([`handle_datagram`](Datagrams::handle_datagram),
//! [`handle_timeout`](Machine::handle_timeout), a command), take out what is ready
//! ([`poll_event`](Machine::poll_event), [`poll_transmit`](Datagrams::poll_transmit)), and wait for input or for the
//! instant that it [`wants`](Machine::wants). Here two nodes talk through nothing but memory:
//!
#![cfg_attr(feature = "alloc", doc = "```")]
#![cfg_attr(not(feature = "alloc"), doc = "```ignore")]
//! use sluis_core::framing::{Value, ValueBuf};
//! use sluis_core::node::{Event, Node, NodeConfig, Ping, Reply};
//! use sluis_core::{Datagrams, Did, Instant, Machine, Now, Path, Seed, Wall};
//!
//! // Time and randomness come in. (A seed for production comes from the system, once.)
//! let now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000));
//! let mut hub = Node::new(NodeConfig::new(Did::new("jis:home:hub")?), &Seed::from_u64(1))?;
//! let mut sensor = Node::new(NodeConfig::new(Did::new("jis:home:sensor")?), &Seed::from_u64(2))?;
//! hub.set_trust("jis:home:sensor", 0.9)?;
//! hub.allow_legacy("jis:home:*")?;
//! hub.set_reply("temperature.*", Reply::Now(ValueBuf::new(Value::from_json(r#"{"celsius":21.5}"#)?)?))?;
//!
//! let at_hub = Path::to("192.0.2.1:7150".parse()?);
//! let at_sensor = Path::to("192.0.2.2:7150".parse()?);
//! sensor.ping(now, &Ping::new("jis:home:hub", at_hub, "temperature.read"))?;
//!
//! let mut buf = vec![0; sluis_core::limits::MAX_DATAGRAM_V6];
//! let mut answered = false;
//! while !answered {
//!     while let Some(t) = sensor.poll_transmit(now, &mut buf) {
//!         let _ = hub.handle_datagram(now, at_sensor, &mut buf[..t.len]);
//!     }
//!     while let Some(t) = hub.poll_transmit(now, &mut buf) {
//!         let _ = sensor.handle_datagram(now, at_hub, &mut buf[..t.len]);
//!     }
//!     while let Some(event) = sensor.poll_event() {
//!         if let Event::Response(answer) = event {
//!             assert_eq!(answer.response().payload.to_json_string()?, r#"{"celsius":21.5}"#);
//!             answered = true;
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A machine that is [`Durable`] also gives out what it keeps ([`poll_store`](Durable::poll_store)) and is told when that is on the medium
//! ([`handle_stored`](Durable::handle_stored)); `sluis-store` has a store for it.
//!
//! `core/examples/std_loop.rs` does the same on a plain `std::net` socket; `sluis-tokio` and `sluis-smol` bring an
//! [`Io`](driver::Io) for their runtime.
//!
//! # Features
//!
//! `std` (default) adds the thread-safe [`Handle`](driver::Handle) with request futures. `alloc` has the machines. Without either
//! there are framing, the gate, timestamps, and the leaf tables at const capacity: enough for firmware, without a heap. `serde`
//! derives `Serialize` for plain data types. `tracing` gives a span for each datagram (trace) and an event for each that is turned
//! away, with the reason (debug), and shows nothing of what is in it. `record` writes down what goes in and out of a node
//! and replays it. `sim` runs whole networks of nodes on virtual time; together with `std` it has the conformance suite for
//! adapters too.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod airlock;
#[cfg(feature = "alloc")]
mod change;
pub mod data;
mod did;
#[cfg(feature = "alloc")]
pub mod discovery;
#[cfg(feature = "alloc")]
pub mod driver;
pub mod framing;
pub mod identity;
pub mod limits;
mod machine;
mod network;
#[cfg(feature = "alloc")]
pub mod node;
pub mod noise;
mod path;
#[cfg(feature = "alloc")]
pub mod pins;
#[cfg(feature = "record")]
pub mod record;
#[cfg(feature = "alloc")]
pub mod registry;
mod reject;
#[cfg(feature = "alloc")]
pub mod relay;
mod seed;
#[cfg(feature = "alloc")]
pub mod session;
#[cfg(any(feature = "sim", all(test, feature = "std")))]
pub mod sim;
mod stream;
pub mod table;
pub mod time;
mod unsent;

#[cfg(feature = "alloc")]
pub use change::Change;
#[cfg(feature = "alloc")]
pub use did::Did;
pub use did::{DidError, check_did};
pub use machine::{Commands, Datagrams, Durable, Machine, StoreError, StoreOp, StoreSeq, Transmit, Wants};
pub use network::{Network, NetworkChange};
pub use path::{Path, SocketId};
pub use reject::{Reject, RejectCounts};
pub use seed::{Name, Rng, Seed, SipKey};
pub use stream::{Conn, End, Endpoint, Family, ListenerId, Order, Origin, Security, Streams, Up};
pub use time::{Duration, Instant, Now, Reason, Wall};
pub use unsent::Unsent;

/// The README's own code, compiled as a test.
#[cfg(all(doctest, feature = "std", feature = "record"))]
#[doc = include_str!("../../README.md")]
struct Readme;
