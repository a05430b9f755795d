//! What a user of the node would miss if it broke. Rows of the fixture tables are in `core/tests/node_*.rs`.

use std::net::SocketAddr;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::{
    AnswerError, Event, Node, NodeConfig, OpenId, Outcome, Ping, PingError, Reply, RequestId, RoodBecause, WaitId,
};
use crate::airlock::Rule;
use crate::framing::{Decision, Encoding, Frame, Message, Packet, Response, Text, Value, ValueBuf, Zone};
use crate::limits::MAX_DATAGRAM_V6;
use crate::time::{Instant, Now, Wall};
use crate::{Datagrams, Did, Machine, Path, Reject, Seed, Unsent, Wants};

const HUB: &str = "jis:home:hub";
const SENSOR: &str = "jis:home:sensor";

pub(super) fn at(seconds: u64) -> Now {
    let micros = 1_736_942_400_000_000 + i64::try_from(seconds).unwrap() * 1_000_000;
    Now::new(Instant::from_nanos(seconds * 1_000_000_000), Wall::from_micros(micros))
}

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn node(did: &str, seed: u64) -> Node {
    Node::new(NodeConfig::new(Did::new(did).unwrap()), &Seed::from_u64(seed)).unwrap()
}

/// A hub that trusts the sensor this far, and the sensor.
fn pair(trust: f64) -> (Node, Node) {
    let mut hub = node(HUB, 1);
    hub.allow_legacy("*").unwrap();
    hub.set_trust(SENSOR, trust).unwrap();
    (hub, node(SENSOR, 2))
}

fn drain(node: &mut Node, now: Now) -> Vec<(Path, Vec<u8>)> {
    let mut buf = vec![0; MAX_DATAGRAM_V6];
    let mut out = Vec::new();
    while let Some(t) = node.poll_transmit(now, &mut buf) {
        out.push((t.path, buf[..t.len].to_vec()));
    }
    out
}

/// Every event in a few words.
fn told(node: &mut Node) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(event) = node.poll_event() {
        out.push(match event {
            Event::Ping(p) => std::format!("ping {} {} {}", p.packet().source_did, p.decision, p.zone),
            Event::Decided(d) => std::format!("decided {} {:?}", d.source_did, d.outcome),
            Event::Response(r) => {
                let payload = r.response().payload.to_json_string().unwrap();
                std::format!("response {} {payload} last={}", r.decision, r.last)
            }
            Event::Timeout { pending, .. } => std::format!("timeout pending={pending}"),
            Event::Unsent { why, .. } => std::format!("unsent: {why}"),
            Event::Unanswered(_) => "unanswered".to_string(),
            Event::PeerSeen { did, .. } => std::format!("seen {did}"),
            Event::Heartbeat { did, .. } => std::format!("heartbeat {did}"),
            Event::PeerLost { did } => std::format!("lost {did}"),
        });
    }
    out
}

fn waiting_id(node: &mut Node) -> WaitId {
    ids(node).0.expect("a ping that waits for a decision")
}

fn open_id(node: &mut Node) -> OpenId {
    ids(node).1.expect("a ping that waits for an answer")
}

/// What the ping that was told last waits for.
fn ids(node: &mut Node) -> (Option<WaitId>, Option<OpenId>) {
    let mut found = (None, None);
    while let Some(event) = node.poll_event() {
        if let Event::Ping(p) = event {
            found = (p.wait, p.open);
        }
    }
    found
}

fn ask(sensor: &mut Node, now: Now, encoding: Encoding) -> (RequestId, Vec<u8>) {
    let mut ping = Ping::new(HUB, addr(7150), "temperature.read");
    ping.encoding = encoding;
    ping.purpose = "Check \u{1f321} now";
    let id = sensor.ping(now, &ping).unwrap();
    let mut sent = drain(sensor, now);
    assert_eq!(sent.len(), 1);
    let (path, bytes) = sent.remove(0);
    assert_eq!(path.remote, addr(7150));
    (id, bytes)
}

fn from(port: u16) -> Path {
    Path::to(addr(port))
}

#[test]
fn an_accepted_ping_is_answered_with_data_in_its_own_encoding() {
    for encoding in [Encoding::Json, Encoding::Msgpack, Encoding::Postcard] {
        let (mut hub, mut sensor) = pair(0.9);
        let reply = ValueBuf::new(Value::from_json(r#"{"celsius":21.5}"#).unwrap()).unwrap();
        hub.set_reply("temperature.*", Reply::Now(reply)).unwrap();
        let (_, ping) = ask(&mut sensor, at(0), encoding);
        hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
        let answers = drain(&mut hub, at(0));
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0].0, from(9));
        assert_eq!(Frame::decode(&answers[0].1).unwrap().encoding, encoding);
        sensor.handle_datagram(at(1), from(7150), &mut answers[0].1.clone()).unwrap();
        assert_eq!(told(&mut hub), ["seen jis:home:sensor", "ping jis:home:sensor accept GROEN"]);
        assert_eq!(told(&mut sensor), [r#"response accept {"celsius":21.5} last=true"#, "seen jis:home:hub"]);
        // Done is done: the same answer again belongs to nothing.
        assert_eq!(sensor.handle_datagram(at(1), from(7150), &mut answers[0].1.clone()), Err(Reject::Unrequested));
        assert_eq!(sensor.stats().tables.requests, 0);
    }
}

#[test]
fn a_reply_is_the_same_in_whatever_encoding_it_was_asked_for() {
    let value = Value::from_json(r#"{"n":[1,-0.5],"text":"caf\u00e9"}"#).unwrap();
    let (mut hub, mut sensor) = pair(0.9);
    hub.set_reply("*", Reply::Now(ValueBuf::new(value).unwrap())).unwrap();
    let breakdowns = [r#"{"score":0.9,"source":"known"}"#, r#"{"score":0.75,"source":"known"}"#];
    for (trust, breakdown) in [0.9, 0.75].into_iter().zip(breakdowns) {
        hub.set_trust(SENSOR, trust).unwrap();
        for encoding in [Encoding::Json, Encoding::Msgpack, Encoding::Postcard, Encoding::Msgpack, Encoding::Json] {
            let (_, ping) = ask(&mut sensor, at(0), encoding);
            hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
            let answer = drain(&mut hub, at(0)).remove(0).1;
            let Message::Response(response) = Frame::decode(&answer).unwrap().message else { panic!("a response") };
            let breakdown = Value::from_json(breakdown).unwrap();
            let expected = Response { payload: value, fira_breakdown: breakdown, ..response };
            let mut out = vec![0; MAX_DATAGRAM_V6];
            let len = expected.encode(encoding, &mut out).unwrap();
            assert_eq!(answer, out[..len], "{encoding:?}");
        }
    }

    // What msgpack has no form for is refused there, and only there.
    let big: ValueBuf = r#"{"n":18446744073709551616}"#.parse().unwrap();
    hub.set_reply("*", Reply::Now(big)).unwrap();
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Msgpack);
    assert_eq!(hub.handle_datagram(at(0), from(9), &mut ping.clone()), Err(Reject::TooLong));
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    assert_eq!(hub.handle_datagram(at(0), from(9), &mut ping.clone()), Ok(()));
}

#[test]
fn the_application_can_answer_later_and_is_told_when_it_did_not() {
    let (mut hub, mut sensor) = pair(0.9);
    hub.set_reply("*", Reply::Later).unwrap();
    let (_, first) = ask(&mut sensor, at(0), Encoding::Json);
    let (_, second) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut first.clone()).unwrap();
    let id = open_id(&mut hub);
    assert!(drain(&mut hub, at(0)).is_empty());
    hub.handle_datagram(at(1), from(9), &mut second.clone()).unwrap();
    told(&mut hub);
    hub.respond(at(2), id, Value::from_json("{\"ok\":true}").unwrap()).unwrap();
    assert_eq!(hub.respond(at(2), id, Value::EMPTY_OBJECT), Err(AnswerError::Gone));
    for (_, answer) in drain(&mut hub, at(2)) {
        sensor.handle_datagram(at(2), from(7150), &mut answer.clone()).unwrap();
    }
    assert_eq!(told(&mut sensor)[0], "response accept {\"ok\":true} last=true");
    assert!(!hub.wants().is_pending() && hub.wants().at.is_some());
    hub.handle_timeout(at(11));
    assert_eq!(told(&mut hub), ["unanswered"]);
    assert_eq!(hub.stats().tables.open, 0);
}

#[test]
fn a_decision_reaches_the_sender_as_a_second_response() {
    for (approve, outcome, decision) in [(true, "Approved", "accept"), (false, "Rejected", "reject")] {
        let (mut hub, mut sensor) = pair(0.5);
        let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
        hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
        let id = waiting_id(&mut hub);
        let pending = drain(&mut hub, at(0));
        assert_eq!(pending.len(), 1, "pending is said at once");
        sensor.handle_datagram(at(0), from(7150), &mut pending[0].1.clone()).unwrap();
        assert_eq!(told(&mut sensor)[0], "response pending {} last=false");
        // Long after the request timeout, within the decision timeout.
        let then = at(200);
        sensor.handle_timeout(then);
        if approve {
            hub.approve(then, id).map(drop).unwrap();
        } else {
            hub.reject(then, id).unwrap();
        }
        let mut want = vec![std::format!("decided jis:home:sensor {outcome}")];
        if approve {
            want.push("seen jis:home:sensor".to_string());
        }
        assert_eq!(told(&mut hub), want, "who waits becomes a peer once approved");
        assert_eq!(hub.approve(then, id), Err(AnswerError::Gone));
        let decided = drain(&mut hub, then);
        assert_eq!(decided.len(), 1);
        sensor.handle_datagram(then, from(7150), &mut decided[0].1.clone()).unwrap();
        assert!(told(&mut sensor).contains(&std::format!("response {decision} {{}} last=true")));
    }
}

/// A packet from nobody in particular, with what is not given left out.
fn packet<'a>(packet_id: &'a str, nonce: &'a str, intent: &'a str) -> Packet<'a> {
    Packet {
        packet_id: Text::new(packet_id),
        source_did: Text::new(SENSOR),
        target_did: Text::new(HUB),
        intent: Text::new(intent),
        nonce: Text::new(nonce),
        timestamp: Text::new("2025-01-15T12:00:00Z"),
        ..Packet::default()
    }
}

fn written(packet: &Packet<'_>, encoding: Encoding) -> Vec<u8> {
    let mut out = vec![0; MAX_DATAGRAM_V6];
    let len = packet.encode(encoding, &mut out).unwrap();
    out.truncate(len);
    out
}

#[test]
fn pings_that_a_sender_named_alike_are_told_apart_by_our_numbers() {
    let (mut hub, _) = pair(0.5);
    for (port, nonce, intent) in [(9, "a", "temperature.read"), (66, "b", "door.open"), (9, "c", "door.close")] {
        hub.handle_datagram(at(0), from(port), &mut written(&packet("same", nonce, intent), Encoding::Json)).unwrap();
    }
    let list: Vec<_> = hub.waiting().map(|w| (w.id.number(), w.intent.to_string(), w.from.remote.port())).collect();
    let want = [(1, "temperature.read", 9), (2, "door.open", 66), (3, "door.close", 9)];
    assert_eq!(list, want.map(|(n, intent, port)| (n, intent.to_string(), port)));
    let second = hub.waiting_number(2).unwrap();
    assert_eq!((second.packet_id, second.source_did, second.since), ("same", SENSOR, at(0).mono));
    let second = second.id;
    told(&mut hub);
    drain(&mut hub, at(0));
    hub.reject(at(1), second).unwrap();
    let Some(Event::Decided(decided)) = hub.poll_event() else { panic!("it was decided") };
    assert_eq!((decided.wait, decided.intent, decided.packet_id), (second, "door.open", "same"));
    assert_eq!((decided.from, decided.outcome, decided.answered), (from(66), Outcome::Rejected, true));
    assert!(hub.waiting_number(2).is_none() && hub.waiting_number(0).is_none());
    let sent = drain(&mut hub, at(1));
    assert_eq!((sent.len(), sent[0].0), (1, from(66)));
    // A number is never used again.
    hub.handle_datagram(at(1), from(9), &mut written(&packet("same", "d", "x"), Encoding::Json)).unwrap();
    assert_eq!(hub.waiting().map(|w| w.id.number()).collect::<Vec<_>>(), [1, 3, 4]);
}

/// Requests of every length, answered by rules with long and short names and long and short replies: whatever is told
/// `pending` can be let in and can be turned away afterwards, and what could not is refused.
#[test]
fn whatever_waits_can_be_decided() {
    let long = "every door of the north wing waits for a person to decide, see the house rules of 2026, chapter 4";
    let mut outcomes = [0; 2];
    for encoding in [Encoding::Json, Encoding::Msgpack, Encoding::Postcard] {
        for (rule, reply) in
            [("r", "1"), (long, "{}"), ("r", "{\"door\":\"north\",\"since\":\"2026-11-28T12:00:00+00:00\"}")]
        {
            for len in (0..900).step_by(10) {
                for approve in [true, false] {
                    let mut hub = node(HUB, 1);
                    hub.add_rule(&Rule { source_did: Some("jis:*"), ..Rule::new("r", rule, Zone::Geel) }).unwrap();
                    let reply = ValueBuf::new(Value::from_json(reply).unwrap()).unwrap();
                    hub.set_reply("*", Reply::Now(reply)).unwrap();
                    let purpose = "x".repeat(len);
                    let packet = Packet { purpose: Text::new(&purpose), ..packet("p", "n", "a") };
                    // The shortest time stamp there is, then one with microseconds.
                    let (came, later) =
                        (at(0), Now::new(at(9).mono, Wall::from_micros(at(9).wall.as_micros() + 123_456)));
                    match hub.handle_datagram(came, from(9), &mut written(&packet, encoding)) {
                        Err(why) => {
                            assert_eq!(why, Reject::Amplification);
                            assert!(drain(&mut hub, came).is_empty() && hub.waiting().next().is_none());
                            outcomes[0] += 1;
                        }
                        Ok(()) => {
                            let id = waiting_id(&mut hub);
                            let done = if approve { hub.approve(later, id).map(drop) } else { hub.reject(later, id) };
                            assert_eq!(done, Ok(()));
                            let sent: usize = drain(&mut hub, later).iter().map(|(_, bytes)| bytes.len()).sum();
                            assert!(sent <= 3 * written(&packet, encoding).len());
                            assert!(matches!(hub.poll_event(), Some(Event::Decided(d)) if d.answered));
                            outcomes[1] += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(outcomes[0] >= 20 && outcomes[1] > 1000, "{outcomes:?}");
}

/// A ping that did not leave ends its request at once, with the reason; an answer that did not leave ends nothing.
#[test]
fn what_did_not_leave_is_told_at_once() {
    let (mut hub, mut sensor) = pair(0.9);
    let (request, mut ping) = ask(&mut sensor, at(0), Encoding::Json);
    sensor.handle_unsent(at(0), from(7150), &ping, Unsent::HostUnreachable);
    assert!(sensor.wants().events);
    assert!(
        matches!(sensor.poll_event(), Some(Event::Unsent { request: told, why: Unsent::HostUnreachable }) if told == request)
    );
    assert_eq!(told(&mut sensor), [] as [&str; 0], "once");
    let stats = sensor.stats();
    assert_eq!((stats.unsent, stats.timeouts, stats.tables.requests), (1, 0, 0));
    // As told by somebody who is late, or mistaken: nothing happens.
    sensor.handle_unsent(at(0), from(7150), &ping, Unsent::HostUnreachable);
    sensor.handle_unsent(at(0), from(7150), b"TP", Unsent::NetworkDown);
    hub.handle_datagram(at(0), from(9), &mut ping).unwrap();
    let answer = drain(&mut hub, at(0)).remove(0).1;
    hub.handle_unsent(at(0), from(9), &answer, Unsent::NotPermitted);
    assert!(told(&mut sensor).is_empty() && told(&mut hub).iter().all(|event| !event.starts_with("unsent")));
    assert_eq!(hub.stats().unsent, 1);
    for nowhere in ["0.0.0.0:7150", "[::]:7150", "[::ffff:0.0.0.0]:7150"] {
        let to: SocketAddr = nowhere.parse().unwrap();
        let refused = sensor.ping(at(0), &Ping::new(HUB, to, "x"));
        assert_eq!(refused, Err(PingError::Unspecified(to.ip())));
    }
}

#[test]
fn a_rejected_ping_stops_waiting_even_when_its_sender_cannot_be_told() {
    let mut config = NodeConfig::new(Did::new(HUB).unwrap());
    config.caps.transmits = 1;
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    hub.set_trust(SENSOR, 0.5).unwrap();
    hub.handle_datagram(at(0), from(9), &mut written(&packet("p", "n", "a"), Encoding::Json)).unwrap();
    let id = waiting_id(&mut hub);
    // The send queue is full: an approval can be tried again, a rejection need not.
    assert_eq!(hub.approve(at(0), id), Err(AnswerError::QueueFull));
    hub.reject(at(0), id).unwrap();
    assert!(matches!(hub.poll_event(), Some(Event::Decided(d)) if d.outcome == Outcome::Rejected && !d.answered));
    assert_eq!((hub.stats().tables.waiting, hub.stats().refused), (0, 1));
    assert_eq!(hub.reject(at(0), id), Err(AnswerError::Gone));
}

#[test]
fn a_decision_is_told_however_many_events_wait() {
    let mut config = NodeConfig::new(Did::new(HUB).unwrap());
    config.caps.events = 6;
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    hub.set_trust(SENSOR, 0.5).unwrap();
    let took = |hub: &mut Node, n: usize| {
        let (id, nonce) = (n.to_string(), std::format!("n{n}"));
        hub.handle_datagram(at(0), from(9), &mut written(&packet(&id, &nonce, "a"), Encoding::Json))
    };
    assert_eq!([0, 1, 2, 3].map(|n| took(&mut hub, n)), [Ok(()), Ok(()), Ok(()), Err(Reject::Busy)]);
    drain(&mut hub, at(0));
    let ids: Vec<_> = hub.waiting().map(|w| w.id).collect();
    for id in ids {
        hub.reject(at(0), id).unwrap();
    }
    let all = told(&mut hub);
    assert_eq!(all.iter().filter(|event| event.starts_with("decided")).count(), 3, "{all:?}");
    // What was reserved is free again, also after an expiry.
    for round in 1..4 {
        assert_eq!(took(&mut hub, 10 * round), Ok(()));
        hub.handle_timeout(at(1000 * u64::try_from(round).unwrap()));
        told(&mut hub);
        drain(&mut hub, at(0));
    }
    assert_eq!([100, 101, 102].map(|n| took(&mut hub, n)), [Ok(()); 3]);
}

#[test]
fn an_approved_ping_that_the_application_answers_gets_its_answer() {
    let (mut hub, mut sensor) = pair(0.5);
    hub.set_reply("*", Reply::Later).unwrap();
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    let id = waiting_id(&mut hub);
    let open = hub.approve(at(1), id).unwrap().expect("it is open now");
    hub.respond(at(2), open, Value::from_json("[1]").unwrap()).unwrap();
    let sent = drain(&mut hub, at(2));
    assert_eq!(sent.len(), 2);
    for (_, bytes) in sent {
        sensor.handle_datagram(at(2), from(7150), &mut bytes.clone()).unwrap();
    }
    assert!(told(&mut sensor).contains(&"response accept [1] last=true".to_string()));
}

#[test]
fn requests_and_waiting_pings_run_out_of_time_and_are_freed() {
    let (mut hub, mut sensor) = pair(0.5);
    ask(&mut sensor, at(0), Encoding::Json);
    let (_, ping) = ask(&mut sensor, at(5), Encoding::Json);
    hub.handle_datagram(at(5), from(9), &mut ping.clone()).unwrap();
    told(&mut hub);
    for (_, pending) in drain(&mut hub, at(5)) {
        sensor.handle_datagram(at(5), from(7150), &mut pending.clone()).unwrap();
    }
    told(&mut sensor);
    sensor.handle_timeout(at(9));
    assert_eq!(told(&mut sensor), [] as [&str; 0]);
    sensor.handle_timeout(at(10));
    assert_eq!(told(&mut sensor), ["timeout pending=false"]);
    sensor.handle_timeout(at(305));
    assert!(told(&mut sensor).contains(&"timeout pending=true".to_string()));
    assert_eq!(sensor.stats().tables.requests, 0);
    hub.handle_timeout(at(305));
    let events = told(&mut hub);
    assert!(events.contains(&"decided jis:home:sensor Expired".to_string()), "{events:?}");
    assert!(drain(&mut hub, at(305)).is_empty(), "an expiry is silent");
    assert_eq!(hub.stats().tables.waiting, 0);
}

#[test]
fn a_response_counts_only_from_whom_and_where_it_was_asked() {
    let (mut hub, mut sensor) = pair(0.9);
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    let mut liar = node("jis:home:liar", 3);
    liar.allow_legacy("*").unwrap();
    liar.set_trust(SENSOR, 0.9).unwrap();
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    let answer = drain(&mut hub, at(0)).remove(0).1;
    let text = String::from_utf8(answer[8..].to_vec()).unwrap();
    let lie = text.replace(HUB, "jis:home:liar");
    let mut frame = answer[..4].to_vec();
    frame.extend(u32::try_from(lie.len()).unwrap().to_be_bytes());
    frame.extend(lie.bytes());
    assert_eq!(sensor.handle_datagram(at(0), from(7151), &mut answer.clone()), Err(Reject::WrongResponder));
    assert_eq!(sensor.handle_datagram(at(0), from(7150), &mut frame.clone()), Err(Reject::WrongResponder));
    sensor.handle_datagram(at(0), from(7150), &mut answer.clone()).unwrap();
}

#[test]
fn rood_gets_silence_and_leaves_nothing() {
    let (mut hub, mut sensor) = pair(0.1);
    let before = hub.stats();
    for i in 0..1000 {
        let (_, ping) = ask(&mut sensor, at(i / 100), Encoding::Json);
        assert_eq!(hub.handle_datagram(at(i / 100), from(9), &mut ping.clone()), Err(Reject::Rood));
        sensor.handle_timeout(at(i / 100 + 20));
        told(&mut sensor);
    }
    assert!(drain(&mut hub, at(20)).is_empty());
    assert_eq!(told(&mut hub), [] as [&str; 0]);
    assert_eq!(hub.stats().tables, before.tables);
    assert_eq!(hub.stats().rejected.get(Reject::Rood), 1000);
    assert_eq!(hub.last_rood(), None);
    assert_eq!(hub.wants(), Wants::NOTHING);
}

#[test]
fn the_last_rood_sender_is_known_to_who_asks_for_it() {
    let mut config = NodeConfig::new(Did::new(HUB).unwrap());
    config.keep_last_rood = true;
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    assert_eq!(hub.last_rood(), None);
    for (name, port) in [(SENSOR, 9), ("jis:home:other", 10)] {
        let (_, ping) = ask(&mut node(name, 2), at(0), Encoding::Json);
        assert_eq!(hub.handle_datagram(at(0), from(port), &mut ping.clone()), Err(Reject::Rood));
        let last = hub.last_rood().unwrap();
        assert_eq!((last.did, last.from, last.because), (name, from(port), RoodBecause::Trust));
    }
    hub.set_trust(SENSOR, 0.5).unwrap();
    let (_, ping) = ask(&mut node(SENSOR, 3), at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    assert_eq!(hub.last_rood().unwrap().did, "jis:home:other", "nobody else was turned away");
    hub.add_rule(&Rule { intent: Some("temperature.*"), ..Rule::new("r", "no heat", Zone::Rood) }).unwrap();
    let (_, ping) = ask(&mut node(SENSOR, 4), at(0), Encoding::Json);
    assert_eq!(hub.handle_datagram(at(0), from(9), &mut ping.clone()), Err(Reject::Rood));
    assert_eq!(hub.last_rood().unwrap().because, RoodBecause::Rule("no heat"));
    let mut config = NodeConfig::new(Did::new(HUB).unwrap());
    (config.keep_last_rood, config.gate.otherwise) = (true, Some(Zone::Rood));
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    hub.set_trust(SENSOR, 0.9).unwrap();
    assert_eq!(hub.handle_datagram(at(0), from(9), &mut ping.clone()), Err(Reject::Rood));
    assert_eq!(hub.last_rood().unwrap().because, RoodBecause::Otherwise);
}

/// Whom the operator turns away by now does not get in by having waited; it can be told so.
#[test]
fn a_ping_that_is_rood_by_now_is_not_let_in() {
    let (mut hub, mut sensor) = pair(0.5);
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    let id = waiting_id(&mut hub);
    drain(&mut hub, at(0));
    assert!(hub.remove_trust(SENSOR));
    assert_eq!(hub.approve(at(1), id), Err(AnswerError::Rood));
    hub.set_trust(SENSOR, 0.9).unwrap();
    hub.add_rule(&Rule { intent: Some("temperature.*"), ..Rule::new("r", "no", Zone::Rood) }).unwrap();
    assert_eq!(hub.approve(at(1), id), Err(AnswerError::Rood));
    assert!(told(&mut hub).is_empty() && drain(&mut hub, at(1)).is_empty() && hub.waiting().count() == 1);
    hub.remove_rule("r");
    assert_eq!(hub.approve(at(1), id), Ok(None));
    let (_, ping) = ask(&mut sensor, at(1), Encoding::Json);
    hub.set_trust(SENSOR, 0.5).unwrap();
    hub.handle_datagram(at(1), from(9), &mut ping.clone()).unwrap();
    let id = waiting_id(&mut hub);
    hub.set_trust(SENSOR, 0.0).unwrap();
    hub.reject(at(1), id).unwrap();
}

#[test]
fn an_unsigned_sender_waits_unless_it_is_allowed_as_legacy() {
    let mut hub = node(HUB, 1);
    hub.set_trust(SENSOR, 1.0).unwrap();
    let mut sensor = node(SENSOR, 2);
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    let answer = drain(&mut hub, at(0)).remove(0).1;
    let Message::Response(response) = Frame::decode(&answer).unwrap().message else { panic!("a response") };
    assert_eq!(response.decision, Decision::Pending);
    assert_eq!(response.airlock_zone, *Zone::Geel.as_str());
    assert!((response.trust_score.to_f64() - 0.5).abs() < 1e-9, "the middle of the thresholds");
    hub.allow_legacy("jis:home:*").unwrap();
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    assert_eq!(hub.stats().accepted, 1);
}

#[test]
fn a_replay_is_refused_from_anywhere_and_burns_nothing() {
    let (mut hub, mut sensor) = pair(0.9);
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    told(&mut hub);
    drain(&mut hub, at(0));
    assert_eq!(hub.handle_datagram(at(1), from(9), &mut ping.clone()), Err(Reject::Replay));
    assert_eq!(hub.handle_datagram(at(1), from(10), &mut ping.clone()), Err(Reject::Replay));
    assert_eq!(hub.peer(SENSOR).unwrap().path(), from(9), "a refused packet moves no address");
    assert!(drain(&mut hub, at(1)).is_empty());
}

#[test]
fn an_unproven_address_is_sent_at_most_three_times_its_bytes() {
    let big = std::format!("{{\"blob\":\"{}\"}}", "x".repeat(2000));
    let (mut hub, mut sensor) = pair(0.9);
    hub.set_reply("big.later", Reply::Later).unwrap();
    hub.set_reply("big.*", Reply::Now(ValueBuf::new(Value::from_json(&big).unwrap()).unwrap())).unwrap();
    let ping = |sensor: &mut Node, intent| {
        sensor.ping(at(0), &Ping::new(HUB, addr(7150), intent)).unwrap();
        drain(sensor, at(0)).remove(0).1
    };
    let now = ping(&mut sensor, "big.now");
    assert_eq!(hub.handle_datagram(at(0), from(9), &mut now.clone()), Err(Reject::Amplification));
    assert_eq!(hub.stats().tables.nonces, 0, "it may be sent again");
    let later = ping(&mut sensor, "big.later");
    hub.handle_datagram(at(0), from(9), &mut later.clone()).unwrap();
    let id = open_id(&mut hub);
    let big = Value::from_json(&big).unwrap();
    assert!(
        matches!(hub.respond(at(0), id, big), Err(AnswerError::Unproven { allowed, .. }) if allowed == 3 * later.len())
    );
    // Once it has answered a request of ours from there, it may have it.
    hub.ping(at(0), &Ping::new(SENSOR, addr(9), "hello")).unwrap();
    sensor.allow_legacy("*").unwrap();
    sensor.set_trust(HUB, 0.9).unwrap();
    let hello = drain(&mut hub, at(0)).remove(0).1;
    sensor.handle_datagram(at(0), from(7150), &mut hello.clone()).unwrap();
    let answer = drain(&mut sensor, at(0)).remove(0).1;
    hub.handle_datagram(at(0), from(9), &mut answer.clone()).unwrap();
    hub.respond(at(0), id, big).unwrap();
    hub.handle_datagram(at(0), from(9), &mut now.clone()).unwrap();
    assert_eq!(drain(&mut hub, at(0)).len(), 2);
}

#[test]
fn heartbeats_go_to_proven_addresses_and_draw_no_answer() {
    let (mut hub, mut sensor) = pair(0.9);
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    let answer = drain(&mut hub, at(0)).remove(0).1;
    sensor.handle_datagram(at(0), from(7150), &mut answer.clone()).unwrap();
    told(&mut sensor);
    told(&mut hub);
    // The hub was asked and never asked itself: nobody has proven anything to it.
    hub.handle_timeout(at(31));
    assert!(drain(&mut hub, at(31)).is_empty());
    sensor.handle_timeout(at(31));
    assert!(sensor.wants().output);
    let beats = drain(&mut sensor, at(31));
    assert_eq!(beats.len(), 1);
    assert_eq!(beats[0].0.remote, addr(7150));
    hub.handle_datagram(at(31), from(9), &mut beats[0].1.clone()).unwrap();
    assert!(drain(&mut hub, at(31)).is_empty());
    assert_eq!(told(&mut hub), [] as [&str; 0]);
    assert_eq!(hub.stats().heartbeats, 1);
    assert_eq!(hub.peer(SENSOR).unwrap().last_seen(), at(31).mono);
    // It keeps the peer from going stale; when it stops, the peer is lost.
    hub.handle_timeout(at(100));
    assert_eq!(told(&mut hub), [] as [&str; 0]);
    hub.handle_timeout(at(150));
    assert_eq!(told(&mut hub), ["lost jis:home:sensor"]);
    assert!(!hub.wants().is_pending());
}

#[test]
fn a_changed_address_is_unproven_until_it_answers() {
    let (mut hub, mut sensor) = pair(0.9);
    sensor.allow_legacy("*").unwrap();
    sensor.set_trust(HUB, 0.9).unwrap();
    let prove = |hub: &mut Node, sensor: &mut Node, port| {
        hub.ping(at(0), &Ping::new(SENSOR, addr(port), "hello")).unwrap();
        let hello = drain(hub, at(0)).remove(0).1;
        sensor.handle_datagram(at(0), from(7150), &mut hello.clone()).unwrap();
        let answer = drain(sensor, at(0)).remove(0).1;
        hub.handle_datagram(at(0), from(port), &mut answer.clone()).unwrap();
    };
    prove(&mut hub, &mut sensor, 9);
    assert!(hub.peer(SENSOR).unwrap().is_proven());
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(10), &mut ping.clone()).unwrap();
    drain(&mut hub, at(0));
    assert!(!hub.peer(SENSOR).unwrap().is_proven());
    hub.handle_timeout(at(31));
    assert!(drain(&mut hub, at(31)).is_empty(), "no heartbeat to an unproven address");
    prove(&mut hub, &mut sensor, 10);
    assert!(hub.peer(SENSOR).unwrap().is_proven());
}

#[test]
fn what_does_not_fit_is_said_before_anything_is_sent() {
    let mut sensor = node(SENSOR, 2);
    let huge = std::format!("{{\"s\":\"{}\"}}", "x".repeat(65_200));
    let mut ping = Ping::new(HUB, addr(7150), "x");
    ping.payload = Value::from_json(&huge).unwrap();
    assert_eq!(sensor.ping(at(0), &ping), Err(PingError::TooLarge { max: 65_507 }));
    let intent = "i".repeat(257);
    assert_eq!(sensor.ping(at(0), &Ping::new(HUB, addr(1), &intent)), Err(PingError::Intent { len: 257 }));
    assert!(matches!(sensor.ping(at(0), &Ping::new("", addr(1), "x")), Err(PingError::Target(_))));
    assert!(drain(&mut sensor, at(0)).is_empty());
    for _ in 0..4096 {
        sensor.ping(at(0), &Ping::new(HUB, addr(1), "x")).unwrap();
        drain(&mut sensor, at(0));
    }
    assert_eq!(sensor.ping(at(0), &Ping::new(HUB, addr(1), "x")), Err(PingError::TooManyRequests(4096)));
}

#[test]
fn a_full_node_says_busy_and_remembers_nothing() {
    let mut config = NodeConfig::new(Did::new(HUB).unwrap());
    config.caps.events = 4;
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    hub.allow_legacy("*").unwrap();
    hub.set_trust(SENSOR, 0.9).unwrap();
    let mut sensor = node(SENSOR, 2);
    let pings: Vec<_> = (0..6).map(|_| ask(&mut sensor, at(0), Encoding::Json).1).collect();
    let results: Vec<_> = pings.iter().map(|p| hub.handle_datagram(at(0), from(9), &mut p.clone())).collect();
    assert_eq!(results[..2], [Ok(()), Ok(())]);
    assert_eq!(results[5], Err(Reject::Busy));
    let accepted = results.iter().filter(|r| r.is_ok()).count();
    assert_eq!(drain(&mut hub, at(0)).len(), accepted);
    told(&mut hub);
    hub.handle_datagram(at(0), from(9), &mut pings[5].clone()).expect("a busy answer burns no nonce");
}

#[test]
fn one_sender_cannot_fill_the_waiting_room() {
    let (mut hub, mut sensor) = pair(0.5);
    hub.set_trust("jis:home:other", 0.5).unwrap();
    for i in 0..70 {
        let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
        let want = if i < 64 { Ok(()) } else { Err(Reject::Busy) };
        assert_eq!(hub.handle_datagram(at(0), from(9), &mut ping.clone()), want);
    }
    let mut other = node("jis:home:other", 3);
    let (_, ping) = ask(&mut other, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(10), &mut ping.clone()).unwrap();
    let id = waiting_id(&mut hub);
    hub.reject(at(0), id).unwrap();
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    assert_eq!(hub.handle_datagram(at(0), from(9), &mut ping.clone()), Err(Reject::Busy));
}

/// A path from this host.
fn host(n: u8, port: u16) -> Path {
    Path::to(SocketAddr::from(([192, 0, 2, n], port)))
}

fn named<'a>(did: &'a str, nonce: &'a str) -> Packet<'a> {
    Packet { source_did: Text::new(did), ..packet("p", nonce, "door.open") }
}

/// Somebody who forges a sensor's name from elsewhere, from any number of ports, does not use up the sensor's places.
#[test]
fn a_forged_name_does_not_lock_its_owner_out() {
    let mut hub = node(HUB, 1);
    hub.set_trust(SENSOR, 0.9).unwrap();
    let took = |hub: &mut Node, from, n: u32| {
        let took = hub.handle_datagram(at(0), from, &mut written(&named(SENSOR, &n.to_string()), Encoding::Json));
        told(hub);
        drain(hub, at(0));
        took
    };
    for n in 0..70 {
        let want = if n < 64 { Ok(()) } else { Err(Reject::Busy) };
        assert_eq!(took(&mut hub, host(66, 1000 + u16::try_from(n).unwrap()), n), want, "{n}");
    }
    for n in 100..164 {
        assert_eq!(took(&mut hub, host(1, 7150), n), Ok(()), "the sensor itself");
    }
    // One address may use no more than its share, whatever names it makes up.
    let mut hub = node(HUB, 1);
    hub.add_rule(&Rule { any: true, ..Rule::new("all", "all wait", Zone::Geel) }).unwrap();
    let forged = (0..200).filter(|n| {
        let did = std::format!("jis:made:up:{n}");
        hub.handle_datagram(at(0), host(66, 9), &mut written(&named(&did, "n"), Encoding::Json)).is_ok()
    });
    assert_eq!(forged.count(), 128);
    assert_eq!(took(&mut hub, host(1, 9), 0), Ok(()));
}

/// Who forges one trusted name from many addresses takes an eighth of the room with it, and no other trusted name's place.
#[test]
fn one_name_cannot_fill_the_waiting_room_from_many_addresses() {
    let mut hub = node(HUB, 1);
    let send = |hub: &mut Node, did: &str, nonce: u32, from| {
        let took = hub.handle_datagram(at(0), from, &mut written(&named(did, &nonce.to_string()), Encoding::Json));
        drain(hub, at(0));
        took
    };
    let holds = |hub: &Node, did: &str| hub.waiting().filter(|ping| ping.source_did == did).count();
    let forge = |hub: &mut Node, did: &str, net: u8| {
        hub.set_trust(did, 0.5).unwrap();
        for n in 0..1024_u32 {
            let from = Path::to(SocketAddr::from(([198, 51, net, u8::try_from(n / 64).unwrap()], 9)));
            let _ = send(hub, did, n, from);
            told(hub);
        }
        holds(hub, did)
    };
    for n in 0..7 {
        assert_eq!(forge(&mut hub, &std::format!("jis:forged:{n}"), n), 128, "{n}");
    }
    // From here on only the places that strangers may not take are free, and fair shares make way for fair shares.
    for n in 7..20 {
        let held = forge(&mut hub, &std::format!("jis:forged:{n}"), n);
        assert!((32..=128).contains(&held), "{n}: {held}");
    }
    assert_eq!(hub.stats().tables.waiting, 1024 - 64, "a sixteenth is for proven addresses");
    hub.set_trust("jis:home:other", 0.5).unwrap();
    let displaced = hub.stats().displaced;
    for n in 0..32 {
        assert_eq!(send(&mut hub, "jis:home:other", n, host(200, 9)), Ok(()), "a full room makes way for a fair share");
    }
    let decided: Vec<_> = told(&mut hub).into_iter().filter(|event| event.starts_with("decided")).collect();
    assert!(decided.len() == 32 && decided.iter().all(|event| event.ends_with("Displaced")), "{decided:?}");
    assert_eq!((hub.stats().displaced - displaced, hub.stats().tables.waiting), (32, 960));
    assert_eq!(send(&mut hub, "jis:home:other", 64, host(200, 9)), Err(Reject::Busy), "not for more than that");
}

/// Two addresses that have all the places of a name share them with a third, and with no more than that one's part.
#[test]
fn a_name_is_shared_by_the_addresses_that_write_it() {
    let mut hub = node(HUB, 1);
    hub.set_trust(SENSOR, 0.5).unwrap();
    let mut nonce = 0_u32;
    let mut send = |hub: &mut Node, from| {
        nonce += 1;
        let took = hub.handle_datagram(at(0), from, &mut written(&named(SENSOR, &nonce.to_string()), Encoding::Json));
        told(hub);
        drain(hub, at(0));
        took
    };
    for n in 0..128 {
        assert_eq!(send(&mut hub, host(60 + n % 2, 9)), Ok(()));
    }
    let taken = (0..128).filter(|_| send(&mut hub, host(1, 9)).is_ok()).count();
    let holds = |hub: &Node, n| hub.waiting().filter(|ping| ping.from.remote.ip() == host(n, 9).remote.ip()).count();
    assert_eq!((taken, holds(&hub, 1)), (42, 42));
    assert_eq!((holds(&hub, 60), holds(&hub, 61)), (43, 43));
    assert_eq!((hub.stats().displaced, hub.stats().tables.waiting), (42, 128));
    // Decided ones free their places for whoever comes first.
    let first = hub.waiting().next().unwrap().id;
    hub.reject(at(0), first).unwrap();
    told(&mut hub);
    drain(&mut hub, at(0));
    assert_eq!(send(&mut hub, host(61, 9)), Ok(()));
    assert_eq!(send(&mut hub, host(61, 9)), Err(Reject::Busy));
}

/// However many strangers wait, who is trusted by name gets a place, and who has proven an address one of theirs; what made way
/// is told and counted.
#[test]
fn strangers_make_way_for_who_is_better_known() {
    let mut config = NodeConfig::new(Did::new(HUB).unwrap());
    config.caps.waiting = 16;
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    hub.add_rule(&Rule { any: true, ..Rule::new("all", "all wait", Zone::Geel) }).unwrap();
    hub.set_trust(SENSOR, 0.9).unwrap();
    let send = |hub: &mut Node, did: &str, nonce: u32, from| {
        hub.handle_datagram(at(0), from, &mut written(&named(did, &nonce.to_string()), Encoding::Json))
    };
    let strangers =
        (0..40).filter(|n| send(&mut hub, &std::format!("jis:x:{n}"), *n, host(u8::try_from(*n).unwrap(), 9)).is_ok());
    assert_eq!(strangers.count(), 14, "an eighth is kept for others");
    let events = |hub: &mut Node| -> Vec<String> {
        told(hub).into_iter().filter(|event| event.starts_with("decided")).collect()
    };
    assert_eq!(events(&mut hub), [] as [&str; 0]);
    drain(&mut hub, at(0));
    for n in 0..3 {
        assert_eq!(send(&mut hub, SENSOR, n, host(1, 9)), Ok(()));
    }
    let gone = ["decided jis:x:0 Displaced", "decided jis:x:1 Displaced"];
    assert_eq!(events(&mut hub), gone, "the longest waiting of those who are least known");
    assert_eq!((hub.stats().displaced, hub.stats().tables.waiting), (2, 15));
    assert_eq!(send(&mut hub, "jis:x:late", 0, host(99, 9)), Err(Reject::Busy), "never for one of the same rank");
    assert_eq!((hub.stats().waiting, hub.stats().expired), (17, 0));
}

/// 75,000 names from one address, all let in by a rule: newcomers from elsewhere are heard at once, trusted or not.
#[test]
fn made_up_names_shut_nobody_out() {
    let mut config = NodeConfig::new(Did::new(HUB).unwrap());
    config.caps.peers = 4096;
    config.replay.max_senders = 4096;
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    hub.allow_legacy("*").unwrap();
    hub.add_rule(&Rule { source_did: Some("jis:*"), ..Rule::new("all", "all", Zone::Groen) }).unwrap();
    hub.set_trust(SENSOR, 0.9).unwrap();
    let (mut busy, mut room) = (0, vec![0; MAX_DATAGRAM_V6]);
    let mut send = |hub: &mut Node, did: &str, from| {
        let took = hub.handle_datagram(at(0), from, &mut written(&named(did, "n"), Encoding::Postcard));
        while hub.poll_event().is_some() {}
        while hub.poll_transmit(at(0), &mut room).is_some() {}
        took
    };
    for n in 0..9000 {
        busy += u32::from(send(&mut hub, &std::format!("jis:x:{n}"), host(66, 9)).is_err());
    }
    assert!(busy > 6000, "{busy}");
    assert_eq!(send(&mut hub, "jis:new:1", host(1, 9)), Ok(()), "a newcomer from another address");
    assert_eq!(send(&mut hub, SENSOR, host(2, 9)), Ok(()), "who is trusted");
    assert_eq!(send(&mut hub, "jis:x:late", host(66, 9)), Err(Reject::Busy));
    // Even where strangers from everywhere take all that they may.
    for n in 0..5000_u32 {
        let _ = send(&mut hub, &std::format!("jis:y:{n}"), host(u8::try_from(n % 250).unwrap(), 9));
    }
    assert_eq!(send(&mut hub, "jis:new:2", host(3, 9)), Err(Reject::Busy));
    for n in 0..200 {
        let did = std::format!("jis:trusted:{n}");
        hub.set_trust(&did, 0.9).unwrap();
        assert_eq!(send(&mut hub, &did, host(66, 9)), Ok(()));
    }
    let stats = hub.stats();
    assert!(hub.peer(SENSOR).is_some() && stats.tables.peers <= 4096);
    assert!(stats.rejected.get(Reject::Busy) > 6000);
}

/// Peers that anybody could have made up give their places to others, the longest silent first; those that have proven
/// themselves keep theirs.
#[test]
fn unproven_peers_make_way() {
    let mut config = NodeConfig::new(Did::new(HUB).unwrap());
    config.caps.peers = 8;
    let mut hub = Node::new(config, &Seed::from_u64(1)).unwrap();
    hub.allow_legacy("*").unwrap();
    hub.add_rule(&Rule { source_did: Some("jis:*"), ..Rule::new("all", "all", Zone::Groen) }).unwrap();
    let mut sensor = node(SENSOR, 2);
    sensor.allow_legacy("*").unwrap();
    sensor.set_trust(HUB, 0.9).unwrap();
    hub.ping(at(0), &Ping::new(SENSOR, addr(9), "hello")).unwrap();
    sensor.handle_datagram(at(0), from(7150), &mut drain(&mut hub, at(0)).remove(0).1).unwrap();
    hub.handle_datagram(at(0), from(9), &mut drain(&mut sensor, at(0)).remove(0).1).unwrap();
    told(&mut hub);
    let mut lost = Vec::new();
    for n in 0..20_u8 {
        let did = std::format!("jis:x:{n}");
        hub.handle_datagram(at(0), host(n, 9), &mut written(&named(&did, "n"), Encoding::Json)).unwrap();
        lost.extend(told(&mut hub).into_iter().filter(|event| event.starts_with("lost")));
        drain(&mut hub, at(0));
    }
    assert_eq!((lost.len(), lost[0].as_str(), hub.stats().peers_displaced), (13, "lost jis:x:0", 13));
    assert!(hub.peer(SENSOR).unwrap().is_proven());
    assert_eq!(hub.peers().alive(at(0).mono).next().unwrap().did(), SENSOR);
}

#[test]
fn same_seed_and_same_inputs_give_the_same_bytes() {
    let run = || {
        let (mut hub, mut sensor) = pair(0.9);
        let mut all = Vec::new();
        for i in 0..20 {
            let (_, ping) = ask(&mut sensor, at(i), Encoding::Json);
            hub.handle_datagram(at(i), from(9), &mut ping.clone()).unwrap();
            all.push(ping);
            all.extend(drain(&mut hub, at(i)).into_iter().map(|(_, b)| b));
        }
        all
    };
    assert_eq!(run(), run());
}

#[test]
fn a_caller_that_forgets_to_drain_is_told_so() {
    let (mut hub, mut sensor) = pair(0.9);
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    assert!(hub.wants().output && hub.wants().events);
    drain(&mut hub, at(0));
    assert!(hub.wants().events && !hub.wants().output);
    let mut small = [0; 10];
    told(&mut hub);
    assert!(!hub.wants().is_pending() && hub.wants().at.is_some());
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    hub.handle_datagram(at(0), from(9), &mut ping.clone()).unwrap();
    assert_eq!(hub.poll_transmit(at(0), &mut small), None);
    assert_eq!(drain(&mut hub, at(0)).len(), 1, "nothing is lost into a small buffer");
}
