//! A channel as a stream of bytes.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use sluis_core::driver::Request;
use sluis_mux::channel::Kind;
use sluis_net::ByteStream;

use super::{AgentMachine, Channel, Gone, Look, attempt};
use crate::splice::{BROKEN, DONE};

/// Most bytes of a message.
const PIECE: usize = 16 * 1024;
/// Reasons of a channel that was not ended by who spoke on it: a stream that broke, and agents whose connections the hub has lost.
const LOST: [&str; 4] = [BROKEN, "ws_disconnect", "native_disconnect", "agent_removed"];

/// A channel as a stream of bytes, as `sluis mux pipe --forward` speaks: what is written goes out as messages of bytes, what comes in is
/// read however it was cut, and the end of one direction leaves the other one open. Flushing waits until the other end's application took
/// everything.
///
/// Whatever reason the other end [gives](Channel::finish), the stream has ended, save for those that say that it broke: `connection_lost`,
/// which [`abort`](ByteStream::abort) sends, and `ws_disconnect`, `native_disconnect` and `agent_removed`, which a hub sends for an agent
/// that is gone. These are [`ConnectionReset`](io::ErrorKind::ConnectionReset), after all that came.
#[derive(Debug)]
pub struct Bytes {
    channel: Channel,
    /// A message that is read, and how far.
    message: Vec<u8>,
    at: usize,
    /// The last that was written.
    last: u64,
    finished: bool,
    reading: Option<Request<AgentMachine>>,
    writing: Option<Request<AgentMachine>>,
}

/// Look until there is something to be said.
fn poll<T>(
    waits: &mut Option<Request<AgentMachine>>,
    cx: &mut Context<'_>,
    channel: &Channel,
    mut look: impl FnMut(&mut AgentMachine, sluis_core::Now) -> Option<Result<T, Gone>>,
) -> Poll<io::Result<T>> {
    loop {
        if let Some(request) = waits {
            let look = ready!(Pin::new(request).poll(cx));
            *waits = None;
            if look == Look::Never {
                return Poll::Ready(Err(failed(Gone::Ended)));
            }
        }
        match attempt(&channel.handle, channel.id, &mut look) {
            Ok(found) => return Poll::Ready(found.map_err(failed)),
            Err(request) => *waits = Some(request),
        }
    }
}

fn failed(gone: Gone) -> io::Error {
    let kind = match gone {
        Gone::Closed => io::ErrorKind::BrokenPipe,
        Gone::Refused(_) => io::ErrorKind::ConnectionRefused,
        Gone::Broken(_) => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::ConnectionReset,
    };
    io::Error::new(kind, gone)
}

impl Bytes {
    pub(super) const fn new(channel: Channel) -> Self {
        Self { channel, message: Vec::new(), at: 0, last: 0, finished: false, reading: None, writing: None }
    }

    /// The channel.
    #[must_use]
    pub const fn channel(&self) -> &Channel {
        &self.channel
    }
}

impl ByteStream for Bytes {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let rest = self.message.get(self.at..).unwrap_or_default();
            if !rest.is_empty() {
                let len = rest.len().min(buf.len());
                buf.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                self.at += len;
                return Poll::Ready(Ok(len));
            }
            let id = self.channel.id;
            match ready!(poll(&mut self.reading, cx, &self.channel, |machine, now| machine.receive(now, id)))? {
                Some(message) => (self.message, self.at) = (message.body, 0),
                None if self.channel.reason().is_some_and(|reason| LOST.contains(&&*reason)) => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                None => return Poll::Ready(Ok(0)),
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let some = buf.get(..buf.len().min(PIECE)).unwrap_or_default();
        let id = self.channel.id;
        let look = |machine: &mut AgentMachine, now| machine.send(now, id, Kind::Bytes, some);
        self.last = ready!(poll(&mut self.writing, cx, &self.channel, look))?;
        Poll::Ready(Ok(some.len()))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (id, last) = (self.channel.id, self.last);
        poll(&mut self.writing, cx, &self.channel, |machine, _| machine.acked(id, last))
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        if !self.finished {
            self.finished = true;
            self.channel.finish(DONE);
        }
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {
        if !self.finished {
            self.finished = true;
            self.channel.finish(BROKEN);
        }
    }
}
