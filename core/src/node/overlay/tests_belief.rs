//! Whose answers count: of who has shown the key that is pinned to the name, and of nobody else.

use std::vec;
use std::vec::Vec;

use super::tests::{HUB, Net, PHONE, SENSOR, addr, secret, start, start_with};
use super::wire::Members;
use super::*;
use crate::framing::{Decision, Frame, Message, Packet, Response, Text, Value};
use crate::limits::MAX_DATAGRAM_V6;
use crate::pins::Origin;
use crate::{Datagrams as _, Reject};

/// A registry that knows the sensor, and a phone that has no pin of it. `signs`: the registry has a key.
fn net(signs: bool) -> Net {
    let mut net = Net::new();
    net.add(
        start_with(HUB, 1, 0, |config, overlay| {
            overlay.serve = true;
            if !signs {
                config.identity = None;
            }
        }),
        1,
    );
    net.add(start(SENSOR, 2, 0, |_| ()), 2);
    net.add(start(PHONE, 3, 0, |_| ()), 3);
    for (whom, key) in [(SENSOR, 2), (PHONE, 3)] {
        net.trust(0, whom, key);
    }
    net.node(1).allow_legacy(HUB).unwrap();
    net.profile(1, &["192.0.2.2:7150"], &["light"]);
    net.register(1).unwrap();
    net.node(2).ask_registry(HUB, Path::to(addr(1))).unwrap();
    net.profile(2, &["192.0.2.3:7150"], &[]);
    net.sent.clear();
    net
}

/// What the phone asks the registry, and how it ended: register, resolve, find.
fn ask(net: &mut Net) -> Vec<Result<OperationOutcome, OperationError>> {
    let register = Operation::Register { server: HUB, path: Path::to(addr(1)) };
    [register, Operation::Resolve(SENSOR), Operation::Find("light")].map(|operation| net.operate(2, &operation)).into()
}

#[test]
fn a_registry_without_a_pin_is_not_asked_until_the_operator_says_what_to_believe() {
    let mut net = net(true);
    assert!(!net.node(2).may_believe(HUB));
    for ended in ask(&mut net) {
        assert_eq!(ended, Err(OperationError::Unpinned(HUB.into())));
    }
    assert!(net.sent.iter().all(|(to, _)| *to != addr(1)), "{:?}", net.sent);
    net.node(2).trust_first_use("jis:home:*").unwrap();
    let ended = ask(&mut net);
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    let pin = net.node(2).pins().get(HUB).unwrap();
    assert_eq!((pin.key, pin.origin), (secret(1).public(), Origin::FirstUse));
    // From then on another key is not believed.
    let mut other = start(HUB, 66, 1, |overlay| overlay.serve = true);
    other.set_trust(PHONE, 1.0).unwrap();
    net.members[0].node = other;
    assert_eq!(net.operate(2, &Operation::Resolve("jis:home:lamp")), Err(OperationError::Unproven));
    let register = Operation::Register { server: HUB, path: Path::to(addr(1)) };
    assert_eq!(net.operate(2, &register), Err(OperationError::Unproven));
}

#[test]
fn an_unsigned_registry_is_believed_only_as_legacy() {
    let mut net = net(false);
    net.node(2).trust_first_use("*").unwrap();
    let [register, resolve, find] = ask(&mut net).try_into().unwrap();
    assert_eq!(register, Err(OperationError::Unproven));
    assert_eq!(resolve, Err(OperationError::Unproven));
    assert_eq!(find, Err(OperationError::Unproven));
    assert!(net.node(2).registry().unwrap().is_empty() && net.node(2).pins().get(HUB).is_none());
    assert!(net.node(2).refused_records().any(|(why, count)| why == "unproven" && count > 2));
    net.node(2).allow_legacy(HUB).unwrap();
    let ended = ask(&mut net);
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    // A pin goes before that.
    let now = net.now;
    net.node(2).pin(now, HUB, secret(1).public(), Origin::Operator).unwrap();
    net.members[1].addr = addr(9);
    assert!(net.register(2).is_err());
}

/// Nobody makes a registry that signs seem to be one that does not: its own word that it knows nothing is what counts.
#[test]
fn a_name_is_unproven_only_where_nothing_came_that_can_be_believed() {
    let mut net = net(true);
    net.trust(2, HUB, 1);
    let id = net.begin(2, &Operation::Resolve("jis:home:lamp"));
    let (ping, mut lie) = forged(&mut net, 2, "{}");
    let now = net.now;
    assert!(net.node(2).handle_datagram(now, Path::to(addr(1)), &mut lie).is_err());
    let _ = net.node(0).handle_datagram(now, Path::to(addr(3)), &mut ping.clone());
    net.run(net.now.mono.as_nanos() / 1_000_000 + 6_000);
    assert_eq!(net.ended(2, id), Err(OperationError::Unknown));
    // Where its word does not come, the lie is all there is.
    net.members[0].addr = addr(99);
    let id = net.begin(2, &Operation::Reach("jis:home:lamp"));
    let (_, mut lie) = forged(&mut net, 2, "{}");
    let now = net.now;
    assert!(net.node(2).handle_datagram(now, Path::to(addr(1)), &mut lie).is_err());
    net.run(net.now.mono.as_nanos() / 1_000_000 + 6_000);
    assert_eq!(net.ended(2, id), Err(OperationError::Unproven));
}

/// The ping that a node sends next, and an answer to it that somebody forges who has seen it.
fn forged(net: &mut Net, who: usize, payload: &str) -> (Vec<u8>, Vec<u8>) {
    let (now, mut buf) = (net.now, vec![0; MAX_DATAGRAM_V6]);
    let sent = net.node(who).poll_transmit(now, &mut buf).unwrap();
    let ping = buf[..sent.len].to_vec();
    let Ok(Frame { message: Message::Packet(Packet { packet_id, .. }), encoding }) = Frame::decode(&ping) else {
        panic!("a ping")
    };
    let response = Response {
        in_response_to: packet_id,
        responder_did: Text::new(HUB),
        decision: Decision::Accept,
        airlock_zone: Text::new("GROEN"),
        payload: Value::from_wire(payload),
        timestamp: Text::from_wire("2025-11-29T07:06:40+00:00"),
        ..Response::default()
    };
    let mut out = vec![0; MAX_DATAGRAM_V6];
    let len = response.encode(encoding, &mut out).unwrap();
    (ping, out[..len].to_vec())
}

#[test]
fn what_somebody_forges_who_answers_first_does_not_count_and_the_answer_still_does() {
    let mut net = net(true);
    net.node(2).trust_first_use(HUB).unwrap();
    let register = Operation::Register { server: HUB, path: Path::to(addr(1)) };
    let refusal = Members::new().flag("registered", true).text("seen", "192.0.2.66:7150").finish();
    let now = net.now;
    let secret = net.node(0).new_join_token(now, 1, Duration::from_secs(60), 0.8).unwrap().0;
    net.run(10);
    let taken = Members::new().text("error", "name_taken").finish();
    let join = Operation::Join { token: &secret, path: Path::to(addr(1)) };
    for (operation, lie) in [(register, refusal), (join, taken)] {
        let id = net.begin(2, &operation);
        let (ping, mut lie) = forged(&mut net, 2, &lie);
        let now = net.now;
        assert_eq!(net.node(2).handle_datagram(now, Path::to(addr(1)), &mut lie), Err(Reject::BadSignature));
        let _ = net.node(0).handle_datagram(now, Path::to(addr(3)), &mut ping.clone());
        net.run(net.now.mono.as_nanos() / 1_000_000 + 6_000);
        let ended = net.ended(2, id);
        assert!(ended.is_ok(), "{ended:?}");
    }
    let Some(known) = net.node(0).registry().unwrap().get(PHONE).and_then(|device| device.endpoint()) else {
        panic!("it registered")
    };
    assert_eq!(std::format!("{known}"), "192.0.2.3:7150");
}
