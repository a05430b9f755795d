//! The machine of one broker against brokers that refuse, lie, fall silent and come back.

mod common;

use std::sync::Arc;

use common::{key, rows, text};
use proptest::prelude::*;
use sluis_core::time::Duration;
use sluis_core::{Instant, Seed};
use sluis_signal::broker::{Broker, End, Event, Left, Order, PublishError, Settings};
use sluis_signal::mqtt::{MAX_PACKET, Packet, Publish, Reader, decode, encode};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A machine and its clock.
struct World {
    broker: Broker,
    now: Instant,
}

impl World {
    fn new(settings: Settings) -> Self {
        let now = Instant::ZERO + seconds(1000);
        Self {
            broker: Broker::new(settings, &key("alice").public(), Seed::from_u64(1).fork("broker"), now, seconds(0)),
            now,
        }
    }

    fn after(&mut self, by: Duration) -> Option<Left> {
        self.now = self.now + by;
        self.broker.handle_timeout(self.now)
    }

    /// Wait for the next thing to do.
    fn next(&mut self) -> Option<Left> {
        self.now = self.now.max(self.broker.deadline().expect("it never gives up"));
        self.broker.handle_timeout(self.now)
    }

    /// All that it writes, as packets.
    fn writes(&mut self) -> Vec<String> {
        let mut out = vec![0; 200_000];
        let len = self.broker.poll_bytes(self.now, &mut out);
        let (mut rest, mut packets) = (&out[..len], Vec::new());
        while let Some((packet, taken)) = decode(rest, MAX_PACKET).unwrap() {
            packets.push(match packet {
                Packet::Publish(publish) => format!("PUBLISH {}", String::from_utf8_lossy(publish.payload)),
                Packet::Connect(connect) => format!("CONNECT {} {}", connect.client_id, connect.clean),
                Packet::Subscribe { id, filters } => format!("SUBSCRIBE {id} {:?}", filters.iter().collect::<Vec<_>>()),
                other => format!("{other:?}"),
            });
            rest = &rest[taken..];
        }
        assert!(rest.is_empty());
        packets
    }

    /// What it hears in these bytes.
    fn hears(&mut self, mut bytes: &[u8]) -> Result<Vec<String>, Left> {
        let mut events = Vec::new();
        while !bytes.is_empty() {
            let (taken, event) = self.broker.handle_bytes(self.now, bytes)?;
            bytes = &bytes[taken..];
            if let Some(event) = event {
                events.push(match event {
                    Event::Message(payload) => String::from_utf8_lossy(payload).into_owned(),
                    other => format!("{other:?}"),
                });
            } else if taken == 0 {
                panic!("it takes nothing");
            }
        }
        Ok(events)
    }

    /// Dial and get in.
    fn join(&mut self) {
        assert_eq!((self.next(), self.broker.poll_order()), (None, Some(Order::Dial)));
        self.broker.handle_up(self.now);
        self.writes();
        self.now = self.now + Duration::from_millis(20);
        self.hears(CONNACK).unwrap();
        self.writes();
        assert_eq!(self.hears(SUBACK).unwrap(), ["Joined(20ms)"]);
        assert!(self.broker.is_joined());
    }

    fn publish(&mut self, payload: &str, ticket: u64) -> Result<(), PublishError> {
        self.broker.publish(&key("bob").public(), Arc::from(payload.as_bytes()), ticket)
    }
}

const CONNACK: &[u8] = &[0x20, 2, 0, 0];
const SUBACK: &[u8] = &[0x90, 3, 0, 1, 1];
const PINGRESP: &[u8] = &[0xd0, 0];

fn message(to: &str, payload: &str, id: u16) -> Vec<u8> {
    let topic = key(to).public().to_string();
    let publish = Publish { topic: &topic, payload: payload.as_bytes(), id: Some(id), retain: false, duplicate: false };
    let mut out = vec![0; 1000];
    let len = encode::publish(&publish, &mut out).unwrap();
    out.truncate(len);
    out
}

#[test]
fn it_joins_after_both_answers_and_anew_on_every_connection() {
    let mut world = World::new(Settings::default());
    let topic = key("alice").public();
    let mut names = Vec::new();
    for _ in 0..3 {
        assert_eq!(
            (world.next(), world.broker.poll_order(), world.broker.poll_order()),
            (None, Some(Order::Dial), None)
        );
        world.broker.handle_up(world.now);
        let written = world.writes();
        assert!(
            written.len() == 1 && written[0].starts_with("CONNECT ") && written[0].ends_with(" true"),
            "{written:?}"
        );
        names.push(written[0].clone());
        assert_eq!(world.hears(CONNACK).unwrap(), [""; 0]);
        assert!(!world.broker.is_joined() && world.publish("too early", 1) == Err(PublishError::NotJoined));
        assert_eq!(world.writes(), [format!("SUBSCRIBE 1 [({:?}, AtLeastOnce)]", topic.to_string())]);
        assert_eq!(world.hears(SUBACK).unwrap(), ["Joined(0ns)"]);
        assert!(world.broker.is_joined());
        assert_eq!(world.broker.handle_end(world.now, End::Lost), Some(Left::Lost));
        assert!(!world.broker.is_joined() && world.broker.poll_order().is_none());
        assert_eq!(world.broker.handle_end(world.now, End::Lost), None);
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 3, "no client id is used twice");
}

/// What the reference's client made of odd brokers; and what ours makes of them.
#[test]
fn odd_brokers_are_met_as_the_reference_meets_them_or_better() {
    let suback = SUBACK;
    let mut seen = 0;
    for row in rows("broker_connect.jsonl") {
        let name = text(&row, "name");
        let connected = row["result"] == "connected";
        // Bytes before and after the subscription, and how it ends.
        let (first, then, expected): (&[u8], &[u8], Option<Left>) = match name {
            "normal" | "CONNACK byte by byte, SUBACK byte by byte" => (CONNACK, suback, None),
            "CONNACK return code 5" => (&[0x20, 2, 0, 5], &[], Some(Left::Refused(5))),
            "CONNACK session present, code 0: refused too" => (&[0x20, 2, 1, 0], &[], Some(Left::Protocol)),
            "CONNACK too short then close" => (&[0x20, 2], &[], Some(Left::Ended)),
            "CONNACK then close" => (CONNACK, &[], Some(Left::Ended)),
            "no answer to CONNECT" => (&[], &[], Some(Left::NoConnAck)),
            "close on accept" => (&[], &[], Some(Left::Ended)),
            "HTTP answer" => (b"HTTP/1.1 400", &[], Some(Left::Malformed(sluis_signal::mqtt::DecodeError::Reserved))),
            "MQTT 5 CONNACK" => {
                (&[0x20, 3, 0, 0, 0], &[], Some(Left::Malformed(sluis_signal::mqtt::DecodeError::Trailing)))
            }
            "CONNACK glued to PINGRESP" => (&[0x20, 2, 0, 0, 0xd0, 0], suback, None),
            "SUBACK QoS 0" => (CONNACK, &[0x90, 3, 0, 1, 0], Some(Left::SubscriptionRefused(0))),
            "SUBACK QoS 2" => (CONNACK, &[0x90, 3, 0, 1, 2], Some(Left::SubscriptionRefused(2))),
            "SUBACK failure 0x80" => (CONNACK, &[0x90, 3, 0, 1, 0x80], Some(Left::SubscriptionRefused(0x80))),
            // The reference takes these two, which answer something else than was asked.
            "SUBACK with no code at all: accepted" => {
                (CONNACK, &[0x90, 2, 0, 1], Some(Left::Malformed(sluis_signal::mqtt::DecodeError::Short)))
            }
            "SUBACK with two codes 1,1: accepted" => (CONNACK, &[0x90, 4, 0, 1, 1, 1], Some(Left::Protocol)),
            "SUBACK for another packet id" => (CONNACK, &[0x90, 3, 0, 9, 1], Some(Left::Protocol)),
            "no SUBACK" => (CONNACK, &[], Some(Left::NoSubAck)),
            "PUBACK instead of SUBACK" => (CONNACK, &[0x40, 2, 0, 1], Some(Left::NoSubAck)),
            // There the reader is stuck for good.
            "malformed length before the SUBACK: the reader is stuck for good" => (
                CONNACK,
                &[0x30, 0xff, 0xff, 0xff, 0xff],
                Some(Left::Malformed(sluis_signal::mqtt::DecodeError::Length)),
            ),
            "unknown packet type 15 before the SUBACK" => {
                (CONNACK, &[0xf0, 0], Some(Left::Malformed(sluis_signal::mqtt::DecodeError::Type)))
            }
            "nothing listens on the port" => continue,
            other => panic!("a row that nobody thought of: {other}"),
        };
        let deviates = name.ends_with(": accepted");
        assert_eq!(connected, expected.is_none() || deviates, "{name}");
        let mut world = World::new(Settings::default());
        world.next();
        assert_eq!(world.broker.poll_order(), Some(Order::Dial));
        world.broker.handle_up(world.now);
        world.writes();
        let mut end = None;
        for bytes in [first, then] {
            for byte in bytes {
                end = end.or(world.hears(&[*byte]).err());
            }
            world.writes();
        }
        if end.is_none() && expected == Some(Left::Ended) {
            end = world.broker.handle_end(world.now, End::Ended);
        } else if end.is_none() && expected.is_some() {
            end = world.after(seconds(5));
        }
        assert_eq!((end, world.broker.is_joined()), (expected, expected.is_none()), "{name}");
        if let Some(end) = end {
            assert!(!end.name().is_empty() && !end.to_string().is_empty());
            // The stream is dropped, unless it is gone; and it is tried again.
            assert_eq!(world.broker.poll_order(), (end != Left::Ended).then_some(Order::Abort), "{name}");
            assert_eq!((world.next(), world.broker.poll_order()), (None, Some(Order::Dial)), "{name}");
        }
        seen += 1;
    }
    assert_eq!(seen, 21);
}

#[test]
fn messages_are_acknowledged_before_anything_else_and_foreign_ones_counted() {
    let mut world = World::new(Settings::default());
    world.join();
    let bytes = [message("alice", "for us", 7), message("bob", "for him", 8), message("alice", "again", 9)].concat();
    assert_eq!(world.hears(&bytes).unwrap(), ["for us", "again"]);
    assert_eq!(world.writes(), ["PubAck { id: 7 }", "PubAck { id: 8 }", "PubAck { id: 9 }"]);
    assert_eq!(world.hears(&[0x40, 2, 0, 77]).unwrap(), [""; 0]);
    assert_eq!((world.broker.counts().foreign_topics, world.broker.counts().unknown_ids), (1, 1));
}

#[test]
fn what_is_published_is_numbered_taken_and_taken_back() {
    let mut world = World::new(Settings::default());
    world.join();
    for (n, payload) in ["one", "two", "three"].into_iter().enumerate() {
        world.publish(payload, n as u64).unwrap();
    }
    assert!(world.broker.wants_write(world.now));
    // The first acknowledgement of a message stops its copies, also those not written yet.
    assert!(world.broker.cancel(1) && !world.broker.cancel(1));
    assert_eq!(world.writes(), ["PUBLISH one", "PUBLISH three"]);
    assert!(!world.broker.wants_write(world.now));
    assert_eq!(world.hears(&[0x40, 2, 0, 3, 0x40, 2, 0, 2]).unwrap(), ["Taken { ticket: 2 }", "Taken { ticket: 0 }"]);
}

/// A message is written in whatever pieces the stream takes; what the protocol wants goes between two messages.
#[test]
fn messages_are_written_in_any_pieces() {
    for piece in [1, 7, 64, 100] {
        let mut world = World::new(Settings::default());
        world.join();
        let long = "x".repeat(300);
        world.publish(&long, 1).unwrap();
        world.publish("short", 2).unwrap();
        let (mut wire, mut out) = (Vec::new(), vec![0; piece]);
        let len = world.broker.poll_bytes(world.now, &mut out);
        wire.extend_from_slice(&out[..len]);
        world.hears(&message("alice", "meanwhile", 5)).unwrap();
        loop {
            match world.broker.poll_bytes(world.now, &mut out) {
                0 => break,
                len => wire.extend_from_slice(&out[..len]),
            }
        }
        let (mut reader, mut rest, mut seen) = (Reader::new(MAX_PACKET), &wire[..], Vec::new());
        while let (Some(packet), taken) = reader.read(rest).unwrap() {
            rest = &rest[taken..];
            seen.push(match packet {
                Packet::Publish(publish) => publish.payload.len(),
                Packet::PubAck { id } => usize::from(id),
                other => panic!("{other:?}"),
            });
        }
        assert_eq!(seen, [300, 5, 5], "in pieces of {piece}");
        assert!(world.broker.heap_bytes() <= 8192, "{}", world.broker.heap_bytes());
    }
}

/// 20 a second, 50 at once: a public broker ends the connection of who sends more.
#[test]
fn publishing_keeps_the_pace_of_the_broker() {
    let mut world = World::new(Settings::default());
    world.join();
    for n in 0..100 {
        world.publish("x", n).unwrap();
    }
    let start = world.now;
    let mut sent = world.writes().len();
    assert_eq!(sent, 50);
    while sent < 100 {
        assert!(!world.broker.wants_write(world.now));
        assert_eq!(world.next(), None);
        sent += world.writes().iter().filter(|packet| packet.starts_with("PUBLISH")).count();
        for id in 2..=u16::try_from(sent).unwrap() + 1 {
            let [high, low] = id.to_be_bytes();
            world.hears(&[0x40, 2, high, low]).unwrap();
        }
    }
    assert_eq!(world.now.saturating_since(start), Duration::from_millis(2500));
}

#[test]
fn a_full_queue_is_said_and_nothing_blocks() {
    let mut world = World::new(Settings { max_queue: 2, max_queue_bytes: 10, ..Settings::default() });
    world.join();
    assert_eq!((world.publish("12345", 1), world.publish("123456", 2)), (Ok(()), Err(PublishError::Full)));
    assert_eq!((world.publish("1", 2), world.publish("1", 3)), (Ok(()), Err(PublishError::Full)));
    world.writes();
    assert_eq!(world.publish("1", 3), Ok(()));
}

#[test]
fn a_silent_broker_is_asked_and_then_left() {
    let mut world = World::new(Settings::default());
    world.join();
    let start = world.now;
    for _ in 0..3 {
        assert_eq!((world.next(), world.writes()), (None, vec!["PingReq".to_owned()]));
        world.now = world.now + Duration::from_millis(30);
        assert_eq!(world.hears(PINGRESP).unwrap(), [""; 0]);
        assert_eq!(world.broker.rtt(), Duration::from_millis(30));
    }
    assert_eq!((world.next(), world.writes().len()), (None, 1));
    assert_eq!(world.next(), Some(Left::Silent));
    let silent = world.now.saturating_since(start);
    assert!(silent >= seconds(50) && silent < seconds(51), "{silent:?}");
    assert_eq!(world.broker.poll_order(), Some(Order::Abort));
}

/// A laptop that slept an hour: the stream looks well and is dead.
#[test]
fn after_a_gap_in_time_a_broker_gets_three_round_trips() {
    let mut world = World::new(Settings::default());
    world.join();
    assert_eq!((world.after(seconds(3600)), world.writes()), (None, vec!["PingReq".to_owned()]));
    let asked = world.now;
    assert_eq!((world.next(), world.now.saturating_since(asked)), (Some(Left::Silent), Duration::from_millis(250)));
    // One that is there is kept.
    let mut world = World::new(Settings::default());
    world.join();
    world.after(seconds(3600));
    world.writes();
    world.hears(PINGRESP).unwrap();
    assert_eq!((world.after(seconds(1)), world.broker.is_joined()), (None, true));
}

#[test]
fn a_broker_that_acknowledges_nothing_is_left() {
    let mut world = World::new(Settings::default());
    world.join();
    world.publish("x", 1).unwrap();
    world.writes();
    let start = world.now;
    let end = loop {
        if let Some(left) = world.next() {
            break left;
        }
        world.writes();
        world.hears(PINGRESP).unwrap();
    };
    assert_eq!((end, world.now.saturating_since(start)), (Left::NoPubAck, seconds(20)));
}

/// It would rather read nothing more than hold acknowledgements without end.
#[test]
fn acknowledgements_that_cannot_be_written_stop_the_reading() {
    let mut world = World::new(Settings::default());
    world.join();
    let bytes = message("alice", "x", 5);
    let mut taken = 0;
    while world.broker.handle_bytes(world.now, &bytes).unwrap().0 > 0 {
        taken += 1;
        assert!(taken < 5000);
    }
    assert!(world.broker.wants_write(world.now) && world.broker.heap_bytes() < 16_384);
    assert_eq!(world.writes().len(), taken);
    assert!(world.broker.handle_bytes(world.now, &bytes).unwrap().0 > 0);
}

/// Accept and drop, for a day: it is not tried more often than it should be.
#[test]
fn back_off_is_not_defeated_by_a_broker_that_accepts_and_drops() {
    let mut world = World::new(Settings::default());
    let (start, mut tries) = (world.now, 0);
    while world.now.saturating_since(start) < seconds(86_400) {
        world.join();
        world.broker.handle_end(world.now, End::Ended);
        tries += 1;
    }
    // Half a minute each, on the average.
    assert!((2500..3300).contains(&tries), "{tries}");
}

#[test]
fn it_leaves_in_peace_when_told_to() {
    let mut world = World::new(Settings::default());
    world.join();
    world.publish("never sent", 1).unwrap();
    world.broker.close();
    assert_eq!((world.broker.poll_order(), world.writes()), (Some(Order::Finish), vec!["Disconnect".to_owned()]));
    assert_eq!((world.broker.handle_end(world.now, End::Ended), world.broker.deadline()), (None, None));
    assert_eq!((world.after(seconds(1000)), world.broker.poll_order()), (None, None));
    // While it rests, and while it dials.
    let mut world = World::new(Settings::default());
    world.broker.close();
    assert_eq!((world.after(seconds(100)), world.broker.poll_order()), (None, None));
    let mut world = World::new(Settings::default());
    world.next();
    world.broker.poll_order();
    world.broker.close();
    assert_eq!((world.broker.poll_order(), world.broker.deadline()), (Some(Order::Abort), None));
}

#[test]
fn secrets_are_not_printed() {
    let settings =
        Settings { user: Some("me".into()), password: Some("hunter2".to_owned().into()), ..Settings::default() };
    let mut world = World::new(settings);
    world.next();
    world.broker.handle_up(world.now);
    let mut out = [0; 200];
    let len = world.broker.poll_bytes(world.now, &mut out);
    assert!(out[..len].windows(7).any(|window| window == b"hunter2"));
    assert!(!format!("{:?}", world.broker).contains("hunter2"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever a broker does and whenever: nothing fails badly, memory stays bounded, and in the end it is tried again.
    #[test]
    fn a_hostile_broker_gets_nowhere(steps in proptest::collection::vec((0..9_u8, proptest::collection::vec(any::<u8>(), 0..40), 0..30_000_u64), 0..120)) {
        let mut world = World::new(Settings::default());
        let (mut up, mut dialled) = (false, false);
        for (what, bytes, millis) in steps {
            match what {
                0 => { world.after(Duration::from_millis(millis)); }
                1 if dialled => { world.broker.handle_up(world.now); (up, dialled) = (true, false); }
                2 if up => { let _ = world.broker.handle_bytes(world.now, &bytes); }
                3 if up => { let _ = world.hears(CONNACK); }
                4 if up => { let _ = world.hears(SUBACK); }
                5 if up => { let _ = world.broker.handle_bytes(world.now, &message("alice", "x", 3)); }
                6 => { let _ = world.publish("x", millis); }
                7 => { let mut out = vec![0; bytes.len()]; world.broker.poll_bytes(world.now, &mut out); }
                8 if up || dialled => { world.broker.handle_end(world.now, End::Lost); (up, dialled) = (false, false); }
                _ => {}
            }
            while let Some(order) = world.broker.poll_order() {
                match order {
                    Order::Dial => { prop_assert!(!up && !dialled); dialled = true; }
                    Order::Abort | Order::Finish => { prop_assert!(up || dialled); (up, dialled) = (false, false); }
                }
            }
            prop_assert!(world.broker.heap_bytes() <= 64 * 1024, "{}", world.broker.heap_bytes());
            prop_assert!(world.broker.deadline().is_some());
        }
    }
}
