//! The node, its clocks, and what must hold after every step.

use sluis_core::framing::{Frame, Message, PingType};
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{Caps, Event, Node, NodeConfig, Outcome, Received, Tables};
use sluis_core::record::{Lines, Recorded};
use sluis_core::time::iso;
use sluis_core::{Datagrams, Did, Duration, Instant, Machine, Now, Path, Reject, Seed, Wall};

use super::ledger::{Asked, Ledger, Told};
use super::ops::{OWN, Setup, did};

/// 2025-01-15T12:00:00Z.
const START: i64 = 1_736_942_400_000_000;

/// A node and everything that is known of it from outside.
pub(super) struct World {
    pub(super) node: Recorded<Node>,
    pub(super) now: Now,
    /// The latest that the wall clock ever was.
    pub(super) latest: Wall,
    pub(super) ledger: Ledger,
    caps: Caps,
    most_nonces: usize,
    /// Where datagrams are written.
    room: Vec<u8>,
}

/// A node whose tables hold hardly anything, so that they are often full.
fn config(setup: Setup) -> NodeConfig {
    let mut config = NodeConfig::new(Did::new(OWN).expect("a DID"));
    config.heartbeat = setup.heartbeat.then_some(Duration::from_secs(30));
    config.caps.peers = 2;
    config.caps.waiting = 3;
    config.caps.waiting_per_sender = 2;
    config.caps.open = 3;
    config.caps.requests = 4;
    config.caps.replies = 3;
    // Room for the first rows and for names, but not for every long one.
    config.caps.peer_bytes = 8800;
    (config.caps.events, config.caps.transmits) = if setup.tight { (3, 2) } else { (64, 64) };
    (config.caps.event_bytes, config.caps.transmit_bytes) = if setup.tight { (4096, 2048) } else { (1 << 20, 1 << 20) };
    config.replay.per_sender = 4;
    config.replay.max_senders = 4;
    config.replay.max_entries = 10;
    config.gate.max_rules = 4;
    config.trust.max_entries = 6;
    config.vouches.max_vouches = 4;
    config
}

impl World {
    /// A fresh node, recorded if there is a tape.
    pub(super) fn new(setup: Setup, tape: Option<Lines>) -> Self {
        let config = config(setup);
        let (caps, most_nonces) = (config.caps, config.replay.max_entries);
        let seed = Seed::from_u64(setup.seed.into());
        let node = match tape {
            Some(tape) => Node::recorded(config, &seed, Box::new(tape)),
            None => Node::new(config, &seed).map(Recorded::off),
        };
        let mut node = node.expect("thresholds in order");
        if setup.legacy {
            node.allow_legacy("*").expect("room for one pattern");
        }
        for (whom, trust) in [(0, 0.9), (1, 0.5), (2, 0.1), (3, 0.8), (4, 0.7)] {
            node.set_trust(&did(whom), trust).expect("a DID");
        }
        let now = Now::new(Instant::from_nanos(1_000_000_000), Wall::from_micros(START));
        Self {
            node,
            now,
            latest: now.wall,
            ledger: Ledger::default(),
            caps,
            most_nonces,
            room: vec![0; MAX_DATAGRAM_V6],
        }
    }

    pub(super) fn tables(&self) -> Tables {
        self.node.stats().tables
    }

    /// What holds at any time.
    pub(super) fn check(&self) {
        let stats = self.node.stats();
        let (tables, caps) = (stats.tables, self.caps);
        assert_eq!(stats.received, self.ledger.received);
        let sum = stats.accepted + stats.waiting + stats.responses + stats.rejected.total();
        assert_eq!(stats.received, sum, "every datagram is counted once: {stats:?}");
        assert_eq!(stats.transmitted, self.ledger.counts.transmits);
        assert_eq!(stats.requests, self.ledger.counts.requests);

        assert!(tables.peers <= caps.peers as usize);
        assert!(tables.waiting <= caps.waiting as usize);
        assert!(tables.open <= caps.open as usize);
        assert!(tables.requests <= caps.requests as usize);
        assert!(tables.events <= 2 * caps.events as usize, "two queues");
        assert!(tables.transmits <= caps.transmits as usize);
        assert!(tables.nonces <= self.most_nonces);
        assert!(self.node.peers().heap_bytes() <= caps.peer_bytes);
        assert_eq!(tables.peers, self.node.peers().len());

        let pending = tables.events > 0 || tables.transmits > 0;
        assert!(!pending || self.node.wants().is_pending(), "output waits");
        for peer in self.node.peers().alive(Instant::ZERO) {
            assert!(self.ledger.heard.contains(peer.did()), "{} was never let in", peer.did());
            assert!(!peer.is_proven() || self.ledger.proven.contains(&peer.path().remote));
        }
    }

    /// Take in a datagram, and see that what was turned away left nothing.
    pub(super) fn receive(&mut self, path: Path, bytes: &[u8]) {
        let before = self.node.stats();
        self.ledger.received += 1;
        *self.ledger.sent_us.entry(path.remote).or_default() += bytes.len();
        let result = self.node.handle_datagram(self.now, path, &mut bytes.to_vec());
        let after = self.node.stats();
        match result {
            Err(why) => {
                assert_eq!(after.tables, before.tables, "{why} left something");
                assert_eq!(after.rejected.get(why), before.rejected.get(why) + 1);
                assert!(why != Reject::Header || Frame::decode(bytes).is_err());
            }
            Ok(()) => self.took(path, bytes, before.tables, after.tables),
        }
        self.ledger.note(&format!("{result:?}"));
        if bytes.len() < 2000 && self.ledger.kept.len() < 32 {
            self.ledger.kept.push((path, bytes.to_vec()));
        }
    }

    fn took(&mut self, path: Path, bytes: &[u8], before: Tables, after: Tables) {
        let frame = Frame::decode(bytes).expect("only frames are taken in");
        match frame.message {
            Message::Response(response) => {
                self.ledger.proven.insert(path.remote);
                self.ledger.heard.insert(response.responder_did.to_cow().into_owned());
                let packet_id = response.in_response_to.to_cow();
                let asked = self.ledger.requests.iter_mut().find(|a| a.packet_id.as_deref() == Some(&packet_id));
                let asked = asked.expect("an answer to a ping of ours");
                assert!(!asked.over, "an answer after the end");
                asked.queued += 1;
                assert_eq!(after.transmits, before.transmits, "a response draws no answer");
            }
            Message::Packet(packet) => {
                let sender = packet.source_did.to_cow().into_owned();
                let stamp = iso::parse(&packet.timestamp.to_cow()).expect("it was read").as_micros();
                let nonce = packet.nonce.to_cow().into_owned();
                assert!(self.ledger.taken.insert((sender.clone(), nonce, stamp)), "{sender}: taken in twice");
                self.ledger.heard.insert(sender);
                let packet_id = packet.packet_id.to_cow();
                match after.transmits - before.transmits {
                    0 => {}
                    1 => {
                        assert_ne!(packet.ping_type, PingType::Heartbeat, "a heartbeat draws no answer");
                        self.ledger.owe(path.remote, &packet_id);
                    }
                    n => panic!("{n} answers at once"),
                }
                self.ledger.allow(path.remote, &packet_id, frame.encoding);
            }
        }
    }

    /// Poll one event, of any kind or of one of the two.
    pub(super) fn event(&mut self, kind: u8) -> bool {
        let ledger = &mut self.ledger;
        let (event, only) = match kind % 3 {
            0 => (self.node.poll_event(), None),
            1 => (self.node.poll_reply(), Some(true)),
            _ => (self.node.poll_notice(), Some(false)),
        };
        let Some(event) = event else { return false };
        ledger.note(&format!("{event:?}"));
        let about_request = matches!(event, Event::Response(_) | Event::Timeout { .. });
        assert!(only.is_none_or(|replies| replies == about_request), "poll_reply and poll_notice keep to their own");
        match event {
            Event::Ping(ping) => told(ledger, &ping),
            Event::Decided(decided) => {
                ledger.counts.decided += 1;
                if matches!(decided.outcome, Outcome::Expired | Outcome::Displaced) {
                    let at = ledger.waiting.iter().position(|told| told.id == decided.wait);
                    let told = ledger.waiting.remove(at.expect("it waited"));
                    assert_eq!(told.packet_id, decided.packet_id);
                }
                assert_eq!(decided.open, ledger.approved.remove(&decided.wait));
            }
            Event::Response(answer) => {
                ledger.counts.responses += 1;
                let asked = ledger.request(answer.request);
                assert!(asked.queued > 0 && (!asked.over || asked.forgotten), "an answer after the end");
                asked.queued -= 1;
                assert!(answer.last || !asked.pending, "pending twice");
                assert_eq!(answer.from.remote, asked.path.remote);
                assert_eq!(Some(answer.response().in_response_to.to_cow().as_ref()), asked.packet_id.as_deref());
                asked.pending = true;
                asked.over |= answer.last;
            }
            Event::Timeout { request, pending } => {
                ledger.counts.timeouts += 1;
                let asked = ledger.request(request);
                assert!(!asked.over, "a timeout after the end");
                assert_eq!(asked.pending, pending);
                asked.over = true;
            }
            Event::Unanswered(id) => {
                ledger.counts.unanswered += 1;
                let at = ledger.open.iter().position(|told| told.id == id);
                ledger.open.remove(at.expect("it was open"));
            }
            Event::PeerSeen { did, .. } => assert!(ledger.peers.insert(did.to_owned()), "{did} was seen twice"),
            Event::PeerLost { did } => assert!(ledger.peers.remove(did), "{did} was lost, but never seen"),
            event => panic!("{event:?} is new here"),
        }
        true
    }

    /// Poll one datagram into a buffer of this size.
    pub(super) fn transmit(&mut self, size: usize) -> bool {
        let before = self.tables();
        let room = &mut self.room[..size];
        let Some(transmit) = self.node.poll_transmit(self.now, room) else {
            assert_eq!(self.tables(), before, "nothing came out, so nothing may be gone");
            assert!(size < MAX_DATAGRAM_V6 || before.transmits == 0, "it fits");
            return false;
        };
        let sent = &self.room[..transmit.len];
        assert!(transmit.len <= transmit.path.max_datagram());
        let ledger = &mut self.ledger;
        ledger.counts.transmits += 1;
        ledger.note(&format!("{:?}", transmit.path));
        ledger.trace.extend(sent);
        let remote = transmit.path.remote;
        let frame = Frame::decode(sent).expect("what is sent is a frame");
        match frame.message {
            Message::Response(response) => {
                let key = (remote, response.in_response_to.to_cow().into_owned());
                let due = ledger.due.get_mut(&key).expect("an answer to nothing");
                assert!(due.count > 0, "more answers than are due to {key:?}");
                due.count -= 1;
                assert!(due.encodings.contains(&frame.encoding), "answered in another encoding");
                assert_eq!(response.responder_did, *OWN);
                let was_sent = ledger.was_sent.entry(remote).or_default();
                *was_sent += sent.len();
                let most = 3 * ledger.sent_us.get(&remote).copied().unwrap_or_default();
                assert!(
                    ledger.proven.contains(&remote) || *was_sent <= most,
                    "{remote} got {was_sent}, {most} allowed"
                );
            }
            Message::Packet(packet) if packet.ping_type == PingType::Heartbeat => {
                assert!(ledger.proven.contains(&remote), "a heartbeat to an address that has not proven itself");
            }
            Message::Packet(packet) => {
                let id = ledger.asked.pop_front().expect("a ping that nobody asked for");
                let asked = ledger.request(id);
                assert_eq!(asked.path, transmit.path);
                assert_eq!(packet.target_did, *asked.whom.as_str());
                asked.packet_id = Some(packet.packet_id.to_cow().into_owned());
            }
        }
        true
    }

    /// Poll until nothing is left, and see that then nothing is due any more.
    pub(super) fn drain(&mut self) {
        self.node.handle_timeout(self.now);
        while self.event(0) {}
        while self.transmit(MAX_DATAGRAM_V6) {}
        let tables = self.tables();
        assert_eq!((tables.events, tables.transmits), (0, 0));
        let wants = self.node.wants();
        assert!(!wants.is_pending() && !wants.is_due(self.now.mono), "nothing is left, but it wants {wants:?}");
    }
}

/// The application hears of a ping.
fn told(ledger: &mut Ledger, ping: &Received<'_>) {
    ledger.counts.pings += 1;
    assert_eq!(ping.wait.is_some(), ping.decision == sluis_core::framing::Decision::Pending);
    let (from, packet_id) = (ping.from.remote, ping.packet().packet_id.to_cow().into_owned());
    if let Some(id) = ping.wait {
        assert!(ledger.waiting.iter().all(|other| other.id.number() < id.number()), "numbers go up");
        ledger.waiting.push(Told { id, from, packet_id });
    } else if let Some(id) = ping.open {
        assert!(ledger.open.iter().all(|other| other.id != id), "two pings with one id");
        ledger.open.push(Told { id, from, packet_id });
    }
}

impl Ledger {
    /// A request was made.
    pub(super) fn asked(&mut self, asked: Asked) {
        self.counts.requests += 1;
        self.asked.push_back(asked.id);
        assert!(self.by_id.insert(asked.id, self.requests.len()).is_none(), "an id that was used before");
        self.requests.push(asked);
    }
}
