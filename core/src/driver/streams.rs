//! Streams between a machine and an io.

use alloc::boxed::Box;
use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use core::task::{Context, Poll};

use super::{Accepted, DriverStats, Established, Happened, Sent, StreamIo, Transport};
use crate::time::{Instant, Now};
use crate::{Conn, End, ListenerId, Order, Origin, Streams, Up};

/// What an io tells in one turn at most.
const EVENTS: usize = 64;
/// Streams that are read from, and written to, in one turn at most.
const ROUND: usize = 16;
/// Orders taken in one turn at most.
const ORDERS: usize = 256;
/// Bytes of one stream in one turn at most: written, and read.
const CHUNK: usize = 16 * 1024;
const READ: usize = 2 * CHUNK;
/// Bytes of all streams in one turn at most, in each direction.
const ARENA: usize = 4 * CHUNK;
/// Room below which no further stream is read from in this turn.
const LEAST: usize = 2 * 1024;

/// Streams through a [`StreamIo`].
///
/// Every stream has its own back-pressure: one that is not read from, or whose peer does not read, holds up no other one. A stream holds
/// a buffer only for bytes that one side gave and the other did not take yet, at most 16 KiB on the way out and 32 KiB on the way in; an idle one holds none.
#[derive(Debug)]
pub struct StreamTransport<I> {
    io: I,
    streams: BTreeMap<Conn, Stream>,
    /// What came and is to be handed in, in order.
    inbox: VecDeque<Input>,
    rx: Box<[u8]>,
    tx: Box<[u8]>,
    /// Streams that may have something to be read, each once.
    readable: VecDeque<Conn>,
    /// Streams that have something to write and may be able to, each once.
    writable: VecDeque<Conn>,
    /// Streams whose bytes were not taken before and are wanted now.
    wanted: VecDeque<Conn>,
}

#[derive(Debug)]
enum Input {
    Accepted(Accepted, ListenerId, Established),
    Dialled(Conn, Established),
    /// Bytes in `rx`.
    Bytes(Conn, Range<usize>),
    End(Conn, End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Finish {
    #[default]
    No,
    Asked,
    Done,
}

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of two halves")]
struct Stream {
    /// It came up, and its end has not come.
    up: bool,
    /// The machine takes bytes.
    reading: bool,
    /// What it did not take.
    unread: Vec<u8>,
    /// The peer sends no more, and whether the machine knows.
    eof: bool,
    eof_told: bool,
    /// The machine has something to write.
    debt: bool,
    /// What it gave in this turn, in `tx`.
    given: Option<Range<usize>>,
    /// What the io did not take.
    unsent: Vec<u8>,
    /// What was written may not be at the system yet.
    flush: bool,
    finish: Finish,
    /// Writing failed; what the peer sent before is still read.
    broken: bool,
    is_in_readable: bool,
    is_in_writable: bool,
}

impl Stream {
    fn can_read(&self) -> bool {
        self.up && self.reading && !self.eof && self.unread.is_empty()
    }

    fn has_output(&self) -> bool {
        let more = self.debt || self.given.is_some() || !self.unsent.is_empty();
        self.up && !self.broken && (more || self.flush || self.finish == Finish::Asked)
    }

    /// Nothing more can be written.
    fn stop_writing(&mut self) {
        (self.broken, self.debt, self.flush, self.given) = (true, false, false, None);
        self.unsent = Vec::new();
    }
}

impl<I: StreamIo> StreamTransport<I> {
    /// On this io.
    pub fn new(io: I) -> Self {
        Self {
            io,
            streams: BTreeMap::new(),
            inbox: VecDeque::new(),
            rx: vec![0; ARENA].into(),
            tx: vec![0; ARENA].into(),
            readable: VecDeque::new(),
            writable: VecDeque::new(),
            wanted: VecDeque::new(),
        }
    }

    fn note(&mut self, happened: Happened, flushing: bool) {
        match happened {
            Happened::Ready(conn) => {
                if !flushing {
                    self.may_read(conn);
                }
                self.may_write(conn);
            }
            Happened::Accepted(accepted, ..) if flushing => self.io.admit(accepted, None),
            Happened::Dialled(conn, _) | Happened::Failed(conn, _) if flushing => self.forget(conn),
            Happened::Accepted(accepted, listener, with) => {
                self.inbox.push_back(Input::Accepted(accepted, listener, with));
            }
            Happened::Dialled(conn, with) => self.inbox.push_back(Input::Dialled(conn, with)),
            Happened::Failed(conn, end) => self.inbox.push_back(Input::End(conn, end)),
        }
    }

    fn may_read(&mut self, conn: Conn) {
        if let Some(stream) = self.streams.get_mut(&conn).filter(|stream| stream.can_read() && !stream.is_in_readable) {
            stream.is_in_readable = true;
            self.readable.push_back(conn);
        }
    }

    fn may_write(&mut self, conn: Conn) {
        let stream = self.streams.get_mut(&conn);
        if let Some(stream) = stream.filter(|stream| stream.has_output() && !stream.is_in_writable) {
            stream.is_in_writable = true;
            self.writable.push_back(conn);
        }
    }

    fn forget(&mut self, conn: Conn) {
        if self.streams.remove(&conn).is_some() {
            self.io.close(conn);
        }
    }

    /// A stream has come to its end: nothing more is read or written, and the machine is to be told.
    fn end(&mut self, conn: Conn, end: End) {
        if let Some(stream) = self.streams.get_mut(&conn) {
            stream.stop_writing();
            stream.up = false;
            self.io.close(conn);
            self.inbox.push_back(Input::End(conn, end));
        }
    }

    /// Read once, behind what is in `rx` already; how much that was.
    fn read(&mut self, conn: Conn, used: usize) -> usize {
        let Some(stream) = self.streams.get_mut(&conn) else { return 0 };
        stream.is_in_readable = false;
        if !stream.can_read() {
            return 0;
        }
        let end = self.rx.len().min(used + READ);
        let buf = self.rx.get_mut(used..end).unwrap_or_default();
        match self.io.poll_read(conn, buf) {
            // The system tells an error once, to whoever asks first; after it an end like any other.
            Poll::Ready(Ok(0)) if stream.broken => {
                self.end(conn, End::Lost);
                0
            }
            Poll::Ready(Ok(0)) => {
                stream.eof = true;
                self.inbox.push_back(Input::End(conn, End::Eof));
                0
            }
            Poll::Ready(Ok(len)) => {
                let len = len.min(end - used);
                self.inbox.push_back(Input::Bytes(conn, used..used + len));
                self.may_read(conn);
                len
            }
            Poll::Ready(Err(end)) => {
                self.end(conn, end);
                0
            }
            Poll::Pending => {
                // All that came before writing failed has been read.
                if stream.broken {
                    self.end(conn, End::Lost);
                }
                0
            }
        }
    }

    /// Write what the machine gave, then what finishing takes.
    fn write(&mut self, conn: Conn, stats: &mut DriverStats, sent: &mut Sent) {
        let Self { streams, io, tx, .. } = self;
        let Some(stream) = streams.get_mut(&conn) else { return };
        stream.is_in_writable = false;
        if !stream.has_output() {
            return;
        }
        // There is either a rest or something new, never both.
        let rest = core::mem::take(&mut stream.unsent);
        let given = stream.given.take().and_then(|range| tx.get(range));
        let mut bytes = given.unwrap_or(&rest);
        while !bytes.is_empty() {
            match io.poll_write(conn, bytes) {
                Poll::Ready(Ok(len)) => {
                    let len = len.min(bytes.len());
                    stats.stream_bytes_out += len as u64;
                    sent.moved |= len > 0;
                    bytes = bytes.get(len..).unwrap_or_default();
                    if len == 0 {
                        return self.write_failed(conn, End::Lost, sent);
                    }
                }
                Poll::Ready(Err(end)) => return self.write_failed(conn, end, sent),
                Poll::Pending => {
                    stream.unsent = bytes.to_vec();
                    return;
                }
            }
        }
        if stream.debt {
            sent.more = true;
            return self.may_write(conn);
        }
        self.conclude(conn, sent);
    }

    /// All that the machine gave is written: hand it to the system, and say that no more comes if that is so.
    fn conclude(&mut self, conn: Conn, sent: &mut Sent) {
        let Self { streams, io, .. } = self;
        let Some(stream) = streams.get_mut(&conn) else { return };
        if stream.flush {
            match io.poll_flush(conn) {
                Poll::Ready(Ok(())) => stream.flush = false,
                Poll::Ready(Err(end)) => return self.write_failed(conn, end, sent),
                Poll::Pending => return,
            }
        }
        if stream.finish != Finish::Asked {
            return;
        }
        match io.poll_finish(conn) {
            Poll::Ready(Ok(())) => {
                stream.finish = Finish::Done;
                sent.moved = true;
                if stream.eof_told {
                    sent.more = true;
                    self.end(conn, End::Closed);
                }
            }
            Poll::Ready(Err(end)) => self.write_failed(conn, end, sent),
            Poll::Pending => {}
        }
    }

    /// The peer may have said why before it went: what it sent is read first, where the machine takes it.
    fn write_failed(&mut self, conn: Conn, end: End, sent: &mut Sent) {
        sent.more = true;
        let Some(stream) = self.streams.get_mut(&conn) else { return };
        stream.stop_writing();
        if stream.can_read() {
            self.may_read(conn);
        } else {
            self.end(conn, end);
        }
    }

    fn order(&mut self, order: Order<'_>) {
        match order {
            Order::Dial(conn, endpoint) => {
                if let Entry::Vacant(place) = self.streams.entry(conn) {
                    place.insert(Stream { reading: true, ..Stream::default() });
                    self.io.dial(conn, &endpoint);
                }
            }
            Order::Write(conn) => {
                if let Some(stream) = self.streams.get_mut(&conn).filter(|stream| !stream.broken) {
                    stream.debt = true;
                    self.may_write(conn);
                }
            }
            Order::Read(conn) => {
                let Some(stream) = self.streams.get_mut(&conn) else { return };
                stream.reading = true;
                if stream.unread.is_empty() {
                    self.may_read(conn);
                } else {
                    self.wanted.push_back(conn);
                }
            }
            Order::Finish(conn) => {
                if let Some(stream) = self.streams.get_mut(&conn).filter(|stream| stream.finish == Finish::No) {
                    (stream.finish, stream.debt) = (Finish::Asked, !stream.broken);
                    self.may_write(conn);
                }
            }
            Order::Abort(conn) => self.forget(conn),
        }
    }

    fn accepted<M: Streams>(
        &mut self,
        now: Now,
        machine: &mut M,
        accepted: Accepted,
        up: &Up<'_>,
        stats: &mut DriverStats,
    ) {
        match machine.handle_up(now, up) {
            Ok(conn) if !self.streams.contains_key(&conn) => {
                stats.streams += 1;
                self.streams.insert(conn, Stream { up: true, reading: true, ..Stream::default() });
                self.io.admit(accepted, Some(conn));
                self.may_read(conn);
            }
            // A name that is taken is a fault of the machine's: the new stream cannot be told from the old one.
            Ok(_) | Err(_) => {
                stats.streams_refused += 1;
                self.io.admit(accepted, None);
            }
        }
    }

    fn dialled<M: Streams>(&mut self, now: Now, machine: &mut M, conn: Conn, up: &Up<'_>, stats: &mut DriverStats) {
        let Some(stream) = self.streams.get_mut(&conn).filter(|stream| !stream.up) else { return };
        stream.up = true;
        if machine.handle_up(now, up) == Ok(conn) {
            stats.streams += 1;
            self.may_read(conn);
            self.may_write(conn);
        } else {
            stats.streams_refused += 1;
            self.forget(conn);
        }
    }

    /// Hand in bytes; what is not taken is kept.
    fn deliver<M: Streams>(&mut self, now: Now, machine: &mut M, conn: Conn, from: From, stats: &mut DriverStats) {
        let Self { streams, rx, .. } = self;
        // It may have been dropped by an order since.
        let Some(stream) = streams.get_mut(&conn) else { return };
        let kept = core::mem::take(&mut stream.unread);
        let bytes = match from {
            From::Io(range) => rx.get(range).unwrap_or_default(),
            From::Kept => &kept,
        };
        match machine.handle_bytes(now, conn, bytes) {
            Ok(taken) => {
                stats.stream_bytes_in += taken.min(bytes.len()) as u64;
                let rest = bytes.get(taken..).unwrap_or_default();
                if !rest.is_empty() && stream.broken {
                    // Nothing that it could write would make room: it would wait for ever.
                    self.tell_end(now, machine, conn, End::Lost);
                } else if !rest.is_empty() {
                    (stream.reading, stream.unread) = (false, rest.to_vec());
                } else if stream.eof && !stream.eof_told {
                    self.tell_end(now, machine, conn, End::Eof);
                } else {
                    self.may_read(conn);
                }
            }
            Err(_) => self.forget(conn),
        }
    }

    fn tell_end<M: Streams>(&mut self, now: Now, machine: &mut M, conn: Conn, end: End) {
        let Some(stream) = self.streams.get_mut(&conn) else { return };
        if end.is_last() {
            self.forget(conn);
            return machine.handle_end(now, conn, end);
        }
        if !stream.unread.is_empty() {
            // Told once the bytes before it are taken.
            return;
        }
        stream.eof_told = true;
        let finished = stream.finish == Finish::Done;
        machine.handle_end(now, conn, End::Eof);
        if finished {
            self.forget(conn);
            machine.handle_end(now, conn, End::Closed);
        }
    }
}

/// Where bytes to be handed in are.
enum From {
    Io(Range<usize>),
    Kept,
}

impl<M: Streams, I: StreamIo> Transport<M> for StreamTransport<I> {
    type Error = I::Error;

    fn now(&self) -> Now {
        self.io.now()
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        self.io.poll_timer(cx, at)
    }

    fn receive(&mut self, cx: &mut Context<'_>, stats: &mut DriverStats, flushing: bool) -> Result<bool, I::Error> {
        let mut unheard = true;
        for _ in 0..EVENTS {
            match self.io.poll_happened(cx) {
                Poll::Ready(happened) => self.note(happened?, flushing),
                Poll::Pending => {
                    unheard = false;
                    break;
                }
            }
        }
        if flushing {
            self.readable.clear();
            return Ok(unheard);
        }
        let mut used = 0;
        for _ in 0..self.readable.len().min(ROUND) {
            if self.rx.len() - used < LEAST {
                break;
            }
            let Some(conn) = self.readable.pop_front() else { break };
            used += self.read(conn, used);
        }
        stats.batches += u64::from(used > 0);
        Ok(unheard || !self.inbox.is_empty() || !self.readable.is_empty())
    }

    fn hand_in(&mut self, now: Now, machine: &mut M, stats: &mut DriverStats) -> bool {
        let any = !self.inbox.is_empty() || !self.wanted.is_empty();
        for _ in 0..self.wanted.len() {
            let Some(conn) = self.wanted.pop_front() else { break };
            self.deliver(now, machine, conn, From::Kept, stats);
        }
        while let Some(input) = self.inbox.pop_front() {
            match input {
                Input::Accepted(accepted, listener, with) => {
                    let up = up(Origin::Accepted(listener), &with);
                    self.accepted(now, machine, accepted, &up, stats);
                }
                Input::Dialled(conn, with) => {
                    let up = up(Origin::Dialled(conn), &with);
                    self.dialled(now, machine, conn, &up, stats);
                }
                Input::Bytes(conn, range) => self.deliver(now, machine, conn, From::Io(range), stats),
                Input::End(conn, end) => self.tell_end(now, machine, conn, end),
            }
        }
        any
    }

    fn fill(&mut self, now: Now, machine: &mut M) -> bool {
        let mut moved = false;
        for _ in 0..ORDERS {
            let Some(order) = machine.poll_order(now) else { break };
            self.order(order);
            moved = true;
        }
        let mut used = 0;
        for at in 0..self.writable.len().min(ROUND) {
            let Some(stream) = self.writable.get(at).and_then(|conn| self.streams.get_mut(conn)) else { continue };
            if !(stream.up && stream.debt && stream.unsent.is_empty()) {
                continue;
            }
            let end = self.tx.len().min(used + CHUNK);
            let Some(out) = self.tx.get_mut(used..end).filter(|out| !out.is_empty()) else { break };
            let room = out.len();
            let Some(conn) = self.writable.get(at) else { break };
            let len = machine.poll_bytes(now, *conn, out).min(room);
            if len == 0 {
                (stream.debt, stream.flush) = (false, true);
            } else {
                stream.given = Some(used..used + len);
                used += len;
            }
        }
        moved || used > 0 || !self.wanted.is_empty()
    }

    fn send(&mut self, _: &mut Context<'_>, stats: &mut DriverStats) -> Result<Sent, I::Error> {
        let mut sent = Sent::default();
        for _ in 0..self.writable.len().min(ROUND) {
            let Some(conn) = self.writable.pop_front() else { break };
            self.write(conn, stats, &mut sent);
        }
        sent.more |= !self.writable.is_empty() || !self.wanted.is_empty();
        // The turn may have made streams readable: they are looked at without a wake.
        sent.moved |= !self.readable.is_empty();
        Ok(sent)
    }

    fn is_full(&self) -> bool {
        false
    }

    fn is_empty(&self) -> bool {
        !self.streams.values().any(Stream::has_output)
    }

    fn discard(&mut self, _: Now, _: &mut M, _: &mut DriverStats) {
        while let Some((conn, _)) = self.streams.pop_first() {
            self.io.close(conn);
        }
        self.inbox.clear();
    }
}

fn up(origin: Origin, with: &Established) -> Up<'_> {
    Up { origin, remote: with.remote, alpn: with.alpn.as_deref(), exporter: with.exporter.as_ref() }
}
