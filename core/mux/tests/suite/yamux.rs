//! The `yamux` crate as the other side of a [`Session`], in both roles: every byte of thousands of streams comes back.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use sluis_core::{Instant, Seed};
use sluis_mux::session::{Config, Event, OpenError, Read, Role, Session, State, StreamId};

/// What one side of a connection reads and writes; the bytes are cut as the other side takes them.
#[derive(Clone, Default)]
struct Wire(Rc<RefCell<Bytes>>);

#[derive(Default)]
struct Bytes {
    incoming: VecDeque<u8>,
    outgoing: VecDeque<u8>,
    ended: bool,
    cut: usize,
}

// The crate wants connections that can move between threads; this test has one thread.
impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        wire.cut = wire.cut % 1_789 + 7;
        let len = buf.len().min(wire.incoming.len()).min(wire.cut);
        if len == 0 {
            return if wire.ended { Poll::Ready(Ok(0)) } else { Poll::Pending };
        }
        buf.iter_mut().zip(wire.incoming.drain(..len)).for_each(|(to, from)| *to = from);
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut wire = self.0.borrow_mut();
        if wire.outgoing.len() > 64 * 1024 {
            return Poll::Pending;
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

/// What is sent on the nth stream: nothing, a few bytes, or more than a window.
fn text(n: usize) -> Vec<u8> {
    let len = match n % 97 {
        0 => 0,
        50 => 700_000,
        some => some * 13,
    };
    (0..len).map(|i| u8::try_from((i * 31 + n) % 251).unwrap()).collect()
}

/// One end that asks: it sends a text on each stream, ends it, and wants the same back, and then the end.
struct Asked<S> {
    stream: S,
    text: Vec<u8>,
    sent: usize,
    finished: bool,
    back: Vec<u8>,
    over: bool,
}

impl<S> Asked<S> {
    fn new(stream: S, n: usize) -> Self {
        Self { stream, text: text(n), sent: 0, finished: false, back: Vec::new(), over: false }
    }
}

/// Our side of a connection.
struct Ours {
    session: Session,
    now: Instant,
    echoes: BTreeMap<StreamId, (Vec<u8>, bool)>,
    asked: Vec<Asked<StreamId>>,
}

impl Ours {
    fn new(role: Role) -> Self {
        let session = Session::new(role, Config::default(), &Seed::from_u64(9), Instant::ZERO);
        Self { session, now: Instant::ZERO, echoes: BTreeMap::new(), asked: Vec::new() }
    }

    /// Bytes between it and the wire of the crate.
    fn carry(&mut self, wire: &Wire) {
        self.now = self.now + std::time::Duration::from_millis(1);
        self.session.handle_timeout(self.now).unwrap();
        let mut wire = wire.0.borrow_mut();
        let bytes: Vec<u8> = wire.outgoing.drain(..).collect();
        self.session.handle_bytes(self.now, &bytes).unwrap();
        let mut out = [0; 8192];
        while wire.incoming.len() < 64 * 1024 {
            let len = self.session.poll_bytes(self.now, &mut out);
            if len == 0 {
                break;
            }
            wire.incoming.extend(&out[..len]);
        }
    }

    /// Send back what comes on streams that the other side opened.
    fn echo(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Opened(id) => {
                    self.session.accept(id, 5).unwrap();
                    self.echoes.insert(id, (Vec::new(), false));
                }
                Event::Reset(id) => panic!("{id:?} was reset"),
                _ => {}
            }
        }
        let (session, now) = (&mut self.session, self.now);
        self.echoes.retain(|id, (held, ended)| {
            let mut bytes = vec![0; 16 * 1024];
            while held.len() < 64 * 1024 && !*ended {
                match session.read(now, *id, &mut bytes).unwrap() {
                    Read::Bytes(len) => held.extend_from_slice(&bytes[..len]),
                    Read::Pending => break,
                    Read::End => *ended = true,
                }
            }
            let taken = session.write(*id, held).unwrap();
            held.drain(..taken);
            let over = *ended && held.is_empty();
            if over {
                session.finish(*id).unwrap();
            }
            !over
        });
    }

    /// Ask on streams of ours; how many are over.
    fn ask(&mut self) -> usize {
        let (session, now) = (&mut self.session, self.now);
        for asked in self.asked.iter_mut().filter(|asked| !asked.over) {
            let id = asked.stream;
            if !asked.finished {
                asked.sent += session.write(id, &asked.text[asked.sent..]).unwrap();
                if asked.sent == asked.text.len() {
                    session.finish(id).unwrap();
                    asked.finished = true;
                }
            }
            let mut bytes = [0; 4096];
            loop {
                match session.read(now, id, &mut bytes).unwrap() {
                    Read::Bytes(len) => asked.back.extend_from_slice(&bytes[..len]),
                    Read::Pending => break,
                    Read::End => {
                        asked.over = true;
                        assert!(asked.back == asked.text, "what came back differs");
                        break;
                    }
                }
            }
        }
        self.asked.iter().filter(|asked| asked.over).count()
    }
}

const STREAMS: usize = 2_000;

#[test]
fn the_yamux_crate_asks_and_we_answer() {
    let mut cx = Context::from_waker(Waker::noop());
    let wire = Wire::default();
    let mut config = yamux::Config::default();
    // It forgets its streams late.
    config.set_max_num_streams(4096);
    let mut theirs = yamux::Connection::new(wire.clone(), config, yamux::Mode::Client);
    let mut ours = Ours::new(Role::Server);
    let mut asked: Vec<Asked<yamux::Stream>> = Vec::new();
    let (mut done, mut opened) = (0, 0);
    for _ in 0..1_000_000 {
        while opened < STREAMS && asked.len() < 300 {
            let Poll::Ready(stream) = theirs.poll_new_outbound(&mut cx) else { break };
            let mut next = Asked::new(stream.unwrap(), opened);
            if next.text.is_empty() {
                // It tells nobody of a stream that is ended before anything is written.
                next.text.push(7);
            }
            asked.push(next);
            opened += 1;
        }
        asked.retain_mut(|asked| {
            ask_theirs(&mut cx, asked);
            done += usize::from(asked.over);
            !asked.over
        });
        assert!(theirs.poll_next_inbound(&mut cx).is_pending(), "nobody opens a stream to it");
        ours.carry(&wire);
        ours.echo();
        if done == STREAMS {
            break;
        }
    }
    assert_eq!((done, ours.session.error()), (STREAMS, None));
    assert_eq!(ours.session.stats().accepted, STREAMS as u64);
    // It says goodbye, and so do we.
    for _ in 0..20 {
        let _ = theirs.poll_close(&mut cx);
        ours.carry(&wire);
        if ours.session.state() == State::Closed {
            break;
        }
        ours.echo();
    }
    assert_eq!((ours.session.state(), ours.session.streams(), ours.session.held()), (State::Closed, 0, 0));
}

fn ask_theirs(cx: &mut Context<'_>, asked: &mut Asked<yamux::Stream>) {
    let stream = &mut asked.stream;
    while asked.sent < asked.text.len() {
        match Pin::new(&mut *stream).poll_write(cx, &asked.text[asked.sent..]) {
            Poll::Ready(taken) => asked.sent += taken.unwrap(),
            Poll::Pending => break,
        }
    }
    if asked.sent == asked.text.len() && !asked.finished {
        asked.finished = Pin::new(&mut *stream).poll_close(cx).map(Result::unwrap).is_ready();
    }
    let mut bytes = [0; 4096];
    while let Poll::Ready(len) = Pin::new(&mut *stream).poll_read(cx, &mut bytes) {
        match len.unwrap() {
            0 => {
                asked.over = asked.finished;
                if asked.over {
                    assert!(asked.back == asked.text, "what came back differs");
                }
                return;
            }
            len => asked.back.extend_from_slice(&bytes[..len]),
        }
    }
}

#[test]
fn we_ask_and_the_yamux_crate_answers() {
    let mut cx = Context::from_waker(Waker::noop());
    let wire = Wire::default();
    let mut theirs = yamux::Connection::new(wire.clone(), yamux::Config::default(), yamux::Mode::Server);
    let mut ours = Ours::new(Role::Client);
    let mut echoes: Vec<(yamux::Stream, Vec<u8>, bool)> = Vec::new();
    let (mut done, mut opened) = (0, 0);
    for _ in 0..1_000_000 {
        while opened < STREAMS && ours.asked.len() < 300 {
            let stream = match ours.session.open(ours.now, 5) {
                Ok(stream) => stream,
                Err(why) => {
                    assert_eq!(why, OpenError::Unanswered);
                    break;
                }
            };
            ours.asked.push(Asked::new(stream, opened));
            opened += 1;
        }
        while let Poll::Ready(stream) = theirs.poll_next_inbound(&mut cx) {
            echoes.push((stream.unwrap().unwrap(), Vec::new(), false));
        }
        echoes.retain_mut(|(stream, held, ended)| {
            let mut bytes = [0; 4096];
            while held.len() < 64 * 1024 && !*ended {
                match Pin::new(&mut *stream).poll_read(&mut cx, &mut bytes) {
                    Poll::Ready(len) => {
                        let len = len.unwrap();
                        *ended = len == 0;
                        held.extend_from_slice(&bytes[..len]);
                    }
                    Poll::Pending => break,
                }
            }
            while !held.is_empty() {
                let Poll::Ready(taken) = Pin::new(&mut *stream).poll_write(&mut cx, held) else { break };
                held.drain(..taken.unwrap());
            }
            !(*ended && held.is_empty() && Pin::new(&mut *stream).poll_close(&mut cx).is_ready())
        });
        done += ours.ask();
        ours.asked.retain(|asked| !asked.over);
        ours.carry(&wire);
        while let Some(event) = ours.session.poll_event() {
            assert!(!matches!(event, Event::Reset(_) | Event::Opened(_)), "{event:?}");
        }
        if done == STREAMS {
            break;
        }
    }
    assert_eq!((done, ours.session.error()), (STREAMS, None));
    assert_eq!((ours.session.stats().opened, ours.session.held()), (STREAMS as u64, 0));
}
