//! Keys: what is believed of a name, what a change of keys does, and what survives.

use std::vec::Vec;

use super::*;
use crate::framing::{Priority, Response, RoutingMode};
use crate::identity::{SecretKey, Statement};
use crate::node::{Auth, Identity, Keeping, Require, STATEMENT};
use crate::pins::{Origin, PinError};
use crate::{Durable, StoreError, StoreSeq};

const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::Msgpack, Encoding::Postcard];

fn secret(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn with(did: &str, key: Option<u8>, change: impl FnOnce(&mut NodeConfig)) -> Node {
    let mut config = NodeConfig::new(Did::new(did).unwrap());
    config.identity = key.map(|n| Identity::from(secret(n)));
    change(&mut config);
    Node::new(config, &Seed::from_u64(u64::from(key.unwrap_or(99)))).unwrap()
}

/// A hub with key 1 and a sensor with key 2, each of which has pinned the other.
fn known() -> (Node, Node) {
    let (mut hub, mut sensor) = (with(HUB, Some(1), |_| ()), with(SENSOR, Some(2), |_| ()));
    hub.set_trust(SENSOR, 0.9).unwrap();
    hub.pin(at(0), SENSOR, secret(2).public(), Origin::Operator).unwrap();
    sensor.pin(at(0), HUB, secret(1).public(), Origin::Operator).unwrap();
    (hub, sensor)
}

fn take(node: &mut Node, now: Now, bytes: &[u8]) -> Result<(), Reject> {
    node.handle_datagram(now, from(9), &mut bytes.to_vec())
}

/// What the event of the last ping says of its sender.
fn auth(node: &mut Node) -> Option<Auth> {
    let mut auth = None;
    while let Some(event) = node.poll_event() {
        match event {
            Event::Ping(ping) => auth = Some(ping.auth),
            Event::Response(answer) => auth = Some(answer.auth),
            _ => {}
        }
    }
    auth
}

#[test]
fn a_pinned_key_is_believed_and_its_answer_is_too() {
    for encoding in ENCODINGS {
        let (mut hub, mut sensor) = known();
        let (_, ping) = ask(&mut sensor, at(0), encoding);
        take(&mut hub, at(0), &ping).unwrap();
        assert_eq!(auth(&mut hub), Some(Auth::Signed(secret(2).public())), "{encoding:?}");
        let answer = drain(&mut hub, at(0)).remove(0).1;
        sensor.handle_datagram(at(0), Path::to(addr(7150)), &mut answer.clone()).unwrap();
        assert_eq!(auth(&mut sensor), Some(Auth::Signed(secret(1).public())), "{encoding:?}");
    }
}

#[test]
fn an_answer_is_bound_to_its_ping_whether_that_was_signed_or_not() {
    for (key, encoding) in [None, Some(2)].into_iter().flat_map(|key| ENCODINGS.map(|encoding| (key, encoding))) {
        let (mut hub, mut sensor) = (with(HUB, Some(1), |_| ()), with(SENSOR, key, |_| ()));
        hub.allow_legacy("*").unwrap();
        hub.set_trust(SENSOR, 0.9).unwrap();
        let (_, ping) = ask(&mut sensor, at(0), encoding);
        take(&mut hub, at(0), &ping).unwrap();
        let answer = drain(&mut hub, at(0)).remove(0).1;
        let Message::Packet(packet) = Frame::decode(&ping).unwrap().message else { panic!("a packet") };
        let Message::Response(response) = Frame::decode(&answer).unwrap().message else { panic!("an answer") };
        assert_eq!(packet.proof.is_some(), key.is_some());
        let digest = packet.digest(encoding).unwrap();
        assert_eq!(response.verify(encoding, &digest, None), Ok(secret(1).public()), "{key:?} {encoding:?}");
    }
}

#[test]
fn the_reference_reads_what_is_signed_and_may_be_let_in_unsigned() {
    let (mut hub, mut sensor) = (with(HUB, Some(1), |_| ()), node(SENSOR, 2));
    hub.allow_legacy("*").unwrap();
    hub.set_trust(SENSOR, 0.9).unwrap();
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    take(&mut hub, at(0), &ping).unwrap();
    assert_eq!(auth(&mut hub), Some(Auth::Unsigned));
    let answer = drain(&mut hub, at(0)).remove(0).1;
    sensor.handle_datagram(at(0), Path::to(addr(7150)), &mut answer.clone()).unwrap();
    // It has pinned nothing, and did not sign: the proof is there, and says nothing to it.
    assert_eq!(auth(&mut sensor), Some(Auth::Unsigned));
}

#[test]
fn a_name_alone_is_nothing_once_its_key_is_pinned() {
    let (mut hub, _) = known();
    hub.allow_legacy("*").unwrap();
    let mut forger = node(SENSOR, 5);
    let (_, unsigned) = ask(&mut forger, at(0), Encoding::Json);
    assert_eq!(take(&mut hub, at(0), &unsigned), Err(Reject::BadSignature), "stripped");
    let mut forger = with(SENSOR, Some(3), |_| ());
    let (_, other) = ask(&mut forger, at(0), Encoding::Json);
    assert_eq!(take(&mut hub, at(0), &other), Err(Reject::Unpinned));
    assert!(told(&mut hub).is_empty() && drain(&mut hub, at(0)).is_empty(), "and hears nothing");
}

#[test]
fn whatever_is_changed_on_the_way_is_found_and_burns_no_nonce() {
    let (mut hub, mut sensor) = known();
    let mut ping = Ping::new(HUB, addr(7150), "door.open");
    (ping.purpose, ping.priority, ping.pod_id) = ("because", Priority::Normal, Some("pod"));
    sensor.ping(at(0), &ping).unwrap();
    let sent = drain(&mut sensor, at(0)).remove(0).1;
    let Message::Packet(packet) = Frame::decode(&sent).unwrap().message else { panic!("a packet") };
    let proof = packet.proof.unwrap();
    let upper = proof.as_str().unwrap().to_uppercase();
    for (changed, why) in [
        (Packet { purpose: Text::new("for fun"), ..packet }, Reject::BadSignature),
        (Packet { priority: Priority::Urgent, ..packet }, Reject::BadSignature),
        (Packet { routing_mode: RoutingMode::Broadcast, ..packet }, Reject::BadSignature),
        (Packet { max_hops: 10, ..packet }, Reject::BadSignature),
        (Packet { pod_id: None, ..packet }, Reject::BadSignature),
        (Packet { station_id: Some(Text::new("s")), ..packet }, Reject::BadSignature),
        (Packet { vouched_by: Some(Text::new("jis:x")), ..packet }, Reject::BadSignature),
        (Packet { intent: Text::new("door.close"), ..packet }, Reject::BadSignature),
        (Packet { nonce: Text::new("n"), ..packet }, Reject::BadSignature),
        (Packet { signature: Text::new(""), ..packet }, Reject::BadSignature),
        (Packet { proof: None, ..packet }, Reject::BadSignature),
        (Packet { proof: Some(Text::new(&upper)), ..packet }, Reject::BadSignature),
    ] {
        let mut out = vec![0; MAX_DATAGRAM_V6];
        let len = changed.encode(Encoding::Json, &mut out).unwrap();
        assert_eq!(take(&mut hub, at(0), &out[..len]), Err(why), "{changed:?}");
    }
    let mut out = vec![0; MAX_DATAGRAM_V6];
    let len = packet.encode(Encoding::Postcard, &mut out).unwrap();
    assert_eq!(take(&mut hub, at(0), &out[..len]), Err(Reject::BadSignature), "another encoding");
    // A relay counts hops, and the ping itself still gets in, once.
    let len = Packet { hop_count: 3, ..packet }.encode(Encoding::Json, &mut out).unwrap();
    assert_eq!(take(&mut hub, at(0), &out[..len]), Ok(()));
    assert_eq!(take(&mut hub, at(0), &sent), Err(Reject::Replay));
}

#[test]
fn a_forged_or_borrowed_answer_ends_no_request() {
    let (mut hub, mut sensor) = known();
    let (_, first) = ask(&mut sensor, at(0), Encoding::Json);
    let (_, second) = ask(&mut sensor, at(1), Encoding::Json);
    take(&mut hub, at(1), &first).unwrap();
    take(&mut hub, at(1), &second).unwrap();
    let answers: Vec<_> = drain(&mut hub, at(1)).into_iter().map(|(_, bytes)| bytes).collect();
    let response = |bytes: &[u8], change: &dyn Fn(Response<'_>, &mut Vec<u8>)| {
        let Message::Response(response) = Frame::decode(bytes).unwrap().message else { panic!("a response") };
        let mut out = vec![0; MAX_DATAGRAM_V6];
        change(response, &mut out);
        out
    };
    let encode = |response: Response<'_>, out: &mut Vec<u8>| {
        let len = response.encode(Encoding::Json, out).unwrap();
        out.truncate(len);
    };
    let Message::Response(other) = Frame::decode(&answers[1]).unwrap().message else { panic!("a response") };
    let forged = [
        response(&answers[0], &|r, out| encode(Response { proof: None, ..r }, out)),
        response(&answers[0], &|r, out| encode(Response { decision: Decision::Reject, ..r }, out)),
        response(&answers[0], &|r, out| encode(Response { payload: Value::from_wire("[1]"), ..r }, out)),
        // The answer to another ping of ours, under this one's id.
        response(&answers[0], &|r, out| encode(Response { in_response_to: r.in_response_to, ..other }, out)),
    ];
    for mut forged in forged {
        let taken = sensor.handle_datagram(at(1), Path::to(addr(7150)), &mut forged);
        assert_eq!(taken, Err(Reject::BadSignature));
    }
    for mut answer in answers {
        sensor.handle_datagram(at(1), Path::to(addr(7150)), &mut answer).unwrap();
    }
}

#[test]
fn an_unknown_key_waits_is_shown_and_can_be_pinned() {
    let (mut hub, mut sensor) = (with(HUB, Some(1), |_| ()), with(SENSOR, Some(2), |_| ()));
    hub.set_trust(SENSOR, 0.9).unwrap();
    let (_, ping) = ask(&mut sensor, at(0), Encoding::Json);
    take(&mut hub, at(0), &ping).unwrap();
    let (id, key) = hub.waiting().map(|waiting| (waiting.id, waiting.auth.key().unwrap())).next().unwrap();
    assert_eq!(key, secret(2).public());
    hub.pin(at(0), SENSOR, key, Origin::Approved).unwrap();
    hub.approve(at(0), id).unwrap();
    let (_, ping) = ask(&mut sensor, at(1), Encoding::Json);
    assert_eq!(take(&mut hub, at(1), &ping), Ok(()));
    assert!(told(&mut hub).iter().any(|line| line == "ping jis:home:sensor accept GROEN"));
    // Who waited with another key than was pinned in the meantime does not get in by being approved.
    let mut forger = with("jis:other", Some(3), |_| ());
    let (_, ping) = ask(&mut forger, at(1), Encoding::Json);
    hub.set_trust("jis:other", 0.5).unwrap();
    take(&mut hub, at(1), &ping).unwrap();
    let id = waiting_id(&mut hub);
    hub.pin(at(1), "jis:other", secret(4).public(), Origin::Operator).unwrap();
    assert_eq!(hub.approve(at(1), id), Err(AnswerError::Rood));
}

#[test]
fn a_rotation_holds_from_the_next_packet_on_and_can_ride_in_a_ping() {
    for by_wire in [false, true] {
        let (mut hub, mut sensor) = known();
        let statement = Statement::rotation(&secret(2), &secret(4), 1).unwrap();
        let mut renewed = with(SENSOR, Some(4), |_| ());
        if by_wire {
            let mut json = Vec::new();
            statement.write_json(&mut json).unwrap();
            let json = String::from_utf8(json).unwrap();
            let mut ping = Ping::new(HUB, addr(7150), STATEMENT);
            ping.payload = Value::from_json(&json).unwrap();
            renewed.ping(at(1), &ping).unwrap();
            let sent = drain(&mut renewed, at(1)).remove(0).1;
            assert_eq!(take(&mut hub, at(1), &sent), Ok(()));
            assert_eq!(told(&mut hub)[0], "retired, successor=true");
        } else {
            hub.retire(&statement).unwrap();
            let (_, ping) = ask(&mut renewed, at(1), Encoding::Json);
            assert_eq!(take(&mut hub, at(1), &ping), Ok(()));
        }
        let (_, old) = ask(&mut sensor, at(2), Encoding::Json);
        assert_eq!(take(&mut hub, at(2), &old), Err(Reject::Revoked));
        assert_eq!(hub.pin(at(2), "jis:x", secret(2).public(), Origin::Operator), Err(PinError::Retired));
    }
}

#[test]
fn a_revoked_key_is_believed_by_nobody_under_any_name() {
    let (mut hub, mut sensor) = known();
    hub.retire(&Statement::revocation(&secret(2), 1).unwrap()).unwrap();
    let (_, ping) = ask(&mut sensor, at(1), Encoding::Json);
    assert_eq!(take(&mut hub, at(1), &ping), Err(Reject::Revoked));
    let mut elsewhere = with("jis:elsewhere", Some(2), |_| ());
    let (_, ping) = ask(&mut elsewhere, at(1), Encoding::Json);
    assert_eq!(take(&mut hub, at(1), &ping), Err(Reject::Revoked));
    let mut forger = node(SENSOR, 5);
    let (_, unsigned) = ask(&mut forger, at(1), Encoding::Json);
    assert_eq!(take(&mut hub, at(1), &unsigned), Err(Reject::BadSignature), "the name does not fall open");
}

#[test]
fn a_node_that_demands_signatures_hears_nobody_without() {
    let mut hub = with(HUB, Some(1), |config| config.require = Require::Signed);
    hub.allow_legacy("*").unwrap();
    hub.set_trust(SENSOR, 0.9).unwrap();
    let (_, unsigned) = ask(&mut node(SENSOR, 5), at(0), Encoding::Json);
    assert_eq!(take(&mut hub, at(0), &unsigned), Err(Reject::BadSignature));
    let (_, signed) = ask(&mut with(SENSOR, Some(2), |_| ()), at(0), Encoding::Json);
    assert_eq!(take(&mut hub, at(0), &signed), Ok(()));

    // Of answers, too, and also where it signs nothing itself.
    for key in [Some(1), None] {
        let mut asks = with(SENSOR, None, |config| config.require = Require::Signed);
        let mut answers = with(HUB, key, |_| ());
        answers.allow_legacy("*").unwrap();
        answers.set_trust(SENSOR, 0.9).unwrap();
        let (_, ping) = ask(&mut asks, at(0), Encoding::Json);
        take(&mut answers, at(0), &ping).unwrap();
        let mut answer = drain(&mut answers, at(0)).remove(0).1;
        let taken = asks.handle_datagram(at(0), Path::to(addr(7150)), &mut answer);
        assert_eq!(taken, if key.is_some() { Ok(()) } else { Err(Reject::BadSignature) });
    }
}

#[test]
fn strangers_make_us_verify_only_so_much() {
    let mut hub = with(HUB, Some(1), |config| config.caps.verifications = 2);
    hub.set_trust(SENSOR, 0.9).unwrap();
    let mut sensor = with(SENSOR, Some(2), |_| ());
    let pings: Vec<_> = (0..3).map(|_| ask(&mut sensor, at(10), Encoding::Json).1).collect();
    assert_eq!(
        pings.iter().map(|ping| take(&mut hub, at(10), ping)).collect::<Vec<_>>(),
        [Ok(()), Ok(()), Err(Reject::Busy)]
    );
    assert_eq!(take(&mut hub, at(11), &pings[2]), Ok(()), "it was not remembered, and may come again");
}

#[test]
fn what_survives_is_acknowledged_when_it_is_kept_and_taken_back_when_not() {
    let mut hub = with(HUB, Some(1), |config| config.durable = true);
    let pin = |hub: &mut Node, did: &str, n| hub.pin(at(0), did, secret(n).public(), Origin::Operator);
    assert_eq!(pin(&mut hub, "jis:a", 2), Ok(Keeping::Until(StoreSeq(1))));
    assert_eq!(pin(&mut hub, "jis:a", 2), Ok(Keeping::Done), "as it was");
    assert_eq!(pin(&mut hub, "jis:b", 3), Ok(Keeping::Until(StoreSeq(2))));
    assert!(hub.wants().store);
    let mut records = Vec::new();
    while let Some(op) = hub.poll_store() {
        records.push((op.key().to_vec(), op.value().unwrap().to_vec()));
    }
    hub.handle_stored(at(0), StoreSeq(2), Ok(()));
    assert_eq!(told(&mut hub), ["kept 2 Ok(())"]);

    // A full disk: the pins are as they were, and the revocation holds.
    pin(&mut hub, "jis:c", 4).unwrap();
    hub.unpin("jis:a").unwrap().unwrap();
    hub.retire(&Statement::revocation(&secret(3), 1).unwrap()).unwrap();
    while hub.poll_store().is_some() {}
    hub.handle_stored(at(0), StoreSeq(5), Err(StoreError::Full));
    assert_eq!(told(&mut hub), ["kept 5 Err(Full)"]);
    assert!(hub.pins().get("jis:c").is_none() && hub.pins().get("jis:a").is_some());
    assert!(hub.pins().get("jis:b").unwrap().revoked);

    let mut again = with(HUB, Some(1), |config| config.durable = true);
    for (key, value) in &records {
        assert_eq!(again.restore(key, value), Ok(true));
    }
    assert_eq!(again.pins().len(), 2);
    assert!(!again.wants().store, "what was kept is not kept again");

    let mut small = with(HUB, None, |config| (config.durable, config.caps.changes) = (true, 1));
    pin(&mut small, "jis:a", 2).unwrap();
    assert_eq!(pin(&mut small, "jis:b", 2), Err(PinError::Busy));
}
