//! Reading and writing envelopes, MQTT packets and sealed packets costs no heap allocation, nor does a sealed message at either end.

use std::sync::Arc;
use std::time::Duration;

use sluis_benches::alloc::calls_in;
use sluis_benches::signal::{key as bench_key, named};
use sluis_core::{Instant, Machine as _, Now, Seed, Wall};
use sluis_signal::broker::Order;
use sluis_signal::envelope::{Content, Kind, Unverified};
use sluis_signal::key::SecretKey;
use sluis_signal::mqtt::{MAX_PACKET, Packet, Publish, Reader, encode};
use sluis_signal::rendezvous::{Config, Event, Rendezvous};
use sluis_signal::sealed::{Answered, Offer};

#[test]
fn envelopes_and_packets_need_no_heap() {
    assert!(calls_in(|| drop(std::hint::black_box(vec![1_u8; 10]))) > 0, "it counts");
    let key = SecretKey::from_bytes(&[1; 32]).expect("a key");
    let topic = key.public().to_string();
    // Tables of the curve are made once.
    let warm = key.sign_sha1(&[b"warm"]);
    key.public().verify_sha1(&[b"warm"], &warm).expect("our signature");
    let mut envelope = [0; 400];
    let mut wire = [0; 600];
    let mut reader = Reader::new(MAX_PACKET);
    let calls = calls_in(|| {
        for seq in 0..3 {
            let content =
                Content { queue: [7; 32], seq, timestamp: 1_736_942_400, kind: Kind::Message as u8, body: &[1; 200] };
            let len = content.sign(&key, &mut envelope).expect("room");
            let publish =
                Publish { topic: &topic, payload: &envelope[..len], id: Some(1), retain: false, duplicate: false };
            let len = encode::publish(&publish, &mut wire).expect("room");
            let (packet, taken) = reader.read(&wire[..len]).expect("a packet");
            assert_eq!(taken, len);
            let Some(Packet::Publish(heard)) = packet else { panic!("{packet:?}") };
            let heard = Unverified::parse(heard.payload).and_then(|parsed| parsed.verify()).expect("our signature");
            assert_eq!((heard.source, heard.content), (key.public(), content));
            assert_eq!(encode::puback(1, &mut wire), Ok(4));
            assert_eq!(reader.read(&wire[..4]), Ok((Some(Packet::PubAck { id: 1 }), 4)));
        }
    });
    assert_eq!(calls, 0);
}

#[test]
fn sealed_messages_need_no_heap_at_either_end() {
    let key = |n| SecretKey::from_bytes(&[n; 32]).expect("a key");
    let mut offer = Offer::new(&key(1), key(2).public(), key(3)).expect("a hello");
    let mut answered = Answered::new(&key(2), offer.body(), key(4)).expect("an answer");
    let mut a = offer.answered(&key(1), answered.body(), None, Instant::ZERO).expect("a session");
    let mut wire = [0; 600];
    let len = a.seal(Instant::ZERO, 1, &[7; 16], b"first", &mut wire).expect("room");
    let mut b = answered.first(&key(2), &wire[..len], Instant::ZERO).expect("a session").session;
    // The window of each direction is made with the first packet.
    b.open(Instant::ZERO, &mut wire[..len]).expect("a packet");
    let len = b.seal(Instant::ZERO, 2, &[7; 16], b"first", &mut wire).expect("room");
    a.open(Instant::ZERO, &mut wire[..len]).expect("a packet");
    let calls = calls_in(|| {
        for n in 0..3 {
            let len = b.seal(Instant::ZERO, 2, &[n; 16], &[n; 200], &mut wire).expect("room");
            assert_eq!(a.open(Instant::ZERO, &mut wire[..len]).map(|opened| opened.body.len()), Ok(200));
            let len = a.seal(Instant::ZERO, 1, &[n; 16], &[n; 300], &mut wire).expect("room");
            assert_eq!(b.open(Instant::ZERO, &mut wire[..len]).map(|opened| opened.body.len()), Ok(300));
        }
    });
    assert_eq!(calls, 0);
}

/// A node at a broker that is played here, and how often it has asked for memory.
struct End {
    machine: Rendezvous,
    topic: String,
    reader: Reader,
    calls: u64,
}

fn now(ms: u64) -> Now {
    let mono = Instant::ZERO + Duration::from_millis(1_000_000 + ms);
    Now::new(mono, Wall::from_micros(1_736_942_400_000_000 + i64::try_from(ms).expect("a time") * 1000))
}

impl End {
    fn new(n: u64) -> Self {
        let machine =
            Rendezvous::new(Config::new(bench_key(n), vec![named("a.test", 1883)]), &Seed::from_u64(n), now(0));
        let topic = machine.public_key().to_string();
        let mut this = Self { machine, topic, reader: Reader::new(MAX_PACKET), calls: 0 };
        this.machine.handle_timeout(now(0));
        while let Some((_, order)) = this.machine.broker_order() {
            assert_eq!(order, Order::Dial);
            this.machine.broker_up(now(0), 0);
            this.machine.broker_bytes(now(0), 0, &[0x20, 2, 0, 0, 0x90, 3, 0, 1, 1]);
        }
        this
    }

    fn counted<T>(&mut self, what: impl FnOnce(&mut Rendezvous) -> T) -> T {
        let mut done = None;
        self.calls += calls_in(|| done = Some(what(&mut self.machine)));
        done.expect("it ran")
    }

    /// What it publishes goes to the other one; the broker acknowledges it. Whether there was anything.
    fn speaks_to(&mut self, ms: u64, other: &mut Self) -> bool {
        let (mut out, mut wire) = ([0; 4096], [0; 4096]);
        let len = self.counted(|machine| machine.broker_output(now(ms), 0, &mut out));
        let mut rest = &out[..len];
        while let (Some(packet), taken) = self.reader.read(rest).expect("MQTT") {
            rest = &rest[taken..];
            let Packet::Publish(publish) = packet else { continue };
            assert_eq!(publish.topic, other.topic);
            let heard = Publish { id: None, ..publish };
            let len = encode::publish(&heard, &mut wire).expect("room");
            let id = publish.id.expect("quality 1").to_be_bytes();
            other.counted(|machine| machine.broker_bytes(now(ms), 0, &wire[..len]));
            let machine = &mut self.machine;
            self.calls += calls_in(|| assert_eq!(machine.broker_bytes(now(ms), 0, &[0x40, 2, id[0], id[1]]), 4));
        }
        len > 0
    }
}

/// From the call to the acknowledgement in the sender's hand, through both machines, where the application hands back the memory of what it has read;
/// without that each message takes one piece at its receiver.
#[test]
fn sealed_messages_through_two_machines_need_no_heap() {
    assert_eq!([calls_a_message(true), calls_a_message(false)], [[0, 0], [0, 1]]);
}

/// How often memory is asked for with each message, at its sender and its receiver.
fn calls_a_message(hands_back: bool) -> [u64; 2] {
    const MESSAGES: u64 = 100;
    let (mut alice, mut bob) = (End::new(1), End::new(2));
    let (to, body): (_, Arc<[u8]>) = (bob.machine.public_key(), vec![7; 200].into());
    let mut ends = [0, 0];
    for n in 0..2 * MESSAGES {
        if n == MESSAGES {
            // The handshake, and tables that have grown, are behind them.
            (alice.calls, bob.calls) = (0, 0);
        }
        let (ms, body) = (n * 5, body.clone());
        alice.counted(|machine| machine.send(now(ms), &to, body, true, Duration::from_secs(60))).expect("room");
        let mut sent = false;
        for _ in 0..100 {
            let moved = alice.speaks_to(ms, &mut bob) | bob.speaks_to(ms, &mut alice);
            while let Some(event) = bob.counted(|machine| machine.poll_event()) {
                if let Event::Message(message) = event {
                    assert!(bob.counted(|machine| machine.confirm(now(ms), &message.key)));
                    if hands_back {
                        bob.counted(|machine| machine.take_back(message.body));
                    }
                }
            }
            while let Some(event) = alice.counted(|machine| machine.poll_event()) {
                sent |= matches!(event, Event::Sent { outcome: Ok(_), .. });
            }
            if !moved && sent {
                break;
            }
        }
        assert!(sent, "message {n}");
        ends = [alice.calls, bob.calls];
    }
    println!("{ends:?} heap allocations for {MESSAGES} messages, at their sender and their receiver");
    ends.map(|calls| calls.div_ceil(MESSAGES))
}
