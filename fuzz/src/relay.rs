//! Any bytes as a trace, as a packet of a circuit, as an answer that is carried, and as what happens to a relay.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use sluis_core::Wall;
use sluis_core::framing::{Decision, Frame, Message, Packet, PingType, Response, RoutingMode, Text, Value, Zone};
use sluis_core::identity::SecretKey;
use sluis_core::relay::trace::{Deed, Known, Trace, append, verify};
use sluis_core::relay::{
    CIRCUIT_HEAD, CircuitPacket, Label, Rate, Relay, RelayConfig, Transit, pack_answer, unpack_answer,
};
use sluis_core::{Instant, Path, Seed};

/// The first byte says what the rest is.
pub fn relay(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 3 {
        0 => trace(rest),
        1 => packet(rest),
        _ => Steps::new().run(rest),
    }
}

/// The keys of hops that do what they should: nothing but what such hops sign is in the corpus.
fn key(did: &str) -> Option<SecretKey> {
    let n = did.strip_prefix("jis:relay:")?.parse::<u8>().ok()?;
    Some(SecretKey::from_seed(&[n.checked_add(1)?; 32]))
}

/// What is read is written alike; nobody is named whatever is done to what honest hops signed, and one more of them can always go on.
fn trace(data: &[u8]) {
    let Some(trace) = Trace::read(data) else { return };
    let bytes = data.get(..trace.encoded_len()).expect("it is in there");
    assert_eq!((trace.records().count(), Trace::read(bytes)), (trace.count(), Some(trace)));
    let digest = [7; 32];
    let keys = |did: &str| key(did).map(|key| key.public());
    for (hop_count, responder, asked) in [
        (Some(3), None, None),
        (None, Some("jis:relay:4"), Some(("jis:relay:0", &digest))),
        (Some(i64::MIN), Some("jis:relay:1"), None),
    ] {
        let known = Known { arrived: &digest, hop_count, from: None, asked, responder };
        let report = verify(Some(trace), &known, keys);
        assert!(report.tampered().iter().all(|found| found.relay.is_none()), "{report:?}");
        assert!(report.hops().len() >= trace.count());
    }
    let us = key("jis:relay:9").expect("a number");
    for budget in [trace.encoded_len(), 1232] {
        let deed = Deed::Passed { received: &digest, passed: &digest, hop_count: None, from: None };
        let mut out = [0; 1232];
        let Ok(more) = append(Some(trace), ("jis:relay:9", Wall::from_secs(1)), &deed, &us, budget, &mut out) else {
            continue;
        };
        assert!(more.len <= budget);
        let longer = Trace::read(&out[..more.len]).expect("our own");
        let last = longer.last().expect("ours");
        assert!(last.did() == "jis:relay:9" && longer.count() <= trace.count() + 1);
        // It still names nobody, us included.
        let known =
            Known { arrived: &digest, hop_count: None, from: Some("jis:relay:9"), asked: None, responder: None };
        let report = verify(Some(longer), &known, keys);
        assert!(report.tampered().iter().all(|found| found.relay.is_none()), "{report:?}");
    }
}

/// A packet of a circuit is read as it was written; a response that is carried comes out as one, or not at all.
fn packet(data: &[u8]) {
    if let Some(packet) = CircuitPacket::read(data) {
        assert!(CircuitPacket::is_one(data));
        let head = CircuitPacket::head(packet.label, packet.hops_left, packet.frame.len());
        assert_eq!(data.get(..CIRCUIT_HEAD), Some(&head[..]));
    }
    let (frame, trace) = Trace::split(data);
    assert!(frame.len() <= data.len() && trace.is_none_or(|trace| trace.encoded_len() + frame.len() <= data.len()));
    let mut out = vec![0; 70_000];
    match Frame::decode(data).map(|frame| frame.message) {
        Ok(Message::Packet(ping)) => {
            if let Some(len) = unpack_answer(ping.payload, &mut out) {
                assert!(matches!(
                    Frame::decode(&out[..len]).map(|frame| frame.message),
                    Ok(Message::Response(_)) | Err(_)
                ));
            }
        }
        Ok(Message::Response(response)) => {
            let Ok(len) = pack_answer(&response, &mut out) else { return };
            let text = core::str::from_utf8(&out[..len]).expect("JSON");
            let payload = Value::from_json(text).expect("an object");
            let mut frame = vec![0; 70_000];
            // A response that is close to the limit does not fit into another frame.
            let Some(len) = unpack_answer(payload, &mut frame) else { return };
            let again = Frame::decode(&frame[..len]).expect("what was packed").message;
            let mut packed = vec![0; 70_000];
            let Message::Response(again) = again else { panic!("a response") };
            let len = pack_answer(&again, &mut packed).expect("it was packed before");
            assert_eq!(&packed[..len], text.as_bytes());
        }
        Err(_) => {}
    }
}

const ADDRESSES: u8 = 8;
const NAMES: u8 = 8;

fn at(n: u8) -> Path {
    Path::to(SocketAddr::from(([192, 0, 2, n % ADDRESSES], 7150)))
}

fn name(n: u8) -> String {
    format!("jis:{}", n % NAMES)
}

fn config() -> RelayConfig {
    RelayConfig {
        max_hops: 6,
        source_rate: Rate::new(20, 10),
        target_rate: Rate::new(40, 20),
        link_rate: Rate::new(60, 30),
        reserved_factor: 2,
        max_rates: 5,
        max_seen: 300,
        max_open: 12,
        max_open_per_source: 8,
        max_routes: 5,
        max_neighbours: 4,
        max_reservations: 3,
        max_reservations_per_address: 2,
        max_circuits: 3,
        ..RelayConfig::default()
    }
}

/// A ping that was passed on: whom it came from, whom it went to, and whom it was for.
struct Passed {
    from: Path,
    to: Vec<Path>,
    target: u8,
}

/// What happens to one relay, and what it has to answer for.
struct Steps {
    relay: Relay,
    nanos: u64,
    passed: BTreeMap<u16, Passed>,
    /// Times at which pings of each source were passed on; of one that proves nothing those from each address.
    times: BTreeMap<(u8, Option<SocketAddr>), Vec<u64>>,
    reserved: BTreeSet<u8>,
    book: Book,
}

/// Bytes of each ping and answer, at least.
const LEN: usize = 100;

/// Whether an address has proven itself: every other one.
fn is_proven(path: Path) -> bool {
    path.remote.to_string().split('.').next_back().is_some_and(|last| last.starts_with(['1', '3', '5', '7']))
}

/// What came from each address, and what went there, in bytes.
#[derive(Default)]
struct Book {
    came: BTreeMap<SocketAddr, usize>,
    went: BTreeMap<SocketAddr, usize>,
    /// Where somebody is or was who is named by the operator, or holds a reservation.
    named: BTreeSet<SocketAddr>,
}

impl Book {
    fn came(&mut self, from: Path, len: usize) {
        *self.came.entry(from.remote).or_default() += len;
    }

    fn went(&mut self, to: Path, len: usize) {
        *self.went.entry(to.remote).or_default() += len;
    }

    fn may_be_free(&self, to: SocketAddr) -> bool {
        is_proven(Path::to(to)) || self.named.contains(&to)
    }

    /// Whether an address that has proven nothing was sent at most three times what came from there.
    fn holds(&self) -> bool {
        let came = |at| self.came.get(at).copied().unwrap_or_default();
        self.went.iter().all(|(at, went)| self.may_be_free(*at) || *went <= 3 * came(at))
    }
}

impl Steps {
    fn new() -> Self {
        let relay = Relay::new(config(), &mut Seed::from_u64(1).fork("relay"));
        Self {
            relay,
            nanos: 0,
            passed: BTreeMap::new(),
            times: BTreeMap::new(),
            reserved: BTreeSet::new(),
            book: Book::default(),
        }
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.nanos)
    }

    /// Four bytes a step.
    fn run(mut self, data: &[u8]) {
        for step in data.chunks(4).take(500) {
            let [what, a, b, c] = core::array::from_fn(|n| step.get(n).copied().unwrap_or_default());
            match what % 10 {
                0..=3 => self.ping(a, b, c),
                4 | 5 => self.answer(a, b, c),
                6 => self.time(a, b),
                7 => self.circuit(a, b, c),
                8 => self.operator(a, b, c),
                _ => self.relay.learn(self.now(), &name(a), at(b), c),
            }
            self.bounds();
        }
        self.quotas();
    }

    fn ping(&mut self, a: u8, b: u8, c: u8) {
        let id = u16::from_be_bytes([a, b]);
        let (source, target) = (a % NAMES, b % NAMES);
        let (id_text, source_text, target_text) = (format!("ping_{id}"), name(source), name(target));
        let packet = Packet {
            packet_id: Text::new(&id_text),
            source_did: Text::new(&source_text),
            target_did: Text::new(&target_text),
            ping_type: if c & 1 == 0 { PingType::Intent } else { PingType::Relay },
            routing_mode: if c & 0x80 == 0 { RoutingMode::Mesh } else { RoutingMode::Direct },
            hop_count: i64::from(c >> 4 & 7) - 1,
            ..Packet::default()
        };
        let from = at(a >> 3);
        let peer = (c & 2 == 0).then(|| at(b >> 3));
        let recorded = (c & 4 == 0).then(|| at(c));
        let zone = if c & 8 == 0 { Zone::Groen } else { Zone::Geel };
        let peer_proven = peer.is_some_and(is_proven);
        let room = (!is_proven(from)).then_some(3 * LEN);
        let proven = c & 1 == 0;
        let transit = Transit { packet: &packet, from, len: LEN, zone, proven, room, peer, peer_proven, recorded };
        let Ok(forward) = self.relay.forward(self.now(), &transit) else { return };
        let to = forward.to().to_vec();
        assert!(!to.is_empty() && to.len() <= 4 && !to.contains(&from) && source != target);
        assert!(zone == Zone::Groen && packet.routing_mode == RoutingMode::Mesh);
        assert!(packet.hop_count >= 0 && forward.hop_count() == packet.hop_count + 1 && forward.hop_count() <= 5);
        let times = self.times.entry((source, (!transit.proven).then_some(from.remote))).or_default();
        times.push(self.nanos);
        // With another type it is another ping, under the same id, from and for the same.
        let passed = self.passed.entry(id).or_insert(Passed { from, to: Vec::new(), target });
        passed.to.extend(&to);
        self.book.came(from, LEN);
        for (n, to) in to.into_iter().enumerate() {
            let len = LEN + usize::from(c % 32);
            let len = forward.room(n).map_or(len, |room| len.min(room));
            assert!(len >= LEN && (forward.room(n).is_some() || self.book.may_be_free(to.remote)));
            self.relay.sent_on(&forward, n, len);
            self.book.went(to, len);
        }
    }

    fn answer(&mut self, a: u8, b: u8, c: u8) {
        let id = u16::from_be_bytes([a, b]);
        let (id_text, target) = (format!("ping_{id}"), name(b ^ (c >> 6 & 1)));
        let decision = [Decision::Accept, Decision::Pending, Decision::Reject][usize::from(c % 3)];
        let response = Response {
            in_response_to: Text::new(&id_text),
            responder_did: Text::new(&target),
            decision,
            payload: Value::from_json(if b & 0x40 == 0 { "{}" } else { r#"{"circuit":true}"# }).expect("JSON"),
            ..Response::default()
        };
        let from = at(c >> 3);
        let Ok(back) = self.relay.answer(self.now(), from, &response) else { return };
        let fits = |n: &usize| back.room(*n).is_none_or(|room| room >= LEN);
        let sent: Vec<usize> = (0..back.to().len()).filter(fits).collect();
        match sent.is_empty() {
            true => self.relay.refused_back(),
            false => self.relay.sent_back(&back, LEN),
        }
        self.book.came(from, LEN);
        sent.into_iter().for_each(|n| self.book.went(back.to()[n], LEN));
        let passed = self.passed.get(&id).expect("nobody asked");
        assert!(!back.to().is_empty() && back.to().iter().all(|to| *to == passed.from));
        assert!(name(passed.target) == target && passed.to.contains(&at(c >> 3)));
    }

    fn time(&mut self, a: u8, b: u8) {
        self.nanos += u64::from(u16::from_be_bytes([a, b])) * 1_000_000;
        let now = self.now();
        let mut calls = 0;
        while self.relay.next_timeout().is_some_and(|at| at <= now) {
            self.relay.handle_timeout(now);
            calls += 1;
            assert!(calls < 100, "a timer that does not go off");
        }
    }

    fn circuit(&mut self, a: u8, b: u8, c: u8) {
        let id = format!("ping_{}", u16::from_be_bytes([a, b]));
        let label = Label::of(&id, &name(a), &name(b));
        let mut datagram = CircuitPacket::head(label, c & 3, 100).to_vec();
        datagram.extend([0xa5; 100]);
        let before = datagram.clone();
        self.book.came(at(c >> 2), datagram.len());
        let Ok(to) = self.relay.carry(self.now(), at(c >> 2), &mut datagram) else {
            assert_eq!(datagram, before, "what is turned away is not touched");
            return;
        };
        self.book.went(to, datagram.len());
        let packet = CircuitPacket::read(&datagram).expect("still one");
        assert!(to != at(c >> 2) && packet.hops_left + 1 == c & 3 && packet.frame == [0xa5; 100]);
    }

    fn operator(&mut self, a: u8, b: u8, c: u8) {
        let (did, now) = (name(a), self.now());
        match c % 7 {
            0 => {
                self.book.named.insert(at(b).remote);
                self.relay.set_neighbour(&did, at(b), f64::from(c) / 200.0);
            }
            1 => drop(self.relay.remove_neighbour(&did)),
            2 => {
                if self.relay.reserve(now, &did, at(b)).is_ok() {
                    self.book.named.insert(at(b).remote);
                    self.reserved.insert(a % NAMES);
                }
            }
            3 => drop(self.relay.release(&did)),
            4 => self.relay.unreachable(now, at(b)),
            // A heartbeat.
            5 => {
                self.book.came(at(b), LEN);
                self.relay.credit(at(b), 3 * LEN);
            }
            _ => self.relay.forget(&did),
        }
    }

    fn bounds(&self) {
        let (stats, config) = (self.relay.stats(), config());
        assert!(
            stats.seen <= 2 * config.max_seen && stats.open <= config.max_open && stats.routes <= config.max_routes
        );
        assert!(stats.neighbours <= config.max_neighbours && stats.reservations <= config.max_reservations);
        assert!(stats.unproven <= config.max_routes && self.book.holds(), "sent more than three times what came");
        assert!(stats.circuits <= config.max_circuits && stats.quotas <= 5 * config.max_rates);
        assert!(stats.copies >= stats.forwarded && stats.copies <= 4 * stats.forwarded);
    }

    /// Over every stretch of time each source had at most what its rate gives.
    fn quotas(&self) {
        for ((source, _), times) in &self.times {
            let factor = if self.reserved.contains(source) { 2 } else { 1 };
            for (first, begin) in times.iter().enumerate() {
                for (last, end) in times.iter().enumerate().skip(first) {
                    let most = factor * (10 + (end - begin) * 20 / 1_000_000_000 + 1);
                    assert!((last - first + 1) as u64 <= most, "source {source}: {first} to {last}");
                }
            }
        }
    }
}
