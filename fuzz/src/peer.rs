//! The yamux crate at the other end of a session, on a pipe that is cut anywhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use sluis_core::{Instant, Seed};
use sluis_mux::session::{Config, Event, Read, Role, Session, StreamId};

/// Most streams of a run.
const STREAMS: usize = 12;

/// What the crate reads and writes.
#[derive(Clone, Default)]
struct Wire(Rc<RefCell<Bytes>>);

#[derive(Default)]
struct Bytes {
    incoming: VecDeque<u8>,
    outgoing: VecDeque<u8>,
    ended: bool,
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        let len = buf.len().min(wire.incoming.len());
        if len == 0 && !wire.ended {
            return Poll::Pending;
        }
        buf.iter_mut().zip(wire.incoming.drain(..len)).for_each(|(to, from)| *to = from);
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        if wire.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        wire.outgoing.extend(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Both ends. The first byte on each stream says which of the crate's it is.
struct Ends {
    wire: Wire,
    theirs: yamux::Connection<Wire>,
    streams: Vec<(yamux::Stream, Vec<u8>, bool)>,
    ours: Session,
    heard: BTreeMap<StreamId, (Vec<u8>, bool)>,
}

/// What the crate writes is what we read, in order, whatever is cut; where nothing is, all of it. Each byte is something that is done.
pub(crate) fn play(data: &[u8]) {
    let wire = Wire::default();
    let theirs = yamux::Connection::new(wire.clone(), yamux::Config::default(), yamux::Mode::Client);
    let ours = Session::new(Role::Server, Config::default(), &Seed::from_u64(3), Instant::ZERO);
    let mut ends = Ends { wire, theirs, streams: Vec::new(), ours, heard: BTreeMap::new() };
    let cx = &mut Context::from_waker(Waker::noop());
    for op in data {
        let n = usize::from(op >> 3);
        match op % 8 {
            0 => ends.open(cx),
            1..=3 => ends.write(cx, n, usize::from(op % 8) * n * 97 + 1),
            4 => ends.close(cx, n),
            5 => ends.carry(cx, n * n + 1),
            6 => ends.read(n * 50 + 1),
            // Cut here: what had come is a part of what was said.
            _ if n == 31 => {
                ends.wire.0.borrow_mut().ended = true;
                let _ = ends.theirs.poll_next_inbound(cx);
                ends.read(1 << 20);
                return;
            }
            _ => ends.back(cx),
        }
    }
    for _ in 0..200 {
        ends.carry(cx, 1 << 20);
        ends.read(1 << 20);
        ends.back(cx);
    }
    assert_eq!(ends.ours.error(), None);
    let heard: BTreeMap<u8, &(Vec<u8>, bool)> =
        ends.heard.values().filter_map(|heard| Some((*heard.0.first()?, heard))).collect();
    for (n, (_, text, closed)) in ends.streams.iter().enumerate().filter(|(_, (_, text, _))| !text.is_empty()) {
        let (bytes, ended) = heard[&u8::try_from(n).expect("few")];
        assert!(bytes == text && ended == closed, "stream {n}: {} of {} bytes", bytes.len(), text.len());
    }
}

impl Ends {
    fn open(&mut self, cx: &mut Context<'_>) {
        if self.streams.len() < STREAMS
            && let Poll::Ready(Ok(stream)) = self.theirs.poll_new_outbound(cx)
        {
            self.streams.push((stream, Vec::new(), false));
        }
    }

    fn write(&mut self, cx: &mut Context<'_>, n: usize, len: usize) {
        let count = self.streams.len();
        let Some((stream, text, false)) = self.streams.get_mut(n.checked_rem(count).unwrap_or(0)) else { return };
        let name = u8::try_from(n % count).expect("few");
        let bytes: Vec<u8> = (text.len()..text.len() + len).map(|at| name + (at % 199).to_le_bytes()[0] % 50).collect();
        if let Poll::Ready(taken) = Pin::new(stream).poll_write(cx, &bytes) {
            text.extend_from_slice(&bytes[..taken.expect("nothing is cut")]);
        }
    }

    fn close(&mut self, cx: &mut Context<'_>, n: usize) {
        let count = self.streams.len();
        let Some((stream, text, closed)) = self.streams.get_mut(n.checked_rem(count).unwrap_or(0)) else { return };
        // One that is ended before anything was written is told nobody.
        if !text.is_empty() && Pin::new(stream).poll_close(cx).is_ready() {
            *closed = true;
        }
    }

    /// What the crate has written reaches us, in pieces of this size.
    fn carry(&mut self, cx: &mut Context<'_>, piece: usize) {
        assert!(self.theirs.poll_next_inbound(cx).is_pending(), "nobody opens a stream to it");
        let bytes: Vec<u8> = self.wire.0.borrow_mut().outgoing.drain(..).collect();
        for piece in bytes.chunks(piece) {
            self.ours.handle_bytes(Instant::ZERO, piece).expect("the crate breaks nothing");
        }
    }

    /// What we have written reaches it.
    fn back(&mut self, cx: &mut Context<'_>) {
        let mut out = [0; 4096];
        loop {
            let len = self.ours.poll_bytes(Instant::ZERO, &mut out);
            if len == 0 {
                break;
            }
            self.wire.0.borrow_mut().incoming.extend(&out[..len]);
        }
        assert!(self.theirs.poll_next_inbound(cx).is_pending(), "nobody opens a stream to it");
    }

    fn read(&mut self, most: usize) {
        while let Some(event) = self.ours.poll_event() {
            match event {
                Event::Opened(id) => {
                    self.ours.accept(id, 5).expect("it was opened");
                    self.heard.insert(id, (Vec::new(), false));
                }
                Event::Reset(id) => panic!("{id:?} was reset"),
                _ => {}
            }
        }
        let mut buffer = vec![0; most];
        for (id, (bytes, ended)) in self.heard.iter_mut().filter(|(_, (_, ended))| !ended) {
            match self.ours.read(Instant::ZERO, *id, &mut buffer).expect("it is there") {
                Read::Bytes(len) => bytes.extend_from_slice(&buffer[..len]),
                Read::End => *ended = true,
                Read::Pending => {}
            }
            let Some(name) = bytes.first() else { continue };
            let (_, text, _) = &self.streams[usize::from(*name)];
            assert!(text.starts_with(bytes), "what was read was not written");
        }
    }
}
