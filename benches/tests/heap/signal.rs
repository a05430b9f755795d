//! What signalling holds on the heap: for a peer with a session, for a broker that is joined, and against a hostile broker.

use std::sync::Arc;
use std::time::Duration;

use sluis_benches::alloc::heap;
use sluis_benches::signal::{key, named};
use sluis_core::{Instant, Machine as _, Now, Rng, Seed, Wall};
use sluis_signal::broker::Order;
use sluis_signal::envelope::{Content, Kind, Unverified};
use sluis_signal::key::SecretKey;
use sluis_signal::mqtt::{MAX_PACKET, Packet, Publish, Reader, encode};
use sluis_signal::rendezvous::{Config, Event, Legacy, Rendezvous, Turned};
use sluis_signal::sealed::Offer;

/// Handshakes of this curve take their time in a debug build.
const PEERS: u64 = if cfg!(debug_assertions) { 1000 } else { 2000 };
/// Hostile packets.
const PACKETS: u64 = if cfg!(debug_assertions) { 60_000 } else { 5_000_000 };

fn now(ms: u64) -> Now {
    let mono = Instant::ZERO + Duration::from_millis(1_000_000 + ms);
    Now::new(mono, Wall::from_micros(1_736_942_400_000_000 + i64::try_from(ms).expect("a time") * 1000))
}

/// A node at one broker, which is played here.
struct Hub {
    machine: Rendezvous,
    ms: u64,
    topic: String,
    reader: Reader,
    buffer: Vec<u8>,
}

impl Hub {
    fn new(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(key(1), vec![named("hub.test", 1883)]);
        configure(&mut config);
        let machine = Rendezvous::new(config, &Seed::from_u64(1), now(0));
        let topic = machine.public_key().to_string();
        let mut this = Self { machine, ms: 0, topic, reader: Reader::new(MAX_PACKET), buffer: vec![0; 8192] };
        this.join();
        this
    }

    fn join(&mut self) {
        self.machine.handle_timeout(now(self.ms));
        while let Some((_, order)) = self.machine.broker_order() {
            if order == Order::Dial {
                self.reader = Reader::new(MAX_PACKET);
                self.machine.broker_up(now(self.ms), 0);
                self.machine.broker_bytes(now(self.ms), 0, &[0x20, 2, 0, 0, 0x90, 3, 0, 1, 1]);
            }
        }
    }

    /// Time passes; the broker answers what it is asked.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms.div_ceil(5000) {
            self.ms += ms.min(5000);
            self.machine.handle_timeout(now(self.ms));
            drop(self.says());
            self.machine.broker_bytes(now(self.ms), 0, &[0xd0, 0]);
            while self.machine.poll_event().is_some() {}
        }
    }

    /// Somebody publishes to it.
    fn hears(&mut self, payload: &[u8]) {
        let publish = Publish { topic: &self.topic, payload, id: None, retain: false, duplicate: false };
        let mut wire = vec![0; payload.len() + 100];
        let len = encode::publish(&publish, &mut wire).expect("room");
        self.machine.broker_bytes(now(self.ms), 0, &wire[..len]);
    }

    /// What it publishes; the broker acknowledges it.
    fn says(&mut self) -> Vec<Vec<u8>> {
        let mut said = Vec::new();
        loop {
            let len = self.machine.broker_output(now(self.ms), 0, &mut self.buffer);
            if len == 0 {
                return said;
            }
            let (mut rest, mut acks) = (&self.buffer[..len], Vec::new());
            while let (Some(packet), taken) = self.reader.read(rest).expect("MQTT") {
                if let Packet::Publish(publish) = packet {
                    said.push(publish.payload.to_vec());
                    let id = publish.id.expect("quality 1").to_be_bytes();
                    acks.extend([0x40, 2, id[0], id[1]]);
                }
                rest = &rest[taken..];
            }
            self.machine.broker_bytes(now(self.ms), 0, &acks);
        }
    }
}

fn envelope(key: &SecretKey, kind: Kind, queue: u8, ms: u64, body: &[u8]) -> Vec<u8> {
    let timestamp = u64::try_from(now(ms).wall.as_micros() / 1_000_000).expect("after 1970");
    let content = Content { queue: [queue; 32], seq: 0, timestamp, kind: kind as u8, body };
    let mut out = vec![0; content.envelope_len()];
    content.sign(key, &mut out).expect("room");
    out
}

/// Each says hello, sends a message, and has it acknowledged; then all are silent for a minute.
#[test]
fn a_peer_with_a_session_takes_little_memory() {
    let _alone = crate::alone();
    let mut hub = Hub::new(|config| config.peers = usize::try_from(2 * PEERS).expect("few") + 8);
    let mut rng: Rng = Seed::from_u64(9).fork("ephemeral");
    // The first brings what is there once.
    greet(&mut hub, 1000, &mut rng);
    hub.pass(60_000);
    let count = usize::try_from(PEERS).expect("few");
    // Twice, and the less counts: the harness may begin another test meanwhile, whose thread takes some memory before it waits.
    let mut each = [0, 1].map(|half| {
        let before = heap();
        for n in 0..PEERS {
            greet(&mut hub, 2000 + half * PEERS + n, &mut rng);
            hub.pass(70);
        }
        hub.pass(60_000);
        let after = heap();
        [(after.live - before.live) / count, (after.held - before.held) / count]
    });
    each.sort_unstable();
    let each = each[0];
    println!("{} bytes a peer, {} with malloc's overhead", each[0], each[1]);
    assert!(each[0] > 150, "its keys alone take more: {each:?}");
    assert!(each[0] <= MOST_OF_A_PEER, "{each:?}");
    // They are still there.
    assert_eq!(hub.machine.turned(Turned::Session), 0);
}

/// The peer with its session, whose that is, that it is one of ours, and what is known of the messages it has sent.
const MOST_OF_A_PEER: usize = 400;

fn greet(hub: &mut Hub, n: u64, rng: &mut Rng) {
    let peer = key(n);
    let mut offer = Offer::new(&peer, hub.machine.public_key(), SecretKey::generate(rng)).expect("a hello");
    hub.hears(&envelope(&peer, Kind::Probe, 1, hub.ms, offer.body()));
    let answer = hub.says().pop().expect("an answer");
    let answer = Unverified::parse(&answer).and_then(|envelope| envelope.verify()).expect("an envelope");
    let mut session = offer.answered(&peer, answer.content.body, None, now(hub.ms).mono).expect("act two");
    let mut id = [0; 16];
    id[7] = 1;
    // The oldest that is tried, when it was said, and what.
    let body = [&[0; 16][..], b"hello"].concat();
    let mut packet = vec![0; session.next_len(body.len())];
    session.seal(now(hub.ms).mono, 1, &id, &body, &mut packet).expect("room");
    hub.hears(&packet);
    loop {
        if let Event::Message(message) = hub.machine.poll_event().expect("a message") {
            assert_eq!((message.key.from(), &message.body[..]), (peer.public(), &b"hello"[..]));
            assert!(hub.machine.confirm(now(hub.ms), &message.key));
            break;
        }
    }
    assert!(!hub.says().is_empty(), "an acknowledgement");
}

/// One that is joined and used: what is queued for it is written.
#[test]
fn a_joined_broker_takes_at_most_8_kib() {
    let _alone = crate::alone();
    const BROKERS: usize = 10;
    let node = |count: usize| {
        let places = (0..count).map(|n| named(&format!("broker{n}.test"), 1883)).collect();
        let mut machine = Rendezvous::new(Config::new(key(1), places), &Seed::from_u64(1), now(0));
        machine.handle_timeout(now(0));
        while let Some((at, _)) = machine.broker_order() {
            machine.broker_up(now(0), at);
            machine.broker_bytes(now(0), at, &[0x20, 2, 0, 0, 0x90, 3, 0, 1, 1]);
        }
        assert_eq!(machine.joined(), (count, count));
        let mut buffer = vec![0; 4096];
        for n in 0..50 {
            let sent = machine.send(now(n), &key(2).public(), Arc::from(&[7; 200][..]), true, Duration::from_secs(5));
            sent.expect("room");
            machine.handle_timeout(now(n * 100));
            for at in 0..count {
                while machine.broker_output(now(n * 100), at, &mut buffer) > 0 {}
            }
        }
        while machine.poll_event().is_some() {}
        machine
    };
    drop(node(1));
    let before = heap();
    let one = node(1);
    let between = heap();
    let many = node(BROKERS);
    let after = heap();
    let one_takes = between.live - before.live;
    let each = (after.live - between.live - one_takes) / (BROKERS - 1);
    println!("{each} bytes a joined broker");
    assert!((500..=8192).contains(&each), "{each}");
    drop((one, many));
}

/// A broker sends everything that can be wrong, over and over: what it leaves are counters.
#[test]
fn hostile_packets_leave_nothing_behind() {
    let _alone = crate::alone();
    let mut hub = Hub::new(|config| config.legacy = Legacy::Only([key(2).public()].into()));
    let mut rng: Rng = Seed::from_u64(3).fork("hostile");
    let stranger = key(7);
    let signed = [
        envelope(&stranger, Kind::Message, 1, 0, b"in the clear"),
        envelope(&stranger, Kind::Ack, 2, 0, b"ack"),
        envelope(&stranger, Kind::Probe, 3, 0, b""),
        envelope(&key(2), Kind::Message, 4, 0, b"a copy of the same"),
    ];
    let round = |hub: &mut Hub, rng: &mut Rng, count: u64| {
        for n in 0..count {
            match n % 8 {
                0..4 => hub.hears(&signed[usize::try_from(n % 4).expect("few")]),
                4 => {
                    let mut noise = vec![0; usize::try_from(rng.u64() % 300).expect("few")];
                    rng.fill(&mut noise);
                    hub.hears(&noise);
                }
                5 => {
                    // Like a packet of a session, and like the first of one.
                    let mut noise = [0; 120];
                    rng.fill(&mut noise);
                    noise[0] = if n % 16 < 8 { 0x53 } else { 0x54 };
                    hub.hears(&noise);
                }
                6 => {
                    // An acknowledgement of what was not sent, and a foreign topic.
                    let now = now(hub.ms);
                    hub.machine.broker_bytes(now, 0, &[0x40, 2, 9, 9, 0x30, 4, 0, 1, b'x', b'y']);
                }
                _ => {
                    let mut touched = signed[usize::try_from(n / 8 % 4).expect("few")].clone();
                    let at = usize::try_from(rng.u64()).unwrap_or(0) % touched.len();
                    touched[at] ^= 1;
                    hub.hears(&touched);
                }
            }
            drop(hub.says());
            while let Some(event) = hub.machine.poll_event() {
                if let Event::Message(message) = event {
                    hub.machine.confirm(now(hub.ms), &message.key);
                }
            }
            if n % 1000 == 999 {
                hub.pass(1000);
            }
        }
    };
    round(&mut hub, &mut rng, PACKETS / 10);
    let warm = heap();
    let mut most = warm.live;
    for tenth in 1..=9 {
        round(&mut hub, &mut rng, PACKETS / 10);
        let live = heap().live;
        most = most.max(live);
        assert!(live <= warm.live + 8192, "after {tenth} tenths {live} bytes, {} when warm", warm.live);
    }
    println!("{PACKETS} packets: {} bytes when warm, {most} at most after that", warm.live);
    for why in [Turned::Unverified, Turned::Session, Turned::Plain, Turned::Unasked] {
        assert!(hub.machine.turned(why) > 0, "{why:?}");
    }
    assert_eq!(hub.machine.joined().0, 1);
}
