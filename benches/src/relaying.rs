//! A node that relays: whole datagrams in, whole datagrams out.

use std::hint::black_box;
use std::time::Duration;

use sluis_core::data::hex::u64_digits;
use sluis_core::framing::{Decision, Encoding, Packet, PingType, Response, RoutingMode, Text, Value};
use sluis_core::identity::SecretKey;
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{Identity, Node, NodeConfig};
use sluis_core::relay::trace::{Deed, append, budget, ping_digest};
use sluis_core::relay::{CIRCUIT_HEAD, CircuitPacket, Label, Rate, RelayConfig};
use sluis_core::time::iso;
use sluis_core::{Datagrams as _, Did, Instant, Machine as _, Now, Path, Seed, Wall};

use crate::relays::{DIGITS, STEP, hub, in_batches, sensor};
use crate::samples::{HUB, SENSOR, ping};

/// What its wall clock shows, always: so every ping is fresh.
const WALL: Wall = Wall::from_micros(1_764_400_000_000_000);

/// A node with a key between a sensor that it trusts and a hub that it knows.
pub struct Relaying {
    node: Node,
    /// The ping, and what is behind it.
    datagram: Vec<u8>,
    places: [usize; 2],
    answer: Vec<u8>,
    answers: usize,
    /// Where what comes in stands, and what goes out.
    came: Vec<u8>,
    out: Vec<u8>,
    now: Duration,
    count: u64,
}

impl Relaying {
    /// One that passes on the typical ping, unsigned, in this encoding.
    ///
    /// # Panics
    /// Never: the sample can be encoded.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self::with(encoding, PingType::Intent, false)
    }

    /// The same, and each ping bears a trace, to which it adds its record.
    ///
    /// # Panics
    /// Never: there is room for the record of the source.
    #[must_use]
    pub fn traced(encoding: Encoding) -> Self {
        Self::with(encoding, PingType::Intent, true)
    }

    fn with(encoding: Encoding, ping_type: PingType, traced: bool) -> Self {
        let mut stamp = [0; 32];
        let timestamp = Text::new(iso::format(WALL, &mut stamp));
        let meshed = Packet { routing_mode: RoutingMode::Mesh, ping_type, timestamp, ..ping() };
        let mut datagram = vec![0; 4096];
        let len = meshed.encode(encoding, &mut datagram).expect("room");
        let place = |text: &[u8]| datagram.windows(text.len()).position(|window| window == text).expect("there");
        let places = DIGITS.map(place);
        datagram.truncate(len);
        if traced {
            let digest = ping_digest(&meshed, &mut [0; 4096]).expect("it has a JSON form");
            let (deed, mut first) = (Deed::Asked { ping: &digest }, [0; 1232]);
            let source = SecretKey::from_seed(&[1; 32]);
            let made = append(None, (SENSOR, WALL), &deed, &source, budget(len), &mut first).expect("room");
            datagram.extend(&first[..made.len]);
        }
        let response = Response {
            in_response_to: meshed.packet_id,
            responder_did: Text::new(HUB),
            decision: Decision::Accept,
            // What opens a circuit, where one is asked for.
            payload: Value::from_json("{\"circuit\":true}").expect("JSON"),
            ..Response::default()
        };
        let mut answer = vec![0; 4096];
        let len = response.encode(Encoding::Json, &mut answer).expect("room");
        answer.truncate(len);
        let answers = answer.windows(16).position(|window| window == DIGITS[0]).expect("there");
        Self {
            node: relay(hub()),
            came: datagram.clone(),
            datagram,
            places,
            answer,
            answers,
            out: vec![0; MAX_DATAGRAM_V6],
            now: Duration::ZERO,
            count: 0,
        }
    }

    fn now(&self) -> Now {
        Now::new(Instant::ZERO + self.now, WALL)
    }

    /// The next ping comes, and goes on: how many bytes leave.
    ///
    /// # Panics
    /// When it does not go on, or not to the hub.
    pub fn pass(&mut self) -> usize {
        self.now += STEP;
        self.count += 1;
        let (digits, now) = (u64_digits(self.count), self.now());
        for place in self.places {
            self.datagram[place..place + 16].copy_from_slice(&digits);
        }
        self.node.handle_timeout(now);
        self.came.copy_from_slice(black_box(&self.datagram));
        self.node.handle_datagram(now, sensor(), &mut self.came).expect("it goes on");
        let sent = self.node.poll_transmit(now, &mut self.out).expect("a ping");
        assert_eq!(sent.path, hub());
        black_box(&self.out[..sent.len]);
        sent.len
    }

    /// Answer so many pings that went last.
    ///
    /// # Panics
    /// When an answer does not go back.
    pub fn answer(&mut self, last: u64) {
        let now = self.now();
        for n in self.count - last..self.count {
            let place = self.answers..self.answers + 16;
            self.answer[place].copy_from_slice(&u64_digits(n + 1));
            self.node.handle_datagram(now, hub(), &mut self.answer).expect("it goes back");
            let sent = self.node.poll_transmit(now, &mut self.out).expect("an answer");
            assert_eq!(sent.path, sensor());
        }
    }

    /// Pass on so many, and say how long that took, their answers aside.
    pub fn run(&mut self, pings: u64) -> Duration {
        in_batches(self, pings, Self::pass, Self::answer)
    }
}

/// A circuit through such a node, and a packet of a session that goes through it.
pub struct Carried {
    relaying: Relaying,
    datagram: Vec<u8>,
    came: Vec<u8>,
}

impl Carried {
    /// One with packets of this length.
    ///
    /// # Panics
    /// Never: the circuit is opened as it should be.
    #[must_use]
    pub fn new(frame: usize) -> Self {
        let mut relaying = Relaying::with(Encoding::Json, PingType::Relay, false);
        relaying.pass();
        relaying.answer(1);
        let id = String::from_utf8([b"ping_".as_slice(), &u64_digits(1)].concat()).expect("digits");
        let mut datagram = CircuitPacket::head(Label::of(&id, SENSOR, HUB), 16, frame).to_vec();
        datagram.resize(CIRCUIT_HEAD + frame, 0xa5);
        Self { relaying, came: datagram.clone(), datagram }
    }

    /// A packet comes, and goes on from where it was copied to.
    ///
    /// # Panics
    /// When it does not.
    pub fn pass(&mut self) {
        let Self { relaying, datagram, came } = self;
        relaying.now += STEP;
        let now = relaying.now();
        came.copy_from_slice(black_box(datagram));
        relaying.node.handle_datagram(now, sensor(), came).expect("it goes on");
        let sent = relaying.node.poll_transmit(now, &mut relaying.out).expect("a packet");
        assert_eq!(black_box(sent.path), hub());
        black_box(&relaying.out[..sent.len]);
    }
}

/// A node that relays without limits, between a sensor that it trusts and a hub that is there.
///
/// # Panics
/// Never: the settings are within their limits.
#[must_use]
pub fn relay(hub: Path) -> Node {
    let much = Rate::new(1_000_000, 1_000_000);
    let relay = RelayConfig {
        source_rate: much,
        target_rate: much,
        link_rate: much,
        circuit_rate: Rate::new(u32::MAX, u32::MAX),
        max_open_per_source: 4096,
        ..RelayConfig::default()
    };
    let mut config = NodeConfig::new(Did::new("jis:home:relay").expect("a DID"));
    config.identity = Some(Identity::from(SecretKey::from_seed(&[2; 32])));
    (config.heartbeat, config.relay) = (None, Some(relay.into()));
    let mut node = Node::new(config, &Seed::from_u64(1)).expect("the defaults make sense");
    node.allow_legacy("*").expect("a pattern within its limit");
    node.set_trust(SENSOR, 0.9).expect("a trust within its limits");
    node.set_neighbour(HUB, hub, 0.5).expect("there is room for one");
    node
}
