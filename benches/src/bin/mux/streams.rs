//! One thread in which both ends run, connections of it to itself, and streams as other crates want them.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use sluis_net::{Accept as _, ByteStream, ClientTls, Runtime as _, ServerTls, Trust, dial, handshake};
use sluis_tokio::net::Tokio;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

/// A runtime on one thread.
pub(crate) struct Place {
    local: LocalSet,
    runtime: Runtime,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { local: LocalSet::new(), runtime: Builder::new_current_thread().enable_all().build().expect("a runtime") }
    }

    /// Run this to its end, and what was spawned as long as that takes.
    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.local.block_on(&self.runtime, future)
    }
}

/// TLS for both ends.
#[derive(Clone)]
pub(crate) struct TlsPair {
    pub(crate) server: ServerTls,
    pub(crate) client: ClientTls,
}

impl TlsPair {
    pub(crate) fn new() -> Self {
        let dir = std::env::temp_dir().join(format!("sluis-bench-mux-{}", std::process::id()));
        let server = ServerTls::self_signed(&dir, vec!["127.0.0.1".into()], &["bench"]).expect("a certificate");
        let _ = std::fs::remove_dir_all(dir);
        let client = ClientTls::new(Trust::Pinned(server.fingerprint()), &["bench"]).expect("settings");
        Self { server, client }
    }
}

/// A socket that listens, and where.
pub(crate) fn listener() -> (std::net::TcpListener, SocketAddr) {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    socket.set_nonblocking(true).expect("it can be set");
    let addr = socket.local_addr().expect("it has one");
    (socket, addr)
}

/// A connection over loopback, of the kind that our own ends have: dialling end, accepting end.
pub(crate) async fn pair(tls: Option<TlsPair>) -> [Box<dyn ByteStream>; 2] {
    let (socket, addr) = listener();
    let mut listener = Tokio.listen(socket).expect("it listens");
    let near = dial(&Tokio, &[addr], Duration::from_secs(5)).await.expect("it accepts");
    let (far, _) = poll_fn(|cx| listener.poll_accept(cx)).await.expect("it is there");
    let Some(TlsPair { server, client }) = tls else { return [Box::new(near), Box::new(far)] };
    let far = tokio::spawn(async move { handshake(&Tokio, far, server.accept().expect("settings")).await });
    let near = handshake(&Tokio, near, client.connect("127.0.0.1").expect("a name")).await.expect("the same protocol");
    [Box::new(near), Box::new(far.await.expect("it runs").expect("the same protocol"))]
}

/// The two ends of a plain connection over loopback.
pub(crate) async fn plain_pair() -> [tokio::net::TcpStream; 2] {
    let (socket, addr) = listener();
    let listener = tokio::net::TcpListener::from_std(socket).expect("it listens");
    let near = tokio::net::TcpStream::connect(addr).await.expect("it accepts");
    let (far, _) = listener.accept().await.expect("it is there");
    near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).expect("it can be set");
    [near, far]
}

/// A byte stream with the traits of `futures`.
pub(crate) struct Futures(pub(crate) Box<dyn ByteStream>);

impl AsyncRead for Futures {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buf)
    }
}

impl AsyncWrite for Futures {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
    }
}
