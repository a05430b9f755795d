//! What sources that prove nothing can take from others: not more than their share.

use std::format;
use std::string::String;
use std::vec::Vec;

use super::tests::{ENTERS, after, answer, at, ping, relay, transit};
use super::*;
use crate::framing::{Decision, Packet, PingType, Response, Text, Value};
use crate::{Instant, Path};

/// Passes on a ping with this id, from and for these names, over this link; `None` of a source that is proven.
fn pass(
    relay: &mut Relay,
    now: Instant,
    (id, source, target): (&str, &str, &str),
    stranger: Option<u8>,
) -> Result<Forward, RelayReject> {
    let packet = ping(id, source, target);
    let from = at(stranger.unwrap_or(1));
    relay.forward(now, &Transit { proven: stranger.is_none(), peer: Some(at(9)), ..transit(&packet, from) })
}

#[test]
fn who_writes_anothers_name_uses_up_nothing_of_his() {
    let mut relay = relay(RelayConfig::default());
    for n in 0..2000 {
        let _ = pass(&mut relay, after(n / 2), (&format!("flood_{n}"), "jis:s", "jis:t"), Some(2));
    }
    assert!(relay.stats().rejects.get(RelayReject::SourceQuota) > 1000);
    assert!(pass(&mut relay, after(1000), ("a", "jis:s", "jis:t"), None).is_ok());
    assert!(pass(&mut relay, after(1000), ("b", "jis:s", "jis:t"), Some(3)).is_ok(), "on another link, it may be he");
}

#[test]
fn who_writes_anothers_name_and_gets_no_answer_turns_no_ping_of_his_away() {
    let mut relay = relay(RelayConfig::default());
    relay.set_neighbour("jis:r", at(8), 0.9);
    // The target turns them away, since they are not signed.
    pass(&mut relay, after(0), ("forged", "jis:s", "jis:t"), Some(2)).unwrap();
    relay.handle_timeout(after(3000));
    let forward = pass(&mut relay, after(3000), ("a", "jis:s", "jis:t"), None).unwrap();
    assert_eq!((forward.way(), forward.to()), (Way::Peer, &[at(9)][..]));
    assert_ne!(pass(&mut relay, after(3000), ("b", "jis:s", "jis:t"), Some(2)).unwrap().to(), [at(9)]);
}

#[test]
fn many_names_over_one_link_leave_others_their_part_of_a_target() {
    let mut relay = relay(RelayConfig { max_open: 100_000, ..RelayConfig::default() });
    let flood = |relay: &mut Relay, links: u8| {
        for n in 0..4000_u32 {
            let (id, name) = (format!("flood_{links}_{n}"), format!("jis:{}", n % 100));
            let link = 20 + u8::try_from(n % u32::from(links)).unwrap();
            let _ = pass(relay, after(0), (&id, &name, "jis:t"), Some(link));
        }
    };
    flood(&mut relay, 1);
    assert!(relay.stats().rejects.get(RelayReject::TargetQuota) > 1000);
    assert!(pass(&mut relay, after(0), ("a", "jis:s", "jis:t"), Some(3)).is_ok());
    flood(&mut relay, 8);
    assert_eq!(pass(&mut relay, after(0), ("b", "jis:s", "jis:t"), Some(3)), Err(RelayReject::TargetQuota));
    assert!(pass(&mut relay, after(0), ("c", "jis:s", "jis:t"), None).is_ok());
}

#[test]
fn ways_back_of_strangers_leave_room() {
    let mut relay = relay(RelayConfig { max_open: 160, ..RelayConfig::default() });
    let fill = |relay: &mut Relay, link: u8| {
        for n in 0..200 {
            let (id, name) = (format!("{link}_{n}"), format!("jis:{n}"));
            let _ = pass(relay, after(0), (&id, &name, &format!("jis:t{n}")), Some(link));
        }
    };
    fill(&mut relay, 2);
    assert_eq!(relay.stats().open, 80);
    fill(&mut relay, 3);
    assert_eq!(relay.stats().open, 150);
    assert_eq!(pass(&mut relay, after(0), ("a", "jis:s", "jis:t"), Some(4)), Err(RelayReject::Busy));
    assert!(pass(&mut relay, after(0), ("b", "jis:s", "jis:t"), None).is_ok());
    relay.handle_timeout(after(10_000));
    relay.handle_timeout(after(10_000));
    relay.handle_timeout(after(10_000));
    assert!(pass(&mut relay, after(10_000), ("c", "jis:s", "jis:t"), Some(4)).is_ok(), "all have run out");
}

/// However many use the packet id of another, before it or behind it: who is proven gets his answer.
#[test]
fn a_crowd_with_one_packet_id_takes_no_answer_away() {
    for before in [true, false] {
        let mut relay = relay(RelayConfig::default());
        let crowd = |relay: &mut Relay| {
            for n in 0..20_u8 {
                let _ = pass(relay, after(0), ("a", &format!("jis:thief{n}"), "jis:t"), Some(20 + n));
            }
        };
        if before {
            crowd(&mut relay);
        }
        pass(&mut relay, after(0), ("a", "jis:s", "jis:t"), None).unwrap();
        crowd(&mut relay);
        let back = relay.answer(after(1), at(9), &answer("a", "jis:t", Decision::Accept)).unwrap();
        assert!(back.to().contains(&at(1)), "{before}");
    }
    // Who asks again under his own id, because nothing came back, is not one of a crowd.
    let mut relay = relay(RelayConfig::default());
    for n in 0..10 {
        let again = format!("{n}");
        let packet = Packet { nonce: Text::new(&again), ..ping("a", "jis:s", "jis:t") };
        let transit = Transit { proven: false, peer: Some(at(9)), ..transit(&packet, at(2)) };
        assert!(relay.forward(after(0), &transit).is_ok());
    }
}

fn open(relay: &mut Relay, (id, source): (&str, &str), (from, proven): (Path, bool), payload: &'static str) -> bool {
    let packet = Packet { ping_type: PingType::Relay, purpose: Text::new(payload), ..ping(id, source, "jis:t") };
    let now = after(0);
    relay.forward(now, &Transit { peer: Some(at(9)), proven, ..transit(&packet, from) }).unwrap();
    let yes = Response { payload: Value::from_wire(payload), ..answer(id, "jis:t", Decision::Accept) };
    relay.answer(now, at(9), &yes).unwrap().opened_circuit()
}

fn carries(relay: &mut Relay, id: &str, source: &str, from: Path) -> bool {
    let mut datagram = CircuitPacket::head(Label::of(id, source, "jis:t"), 3, 10).to_vec();
    datagram.extend([0xa5; 10]);
    relay.carry(after(1), from, &mut datagram).is_ok()
}

#[test]
fn only_who_enters_into_a_circuit_has_one_stand() {
    let mut relay = relay(RelayConfig::default());
    assert!(open(&mut relay, ("a", "jis:s"), (at(1), true), ENTERS));
    // Accepted, as any ping that is let in, but not taken for the end of a circuit.
    for payload in ["{}", r#"{"circuit":false}"#, r#"{"circuit":"true"}"#, "true"] {
        assert!(!open(&mut relay, ("a", "jis:s"), (at(2), false), payload));
        assert!(carries(&mut relay, "a", "jis:s", at(1)), "moved by {payload}");
    }
    assert_eq!(relay.stats().circuits, 1);
}

#[test]
fn no_source_and_no_crowd_takes_all_circuits() {
    let much = Rate::new(u32::MAX, u32::MAX);
    let rates = RelayConfig { source_rate: much, target_rate: much, link_rate: much, ..RelayConfig::default() };
    let mut relay = relay(RelayConfig { max_circuits: 32, max_circuits_per_source: 4, ..rates });
    let ids: Vec<String> = (0..100).map(|n| format!("ping_{n}")).collect();
    for id in &ids {
        assert!(open(&mut relay, (id, "jis:s"), (at(1), true), ENTERS));
    }
    assert_eq!(relay.stats().circuits, 4);
    assert!(carries(&mut relay, "ping_99", "jis:s", at(1)) && !carries(&mut relay, "ping_95", "jis:s", at(1)));
    // One address takes no more than half, and only its own make way for more.
    for id in &ids {
        assert!(open(&mut relay, (id, &format!("jis:{id}")), (at(2), false), ENTERS));
    }
    assert_eq!(relay.stats().circuits, 4 + 16);
    // Many addresses take what is left, but for a part that those have who are proven; then strangers make way for them.
    for (n, id) in (20..120).zip(&ids) {
        open(&mut relay, (id, &format!("jis:crowd:{id}")), (at(n), false), ENTERS);
    }
    assert_eq!(relay.stats().circuits, 32);
    for n in 0..5 {
        let name = format!("jis:proven{n}");
        assert!(open(&mut relay, ("a", &name), (at(3), true), ENTERS) && carries(&mut relay, "a", &name, at(3)));
    }
    assert!(carries(&mut relay, "ping_99", "jis:s", at(1)) && relay.stats().circuits == 32);
}

/// A neighbour that answers in the name of everybody, faster than they do: the answer of the target comes back, too, now and later.
#[test]
fn a_neighbour_that_answers_for_others_takes_no_answer_away() {
    for fast in [true, false] {
        let mut relay = relay(RelayConfig::default());
        relay.set_neighbour("jis:liar", at(11), 0.9);
        relay.set_neighbour("jis:honest", at(12), 0.5);
        for n in 0..40 {
            let (id, now) = (format!("ping_{n}"), after(n * 1000));
            relay.handle_timeout(now);
            let to = relay.forward(now, &transit(&ping(&id, "jis:s", "jis:t"), at(1))).unwrap().to().to_vec();
            assert!(to.contains(&at(12)), "ping {n}, {fast}");
            let yes = answer(&id, "jis:t", Decision::Accept);
            let mut say = |who: u8| relay.answer(now, at(who), &yes).map(|back| back.to().to_vec());
            let order = if fast { [11, 12] } else { [12, 11] };
            for who in order {
                assert!(to.contains(&at(who)) && say(who) == Ok(Vec::from([at(1)])), "ping {n}, {fast}");
            }
            assert_eq!(say(12), Err(RelayReject::Unrequested), "once over each");
        }
        relay.handle_timeout(after(60_000));
        assert_eq!(relay.stats().open, 0);
    }
}

#[test]
fn pending_over_one_hop_keeps_the_decision_over_another() {
    let mut relay = relay(RelayConfig::default());
    relay.set_neighbour("jis:liar", at(11), 0.9);
    relay.set_neighbour("jis:honest", at(12), 0.5);
    relay.forward(after(0), &transit(&ping("a", "jis:s", "jis:t"), at(1))).unwrap();
    let mut say = |millis: u64, who: u8, decision| {
        relay.handle_timeout(after(millis));
        relay.answer(after(millis), at(who), &answer("a", "jis:t", decision)).is_ok()
    };
    assert!(say(1, 11, Decision::Reject) && say(2, 12, Decision::Pending) && !say(3, 12, Decision::Pending));
    assert!(!say(4, 11, Decision::Pending) && !say(4, 11, Decision::Accept));
    assert!(say(200_000, 12, Decision::Accept) && !say(200_001, 12, Decision::Accept));
    assert_eq!(relay.stats().open, 0);
}

/// Whoever is let in can have his name heard from the addresses of others, and his pings go there: but each to one of them at most, or somebody would get several times what was sent.
#[test]
fn a_ping_goes_to_one_address_at_most_that_is_nobody_whom_the_operator_named() {
    let mut relay = relay(RelayConfig { fanout: 4, ..RelayConfig::default() });
    (11..15).for_each(|n| assert!(relay.set_neighbour(&format!("jis:r{n}"), at(n), 0.5)));
    relay.learn(after(0), "jis:t", at(21), 1);
    relay.learn(after(0), "jis:t", at(22), 1);
    let mut strays = 0;
    for n in 0..20_u64 {
        let (now, id) = (after(n * 3000), format!("ping_{n}"));
        relay.handle_timeout(now);
        let packet = ping(&id, "jis:s", "jis:t");
        let transit = Transit { peer: Some(at(23)), recorded: Some(at(24)), ..transit(&packet, at(1)) };
        let forward = relay.forward(now, &transit).unwrap();
        let named = |path: &&Path| (11..15).any(|n| at(n).same_remote(path));
        let others = forward.to().iter().filter(|path| !named(path)).count();
        assert!(others <= 1, "{forward:?}");
        strays += others;
    }
    assert!(strays > 3, "they are tried, one by one");
}

/// Names that are let in may each have so many ways back, and there are more such names than places: who asks little finds room, and who asks much makes it.
#[test]
fn many_who_are_let_in_and_ask_much_keep_out_nobody_who_asks_little() {
    let mut relay = relay(RelayConfig { max_open: 64, max_open_per_source: 16, ..RelayConfig::default() });
    let flood = |relay: &mut Relay, n: u64| {
        let (id, name) = (format!("flood_{n}"), format!("jis:flood:{}", n % 5));
        pass(relay, after(n), (&id, &name, "jis:t"), None).is_ok()
    };
    assert_eq!((0..200).filter(|n| flood(&mut relay, *n)).count(), 64);
    let asks = |relay: &mut Relay, n: u64| pass(relay, after(200 + n), (&format!("ping_{n}"), "jis:s", "jis:t"), None);
    assert_eq!((0..30).filter(|n| asks(&mut relay, *n).is_ok()).count(), 10, "as many as the others have by then");
    assert_eq!(relay.stats().open, 64);
    for n in 0..10 {
        let back = relay.answer(after(300), at(9), &answer(&format!("ping_{n}"), "jis:t", Decision::Accept)).unwrap();
        assert_eq!(back.to(), [at(1)]);
    }
}

/// As many as there are places use the packet id of another first: who has asked more makes way.
#[test]
fn names_that_are_let_in_and_use_anothers_packet_id_take_no_answer_away() {
    let mut relay = relay(RelayConfig::default());
    for n in 0..6 {
        let name = format!("jis:flood:{n}");
        for id in [format!("other_{n}"), "ping".into()] {
            let _ = pass(&mut relay, after(0), (&id, &name, "jis:t"), None);
        }
    }
    assert!(pass(&mut relay, after(0), ("ping", "jis:s", "jis:t"), None).is_ok());
    assert!(relay.answer(after(1), at(9), &answer("ping", "jis:t", Decision::Accept)).is_ok());
}

/// However many names there are of which nobody knows a key, they take no place from those that are proven where quotas are counted.
#[test]
fn the_quotas_of_many_names_leave_room_for_those_that_are_proven() {
    let slow = Rate::new(1, 10);
    let mut relay = relay(RelayConfig { max_rates: 32, source_rate: slow, ..RelayConfig::default() });
    for n in 0..200 {
        let (id, name) = (format!("flood_{n}"), format!("jis:flood:{n}"));
        let _ = pass(&mut relay, after(0), (&id, &name, "jis:t"), Some(20 + n % 8));
    }
    assert!(relay.stats().rejects.get(RelayReject::SourceQuota) > 100);
    assert!(pass(&mut relay, after(1), ("ping", "jis:s", "jis:t"), None).is_ok());
}

#[test]
fn to_an_address_that_has_proven_nothing_goes_what_came_from_there_allows() {
    let mut relay = relay(RelayConfig::default());
    let (now, there) = (after(0), at(9));
    let to = |relay: &mut Relay, n: u32, peer_proven| {
        let id = format!("ping_{n}");
        let packet = ping(&id, "jis:s", "jis:t");
        relay.forward(now, &Transit { peer: Some(there), peer_proven, len: 400, ..transit(&packet, at(1)) })
    };
    assert_eq!(to(&mut relay, 1, false), Err(RelayReject::Amplification));
    relay.credit(there, 900);
    let forward = to(&mut relay, 2, false).unwrap();
    assert_eq!((forward.to(), forward.room(0)), (&[there][..], Some(900)));
    relay.sent_on(&forward, 0, 501);
    assert_eq!(to(&mut relay, 3, false), Err(RelayReject::Amplification), "399 are left");
    let forward = to(&mut relay, 4, true).unwrap();
    assert_eq!((forward.to(), forward.room(0)), (&[there][..], None));
    relay.credit(there, 1);
    assert!(to(&mut relay, 5, false).is_ok());
    assert_eq!(relay.stats().unproven, 0);
    // Where neighbours are the operator says.
    relay.set_neighbour("jis:t", there, 0.5);
    let forward = to(&mut relay, 6, false).unwrap();
    assert_eq!((forward.to(), forward.room(0), relay.stats().unproven), (&[there][..], None, 0));
}

/// What a ping brings may be sent once: as its answer, or, when none can come any more, in pings.
#[test]
fn what_is_kept_for_answers_may_be_sent_in_pings_once_no_more_can_come() {
    let mut relay = relay(RelayConfig::default());
    let asks = |relay: &mut Relay, now, n: u32| {
        let id = format!("ask_{n}");
        let packet = ping(&id, "jis:s", "jis:t");
        relay
            .forward(now, &Transit { room: Some(1200), len: 400, peer: Some(at(8)), ..transit(&packet, at(1)) })
            .unwrap();
        id
    };
    let to_it = |relay: &mut Relay, now, n: u32| {
        let id = format!("ping_{n}");
        let packet = ping(&id, "jis:o", "jis:s");
        relay.forward(now, &Transit { peer: Some(at(1)), peer_proven: false, len: 400, ..transit(&packet, at(2)) })
    };
    let id = asks(&mut relay, after(0), 1);
    assert_eq!(to_it(&mut relay, after(0), 1), Err(RelayReject::Amplification));
    let back = relay.answer(after(0), at(8), &answer(&id, "jis:t", Decision::Pending)).unwrap();
    relay.sent_back(&back, 300);
    assert_eq!(to_it(&mut relay, after(0), 2), Err(RelayReject::Amplification));
    let back = relay.answer(after(0), at(8), &answer(&id, "jis:t", Decision::Accept)).unwrap();
    relay.sent_back(&back, 300);
    assert_eq!(to_it(&mut relay, after(0), 3).unwrap().room(0), Some(600));
    assert_eq!(to_it(&mut relay, after(0), 4), Err(RelayReject::Amplification));
    asks(&mut relay, after(0), 2);
    relay.handle_timeout(after(9000));
    assert_eq!(to_it(&mut relay, after(9000), 5), Err(RelayReject::Amplification));
    relay.handle_timeout(after(10_000));
    assert_eq!(to_it(&mut relay, after(10_000), 6).unwrap().room(0), Some(1400));
}

/// Who asks for a circuit from an address that is not his, together with who enters into it, sends nobody there what he likes.
#[test]
fn over_a_circuit_goes_to_an_end_that_has_proven_nothing_what_came_from_there_allows() {
    let config = RelayConfig::default();
    let (now, asker, target, answered) = (after(0), at(1), at(9), 500);
    let datagram = |len: usize| {
        let mut datagram = CircuitPacket::head(Label::of("a", "jis:s", "jis:t"), 8, len - CIRCUIT_HEAD).to_vec();
        datagram.resize(len, 0xa5);
        datagram
    };
    for (asker_proven, target_proven) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut relay = relay(config);
        relay.credit(target, 400);
        let (peer, room) = (Some(target), (!asker_proven).then_some(1200));
        let packet = Packet { ping_type: PingType::Relay, ..ping("a", "jis:s", "jis:t") };
        let asked = Transit { peer, peer_proven: target_proven, room, len: 400, ..transit(&packet, asker) };
        relay.forward(now, &asked).unwrap();
        let yes = Response { payload: Value::from_wire(ENTERS), ..answer("a", "jis:t", Decision::Accept) };
        let back = relay.answer(now, target, &yes).unwrap();
        relay.sent_back(&back, answered);
        let mut goes = |from: Path, len: usize| relay.carry(now, from, &mut datagram(len)).is_ok();
        // To the asker what the answer left of three times its ping.
        assert_eq!([100, 600, 100].map(|len| goes(target, len)), [true, true, asker_proven]);
        // To the target three times its answer, and the same of those 800 bytes.
        assert_eq!([1500, 2400, 50].map(|len| goes(asker, len)), [true, true, target_proven]);
        assert!(goes(target, 1200), "the asker has sent something meanwhile");
    }
}

/// What the quota of a circuit refuses did not go anywhere, and counts for nothing.
#[test]
fn what_a_circuit_refuses_uses_up_nothing() {
    let mut relay = relay(RelayConfig { circuit_rate: Rate::new(1000, 1000), ..RelayConfig::default() });
    let (asker, target) = (at(1), at(9));
    relay.credit(target, 400);
    let packet = Packet { ping_type: PingType::Relay, ..ping("a", "jis:s", "jis:t") };
    relay
        .forward(after(0), &Transit { peer: Some(target), peer_proven: false, len: 400, ..transit(&packet, asker) })
        .unwrap();
    let yes = Response { payload: Value::from_wire(ENTERS), ..answer("a", "jis:t", Decision::Accept) };
    let back = relay.answer(after(0), target, &yes).unwrap();
    relay.sent_back(&back, 500);
    let mut goes = |now, len: usize| {
        let mut datagram = CircuitPacket::head(Label::of("a", "jis:s", "jis:t"), 8, len - CIRCUIT_HEAD).to_vec();
        datagram.resize(len, 0xa5);
        relay.carry(now, asker, &mut datagram)
    };
    // Of three times its answer the target has had 900 bytes, and what was refused is none of them.
    assert_eq!(goes(after(0), 900), Ok(target));
    assert_eq!(goes(after(0), 500), Err(RelayReject::CircuitQuota));
    assert_eq!(goes(after(5000), 600), Ok(target));
    assert_eq!(goes(after(9000), 50), Err(RelayReject::Amplification));
}
