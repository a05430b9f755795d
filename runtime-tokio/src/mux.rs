//! Channels between agents through a hub, on tokio: [`connect`] is an agent, [`serve`] a hub.
//!
//! ```
//! use sluis_tokio::mux;
//! use sluis_tokio::mux::sluis_mux::{Access, native::ClientConfig, switchboard::Config};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! sluis_tokio::block_on(async {
//!     let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//!     let url: mux::Url = format!("http://{}", listener.local_addr()?).parse()?;
//!     let mut config = Config::new("hub");
//!     config.access = Access::Open; // believes every name
//!     tokio::spawn(async move { mux::serve(listener, None, config, mux::Options::default(), std::future::pending()).await });
//!
//!     let (bob, mut heard) = mux::connect(&url, None, ClientConfig::new("bob", "", 0))?;
//!     while !matches!(heard.next().await, Some(mux::Notice::Connected(_))) {}
//!     let listening = tokio::spawn(async move {
//!         while let Some(notice) = heard.next().await {
//!             if let mux::Notice::Incoming(incoming) = notice {
//!                 let channel = bob.accept(incoming);
//!                 return channel.receive().await;
//!             }
//!         }
//!         Ok(None)
//!     });
//!     let (alice, _heard) = mux::connect(&url, None, ClientConfig::new("alice", "", 0))?;
//!     let channel = alice.open("bob", "chat", "{}").await?;
//!     channel.send(mux::Kind::Bytes, "hello").await?; // bob's application has it
//!     let message = listening.await??.ok_or("no message")?;
//!     assert_eq!(message.body, b"hello");
//!     Ok(())
//! })
//! # }
//! ```

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sluis_net::{ByteStream as _, ClientTls, Runtime as _, ServerTls};
use sluis_web::sluis_mux::native::ClientConfig;
use sluis_web::sluis_mux::switchboard::Config;
use sluis_web::{Hub, agent};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::Tokio;

pub use sluis_web::agent::{Agent, Channel, Gone, Incoming, Message, Notice, Notices};
pub use sluis_web::sluis_mux::channel::Kind;
pub use sluis_web::{Options, Url, sluis_mux};

/// An agent at the hub there, driven in a task of its own; see [`sluis_web::agent`]. The configuration's own host, port and security are
/// those of the URL.
///
/// # Errors
/// The system has no randomness, or there is TLS without settings for it, or the other way round.
pub fn connect(url: &Url, tls: Option<ClientTls>, config: ClientConfig) -> io::Result<(Agent, Notices)> {
    let (agent, notices, task) = agent::prepare(Tokio, crate::clock(), &crate::system_seed()?, (url, tls), config)?;
    drop(tokio::spawn(task));
    Ok((agent, notices))
}

/// Be a hub on a listening socket until `stop` is ready. To do more with one, make a [`Hub`] on [`Tokio`].
///
/// # Errors
/// The system has no randomness, or refuses the socket. None for a single connection.
pub async fn serve(
    listener: TcpListener,
    tls: Option<ServerTls>,
    config: Config,
    options: Options,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let hub = Hub::new(Tokio, config, options, &crate::system_seed()?, crate::clock());
    hub.serve(Tokio.listen(listener)?, tls, stop).await
}

/// A channel as a stream of bytes, for what wants the runtime's own traits; see [`Channel::into_bytes`].
#[derive(Debug)]
pub struct Bytes(agent::Bytes);

impl From<Channel> for Bytes {
    fn from(channel: Channel) -> Self {
        Self(channel.into_bytes())
    }
}

impl AsyncRead for Bytes {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() > 0 {
            let len = ready!(self.0.poll_read(cx, buf.initialize_unfilled()))?;
            buf.advance(len);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() { Poll::Ready(Ok(0)) } else { self.0.poll_write(cx, buf) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
    }
}
