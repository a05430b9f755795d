//! A relay with nothing around it: pings that pass through it, their answers, and packets of circuits.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use sluis_core::data::hex::u64_digits;
use sluis_core::framing::{
    Decision, Encoding, Frame, Message, Packet, PingType, Response, RoutingMode, Text, Value, Zone,
};
use sluis_core::identity::SecretKey;
use sluis_core::relay::trace::{Deed, Trace, append, budget, ping_digest};
use sluis_core::relay::{CIRCUIT_HEAD, CircuitPacket, Label, Rate, Relay, RelayConfig, Transit};
use sluis_core::{Instant, Path, Seed, Wall};

use crate::contest::Stopwatch;
use crate::samples::{HUB, SENSOR, ping};

/// Pings between two looks at the clock, and to their answers.
const BATCH: u64 = 64;
/// What passes from one ping to the next. A sender's pings and their memory come to a steady state within ten thousand.
pub(crate) const STEP: Duration = Duration::from_millis(10);
/// The hex digits in the sample that make each ping another one, in its id and in its nonce.
pub(crate) const DIGITS: [&[u8]; 2] = [b"0123456789abcdef", b"00112233445566778899aabbccddeeff"];

pub(crate) const fn sensor() -> Path {
    Path::to(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7150))
}

pub(crate) const fn hub() -> Path {
    Path::to(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 7150))
}

/// A relay between a sensor and a hub, both of which it knows.
pub struct Forwarding {
    relay: Relay,
    frame: Vec<u8>,
    places: [usize; 2],
    out: Vec<u8>,
    now: Duration,
    count: u64,
    signer: Option<SecretKey>,
    behind: Vec<u8>,
}

impl Forwarding {
    /// One that passes on the typical ping, unsigned, in this encoding.
    ///
    /// # Panics
    /// Never: the sample can be encoded.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        let much = Rate::new(1_000_000, 1_000_000);
        let config = RelayConfig { source_rate: much, target_rate: much, link_rate: much, ..RelayConfig::default() };
        let config = RelayConfig { max_open_per_source: 4096, ..config };
        let mut frame = vec![0; 2048];
        let meshed = Packet { routing_mode: RoutingMode::Mesh, ..ping() };
        let len = meshed.encode(encoding, &mut frame).expect("room");
        frame.truncate(len);
        let place = |text: &[u8]| frame.windows(text.len()).position(|window| window == text).expect("in the sample");
        Self {
            relay: Relay::new(config, &mut Seed::from_u64(1).fork("relay")),
            places: DIGITS.map(place),
            frame,
            out: vec![0; 4096],
            now: Duration::ZERO,
            count: 0,
            signer: None,
            behind: vec![0; 1232],
        }
    }

    /// The same, and each gets a record of its trace, behind that of its source.
    ///
    /// # Panics
    /// Never: there is room for the record of the source.
    #[must_use]
    pub fn traced(encoding: Encoding) -> Self {
        let mut traced = Self::new(encoding);
        let source = SecretKey::from_seed(&[1; 32]);
        let deed = Deed::Asked { ping: &[7; 32] };
        let len = traced.frame.len();
        let mut first = [0; 1232];
        let made = append(None, (SENSOR, Wall::from_secs(1)), &deed, &source, budget(len), &mut first).expect("room");
        traced.frame.extend(&first[..made.len]);
        traced.signer = Some(SecretKey::from_seed(&[2; 32]));
        traced
    }

    fn instant(&self) -> Instant {
        Instant::ZERO + self.now
    }

    /// The next ping comes, and goes on: how many bytes leave.
    ///
    /// # Panics
    /// When it does not go on.
    pub fn pass(&mut self) -> usize {
        self.now += STEP;
        self.count += 1;
        let digits = u64_digits(self.count);
        for place in self.places {
            self.frame[place..place + 16].copy_from_slice(&digits);
        }
        let now = self.instant();
        self.relay.handle_timeout(now);
        let Ok(Frame { message: Message::Packet(packet), encoding }) = Frame::decode(black_box(&self.frame)) else {
            panic!("a ping")
        };
        let transit = Transit {
            packet: &packet,
            from: sensor(),
            zone: Zone::Groen,
            proven: true,
            peer: Some(hub()),
            recorded: None,
            room: None,
            len: 0,
            peer_proven: true,
        };
        let forward = self.relay.forward(now, &transit).expect("it goes on");
        assert_eq!(forward.to().len(), 1, "the way is known");
        let trace = match &self.signer {
            None => 0,
            Some(signer) => {
                let digest = ping_digest(&packet, &mut self.out).expect("it has a JSON form");
                let (frame, trace) = Trace::split(&self.frame);
                let deed = Deed::Passed { received: &digest, passed: &digest, hop_count: Some(0), from: None };
                let who = ("jis:home:relay", Wall::from_secs(1));
                append(trace, who, &deed, signer, budget(frame.len()), &mut self.behind).expect("room").len
            }
        };
        let len = forward.encode(&packet, encoding, &mut self.out).expect("room");
        self.out[len..len + trace].copy_from_slice(&self.behind[..trace]);
        black_box(&self.out[..len + trace]);
        len + trace
    }

    /// Answer so many pings that went last.
    ///
    /// # Panics
    /// When an answer does not go back.
    pub fn answer(&mut self, last: u64) {
        let now = self.instant();
        for n in self.count - last..self.count {
            let mut id = *b"ping_0000000000000000";
            id[5..].copy_from_slice(&u64_digits(n + 1));
            let response = Response {
                in_response_to: Text::new(core::str::from_utf8(&id).expect("digits")),
                responder_did: Text::new(HUB),
                decision: Decision::Accept,
                ..Response::default()
            };
            assert_eq!(self.relay.answer(now, hub(), &response).expect("it goes back").to(), [sensor()]);
        }
    }

    /// Pass on so many, and say how long that took, their answers aside.
    pub fn run(&mut self, pings: u64) -> Duration {
        in_batches(self, pings, Self::pass, Self::answer)
    }
}

/// Pass on so many, and answer them batch by batch; how long passing on took.
pub(crate) fn in_batches<T>(
    subject: &mut T,
    pings: u64,
    pass: impl Fn(&mut T) -> usize,
    answer: impl Fn(&mut T, u64),
) -> Duration {
    let mut took = Duration::ZERO;
    let mut left = pings;
    while left > 0 {
        let batch = left.min(BATCH);
        let began = Stopwatch::start();
        for _ in 0..batch {
            black_box(pass(subject));
        }
        took += began.elapsed();
        answer(subject, batch);
        left -= batch;
    }
    took
}

/// A circuit through a relay, and a packet that goes through it.
pub struct Carrying {
    relay: Relay,
    label: Label,
    datagram: Vec<u8>,
    out: Vec<u8>,
    now: Duration,
}

impl Carrying {
    /// One with packets of this length.
    ///
    /// # Panics
    /// Never: the circuit is opened as it should be.
    #[must_use]
    pub fn new(frame: usize) -> Self {
        let much = Rate::new(u32::MAX, u32::MAX);
        let config = RelayConfig { circuit_rate: much, ..RelayConfig::default() };
        let mut relay = Relay::new(config, &mut Seed::from_u64(1).fork("relay"));
        let packet = Packet { routing_mode: RoutingMode::Mesh, ping_type: PingType::Relay, ..ping() };
        let (from, peer) = (sensor(), Some(hub()));
        let transit = Transit {
            packet: &packet,
            from,
            zone: Zone::Groen,
            proven: true,
            peer,
            recorded: None,
            room: None,
            len: 0,
            peer_proven: true,
        };
        relay.forward(Instant::ZERO, &transit).expect("it goes on");
        let (in_response_to, responder_did) = (packet.packet_id, packet.target_did);
        let payload = Value::from_json(r#"{"circuit":true}"#).expect("JSON");
        let yes =
            Response { in_response_to, responder_did, decision: Decision::Accept, payload, ..Response::default() };
        assert!(relay.answer(Instant::ZERO, hub(), &yes).expect("it goes back").opened_circuit());
        let label = Label::of("ping_0123456789abcdef", SENSOR, HUB);
        let mut datagram = CircuitPacket::head(label, 16, frame).to_vec();
        datagram.resize(CIRCUIT_HEAD + frame, 0xa5);
        Self { relay, label, out: datagram.clone(), datagram, now: Duration::ZERO }
    }

    /// A packet comes, and goes on from where it was copied to.
    ///
    /// # Panics
    /// When it does not.
    pub fn pass(&mut self) {
        self.now += Duration::from_millis(10);
        self.out.copy_from_slice(black_box(&self.datagram));
        let to = self.relay.carry(Instant::ZERO + self.now, sensor(), &mut self.out).expect("it goes on");
        assert_eq!(black_box(to), hub());
        black_box(&self.out);
    }

    /// The floor: a header written anew in front of what is copied.
    pub fn copy(&mut self) {
        let (frame, head) = (self.datagram.len() - CIRCUIT_HEAD, CIRCUIT_HEAD);
        self.out[head..].copy_from_slice(black_box(&self.datagram[head..]));
        self.out[..head].copy_from_slice(&CircuitPacket::head(black_box(self.label), 15, frame));
        black_box(&self.out);
    }
}
