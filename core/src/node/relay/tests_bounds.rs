//! What strangers and relays without a key may not do.

use std::format;
use std::vec;
use std::vec::Vec;

use super::tests_net::{Net, PHONE, SENSOR, path, secret, start, start_with};
use crate::framing::{Decision, Encoding, Frame, Message, Packet, Response, RoutingMode, Text, Value, ValueBuf};
use crate::limits::MAX_DATAGRAM_V6;
use crate::node::{Identity, Reply};
use crate::relay::trace::MARK;
use crate::relay::{ANSWER_INTENT, CircuitPacket, Label, RelayConfig, RelayReject, pack_answer};
use crate::time::{Now, iso};
use crate::{Datagrams as _, Reject};

#[test]
fn a_relay_without_a_key_passes_on_what_is_neither_signed_nor_traced_and_counts_the_rest() {
    for (signs, trace) in [(false, false), (true, false), (true, true)] {
        let mut net = Net::new();
        net.add(start_with(0, PHONE, None, signs.then(|| Identity::from(secret(0)))));
        net.add(start_with(1, "jis:mesh:r1", Some(RelayConfig::default()), None));
        net.add(start(2, SENSOR, None));
        net.node(1).relay_for("jis:home:*").unwrap();
        net.node(1).set_neighbour(SENSOR, path(2), 0.5).unwrap();
        net.node(2).allow_legacy("*").unwrap();
        net.node(2).set_trust(PHONE, 0.9).unwrap();
        net.ask(|ping| ping.trace = trace);
        net.run(1000);
        let dropped = u64::from(signs);
        let stats = net.members[1].node.relay_stats().unwrap();
        assert_eq!((stats.forwarded, stats.answered), (1 - dropped, 1 - dropped), "signed {signs}, traced {trace}");
        assert_eq!(stats.rejects.get(RelayReject::Keyless), dropped);
        assert_eq!(net.members[1].node.stats().rejected.get(Reject::Keyless), dropped);
        // The answer is signed all the same.
        assert_eq!(net.members[0].told.len(), usize::from(!signs));
        // Nobody opens a circuit here.
        let (now, mut packet) = (net.now, CircuitPacket::head(Label::of("ping_1", PHONE, SENSOR), 8, 4).to_vec());
        packet.extend_from_slice(b"text");
        assert_eq!(net.node(1).handle_datagram(now, path(0), &mut packet), Err(Reject::Keyless));
        net.check_books();
    }
}

/// A ping in this name that came over a relay, from one of ours.
fn over_a_relay(now: Now, source: &str, target: &str, intent: &str, payload: Value<'_>, n: usize) -> Vec<u8> {
    let (id, nonce, mut stamp) = (format!("ping_{n:016x}"), format!("{n:032x}"), [0; 32]);
    let packet = Packet {
        packet_id: Text::new(&id),
        source_did: Text::new(source),
        target_did: Text::new(target),
        routing_mode: RoutingMode::Mesh,
        hop_count: 1,
        intent: Text::new(intent),
        payload,
        nonce: Text::new(&nonce),
        timestamp: Text::new(iso::format(now.wall, &mut stamp)),
        ..Packet::default()
    };
    let mut out = vec![0; MAX_DATAGRAM_V6];
    let len = packet.encode(Encoding::Json, &mut out).unwrap();
    out.truncate(len);
    // Whoever passed it on passes answers back.
    out.extend_from_slice(&MARK);
    out
}

/// The payload of a ping that carries an answer to the ping with this id, in the name of the sensor.
fn carried(id: &str) -> ValueBuf {
    let response = Response {
        in_response_to: Text::new(id),
        responder_did: Text::new(SENSOR),
        decision: Decision::Accept,
        ..Response::default()
    };
    let mut out = vec![0; 4096];
    let len = pack_answer(&response, &mut out).unwrap();
    ValueBuf::new(Value::from_json(core::str::from_utf8(&out[..len]).unwrap()).unwrap()).unwrap()
}

/// The id of the ping that a node sends next.
fn id_of_next(net: &mut Net, n: usize) -> std::string::String {
    let (now, mut buf) = (net.now, vec![0; MAX_DATAGRAM_V6]);
    let sent = net.node(n).poll_transmit(now, &mut buf).unwrap();
    let Ok(Frame { message: Message::Packet(packet), .. }) = Frame::decode(&buf[..sent.len]) else { panic!("a ping") };
    format!("{}", packet.packet_id)
}

#[test]
fn carried_answers_that_nobody_asked_for_fill_nothing_and_keep_nobody_out() {
    let mut net = Net::line();
    net.ask(|ping| ping.trace = false);
    let (now, id) = (net.now, id_of_next(&mut net, 0));
    let before = net.members[0].node.stats().tables;
    for n in 0..10_000 {
        let payload = carried(&format!("ping_{n:016x}"));
        let mut bytes = over_a_relay(now, &format!("jis:x:{n}"), PHONE, ANSWER_INTENT, payload.as_value(), n);
        let from = path(if n % 2 == 0 { 1 } else { 7 });
        assert_eq!(net.node(0).handle_datagram(now, from, &mut bytes), Err(Reject::Unrequested));
    }
    // Who knows the id is not where it was asked; what is no answer is none.
    let mut bytes = over_a_relay(now, SENSOR, PHONE, ANSWER_INTENT, carried(&id).as_value(), 1);
    assert_eq!(net.node(0).handle_datagram(now, path(7), &mut bytes), Err(Reject::WrongResponder));
    let mut bytes = over_a_relay(now, SENSOR, PHONE, ANSWER_INTENT, Value::EMPTY_OBJECT, 2);
    assert_eq!(net.node(0).handle_datagram(now, path(1), &mut bytes), Err(Reject::Malformed));
    let stats = net.members[0].node.stats();
    assert_eq!((stats.tables, stats.rejected.total()), (before, 10_002));
    // A known peer is heard beside that, and the answer itself counts.
    net.node(0).unpin(SENSOR).unwrap();
    net.node(0).allow_legacy(SENSOR).unwrap();
    let mut bytes = over_a_relay(now, SENSOR, PHONE, "temperature.told", Value::EMPTY_OBJECT, 3);
    assert_eq!(net.node(0).handle_datagram(now, path(1), &mut bytes), Ok(()));
    let mut bytes = over_a_relay(now, SENSOR, PHONE, ANSWER_INTENT, carried(&id).as_value(), 4);
    assert_eq!(net.node(0).handle_datagram(now, path(1), &mut bytes), Ok(()));
    assert_eq!(net.members[0].node.stats().responses, 1);
    net.check_books();
}

/// Two nodes that answer everything at once would otherwise answer each other's late answers for ever, over a reference relay.
#[test]
fn a_carried_answer_that_comes_late_is_no_ping_and_draws_no_answer() {
    let mut net = Net::line();
    let (now, mut buf) = (net.now, vec![0; MAX_DATAGRAM_V6]);
    net.node(0).unpin(SENSOR).unwrap();
    net.node(0).allow_legacy("*").unwrap();
    net.node(0).set_reply("*", Reply::Now(ValueBuf::new(Value::EMPTY_OBJECT).unwrap())).unwrap();
    let mut bytes = over_a_relay(now, SENSOR, PHONE, ANSWER_INTENT, carried("ping_0123456789abcdef").as_value(), 1);
    assert_eq!(net.node(0).handle_datagram(now, path(1), &mut bytes), Err(Reject::Unrequested));
    assert!(net.node(0).poll_transmit(now, &mut buf).is_none());
    assert_eq!(net.members[0].node.stats().tables, Default::default());
    net.check_books();
}

/// Whoever a relay lets in may ask what has to wait; all of it shares the places of one address, and who is accepted needs none of them.
#[test]
fn what_waits_from_over_a_relay_is_bounded_and_keeps_no_peer_out() {
    let mut net = Net::line();
    let now = net.now;
    net.node(4).unpin(PHONE).unwrap();
    net.node(4).allow_legacy("*").unwrap();
    let most = 128;
    for n in 0..1000 {
        let name = format!("jis:x:{n}");
        net.node(4).set_trust(&name, 0.5).unwrap();
        let mut bytes = over_a_relay(now, &name, SENSOR, "door.open", Value::EMPTY_OBJECT, n);
        let expected = if n < most { Ok(()) } else { Err(Reject::Busy) };
        assert_eq!(net.node(4).handle_datagram(now, path(3), &mut bytes), expected, "{n}");
    }
    let tables = net.members[4].node.stats().tables;
    assert_eq!((tables.waiting, tables.peers), (most, 0));
    let mut bytes = over_a_relay(now, PHONE, SENSOR, "temperature.read", Value::EMPTY_OBJECT, 5000);
    assert_eq!(net.node(4).handle_datagram(now, path(3), &mut bytes), Ok(()));
    net.check_books();
}

/// Pings in ever new names whose signatures do not hold, from so many addresses, at a relay that lets everybody in.
fn flood_badly_signed(net: &mut Net, relay: usize, count: usize, addresses: usize) {
    let (now, key, mut scratch) = (net.now, secret(9), vec![0; 4096]);
    net.node(relay).relay_for("*").unwrap();
    for n in 0..count {
        let mut bytes = over_a_relay(now, &format!("jis:x:{n}"), SENSOR, "door.open", Value::EMPTY_OBJECT, n);
        let Ok(Frame { message: Message::Packet(packet), encoding }) = Frame::decode(&bytes) else { panic!("a ping") };
        let made = packet.sign(encoding, &key, &mut scratch).unwrap();
        let spoiled = Packet { purpose: Text::new("something else"), ..made.on(packet) };
        let mut out = vec![0; 4096];
        let len = spoiled.encode(encoding, &mut out).unwrap();
        out.truncate(len);
        bytes = out;
        assert!(net.node(relay).handle_datagram(now, path(100 + n % addresses), &mut bytes).is_err());
    }
}

#[test]
fn bad_signatures_from_many_addresses_keep_no_neighbour_out() {
    let mut net = Net::line();
    flood_badly_signed(&mut net, 2, 6000, 50);
    let rejected = net.members[2].node.stats().rejected;
    assert_eq!((rejected.get(Reject::BadSignature), rejected.get(Reject::Busy)), (5000, 1000));
    net.ask(|ping| ping.trace = false);
    net.run(500);
    assert_eq!(net.members[0].told, ["accept jis:home:sensor"]);
    net.check_books();
}

/// Copies of one ping, which any neighbour may send however often, are known before anything of them is verified.
#[test]
fn copies_of_a_ping_use_up_no_verifications() {
    let mut net = Net::line();
    net.ask(|ping| ping.trace = false);
    net.run(500);
    let is_ping = |bytes: &[u8]| matches!(Frame::decode(bytes), Ok(Frame { message: Message::Packet(_), .. }));
    let copy = net.seen.iter().find(|(to, bytes)| *to == 2 && is_ping(bytes)).map(|(_, bytes)| bytes.clone());
    let (now, copy) = (net.now, copy.expect("it went over the relay"));
    for _ in 0..3000 {
        assert_eq!(net.node(2).handle_datagram(now, path(1), &mut copy.clone()), Err(Reject::Replay));
    }
    assert_eq!(net.members[2].node.stats().rejected.get(Reject::Busy), 0);
    net.ask(|ping| ping.trace = false);
    net.run(500);
    assert_eq!(net.members[0].told, ["accept jis:home:sensor"; 2]);
    net.check_books();
}

#[test]
fn one_address_has_no_more_bad_signatures_verified_than_its_link_may_bring_pings() {
    let mut net = Net::line();
    flood_badly_signed(&mut net, 2, 5000, 1);
    let stats = net.members[2].node.relay_stats().unwrap();
    assert_eq!(net.members[2].node.stats().rejected.get(Reject::BadSignature), 4000);
    assert_eq!((stats.rejects.get(RelayReject::LinkQuota), stats.forwarded), (1000, 0));
}
