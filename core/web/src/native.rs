//! Native connections of a hub: the machine of [`sluis_mux::native`] on byte streams of any runtime.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker, ready};

use sluis_core::{Conn, End, ListenerId, Order, Origin, Streams as _, Up};
use sluis_mux::native::Hub as NativeHub;
use sluis_mux::talk::MUX_SUBPROTOCOL;
use sluis_net::{ByteStream, Runtime};

use crate::hub::{Hub, count};

/// Bytes that are read, and written, at a time.
const CHUNK: usize = 16 * 1024;
/// Reads before others get their turn.
const BUDGET: usize = 32;

/// The machine, and what it wants done with each connection.
pub(crate) struct Native {
    pub(crate) hub: NativeHub,
    wanted: BTreeMap<Conn, Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    write: bool,
    finish: bool,
    abort: bool,
    waker: Option<Waker>,
}

impl Native {
    pub(crate) const fn new(hub: NativeHub) -> Self {
        Self { hub, wanted: BTreeMap::new() }
    }

    /// Note what the machine wants, and wake whom it concerns.
    pub(crate) fn wake(&mut self) {
        // Orders do not depend on the time.
        while let Some(order) = self.hub.poll_order(sluis_core::Now::default()) {
            let (conn, kind) = match order {
                Order::Write(conn) => (conn, 0),
                Order::Finish(conn) => (conn, 1),
                Order::Abort(conn) => (conn, 2),
                // A hub dials nobody, and takes all that comes.
                Order::Dial(..) | Order::Read(_) => continue,
            };
            let Some(wanted) = self.wanted.get_mut(&conn) else { continue };
            match kind {
                0 => wanted.write = true,
                1 => wanted.finish = true,
                _ => wanted.abort = true,
            }
            if let Some(waker) = wanted.waker.take() {
                waker.wake();
            }
        }
    }
}

/// A stream of which the first byte was read.
#[derive(Debug)]
pub(crate) struct Begun<S> {
    stream: S,
    first: Option<u8>,
}

impl<S> Begun<S> {
    pub(crate) const fn new(stream: S, first: Option<u8>) -> Self {
        Self { stream, first }
    }
}

impl<S: ByteStream> ByteStream for Begun<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match (buf.first_mut(), self.first.take()) {
            (Some(room), Some(first)) => {
                *room = first;
                Poll::Ready(Ok(1))
            }
            (_, first) => {
                self.first = first;
                self.stream.poll_read(cx, buf)
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, buf)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_close(cx)
    }
}

/// Where a native connection comes from.
#[derive(Debug)]
pub(crate) enum Comes {
    /// From there, with the exporter of its TLS.
    From(SocketAddr, Option<[u8; 32]>),
    /// The same, inside a WebSocket.
    Carried(SocketAddr, Option<[u8; 32]>),
    /// It is that of the hub's own agent, which says that it is there.
    Own(SocketAddr),
}

/// Carry a native connection to its end.
pub(crate) async fn run<R: Runtime, S: ByteStream>(hub: &Hub<R>, stream: S, comes: Comes) {
    let conn = hub.with_native(|native, now| {
        let origin = Origin::Accepted(ListenerId::default());
        let conn = match &comes {
            Comes::From(remote, exporter) => {
                native.hub.handle_up(now, &Up { origin, remote: *remote, alpn: None, exporter: exporter.as_ref() })
            }
            Comes::Carried(remote, exporter) => {
                let alpn = Some(MUX_SUBPROTOCOL.as_bytes());
                native.hub.handle_up(now, &Up { origin, remote: *remote, alpn, exporter: exporter.as_ref() })
            }
            Comes::Own(remote) => {
                native.hub.handle_own_up(now, &Up { origin, remote: *remote, alpn: None, exporter: None })
            }
        }
        .ok()?;
        native.wanted.insert(conn, Wanted::default());
        Some(conn)
    });
    let Some(conn) = conn else { return count(&hub.shared.counters.dropped) };
    // Whatever ends this, the machine learns of it.
    let _gone = Gone { hub, conn };
    let mut carrier = Carrier { hub, conn, stream, out: Vec::new(), written: 0, finished: false };
    // An error is the end of the connection, which the machine is told as it is dropped.
    let _ = poll_fn(|cx| carrier.poll(cx)).await;
}

struct Gone<'h, R> {
    hub: &'h Hub<R>,
    conn: Conn,
}

impl<R> Drop for Gone<'_, R> {
    fn drop(&mut self) {
        self.hub.with_native(|native, now| {
            native.wanted.remove(&self.conn);
            native.hub.handle_end(now, self.conn, End::Lost);
        });
    }
}

struct Carrier<'h, R, S> {
    hub: &'h Hub<R>,
    conn: Conn,
    stream: S,
    out: Vec<u8>,
    written: usize,
    finished: bool,
}

impl<R: Runtime, S: ByteStream> Carrier<'_, R, S> {
    /// Move what can be moved; ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = [0; CHUNK];
        for _ in 0..BUDGET {
            let blocked = match self.poll_write(cx) {
                Poll::Ready(Ok(true)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                other => other.is_pending(),
            };
            let read = self.stream.poll_read(cx, &mut buffer);
            match read {
                Poll::Pending => {
                    // Something may have come to be written meanwhile.
                    if blocked || self.wait(cx) {
                        return Poll::Pending;
                    }
                }
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(len)) => {
                    let bytes = buffer.get(..len).unwrap_or_default();
                    let conn = self.conn;
                    if self.hub.with_native(|native, now| native.hub.handle_bytes(now, conn, bytes)).is_err() {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Be woken when the machine wants something of this connection; `false` when it does already.
    fn wait(&self, cx: &Context<'_>) -> bool {
        let conn = self.conn;
        self.hub.with_native(|native, _| match native.wanted.get_mut(&conn) {
            Some(wanted) if wanted.write || wanted.abort || wanted.finish && !self.finished => false,
            Some(wanted) => {
                wanted.waker = Some(cx.waker().clone());
                true
            }
            None => true,
        })
    }

    /// Write what the machine has; ready with `true` when it wants the connection dropped.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
                match self.stream.poll_write(cx, rest)? {
                    Poll::Ready(taken) => self.written += taken,
                    Poll::Pending => {
                        // An abort is for a connection that takes nothing, too.
                        let (conn, waker) = (self.conn, cx.waker());
                        let aborted = self.hub.with_native(|native, _| {
                            let wanted = native.wanted.get_mut(&conn)?;
                            wanted.waker = Some(waker.clone());
                            Some(wanted.abort)
                        });
                        return if aborted == Some(false) { Poll::Pending } else { Poll::Ready(Ok(true)) };
                    }
                }
            }
            let (conn, out) = (self.conn, &mut self.out);
            out.resize(CHUNK, 0);
            let (len, finish, abort) = self.hub.with_native(|native, now| {
                let Some(wanted) = native.wanted.get_mut(&conn) else { return (0, false, true) };
                if wanted.abort {
                    return (0, false, true);
                }
                let len = if core::mem::take(&mut wanted.write) { native.hub.poll_bytes(now, conn, out) } else { 0 };
                let Some(wanted) = native.wanted.get_mut(&conn) else { return (len, false, true) };
                wanted.write |= len > 0;
                (len, wanted.finish, false)
            });
            self.out.truncate(len);
            self.written = 0;
            if abort {
                return Poll::Ready(Ok(true));
            }
            if len == 0 {
                ready!(self.stream.poll_flush(cx))?;
                if finish && !self.finished {
                    ready!(self.stream.poll_close(cx))?;
                    self.finished = true;
                }
                self.out = Vec::new();
                return Poll::Ready(Ok(false));
            }
        }
    }
}
