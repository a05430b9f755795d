//! Pairs that meet in a pool, simulated: each node is so far from each broker, and some brokers are dead.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sluis_core::{Instant, Machine as _, Now, Rng, Seed, Wall};
use sluis_signal::broker::{End, Order};
use sluis_signal::rendezvous::{Config, Event, Rendezvous};
use sluis_signal::server::{ConnId, Server, ServerLimits};

use super::{key, named};

/// How far a node is from a broker, one way: 5 to 120 ms.
const NEAREST: u64 = 5_000;
const FARTHEST: u64 = 120_000;
/// How long a message is tried.
const TIMEOUT: Duration = Duration::from_secs(20);
/// By then both have joined what there is.
const SETTLED: Duration = Duration::from_secs(20);

/// What became of pairs.
#[derive(Clone, Debug, Default)]
pub struct Meetings {
    /// Pairs.
    pub pairs: usize,
    /// Of them, whose messages both arrived.
    pub met: usize,
    /// From the call to the first acknowledgement, where both nodes have just been started; sorted.
    pub cold: Vec<Duration>,
    /// The same where both have joined and have not met; sorted.
    pub joined: Vec<Duration>,
}

/// What of these, in percent, took no longer than that; zero of none.
#[must_use]
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

/// Let so many pairs meet, each in a pool of its own of so many brokers, of which so many in a hundred are dead: half of these refuse, half say nothing.
#[must_use]
pub fn meet(pairs: usize, pool: usize, dead_percent: usize, seed: u64) -> Meetings {
    let mut all = Meetings { pairs, ..Meetings::default() };
    for n in 0..pairs {
        let seed = Seed::from_u64(seed.wrapping_mul(1_000_003).wrapping_add(n as u64));
        let dead = pool * dead_percent / 100;
        let cold = World::new(pool, dead, &seed).send(0);
        let mut world = World::new(pool, dead, &seed.fork_seed("joined"));
        world.pass(SETTLED);
        let joined = world.send(1);
        all.met += usize::from(cold.is_some() && joined.is_some());
        all.cold.extend(cold);
        all.joined.extend(joined);
    }
    all.cold.sort_unstable();
    all.joined.sort_unstable();
    all
}

/// What is under way between a node and a broker.
enum Parcel {
    /// To the broker: somebody dials. To the node: it is up.
    Up,
    Bytes(Vec<u8>),
    End(End),
}

/// The way between a node and a broker.
struct Way {
    delay: Duration,
    conn: Option<ConnId>,
    /// To the broker, and to the node.
    there: VecDeque<(Instant, Parcel)>,
    back: VecDeque<(Instant, Parcel)>,
}

enum Host {
    Lives(Box<Server>),
    Refuses,
    Silent,
}

struct World {
    mono: Instant,
    nodes: Vec<Rendezvous>,
    hosts: Vec<Host>,
    /// By node, then by broker.
    ways: Vec<Vec<Way>>,
    /// What the first node's message took.
    took: Option<Duration>,
    heard: usize,
}

trait ForkSeed {
    fn fork_seed(&self, name: &str) -> Seed;
}

impl ForkSeed for Seed {
    fn fork_seed(&self, name: &str) -> Seed {
        let mut bytes = [0; 32];
        self.fork(name).fill(&mut bytes);
        Seed::new(bytes)
    }
}

impl World {
    fn new(pool: usize, dead: usize, seed: &Seed) -> Self {
        let mut rng: Rng = seed.fork("world");
        let mono = Instant::ZERO + Duration::from_secs(1000);
        let mut order: Vec<usize> = (0..pool).collect();
        for at in (1..pool).rev() {
            order.swap(at, usize::try_from(rng.u64() % (at as u64 + 1)).unwrap_or(0));
        }
        let host = |n: usize| match order.iter().position(|at| *at == n).filter(|at| *at < dead) {
            Some(at) if at % 2 == 0 => Host::Refuses,
            Some(_) => Host::Silent,
            None => Host::Lives(Box::new(Server::new(ServerLimits::default(), seed.fork(&format!("server {n}"))))),
        };
        let hosts = (0..pool).map(host).collect();
        let mut way = || Way {
            delay: Duration::from_micros(NEAREST + rng.u64() % (FARTHEST - NEAREST)),
            conn: None,
            there: VecDeque::new(),
            back: VecDeque::new(),
        };
        let ways = (0..2).map(|_| (0..pool).map(|_| way()).collect()).collect();
        let names: Vec<_> = (0..pool).map(|n| named(&format!("broker{}", n as u64 + (rng.u64() << 8)), 1883)).collect();
        let node = |n: u64| {
            let seed = seed.fork_seed(&format!("node {n}"));
            let key = key(seed.fork("key").u64());
            Rendezvous::new(Config::new(key, names.clone()), &seed, now(mono))
        };
        Self { mono, nodes: (0..2).map(node).collect(), hosts, ways, took: None, heard: 0 }
    }

    /// The first node says something, and the other one too: what it took, if both arrived.
    fn send(&mut self, from: usize) -> Option<Duration> {
        let keys = [self.nodes[0].public_key(), self.nodes[1].public_key()];
        for n in [from, 1 - from] {
            self.nodes[n].send(now(self.mono), &keys[1 - n], Arc::from(&b"hello"[..]), true, TIMEOUT).ok()?;
        }
        let end = self.mono + TIMEOUT;
        while self.mono < end && (self.took.is_none() || self.heard < 2) {
            self.step(end);
        }
        self.took.filter(|_| self.heard == 2)
    }

    fn pass(&mut self, time: Duration) {
        let end = self.mono + time;
        while self.mono < end {
            self.step(end);
        }
    }

    /// Everything that is due now, and on to the next that is.
    fn step(&mut self, end: Instant) {
        for _ in 0..1000 {
            if !self.turn() {
                break;
            }
        }
        let ways = self.ways.iter().flatten();
        let parcels = ways.flat_map(|way| [way.there.front(), way.back.front()]).flatten().map(|(at, _)| *at);
        let nodes = self.nodes.iter().filter_map(Rendezvous::deadline);
        let hosts = self.hosts.iter().filter_map(|host| match host {
            Host::Lives(server) => server.deadline(),
            _ => None,
        });
        let next = parcels.chain(nodes).chain(hosts).min().unwrap_or(end);
        self.mono = next.max(self.mono + Duration::from_micros(1)).min(end);
    }

    fn turn(&mut self) -> bool {
        let (mut moved, time) = (false, now(self.mono));
        for n in 0..self.nodes.len() {
            if self.nodes[n].deadline().is_some_and(|at| at <= time.mono) {
                self.nodes[n].handle_timeout(time);
            }
            for at in 0..self.hosts.len() {
                moved |= self.arrive(n, at, time);
            }
            moved |= self.orders(n, time) | self.events(n, time);
        }
        for host in &mut self.hosts {
            let Host::Lives(server) = host else { continue };
            server.time_passes(time.mono);
            while let Some(conn) = server.poll_close() {
                for way in self.ways.iter_mut().flatten().filter(|way| way.conn == Some(conn)) {
                    way.conn = None;
                    way.back.push_back((time.mono + way.delay, Parcel::End(End::Ended)));
                }
            }
        }
        for n in 0..self.nodes.len() {
            for at in 0..self.hosts.len() {
                moved |= self.leave(n, at, time);
            }
        }
        moved
    }

    /// What arrives at either end.
    fn arrive(&mut self, n: usize, at: usize, time: Now) -> bool {
        let (way, host, node) = (&mut self.ways[n][at], &mut self.hosts[at], &mut self.nodes[n]);
        let mut moved = false;
        while let Some((_, parcel)) = way.there.pop_front_if(|(due, _)| *due <= time.mono) {
            moved = true;
            let back = time.mono + way.delay;
            match (parcel, &mut *host, way.conn) {
                (Parcel::Up, Host::Lives(server), _) => {
                    way.conn = server.accept(time.mono);
                    way.back.push_back((back, Parcel::Up));
                }
                (Parcel::Up, Host::Refuses, _) => way.back.push_back((back, Parcel::End(End::Unreachable))),
                (Parcel::Bytes(bytes), Host::Lives(server), Some(conn)) => server.client_bytes(time.mono, conn, &bytes),
                (Parcel::End(_), Host::Lives(server), Some(conn)) => {
                    server.client_end(conn);
                    way.conn = None;
                }
                _ => {}
            }
        }
        while let Some((_, parcel)) = way.back.pop_front_if(|(due, _)| *due <= time.mono) {
            moved = true;
            match parcel {
                Parcel::Up => node.broker_up(time, at),
                Parcel::Bytes(bytes) => {
                    let mut rest = &bytes[..];
                    while !rest.is_empty() {
                        let used = node.broker_bytes(time, at, rest).min(rest.len());
                        assert!(used > 0, "so little finds room");
                        rest = &rest[used..];
                    }
                }
                Parcel::End(end) => node.broker_end(time, at, end),
            }
        }
        moved
    }

    fn orders(&mut self, n: usize, time: Now) -> bool {
        let mut moved = false;
        while let Some((at, order)) = self.nodes[n].broker_order() {
            moved = true;
            let way = &mut self.ways[n][at];
            let there = time.mono + way.delay;
            match order {
                Order::Dial => {
                    if let (Some(conn), Host::Lives(server)) = (way.conn.take(), &mut self.hosts[at]) {
                        server.client_end(conn);
                    }
                    (way.there, way.back) = (VecDeque::new(), VecDeque::new());
                    way.there.push_back((there, Parcel::Up));
                }
                Order::Abort | Order::Finish => {
                    way.back.clear();
                    way.there.push_back((there, Parcel::End(End::Ended)));
                }
            }
        }
        moved
    }

    fn events(&mut self, n: usize, time: Now) -> bool {
        let mut moved = false;
        while let Some(event) = self.nodes[n].poll_event() {
            moved = true;
            match event {
                Event::Message(message) => {
                    self.heard += 1;
                    self.nodes[n].confirm(time, &message.key);
                }
                Event::Sent { outcome: Ok(delivered), .. } => {
                    self.took = Some(self.took.map_or(delivered.after, |took| took.max(delivered.after)));
                }
                _ => {}
            }
        }
        moved
    }

    /// What leaves from either end.
    fn leave(&mut self, n: usize, at: usize, time: Now) -> bool {
        let mut buffer = [0; 4096];
        let (way, host, node) = (&mut self.ways[n][at], &mut self.hosts[at], &mut self.nodes[n]);
        let len = node.broker_output(time, at, &mut buffer);
        if len > 0 {
            way.there.push_back((time.mono + way.delay, Parcel::Bytes(buffer[..len].to_vec())));
        }
        let (Host::Lives(server), Some(conn)) = (host, way.conn) else { return len > 0 };
        let back = server.client_output(time.mono, conn, &mut buffer);
        if back > 0 {
            way.back.push_back((time.mono + way.delay, Parcel::Bytes(buffer[..back].to_vec())));
        }
        len + back > 0
    }
}

fn now(mono: Instant) -> Now {
    Now::new(mono, Wall::from_micros(1_736_942_400_000_000 + i64::try_from(mono.as_nanos() / 1000).unwrap_or(0)))
}
