//! Many streams on one connection.

use std::collections::BTreeMap;

use sluis_core::{Instant, Seed};
use sluis_mux::session::{Config, Event, Read, Role, Session, SessionError, StreamId};

use crate::peer;

/// The first byte says what the rest is: what the yamux crate does at the other end (255), what a stranger sends (even), or what two sessions do
/// that talk to each other (odd).
pub fn streams(data: &[u8]) {
    match data.split_first() {
        Some((255, rest)) => peer::play(rest),
        Some((kind, rest)) if kind % 2 == 0 => stranger(rest),
        Some((_, rest)) => Pair::new().play(rest),
        None => {}
    }
}

fn session(role: Role) -> Session {
    let mut config = Config::default();
    (config.max_streams, config.max_unread) = (16, 1 << 20);
    Session::new(role, config, &Seed::from_u64(3), Instant::ZERO)
}

/// A session takes in anything at once, or cut at every place that the last byte says: the same comes of it, and it stays small.
fn stranger(data: &[u8]) {
    let Some((cut, bytes)) = data.split_last() else { return };
    let (mut whole, mut cut_up) = (session(Role::Server), session(Role::Server));
    let at_once = whole.handle_bytes(Instant::ZERO, bytes);
    let in_pieces: Result<(), SessionError> =
        bytes.chunks(usize::from(*cut).max(1)).try_for_each(|piece| cut_up.handle_bytes(Instant::ZERO, piece));
    assert_eq!(at_once, in_pieces);
    assert!(whole.held() <= (1 << 20) + 16 * 8192 && whole.streams() <= 16);
    let mut buffer = vec![0; 1 << 20];
    let mut heard = |session: &mut Session, size: usize| {
        let (mut events, mut read, mut written) = (Vec::new(), BTreeMap::new(), Vec::new());
        while let Some(event) = session.poll_event() {
            if let Event::Opened(id) = event {
                let _ = session.accept(id, 3);
            }
            if let Event::Readable(id) = event
                && let Ok(Read::Bytes(len)) = session.read(Instant::ZERO, id, &mut buffer)
            {
                read.insert(id, buffer[..len].to_vec());
            }
            events.push(event);
        }
        let out = &mut buffer[..size];
        loop {
            let len = session.poll_bytes(Instant::ZERO, out);
            if len == 0 {
                return (events, read, written);
            }
            written.extend_from_slice(&out[..len]);
        }
    };
    assert!(heard(&mut whole, 1 << 16) == heard(&mut cut_up, usize::from(*cut).max(1)), "chunking shows");
}

/// Two sessions, and what is written and read on each of their streams.
struct Pair {
    ends: [Session; 2],
    streams: [Vec<StreamId>; 2],
    /// By side and number on the wire, which is the place in the order of opening: a text, and how much of it was read.
    written: [BTreeMap<StreamId, Vec<u8>>; 2],
    read: [BTreeMap<StreamId, Vec<u8>>; 2],
    reset: bool,
    buffer: Vec<u8>,
}

impl Pair {
    fn new() -> Self {
        Self {
            ends: [session(Role::Client), session(Role::Server)],
            streams: Default::default(),
            written: Default::default(),
            read: Default::default(),
            reset: false,
            buffer: vec![0; 1 << 18],
        }
    }

    /// Two bytes a step: side and what is done, and how much or on which stream.
    fn play(&mut self, data: &[u8]) {
        for step in data.chunks_exact(2).take(400) {
            let (side, what, how) = (usize::from(step[0] & 1), step[0] >> 1, usize::from(step[1]));
            self.step(side, what % 8, how);
        }
        let mut rounds = 0..400;
        while self.come_to_an_end() {
            rounds.next().expect("they come to an end");
        }
        assert!(self.ends.iter().all(|end| end.error().is_none()));
        // A stream that one side had no place for, or that was not read for too long, is reset as well.
        let reset = self.ends.iter().map(Session::stats).any(|stats| stats.refused + stats.overflows > 0);
        if !self.reset && !reset {
            for side in 0..2 {
                let texts = |map: &BTreeMap<StreamId, Vec<u8>>| {
                    let mut texts: Vec<Vec<u8>> = map.values().filter(|text| !text.is_empty()).cloned().collect();
                    texts.sort();
                    texts
                };
                assert!(texts(&self.written[side]) == texts(&self.read[1 - side]), "what is read was written");
            }
            assert!(self.ends.iter().all(|end| end.held() == 0));
        }
    }

    /// Carry and read all that there is; whether there was anything.
    fn come_to_an_end(&mut self) -> bool {
        let mut moved = self.carry(1 << 16);
        for side in 0..2 {
            for n in 0..self.streams[side].len() {
                moved += self.read_from(side, n, 1 << 18);
            }
        }
        moved > 0
    }

    fn step(&mut self, side: usize, what: u8, how: usize) {
        let id = self.streams[side].get(how % 8).copied();
        let end = &mut self.ends[side];
        match (what, id) {
            (0, _) => self.streams[side].extend(end.open(Instant::ZERO, u8::try_from(how % 10).unwrap_or(0)).ok()),
            (1 | 2, Some(id)) => {
                let text: Vec<u8> = (0..=250).cycle().take(how * 300).collect();
                if let Ok(taken) = end.write(id, &text) {
                    self.written[side].entry(id).or_default().extend_from_slice(&text[..taken]);
                }
            }
            (3, _) => {
                self.read_from(side, how % 8, how * 700);
            }
            (4, Some(id)) => {
                let _ = end.finish(id);
            }
            (5, Some(id)) if how > 200 => {
                self.reset = true;
                end.reset(id);
            }
            _ => {
                self.carry(how * 37 + 1);
            }
        }
    }

    /// Read from a stream, and say how much.
    fn read_from(&mut self, side: usize, n: usize, most: usize) -> usize {
        let Some(id) = self.streams[side].get(n).copied() else { return 0 };
        let out = &mut self.buffer[..most];
        let Ok(Read::Bytes(len)) = self.ends[side].read(Instant::ZERO, id, out) else { return 0 };
        self.read[side].entry(id).or_default().extend_from_slice(&out[..len]);
        len
    }

    /// Carry some bytes, in pieces of this size, and say how many.
    fn carry(&mut self, size: usize) -> usize {
        let mut carried = 0;
        for side in 0..2 {
            let out = &mut self.buffer[..size];
            for _ in 0..64 {
                let len = self.ends[side].poll_bytes(Instant::ZERO, out);
                if len == 0 {
                    break;
                }
                carried += len;
                self.ends[1 - side]
                    .handle_bytes(Instant::ZERO, &out[..len])
                    .expect("a session understands another one");
            }
            while let Some(event) = self.ends[1 - side].poll_event() {
                if let Event::Opened(id) = event {
                    self.ends[1 - side].accept(id, 3).expect("it was opened a moment ago");
                    self.streams[1 - side].push(id);
                }
            }
        }
        carried
    }
}
