//! The bytes between tungstenite, which wants to read and write, and a stream that is polled.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt;

use crate::io::poll_read;

/// Bytes that are read at a time.
const READ: usize = 16 * 1024;

/// What has come and was not looked at, and what was written and has not gone.
#[derive(Debug)]
pub(crate) struct Pipe {
    incoming: Vec<u8>,
    looked_at: usize,
    outgoing: Vec<u8>,
    gone: usize,
    ended: bool,
}

impl Pipe {
    pub(crate) fn new() -> Self {
        Self { incoming: Vec::new(), looked_at: 0, outgoing: Vec::new(), gone: 0, ended: false }
    }

    /// Bytes that have not gone.
    pub(crate) fn waiting(&self) -> usize {
        self.outgoing.len() - self.gone
    }

    /// Take what comes from the stream; whether anything did, the end included.
    pub(crate) fn poll_fill<I: rt::Read + Unpin>(&mut self, io: &mut I, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.incoming.drain(..self.looked_at);
        self.looked_at = 0;
        let len = self.incoming.len();
        self.incoming.resize(len + READ, 0);
        let read = poll_read(io, cx, self.incoming.get_mut(len..).unwrap_or_default());
        let more = match &read {
            Poll::Ready(Ok(more)) => *more,
            _ => 0,
        };
        self.incoming.truncate(len + more);
        self.ended |= matches!(read, Poll::Ready(Ok(0)));
        read.map_ok(|_| ())
    }

    /// Write what waits.
    pub(crate) fn poll_drain<I: rt::Write + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.waiting() > 0 {
            let rest = self.outgoing.get(self.gone..).unwrap_or_default();
            let taken = ready!(Pin::new(&mut *io).poll_write(cx, rest))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gone += taken;
        }
        self.outgoing.clear();
        self.gone = 0;
        Pin::new(io).poll_flush(cx)
    }
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.incoming.get(self.looked_at..).unwrap_or_default();
        if rest.is_empty() && !self.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = rest.len().min(buf.len());
        buf.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.looked_at += len;
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
