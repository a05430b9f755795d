//! Small networks of nodes that relay, on virtual time: what the tests of relays stand in.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use super::*;
use crate::framing::{Decision, Frame, Message, Packet, Text};
use crate::identity::SecretKey;
use crate::limits::MAX_DATAGRAM_V6;
use crate::node::{Auth, Event, Identity, NodeConfig, Ping, RequestId};
use crate::pins::Origin;
use crate::relay::RelayConfig;
use crate::relay::trace::{Deed, Trace, append, budget, ping_digest};
use crate::time::{Duration, Instant, Now, Wall};
use crate::{Datagrams as _, Did, Machine as _};

pub(in crate::node) const PHONE: &str = "jis:home:phone";
pub(in crate::node) const SENSOR: &str = "jis:home:sensor";

/// What stands at an address.
pub(in crate::node) enum Kind {
    Node,
    /// Passes on what is not for it, as a reference relay does: to this address, or the one behind it; it signs nothing and passes no answers.
    Reference,
    /// Says in its record what it changed, since whoever signs has to.
    Tamperer,
    /// Signs that it passes on what it got, and sends something else.
    Liar,
    /// Stands on the path between these two: takes what goes from one to the other, and passes it on from its own address.
    Thief(usize, usize),
}

pub(in crate::node) struct Member {
    pub(in crate::node) node: Node,
    pub(in crate::node) kind: Kind,
    pub(in crate::node) up: bool,
    pub(in crate::node) told: Vec<String>,
    pub(in crate::node) news: Vec<TraceNews>,
    /// What proved who sent each ping and answer, and where it came from.
    pub(in crate::node) auth: Vec<(Auth, Path)>,
    /// What was told of sessions: whether they go over relays, and where.
    pub(in crate::node) ways: Vec<(bool, Path)>,
    /// What was told of reservations.
    pub(in crate::node) reserved: Vec<Option<Duration>>,
    /// What ended: the decision, or `None`.
    pub(in crate::node) ended: Vec<(RequestId, Option<Decision>)>,
}

/// Every datagram takes ten milliseconds; those that `lose` picks are lost.
pub(in crate::node) struct Net {
    pub(in crate::node) now: Now,
    pub(in crate::node) members: Vec<Member>,
    queue: VecDeque<(u64, usize, SocketAddr, Vec<u8>)>,
    pub(in crate::node) lose: fn(u64) -> bool,
    pub(in crate::node) count: u64,
    /// How often each member got each ping, by packet id.
    pub(in crate::node) got: BTreeMap<(usize, String), u32>,
    /// Between these nothing arrives, from the first to the second.
    pub(in crate::node) cut: Vec<(usize, usize)>,
    /// Every datagram that arrived, and at whom.
    pub(in crate::node) seen: Vec<(usize, Vec<u8>)>,
}

pub(in crate::node) fn secret(n: usize) -> SecretKey {
    SecretKey::from_seed(&[u8::try_from(n).unwrap() + 1; 32])
}

pub(in crate::node) fn addr(n: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, u8::try_from(n).unwrap() + 1], 7150))
}

pub(in crate::node) fn path(n: usize) -> Path {
    Path::to(addr(n))
}

/// The node with this number, a relay or none; it has the key of its number.
pub(in crate::node) fn start(n: usize, did: &str, relay: Option<RelayConfig>) -> Node {
    start_with(n, did, relay, Some(Identity::from(secret(n))))
}

pub(in crate::node) fn start_with(n: usize, did: &str, relay: Option<RelayConfig>, identity: Option<Identity>) -> Node {
    let mut config = NodeConfig::new(Did::new(did).unwrap());
    config.identity = identity;
    config.heartbeat = None;
    config.relay = relay.map(Into::into);
    Node::new(config, &Seed::from_u64(n as u64 + 1)).unwrap()
}

impl Net {
    pub(in crate::node) fn new() -> Self {
        Self {
            now: Now::new(Instant::ZERO, Wall::from_micros(1_764_400_000_000_000)),
            members: Vec::new(),
            queue: VecDeque::new(),
            lose: |_| false,
            count: 0,
            got: BTreeMap::new(),
            cut: Vec::new(),
            seen: Vec::new(),
        }
    }

    pub(in crate::node) fn add(&mut self, node: Node) -> usize {
        let member = Member {
            node,
            kind: Kind::Node,
            up: true,
            told: Vec::new(),
            news: Vec::new(),
            auth: Vec::new(),
            ways: Vec::new(),
            reserved: Vec::new(),
            ended: Vec::new(),
        };
        self.members.push(member);
        self.members.len() - 1
    }

    pub(in crate::node) fn node(&mut self, n: usize) -> &mut Node {
        &mut self.members[n].node
    }

    pub(in crate::node) fn did(&self, n: usize) -> String {
        self.members[n].node.did().as_str().into()
    }

    /// Everybody knows the key of everybody, and trusts him.
    pub(in crate::node) fn all_know_all(&mut self) {
        let dids: Vec<String> = (0..self.members.len()).map(|n| self.did(n)).collect();
        let now = self.now;
        for (n, member) in self.members.iter_mut().enumerate() {
            for (other, did) in dids.iter().enumerate().filter(|(other, _)| *other != n) {
                member.node.pin(now, did, secret(other).public(), Origin::Operator).unwrap();
                member.node.set_trust(did, 0.9).unwrap();
            }
        }
    }

    pub(in crate::node) fn neighbours(&mut self, a: usize, b: usize) {
        for (one, other) in [(a, b), (b, a)] {
            let did = self.did(other);
            self.node(one).set_neighbour(&did, path(other), 0.5).unwrap();
        }
    }

    /// Phone, three relays in a line, sensor: 0 to 4.
    pub(in crate::node) fn line() -> Self {
        let mut net = Self::new();
        net.add(start(0, PHONE, None));
        for n in 1..4 {
            net.add(start(n, &format!("jis:mesh:r{n}"), Some(RelayConfig::default())));
        }
        net.add(start(4, SENSOR, None));
        net.all_know_all();
        net.neighbours(1, 2);
        net.neighbours(2, 3);
        net.node(3).set_neighbour(SENSOR, path(4), 0.5).unwrap();
        net
    }

    /// Have the phone ask the sensor over the first relay.
    pub(in crate::node) fn ask(&mut self, change: impl FnOnce(&mut Ping<'_>)) -> RequestId {
        let mut ping = Ping::over(SENSOR, "jis:mesh:r1", path(1), "temperature.read");
        ping.trace = true;
        change(&mut ping);
        let now = self.now;
        self.node(0).ping(now, &ping).unwrap()
    }

    pub(in crate::node) fn run(&mut self, millis: u64) {
        let end = self.millis() + millis;
        loop {
            (0..self.members.len()).for_each(|n| self.drain(n));
            let next = self.queue.front().map(|(at, ..)| *at);
            let timers = self.members.iter().filter_map(|member| member.node.wants().at);
            let timer = timers.map(|(at, _)| at.as_nanos().div_ceil(1_000_000)).min();
            let Some(at) = [next, timer].into_iter().flatten().min().filter(|at| *at <= end) else { break };
            self.advance(at.max(self.millis()));
            let now = self.now;
            self.members.iter_mut().for_each(|member| member.node.handle_timeout(now));
            while self.queue.front().is_some_and(|(at, ..)| *at <= self.millis()) {
                let (_, from, to, bytes) = self.queue.pop_front().unwrap();
                self.deliver(from, to, bytes);
            }
        }
        self.advance(end);
    }

    fn millis(&self) -> u64 {
        self.now.mono.as_nanos() / 1_000_000
    }

    fn advance(&mut self, millis: u64) {
        let more = Duration::from_millis(millis - self.millis());
        self.now = Now::new(self.now.mono + more, self.now.wall.saturating_add(more));
    }

    pub(in crate::node) fn send(&mut self, from: usize, to: SocketAddr, bytes: Vec<u8>) {
        self.count += 1;
        if !(self.lose)(self.count) {
            self.queue.push_back((self.millis() + 10, from, to, bytes));
        }
    }

    fn drain(&mut self, n: usize) {
        let (now, mut buf) = (self.now, vec![0; MAX_DATAGRAM_V6]);
        while let Some(sent) = self.members[n].node.poll_transmit(now, &mut buf) {
            if !self.members[n].up {
                continue;
            }
            let bytes = match self.members[n].kind {
                Kind::Liar => changed(&buf[..sent.len], None),
                _ => buf[..sent.len].to_vec(),
            };
            self.send(n, sent.path.remote, bytes);
        }
        let member = &mut self.members[n];
        while let Some(event) = member.node.poll_event() {
            match event {
                Event::Trace(news) => member.news.push(news.clone()),
                Event::Response(answer) => {
                    if answer.last {
                        member.ended.push((answer.request, Some(answer.decision)));
                    }
                    member.auth.push((answer.auth, answer.from));
                    member.told.push(format!("{} {}", answer.decision, answer.response().responder_did));
                }
                Event::Reservation(news) => member.reserved.push(news.lasts),
                Event::Session(change) => member.ways.push((change.relayed, change.path)),
                Event::Timeout { request, .. } => member.ended.push((request, None)),
                Event::Ping(ping) => {
                    member.auth.push((ping.auth, ping.from));
                    member.told.push(format!("ping {}", ping.packet().purpose));
                }
                _ => {}
            }
        }
    }

    fn deliver(&mut self, from: usize, to: SocketAddr, mut bytes: Vec<u8>) {
        let Some(mut n) = (0..self.members.len()).find(|n| addr(*n) == to) else { return };
        let is_robbed = |member: &Member| match member.kind {
            Kind::Thief(a, b) => [(a, b), (b, a)].contains(&(from, n)),
            _ => false,
        };
        if let Some(thief) = self.members.iter().position(is_robbed) {
            self.send(thief, to, bytes);
            return;
        }
        // What is sent back to the thief goes on to the other one.
        if let Kind::Thief(a, b) = self.members[n].kind {
            n = if from == a { b } else { a };
            self.send(self.members.iter().position(|m| matches!(m.kind, Kind::Thief(..))).unwrap(), addr(n), bytes);
            return;
        }
        if !self.members[n].up || self.cut.contains(&(from, n)) {
            return;
        }
        self.seen.push((n, bytes.clone()));
        if let Ok(Frame { message: Message::Packet(packet), .. }) = Frame::decode(&bytes) {
            *self.got.entry((n, format!("{}", packet.packet_id))).or_default() += 1;
        }
        let now = self.now;
        match self.members[n].kind {
            Kind::Reference => self.pass_on_as_reference(n, from, &bytes),
            Kind::Tamperer => {
                let bytes = changed(&bytes, Some((&self.did(n), now.wall, &secret(n))));
                let next = if from > n { n - 1 } else { n + 1 };
                self.send(n, addr(next), bytes);
            }
            Kind::Node | Kind::Liar | Kind::Thief(..) => {
                let _ = self.node(n).handle_datagram(now, path(from), &mut bytes);
            }
        }
    }

    /// What `relay.py` does: a hop more, no proof, nothing behind the frame; answers are dropped.
    fn pass_on_as_reference(&mut self, n: usize, from: usize, bytes: &[u8]) {
        let Ok(Frame { message: Message::Packet(packet), encoding }) = Frame::decode(bytes) else { return };
        let packet = Packet { hop_count: packet.hop_count + 1, proof: None, ..packet };
        let mut out = vec![0; MAX_DATAGRAM_V6];
        let len = packet.encode(encoding, &mut out).unwrap();
        let next = if from > n { n - 1 } else { n + 1 };
        self.send(n, addr(next), out[..len].to_vec());
    }

    pub(in crate::node) fn check_books(&self) {
        for (n, member) in self.members.iter().enumerate() {
            let stats = member.node.stats();
            let sum = stats.accepted + stats.waiting + stats.responses + stats.sessions + stats.forwarded + stats.held;
            assert_eq!(stats.received, sum + stats.rejected.total(), "the books of {n}");
        }
    }
}

/// The datagram with another purpose where it is a ping; by whoever signs that it was changed, as one that was passed on.
fn changed(bytes: &[u8], signs: Option<(&str, Wall, &SecretKey)>) -> Vec<u8> {
    let Ok(Frame { message: Message::Packet(packet), encoding }) = Frame::decode(bytes) else { return bytes.to_vec() };
    let (frame, trace) = Trace::split(bytes);
    let after = Packet {
        purpose: Text::new("to sell"),
        hop_count: packet.hop_count + i64::from(signs.is_some()),
        proof: None,
        ..packet
    };
    let (mut out, mut scratch) = (vec![0; MAX_DATAGRAM_V6], vec![0; 4096]);
    let len = after.encode(encoding, &mut out).unwrap();
    out.truncate(len);
    match (signs, trace) {
        (Some((did, wall, key)), Some(trace)) => {
            let [received, passed] = [&packet, &after].map(|packet| ping_digest(packet, &mut scratch).unwrap());
            let deed =
                Deed::Passed { received: &received, passed: &passed, hop_count: Some(packet.hop_count), from: None };
            let mut records = vec![0; 2048];
            let len = append(Some(trace), (did, wall), &deed, key, budget(len), &mut records).unwrap().len;
            out.extend_from_slice(&records[..len]);
        }
        _ => out.extend_from_slice(&bytes[frame.len()..]),
    }
    out
}
