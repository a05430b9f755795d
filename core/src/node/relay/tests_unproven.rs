//! A relay is no amplifier: what it sends to an address that has proven nothing is at most three times what came from there.

use std::vec::Vec;
use std::{format, vec};

use super::tests_net::{Net, PHONE, SENSOR, addr, path, start};
use crate::framing::{Decision, Encoding, Packet, PingType, Response, RoutingMode, Text, Value};
use crate::limits::MAX_DATAGRAM_V6;
use crate::node::{Event, Ping, Reply};
use crate::relay::{RelayConfig, RelayReject};
use crate::time::{Now, iso};
use crate::{Datagrams as _, Machine as _, Reject};

const RELAY: &str = "jis:mesh:r1";
const LAMP: &str = "jis:home:lamp";
/// An address at which nobody of the network stands.
const ELSEWHERE: usize = 7;

/// A phone whose key everybody knows, and a relay that takes the lamp at its word.
fn phone_and_relay() -> Net {
    let mut net = Net::new();
    net.add(start(0, PHONE, None));
    net.add(start(1, RELAY, Some(RelayConfig::default())));
    net.all_know_all();
    net.node(1).allow_legacy(LAMP).unwrap();
    net.node(1).set_trust(LAMP, 0.9).unwrap();
    net
}

/// What the lamp says to the relay, unsigned.
fn of_lamp(now: Now, ping_type: PingType, n: usize) -> Vec<u8> {
    let purpose = "to be found ".repeat(40);
    let (id, nonce, mut stamp) = (format!("ping_{n:016x}"), format!("{n:032x}"), [0; 32]);
    let packet = Packet {
        packet_id: Text::new(&id),
        source_did: Text::new(LAMP),
        target_did: Text::new(RELAY),
        ping_type,
        routing_mode: RoutingMode::Direct,
        intent: Text::new("lamp.here"),
        purpose: Text::new(&purpose),
        nonce: Text::new(&nonce),
        timestamp: Text::new(iso::format(now.wall, &mut stamp)),
        ..Packet::default()
    };
    let mut out = vec![0; MAX_DATAGRAM_V6];
    let len = packet.encode(Encoding::Json, &mut out).unwrap();
    out.truncate(len);
    out
}

/// The answer to a ping that arrived at the lamp.
fn answer_of_lamp(ping: &[u8], decision: Decision) -> Vec<u8> {
    let Ok(crate::framing::Frame { message: crate::framing::Message::Packet(packet), encoding }) =
        crate::framing::Frame::decode(ping)
    else {
        panic!("a ping")
    };
    let response =
        Response { in_response_to: packet.packet_id, responder_did: Text::new(LAMP), decision, ..Response::default() };
    let mut out = vec![0; MAX_DATAGRAM_V6];
    let len = response.encode(encoding, &mut out).unwrap();
    out.truncate(len);
    out
}

/// Have the phone ask the lamp over the relay, with or without a trace: what the relay sends to the lamp for it.
fn ask(net: &mut Net, trace: bool) -> Vec<Vec<u8>> {
    let mut ping = Ping::over(LAMP, RELAY, path(1), "lamp.on");
    ping.trace = trace;
    let now = net.now;
    net.node(0).ping(now, &ping).unwrap();
    let sent = out_of(net, 0);
    for (_, mut bytes) in sent {
        let _ = net.node(1).handle_datagram(now, path(0), &mut bytes);
    }
    out_of(net, 1).into_iter().filter(|(to, _)| *to == addr(ELSEWHERE)).map(|(_, bytes)| bytes).collect()
}

/// All that a node sends now, and to whom.
fn out_of(net: &mut Net, n: usize) -> Vec<(core::net::SocketAddr, Vec<u8>)> {
    let (now, mut buf, mut all) = (net.now, vec![0; MAX_DATAGRAM_V6], Vec::new());
    while let Some(sent) = net.node(n).poll_transmit(now, &mut buf) {
        all.push((sent.path.remote, buf[..sent.len].to_vec()));
    }
    while net.node(n).poll_event().is_some() {}
    all
}

/// Ask two hundred times: how many pings and bytes go to the lamp's address.
fn flood(net: &mut Net) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    for n in 0..200 {
        for ping in ask(net, n % 2 == 0) {
            (count, bytes) = (count + 1, bytes + ping.len());
        }
        net.run(50);
    }
    (count, bytes)
}

#[test]
fn a_peer_that_has_proven_nothing_is_sent_three_times_its_bytes_by_a_relay_and_no_more() {
    let mut net = phone_and_relay();
    let mut heartbeat = of_lamp(net.now, PingType::Heartbeat, 1);
    let (now, allowed) = (net.now, 3 * heartbeat.len());
    net.node(1).handle_datagram(now, path(ELSEWHERE), &mut heartbeat).unwrap();
    assert_eq!(net.node(1).peers().len(), 1);
    let (count, bytes) = flood(&mut net);
    assert!(count > 0, "it is found as long as there is something left");
    assert!(bytes <= allowed, "{bytes} bytes for {allowed}");
    let stats = net.members[1].node.relay_stats().unwrap();
    assert_eq!(stats.rejects.get(RelayReject::Amplification), 200 - count as u64);
    assert_eq!(net.members[1].node.stats().rejected.get(Reject::Amplification), 200 - count as u64);
    net.check_books();
}

#[test]
fn what_an_answer_takes_is_not_sent_a_second_time_in_pings_for_others() {
    let mut net = phone_and_relay();
    net.node(1).set_reply("*", Reply::Now(crate::framing::ValueBuf::new(Value::EMPTY_OBJECT).unwrap())).unwrap();
    let mut ping = of_lamp(net.now, PingType::Intent, 1);
    let (now, allowed) = (net.now, 3 * ping.len());
    net.node(1).handle_datagram(now, path(ELSEWHERE), &mut ping).unwrap();
    let answers: usize = out_of(&mut net, 1).iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(answers > 0);
    let (count, bytes) = flood(&mut net);
    assert!(count > 0 && answers + bytes <= allowed, "{answers} and {bytes} bytes for {allowed}");
}

#[test]
fn what_an_application_answers_is_counted_too() {
    let mut net = phone_and_relay();
    net.node(1).set_reply("*", Reply::Later).unwrap();
    let mut ping = of_lamp(net.now, PingType::Intent, 1);
    let (now, allowed) = (net.now, 3 * ping.len());
    net.node(1).handle_datagram(now, path(ELSEWHERE), &mut ping).unwrap();
    let mut open = None;
    while let Some(event) = net.node(1).poll_event() {
        if let Event::Ping(ping) = event {
            open = ping.open;
        }
    }
    assert!(ask(&mut net, false).is_empty(), "all that may be sent is kept for the answer");
    net.node(1).respond(now, open.unwrap(), Value::EMPTY_OBJECT).unwrap();
    let answers: usize = out_of(&mut net, 1).iter().map(|(_, bytes)| bytes.len()).sum();
    let (count, bytes) = flood(&mut net);
    assert!(count > 0 && answers + bytes <= allowed, "{answers} and {bytes} bytes for {allowed}");
}

#[test]
fn a_legacy_peer_that_answers_what_comes_over_a_relay_is_found_for_good() {
    let mut net = phone_and_relay();
    let now = net.now;
    net.node(0).allow_legacy(LAMP).unwrap();
    net.node(1).handle_datagram(now, path(ELSEWHERE), &mut of_lamp(now, PingType::Heartbeat, 1)).unwrap();
    for n in 0..100 {
        let now = net.now;
        let pings = ask(&mut net, n % 2 == 0);
        let [ping] = &pings[..] else { panic!("ping {n} goes there once: {}", pings.len()) };
        let mut bytes = answer_of_lamp(ping, Decision::Accept);
        net.node(1).handle_datagram(now, path(ELSEWHERE), &mut bytes).unwrap();
        let [(to, _)] = &out_of(&mut net, 1)[..] else { panic!("the answer goes back") };
        assert_eq!(*to, addr(0));
        net.run(100);
    }
}

/// Whoever copies a signed ping and is faster has an address learned that is not the signer's.
#[test]
fn an_address_that_was_learned_is_sent_no_more_than_came_from_there_allows() {
    let mut net = Net::new();
    net.add(start(0, PHONE, None));
    net.add(start(1, RELAY, Some(RelayConfig::default())));
    net.add(start(2, SENSOR, None));
    net.all_know_all();
    net.node(1).set_neighbour("jis:mesh:r9", path(9), 0.1).unwrap();
    let mut ping = Ping::over("jis:x:nobody", RELAY, path(1), "door.open");
    ping.trace = false;
    let now = net.now;
    net.node(2).ping(now, &ping).unwrap();
    let [(_, copied)] = &out_of(&mut net, 2)[..] else { panic!("one ping") };
    net.node(1).handle_datagram(now, path(ELSEWHERE), &mut copied.clone()).unwrap();
    out_of(&mut net, 1);
    let mut bytes = 0;
    for _ in 0..200 {
        let now = net.now;
        net.ask(|ping| ping.trace = false);
        for (_, mut bytes) in out_of(&mut net, 0) {
            let _ = net.node(1).handle_datagram(now, path(0), &mut bytes);
        }
        let there = out_of(&mut net, 1).into_iter().filter(|(to, _)| *to == addr(ELSEWHERE));
        bytes += there.map(|(_, bytes)| bytes.len()).sum::<usize>();
        net.run(100);
    }
    assert!(bytes <= 3 * copied.len(), "{bytes} bytes for {}", copied.len());
}

/// Where neighbours are the operator says.
#[test]
fn a_neighbour_that_the_operator_named_is_sent_what_there_is() {
    let mut net = phone_and_relay();
    net.node(1).set_neighbour(LAMP, path(ELSEWHERE), 0.5).unwrap();
    let sent: usize = (0..50).map(|_| ask(&mut net, false).len()).sum();
    assert_eq!(sent, 50);
}
