//! What happens between two who are honest, on networks that are not kind.

use std::collections::BTreeSet;

use super::{CALM, STORM, World, config};
use sluis_core::session::{Down, Ingress, News, Route, SealError, SessionReject, Stamp};

fn ups(world: &World, n: usize) -> usize {
    world.news_of(n).iter().filter(|news| matches!(news, News::Up { .. })).count()
}

#[test]
fn with_a_pinned_key_the_first_ping_takes_one_round_trip() {
    let mut world = World::new(1, 2);
    let connected = world.connect(0, 1, b"how warm?");
    assert!(connected.early);
    assert_eq!(world.tape.len(), 1);
    world.run(5);
    let heard = world.nodes[1].heard[0].clone();
    assert!(heard.early && heard.body == b"how warm?" && heard.key == world.nodes[0].key);
    // The answer goes out right behind the second message, before anything was heard under the new keys.
    world.say(1, heard.session, b"21.5").unwrap();
    world.run(5);
    assert_eq!(world.bodies(0), [b"21.5"]);
    world.run(100);
    assert_eq!(world.news_of(0), [News::Up { initiator: true, early: true }]);
    assert!(matches!(world.news_of(1)[..], [News::Stamp(_), News::Up { initiator: false, early: false }]));
    let (did, key, _) = world.nodes[1].room.peer(heard.session).unwrap();
    assert_eq!((did, key), ("jis:node:0", Some(world.nodes[0].key)));
    assert_eq!([world.nodes[0].room.half_open(), world.nodes[1].room.half_open()], [0, 0]);
}

#[test]
fn without_a_pinned_key_both_learn_who_the_other_is() {
    let mut world = World::new(2, 2);
    let connected = world.connect_named(0, 1);
    assert!(!connected.early);
    world.run(100);
    let [a, b] = [world.session(0, 1).unwrap(), world.session(1, 0).unwrap()];
    assert_eq!(a, connected.session);
    assert_eq!(world.nodes[0].room.peer(a).unwrap().1, Some(world.nodes[1].key));
    assert_eq!(world.nodes[1].room.peer(b).unwrap().1, Some(world.nodes[0].key));
    world.say(0, a, b"hello").unwrap();
    world.say(1, b, b"hello yourself").unwrap();
    world.run(100);
    assert_eq!((world.bodies(1), world.bodies(0)), (vec![b"hello".to_vec()], vec![b"hello yourself".to_vec()]));
    assert_eq!([world.nodes[0].room.half_open(), world.nodes[1].room.half_open()], [0, 0]);
}

#[test]
fn a_static_key_of_its_own_is_learned_by_the_first_session_or_told() {
    use std::sync::Arc;
    let own = || sluis_core::noise::X25519Secret::from_bytes(&[7; 32]);
    let make = || {
        let usual = config(1);
        sluis_core::session::Config::with_signer(usual.did, Arc::new(super::secret(1)), own())
    };
    let mut world = World::new(3, 1);
    world.add(make());
    // Pinned by its identity alone it is not found: whoever has other static keys hears nothing that it can read.
    let lost = world.connect(0, 1, b"");
    world.run(60_000);
    assert_eq!(world.news_of(0), [News::Down(Down::NoAnswer)]);
    assert!(world.nodes[1].rejects[&SessionReject::Handshake] >= 4 && world.nodes[0].room.peer(lost.session).is_none());
    world.connect_named(0, 1);
    world.run(100);
    let session = world.session(0, 1).unwrap();
    let statics = world.nodes[0].room.statics(session).unwrap();
    assert_eq!(statics, <sluis_core::noise::X25519 as sluis_core::noise::Curve>::public(&own()));
    // New keys are made with it.
    for _ in 0..40 {
        world.say(0, session, b"x").unwrap();
        world.run(5_000);
    }
    assert!(world.news_of(0).contains(&News::Rekeyed));
    // And it can be told.
    let mut world = World::new(4, 1);
    world.add(make());
    let (did, key, at) = (world.nodes[1].did.clone(), world.nodes[1].key, world.nodes[1].at);
    let peer = sluis_core::session::Peer { did: &did, key: Some(key), statics: Some(statics) };
    assert!(world.connect_to(0, &peer, at, b"early").early);
    world.run(100);
    assert!(world.session(0, 1).is_some() && world.bodies(1) == [b"early"]);
}

/// Everything is said once or not at all, to the right one, whatever the network does; and a session comes up.
fn storm(seed: u64, named: bool, crossed: bool) {
    let mut world = World::new(seed, 2);
    world.weather = STORM;
    if named {
        world.connect_named(0, 1)
    } else {
        world.connect(0, 1, b"")
    };
    if crossed {
        let wait = world.dice(600);
        world.run(wait);
        world.connect(1, 0, b"");
    }
    let (mut said, mut n) = ([Vec::new(), Vec::new()], 0_u32);
    for _ in 0..400 {
        if world.news_of(0).last() == Some(&News::Down(Down::NoAnswer)) {
            // Of a hundred handshakes one or two are lost with all their five messages.
            world.nodes[0].news.clear();
            world.connect(0, 1, b"");
        }
        for a in 0..2 {
            if let Some(session) = world.session(a, 1 - a) {
                n += 1;
                let body = n.to_be_bytes().repeat(1 + n as usize % 50);
                if world.say(a, session, &body).is_ok() {
                    said[1 - a].push(body);
                }
            }
        }
        world.run(500);
    }
    for (a, said) in said.iter().enumerate() {
        assert!(ups(&world, a) >= 1, "seed {seed}: {:?}", world.news_of(a));
        assert!(!world.news_of(a).contains(&News::Down(Down::Silent)), "seed {seed}");
        let heard = world.bodies(a);
        let unique: BTreeSet<_> = heard.iter().collect();
        assert_eq!(unique.len(), heard.len(), "seed {seed}: something was heard twice");
        let all: BTreeSet<_> = said.iter().collect();
        assert!(unique.is_subset(&all), "seed {seed}: something was heard that nobody said");
        assert!(heard.len() * 2 > said.len(), "seed {seed}: {} of {}", heard.len(), said.len());
        // Keys are two minutes old at most.
        assert!(world.news_of(a).contains(&News::Rekeyed), "seed {seed}");
        assert!(world.nodes[a].room.len() == 1 && world.nodes[a].room.half_open() <= 1, "seed {seed}");
    }
}

#[test]
fn sessions_come_up_and_stay_up_in_storms() {
    for seed in 0..30 {
        storm(seed, seed % 2 == 0, false);
    }
}

#[test]
fn sessions_that_cross_in_storms_become_one() {
    for seed in 100..130 {
        storm(seed, seed % 2 == 0, true);
    }
}

#[test]
fn two_handshakes_that_cross_become_the_one_of_the_lower_key() {
    for (seed, named) in [(1, false), (2, true)] {
        let mut world = World::new(seed, 2);
        if named {
            world.connect_named(0, 1)
        } else {
            world.connect(0, 1, b"from 0")
        };
        world.connect(1, 0, b"from 1");
        world.run(1000);
        let low = usize::from(world.nodes[1].key < world.nodes[0].key);
        for n in 0..2 {
            let ups: Vec<_> = world.news_of(n).into_iter().filter(|news| matches!(news, News::Up { .. })).collect();
            // The early data of the one that gave way was not heard, and it is told so.
            let early = n == low && (n == 1 || !named);
            assert_eq!(ups, [News::Up { initiator: n == low, early }], "node {n}, low {low}");
            assert_eq!(world.nodes[n].room.len(), 1);
            assert_eq!(world.nodes[n].room.half_open(), 0);
        }
        assert_eq!(world.nodes[low].rejects[&SessionReject::Crossed], 1);
        let early = format!("from {low}").into_bytes();
        assert_eq!(world.bodies(1 - low), if named && low == 0 { vec![] } else { vec![early] });
        let ids = [world.session(0, 1).unwrap(), world.session(1, 0).unwrap()];
        for (n, id) in ids.into_iter().enumerate() {
            world.nodes[1 - n].heard.clear();
            world.say(n, id, b"same keys").unwrap();
            world.run(100);
            assert_eq!(world.bodies(1 - n), [b"same keys"]);
        }
    }
}

#[test]
fn keys_are_renewed_by_time_without_a_packet_lost() {
    let (mut world, ids) = World::pair(5);
    let mut n = 0_u32;
    for _ in 0..3000 {
        n += 1;
        for (a, id) in ids.into_iter().enumerate() {
            world.say(a, id, &n.to_be_bytes()).unwrap();
        }
        world.run(200);
    }
    let expected: Vec<_> = (1..=n).map(|n| n.to_be_bytes().to_vec()).collect();
    assert_eq!(world.bodies(0), expected);
    assert_eq!(world.bodies(1), expected);
    let rekeyed = world.news_of(0).iter().filter(|news| **news == News::Rekeyed).count();
    assert!((4..=5).contains(&rekeyed), "{rekeyed} in ten minutes");
    assert!(world.nodes.iter().all(|node| node.rejects.is_empty()));
}

#[test]
fn keys_are_renewed_by_count() {
    let mut world = World::new(6, 0);
    for n in 0..2 {
        let mut config = config(n);
        config.rekey_after_packets = 100;
        world.add(config);
    }
    world.connect(0, 1, b"");
    world.run(100);
    let id = world.session(0, 1).unwrap();
    for _ in 0..1000 {
        world.say(0, id, b"x").unwrap();
        world.run(20);
    }
    assert_eq!(world.nodes[1].heard.len(), 1000);
    // Those that confirm count as well.
    let rekeyed = world.news_of(0).iter().filter(|news| **news == News::Rekeyed).count();
    assert!((9..=10).contains(&rekeyed), "{rekeyed}");
}

#[test]
fn what_is_on_its_way_under_the_keys_before_is_heard() {
    let (mut world, [a, b]) = World::pair(7);
    world.run(121_000);
    world.weather.delay = (2000, 2000);
    world.say(1, b, b"old keys").unwrap();
    world.weather = CALM;
    world.say(0, a, b"old keys, and time for new ones").unwrap();
    world.run(1500);
    assert!(world.news_of(0).contains(&News::Rekeyed) && world.news_of(1).contains(&News::Rekeyed));
    world.say(0, a, b"new keys").unwrap();
    world.run(1500);
    assert_eq!(world.bodies(0), [b"old keys"]);
    assert_eq!(world.bodies(1).len(), 2);
}

#[test]
fn silence_of_three_minutes_ends_a_session_and_talk_keeps_it() {
    let (mut world, ids) = World::pair(8);
    world.run(179_000);
    assert!(ids.iter().enumerate().all(|(n, id)| world.nodes[n].room.peer(*id).is_some()));
    world.run(3000);
    for n in 0..2 {
        assert_eq!(world.news_of(n).last(), Some(&News::Down(Down::Silent)));
        assert_eq!(world.nodes[n].room.len(), 0);
        assert_eq!(world.nodes[n].room.next_deadline(), None);
    }
    // One side that says something every half minute keeps both sides up: the other lets it know that it is there.
    let (mut world, [a, _]) = World::pair(9);
    for _ in 0..40 {
        world.say(0, a, b"heartbeat").unwrap();
        world.run(30_000);
    }
    assert_eq!(world.nodes[1].heard.len(), 40);
    assert!(!world.news_of(0).iter().chain(&world.news_of(1)).any(|news| matches!(news, News::Down(_))));
}

#[test]
fn nobody_there_is_told_and_costs_a_bounded_number_of_messages() {
    let mut world = World::new(10, 2);
    let gone = "192.0.2.200:1".parse().unwrap();
    let (did, key) = (world.nodes[1].did.clone(), world.nodes[1].key);
    let connected = world.connect_to(0, &sluis_core::session::Peer::pinned(&did, key), gone, b"hello?");
    assert_eq!(world.say(0, connected.session, b"x"), Err(SealError::NotReady));
    world.run(60_000);
    assert_eq!(world.news_of(0), [News::Down(Down::NoAnswer)]);
    assert!((4..=6).contains(&world.tape.len()), "{}", world.tape.len());
    assert_eq!(world.say(0, connected.session, b"x"), Err(SealError::Gone));
    assert!(world.nodes[0].room.is_empty());
}

#[test]
fn a_peer_that_lost_its_keys_is_found_again_by_either_side() {
    // It asks first: what it asks is answered as soon as it has shown to have the new keys, a round trip later; until then the old ones are kept.
    let (mut world, _) = World::pair(11);
    world.restart(0);
    world.nodes[0].heard.clear();
    world.connect(0, 1, b"who am I?");
    world.run(5);
    let heard = world.nodes[1].heard.last().unwrap().clone();
    assert_eq!(world.say(1, heard.session, b"node 0"), Err(SealError::NotReady));
    world.run(10);
    world.say(1, heard.session, b"node 0").unwrap();
    world.run(5);
    assert_eq!(world.bodies(0), [b"node 0"]);
    assert_eq!(world.nodes[1].room.len(), 1);
    // The other side asks first: it hears nothing for fifteen seconds, and begins anew.
    let (mut world, [a, _]) = World::pair(12);
    world.restart(1);
    for _ in 0..20 {
        world.say(0, a, b"are you there?").unwrap();
        world.run(1000);
    }
    assert!(world.nodes[1].rejects[&SessionReject::Unknown] >= 14);
    assert!((3..=5).contains(&world.nodes[1].heard.len()), "{}", world.nodes[1].heard.len());
    assert!(world.news_of(0).contains(&News::Rekeyed));
}

#[test]
fn stamps_are_told_and_restored() {
    let (mut world, _) = World::pair(13);
    let Some(News::Stamp(stamp)) = world.news_of(1).first().copied() else { panic!("no stamp") };
    assert_eq!(world.nodes[0].room.own_stamp(), stamp);
    let first = world.tape[0].clone();
    assert_eq!(world.deliver(1, first.from, &first.bytes), Err(SessionReject::Stamp));
    // After a restart without a store it is new: why early data has to pass the replay window.
    world.restart(1);
    let key = world.nodes[0].key;
    assert!(world.nodes[1].room.set_newest("jis:node:0", &key, stamp));
    assert_eq!(world.deliver(1, first.from, &first.bytes), Err(SessionReject::Stamp));
    world.restart(1);
    world.nodes[1].room.raise_floor(stamp);
    assert_eq!(world.deliver(1, first.from, &first.bytes), Err(SessionReject::Stamp));
    world.restart(1);
    assert_eq!(world.deliver(1, first.from, &first.bytes), Ok(Ingress::Nothing));
    // A replay makes no session: nobody uses its keys.
    world.run(20_000);
    assert!(world.nodes[1].room.is_empty());
    // A clock that stepped back does not lock a node out that knows what it wrote last.
    let mut world = World::new(14, 2);
    world.connect(0, 1, b"");
    world.run(100);
    let own = world.nodes[0].room.own_stamp();
    world.restart(0);
    world.nodes[0].room.set_own_stamp(Stamp::from_micros(own.as_micros() + 1_000_000_000));
    world.connect(0, 1, b"");
    world.run(100);
    assert!(world.session(0, 1).is_some());
}

#[test]
fn closing_is_heard_by_the_other_side() {
    let (mut world, [a, b]) = World::pair(15);
    let now = world.now();
    world.nodes[0].room.close(now, a);
    world.drain(0);
    world.run(100);
    assert!(world.nodes[0].room.is_empty() && world.nodes[1].room.is_empty());
    assert_eq!(world.news_of(1).last(), Some(&News::Down(Down::Closed)));
    assert_eq!(world.say(0, a, b"x"), Err(SealError::Gone));
    assert_eq!(world.say(1, b, b"x"), Err(SealError::Gone));
}

#[test]
fn nothing_to_a_pinned_key_ever_goes_in_the_clear() {
    let mut world = World::new(16, 2);
    let (did, key) = (world.nodes[1].did.clone(), world.nodes[1].key);
    assert_eq!(world.nodes[0].room.route(&did, Some(&key)), Route::Connect);
    assert_eq!(world.nodes[0].room.route(&did, None), Route::Plain);
    let id = world.connect(0, 1, b"").session;
    assert_eq!(world.nodes[0].room.route(&did, Some(&key)), Route::Wait(id));
    assert_eq!(world.nodes[0].room.route(&did, None), Route::Wait(id));
    world.run(100);
    assert_eq!(world.nodes[0].room.route(&did, Some(&key)), Route::Session(id));
    // Another key under that name is another peer.
    let other = world.nodes[0].key;
    assert_eq!(world.nodes[0].room.route(&did, Some(&other)), Route::Connect);
    for _ in 0..400 {
        world.run(1000);
        assert_ne!(world.nodes[0].room.route(&did, Some(&key)), Route::Plain);
    }
    assert!(world.nodes[0].room.is_empty());
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = |seed| {
        let mut world = World::new(seed, 3);
        world.weather = STORM;
        world.connect(0, 1, b"early");
        world.connect_named(2, 1);
        world.run(30_000);
        world.tape
    };
    assert_eq!(run(17), run(17));
    assert_ne!(run(17), run(18));
}

#[test]
fn clocks_that_jump_do_no_harm() {
    let (mut world, [a, _]) = World::pair(19);
    world.clock += 40 * 24 * 3600 * 1000;
    assert_eq!(world.say(0, a, b"x"), Err(SealError::NotReady));
    world.tick();
    // The wish for new keys that went out before makes no session at the other side: nobody uses them.
    world.run(15_000);
    assert!(world.nodes.iter().all(|node| node.room.is_empty()));
}
