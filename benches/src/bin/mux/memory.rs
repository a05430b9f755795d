//! Writes on streams of a session beside the `yamux` crate, over a pipe in memory that is the same for both; and what tags cost.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_io::{AsyncRead, AsyncWrite};
use sha2::{Digest as _, Sha256};
use sluis_benches::contest::{self, Runner, Stopwatch};
use sluis_benches::mux::Channels;
use sluis_benches::report::{Report, Row};
use sluis_core::{Instant, Seed};
use sluis_mux::session::{Config, Event, Read, Role, Session, StreamId};

/// Writes before what was written is carried to the other end, and bytes of them.
const IN_FLIGHT: usize = 100;
const IN_FLIGHT_BYTES: usize = 1 << 20;

fn in_flight(size: usize) -> u64 {
    (IN_FLIGHT_BYTES / size).clamp(1, IN_FLIGHT) as u64
}

pub(crate) fn run(report: &mut Report, rounds: usize) {
    for (what, streams, size, target) in [
        ("64 KiB writes, 1 stream", 1, 65_536, 1.2),
        ("64 KiB writes, 100 streams", 100, 65_536, 1.2),
        ("128 B messages, 100 streams", 100, 128, 6.0),
    ] {
        let (mut theirs, mut ours) = (Theirs::new(streams), Ours::new(streams));
        let runners = [
            Runner::custom("yamux", move |n| theirs.run(n, size)),
            Runner::custom("session", move |n| ours.run(n, size)),
        ];
        super::rate(report, rounds, what, target, runners);
    }
    [128, 4_096, 65_536].into_iter().for_each(|size| tags(report, rounds, size));
}

/// What a message costs more with tags than without, beside the SHA-256 blocks that two tags (one made, one checked) cannot do without.
fn tags(report: &mut Report, rounds: usize, size: usize) {
    let (mut plain, mut tagged) = (Channels::new(1, false), Channels::new(1, true));
    // The running hash takes the one before it, a number, a kind and the body; the MAC over it takes one block inside and one outside.
    let text = vec![7; 32 + 8 + 1 + size];
    let mut runners = [
        Runner::new("SHA-256 of 2 tags", || {
            for _ in 0..2 {
                black_box(Sha256::digest(black_box(&text)));
                black_box(Sha256::digest(black_box(&text[..32])));
                black_box(Sha256::digest(black_box(&text[..32])));
            }
        }),
        Runner::custom("without tags", move |n| plain.run(n, size)),
        Runner::custom("with tags", move |n| tagged.run(n, size)),
    ];
    let standings = contest::run(&mut runners, rounds);
    let added = standings[2].nanos - standings[1].nanos;
    report.add(&Row {
        what: format!("what tags add to {size} B, both ends"),
        value: added / standings[0].nanos,
        unit: "×",
        target: Some(1.3),
        floor: Some((standings[0].name, standings[0].nanos)),
        nanos: Some(added),
    });
}

/// Two sessions.
struct Ours {
    ends: [Session; 2],
    streams: Vec<StreamId>,
    text: Vec<u8>,
    wire: Vec<u8>,
    next: usize,
}

impl Ours {
    fn new(count: usize) -> Self {
        let session = |role| Session::new(role, Config::default(), &Seed::from_u64(1), Instant::ZERO);
        let mut this = Self {
            ends: [session(Role::Client), session(Role::Server)],
            streams: Vec::new(),
            text: vec![7; 65_536],
            wire: vec![0; 65_536],
            next: 0,
        };
        for _ in 0..count {
            this.streams.extend(this.ends[0].open(Instant::ZERO, 5));
        }
        this.carry();
        this
    }

    /// Carry everything both ways; how many bytes were read at the far end.
    fn carry(&mut self) -> usize {
        let mut read = 0;
        loop {
            let mut moved = false;
            for side in 0..2 {
                loop {
                    let len = self.ends[side].poll_bytes(Instant::ZERO, &mut self.wire);
                    if len == 0 {
                        break;
                    }
                    moved = true;
                    self.ends[1 - side].handle_bytes(Instant::ZERO, &self.wire[..len]).expect("the same protocol");
                    read += self.read();
                }
            }
            if !moved {
                return read;
            }
        }
    }

    fn read(&mut self) -> usize {
        let mut read = 0;
        let end = &mut self.ends[1];
        while let Some(event) = end.poll_event() {
            match event {
                Event::Opened(id) => end.accept(id, 5).expect("it was opened"),
                Event::Readable(id) => {
                    while let Ok(Read::Bytes(bytes)) = end.peek(id) {
                        let len = black_box(bytes).len();
                        read += len;
                        end.consume(Instant::ZERO, id, len).expect("it is there");
                    }
                }
                _ => {}
            }
        }
        read
    }

    fn run(&mut self, count: u64, size: usize) -> std::time::Duration {
        let (mut left, mut read) = (count, 0);
        let began = Stopwatch::start();
        while left > 0 {
            for _ in 0..left.min(in_flight(size)) {
                let stream = self.streams[self.next % self.streams.len()];
                let mut sent = self.ends[0].write(stream, &self.text[..size]).expect("it is open");
                while sent < size {
                    read += self.carry();
                    sent += self.ends[0].write(stream, &self.text[sent..size]).expect("it is open");
                }
                self.next += 1;
            }
            read += self.carry();
            left -= left.min(in_flight(size));
        }
        let took = began.elapsed();
        assert_eq!(read as u64, count * size as u64, "everything came through");
        took
    }
}

/// One direction of a pipe, which both of a pair's ends share.
type Way = Rc<RefCell<VecDeque<u8>>>;

struct Pipe {
    incoming: Way,
    outgoing: Way,
}

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut way = self.incoming.borrow_mut();
        if way.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(io::Read::read(&mut *way, buf))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut way = self.outgoing.borrow_mut();
        if way.len() > 1 << 20 {
            return Poll::Pending;
        }
        way.extend(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Two connections of the crate.
struct Theirs {
    ends: [yamux::Connection<Pipe>; 2],
    near: Vec<yamux::Stream>,
    far: Vec<yamux::Stream>,
    text: Vec<u8>,
    room: Vec<u8>,
    next: usize,
}

impl Theirs {
    fn new(count: usize) -> Self {
        let (there, back) = (Way::default(), Way::default());
        let near = Pipe { incoming: Rc::clone(&back), outgoing: Rc::clone(&there) };
        let far = Pipe { incoming: there, outgoing: back };
        let config = yamux::Config::default;
        let mut this = Self {
            ends: [
                yamux::Connection::new(near, config(), yamux::Mode::Client),
                yamux::Connection::new(far, config(), yamux::Mode::Server),
            ],
            near: Vec::new(),
            far: Vec::new(),
            text: vec![7; 65_536],
            room: vec![0; 65_536],
            next: 0,
        };
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..count {
            if let Poll::Ready(Ok(stream)) = this.ends[0].poll_new_outbound(&mut cx) {
                this.near.push(stream);
            }
        }
        this
    }

    fn carry(&mut self) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        let mut read = 0;
        let _ = self.ends[0].poll_next_inbound(&mut cx);
        while let Poll::Ready(Some(Ok(stream))) = self.ends[1].poll_next_inbound(&mut cx) {
            self.far.push(stream);
        }
        for stream in &mut self.far {
            while let Poll::Ready(Ok(len)) = Pin::new(&mut *stream).poll_read(&mut cx, &mut self.room) {
                read += black_box(len);
            }
        }
        read
    }

    fn run(&mut self, count: u64, size: usize) -> std::time::Duration {
        let mut cx = Context::from_waker(Waker::noop());
        let (mut left, mut read) = (count, 0);
        let began = Stopwatch::start();
        while left > 0 {
            for _ in 0..left.min(in_flight(size)) {
                let at = self.next % self.near.len();
                let mut sent = 0;
                while sent < size {
                    match Pin::new(&mut self.near[at]).poll_write(&mut cx, &self.text[sent..size]) {
                        Poll::Ready(taken) => sent += taken.expect("it is open"),
                        Poll::Pending => read += self.carry(),
                    }
                }
                self.next += 1;
            }
            read += self.carry();
            left -= left.min(in_flight(size));
        }
        while (read as u64) < count * size as u64 {
            read += self.carry();
        }
        began.elapsed()
    }
}
