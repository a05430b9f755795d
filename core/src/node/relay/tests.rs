//! What a user of relays would miss if it broke, in small networks on virtual time.

use std::string::String;
use std::vec::Vec;
use std::{format, vec};

use super::tests_net::{Kind, Net, PHONE, SENSOR, addr, path, secret, start};
use super::*;
use crate::framing::{Decision, Encoding, Frame, Message, Packet, Response, Text, Value};
use crate::limits::MAX_DATAGRAM_V6;
use crate::node::identity::FromSession;
use crate::node::ingress::Ingress;
use crate::node::{Event, Identity, NodeConfig, Ping, PingError, SessionPolicy};
use crate::pins::Origin;
use crate::relay::trace::{Trace, Verdict};
use crate::relay::{CircuitPacket, Label, Rate, RelayConfig, RelayReject};
use crate::session::SessionId;
use crate::time::Duration;
use crate::{Datagrams as _, Did, Machine as _, Reject};

fn names(news: &TraceNews) -> Vec<String> {
    news.hops.iter().map(|hop| format!("{} {:?}", hop.did.as_deref().unwrap_or("-"), hop.verdict)).collect()
}

#[test]
fn a_ping_over_three_relays_is_answered_and_its_way_there_and_back_is_known() {
    let mut net = Net::line();
    let request = net.ask(|_| ());
    net.run(1000);
    assert_eq!(net.members[0].ended, [(request, Some(Decision::Accept))]);
    let [news] = &net.members[0].news[..] else { panic!("{:?}", net.members[0].news) };
    assert_eq!((news.request, &*news.did, news.tampered.len()), (Some(request), SENSOR, 0));
    assert_eq!(news.hops.first().unwrap().did.as_deref(), Some(PHONE));
    let turn = news.hops.iter().position(|hop| hop.turn).unwrap();
    assert_eq!(news.hops[turn].did.as_deref(), Some(SENSOR));
    assert!(news.hops.iter().all(|hop| matches!(hop.verdict, Verdict::Ok | Verdict::Folded)), "{:?}", names(news));
    // Who answered read the way there.
    let [there] = &net.members[4].news[..] else { panic!("{:?}", net.members[4].news) };
    assert_eq!((there.request, &*there.did, &there.tampered[..]), (None, PHONE, &[][..]));
    for n in 1..4 {
        let stats = net.members[n].node.relay_stats().unwrap();
        assert_eq!((stats.forwarded, stats.copies, stats.answered), (1, 1, 1), "relay {n}");
        assert_eq!(net.members[n].node.stats().forwarded, 2, "a ping and its answer");
    }
    // Neither is where the relay is.
    assert!(net.members[0].node.peers().is_empty() && net.members[4].node.peers().is_empty());
    net.check_books();
}

#[test]
fn a_ping_without_a_trace_is_relayed_and_tells_nothing() {
    let mut net = Net::line();
    for encoding in [Encoding::Json, Encoding::Msgpack, Encoding::Postcard] {
        net.ask(|ping| (ping.trace, ping.encoding) = (false, encoding));
        net.run(1000);
    }
    assert_eq!(net.members[0].told, ["accept jis:home:sensor"; 3]);
    assert!(net.members[0].news.is_empty() && net.members[4].news.is_empty());
}

#[test]
fn what_waits_at_the_far_end_is_answered_twice_over_the_relays() {
    let mut net = Net::line();
    net.node(4).set_trust(PHONE, 0.5).unwrap();
    net.ask(|ping| ping.trace = false);
    net.run(1000);
    assert_eq!(net.members[0].told, ["pending jis:home:sensor"]);
    let id = net.node(4).waiting().next().unwrap().id;
    let now = net.now;
    net.node(4).approve(now, id).unwrap();
    net.run(1000);
    assert_eq!(net.members[0].told, ["pending jis:home:sensor", "accept jis:home:sensor"]);
    net.check_books();
}

#[test]
fn who_is_no_relay_passes_nothing_on_and_a_relay_only_for_who_is_let_in() {
    let mut net = Net::new();
    net.add(start(0, PHONE, None));
    net.add(start(1, "jis:mesh:r1", None));
    net.ask(|ping| ping.trace = false);
    net.run(100);
    assert_eq!(net.members[1].node.stats().rejected.get(Reject::NotForUs), 1);
    assert_eq!(net.node(1).relay_for("*"), Err(RelayError::Off));

    let mut net = Net::new();
    net.add(start(0, PHONE, None));
    net.add(start(1, "jis:mesh:r1", Some(RelayConfig::default())));
    net.add(start(2, SENSOR, None));
    net.node(2).set_trust(PHONE, 0.5).unwrap();
    net.node(1).set_neighbour(SENSOR, path(2), 0.5).unwrap();
    net.ask(|ping| ping.trace = false);
    net.run(100);
    assert_eq!(net.members[1].node.stats().rejected.get(Reject::Rood), 1, "nobody knows the phone");
    net.node(1).relay_for("jis:home:*").unwrap();
    net.ask(|ping| ping.trace = false);
    net.run(100);
    assert_eq!(net.members[1].node.stats().forwarded, 2, "the ping, and that it waits");
    assert_eq!(net.members[0].told, ["pending jis:home:sensor"]);
    // Who is kept out stays out.
    net.node(1).set_trust(PHONE, 0.1).unwrap();
    net.ask(|ping| ping.trace = false);
    net.run(100);
    assert_eq!(net.members[1].node.stats().rejected.get(Reject::Rood), 2);
    // Who has a pinned key signs with it.
    net.node(1).set_trust(PHONE, 0.9).unwrap();
    let now = net.now;
    net.node(1).pin(now, PHONE, secret(9).public(), Origin::Operator).unwrap();
    net.ask(|ping| ping.trace = false);
    net.run(100);
    assert_eq!(net.members[1].node.stats().rejected.get(Reject::Unpinned), 1);
    assert_eq!(net.node(1).stop_relaying_for("jis:home:*"), Ok(()));
    assert_eq!(net.node(1).stop_relaying_for("jis:home:*"), Err(RelayError::Unknown));
    net.check_books();
}

#[test]
fn who_changes_a_ping_and_signs_that_is_named_by_both_ends() {
    let mut net = Net::line();
    net.members[2].kind = Kind::Tamperer;
    // Who is asked takes what nobody signed whole, or the changed ping would go nowhere.
    for n in [3, 4] {
        net.node(n).unpin(PHONE).unwrap();
        net.node(n).allow_legacy("*").unwrap();
    }
    net.ask(|ping| ping.purpose = "to know");
    net.run(1000);
    assert!(net.members[4].told.contains(&"ping to sell".into()), "{:?}", net.members[4].told);
    let there = net.members[4].news.first().unwrap();
    assert_eq!(there.tampered.first().unwrap().relay.as_deref(), Some("jis:mesh:r2"));
    // The answer is to another question and does not count, but tells who changed it.
    let [news] = &net.members[0].news[..] else { panic!("{:?}", net.members[0].news) };
    assert!(!news.believed && net.members[0].told.is_empty());
    assert_eq!(news.tampered.first().unwrap().relay.as_deref(), Some("jis:mesh:r2"));
    for news in net.members.iter().flat_map(|member| &member.news) {
        let named = news.tampered.iter().filter_map(|tampered| tampered.relay.as_deref());
        assert!(named.into_iter().all(|relay| relay == "jis:mesh:r2"), "{news:?}");
    }
}

#[test]
fn who_signs_one_thing_and_sends_another_is_one_of_two() {
    let mut net = Net::line();
    net.members[2].kind = Kind::Liar;
    for n in [3, 4] {
        net.node(n).unpin(PHONE).unwrap();
        net.node(n).allow_legacy("*").unwrap();
    }
    net.ask(|ping| ping.purpose = "to know");
    net.run(1000);
    let there = net.members[4].news.first().unwrap();
    let [tampered] = &there.tampered[..] else { panic!("{there:?}") };
    assert_eq!(tampered.relay, None, "over a line that anybody can write on nobody is certain");
    let (before, behind) = &tampered.between;
    assert_eq!((before.as_deref(), behind.as_deref()), (Some("jis:mesh:r2"), Some("jis:mesh:r3")));
}

/// The last relay has a session of its own with who asked, takes the records off that came behind the target's, and says something else in the name of the target. The session proves who is at its other side, and that
/// is not the target.
#[test]
fn a_relay_that_forges_an_answer_into_its_own_session_has_nobody_else_named() {
    let mut net = Net::new();
    net.add(start(0, PHONE, None));
    net.add(start(1, "jis:mesh:r1", Some(RelayConfig::default())));
    net.add(start(2, SENSOR, None));
    net.all_know_all();
    net.node(1).set_neighbour(SENSOR, path(2), 0.5).unwrap();
    // Of the same seed: it asks the same in the same words, and has no answer yet.
    let mut twin = start(0, PHONE, None);
    let now = net.now;
    for (n, did) in [(1, "jis:mesh:r1"), (2, SENSOR)] {
        twin.pin(now, did, secret(n).public(), Origin::Operator).unwrap();
        twin.set_trust(did, 0.9).unwrap();
    }
    let mut ping = Ping::over(SENSOR, "jis:mesh:r1", path(1), "temperature.read");
    ping.trace = true;
    twin.ping(now, &ping).unwrap();
    net.ask(|_| ());
    net.run(1000);
    let is_answer = |bytes: &[u8]| matches!(Frame::decode(bytes), Ok(Frame { message: Message::Response(_), .. }));
    let (_, came) = net.seen.iter().find(|(to, bytes)| *to == 1 && is_answer(bytes)).expect("the target answered");
    let Ok(Frame { message: Message::Response(response), encoding }) = Frame::decode(came) else { panic!("an answer") };
    let (frame, trace) = Trace::split(came);
    assert_eq!(trace.and_then(|trace| trace.last()).map(|last| last.did().into()), Some(String::from(SENSOR)));
    let forged = Response { payload: Value::from_json(r#"{"sold":true}"#).unwrap(), ..response };
    let mut bytes = vec![0; MAX_DATAGRAM_V6];
    let len = forged.encode(encoding, &mut bytes).unwrap();
    bytes.truncate(len);
    bytes.extend_from_slice(&came[frame.len()..]);
    let session = FromSession { id: SessionId::from_bits(1), key: secret(1).public(), early: false };
    let decoded = Frame::decode(&bytes).unwrap();
    let ingress = Ingress { path: path(1), session: Some(session), frame: &decoded, bytes: &bytes };
    assert!(matches!(twin.take_frame(now, &ingress), Err(Reject::Unpinned)));
    let mut told = 0;
    while let Some(event) = twin.poll_event() {
        let Event::Trace(news) = event else { continue };
        told += 1;
        let [tampered] = &news.tampered[..] else { panic!("it was changed: {news:?}") };
        assert_eq!(tampered.relay, None, "{news:?}");
        assert_eq!(tampered.between, (Some(SENSOR.into()), None));
    }
    assert_eq!(told, 1);
}

#[test]
fn a_signed_ping_that_is_changed_goes_no_further_than_the_next_who_knows_the_key() {
    let mut net = Net::line();
    net.members[2].kind = Kind::Tamperer;
    let request = net.ask(|ping| ping.purpose = "to know");
    net.run(20_000);
    assert_eq!(net.members[3].node.stats().rejected.get(Reject::BadSignature), 1);
    assert_eq!(net.members[0].ended, [(request, None)]);
    assert!(net.members[4].told.is_empty());
}

#[test]
fn an_answer_comes_back_over_a_reference_relay_which_is_a_gap_and_no_culprit() {
    for reference in 1..4 {
        let mut net = Net::line();
        net.members[reference].kind = Kind::Reference;
        for n in 1..5 {
            // A reference relay takes proofs off.
            net.node(n).unpin(PHONE).unwrap();
            net.node(n).allow_legacy("*").unwrap();
        }
        let request = net.ask(|_| ());
        net.run(1000);
        assert_eq!(net.members[0].ended, [(request, Some(Decision::Accept))], "reference relay at {reference}");
        let [news] = &net.members[0].news[..] else { panic!("{:?}", net.members[0].news) };
        assert!(news.tampered.is_empty(), "{news:?}");
        assert!(news.hops.iter().any(|hop| hop.verdict == Verdict::Unsigned), "{:?}", names(news));
        net.check_books();
    }
}

#[test]
fn one_source_that_floods_is_held_to_its_quota_and_others_go_on() {
    let mut net = Net::line();
    let config = RelayConfig { source_rate: Rate::new(1, 5), ..RelayConfig::default() };
    let mut relay = start(1, "jis:mesh:r1", Some(config));
    relay.relay_for("*").unwrap();
    relay.set_neighbour(SENSOR, path(4), 0.5).unwrap();
    net.members[1].node = relay;
    let other = net.add(start(5, "jis:home:other", None));
    net.node(4).set_trust("jis:home:other", 0.9).unwrap();
    for _ in 0..100 {
        net.ask(|ping| ping.trace = false);
    }
    net.run(100);
    assert_eq!(net.members[1].node.relay_stats().unwrap().forwarded, 5);
    assert_eq!(net.members[1].node.stats().rejected.get(Reject::Busy), 95);
    let now = net.now;
    net.node(other).ping(now, &Ping::over(SENSOR, "jis:mesh:r1", path(1), "temperature.read")).unwrap();
    net.run(100);
    assert_eq!(net.members[1].node.relay_stats().unwrap().forwarded, 6);
    assert!(net.members[1].node.wants().at.is_some(), "what it holds of them ends in time");
    net.run(400_000);
    assert_eq!(net.members[1].node.relay_stats().unwrap().open, 0);
    net.check_books();
}

#[test]
fn nothing_goes_twice_or_too_far_and_answers_that_nobody_asked_for_go_nowhere() {
    let mut net = Net::line();
    net.ask(|ping| (ping.trace, ping.max_hops) = (false, Some(2)));
    net.run(1000);
    assert_eq!(net.members[3].node.relay_stats().unwrap().rejects.get(RelayReject::HopLimit), 1);
    net.ask(|ping| ping.trace = false);
    let now = net.now;
    let (mut buf, mut sent) = (vec![0; MAX_DATAGRAM_V6], Vec::new());
    while let Some(transmit) = net.node(0).poll_transmit(now, &mut buf) {
        sent.push(buf[..transmit.len].to_vec());
    }
    let [ping] = &mut sent[..] else { panic!("one ping") };
    assert_eq!(net.node(1).handle_datagram(now, path(0), &mut ping.clone()), Ok(()));
    assert_eq!(net.node(1).handle_datagram(now, path(0), &mut ping.clone()), Err(Reject::Replay));
    assert_eq!(net.node(1).handle_datagram(now, path(7), ping), Err(Reject::Replay));
    let answer = Response {
        in_response_to: Text::new("ping_0123456789abcdef"),
        responder_did: Text::new(SENSOR),
        ..Default::default()
    };
    let len = answer.encode(Encoding::Json, &mut buf).unwrap();
    assert_eq!(net.node(1).handle_datagram(now, path(2), &mut buf[..len]), Err(Reject::Unrequested));
    net.check_books();
}

#[test]
fn a_relay_that_fails_is_gone_around() {
    let mut net = Net::line();
    // A second way around the relay in the middle.
    let spare = net.add(start(5, "jis:mesh:spare", Some(RelayConfig::default())));
    net.all_know_all();
    net.neighbours(1, spare);
    net.neighbours(spare, 3);
    net.ask(|ping| ping.trace = false);
    net.run(1000);
    assert_eq!(net.members[0].told.len(), 1);
    for dead in [2, spare] {
        (2..=spare).filter(|n| [2, spare].contains(n)).for_each(|n| net.members[n].up = n != dead);
        // Within the time of one heartbeat.
        for _ in 0..6 {
            net.ask(|ping| (ping.trace, ping.timeout) = (false, Some(Duration::from_secs(4))));
            net.run(5000);
        }
        assert!(matches!(net.members[0].ended.last(), Some((_, Some(Decision::Accept)))), "without {dead}");
    }
    net.check_books();
}

#[test]
fn frames_of_a_session_pass_unread_once_a_ping_opened_their_circuit() {
    let mut net = Net::line();
    let enters = r#"{"circuit":true}"#.parse().unwrap();
    net.node(4).set_reply("temperature.*", crate::node::Reply::Now(enters)).unwrap();
    net.ask(|ping| (ping.trace, ping.ping_type) = (false, crate::framing::PingType::Relay));
    net.run(1000);
    assert_eq!(net.members[0].told, ["accept jis:home:sensor"]);
    let (_, id) = net.got.keys().find(|(n, _)| *n == 4).unwrap();
    let label = Label::of(id, PHONE, SENSOR);
    let secret = b"ciphertext";
    let mut packet = CircuitPacket::head(label, 8, secret.len()).to_vec();
    packet.extend_from_slice(secret);
    let (now, mut buf) = (net.now, vec![0; MAX_DATAGRAM_V6]);
    assert_eq!(net.node(1).handle_datagram(now, path(0), &mut packet), Ok(()));
    let sent = net.node(1).poll_transmit(now, &mut buf).unwrap();
    let passed = CircuitPacket::read(&buf[..sent.len]).unwrap();
    assert_eq!((sent.path, passed.label, passed.hops_left, passed.frame), (path(2), label, 7, &secret[..]));
    assert_eq!(net.node(1).handle_datagram(now, path(3), &mut packet), Err(Reject::NotForUs));
    net.check_books();
}

#[test]
fn over_a_relay_goes_only_what_may_go_without_a_session_and_a_trace_takes_a_key() {
    let mut node = Node::new(NodeConfig::new(Did::new(PHONE).unwrap()), &Seed::from_u64(1)).unwrap();
    let now = Net::new().now;
    let mut ping = Ping::over(SENSOR, "jis:mesh:r1", path(1), "temperature.read");
    ping.trace = true;
    assert_eq!(node.ping(now, &ping), Err(PingError::NoTraceKey));
    ping.trace = false;
    assert!(node.ping(now, &ping).is_ok());
    let mut config = NodeConfig::new(Did::new(PHONE).unwrap());
    config.identity = Some(Identity::from(secret(1)));
    config.sessions = SessionPolicy::Require;
    let mut node = Node::new(config, &Seed::from_u64(1)).unwrap();
    assert_eq!(node.ping(now, &ping), Err(PingError::NoSession));
}

#[test]
fn neighbours_are_bounded_and_named() {
    let config = RelayConfig { max_neighbours: 2, ..RelayConfig::default() };
    let mut node = start(1, "jis:mesh:r1", Some(config));
    assert_eq!(node.set_neighbour("jis:mesh:r1", path(1), 0.5), Err(RelayError::OwnName));
    assert_eq!(node.set_neighbour("jis:a", path(2), 0.5), Ok(()));
    assert_eq!(node.set_neighbour("jis:b", path(3), 0.5), Ok(()));
    assert_eq!(node.set_neighbour("jis:c", path(4), 0.5), Err(RelayError::TooManyNeighbours(2)));
    assert_eq!(node.set_neighbour("jis:b", path(5), 0.5), Ok(()));
    assert_eq!((node.remove_neighbour("jis:b"), node.remove_neighbour("jis:b")), (Ok(()), Err(RelayError::Unknown)));
    assert!(node.set_neighbour("", path(2), 0.5).is_err());
}

/// A stranger writes the address of somebody else as its own, and asks over a relay for what is answered at length: nobody gets more than three times what he sent.
#[test]
fn an_address_that_has_not_proven_itself_gets_no_more_than_three_times_its_bytes_over_relays_either() {
    for wait in [false, true] {
        let mut net = Net::line();
        let other = net.add(start(5, "jis:home:other", None));
        for n in 1..5 {
            net.node(n).set_trust("jis:home:other", if wait && n == 4 { 0.5 } else { 0.9 }).unwrap();
            net.node(n).allow_legacy("jis:home:other").unwrap();
        }
        // What the sensor knows of the last relay, strangers have no part in.
        let now = net.now;
        net.node(4).ping(now, &Ping::new("jis:mesh:r3", path(3), "hello")).unwrap();
        net.run(1000);
        let long = format!("\"{}\"", "x".repeat(700)).parse().unwrap();
        net.node(4).set_reply("temperature.*", crate::node::Reply::Now(long)).unwrap();
        let mut lens = Vec::new();
        for (n, padding) in [0, 50, 150, 250, 400, 600].into_iter().enumerate() {
            let mut stamp = [0; crate::time::iso::FORMAT_LEN];
            let (id, purpose) = (format!("ping_{n}"), "p".repeat(padding));
            let stamp = crate::time::iso::format(net.now.wall, &mut stamp);
            let ping = Packet {
                packet_id: Text::new(&id),
                source_did: Text::new("jis:home:other"),
                target_did: Text::new(SENSOR),
                routing_mode: crate::framing::RoutingMode::Mesh,
                intent: Text::new("temperature.read"),
                purpose: Text::new(&purpose),
                nonce: Text::new(&id),
                timestamp: Text::new(stamp),
                max_hops: 9,
                ..Packet::default()
            };
            let mut buf = vec![0; 2048];
            let len = ping.encode(Encoding::Json, &mut buf).unwrap();
            net.seen.clear();
            net.send(other, addr(3), buf[..len].to_vec());
            net.run(500);
            for id in net.node(4).waiting().map(|ping| ping.id).collect::<Vec<_>>() {
                let now = net.now;
                net.node(4).approve(now, id).unwrap();
            }
            net.run(500);
            let got: usize = net.seen.iter().filter(|(at, _)| *at == other).map(|(_, bytes)| bytes.len()).sum();
            assert!(got <= 3 * len, "{got} for {len}");
            lens.push(got);
        }
        assert!(lens[0] == 0 || wait, "{lens:?}");
        assert!(*lens.last().unwrap() > 1000, "what is short enough goes back: {lens:?}");
    }
}
