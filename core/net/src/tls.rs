//! TLS on a byte stream, through rustls' own buffers.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::task::{Context, Poll, ready};

use rustls::Connection;

use crate::{ByteStream, HANDSHAKE_TIME, Runtime, within};

/// Bytes that may wait to be encrypted, and that may wait to be sent.
const BUFFER: usize = 64 * 1024;

/// A TLS connection over a stream.
#[derive(Debug)]
pub struct Tls<S> {
    pub(crate) stream: S,
    tls: Connection,
    /// The other side's bytes have ended.
    ended: bool,
    /// We have said that ours have.
    closed: bool,
}

/// A stream with TLS or without.
pub enum MaybeTls<S> {
    /// Anybody on the way can read and change everything.
    Plain(S),
    /// Over TLS 1.3.
    Tls(Box<Tls<S>>),
    /// Inside another protocol on one of those; see [`NetStreams::set_fallback`](crate::NetStreams::set_fallback).
    Carried(Box<dyn ByteStream>),
}

impl<S: fmt::Debug> fmt::Debug for MaybeTls<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(stream) => f.debug_tuple("Plain").field(stream).finish(),
            Self::Tls(stream) => f.debug_tuple("Tls").field(stream).finish(),
            Self::Carried(_) => f.debug_tuple("Carried").finish_non_exhaustive(),
        }
    }
}

/// Do a TLS handshake, within [`HANDSHAKE_TIME`].
///
/// # Errors
/// It failed, or took too long.
pub async fn handshake<R: Runtime, S: ByteStream>(
    runtime: &R,
    stream: S,
    tls: impl Into<Connection>,
) -> io::Result<Tls<S>> {
    let mut tls = Tls { stream, tls: tls.into(), ended: false, closed: false };
    tls.tls.set_buffer_limit(Some(BUFFER));
    let done = within(runtime, HANDSHAKE_TIME, poll_fn(|cx| tls.poll_handshake(cx))).await;
    done.unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")))?;
    Ok(tls)
}

impl<S: ByteStream> Tls<S> {
    /// The protocol that both agreed on (ALPN), where one was.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// The `tls-exporter` channel binding (RFC 9266): the label of that RFC, no context, 32 bytes.
    ///
    /// # Errors
    /// The handshake is not done.
    pub fn exporter(&self) -> io::Result<[u8; 32]> {
        self.tls.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None).map_err(io::Error::other)
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.is_handshaking() {
            ready!(self.poll_send(cx))?;
            if self.tls.is_handshaking() {
                ready!(self.poll_receive(cx))?;
            }
        }
        self.poll_flush(cx)
    }

    /// Send what is encrypted.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.tls.wants_write() {
            let sent = self.tls.write_tls(&mut Blocking { stream: &mut self.stream, cx });
            if ready!(blocked(sent))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Take in what has come.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let read = ready!(blocked(self.tls.read_tls(&mut Blocking { stream: &mut self.stream, cx })))?;
        if read == 0 {
            self.ended = true;
            if self.tls.is_handshaking() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        if let Err(error) = self.tls.process_new_packets() {
            // The other side is told why, if that can be done at once.
            let _ = self.poll_send(cx);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: ByteStream> ByteStream for Tls<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            // Answers that the protocol itself demands do not wait for a write of ours.
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
            match self.tls.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An end that was not announced is an error: somebody may have cut the stream.
                done => return Poll::Ready(done),
            }
            if self.ended {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            ready!(self.poll_receive(cx))?;
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let taken = self.tls.writer().write(buf)?;
            let sent = self.poll_send(cx)?;
            if taken > 0 || buf.is_empty() {
                return Poll::Ready(Ok(taken));
            }
            ready!(sent);
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        self.stream.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            self.closed = true;
            self.tls.send_close_notify();
        }
        ready!(self.poll_flush(cx))?;
        self.stream.poll_close(cx)
    }

    fn abort(&mut self) {
        self.stream.abort();
    }
}

impl<S: ByteStream> ByteStream for MaybeTls<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_read(cx, buf),
            Self::Tls(stream) => stream.poll_read(cx, buf),
            Self::Carried(stream) => stream.poll_read(cx, buf),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(stream) => stream.poll_write(cx, buf),
            Self::Tls(stream) => stream.poll_write(cx, buf),
            Self::Carried(stream) => stream.poll_write(cx, buf),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_flush(cx),
            Self::Tls(stream) => stream.poll_flush(cx),
            Self::Carried(stream) => stream.poll_flush(cx),
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => stream.poll_close(cx),
            Self::Tls(stream) => stream.poll_close(cx),
            Self::Carried(stream) => stream.poll_close(cx),
        }
    }

    fn abort(&mut self) {
        match self {
            Self::Plain(stream) => stream.abort(),
            Self::Tls(stream) => stream.abort(),
            Self::Carried(stream) => stream.abort(),
        }
    }
}

/// A stream as rustls wants one: it says that it would block.
struct Blocking<'s, 'c, 'w, S> {
    stream: &'s mut S,
    cx: &'c mut Context<'w>,
}

impl<S: ByteStream> Read for Blocking<'_, '_, '_, S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        would_block(self.stream.poll_read(self.cx, buf))
    }
}

impl<S: ByteStream> Write for Blocking<'_, '_, '_, S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        would_block(self.stream.poll_write(self.cx, buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        would_block(self.stream.poll_flush(self.cx))
    }
}

fn would_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(done) => done,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

fn blocked<T>(done: io::Result<T>) -> Poll<io::Result<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        done => Poll::Ready(done),
    }
}
