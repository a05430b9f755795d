mod windows;

use super::frame::{ACK, FIN, HEADER_LEN, Header, Kind, RST, SYN};
use super::{
    Config, Event, FIRST_WINDOW, MAX_UNANSWERED, OpenError, Read, Role, Session, SessionError, State, StreamId,
};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use proptest::prelude::*;
use sluis_core::{Instant, Seed};

fn session(role: Role) -> Session {
    session_of(role, Config::default())
}

fn session_of(role: Role, config: Config) -> Session {
    Session::new(role, config, &Seed::from_u64(3), Instant::ZERO)
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

/// Everything that a session has to write, taken out in pieces of these sizes, over and over.
fn drain(session: &mut Session, now: Instant, sizes: &[usize]) -> Vec<u8> {
    let (mut all, mut sizes) = (Vec::new(), sizes.iter().cycle());
    while session.wants_write() {
        let mut out = vec![0; *sizes.next().unwrap()];
        let len = session.poll_bytes(now, &mut out);
        all.extend_from_slice(&out[..len]);
        if len == 0 {
            break;
        }
    }
    all
}

fn feed(session: &mut Session, now: Instant, mut bytes: &[u8], sizes: &[usize]) -> Result<(), SessionError> {
    let mut sizes = sizes.iter().cycle();
    while !bytes.is_empty() {
        let (some, rest) = bytes.split_at((*sizes.next().unwrap()).min(bytes.len()));
        session.handle_bytes(now, some)?;
        bytes = rest;
    }
    Ok(())
}

/// Carry bytes both ways until nothing moves.
fn carry(a: &mut Session, b: &mut Session, now: Instant) {
    loop {
        let (there, back) = (drain(a, now, &[70_000]), drain(b, now, &[70_000]));
        if there.is_empty() && back.is_empty() {
            return;
        }
        b.handle_bytes(now, &there).unwrap();
        a.handle_bytes(now, &back).unwrap();
    }
}

fn frame(kind: Kind, flags: u16, stream: u32, length: u32) -> Vec<u8> {
    Header { kind, flags, stream, length }.bytes().to_vec()
}

fn data(flags: u16, stream: u32, bytes: &[u8]) -> Vec<u8> {
    let mut all = frame(Kind::Data, flags, stream, u32::try_from(bytes.len()).unwrap());
    all.extend_from_slice(bytes);
    all
}

fn opened(session: &mut Session) -> StreamId {
    loop {
        match session.poll_event() {
            Some(Event::Opened(id)) => {
                session.accept(id, 5).unwrap();
                return id;
            }
            Some(_) => {}
            None => panic!("no stream was opened"),
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Open(u8),
    Write(usize, usize),
    Read(usize, usize),
    Finish(usize),
    Reset(usize),
    Carry,
    Pass(u64),
}

fn op() -> impl Strategy<Value = (bool, Op)> {
    let op = prop_oneof![
        2 => (0..10u8).prop_map(Op::Open),
        6 => (0..8usize, 0..90_000usize).prop_map(|(n, len)| Op::Write(n, len)),
        4 => (0..8usize, 0..200_000usize).prop_map(|(n, len)| Op::Read(n, len)),
        2 => (0..8usize).prop_map(Op::Finish),
        1 => (0..8usize).prop_map(Op::Reset),
        4 => Just(Op::Carry),
        1 => (0..60u64).prop_map(Op::Pass),
    ];
    (any::<bool>(), op)
}

/// Two sessions, and what is between them.
struct Pair {
    ends: [Session; 2],
    /// Streams in the order in which each side learned of them.
    streams: [Vec<StreamId>; 2],
    /// All that each side wrote on its connection, all that it was told, and all that it read, by stream.
    wire: [Vec<u8>; 2],
    events: [Vec<Event>; 2],
    read: [BTreeMap<StreamId, Vec<u8>>; 2],
    written: [BTreeMap<StreamId, Vec<u8>>; 2],
    now: Instant,
    sizes: Vec<usize>,
}

impl Pair {
    fn new(sizes: &[usize]) -> Self {
        let config = Config { max_streams: 12, ..Config::default() };
        Self {
            ends: [session_of(Role::Client, config.clone()), session_of(Role::Server, config)],
            streams: Default::default(),
            wire: Default::default(),
            events: Default::default(),
            read: Default::default(),
            written: Default::default(),
            now: Instant::ZERO,
            sizes: sizes.to_vec(),
        }
    }

    fn step(&mut self, side: usize, op: &Op) {
        let now = self.now;
        let end = &mut self.ends[side];
        let stream = |n: usize| self.streams[side].get(n).copied();
        match *op {
            Op::Open(level) => self.streams[side].extend(end.open(now, level).ok()),
            Op::Write(n, len) => {
                let Some(id) = stream(n) else { return };
                let bytes: Vec<u8> = (0..len).map(|i| u8::try_from((i + len) % 251).unwrap()).collect();
                if let Ok(taken) = end.write(id, &bytes) {
                    self.written[side].entry(id).or_default().extend_from_slice(&bytes[..taken]);
                }
            }
            Op::Read(n, len) => {
                let Some(id) = stream(n) else { return };
                let mut out = vec![0; len];
                if let Ok(Read::Bytes(len)) = end.read(now, id, &mut out) {
                    self.read[side].entry(id).or_default().extend_from_slice(&out[..len]);
                }
            }
            Op::Finish(n) => drop(stream(n).map(|id| end.finish(id))),
            Op::Reset(n) => drop(stream(n).map(|id| end.reset(id))),
            Op::Carry => self.carry(),
            Op::Pass(seconds) => {
                self.now = self.now + Duration::from_secs(seconds);
                for end in &mut self.ends {
                    // One that is dead says so in its error.
                    let _ = end.handle_timeout(self.now);
                }
                self.carry();
            }
        }
    }

    fn carry(&mut self) {
        for _ in 0..2 {
            for side in 0..2 {
                let bytes = drain(&mut self.ends[side], self.now, &self.sizes);
                feed(&mut self.ends[1 - side], self.now, &bytes, &self.sizes).unwrap();
                self.wire[side].extend(bytes);
            }
            for side in 0..2 {
                while let Some(event) = self.ends[side].poll_event() {
                    if let Event::Opened(id) = event {
                        self.ends[side].accept(id, 4).unwrap();
                        self.streams[side].push(id);
                    }
                    self.events[side].push(event);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_chunking_gives_the_same(
        ops in prop::collection::vec(op(), 1..60),
        sizes in prop::collection::vec(1..5000usize, 1..8),
    ) {
        let (mut whole, mut cut) = (Pair::new(&[1 << 20]), Pair::new(&sizes));
        for (side, op) in &ops {
            whole.step(usize::from(*side), op);
            cut.step(usize::from(*side), op);
        }
        whole.carry();
        cut.carry();
        prop_assert!(whole.wire == cut.wire, "the bytes differ");
        prop_assert_eq!(&whole.events, &cut.events);
        prop_assert!(whole.read == cut.read, "what is read differs");
        prop_assert!(whole.ends.iter().all(|end| end.error().is_none()));
    }

    /// Nothing is lost, invented or turned round, whatever is done in between.
    #[test]
    fn what_is_read_is_what_was_written(ops in prop::collection::vec(op(), 1..80)) {
        let mut pair = Pair::new(&[1 << 20]);
        let mut reset = false;
        for (side, op) in &ops {
            reset |= matches!(op, Op::Reset(_));
            pair.step(usize::from(*side), op);
        }
        for _ in 0..40 {
            pair.carry();
            for side in 0..2 {
                (0..160).for_each(|n| pair.step(side, &Op::Read(n, 1 << 20)));
            }
        }
        if !reset {
            let sorted = |map: &BTreeMap<StreamId, Vec<u8>>| {
                let mut all: Vec<Vec<u8>> = map.values().filter(|bytes| !bytes.is_empty()).cloned().collect();
                all.sort();
                all
            };
            prop_assert!(sorted(&pair.written[0]) == sorted(&pair.read[1]), "there");
            prop_assert!(sorted(&pair.written[1]) == sorted(&pair.read[0]), "back");
        }
        for end in &mut pair.ends {
            prop_assert!(end.error().is_none(), "{:?}", end.error());
            prop_assert_eq!(end.streams.unread, 0);
        }
        let left: usize = pair.ends.iter().map(Session::held).sum();
        prop_assert!(reset || left == 0, "{left} bytes are held for nothing");
    }

    /// Garbage never does worse than end the session, and never makes it large.
    #[test]
    fn garbage_is_bounded(
        frames in prop::collection::vec((0..4u8, 0..16u16, 0..9u32, 0..3000u32, 0..32u8), 1..300),
        sizes in prop::collection::vec(1..2000usize, 1..5),
    ) {
        let mut server = session(Role::Server);
        let mut bytes = Vec::new();
        for (kind, flags, stream, length, large) in frames {
            let length = if large == 0 { length << 7 } else { length / 8 };
            bytes.extend_from_slice(&[0, kind]);
            bytes.extend_from_slice(&flags.to_be_bytes());
            bytes.extend_from_slice(&stream.to_be_bytes());
            bytes.extend_from_slice(&length.to_be_bytes());
            if kind == 0 {
                bytes.resize(bytes.len() + length as usize, 7);
            }
        }
        let ended = feed(&mut server, Instant::ZERO, &bytes, &sizes);
        let mut again = session(Role::Server);
        prop_assert_eq!(ended, feed(&mut again, Instant::ZERO, &bytes, &[1 << 20]));
        prop_assert!(server.held() <= 6 * FIRST_WINDOW as usize);
        while server.poll_event().is_some() {}
        drain(&mut server, Instant::ZERO, &[1000]);
    }
}

#[test]
fn each_breach_ends_the_session_and_is_named() {
    let mut much = data(SYN, 1, &[0; FIRST_WINDOW as usize]);
    much.extend(data(0, 1, b"x"));
    let mut window = frame(Kind::WindowUpdate, SYN, 1, u32::MAX);
    window.extend(frame(Kind::WindowUpdate, 0, 1, u32::MAX));
    let cases: [(Vec<u8>, SessionError); 12] = [
        (vec![1; 12], SessionError::Version),
        ([vec![0, 4], vec![0; 10]].concat(), SessionError::Kind),
        (frame(Kind::Data, 16, 1, 0), SessionError::Flags),
        (frame(Kind::Data, SYN, 0, 0), SessionError::Stream),
        (frame(Kind::Data, SYN, 2, 0), SessionError::Stream),
        (frame(Kind::Ping, SYN, 1, 0), SessionError::Stream),
        ([data(SYN, 1, b""), data(SYN, 1, b"")].concat(), SessionError::Reused),
        ([data(SYN | FIN, 1, b""), data(0, 1, b"x")].concat(), SessionError::AfterEnd),
        (much, SessionError::Credit),
        (window, SessionError::Window),
        (frame(Kind::GoAway, 0, 0, 1), SessionError::Refused),
        (data(0, 1, b"nobody waits for this"), SessionError::Flood),
    ];
    for (bytes, error) in cases {
        let mut server = session(Role::Server);
        assert_eq!(server.handle_bytes(Instant::ZERO, &bytes), Err(error), "{bytes:?}");
        assert_eq!((server.state(), server.error()), (State::Closed, Some(error)));
        assert_eq!(server.handle_bytes(Instant::ZERO, b"more"), Err(error));
        while server.poll_event().is_some() {}
        // A stream that had come to its end can still be read.
        assert_eq!((server.streams(), server.held()), (usize::from(error == SessionError::AfterEnd), 0));
        // The other side is told that the fault is its own.
        let told = drain(&mut server, Instant::ZERO, &[100]);
        let expected = if error == SessionError::Refused { vec![] } else { frame(Kind::GoAway, 0, 0, 1) };
        assert_eq!(told, expected, "{error}");
    }
}

#[test]
fn floods_end_the_session_within_bounds() {
    type Flood = fn(u32) -> Vec<u8>;
    let floods: [(&str, Flood); 5] = [
        ("opens", |n| frame(Kind::WindowUpdate, SYN, 2 * n + 1, 0)),
        ("resets", |n| [frame(Kind::WindowUpdate, SYN, 2 * n + 1, 0), frame(Kind::Data, RST, 2 * n + 1, 0)].concat()),
        ("pings", |n| frame(Kind::Ping, SYN, 0, n)),
        ("empty frames", |n| data(if n == 0 { SYN } else { 0 }, 1, b"")),
        ("strays", |n| frame(Kind::WindowUpdate, 0, 2 * n + 1, 1)),
    ];
    for (name, make) in floods {
        let mut server = session(Role::Server);
        let ended = (0..100_000).find_map(|n| server.handle_bytes(Instant::ZERO, &make(n)).err());
        assert_eq!(ended, Some(SessionError::Flood), "{name}");
        assert!(server.streams() <= MAX_UNANSWERED as usize, "{name}");
    }
}

#[test]
fn opening_is_bounded_until_it_is_answered() {
    let (mut client, mut server) = (session(Role::Client), session(Role::Server));
    for _ in 0..MAX_UNANSWERED {
        client.open(Instant::ZERO, 0).unwrap();
    }
    assert_eq!(client.open(Instant::ZERO, 0), Err(OpenError::Unanswered));
    carry(&mut client, &mut server, Instant::ZERO);
    assert_eq!(client.open(Instant::ZERO, 0), Err(OpenError::Unanswered), "the application has not accepted any");
    opened(&mut server);
    carry(&mut client, &mut server, Instant::ZERO);
    client.open(Instant::ZERO, 0).unwrap();
    assert_eq!(client.open(Instant::ZERO, 0), Err(OpenError::Unanswered));
}

#[test]
fn small_writes_leave_together() {
    let mut client = session(Role::Client);
    let stream = client.open(Instant::ZERO, 0).unwrap();
    drain(&mut client, Instant::ZERO, &[100]);
    for _ in 0..100 {
        client.write(stream, &[7; 100]).unwrap();
    }
    assert_eq!(drain(&mut client, Instant::ZERO, &[100_000]).len(), 12 + 100 * 100);
}

#[test]
fn what_is_urgent_goes_first_and_nothing_starves() {
    let config = Config { send_buffer: 1 << 20, ..Config::default() };
    let mut client = session_of(Role::Client, config);
    let (bulk, voice) = (client.open(Instant::ZERO, 7).unwrap(), client.open(Instant::ZERO, 0).unwrap());
    let grant = frame(Kind::WindowUpdate, ACK, 1, 100 << 20);
    client.handle_bytes(Instant::ZERO, &[grant, frame(Kind::WindowUpdate, ACK, 3, 100 << 20)].concat()).unwrap();
    drain(&mut client, Instant::ZERO, &[1000]);
    client.write(bulk, &vec![1; 1 << 20]).unwrap();
    let mut out = vec![0; 12 + 16 * 1024];
    client.poll_bytes(Instant::ZERO, &mut out);
    // One frame of the bulk is the most that a voice waits for.
    client.write(voice, b"hello").unwrap();
    let rest = drain(&mut client, Instant::ZERO, &[12 + 16 * 1024]);
    assert_eq!(rest[4..8], 3u32.to_be_bytes(), "the voice comes next");
    // A voice that never ends leaves the bulk a frame for each half a megabyte.
    client.write(bulk, &vec![1; 100_000]).unwrap();
    let mut order = VecDeque::new();
    for _ in 0..200 {
        client.write(voice, &[2; 16 * 1024]).unwrap();
        let len = client.poll_bytes(Instant::ZERO, &mut out);
        assert_eq!(len, out.len());
        order.push_back(out[7]);
    }
    let bulk_frames = order.iter().filter(|wire| **wire == 1).count();
    assert!((4..=8).contains(&bulk_frames), "{bulk_frames} of 200");
}

#[test]
fn a_stream_that_is_not_read_stalls_no_other() {
    let (mut client, mut server) = (session(Role::Client), session(Role::Server));
    let (stalled, alive) = (client.open(at(0), 3).unwrap(), client.open(at(0), 3).unwrap());
    let (mut sent, mut got) = (0, 0);
    let mut heard = Vec::new();
    while sent < 20 << 20 {
        client.write(stalled, &[1; 65_536]).unwrap();
        sent += client.write(alive, &[2; 65_536]).unwrap();
        carry(&mut client, &mut server, at(0));
        while let Some(event) = server.poll_event() {
            if let Event::Opened(id) = event {
                server.accept(id, 3).unwrap();
                heard.push(id);
            }
        }
        let mut out = vec![0; 1 << 20];
        if let Ok(Read::Bytes(len)) = server.read(at(0), heard[1], &mut out) {
            got += len;
        }
    }
    assert!(got > 19 << 20, "{got} of {sent}");
    assert_eq!(server.unread(heard[0]), FIRST_WINDOW as usize);
}

#[test]
fn what_nobody_reads_is_reset_at_the_cap() {
    let config = Config { max_unread: 300_000, ..Config::default() };
    let (mut client, mut server) = (session(Role::Client), session_of(Role::Server, config));
    let streams = [client.open(at(0), 3).unwrap(), client.open(at(0), 3).unwrap()];
    for _ in 0..8 {
        for id in streams {
            let _ = client.write(id, &[1; 65_536]);
        }
        carry(&mut client, &mut server, at(0));
    }
    assert!(server.streams.unread <= 300_000);
    assert_eq!(server.stats().overflows, 1);
    // Both sides know.
    let resets = |end: &mut Session| {
        core::iter::from_fn(|| end.poll_event()).filter(|event| matches!(event, Event::Reset(_))).count()
    };
    assert_eq!((resets(&mut client), resets(&mut server)), (1, 1));
}

#[test]
fn half_close_is_kept_and_both_ends_are_forgotten_then() {
    let (mut client, mut server) = (session(Role::Client), session(Role::Server));
    let there = client.open(at(0), 3).unwrap();
    client.write(there, b"ask").unwrap();
    client.finish(there).unwrap();
    assert!(client.write(there, b"more").is_err());
    carry(&mut client, &mut server, at(0));
    let back = opened(&mut server);
    let mut out = [0; 8];
    assert_eq!(server.read(at(0), back, &mut out), Ok(Read::Bytes(3)));
    assert_eq!(server.read(at(0), back, &mut out), Ok(Read::End));
    server.write(back, b"answer").unwrap();
    server.finish(back).unwrap();
    carry(&mut client, &mut server, at(0));
    assert_eq!(client.read(at(0), there, &mut out), Ok(Read::Bytes(6)));
    assert_eq!(client.read(at(0), there, &mut out), Ok(Read::End));
    assert!(client.read(at(0), there, &mut out).is_err());
    assert_eq!((client.streams(), server.streams(), client.held(), server.held()), (0, 0, 0, 0));
}

#[test]
fn a_lost_connection_is_told_to_every_stream_and_what_had_come_whole_can_be_read() {
    let (mut client, mut server) = (session(Role::Client), session(Role::Server));
    let (whole, half) = (client.open(at(0), 3).unwrap(), client.open(at(0), 3).unwrap());
    client.write(whole, b"whole").unwrap();
    client.finish(whole).unwrap();
    client.write(half, b"half").unwrap();
    carry(&mut client, &mut server, at(0));
    let (whole, half) = (opened(&mut server), opened(&mut server));
    server.handle_end();
    client.handle_end();
    assert!(server.write(half, b"x").is_err());
    let events: Vec<Event> = core::iter::from_fn(|| server.poll_event()).collect();
    assert_eq!(events, [Event::Reset(half), Event::Readable(whole)]);
    let mut out = [0; 8];
    assert_eq!(server.read(at(0), whole, &mut out), Ok(Read::Bytes(5)));
    assert_eq!(server.read(at(0), whole, &mut out), Ok(Read::End));
    assert_eq!(core::iter::from_fn(|| client.poll_event()).count(), 2);
    assert_eq!((client.streams(), server.streams()), (0, 0));
    assert!(!client.has_events() && !server.has_events() && server.deadline().is_none());
}

#[test]
fn a_session_that_drains_ends_with_its_last_stream() {
    let (mut client, mut server) = (session(Role::Client), session(Role::Server));
    let there = client.open(at(0), 3).unwrap();
    carry(&mut client, &mut server, at(0));
    let back = opened(&mut server);
    server.close();
    assert_eq!(server.open(at(0), 3), Err(OpenError::Draining));
    carry(&mut client, &mut server, at(0));
    assert_eq!(client.poll_event(), Some(Event::GoingAway));
    assert_eq!(client.open(at(0), 3), Err(OpenError::Draining));
    client.write(there, b"last").unwrap();
    client.finish(there).unwrap();
    server.finish(back).unwrap();
    carry(&mut client, &mut server, at(0));
    let mut out = [0; 8];
    assert_eq!(server.read(at(0), back, &mut out), Ok(Read::Bytes(4)));
    assert_eq!(server.read(at(0), back, &mut out), Ok(Read::End));
    assert_eq!(client.read(at(0), there, &mut out), Ok(Read::End));
    assert_eq!((client.state(), server.state()), (State::Closed, State::Closed));
    assert_eq!((client.error(), server.error()), (None, None));
}

#[test]
fn what_comes_after_a_peaceful_end_is_for_nobody_in_one_piece_or_in_many() {
    let bytes = [frame(Kind::GoAway, 0, 0, 0), data(SYN, 2, b"late"), frame(Kind::Ping, SYN, 0, 7)].concat();
    for size in [bytes.len(), HEADER_LEN, 5, 1] {
        let mut client = session(Role::Client);
        bytes.chunks(size).for_each(|piece| client.handle_bytes(at(0), piece).unwrap());
        assert_eq!((client.state(), client.error(), client.streams()), (State::Closed, None, 0), "{size}");
        assert_eq!((client.poll_event(), client.poll_event()), (Some(Event::GoingAway), None), "{size}");
        assert_eq!(client.poll_bytes(at(0), &mut [0; 64]), 0, "{size}");
    }
}

#[test]
fn two_pings_without_a_sign_of_life_are_the_end() {
    let (mut alive, mut other) = (session(Role::Client), session(Role::Server));
    let mut dead = session(Role::Client);
    for seconds in 0..600 {
        let now = at(seconds * 1000);
        alive.handle_timeout(now).unwrap();
        carry(&mut alive, &mut other, now);
        let ended = dead.handle_timeout(now);
        assert_eq!(ended.is_err(), seconds == 50, "{seconds}");
        if seconds >= 50 {
            assert_eq!(dead.error(), Some(SessionError::Dead));
        }
    }
    assert_eq!(alive.round_trip(), Some(Duration::ZERO));
}
