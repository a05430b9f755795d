//! One end of a connection that carries channels, and two of them joined in memory.

use std::time::Duration;

use sluis_core::identity::{SecretKey, Signer};
use sluis_core::{Instant, Rng, Seed};
use sluis_mux::channel::{Channel, ChannelId, Kind, Opening, Own, SendError, Told};
use sluis_mux::session::{Config, Event, Read, Role, Session, StreamId};

use crate::contest::Stopwatch;

/// Messages before what was written is carried to the other end, and bytes of them.
const IN_FLIGHT: usize = 100;
const IN_FLIGHT_BYTES: usize = 65_536;

/// One end.
#[derive(Debug)]
pub struct End {
    /// Its connection.
    pub session: Session,
    channels: Vec<(Channel, StreamId)>,
    /// The place among those, by the slot of the stream.
    places: Vec<usize>,
    /// How many messages of each were acknowledged.
    known: Vec<u64>,
    signer: Option<SecretKey>,
    rng: Rng,
    /// Messages, of which one comes at a time, are sent back.
    pub echoes: bool,
    room: Vec<u8>,
    /// Channels that are open.
    pub open: usize,
    /// Messages that came, and bytes of them.
    pub messages: u64,
    /// The bytes.
    pub bytes: u64,
    /// Messages of ours that were acknowledged.
    pub acked: u64,
}

impl End {
    /// One end, which signs its channels where it has a key.
    #[must_use]
    pub fn new(role: Role, key: Option<[u8; 32]>) -> Self {
        let seed = Seed::from_u64(if role == Role::Client { 1 } else { 2 });
        Self {
            session: Session::new(role, Config::default(), &seed, Instant::ZERO),
            channels: Vec::new(),
            places: Vec::new(),
            known: Vec::new(),
            signer: key.map(|key| SecretKey::from_seed(&key)),
            rng: seed.fork("bench"),
            echoes: false,
            room: Vec::new(),
            open: 0,
            messages: 0,
            bytes: 0,
            acked: 0,
        }
    }

    fn own(signer: Option<&SecretKey>) -> Own<'_> {
        Own { signer: signer.map(|key| key as &dyn Signer), pinned: None }
    }

    fn add(&mut self, channel: Channel, stream: StreamId) -> usize {
        let slot = stream.slot() as usize;
        if self.places.len() <= slot {
            self.places.resize(slot + 1, usize::MAX);
        }
        self.places[slot] = self.channels.len();
        self.channels.push((channel, stream));
        self.known.push(0);
        self.channels.len() - 1
    }

    /// Open a channel of an intent without a budget.
    ///
    /// # Panics
    /// There is no room.
    pub fn open(&mut self, now: Instant) {
        let mut id = [0; 16];
        self.rng.fill(&mut id);
        let opening = Opening::new(ChannelId(id), "alice", "bob", "stream", "{}").expect("names that fit");
        let channel = Channel::open(opening, Self::own(self.signer.as_ref()), &mut self.rng).expect("it signs");
        let stream = self.session.open(now, 5).expect("room");
        let place = self.add(channel, stream);
        self.write(place);
    }

    fn write(&mut self, place: usize) {
        let (channel, stream) = &mut self.channels[place];
        channel.write(&mut self.session, *stream, Self::own(self.signer.as_ref())).expect("it signs");
    }

    /// Send a message on the nth channel; `false` where there is no room for it.
    ///
    /// # Panics
    /// The channel is not open.
    pub fn send(&mut self, nth: usize, body: &[u8]) -> bool {
        let place = nth % self.channels.len();
        match self.channels[place].0.send(Kind::Bytes, body) {
            Ok(_) => {
                self.write(place);
                true
            }
            Err(SendError::Full) => false,
            Err(why) => panic!("{why}"),
        }
    }

    /// Do what the events of the connection ask for: what has come is read and acknowledged.
    ///
    /// # Panics
    /// Something came that the other end did not send.
    pub fn drain(&mut self, now: Instant) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Opened(stream) => self.session.accept(stream, 5).expect("it was opened"),
                Event::Readable(stream) => match self.place_of(stream) {
                    Some(place) => self.read(now, place),
                    None => self.incoming(now, stream),
                },
                Event::Writable(stream) => {
                    if let Some(place) = self.place_of(stream) {
                        self.write(place);
                    }
                }
                Event::Reset(_) | Event::GoingAway => panic!("the other end has gone"),
            }
        }
    }

    fn place_of(&self, stream: StreamId) -> Option<usize> {
        self.places.get(stream.slot() as usize).copied().filter(|place| *place != usize::MAX)
    }

    /// The OPEN of a channel: a record of a kind, a length of 24 bits, and a body.
    fn incoming(&mut self, now: Instant, stream: StreamId) {
        let Ok(Read::Bytes(bytes)) = self.session.peek(stream) else { return };
        let body = bytes
            .split_first_chunk::<4>()
            .and_then(|([_, a, b, c], rest)| rest.get(..u32::from_be_bytes([0, *a, *b, *c]) as usize));
        let Some(body) = body else { return };
        let used = 4 + body.len();
        let own = Self::own(self.signer.as_ref());
        let mut channel = Channel::incoming(body, own, &mut self.rng).expect("an opening");
        channel.accept(own).expect("it signs");
        self.session.consume(now, stream, used).expect("it is there");
        let place = self.add(channel, stream);
        self.open += 1;
        self.write(place);
    }

    fn read(&mut self, now: Instant, place: usize) {
        let mut taken = None;
        loop {
            let (channel, stream) = &mut self.channels[place];
            let told = channel.read(now, &mut self.session, *stream, Self::own(self.signer.as_ref()));
            match told.expect("what the other end sent") {
                None => break,
                Some(Told::Opened(_)) => self.open += 1,
                Some(Told::Acked { upto, .. }) => {
                    self.acked += upto - self.known[place];
                    self.known[place] = upto;
                }
                Some(Told::Message(number, _)) => {
                    self.messages += 1;
                    self.bytes += channel.message().len() as u64;
                    taken = Some(number);
                    if self.echoes {
                        self.room.clear();
                        self.room.extend_from_slice(channel.message());
                    }
                }
                Some(_) => {}
            }
        }
        if let Some(number) = taken {
            let channel = &mut self.channels[place].0;
            channel.take(number);
            if self.echoes {
                channel.send(Kind::Bytes, &self.room).expect("one at a time");
            }
            self.write(place);
        }
    }
}

/// Two ends and what is between them.
#[derive(Debug)]
pub struct Channels {
    ends: [End; 2],
    wire: Vec<u8>,
    text: Vec<u8>,
    next: usize,
}

impl Channels {
    /// So many channels, with tags or without.
    ///
    /// # Panics
    /// They do not open.
    #[must_use]
    pub fn new(count: usize, tags: bool) -> Self {
        let key = |n| tags.then_some([n; 32]);
        let ends = [End::new(Role::Client, key(1)), End::new(Role::Server, key(2))];
        let mut this = Self { ends, wire: vec![0; 65_536], text: vec![7; 65_536], next: 0 };
        for _ in 0..count {
            this.ends[0].open(Instant::ZERO);
        }
        this.carry();
        assert_eq!([this.ends[0].open, this.ends[1].open], [count; 2], "channels that are open");
        this
    }

    /// Carry everything both ways.
    fn carry(&mut self) {
        loop {
            let mut moved = false;
            for side in 0..2 {
                loop {
                    let len = self.ends[side].session.poll_bytes(Instant::ZERO, &mut self.wire);
                    if len == 0 {
                        break;
                    }
                    moved = true;
                    let end = &mut self.ends[1 - side];
                    end.session.handle_bytes(Instant::ZERO, &self.wire[..len]).expect("the same protocol");
                    end.drain(Instant::ZERO);
                }
                self.ends[side].drain(Instant::ZERO);
            }
            if !moved {
                return;
            }
        }
    }

    /// Send so many messages, each of which is read and acknowledged; how long that took.
    ///
    /// # Panics
    /// One is lost.
    pub fn run(&mut self, count: u64, size: usize) -> Duration {
        let before = self.ends[1].bytes;
        let began = Stopwatch::start();
        let in_flight = IN_FLIGHT_BYTES.checked_div(size).unwrap_or(IN_FLIGHT).clamp(1, IN_FLIGHT) as u64;
        let mut left = count;
        while left > 0 {
            for _ in 0..left.min(in_flight) {
                while !self.ends[0].send(self.next, &self.text[..size]) {
                    self.carry();
                }
                self.next += 1;
            }
            self.carry();
            left -= left.min(in_flight);
        }
        let took = began.elapsed();
        assert_eq!(self.ends[1].bytes - before, count * size as u64, "everything came through");
        took
    }
}
