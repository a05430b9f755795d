//! TCP on smol, for whatever of [`sluis_net`] is generic over a runtime.

use std::future::Future;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::{Async, Timer};
use sluis_net::{Accept, ByteStream, Runtime};

/// Smol: what is spawned runs on its own threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Smol;

/// A TCP connection.
#[derive(Debug)]
pub struct SmolTcp(Async<TcpStream>);

/// A listening socket.
#[derive(Debug)]
pub struct SmolListener(Async<TcpListener>);

impl Runtime for Smol {
    type Tcp = SmolTcp;
    type Listener = SmolListener;

    fn listen(&self, socket: TcpListener) -> io::Result<SmolListener> {
        Async::new(socket).map(SmolListener)
    }

    #[allow(clippy::manual_async_fn, reason = "the future must not borrow the runtime")]
    fn connect(&self, addr: SocketAddr) -> impl Future<Output = io::Result<SmolTcp>> + Send + 'static {
        async move { prepared(Async::<TcpStream>::connect(addr).await?) }
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(future).detach();
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + Sync + 'static {
        let timer = Timer::after(time);
        async move {
            timer.await;
        }
    }
}

/// Small messages leave at once.
fn prepared(stream: Async<TcpStream>) -> io::Result<SmolTcp> {
    stream.get_ref().set_nodelay(true)?;
    Ok(SmolTcp(stream))
}

impl Accept for SmolListener {
    type Tcp = SmolTcp;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(SmolTcp, SocketAddr)>> {
        loop {
            match self.0.get_ref().accept() {
                Ok((stream, from)) => return Poll::Ready(Async::new(stream).and_then(prepared).map(|s| (s, from))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_readable(cx))?,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }
}

impl ByteStream for SmolTcp {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.0.get_ref().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_readable(cx))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.0.get_ref().write(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(self.0.poll_writable(cx))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return Poll::Ready(done),
            }
        }
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.get_ref().shutdown(Shutdown::Write) {
            // The other side is gone already.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}
