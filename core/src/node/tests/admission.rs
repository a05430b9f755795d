//! What is taken in, and what is turned away.

use std::vec::Vec;

use super::*;

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
