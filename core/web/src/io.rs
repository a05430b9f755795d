//! What hyper wants of streams and runtimes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Sleep, Timer, Write};
use sluis_net::{ByteStream, Runtime};

/// A byte stream for hyper.
#[derive(Debug)]
pub(crate) struct HyperIo<S> {
    stream: S,
    buffer: Box<[u8]>,
}

/// Bytes that are read at a time.
const READ: usize = 16 * 1024;

impl<S> HyperIo<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, buffer: vec![0; READ].into() }
    }
}

impl<S: ByteStream> Read for HyperIo<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let room = buf.remaining().min(this.buffer.len());
        let into = this.buffer.get_mut(..room).unwrap_or_default();
        let len = ready!(this.stream.poll_read(cx, into))?;
        buf.put_slice(into.get(..len).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> Write for HyperIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().stream.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.poll_close(cx)
    }
}

/// Read from a stream of hyper's; 0: the other side sends no more.
pub(crate) fn poll_read<I: Read + Unpin>(io: &mut I, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
    let mut buf = ReadBuf::new(buf);
    ready!(Pin::new(io).poll_read(cx, buf.unfilled()))?;
    Poll::Ready(Ok(buf.filled().len()))
}

/// A runtime's timer for hyper.
#[derive(Clone, Debug)]
pub(crate) struct HyperTimer<R>(pub(crate) R);

struct Sleeping<F>(Pin<Box<F>>);

impl<F: Future<Output = ()>> Future for Sleeping<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl<F: Future<Output = ()> + Send + Sync> Sleep for Sleeping<F> {}

impl<R: Runtime> Timer for HyperTimer<R> {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Sleeping(Box::pin(self.0.sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }
}
