//! TCP on tokio, for whatever of [`sluis_net`] is generic over a runtime.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sluis_net::{Accept, ByteStream, Runtime};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Tokio, from within: what is spawned runs where this is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

/// A TCP connection.
#[derive(Debug)]
pub struct TokioTcp(TcpStream);

/// A listening socket.
#[derive(Debug)]
pub struct TokioListener(TcpListener);

impl Runtime for Tokio {
    type Tcp = TokioTcp;
    type Listener = TokioListener;

    fn listen(&self, socket: std::net::TcpListener) -> io::Result<TokioListener> {
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket).map(TokioListener)
    }

    #[allow(clippy::manual_async_fn, reason = "the future must not borrow the runtime")]
    fn connect(&self, addr: SocketAddr) -> impl Future<Output = io::Result<TokioTcp>> + Send + 'static {
        async move { prepared(TcpStream::connect(addr).await?) }
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(future));
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + Sync + 'static {
        tokio::time::sleep(time)
    }
}

/// Small messages leave at once.
fn prepared(stream: TcpStream) -> io::Result<TokioTcp> {
    stream.set_nodelay(true)?;
    Ok(TokioTcp(stream))
}

impl Accept for TokioListener {
    type Tcp = TokioTcp;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TokioTcp, SocketAddr)>> {
        let (stream, from) = ready!(self.0.poll_accept(cx))?;
        Poll::Ready(prepared(stream).map(|stream| (stream, from)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl ByteStream for TokioTcp {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut buf))?;
        Poll::Ready(Ok(buf.filled().len()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
