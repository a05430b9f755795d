//! One relay at a time: what it passes on, to whom, and what it does not.

use std::string::{String, ToString as _};
use std::{format, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::framing::{Decision, Encoding, Frame, Message, Packet, PingType, Response, RoutingMode, Text, Value, Zone};
use crate::time::{Duration, Instant};
use crate::{Path, Seed};

/// How many bytes each ping comes in, where that is not looked at: a ping of none may go to any address.
pub(super) const LEN: usize = 0;

pub(super) fn at(n: u8) -> Path {
    Path::to(core::net::SocketAddr::from(([192, 0, 2, n], 7150)))
}

pub(super) fn after(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

pub(super) fn relay(config: RelayConfig) -> Relay {
    Relay::new(config, &mut Seed::from_u64(1).fork("relay"))
}

pub(super) fn ping<'a>(id: &'a str, source: &'a str, target: &'a str) -> Packet<'a> {
    Packet {
        packet_id: Text::new(id),
        source_did: Text::new(source),
        target_did: Text::new(target),
        routing_mode: RoutingMode::Mesh,
        intent: Text::new("temperature.read"),
        nonce: Text::new(id),
        ..Packet::default()
    }
}

pub(super) fn transit<'a>(packet: &'a Packet<'a>, from: Path) -> Transit<'a> {
    let (peer, recorded, room) = (None, None, None);
    Transit { packet, from, len: LEN, zone: Zone::Groen, proven: true, peer, peer_proven: true, recorded, room }
}

pub(super) fn answer<'a>(id: &'a str, who: &'a str, decision: Decision) -> Response<'a> {
    Response { in_response_to: Text::new(id), responder_did: Text::new(who), decision, ..Response::default() }
}

#[test]
fn what_may_not_go_on_leaves_nothing_but_a_count() {
    let mut relay = relay(RelayConfig::default());
    relay.set_neighbour("jis:r", at(9), 0.5);
    let fine = ping("a", "jis:s", "jis:t");
    let long = "x".repeat(257);
    let cases = [
        (Packet { routing_mode: RoutingMode::Direct, ..fine }, Zone::Groen, RelayReject::NotMesh),
        (Packet { routing_mode: RoutingMode::Broadcast, ..fine }, Zone::Groen, RelayReject::NotMesh),
        (fine, Zone::Geel, RelayReject::NotAllowed),
        (fine, Zone::Rood, RelayReject::NotAllowed),
        (Packet { hop_count: -1, ..fine }, Zone::Groen, RelayReject::BadHops),
        (Packet { max_hops: -1, ..fine }, Zone::Groen, RelayReject::BadHops),
        (Packet { hop_count: 5, ..fine }, Zone::Groen, RelayReject::HopLimit),
        (Packet { hop_count: i64::MAX, max_hops: i64::MAX, ..fine }, Zone::Groen, RelayReject::HopLimit),
        (Packet { hop_count: 16, max_hops: 100, ..fine }, Zone::Groen, RelayReject::HopLimit),
        (Packet { max_hops: 0, ..fine }, Zone::Groen, RelayReject::HopLimit),
        (Packet { source_did: Text::EMPTY, ..fine }, Zone::Groen, RelayReject::Malformed),
        (Packet { target_did: Text::new(&long), ..fine }, Zone::Groen, RelayReject::TooLong),
    ];
    for (packet, zone, why) in cases {
        let before = relay.stats().rejects.get(why);
        assert_eq!(relay.forward(after(0), &Transit { zone, ..transit(&packet, at(1)) }), Err(why), "{packet:?}");
        assert_eq!(relay.stats().rejects.get(why), before + 1);
    }
    let stats = relay.stats();
    assert_eq!((stats.seen, stats.open, stats.routes, stats.quotas, stats.forwarded), (0, 0, 0, 0, 0));
    assert!(relay.forward(after(0), &transit(&fine, at(1))).is_ok());
}

#[test]
fn ways_in_their_order_and_never_back() {
    let mut relay = relay(RelayConfig::default());
    let now = after(0);
    let packets: Vec<String> = (0..9).map(|n| format!("ping_{n}")).collect();
    let mut next = packets.iter().map(|id| ping(id, "jis:s", "jis:t"));
    let mut way = |relay: &mut Relay, peer: Option<Path>, recorded: Option<Path>| {
        let packet = next.next().unwrap();
        let transit = Transit { peer, recorded, ..transit(&packet, at(1)) };
        relay.forward(now, &transit).map(|forward| (forward.way(), forward.to().to_vec()))
    };
    assert_eq!(way(&mut relay, None, None), Err(RelayReject::NoRoute));
    assert_eq!(way(&mut relay, Some(at(1)), Some(at(1))), Err(RelayReject::NoRoute), "it came from there");
    relay.set_neighbour("jis:a", at(11), 0.3);
    relay.set_neighbour("jis:b", at(12), 0.9);
    relay.set_neighbour("jis:c", at(13), 0.6);
    relay.set_neighbour("jis:s", at(1), 1.0);
    assert_eq!(way(&mut relay, None, None), Ok((Way::Chosen, vec![at(12), at(13)])));
    relay.learn(now, "jis:t", at(14), 3);
    assert_eq!(way(&mut relay, None, None), Ok((Way::Learned, vec![at(14)])));
    assert_eq!(way(&mut relay, None, Some(at(15))), Ok((Way::Recorded, vec![at(15)])));
    relay.reserve(now, "jis:t", at(16)).unwrap();
    assert_eq!(way(&mut relay, None, Some(at(15))), Ok((Way::Reserved, vec![at(16)])));
    assert_eq!(way(&mut relay, Some(at(17)), None), Ok((Way::Peer, vec![at(17)])));
    relay.forget("jis:t");
    assert_eq!(way(&mut relay, Some(at(1)), None), Ok((Way::Chosen, vec![at(12), at(13)])));
}

/// Whoever sees a ping on its way, and is faster with another that bears its id, its signature or its proof, does not stop it.
#[test]
fn nobody_can_have_another_ping_dropped() {
    let signed = Packet { signature: Text::new("5e"), proof: Some(Text::new("9f")), ..ping("a", "jis:s", "jis:t") };
    let forgeries = [
        Packet { source_did: Text::new("jis:thief"), ..signed },
        Packet { purpose: Text::new("other"), ..signed },
        Packet { payload: Value::EMPTY_ARRAY, ..signed },
        Packet { max_hops: 4, ..signed },
        Packet { tibet_token_id: Some(Text::EMPTY), ..signed },
        Packet { proof: Some(Text::new("00")), ..signed },
        Packet { proof: None, ..signed },
        Packet { signature: Text::new("00"), ..signed },
    ];
    for forgery in forgeries {
        let mut relay = relay(RelayConfig::default());
        relay.set_neighbour("jis:r", at(9), 0.5);
        let forged = Transit { proven: false, ..transit(&forgery, at(3)) };
        assert!(relay.forward(after(0), &forged).is_ok());
        assert!(relay.forward(after(1), &transit(&signed, at(1))).is_ok(), "stopped by {forgery:?}");
        // The ping itself goes on once: with more hops, or with what a reference relay leaves of it, it is the same.
        for again in [Packet { hop_count: 3, ..signed }, Packet { hop_count: 1, proof: None, ..signed }] {
            assert_eq!(relay.forward(after(2), &transit(&again, at(2))), Err(RelayReject::Duplicate));
        }
    }
}

#[test]
fn an_answer_goes_back_once_and_only_from_who_was_asked() {
    let mut relay = relay(RelayConfig::default());
    relay.set_neighbour("jis:a", at(11), 0.3);
    relay.set_neighbour("jis:b", at(12), 0.9);
    let packet = ping("a", "jis:s", "jis:t");
    relay.forward(after(0), &transit(&packet, at(1))).unwrap();
    let yes = answer("a", "jis:t", Decision::Accept);
    for (from, response, why) in [
        (at(13), yes, RelayReject::WrongResponder),
        (at(12), answer("a", "jis:thief", Decision::Accept), RelayReject::WrongResponder),
        (at(12), answer("b", "jis:t", Decision::Accept), RelayReject::Unrequested),
    ] {
        assert_eq!(relay.answer(after(1), from, &response), Err(why));
    }
    // First that it waits, long after that the decision, and nothing more.
    assert_eq!(relay.answer(after(9_000), at(12), &answer("a", "jis:t", Decision::Pending)).unwrap().to(), [at(1)]);
    assert_eq!(
        relay.answer(after(9_001), at(12), &answer("a", "jis:t", Decision::Pending)),
        Err(RelayReject::Unrequested)
    );
    relay.handle_timeout(after(200_000));
    assert_eq!(relay.answer(after(300_000), at(11), &yes).unwrap().to(), [at(1)]);
    assert_eq!(relay.answer(after(300_000), at(11), &yes), Err(RelayReject::Unrequested));
    // A way back that nobody used closes in time.
    let late = ping("late", "jis:s", "jis:t");
    relay.forward(after(300_000), &transit(&late, at(1))).unwrap();
    assert_eq!(
        relay.answer(after(310_000), at(11), &answer("late", "jis:t", Decision::Accept)),
        Err(RelayReject::Unrequested)
    );
    relay.handle_timeout(after(310_000));
    assert_eq!(relay.stats().open, 0);
}

/// Somebody uses the packet id of another to have the answer for himself: both get it.
#[test]
fn an_answer_cannot_be_taken_away() {
    let mut relay = relay(RelayConfig::default());
    let (thief, honest) = (ping("a", "jis:thief", "jis:t"), ping("a", "jis:s", "jis:t"));
    for (packet, from) in [(&thief, at(3)), (&honest, at(1))] {
        relay.forward(after(0), &Transit { peer: Some(at(9)), ..transit(packet, from) }).unwrap();
    }
    let back = relay.answer(after(1), at(9), &answer("a", "jis:t", Decision::Accept)).unwrap();
    assert!(back.to().contains(&at(1)));
}

#[test]
fn a_way_without_an_answer_is_left_within_seconds_by_who_had_none() {
    let mut relay = relay(RelayConfig::default());
    relay.set_neighbour("jis:b", at(12), 0.9);
    // It answered over the first hop, until that dies.
    let ids: Vec<String> = (0..40).map(|n| format!("ping_{n}")).collect();
    let send = |relay: &mut Relay, n: usize, source: &str, millis: u64| {
        let packet = ping(&ids[n], source, "jis:t");
        relay.handle_timeout(after(millis));
        relay.forward(after(millis), &transit(&packet, at(1))).map(|forward| forward.to().to_vec())
    };
    relay.learn(after(0), "jis:t", at(11), 1);
    assert_eq!(send(&mut relay, 0, "jis:s", 0), Ok(vec![at(11)]));
    relay.answer(after(1), at(11), &answer(&ids[0], "jis:t", Decision::Accept)).unwrap();
    assert_eq!(send(&mut relay, 1, "jis:s", 100), Ok(vec![at(11)]));
    assert_eq!(send(&mut relay, 2, "jis:s", 3_000), Ok(vec![at(11)]), "not yet");
    // Patience is over: this source goes another way, and others try both.
    assert_eq!(send(&mut relay, 3, "jis:s", 3_100), Ok(vec![at(12), at(11)]));
    assert_eq!(send(&mut relay, 4, "jis:other", 3_200), Ok(vec![at(11), at(12)]));
    relay.answer(after(3_300), at(12), &answer(&ids[3], "jis:t", Decision::Accept)).unwrap();
    assert_eq!(send(&mut relay, 5, "jis:third", 3_400), Ok(vec![at(12)]), "learned");
}

/// Nobody is left out for as long as ways are avoided: it may be the only one behind whom the target is.
#[test]
fn where_all_ways_have_failed_each_try_takes_others_of_them() {
    let mut relay = relay(RelayConfig { avoid_for: Duration::from_secs(3600), ..RelayConfig::default() });
    (11..16).for_each(|n| assert!(relay.set_neighbour(&format!("jis:{n}"), at(n), 0.5)));
    let mut taken = std::collections::BTreeMap::<String, u32>::new();
    for n in 0..60_u64 {
        let (now, id) = (after(n * 4000), format!("ping_{n}"));
        relay.handle_timeout(now);
        let packet = ping(&id, "jis:s", "jis:t");
        let forward = relay.forward(now, &transit(&packet, at(1))).unwrap();
        assert_eq!(forward.to().len(), 2);
        let late = forward.to().iter().filter(|_| n > 3);
        late.for_each(|path| *taken.entry(format!("{}", path.remote)).or_default() += 1);
    }
    assert!(taken.len() == 5 && taken.values().all(|count| *count > 5), "{taken:?}");
}

/// A stranger whose pings the target ignores costs others nothing: their way is not taken from them.
#[test]
fn pings_without_an_answer_take_no_way_from_others() {
    let mut relay = relay(RelayConfig::default());
    relay.set_neighbour("jis:b", at(12), 0.9);
    relay.learn(after(0), "jis:t", at(11), 1);
    for n in 0..60_u64 {
        let (bad, good) = (format!("bad_{n}"), format!("good_{n}"));
        let now = after(n * 1000);
        relay.handle_timeout(now);
        let unanswered = ping(&bad, "jis:stranger", "jis:t");
        relay.forward(now, &transit(&unanswered, at(2))).unwrap();
        let packet = ping(&good, "jis:s", "jis:t");
        let forward = relay.forward(now, &transit(&packet, at(1))).unwrap();
        assert_eq!(forward.to()[0], at(11), "after {n} s");
        relay.answer(now, at(11), &answer(&good, "jis:t", Decision::Accept)).unwrap();
    }
}

#[test]
fn a_flood_of_one_source_costs_others_nothing() {
    let mut relay = relay(RelayConfig::default());
    let ids: Vec<String> = (0..12_000).map(|n| format!("ping_{n}")).collect();
    let mut passed = (0, 0);
    for (n, id) in ids.iter().enumerate() {
        let now = after(n as u64 / 10);
        // Over the same link, for the same target, ten thousand a second; and one honest ping every 100 ms.
        let flood = ping(id, "jis:flood", "jis:t");
        let there = Some(at(9));
        passed.0 += u32::from(relay.forward(now, &Transit { peer: there, ..transit(&flood, at(1)) }).is_ok());
        if n % 1000 == 0 {
            let honest = ping(id, "jis:s", "jis:t");
            relay.forward(now, &Transit { peer: there, ..transit(&honest, at(1)) }).unwrap();
            passed.1 += 1;
        }
    }
    assert_eq!(passed, (100 + 59, 12), "the burst, and 50 a second for 1.2 seconds");
    assert_eq!(relay.stats().rejects.get(RelayReject::SourceQuota), 12_000 - 159);
    assert_eq!(relay.stats().rejects.total(), 12_000 - 159);
}

/// Ten thousand a second over one link, for one target, each in a name of its own that may be anybody's; and one ping every 100 ms in a name that is proven.
#[test]
fn a_flood_under_many_names_leaves_room_for_those_that_are_proven() {
    let mut relay = relay(RelayConfig::default());
    for n in 0..60_000_u64 {
        let (now, id, name) = (after(n / 10), format!("ping_{n}"), format!("jis:x{n}"));
        relay.handle_timeout(now);
        let flood = ping(&id, &name, "jis:t");
        let _ = relay.forward(now, &Transit { proven: false, peer: Some(at(9)), ..transit(&flood, at(1)) });
        if n % 1000 == 0 {
            let id = format!("other_{n}");
            let honest = ping(&id, "jis:s", "jis:t");
            relay.forward(now, &Transit { peer: Some(at(9)), ..transit(&honest, at(1)) }).unwrap();
        }
    }
    let RelayStats { open, forwarded, rejects, .. } = relay.stats();
    assert!(open <= 2048 + 60, "{open} ways back are open");
    assert!((800..1000).contains(&forwarded), "{forwarded} went on: over one link half of what may go to the target");
    assert!(rejects.get(RelayReject::TargetQuota) > 50_000, "{rejects:?}");

    // For ever other targets it is the ways back that would be used up.
    let mut relay = self::relay(RelayConfig::default());
    relay.set_neighbour("jis:r", at(9), 0.5);
    for n in 0..60_000_u64 {
        let (now, id, name, target) = (after(n / 10), format!("ping_{n}"), format!("jis:x{n}"), format!("jis:t{n}"));
        let flood = ping(&id, &name, &target);
        let _ = relay.forward(now, &Transit { proven: false, ..transit(&flood, at(1)) });
        if n % 1000 == 0 {
            let id = format!("other_{n}");
            relay.forward(now, &transit(&ping(&id, "jis:s", "jis:t"), at(1))).unwrap();
        }
    }
    assert!(relay.stats().open <= 2048 + 60 && relay.stats().rejects.get(RelayReject::Busy) > 1000);
}

#[test]
fn every_table_is_full_some_time() {
    let config = RelayConfig {
        max_rates: 8,
        max_seen: 8,
        max_open: 8,
        max_routes: 8,
        max_neighbours: 8,
        max_reservations: 8,
        max_reservations_per_address: 2,
        ..RelayConfig::default()
    };
    let mut relay = relay(config);
    let names: Vec<String> = (0..100).map(|n| format!("jis:{n}")).collect();
    for (n, name) in (0_u8..).zip(&names) {
        relay.learn(after(0), name, at(n), 1);
        relay.set_neighbour(name, at(n), f64::from(n) / 100.0);
        let _ = relay.reserve(after(0), name, at(n / 4));
        let packet = ping(name, name, "jis:t");
        let _ = relay.forward(after(0), &transit(&packet, at(n)));
        let stats = relay.stats();
        assert!([stats.routes, stats.neighbours, stats.reservations, stats.open].into_iter().all(|n| n <= 8));
        assert!(stats.seen <= 16 && stats.quotas <= 32);
    }
    assert_eq!(relay.reserve(after(0), "jis:new", at(0)), Err(ReserveError::AddressFull));
    assert_eq!(relay.reserve(after(0), "jis:new", at(99)), Err(ReserveError::Full));
    assert!(relay.reserve(after(3_600_000), "jis:new", at(0)).is_ok(), "all others have run out");
    assert!(!relay.set_neighbour("jis:worse", at(200), 0.0));
    // A quota that is in use is not forgotten for a new name, and who is new has to wait.
    let packet = ping("x", "jis:x", "jis:t");
    assert_eq!(relay.forward(after(0), &transit(&packet, at(1))), Err(RelayReject::SourceQuota));
    assert!(relay.stats().rejects.get(RelayReject::SourceQuota) > 0);
}

pub(super) const ENTERS: &str = r#"{"circuit":true}"#;

fn circuit(relay: &mut Relay, now: Instant, id: &str) -> Label {
    let packet = Packet { ping_type: PingType::Relay, ..ping(id, "jis:s", "jis:t") };
    relay.forward(now, &Transit { peer: Some(at(9)), ..transit(&packet, at(1)) }).unwrap();
    let yes = Response { payload: Value::from_wire(ENTERS), ..answer(id, "jis:t", Decision::Accept) };
    assert!(relay.answer(now, at(9), &yes).unwrap().opened_circuit());
    Label::of(id, "jis:s", "jis:t")
}

#[test]
fn a_circuit_carries_both_ways_and_reads_nothing() {
    let mut relay = relay(RelayConfig { circuit_rate: Rate::new(10_000, 10_000), ..RelayConfig::default() });
    let label = circuit(&mut relay, after(0), "a");
    let packet = |hops_left| {
        let mut datagram = CircuitPacket::head(label, hops_left, 100).to_vec();
        datagram.extend([0xa5; 100]);
        datagram
    };
    for (from, to) in [(at(1), at(9)), (at(9), at(1))] {
        let mut datagram = packet(3);
        assert_eq!(relay.carry(after(1), from, &mut datagram), Ok(to));
        assert_eq!(datagram, packet(2), "nothing else is touched");
        assert_eq!(CircuitPacket::read(&datagram).unwrap().frame, [0xa5; 100]);
    }
    assert_eq!(relay.carry(after(1), at(2), &mut packet(3)), Err(RelayReject::NoCircuit));
    assert_eq!(relay.carry(after(1), at(1), &mut packet(0)), Err(RelayReject::HopLimit));
    assert_eq!(relay.carry(after(1), at(1), &mut packet(3)[..50]), Err(RelayReject::Malformed));
    let sent = (0..1000).filter(|_| relay.carry(after(1), at(1), &mut packet(3)).is_ok()).count();
    assert_eq!(sent, (10_000 - 240) / 120);
    assert_eq!(relay.stats().rejects.get(RelayReject::CircuitQuota), 1000 - sent as u64);
    relay.handle_timeout(after(181_000));
    assert_eq!((relay.stats().circuits, relay.next_timeout()), (0, None));
    assert_eq!(relay.carry(after(181_000), at(1), &mut packet(3)), Err(RelayReject::NoCircuit));
}

#[test]
fn an_answer_fits_into_a_ping_and_comes_out_as_it_was() {
    let mut buf = [0; 4096];
    let response = Response {
        payload: Value::from_json(r#"{"celsius":21.5,"note":"caf\u00e9"}"#).unwrap(),
        proof: Some(Text::new("abcd")),
        ..answer("ping_1", "jis:t", Decision::Accept)
    };
    let len = pack_answer(&response, &mut buf).unwrap();
    let text = core::str::from_utf8(&buf[..len]).unwrap().to_string();
    let carrier = Packet { payload: Value::from_json(&text).unwrap(), ..ping("ping_2", "jis:t", "jis:s") };
    // As a reference relay passes it on, in another encoding.
    for encoding in [Encoding::Json, Encoding::Msgpack] {
        let mut frame = [0; 4096];
        let len = carrier.encode(Encoding::Json, &mut frame).unwrap();
        let Message::Packet(heard) = Frame::decode(&frame[..len]).unwrap().message else { panic!("a ping") };
        let mut again = [0; 4096];
        let len = heard.encode(encoding, &mut again).unwrap();
        let Message::Packet(heard) = Frame::decode(&again[..len]).unwrap().message else { panic!("a ping") };
        let mut out = [0; 4096];
        let len = unpack_answer(heard.payload, &mut out).unwrap();
        assert_eq!(Frame::decode(&out[..len]).unwrap().message, Message::Response(response));
    }
    assert_eq!(unpack_answer(Value::EMPTY_OBJECT, &mut [0; 100]), None);
    assert_eq!(unpack_answer(carrier.payload, &mut [0; 100]), None);
}

/// What came when, for the model of quotas.
fn bursts() -> impl Strategy<Value = Vec<(u64, u8)>> {
    prop::collection::vec((0_u64..200, 0_u8..3), 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Over any stretch of time each source has at most its burst and what its rate gives, however the pings come.
    #[test]
    fn a_quota_holds_over_every_stretch_of_time(steps in bursts(), rate in 1_u32..50, burst in 1_u32..20) {
        let config = RelayConfig { source_rate: Rate::new(rate, burst), ..RelayConfig::default() };
        let mut relay = relay(config);
        let (mut millis, mut passed) = (0, vec![Vec::new(); 3]);
        for (n, (wait, who)) in steps.into_iter().enumerate() {
            millis += wait;
            let (id, source) = (format!("ping_{n}"), format!("jis:{who}"));
            let packet = ping(&id, &source, "jis:t");
            if relay.forward(after(millis), &Transit { peer: Some(at(9)), ..transit(&packet, at(1)) }).is_ok() {
                passed[usize::from(who)].push(millis);
            }
        }
        for times in passed {
            for (first, begin) in times.iter().enumerate() {
                for (last, end) in times.iter().enumerate().skip(first) {
                    let most = f64::from(burst) + (end - begin) as f64 / 1000.0 * f64::from(rate);
                    prop_assert!((last - first + 1) as f64 <= most + 1e-6, "{begin} to {end}");
                }
            }
        }
    }

    /// The set of recent hashes against a list of all that was noted.
    #[test]
    fn recent_hashes_are_those_noted_last(steps in prop::collection::vec((0_u64..40, 0_u64..30, any::<bool>()), 1..300)) {
        let mut set = recent::Recent::new(16, Duration::from_millis(100));
        let (mut millis, mut noted) = (0, Vec::<(u64, u64)>::new());
        for (wait, hash, forget) in steps {
            millis += wait;
            noted.retain(|(other, until)| *other != hash && *until > millis);
            if forget {
                set.forget(hash);
            } else {
                set.note(after(millis), hash);
                noted.push((hash, millis + 100));
                if noted.len() > 16 {
                    noted.remove(0);
                }
            }
            for hash in 0..30 {
                let known = noted.iter().any(|(other, until)| *other == hash && *until > millis);
                prop_assert_eq!(set.contains(after(millis), hash), known, "hash {} at {} ms", hash, millis);
            }
        }
    }
}
