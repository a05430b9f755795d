//! The bytes between tungstenite, which wants to read and write, and a stream that is polled.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt;

use crate::io::poll_read;

/// Bytes that are read at a time.
const READ: usize = 16 * 1024;
/// Bytes of memory that are kept for what is to be written.
const KEPT: usize = 64 * 1024;

/// What has come and was not looked at, and what was written and has not gone.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Where it comes to: none before the first time that something may have.
    room: Vec<u8>,
    /// How much has come, and how much of that was looked at.
    came: usize,
    looked_at: usize,
    outgoing: Vec<u8>,
    gone: usize,
    ended: bool,
}

impl Pipe {
    pub(crate) fn new() -> Self {
        Self { room: Vec::new(), came: 0, looked_at: 0, outgoing: Vec::new(), gone: 0, ended: false }
    }

    /// Bytes that have not gone.
    pub(crate) fn waiting(&self) -> usize {
        self.outgoing.len() - self.gone
    }

    /// Take what comes from the stream. Where all the room is taken by what was not looked at, nothing is.
    pub(crate) fn poll_fill<I: rt::Read + Unpin>(&mut self, io: &mut I, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.room.resize(READ, 0);
        if self.looked_at > 0 {
            self.room.copy_within(self.looked_at..self.came, 0);
            (self.came, self.looked_at) = (self.came - self.looked_at, 0);
        }
        let free = self.room.get_mut(self.came..).unwrap_or_default();
        if free.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let more = ready!(poll_read(io, cx, free))?;
        self.came += more;
        self.ended |= more == 0;
        Poll::Ready(Ok(()))
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
        self.outgoing.shrink_to(KEPT);
        self.gone = 0;
        Pin::new(io).poll_flush(cx)
    }
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let rest = self.room.get(self.looked_at..self.came).unwrap_or_default();
        if rest.is_empty() && !self.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
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
