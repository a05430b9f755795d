//! A connection that carries bytes.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

/// A connection of any runtime, or what is carried by one.
pub trait ByteStream: Send + Unpin + 'static {
    /// Read into `buf`, which is not empty; 0: the other side sends no more.
    ///
    /// # Errors
    /// The connection is lost, or what came in is not what it must be.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Write a prefix of `buf`, at least one byte of it.
    ///
    /// # Errors
    /// The connection is lost.
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>>;

    /// Hand everything that was written to the system.
    ///
    /// # Errors
    /// The connection is lost.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Say that no more will be written, after everything that was. Reading goes on.
    ///
    /// # Errors
    /// The connection is lost.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Have the other side learn that this is no orderly end, when the stream is dropped: TCP is reset. Where that cannot be done, it just
    /// ends.
    fn abort(&mut self) {}
}

/// Read some bytes; 0: the other side sends no more.
///
/// # Errors
/// Those of the stream.
pub async fn read<S: ByteStream>(stream: &mut S, buf: &mut [u8]) -> io::Result<usize> {
    poll_fn(|cx| stream.poll_read(cx, buf)).await
}

/// Write all bytes.
///
/// # Errors
/// Those of the stream.
pub async fn write_all<S: ByteStream>(stream: &mut S, mut bytes: &[u8]) -> io::Result<()> {
    poll_fn(|cx| {
        while !bytes.is_empty() {
            let taken = ready!(stream.poll_write(cx, bytes))?;
            bytes = bytes.get(taken..).filter(|_| taken > 0).ok_or(io::ErrorKind::WriteZero)?;
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Hand everything that was written to the system.
///
/// # Errors
/// Those of the stream.
pub async fn flush<S: ByteStream>(stream: &mut S) -> io::Result<()> {
    poll_fn(|cx| stream.poll_flush(cx)).await
}
