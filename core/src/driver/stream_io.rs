//! Byte streams of one runtime.

use alloc::boxed::Box;
use core::net::SocketAddr;
use core::task::{Context, Poll};

use crate::time::{Instant, Now};
use crate::{Conn, End, Endpoint, ListenerId};

/// The streams, the timer and the clock of one runtime.
///
/// The `poll_*` methods of a single stream take no context: an io knows by itself which of its streams moved, and says so as
/// [`Happened::Ready`]. One that answered [`Poll::Pending`] has arranged for that. A name that the io does not know is one whose stream is
/// gone: the answer is [`End::Lost`], never a panic.
pub trait StreamIo {
    /// What ends the driver. Trouble with one stream is no error: it is the [`End`] of that stream.
    type Error;

    /// Read both clocks.
    fn now(&self) -> Now;

    /// Set the timer to `at` (`None` unsets it) and wait for it. `Ready` once the clock has reached `at`.
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()>;

    /// What happened next, or wait for it.
    ///
    /// # Errors
    /// No stream can be used any more.
    fn poll_happened(&mut self, cx: &mut Context<'_>) -> Poll<Result<Happened, Self::Error>>;

    /// Begin to connect. It ends in [`Happened::Dialled`] or [`Happened::Failed`], unless it is [closed](Self::close) before.
    fn dial(&mut self, conn: Conn, to: &Endpoint<'_>);

    /// What [came in](Happened::Accepted) is named so from now on, or is not wanted and dropped.
    fn admit(&mut self, accepted: Accepted, conn: Option<Conn>);

    /// Read into `buf`, which is not empty; 0: the other side sends no more.
    ///
    /// # Errors
    /// How the stream came to its end.
    fn poll_read(&mut self, conn: Conn, buf: &mut [u8]) -> Poll<Result<usize, End>>;

    /// Write a prefix of `bytes`, which is not empty: at least one byte of it.
    ///
    /// # Errors
    /// How the stream came to its end.
    fn poll_write(&mut self, conn: Conn, bytes: &[u8]) -> Poll<Result<usize, End>>;

    /// Hand everything that was written to the system.
    ///
    /// # Errors
    /// How the stream came to its end.
    fn poll_flush(&mut self, conn: Conn) -> Poll<Result<(), End>>;

    /// Say that no more will be written, after everything that was. Reading goes on.
    ///
    /// # Errors
    /// How the stream came to its end.
    fn poll_finish(&mut self, conn: Conn) -> Poll<Result<(), End>>;

    /// Drop a stream, or the attempt at one. Nothing of it happens any more.
    fn close(&mut self, conn: Conn);
}

/// What came in and has no name yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Accepted(u64);

impl Accepted {
    /// An io numbers them as it likes.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// What an io tells of its streams.
#[derive(Clone, Debug)]
pub enum Happened {
    /// A stream came in; the io waits for [`StreamIo::admit`].
    Accepted(Accepted, ListenerId, Established),
    /// A stream that was dialled is up.
    Dialled(Conn, Established),
    /// A stream that was dialled did not come up.
    Failed(Conn, End),
    /// What was pending of this stream, reading or writing, may move on.
    Ready(Conn),
}

/// What is known of a stream that is up.
#[derive(Clone, Debug)]
pub struct Established {
    /// The other end.
    pub remote: SocketAddr,
    /// The protocol that both agreed on (ALPN).
    pub alpn: Option<Box<[u8]>>,
    /// The `tls-exporter` channel binding (RFC 9266).
    pub exporter: Option<[u8; 32]>,
}

impl Established {
    /// Without TLS.
    #[must_use]
    pub const fn plain(remote: SocketAddr) -> Self {
        Self { remote, alpn: None, exporter: None }
    }
}

impl<I: StreamIo + ?Sized> StreamIo for &mut I {
    type Error = I::Error;

    fn now(&self) -> Now {
        (**self).now()
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        (**self).poll_timer(cx, at)
    }

    fn poll_happened(&mut self, cx: &mut Context<'_>) -> Poll<Result<Happened, Self::Error>> {
        (**self).poll_happened(cx)
    }

    fn dial(&mut self, conn: Conn, to: &Endpoint<'_>) {
        (**self).dial(conn, to);
    }

    fn admit(&mut self, accepted: Accepted, conn: Option<Conn>) {
        (**self).admit(accepted, conn);
    }

    fn poll_read(&mut self, conn: Conn, buf: &mut [u8]) -> Poll<Result<usize, End>> {
        (**self).poll_read(conn, buf)
    }

    fn poll_write(&mut self, conn: Conn, bytes: &[u8]) -> Poll<Result<usize, End>> {
        (**self).poll_write(conn, bytes)
    }

    fn poll_flush(&mut self, conn: Conn) -> Poll<Result<(), End>> {
        (**self).poll_flush(conn)
    }

    fn poll_finish(&mut self, conn: Conn) -> Poll<Result<(), End>> {
        (**self).poll_finish(conn)
    }

    fn close(&mut self, conn: Conn) {
        (**self).close(conn);
    }
}
