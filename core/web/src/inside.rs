//! Connections within the process, for a hub's own agent.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, ready};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sluis_net::{Accept, ByteStream, Runtime};

use crate::hub::Hub;
use crate::native;

/// Bytes that may be on the way in each direction.
const ROOM: usize = 64 * 1024;

/// One direction.
#[derive(Debug, Default)]
struct Way {
    bytes: VecDeque<u8>,
    /// The writer writes no more.
    ended: bool,
    /// The reader is gone.
    lost: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Half {
    read: Arc<Mutex<Way>>,
    write: Arc<Mutex<Way>>,
}

fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Both ends of a new connection.
fn pair() -> (Half, Half) {
    let (one, other) = (Arc::default(), Arc::default());
    (Half { read: Arc::clone(&one), write: Arc::clone(&other) }, Half { read: other, write: one })
}

impl ByteStream for Half {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut way = lock(&self.read);
        if way.bytes.is_empty() && !way.ended {
            way.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = buf.len().min(way.bytes.len());
        buf.iter_mut().zip(way.bytes.drain(..len)).for_each(|(to, from)| *to = from);
        way.writer.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(len))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut way = lock(&self.write);
        if way.lost {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let len = buf.len().min(ROOM.saturating_sub(way.bytes.len()));
        if len == 0 {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        way.bytes.extend(buf.iter().take(len));
        way.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut way = lock(&self.write);
        way.ended = true;
        way.reader.take().into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        let mut way = lock(&self.write);
        way.ended = true;
        way.reader.take().into_iter().for_each(Waker::wake);
        drop(way);
        let mut way = lock(&self.read);
        way.lost = true;
        way.writer.take().into_iter().for_each(Waker::wake);
    }
}

/// A runtime on which every connection leads to a hub in the same process, as its own agent.
#[derive(Clone)]
pub(crate) struct Inside<R>(pub(crate) Hub<R>);

/// Nobody listens there.
#[derive(Debug)]
pub(crate) struct NoListener(Infallible);

impl Accept for NoListener {
    type Tcp = Half;

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(Half, SocketAddr)>> {
        match self.0 {}
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        match self.0 {}
    }
}

impl<R: Runtime> Runtime for Inside<R> {
    type Tcp = Half;
    type Listener = NoListener;

    fn listen(&self, _: std::net::TcpListener) -> io::Result<NoListener> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn connect(&self, addr: SocketAddr, _: Option<IpAddr>) -> impl Future<Output = io::Result<Half>> + Send + 'static {
        let (ours, theirs) = pair();
        let hub = self.0.clone();
        self.0.shared.runtime.spawn(async move { native::run(&hub, theirs, native::Comes::Own(addr)).await });
        ready(Ok(ours))
    }

    fn resolve(&self, _: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static {
        ready(Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))]))
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.shared.runtime.spawn(future);
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send + Sync + 'static {
        self.0.shared.runtime.sleep(time)
    }
}

#[cfg(test)]
mod tests {
    use super::{ROOM, pair};
    use sluis_net::ByteStream as _;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn a_connection_holds_so_much_and_ends_when_an_end_is_gone() {
        let cx = &mut Context::from_waker(Waker::noop());
        let (mut one, mut other) = pair();
        assert!(matches!(one.poll_write(cx, &vec![7; ROOM + 1]), Poll::Ready(Ok(ROOM))));
        assert!(one.poll_write(cx, &[7]).is_pending());
        assert!(one.poll_read(cx, &mut [0]).is_pending());
        let mut buffer = vec![0; ROOM + 1];
        assert!(matches!(other.poll_read(cx, &mut buffer), Poll::Ready(Ok(ROOM))));
        assert!(matches!(one.poll_write(cx, b"last"), Poll::Ready(Ok(4))));
        drop(one);
        assert!(matches!(other.poll_read(cx, &mut buffer), Poll::Ready(Ok(4))));
        assert!(matches!(other.poll_read(cx, &mut buffer), Poll::Ready(Ok(0))));
        assert!(matches!(other.poll_write(cx, b"x"), Poll::Ready(Err(_))));
    }
}
