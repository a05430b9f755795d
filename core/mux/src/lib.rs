//! Channels between named agents on one port, without I/O.
//!
//! | room | what it is |
//! |---|---|
//! | [`switchboard`] | who is there, which channels are open between whom, what is handed to whom |
//! | [`rest`](mod@rest), [`talk`](mod@talk) | the REST and WebSocket dialogue of `tibet-mux`, as pure functions on a switchboard |
//! | [`access`] | tokens, and what their bearers may do |
//! | [`intents`], [`Bucket`] | where an intent is routed, and what bandwidth it gets |
//! | [`proof`] | the tag on every frame |
//! | [`signed`] | frames that carry their own signature, as `tibet-mux` 1.3.1 makes them |
//! | [`session`] | many streams on one native connection: yamux, byte for byte |
//! | [`native`] | hub and agent on native connections, as machines on byte streams |
//! | [`news`] | what a hub tells whoever runs it |
//! | [`Bridge`] | between a switchboard and a hub of native connections: agents of both reach each other |
//! | [`channel`] | a channel on a stream: messages that are acknowledged, proven, and survive the connection |
//!
//! # A switchboard alone
//!
//! ```
//! use sluis_core::data::Value;
//! use sluis_core::{Now, Seed};
//! use sluis_mux::switchboard::{Body, Config, Open, SocketOptions, Switchboard};
//! use sluis_mux::{Access, Caller};
//!
//! let now = Now::default(); // time comes in, and so does randomness
//! let mut config = Config::new("my_agent");
//! config.access = Access::Open;
//! let mut mux = Switchboard::new(config, &Seed::from_u64(1), now);
//! let me = Caller::Anyone;
//!
//! // Somebody who hears what comes in.
//! let gemini = mux.attach(now, &me, "gemini", SocketOptions::default())?;
//!
//! let ask = Open { agent: "my_agent", target: "gemini", intent: "chat", metadata: None, socket: None };
//! let chat = mux.open(now, &me, &ask)?.channel;
//! let frame = mux.send(now, &me, chat, Body::Value(Value::from_json(r#"{"text":"Hello via tibet-mux!"}"#)?))?;
//! assert!(frame.delivered);
//!
//! let incoming = mux.poll_text(now, gemini).unwrap_or_default();
//! assert!(incoming.starts_with(r#"{"event":"channel_incoming","channel_id":"ch-"#));
//! let heard = mux.poll_text(now, gemini).unwrap_or_default();
//! assert!(heard.contains(r#""from":"my_agent","seq":0,"payload":{"text":"Hello via tibet-mux!"}"#));
//!
//! mux.close(now, &me, chat, "client_close")?;
//! assert_eq!(mux.totals().frames, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod access;
pub mod agent;
mod bridge;
mod bucket;
pub mod channel;
mod faults;
pub mod intents;
pub mod native;
pub mod news;
pub mod proof;
pub mod rest;
pub mod session;
pub mod signed;
pub mod switchboard;
pub mod talk;
mod write;

pub use access::{Access, Caller, Credential};
pub use bridge::Bridge;
pub use bucket::{Bucket, Verdict};
#[cfg(feature = "sim")]
pub use faults::Fault;
pub use switchboard::Switchboard;
