//! What the TCP adapters of every runtime share, written once: byte streams, TLS 1.3 on any of them, and dialling.
//!
//! An adapter implements [`Runtime`]: how its runtime listens, connects, waits and spawns. Everything above is generic over that, so
//! both runtimes run the same code.
//!
//! * TLS is version 1.3 and nothing else, by rustls with `ring`. A stream that ends without saying so is an error, not an end.
//! * A half of a handshake keeps a connection for [`HANDSHAKE_TIME`], no longer.
//! * A server's certificate can be [exchanged](ServerTls::replace) while it runs; one that is expired, not yet valid, unreadable or of
//!   another key is refused with the reason.
//! * [`NetStreams`] is all of that as the [`StreamIo`](sluis_core::driver::StreamIo) of a [`Streams`](sluis_core::Streams) machine.
//! * A [`Proxy`] opens tunnels by HTTP CONNECT, for what only leads out through one.
//! * [`dial`] tries all addresses of both families, 250 ms apart, and takes what answers first (RFC 8305).
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod attempt;
mod certs;
mod client;
mod dial;
mod proxy;
mod ready;
mod server;
mod stream;
mod streams;
mod surface;
#[cfg(test)]
mod tests;
mod tls;

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

pub use certs::CertError;
pub use client::{ClientTls, Fingerprint, Trust, TrustError};
pub use dial::dial;
pub use proxy::{Proxy, ProxyError};
pub use ready::{ReadyList, Wakened};
pub use rustls;
pub use server::ServerTls;
pub use stream::{ByteStream, flush, read, write_all};
pub use streams::NetStreams;
pub use surface::{StreamTask, prepare, prepare_stored, run, run_stored};
pub use tls::{MaybeTls, Tls, handshake};

/// How long a TLS handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// What only a runtime can do.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// A connection.
    type Tcp: ByteStream;
    /// A listening socket.
    type Listener: Accept<Tcp = Self::Tcp>;

    /// Take over a listening socket.
    ///
    /// # Errors
    /// The runtime or the system refuse it.
    fn listen(&self, socket: std::net::TcpListener) -> io::Result<Self::Listener>;

    /// Connect, from this address of ours where one is given.
    fn connect(
        &self,
        addr: SocketAddr,
        from: Option<IpAddr>,
    ) -> impl Future<Output = io::Result<Self::Tcp>> + Send + 'static;

    /// Look a name (or an address) up, without holding anything else up.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static;

    /// Run a future in the background.
    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static);

    /// Wait.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + Sync + 'static;
}

/// A listening socket.
pub trait Accept: Send + 'static {
    /// A connection.
    type Tcp;

    /// Wait for a connection.
    ///
    /// # Errors
    /// One that concerns a single connection, or a lack of descriptors: to be tried again.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Tcp, SocketAddr)>>;

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// Wait for a future at most this long; `None` when it takes longer.
pub async fn within<R: Runtime, F: Future>(runtime: &R, time: Duration, future: F) -> Option<F::Output> {
    let (mut future, mut sleep) = (std::pin::pin!(future), std::pin::pin!(runtime.sleep(time)));
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}
