//! Sessions in small worlds: whoever carries the datagrams loses, repeats, reorders, copies and forges them.

mod adversary;
mod clones;
mod flows;
mod frames;
mod hybrid;
mod limits;
mod roaming;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use sluis_core::identity::{PublicKey, SecretKey};
use sluis_core::session::{
    Claim, Config, Connected, HEAD_ROOM, Ingress, News, Peer, SealError, SessionId, SessionReject, Sessions, Suites,
    sealed_len,
};
use sluis_core::time::Duration;
use sluis_core::{Did, Instant, Now, Path, Rng, Seed, Wall};

pub(crate) const START: i64 = 1_736_942_400_000_000;

pub(crate) fn secret(n: u64) -> SecretKey {
    SecretKey::generate(&mut Seed::from_u64(n).fork("identity"))
}

pub(crate) fn addr(n: usize) -> SocketAddr {
    format!("192.0.2.{}:7150", n + 1).parse().unwrap()
}

/// What was heard: the session, the body, and whether it was early data.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    pub(crate) session: SessionId,
    pub(crate) key: PublicKey,
    pub(crate) body: Vec<u8>,
    pub(crate) early: bool,
}

pub(crate) struct Node {
    pub(crate) room: Sessions,
    pub(crate) did: String,
    pub(crate) key: PublicKey,
    /// Where it is; may change.
    pub(crate) at: SocketAddr,
    /// Whom it lets in; nobody in particular is everybody.
    pub(crate) admits: Option<BTreeSet<PublicKey>>,
    pub(crate) heard: Vec<Heard>,
    pub(crate) news: Vec<(SessionId, String, News)>,
    pub(crate) rejects: BTreeMap<SessionReject, usize>,
}

/// A datagram on its way, or one that was seen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flight {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// How the network is. Of a thousand datagrams so many are lost, so many come twice; each takes up to so long.
#[derive(Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) lost: u64,
    pub(crate) twice: u64,
    pub(crate) delay: (u64, u64),
}

pub(crate) const CALM: Weather = Weather { lost: 0, twice: 0, delay: (5, 5) };
pub(crate) const STORM: Weather = Weather { lost: 250, twice: 200, delay: (1, 400) };

pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    /// Milliseconds since the start.
    pub(crate) clock: u64,
    pub(crate) weather: Weather,
    /// What never arrives.
    pub(crate) blocked: fn(&Flight) -> bool,
    air: BTreeMap<(u64, u64), Flight>,
    /// All that was ever sent, in the order of sending.
    pub(crate) tape: Vec<Flight>,
    rng: Rng,
    count: u64,
    seed: u64,
}

/// Of suite 1, whose messages are a datagram each; suite 2 has tests of its own.
pub(crate) fn config(n: usize) -> Config {
    let mut config = Config::new(Did::new(&format!("jis:node:{n}")).unwrap(), secret(n as u64));
    config.suites = Suites::One;
    config
}

impl World {
    pub(crate) fn new(seed: u64, nodes: usize) -> Self {
        let rng = Seed::from_u64(seed).fork("network");
        let (air, tape) = (BTreeMap::new(), Vec::new());
        let mut world =
            Self { nodes: Vec::new(), clock: 1000, weather: CALM, blocked: |_| false, air, tape, rng, count: 0, seed };
        (0..nodes).for_each(|n| world.add(config(n)));
        world
    }

    pub(crate) fn add(&mut self, config: Config) {
        let (n, did, key) = (self.nodes.len(), config.did.as_str().to_owned(), config.identity.public());
        self.count += 1;
        let room = Sessions::new(config, &Seed::from_u64(self.seed * 1000 + self.count)).unwrap();
        let (heard, news, rejects) = (Vec::new(), Vec::new(), BTreeMap::new());
        self.nodes.push(Node { room, did, key, at: addr(n), admits: None, heard, news, rejects });
    }

    /// A node starts anew with nothing but its keys.
    pub(crate) fn restart(&mut self, n: usize) {
        self.restart_as(n, config(n));
    }

    pub(crate) fn restart_as(&mut self, n: usize, config: Config) {
        self.count += 1;
        self.nodes[n].room = Sessions::new(config, &Seed::from_u64(self.seed * 1000 + self.count)).unwrap();
    }

    pub(crate) fn now(&self) -> Now {
        let micros = i64::try_from(self.clock * 1000).unwrap();
        Now::new(Instant::ZERO + Duration::from_millis(self.clock), Wall::from_micros(START + micros))
    }

    /// Begin a session with a node whose key is pinned.
    pub(crate) fn connect(&mut self, a: usize, b: usize, early: &[u8]) -> Connected {
        let (did, key, at) = (self.nodes[b].did.clone(), self.nodes[b].key, self.nodes[b].at);
        self.connect_to(a, &Peer::pinned(&did, key), at, early)
    }

    /// The same with one of whom only the name is known.
    pub(crate) fn connect_named(&mut self, a: usize, b: usize) -> Connected {
        let (did, at) = (self.nodes[b].did.clone(), self.nodes[b].at);
        self.connect_to(a, &Peer::named(&did), at, b"")
    }

    pub(crate) fn connect_to(&mut self, a: usize, peer: &Peer<'_>, at: SocketAddr, early: &[u8]) -> Connected {
        let now = self.now();
        let connected = self.nodes[a].room.connect(now, peer, Path::to(at), early).unwrap();
        self.drain(a);
        connected
    }

    /// Say something in a session.
    pub(crate) fn say(&mut self, a: usize, session: SessionId, body: &[u8]) -> Result<(), SealError> {
        let now = self.now();
        let mut out = vec![0; sealed_len(body.len())];
        out[HEAD_ROOM..][..body.len()].copy_from_slice(body);
        let sealed = self.nodes[a].room.seal(now, session, &mut out, body.len());
        // What stands before it in the queue goes first.
        self.drain(a);
        let sealed = sealed?;
        out.truncate(sealed.len);
        self.send(a, sealed.path.remote, out);
        Ok(())
    }

    pub(crate) fn send(&mut self, a: usize, to: SocketAddr, bytes: Vec<u8>) {
        let flight = Flight { from: self.nodes[a].at, to, bytes };
        self.tape.push(flight.clone());
        self.launch(&flight);
    }

    /// Give a datagram to the network, which does with it what it does.
    pub(crate) fn launch(&mut self, flight: &Flight) {
        let Weather { lost, twice, delay } = self.weather;
        if self.dice(1000) < lost || (self.blocked)(flight) {
            return;
        }
        let copies = if self.dice(1000) < twice { 2 } else { 1 };
        for _ in 0..copies {
            let at = self.clock + delay.0 + self.dice(delay.1 - delay.0 + 1);
            self.count += 1;
            self.air.insert((at, self.count), flight.clone());
        }
    }

    pub(crate) fn dice(&mut self, sides: u64) -> u64 {
        self.rng.u64() % sides
    }

    /// Send what a node wants sent, and take what it tells.
    pub(crate) fn drain(&mut self, n: usize) {
        let now = self.now();
        let mut buf = [0; 1500];
        while let Some(transmit) = self.nodes[n].room.poll_transmit(now, &mut buf) {
            self.send(n, transmit.path.remote, buf[..transmit.len].to_vec());
        }
        assert!(!self.nodes[n].room.has_output());
        let node = &mut self.nodes[n];
        while let Some(event) = node.room.poll_event() {
            node.news.push((event.session, event.did.to_owned(), event.news));
        }
        assert!(!node.room.has_events());
    }

    /// A datagram arrives, from wherever it says, at once.
    pub(crate) fn deliver(&mut self, n: usize, from: SocketAddr, bytes: &[u8]) -> Result<Ingress, SessionReject> {
        let now = self.now();
        let node = &mut self.nodes[n];
        let mut bytes = bytes.to_vec();
        let admits = node.admits.clone();
        let admit = &mut |claim: &Claim<'_>| admits.as_ref().is_none_or(|admits| admits.contains(&claim.key));
        let got = node.room.handle(now, Path::to(from), &mut bytes, admit);
        match &got {
            Ok(Ingress::Body { session, key, body }) => {
                let body = bytes[body.clone()].to_vec();
                node.heard.push(Heard { session: *session, key: *key, body, early: false });
            }
            Ok(Ingress::Early { session, key, body }) => {
                let body = bytes[body.clone()].to_vec();
                node.heard.push(Heard { session: *session, key: *key, body, early: true });
            }
            Ok(Ingress::Nothing) => {}
            Err(why) => *node.rejects.entry(*why).or_default() += 1,
        }
        self.drain(n);
        got
    }

    /// Let time pass: what is in the air arrives, and timers run when they want to.
    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.clock + millis;
        loop {
            let flight = self.air.keys().next().map(|(at, _)| *at);
            let timer = self.nodes.iter().filter_map(|node| node.room.next_deadline()).min();
            let timer = timer.map(|at| at.as_nanos().div_ceil(1_000_000));
            let Some(next) = flight.into_iter().chain(timer).min().filter(|next| *next <= end) else { break };
            self.clock = self.clock.max(next);
            while let Some(first) = self.air.first_entry().filter(|first| first.key().0 <= self.clock) {
                let flight = first.remove();
                if let Some(n) = self.nodes.iter().position(|node| node.at == flight.to) {
                    let _ = self.deliver(n, flight.from, &flight.bytes);
                }
            }
            self.tick();
        }
        self.clock = end;
    }

    /// Run the timers that are due.
    pub(crate) fn tick(&mut self) {
        let now = self.now();
        for n in 0..self.nodes.len() {
            if self.nodes[n].room.next_deadline().is_some_and(|at| at <= now.mono) {
                self.nodes[n].room.handle_timeout(now);
                let next = self.nodes[n].room.next_deadline();
                assert!(next.is_none_or(|at| at > now.mono), "a timer in the past: {next:?} at {now:?}");
                self.drain(n);
            }
        }
    }

    /// The session of a node with a name, as it was told of last.
    pub(crate) fn session(&self, a: usize, b: usize) -> Option<SessionId> {
        let did = &self.nodes[b].did;
        let up = |(id, name, news): &(SessionId, String, News)| {
            (name == did && matches!(news, News::Up { .. })).then_some(*id)
        };
        let id = self.nodes[a].news.iter().rev().find_map(up)?;
        self.nodes[a].room.peer(id).map(|_| id)
    }

    /// Two nodes with a session that is up on both sides; gives the session of each.
    pub(crate) fn pair(seed: u64) -> (Self, [SessionId; 2]) {
        let mut world = Self::new(seed, 2);
        world.connect(0, 1, b"");
        world.run(100);
        let ids = [world.session(0, 1).unwrap(), world.session(1, 0).unwrap()];
        (world, ids)
    }

    pub(crate) fn news_of(&self, n: usize) -> Vec<News> {
        self.nodes[n].news.iter().map(|(_, _, news)| *news).collect()
    }

    pub(crate) fn bodies(&self, n: usize) -> Vec<Vec<u8>> {
        self.nodes[n].heard.iter().map(|heard| heard.body.clone()).collect()
    }
}
