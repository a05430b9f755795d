//! What the application asks for, answers and decides.

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::*;

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
