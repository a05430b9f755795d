//! What a user of sessions over relays would miss if it broke.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::{CIRCUIT, Sent};
use crate::framing::{Decision, Encoding, Frame, Message};
use crate::node::relay::tests_net::{Kind, Net, PHONE, SENSOR, path, secret, start};
use crate::node::{Auth, Identity, Node, NodeConfig, Ping, PingError, RequestId, SessionPolicy};
use crate::pins::Origin;
use crate::relay::{CircuitPacket, RelayConfig};
use crate::time::Duration;
use crate::{Did, Reject, Seed};

/// A node with sessions, and the key of its number.
fn speaker(n: usize, did: &str, sessions: SessionPolicy) -> Node {
    let mut config = NodeConfig::new(Did::new(did).unwrap());
    config.identity = Some(Identity::from(secret(n)));
    config.heartbeat = None;
    config.sessions = sessions;
    Node::new(config, &Seed::from_u64(n as u64 + 1)).unwrap()
}

/// Phone, three relays in a line, sensor: 0 to 4; and a spare beside the one in the middle, 5.
fn line(phone: SessionPolicy, sensor: SessionPolicy) -> Net {
    let mut net = Net::new();
    net.add(speaker(0, PHONE, phone));
    for n in 1..4 {
        net.add(start(n, &format!("jis:mesh:r{n}"), Some(RelayConfig::default())));
    }
    net.add(speaker(4, SENSOR, sensor));
    net.add(start(5, "jis:mesh:r5", Some(RelayConfig::default())));
    net.all_know_all();
    for (a, b) in [(1, 2), (2, 3), (1, 5), (5, 3)] {
        net.neighbours(a, b);
    }
    for relay in [3, 5] {
        net.node(relay).set_neighbour(SENSOR, path(4), 0.5).unwrap();
    }
    net.members[5].up = false;
    net
}

fn ask(net: &mut Net, relay: usize, purpose: &str) -> RequestId {
    let (now, did) = (net.now, format!("jis:mesh:r{relay}"));
    let mut ping = Ping::over(SENSOR, &did, path(relay), "temperature.read");
    ping.purpose = purpose;
    net.node(0).ping(now, &ping).unwrap()
}

/// Datagrams that hold this text, but for those that reached one of the two ends.
fn on_relays(net: &Net, text: &str) -> usize {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|at| at == text.as_bytes());
    net.seen.iter().filter(|(_, bytes)| holds(bytes)).count()
}

fn is_session(auth: &(Auth, crate::Path)) -> bool {
    matches!(auth.0, Auth::Session(..))
}

#[test]
fn a_session_goes_over_three_relays_which_read_nothing_of_it() {
    for policy in [SessionPolicy::Auto, SessionPolicy::Require] {
        let mut net = line(policy, policy);
        let mut asked = Vec::new();
        for n in 0..3 {
            asked.push((ask(&mut net, 1, "nobody else's"), Some(Decision::Accept)));
            net.run(if n == 1 { 40_000 } else { 2000 });
        }
        assert_eq!(net.members[0].ended, asked);
        assert_eq!(on_relays(&net, "nobody else's"), 0, "a purpose is read on the way");
        assert!(net.members[0].auth.iter().all(is_session), "{:?}", net.members[0].auth);
        // What asks for the circuit is signed, and told to nobody.
        assert!(net.members[4].auth.len() == 3 && net.members[4].auth.iter().all(is_session));
        // Everybody sees the relay next to him, and nothing of where the packets seem to come from.
        assert!(net.members[0].auth.iter().all(|(_, from)| *from == path(1)));
        assert!(net.members[4].auth.iter().all(|(_, from)| *from == path(3)));
        assert!(net.members[0].node.peers().is_empty() && net.members[4].node.peers().is_empty());
        let carried = net.members[2].node.relay_stats().unwrap();
        assert!(carried.circuits == 1 && carried.forwarded == 1 && carried.carried >= 6, "{carried:?}");
        net.check_books();
    }
}

#[test]
fn packets_of_a_circuit_look_alike_in_both_directions() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    ask(&mut net, 1, "");
    net.run(2000);
    net.seen.clear();
    ask(&mut net, 1, "");
    net.run(200);
    let packets: Vec<_> =
        net.seen.iter().filter(|(n, _)| *n == 2).map(|(_, bytes)| CircuitPacket::read(bytes).unwrap()).collect();
    let [ping, answer] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!(
        (ping.label, ping.frame[3], ping.frame.len() % 64),
        (answer.label, answer.frame[3], answer.frame.len() % 64)
    );
}

#[test]
fn a_relay_that_dies_is_replaced_and_the_session_stays() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    ask(&mut net, 1, "");
    net.run(2000);
    assert_eq!(net.members[0].ended.len(), 1);
    let session = net.members[0].auth[0].0;
    // The first relay of the phone dies: it names another.
    (net.members[1].up, net.members[5].up) = (false, true);
    net.node(5).set_neighbour(SENSOR, path(4), 0.9).unwrap();
    ask(&mut net, 1, "lost");
    net.run(3000);
    let request = ask(&mut net, 5, "found");
    net.run(3000);
    assert!(net.members[0].ended.contains(&(request, Some(Decision::Accept))), "{:?}", net.members[0].ended);
    assert_eq!(net.members[0].auth.last().unwrap(), &(session, path(5)), "the session went on");
    assert!(net.members[4].told.contains(&String::from("ping found")));
}

#[test]
fn relays_that_forgot_a_circuit_are_asked_again_before_a_ping_is_lost() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    ask(&mut net, 1, "");
    net.run(2000);
    for n in 1..4 {
        let mut relay = start(n, &format!("jis:mesh:r{n}"), Some(RelayConfig::default()));
        core::mem::swap(&mut relay, net.node(n));
    }
    net.all_know_all();
    for (a, b) in [(1, 2), (2, 3)] {
        net.neighbours(a, b);
    }
    net.node(3).set_neighbour(SENSOR, path(4), 0.5).unwrap();
    net.run(70_000);
    let request = ask(&mut net, 1, "");
    net.run(2000);
    assert!(net.members[0].ended.contains(&(request, Some(Decision::Accept))), "{:?}", net.members[0].ended);
}

#[test]
fn lost_datagrams_delay_a_session_and_do_not_stop_it() {
    for seed in 0..8_u64 {
        let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
        net.count = seed * 1000;
        net.lose = |n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).is_multiple_of(30);
        let mut answered = false;
        // A handshake has three tries that count, in 23 seconds.
        for _ in 0..6 {
            let request = ask(&mut net, 1, "");
            net.run(11_000);
            answered |= net.members[0].ended.contains(&(request, Some(Decision::Accept)));
        }
        assert!(answered, "seed {seed}: {:?}", net.members[0].ended);
    }
}

#[test]
fn who_has_no_sessions_is_asked_signed_and_only_where_that_is_allowed() {
    let mut net = line(SessionPolicy::Auto, SessionPolicy::Off);
    let mut ping = Ping::over(SENSOR, "jis:mesh:r1", path(1), "temperature.read");
    (ping.purpose, ping.trace) = ("to know", true);
    let now = net.now;
    let request = net.node(0).ping(now, &ping).unwrap();
    net.run(8000);
    assert_eq!(net.members[0].ended, [(request, Some(Decision::Accept))]);
    assert!(matches!(net.members[0].auth[..], [(Auth::Signed(_), _)]), "{:?}", net.members[0].auth);
    let [news] = &net.members[0].news[..] else { panic!("traced, since it went without: {:?}", net.members[0].news) };
    assert!(news.believed && news.tampered.is_empty());
    // The next one does not wait.
    let request = ask(&mut net, 1, "");
    net.run(200);
    assert_eq!(net.members[0].ended.last(), Some(&(request, Some(Decision::Accept))));

    let mut net = line(SessionPolicy::Require, SessionPolicy::Off);
    let request = ask(&mut net, 1, "nobody else's");
    net.run(20_000);
    assert_eq!(net.members[0].ended, [(request, None)]);
    assert_eq!(on_relays(&net, "nobody else's"), 0);
    assert!(!net.members[4].told.contains(&"ping nobody else's".into()));
}

#[test]
fn a_reference_relay_on_the_way_carries_no_session() {
    let mut net = line(SessionPolicy::Auto, SessionPolicy::Auto);
    net.members[2].kind = Kind::Reference;
    for n in [0, 1, 3, 4] {
        // A reference relay takes proofs off.
        net.node(n).unpin(PHONE).ok();
        net.node(n).allow_legacy("*").unwrap();
    }
    let request = ask(&mut net, 1, "");
    net.run(9000);
    assert_eq!(net.members[0].ended, [(request, Some(Decision::Accept))]);
    assert!(!net.members[0].auth.iter().any(is_session));
}

#[test]
fn once_there_was_a_session_nothing_goes_without_one() {
    let mut net = line(SessionPolicy::Auto, SessionPolicy::Auto);
    ask(&mut net, 1, "");
    net.run(2000);
    // Whoever stands in the sensor's place now has no sessions.
    net.members[4].node = speaker(4, SENSOR, SessionPolicy::Off);
    net.all_know_all();
    net.run(400_000);
    let request = ask(&mut net, 1, "nobody else's");
    net.run(20_000);
    assert_eq!(net.members[0].ended.last(), Some(&(request, None)));
    assert_eq!(on_relays(&net, "nobody else's"), 0);
}

#[test]
fn without_a_pinned_key_no_session_goes_over_a_relay() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    net.node(0).unpin(SENSOR).unwrap();
    let now = net.now;
    let ping = Ping::over(SENSOR, "jis:mesh:r1", path(1), "temperature.read");
    assert_eq!(net.node(0).ping(now, &ping), Err(PingError::NoSession));
}

#[test]
fn who_waits_for_a_decision_has_a_circuit_when_it_is_made() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    net.node(4).set_trust(PHONE, 0.5).unwrap();
    ask(&mut net, 1, "first");
    net.run(1000);
    let waiting = net.node(4).waiting().next().map(|ping| (ping.id, ping.intent == CIRCUIT)).unwrap();
    assert!(waiting.1);
    let now = net.now;
    net.node(4).set_trust(PHONE, 0.9).unwrap();
    net.node(4).approve(now, waiting.0).unwrap();
    net.run(12_000);
    let request = ask(&mut net, 1, "second");
    net.run(3000);
    assert_eq!(net.members[0].ended.last(), Some(&(request, Some(Decision::Accept))));
}

#[test]
fn where_a_session_is_demanded_nobody_waits_or_is_let_in_without_one() {
    type Change = fn(&mut Node);
    let strict = || {
        let mut config = NodeConfig::new(Did::new(SENSOR).unwrap());
        config.identity = Some(Identity::from(secret(4)));
        (config.sessions, config.require) = (SessionPolicy::Require, crate::node::Require::Session);
        Node::new(config, &Seed::from_u64(5)).unwrap()
    };
    let changes: [(Change, bool); 3] = [
        (|_| (), true),
        (|sensor| _ = sensor.set_trust(PHONE, 0.5), false),
        (
            |sensor| {
                sensor.unpin(PHONE).unwrap();
                sensor.allow_legacy("*").unwrap();
            },
            false,
        ),
    ];
    for (change, is_let_in) in changes {
        let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
        net.members[4].node = strict();
        net.all_know_all();
        change(net.node(4));
        let request = ask(&mut net, 1, "");
        net.run(12_000);
        assert_eq!(net.members[0].ended.contains(&(request, Some(Decision::Accept))), is_let_in);
        assert_eq!(net.node(4).waiting().count(), 0);
        assert_eq!(net.members[4].node.stats().rejected.get(Reject::BadSignature) > 0, !is_let_in);
    }
}

#[test]
fn nobody_else_gets_into_a_circuit() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    ask(&mut net, 1, "");
    net.run(2000);
    let (_, mut packet) =
        net.seen.iter().rev().find(|(n, bytes)| *n == 4 && CircuitPacket::is_one(bytes)).unwrap().clone();
    let now = net.now;
    // From another address than that of its relay, and for a label that is none.
    assert!(crate::Datagrams::handle_datagram(net.node(4), now, path(5), &mut packet).is_err());
    packet[9] ^= 1;
    assert!(crate::Datagrams::handle_datagram(net.node(4), now, path(3), &mut packet).is_err());
    // Something else than a frame of a session, under the right label.
    packet[9] ^= 1;
    let mut other = packet[..crate::relay::CIRCUIT_HEAD].to_vec();
    other.extend_from_slice(b"TP\x01\x00\0\0\0\x02{}");
    other[4..8].copy_from_slice(&22_u32.to_be_bytes());
    assert_eq!(crate::Datagrams::handle_datagram(net.node(4), now, path(3), &mut other), Err(Reject::Header));
    let mut inside = [0; 64];
    let through = path(3).through(crate::SocketId::new(u16::MAX));
    assert_eq!(crate::Datagrams::handle_datagram(net.node(4), now, through, &mut inside), Err(Reject::SourcePortZero));
}

#[test]
fn everybody_who_may_ask_has_one_circuit_however_often_he_asks() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    for n in 0..20 {
        // A phone that restarts.
        net.members[0].node = speaker(0, PHONE, SessionPolicy::Require);
        let now = net.now;
        net.node(0).pin(now, SENSOR, secret(4).public(), Origin::Operator).unwrap();
        net.node(0).set_trust(SENSOR, 0.9).unwrap();
        let key = format!("{n}");
        ask(&mut net, 1, &key);
        net.run(10_000);
    }
    let circuits = net.members[4].node.rooms.circuits.as_ref().unwrap();
    assert_eq!(circuits.ends.len(), 1);
}

#[test]
fn a_crowd_of_names_takes_no_circuit_from_who_has_a_pinned_key() {
    use super::{Circuits, MAX_ENDS};
    use crate::relay::Label;
    use crate::time::Instant;

    let mut circuits = Circuits::default();
    let after = |n: u64| Instant::ZERO + Duration::from_secs(n);
    circuits.accept(after(0), (1, true), Label::of("1", "jis:a", "jis:b"), path(3));
    for n in 2..3000_u64 {
        if circuits.has_place(n, false) {
            circuits.accept(after(n), (n, false), Label::of(&format!("{n}"), "jis:x", "jis:b"), path(3));
        }
    }
    assert_eq!(circuits.ends.len(), MAX_ENDS - MAX_ENDS / 16);
    for n in 3000..5000_u64 {
        assert!(circuits.has_place(n, true));
        circuits.accept(after(n), (n, true), Label::of(&format!("{n}"), "jis:k", "jis:b"), path(3));
        assert!(circuits.ends.len() <= MAX_ENDS && circuits.names.len() == circuits.ends.len());
        let known = circuits.ends.values().filter(|end| end.known).count();
        assert_eq!(known, MAX_ENDS.min(usize::try_from(n).unwrap() - 3000 + 2), "strangers make way first");
    }
}

#[test]
fn what_does_not_fit_into_a_packet_of_a_circuit_is_refused_at_once() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    let payload = format!("{{\"v\":\"{}\"}}", "x".repeat(65_300));
    let mut ping = Ping::over(SENSOR, "jis:mesh:r1", path(1), "temperature.read");
    ping.payload = crate::framing::Value::from_json(&payload).unwrap();
    ping.encoding = Encoding::Json;
    let now = net.now;
    assert!(matches!(net.node(0).ping(now, &ping), Err(PingError::TooLarge { .. })));
    assert!(
        !net.seen
            .iter()
            .any(|(_, bytes)| matches!(Frame::decode(bytes), Ok(Frame { message: Message::Packet(_), .. })))
    );
}

/// The last word about the session of the phone, and about that of the sensor.
fn ways(net: &Net) -> [(bool, crate::Path); 2] {
    [0, 4].map(|n| *net.members[n].ways.last().unwrap())
}

fn relayed(net: &Net) -> [usize; 2] {
    [0, 4].map(|n| net.members[n].node.relayed_peers())
}

/// A ping every half second; all of them are answered.
fn ask_steadily(net: &mut Net, count: usize) {
    for n in 0..count {
        ask(net, 1, &format!("steady {n}"));
        net.run(500);
    }
    net.run(8000);
    assert!(
        net.members[0].ended.iter().all(|(_, decision)| *decision == Some(Decision::Accept)),
        "{:?}",
        net.members[0].ended
    );
}

#[test]
fn a_session_moves_to_a_direct_path_and_back_and_loses_no_ping() {
    for who in [[4].as_slice(), &[0], &[0, 4]] {
        let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
        who.iter().for_each(|n| net.node(*n).add_address(path(*n).remote).unwrap());
        ask_steadily(&mut net, 10);
        assert_eq!(ways(&net), [(false, path(4)), (false, path(0))], "{who:?}");
        assert_eq!(relayed(&net), [0, 0]);
        for n in [0, 4] {
            assert_eq!(net.members[n].node.rooms.links.as_ref().unwrap().kept(), 0, "old packets are let go of");
        }
        let carried = net.members[2].node.relay_stats().unwrap().carried;
        ask_steadily(&mut net, 10);
        assert_eq!(net.members[2].node.relay_stats().unwrap().carried, carried, "nothing goes over relays any more");
        // It breaks, in one direction or in both, while pings are under way.
        for cut in [[(0, 4), (4, 0)].as_slice(), &[(0, 4)], &[(4, 0)]] {
            net.cut = cut.to_vec();
            ask_steadily(&mut net, 40);
            assert_eq!(ways(&net), [(true, path(1)), (true, path(3))], "{who:?} {cut:?}");
            assert_eq!(relayed(&net), [1, 1]);
            // And works again.
            net.cut.clear();
            net.run(700_000);
            ask_steadily(&mut net, 120);
            assert_eq!(ways(&net), [(false, path(4)), (false, path(0))], "{who:?} {cut:?}");
        }
        assert!(net.members[4].told.iter().filter(|told| *told == "ping steady 3").count() >= 2);
        net.check_books();
    }
}

/// Every failure makes the next try of a direct path come later, but only of one that never held for long.
#[test]
fn a_direct_path_that_has_worked_is_tried_soon_however_often_it_failed_before() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    net.node(4).add_address(path(4).remote).unwrap();
    ask_steadily(&mut net, 10);
    for n in 0..8 {
        ask_steadily(&mut net, 80);
        assert_eq!(ways(&net), [(false, path(4)), (false, path(0))], "it has worked for 40 s, failure {n}");
        net.cut = [(0, 4), (4, 0)].to_vec();
        ask_steadily(&mut net, 10);
        assert_eq!(ways(&net), [(true, path(1)), (true, path(3))]);
        net.cut.clear();
        ask_steadily(&mut net, 60);
    }
}

#[test]
fn packets_that_wait_for_a_circuit_that_makes_way_are_counted() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    ask(&mut net, 1, "");
    net.run(2000);
    let (before, now) = (net.node(0).stats().unsent, net.now.mono + Duration::from_secs(70));
    // The circuit was silent for long: what a session sends through it waits until it was asked for again.
    let circuits = net.node(0).rooms.circuits.as_mut().unwrap();
    let label = *circuits.ends.keys().next().unwrap();
    for _ in 0..2 {
        assert!(matches!(circuits.send(now, label, (&mut [0; 200], 100)), Some(Sent::Later)));
    }
    circuits.remove(label);
    assert_eq!(net.node(0).stats().unsent, before + 2);
    net.check_books();
}

#[test]
fn a_direct_path_that_breaks_after_the_relays_forgot_the_circuit_loses_no_ping() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    net.node(4).add_address(path(4).remote).unwrap();
    ask_steadily(&mut net, 400);
    assert_eq!(ways(&net), [(false, path(4)), (false, path(0))]);
    let circuits = |net: &Net| net.members[2].node.relay_stats().unwrap().circuits;
    assert_eq!(circuits(&net), 0, "nothing went over it for three minutes");
    net.cut = [(0, 4), (4, 0)].to_vec();
    ask_steadily(&mut net, 10);
    assert_eq!((ways(&net)[0].0, circuits(&net)), (true, 1));
}

#[test]
fn nobody_is_drawn_to_an_address_that_nobody_answers_at() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    // The sensor names somebody else, who is flooded with nothing by that: three questions, then fewer.
    net.node(4).add_address(path(7).remote).unwrap();
    net.cut = [(0, 4), (4, 0)].to_vec();
    ask_steadily(&mut net, 40);
    assert_eq!(ways(&net)[0], (true, path(1)));
    for bad in ["0.0.0.0:1", "224.0.0.1:1", "192.0.2.1:0", "255.255.255.255:1", "[::]:1", "[ff02::1]:1"] {
        assert!(net.node(4).add_address(bad.parse().unwrap()).is_err(), "{bad}");
    }
    for n in 8..11 {
        net.node(4).add_address(path(n).remote).unwrap();
    }
    assert!(net.node(4).add_address(path(11).remote).is_err(), "four are enough");
}

#[test]
fn who_copies_packets_between_two_nodes_does_not_become_their_path() {
    let mut net = line(SessionPolicy::Require, SessionPolicy::Require);
    // 6 takes what goes to the sensor's address, passes it on from its own, and back.
    let thief = net.add(start(6, "jis:thief", None));
    net.members[thief].kind = Kind::Thief(0, 4);
    net.node(4).add_address(path(4).remote).unwrap();
    ask_steadily(&mut net, 20);
    assert_eq!(ways(&net), [(true, path(1)), (true, path(3))]);
}
