//! HTTP and WebSocket for a hub of `sluis-mux`, on any runtime: hyper and tungstenite around its pure dialogue.
//!
//! * [`Hub`] is a switchboard that many connections share. [`Hub::serve`] is a whole server; [`Hub::answer`] is the service to mount in
//!   a hyper server of your own.
//! * On the same port it serves native connections ([`sluis_mux::native`]): over TLS where both agree on that by ALPN, without TLS where the
//!   first byte says so. Behind a middlebox that lets HTTP through alone, they are [carried](carry) by a WebSocket ([`Carried`]).
//! * [`Splices`] join channels of a native agent with byte streams; a [`Backend`] is a TCP service that a hub joins channels with.
//! * [`agent`] is an application's own agent on a native connection.
//! * [`Client`] asks a hub, and [`Listener`] is an agent that listens on a WebSocket.
//! * [`serve_pages`] is for what a program tells of itself (metrics, health): small, bounded, and no part of a hub.
//!
//! A header that does not come within 10 s of the accept, a body within 30 s or of more than 2 MiB, a WebSocket that leaves two pings
//! unanswered: the connection ends. A socket that does not read is not read from. Tokens are never logged or repeated.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod agent;
mod backends;
mod body;
mod carried;
mod client;
mod hub;
mod inside;
mod io;
mod listener;
mod native;
mod origin;
mod pages;
mod pipe;
mod server;
mod socket;
mod splice;
#[cfg(test)]
mod tests;

pub use backends::Backend;
pub use carried::{Carried, carry};
pub use client::{Client, ClientError, Reply, Url, UrlError};
pub use hub::{Hub, HubStats, Options};
pub use hyper;
pub use listener::{Heard, Listener};
pub use pages::{Page, serve_pages};
pub use sluis_mux;
pub use splice::{Spliced, Splices};
