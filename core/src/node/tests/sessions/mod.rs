//! Nodes that talk through sessions: what arrives, what is told, and what no attacker gets.

use std::boxed::Box;
use std::collections::{BTreeMap, VecDeque};
use std::vec::Vec;

use super::*;
use crate::identity::SecretKey;
use crate::node::{Auth, Identity, Require, SessionPolicy, SessionState};
use crate::pins::Origin;
use crate::session::{Suites, is_session_frame};
use crate::{Durable as _, StoreError};

mod adversary;
mod bundles;
mod restarts;
mod silence;
mod suites;

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::Msgpack, Encoding::Postcard];
const HUB_AT: u16 = 7150;
const SENSOR_AT: u16 = 7151;

fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn millis(ms: u64) -> Now {
    let wall = Wall::from_micros(1_736_942_400_000_000 + i64::try_from(ms).unwrap() * 1000);
    Now::new(Instant::from_nanos(ms * 1_000_000), wall)
}

/// A node that speaks suite 1, whose first message carries the first ping; suite 2 has tests of its own.
fn with(did: &str, key: u8, seed: u64, change: impl FnOnce(&mut NodeConfig)) -> Node {
    let mut config = NodeConfig::new(Did::new(did).unwrap());
    config.identity = Some(Identity::from(secret(key)));
    (config.sessions, config.suites) = (SessionPolicy::Auto, Suites::One);
    change(&mut config);
    Node::new(config, &Seed::from_u64(seed)).unwrap()
}

fn hub(seed: u64) -> Node {
    let mut hub = with(HUB, 1, seed, |_| ());
    hub.set_trust(SENSOR, 0.9).unwrap();
    hub.pin(millis(0), SENSOR, secret(2).public(), Origin::Operator).unwrap();
    hub
}

fn sensor(seed: u64, change: impl FnOnce(&mut NodeConfig)) -> Node {
    let mut sensor = with(SENSOR, 2, seed, change);
    sensor.pin(millis(0), HUB, secret(1).public(), Origin::Operator).unwrap();
    sensor
}

/// What a datagram on the wire is.
#[derive(Clone)]
struct Seen {
    from: u16,
    to: u16,
    bytes: Vec<u8>,
}

impl Seen {
    fn is_sealed(&self) -> bool {
        is_session_frame(&self.bytes)
    }

    /// The kind of a frame of a session: 1 is a first message, 2 a second, 5 a packet.
    fn kind(&self) -> u8 {
        self.bytes[8]
    }

    /// In which suite a message of a handshake is.
    fn suite(&self) -> u8 {
        self.bytes[9]
    }
}

type Medium = BTreeMap<Vec<u8>, Vec<u8>>;

/// Two nodes and the wire between them.
struct Net {
    nodes: [Node; 2],
    ports: [u16; 2],
    ms: u64,
    wire: Vec<Seen>,
    told: [Vec<String>; 2],
    auths: [Vec<Auth>; 2],
    changes: [Vec<SessionState>; 2],
    /// The suites that were told with them.
    suites: [Vec<u8>; 2],
    /// What the nodes keep, where they have something for it, and whether it can be written.
    media: [Option<Medium>; 2],
    writes: Result<(), StoreError>,
    rejects: Vec<Reject>,
    /// The ping of the hub's that waits for its application.
    open: Option<OpenId>,
    /// What the network loses.
    loses: Box<dyn FnMut(&Seen) -> bool>,
}

impl Net {
    fn new(hub: Node, sensor: Node) -> Self {
        Self {
            nodes: [hub, sensor],
            ports: [HUB_AT, SENSOR_AT],
            ms: 0,
            wire: Vec::new(),
            told: [Vec::new(), Vec::new()],
            auths: [Vec::new(), Vec::new()],
            changes: [Vec::new(), Vec::new()],
            suites: [Vec::new(), Vec::new()],
            media: [None, None],
            writes: Ok(()),
            rejects: Vec::new(),
            open: None,
            loses: Box::new(|_| false),
        }
    }

    fn pair() -> Self {
        Self::new(hub(11), sensor(12, |_| ()))
    }

    fn now(&self) -> Now {
        millis(self.ms)
    }

    fn ping(&mut self, encoding: Encoding) -> RequestId {
        let (now, mut ping) = (self.now(), Ping::new(HUB, addr(self.ports[0]), "temperature.read"));
        ping.encoding = encoding;
        self.nodes[1].ping(now, &ping).unwrap()
    }

    fn events(&mut self, n: usize) {
        while let Some(event) = self.nodes[n].poll_event() {
            self.told[n].push(match event {
                Event::Ping(ping) => {
                    self.auths[n].push(ping.auth);
                    self.open = ping.open.or(self.open);
                    assert!(ping.packet().proof.is_none() || matches!(ping.auth, Auth::Signed(_)));
                    std::format!("ping {}", ping.decision)
                }
                Event::Response(answer) => {
                    self.auths[n].push(answer.auth);
                    std::format!("answer {}", answer.decision)
                }
                Event::Session(change) => {
                    self.changes[n].push(change.state);
                    self.suites[n].push(change.suite);
                    std::format!("session {}", change.state.name())
                }
                Event::Timeout { .. } => "timeout".to_string(),
                Event::Unsent { .. } => "unsent".to_string(),
                Event::Heartbeat { .. } => "heartbeat".to_string(),
                _ => continue,
            });
        }
    }

    /// Bring to its medium what a node has to keep.
    fn keep(&mut self, n: usize) {
        let now = self.now();
        let (Some(medium), node) = (&mut self.media[n], &mut self.nodes[n]) else { return };
        let mut upto = None;
        while let Some(op) = node.poll_store() {
            upto = Some(op.seq());
            match op.value().filter(|_| self.writes.is_ok()) {
                Some(value) => drop(medium.insert(op.key().to_vec(), value.to_vec())),
                None if self.writes.is_ok() => drop(medium.remove(op.key())),
                None => {}
            }
        }
        if let Some(upto) = upto {
            node.handle_stored(now, upto, self.writes);
        }
    }

    /// Carry everything that is to be carried now.
    fn carry(&mut self) {
        let mut buf = vec![0; MAX_DATAGRAM_V6];
        for round in 0.. {
            assert!(round < 100, "they never stop talking");
            let mut sent = VecDeque::new();
            for n in 0..2 {
                self.events(n);
                self.keep(n);
                while let Some(transmit) = self.nodes[n].poll_transmit(millis(self.ms), &mut buf) {
                    let (from, to) = (self.ports[n], transmit.path.remote.port());
                    sent.push_back(Seen { from, to, bytes: buf[..transmit.len].to_vec() });
                }
            }
            if sent.is_empty() {
                break;
            }
            for seen in sent {
                self.wire.push(seen.clone());
                if !(self.loses)(&seen) {
                    self.deliver(&seen);
                }
            }
        }
    }

    fn deliver(&mut self, seen: &Seen) {
        let Some(n) = self.ports.iter().position(|port| *port == seen.to) else { return };
        let now = self.now();
        if let Err(why) = self.nodes[n].handle_datagram(now, from(seen.from), &mut seen.bytes.clone()) {
            self.rejects.push(why);
        }
        self.events(n);
    }

    /// Let time pass.
    fn run(&mut self, ms: u64) {
        let until = self.ms + ms;
        self.carry();
        while self.ms < until {
            let next =
                self.nodes.iter().filter_map(|node| node.wants().at).map(|(at, _)| at.as_nanos() / 1_000_000 + 1);
            self.ms = next.min().unwrap_or(until).clamp(self.ms + 1, until);
            let now = self.now();
            self.nodes.iter_mut().for_each(|node| node.handle_timeout(now));
            self.carry();
            for node in &self.nodes {
                assert!(!node.wants().output && !node.wants().events, "{:?}", node.wants());
            }
        }
    }

    fn count(&self, n: usize, what: &str) -> usize {
        self.told[n].iter().filter(|told| *told == what).count()
    }

    /// Restart the hub: it knows its key and its pins, and nothing else.
    fn restart_hub(&mut self) {
        self.nodes[0] = hub(99);
    }

    fn books_hold(&self) {
        for node in &self.nodes {
            let stats = node.stats();
            let sum = stats.accepted + stats.waiting + stats.responses + stats.sessions + stats.rejected.total();
            assert_eq!(stats.received, sum);
        }
    }
}

#[test]
fn a_ping_to_a_pinned_key_takes_one_round_trip_and_nothing_is_ever_in_the_clear() {
    for encoding in ENCODINGS {
        let mut net = Net::pair();
        net.ping(encoding);
        net.run(0);
        assert_eq!(net.wire.iter().take(3).map(Seen::kind).collect::<Vec<_>>(), [1, 2, 5], "{encoding:?}");
        assert_eq!(net.told[1], ["session up", "answer accept"], "{encoding:?}");
        assert_eq!(net.count(0, "ping accept"), 1);
        let before = net.wire.len();
        for _ in 0..10 {
            net.ping(encoding);
            net.run(100);
        }
        assert_eq!(net.wire.len() - before, 20, "a packet and its answer: {encoding:?}");
        assert!(net.wire.iter().all(Seen::is_sealed));
        assert_eq!((net.count(0, "ping accept"), net.count(1, "answer accept")), (11, 11));
        let keys = [secret(2).public(), secret(1).public()];
        for (auths, key) in net.auths.iter().zip(keys) {
            assert!(auths.iter().all(|auth| matches!(auth, Auth::Session(_, who) if *who == key)));
        }
        assert_eq!(net.auths[0][0].as_str(), "session");
        net.books_hold();
    }
}

#[test]
fn a_ping_that_fits_no_first_message_follows_it_once() {
    let mut net = Net::pair();
    let text = std::format!("{{\"data\":\"{}\"}}", "x".repeat(2000));
    let (now, mut ping) = (net.now(), Ping::new(HUB, addr(HUB_AT), "store"));
    ping.payload = Value::from_json(&text).unwrap();
    net.nodes[1].ping(now, &ping).unwrap();
    net.ping(Encoding::Json);
    net.run(1000);
    assert_eq!((net.count(0, "ping accept"), net.count(1, "answer accept")), (2, 2));
    assert!(net.wire.iter().all(Seen::is_sealed));
}

#[test]
fn a_handshake_survives_the_loss_of_any_of_its_messages() {
    for lost in 0..4 {
        let (mut net, mut n) = (Net::pair(), 0);
        net.loses = Box::new(move |_| {
            n += 1;
            n - 1 == lost
        });
        net.ping(Encoding::Json);
        net.run(2500);
        // What was heard is heard once. An answer that was lost is lost, as without a session.
        assert_eq!(net.count(0, "ping accept"), 1, "{lost}");
        net.ping(Encoding::Json);
        net.run(1000);
        assert_eq!(net.count(0, "ping accept"), 2, "{lost}");
        assert!(net.count(1, "answer accept") >= 1 && net.count(1, "session up") == 1, "{lost}: {:?}", net.told[1]);
        assert!(net.wire.iter().all(Seen::is_sealed));
    }
}

#[test]
fn both_begin_at_once_and_both_are_answered() {
    for seed in 0..8 {
        let mut net = Net::new(hub(seed), sensor(seed + 100, |_| ()));
        net.nodes[1].set_trust(HUB, 0.9).unwrap();
        net.ping(Encoding::Json);
        let back = Ping::new(SENSOR, addr(SENSOR_AT), "status");
        net.nodes[0].ping(millis(0), &back).unwrap();
        net.run(3000);
        assert_eq!([net.count(0, "ping accept"), net.count(1, "ping accept")], [1, 1]);
        assert_eq!([net.count(0, "answer accept"), net.count(1, "answer accept")], [1, 1]);
        assert_eq!(net.nodes.each_ref().map(|node| node.stats().tables.sessions), [1, 1]);
        assert!(net.wire.iter().all(Seen::is_sealed));
    }
}

#[test]
fn keys_are_renewed_without_a_ping_lost() {
    let mut net = Net::pair();
    for _ in 0..80 {
        net.ping(Encoding::Postcard);
        net.run(5000);
    }
    assert_eq!((net.count(0, "ping accept"), net.count(1, "answer accept")), (80, 80));
    assert!(net.count(0, "session rekeyed") >= 2 && net.count(1, "session rekeyed") >= 2);
    assert!(net.wire.iter().all(Seen::is_sealed));
    net.books_hold();
}

#[test]
fn heartbeats_go_through_the_session_and_keep_it_alive() {
    let mut net = Net::pair();
    net.nodes[1].set_trust(HUB, 0.9).unwrap();
    net.ping(Encoding::Json);
    net.run(600_000);
    assert!(net.wire.iter().all(Seen::is_sealed));
    assert!(net.count(0, "session down") == 0 && net.count(1, "session down") == 0, "{:?}", net.told);
    assert!(net.nodes[0].stats().heartbeats > 10);
    assert!(net.nodes[0].peer(SENSOR).unwrap().is_proven());
    net.ping(Encoding::Json);
    net.run(100);
    assert_eq!(net.count(1, "answer accept"), 2);
}

#[test]
fn who_moves_keeps_its_session_and_its_place_among_peers() {
    let mut net = Net::pair();
    net.ping(Encoding::Json);
    net.run(1000);
    net.ports[1] = 9999;
    for _ in 0..20 {
        net.ping(Encoding::Json);
        net.run(500);
    }
    assert!(net.count(0, "session moved") == 1 && net.count(0, "session up") == 1, "{:?}", net.told[0]);
    assert!(net.count(1, "answer accept") >= 15, "{:?}", net.told[1]);
    let peer = net.nodes[0].peer(SENSOR).unwrap();
    assert!(peer.path().remote.port() == 9999 && peer.is_proven());
    // And the hub finds it there, wherever its application believes it to be.
    net.nodes[1].set_trust(HUB, 0.9).unwrap();
    let now = net.now();
    net.nodes[0].ping(now, &Ping::new(SENSOR, addr(SENSOR_AT), "status")).unwrap();
    net.run(100);
    assert_eq!(net.count(0, "answer accept"), 1);
}

#[test]
fn a_stranger_begins_a_session_waits_and_is_answered_in_it() {
    let mut hub = with(HUB, 1, 1, |config| config.require = Require::Session);
    hub.set_trust(SENSOR, 0.9).unwrap();
    let mut net = Net::new(hub, with(SENSOR, 2, 2, |config| config.sessions = SessionPolicy::Require));
    net.ping(Encoding::Json);
    net.run(1000);
    assert_eq!(net.told[0], ["session up", "ping pending"], "its key is not pinned");
    assert_eq!(net.wire.iter().take(3).map(Seen::kind).collect::<Vec<_>>(), [1, 2, 3]);
    let (id, key) = net.nodes[0].waiting().map(|ping| (ping.id, ping.auth.key().unwrap())).next().unwrap();
    assert_eq!(key, secret(2).public());
    let now = net.now();
    net.nodes[0].pin(now, SENSOR, key, Origin::Approved).unwrap();
    net.nodes[0].approve(now, id).unwrap();
    net.run(1000);
    assert_eq!(net.told[1], ["session up", "answer pending", "answer accept"]);
    net.ping(Encoding::Json);
    net.run(100);
    assert_eq!(net.count(0, "ping accept"), 1);
    assert!(net.wire.iter().all(Seen::is_sealed));
    // Signed, but not through a session: not even looked at.
    let mut other = with("jis:home:lamp", 7, 9, |config| config.sessions = SessionPolicy::Off);
    other.ping(net.now(), &Ping::new(HUB, addr(HUB_AT), "x")).unwrap();
    let now = net.now();
    let plain = drain(&mut other, now).remove(0).1;
    net.rejects.clear();
    net.deliver(&Seen { from: 5, to: HUB_AT, bytes: plain });
    assert_eq!(net.rejects, [Reject::BadSignature]);
}

#[test]
fn a_decision_that_took_longer_than_the_session_finds_its_way() {
    let mut hub = with(HUB, 1, 1, |config| config.waiting_expiry = Duration::from_secs(900));
    hub.pin(millis(0), SENSOR, secret(2).public(), Origin::Operator).unwrap();
    hub.set_trust(SENSOR, 0.5).unwrap();
    let sensor = sensor(2, |config| {
        config.decision_timeout = Duration::from_secs(900);
        config.heartbeat = None;
    });
    let mut net = Net::new(hub, sensor);
    net.ping(Encoding::Json);
    net.run(1000);
    assert_eq!(net.told[0], ["ping pending", "session up"]);
    net.run(400_000);
    assert!(net.count(0, "session down") == 1 && net.count(1, "session down") == 1, "{:?}", net.told);
    let id = net.nodes[0].waiting().next().unwrap().id;
    let now = net.now();
    net.nodes[0].approve(now, id).unwrap();
    net.run(1000);
    assert_eq!(net.told[1].last().map(String::as_str), Some("answer accept"), "{:?}", net.told);
    assert!(net.wire.iter().all(Seen::is_sealed));
}

#[test]
fn a_side_that_was_restarted_is_talked_to_again_in_bounded_time() {
    let mut net = Net::pair();
    net.ping(Encoding::Json);
    net.run(1000);
    net.restart_hub();
    net.told[1].clear();
    let mut seconds = 0;
    while net.count(1, "answer accept") == 0 {
        net.ping(Encoding::Json);
        net.run(1000);
        seconds += 1;
        assert!(seconds <= 20, "{:?}", net.told);
    }
    net.ping(Encoding::Json);
    net.run(100);
    assert!(net.count(1, "answer accept") >= 2 && net.wire.iter().all(Seen::is_sealed));
    // The other way at once: the restarted side knows that it has no keys.
    let mut net = Net::pair();
    net.nodes[1].set_trust(HUB, 0.9).unwrap();
    net.ping(Encoding::Json);
    net.run(1000);
    net.restart_hub();
    let now = net.now();
    net.nodes[0].ping(now, &Ping::new(SENSOR, addr(SENSOR_AT), "status")).unwrap();
    net.run(100);
    assert_eq!(net.count(0, "answer accept"), 1);
}

#[test]
fn a_ping_that_cannot_leave_ends_at_once() {
    let mut net = Net::pair();
    let path = Path::to(addr(HUB_AT));
    for live in [false, true] {
        net.ping(Encoding::Json);
        let now = net.now();
        let sent = drain(&mut net.nodes[1], now).remove(0).1;
        net.nodes[1].handle_unsent(now, path, &sent, Unsent::NetworkUnreachable);
        net.events(1);
        assert_eq!(net.told[1].last().map(String::as_str), Some("unsent"), "in a session: {live}");
        // The network is back.
        net.ping(Encoding::Json);
        net.run(3000);
        assert_eq!(net.told[1].last().map(String::as_str), Some("answer accept"), "in a session: {live}");
    }
}
