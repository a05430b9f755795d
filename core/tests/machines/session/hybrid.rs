//! Suite 2, and who may talk whom down to suite 1.

use super::frames::forge_mac1;
use super::{Flight, STORM, World, addr, config, secret};
use sha2::{Digest as _, Sha256};
use sluis_core::session::{Down, News, SUITE, SUITE_HYBRID, SessionReject, Suites};

fn world(seed: u64, suites: [Suites; 2]) -> World {
    let mut world = World::new(seed, 0);
    for (n, suites) in suites.into_iter().enumerate() {
        let mut config = config(n);
        config.suites = suites;
        world.add(config);
    }
    world
}

fn connect(world: &mut World, named: bool) {
    if named {
        world.connect_named(0, 1);
    } else {
        assert!(!world.connect(0, 1, b"early").early, "early data in suite 2");
    }
}

/// The suites of both sides, where there is a session.
fn suites(world: &World) -> Option<[u8; 2]> {
    let ids = [world.session(0, 1)?, world.session(1, 0)?];
    Some([0, 1].map(|n| world.nodes[n].room.suite(ids[n]).unwrap()))
}

fn talk(world: &mut World) {
    let ids = [world.session(0, 1).unwrap(), world.session(1, 0).unwrap()];
    for (n, id) in ids.into_iter().enumerate() {
        world.nodes[1 - n].heard.clear();
        world.say(n, id, b"closed for long").unwrap();
        world.run(100);
        assert_eq!(world.bodies(1 - n), [b"closed for long"]);
    }
}

#[test]
fn the_best_suite_of_both_is_spoken_or_none() {
    use Suites::{Any, One, Two};
    for named in [false, true] {
        for (both, expected) in [
            ([Any, Any], Some(SUITE_HYBRID)),
            ([Any, Two], Some(SUITE_HYBRID)),
            ([Two, Any], Some(SUITE_HYBRID)),
            ([Any, One], Some(SUITE)),
            ([One, Any], Some(SUITE)),
            ([Two, One], None),
            ([One, Two], None),
        ] {
            let mut world = world(1, both);
            if named {
                world.connect_named(0, 1)
            } else {
                world.connect(0, 1, b"")
            };
            world.run(60_000);
            assert_eq!(suites(&world), expected.map(|suite| [suite; 2]), "{both:?}");
            if expected.is_some() {
                talk(&mut world);
                assert!(world.nodes.iter().all(|node| node.room.half_open() == 0));
            } else {
                assert_eq!(world.news_of(0), [News::Down(Down::NoAnswer)]);
            }
        }
    }
}

#[test]
fn whoever_drops_all_of_suite_2_keeps_two_nodes_apart_and_talks_nobody_down() {
    for named in [false, true] {
        let mut world = world(2, [Suites::Any; 2]);
        world.blocked = |flight| flight.bytes[9] == SUITE_HYBRID;
        connect(&mut world, named);
        // Suite 1 is tried, too, as the other side might speak no more.
        world.run(60_000);
        assert!(suites(&world).is_none());
        assert_eq!(world.nodes[1].rejects[&SessionReject::Suite], 2);
        assert!(world.tape.iter().all(|flight| flight.from == addr(0)), "nobody is answered");
        assert_eq!(world.news_of(0), [News::Down(Down::NoAnswer)]);
    }
    // With somebody who says, signed, that it speaks no more, suite 1 it is.
    let mut world = world(3, [Suites::Any, Suites::One]);
    world.connect(0, 1, b"");
    world.run(10_000);
    assert_eq!(suites(&world), Some([SUITE; 2]));
}

#[test]
fn the_suite_in_clear_is_the_one_of_the_transcript() {
    for (from, to, both) in [(1, 2, [Suites::One, Suites::Any]), (2, 1, [Suites::Two, Suites::Any])] {
        let mut world = world(4, both);
        world.weather.lost = 1000;
        world.connect(0, 1, b"");
        let mut frame = world.tape[0].bytes.clone();
        assert_eq!(frame[9], from);
        frame[9] = to;
        forge_mac1(&mut frame, &[&[1][..], secret(1).public().as_bytes()].concat());
        assert_eq!(world.deliver(1, addr(0), &frame), Err(SessionReject::Handshake));
    }
}

#[test]
fn every_datagram_fits_every_path_and_draws_less_than_it_costs() {
    for named in [false, true] {
        let mut world = world(5, [Suites::Two; 2]);
        connect(&mut world, named);
        world.run(100);
        assert_eq!(suites(&world), Some([SUITE_HYBRID; 2]));
        let lens: Vec<(u8, usize)> =
            world.tape.iter().map(|flight| (flight.bytes[8], flight.bytes.len())).take(4).collect();
        let (s, first) = if named { (48, 16 + 32 + 704 + 32) } else { (0, 16 + 32 + 48 + 704 + 16 + 32) };
        let second = 20 + 32 + s + 704 + 16 + 32;
        assert_eq!(lens, [(1, first), (6, 20 + 672 + 32), (2, second), (6, 20 + 576 + 32)]);
        assert!(second + 20 + 576 + 32 <= first + 20 + 672 + 32);
    }
    // With the longest names, too.
    let mut world = World::new(6, 0);
    for n in 0..2 {
        let mut config = config(n);
        config.did = sluis_core::Did::new(&n.to_string().repeat(256)).unwrap();
        config.suites = Suites::Two;
        world.add(config);
    }
    world.connect(0, 1, b"");
    world.run(100);
    assert_eq!(suites(&world), Some([SUITE_HYBRID; 2]));
    assert!(world.tape.iter().all(|flight| flight.bytes.len() <= 1200));
}

#[test]
fn whatever_is_touched_or_comes_again_or_from_elsewhere_changes_nothing() {
    for named in [false, true] {
        let mut world = world(7, [Suites::Two; 2]);
        connect(&mut world, named);
        world.weather.lost = 1000;
        let mut done = 0;
        while let Some(flight) = world.tape.get(done).cloned() {
            done += 1;
            let to = usize::from(flight.to == world.nodes[1].at);
            let sent = world.tape.len();
            let by_name = named && to == 1 && (flight.bytes[8] == 1 || flight.bytes[16..20] == [0; 4]);
            let receiver = if by_name {
                [&[2][..], b"jis:node:1"].concat()
            } else {
                [&[1][..], secret(to as u64).public().as_bytes()].concat()
            };
            let head = if flight.bytes[8] == 1 { 16 } else { 20 };
            for at in (head..flight.bytes.len() - 32).step_by(7) {
                let mut touched = flight.bytes.clone();
                touched[at] ^= 1 << (at % 8);
                assert!(world.deliver(to, flight.from, &touched).is_err());
                // Made by somebody who knows whom it is for, and the numbers.
                forge_mac1(&mut touched, &receiver);
                assert!(world.deliver(to, flight.from, &touched).is_err(), "kind {} byte {at}", flight.bytes[8]);
            }
            if flight.bytes[8] != 1 && flight.bytes[8] != 5 {
                assert!(world.deliver(to, addr(9), &flight.bytes).is_err());
            }
            assert_eq!(world.tape.len(), sent);
            world.deliver(to, flight.from, &flight.bytes).unwrap();
            assert!(world.deliver(to, flight.from, &flight.bytes).is_err() || flight.bytes[8] == 2);
        }
        assert!(done >= 6 && suites(&world) == Some([SUITE_HYBRID; 2]));
        // All of it again, later and from anywhere: nobody hears anything.
        let (tape, sent) = (world.tape.clone(), world.tape.len());
        for Flight { from, to, bytes } in tape {
            let to = usize::from(to == world.nodes[1].at);
            assert!(world.deliver(to, from, &bytes).is_err() && world.deliver(to, addr(9), &bytes).is_err());
        }
        assert_eq!(world.tape.len(), sent);
    }
}

#[test]
fn who_is_not_let_in_hears_nothing_and_costs_no_memory() {
    for named in [false, true] {
        let mut world = world(8, [Suites::Two; 2]);
        world.nodes[1].admits = Some([secret(5).public()].into());
        connect(&mut world, named);
        world.run(60_000);
        assert!(world.tape.iter().all(|flight| flight.from == addr(0)));
        assert!(
            world.nodes[1].rejects[&SessionReject::Key] >= 4 && world.nodes[1].rejects[&SessionReject::Unknown] >= 4
        );
        assert!(world.nodes[1].room.is_empty() && world.nodes[1].room.half_open() == 0);
    }
    // One that is let in and never sends the rest is forgotten after ten seconds.
    let mut world = world(9, [Suites::Two; 2]);
    world.blocked = |flight| flight.bytes[8] == 6;
    world.connect(0, 1, b"");
    world.run(500);
    assert_eq!((world.nodes[1].room.half_open(), world.nodes[1].room.len()), (1, 0));
    let key = world.nodes[0].key;
    world.nodes[0].at = addr(77);
    world.run(60_000);
    assert_eq!(world.nodes[1].room.half_open(), 0);
    // A key that is revoked in between is out.
    world.nodes[0].at = addr(0);
    world.run(60_000);
    world.connect(0, 1, b"");
    world.run(5);
    assert_eq!((world.nodes[1].room.half_open(), world.nodes[1].room.revoke(&key)), (1, 0));
    assert_eq!(world.nodes[1].room.half_open(), 0);
}

#[test]
fn under_load_a_cookie_comes_before_any_work_for_the_second_exchange() {
    for named in [false, true] {
        let mut world = World::new(10, 0);
        for (n, most) in [(0, 512), (1, 1), (2, 512)] {
            let mut config = config(n);
            (config.suites, config.caps.handshakes_per_second) = (Suites::Two, most);
            world.add(config);
        }
        // Somebody else takes the only one that is looked at without a cookie.
        world.connect(2, 1, b"");
        world.run(10);
        connect(&mut world, named);
        world.run(200);
        assert_eq!(world.nodes[1].rejects[&SessionReject::Cookie], 1);
        assert_eq!(world.nodes[1].rejects[&SessionReject::Unknown], 1, "the rest of what was not looked at");
        assert_eq!(suites(&world), Some([SUITE_HYBRID; 2]));
    }
}

#[test]
fn keys_are_renewed_in_the_same_suite_and_storms_end_in_it() {
    for (seed, crossed) in [(11, false), (12, true), (13, false), (14, true)] {
        let mut world = world(seed, [Suites::Any; 2]);
        world.weather = STORM;
        for _ in 0..600 {
            for a in 0..2 {
                match world.session(a, 1 - a) {
                    Some(id) => drop(world.say(a, id, b"x")),
                    None if a == 0 || crossed => drop(world.connect(a, 1 - a, b"")),
                    None => {}
                }
            }
            world.run(500);
        }
        world.weather = super::CALM;
        for _ in 0..60 {
            for a in 0..2 {
                match world.session(a, 1 - a) {
                    Some(id) => drop(world.say(a, id, b"x")),
                    None => drop(world.connect(a, 1 - a, b"")),
                }
            }
            world.run(1000);
        }
        assert_eq!(suites(&world), Some([SUITE_HYBRID; 2]), "seed {seed}");
        assert!(world.news_of(0).contains(&News::Rekeyed), "seed {seed}");
        talk(&mut world);
    }
    let mut world = world(15, [Suites::Any, Suites::One]);
    world.connect(0, 1, b"");
    world.run(10_000);
    let id = world.session(0, 1).unwrap();
    let before = world.tape.len();
    for _ in 0..70 {
        world.say(0, id, b"x").unwrap();
        world.run(2000);
    }
    assert!(world.news_of(0).contains(&News::Rekeyed));
    assert!(world.tape[before..].iter().all(|flight| flight.bytes[9] != SUITE_HYBRID), "it is known what it speaks");
}

/// Whatever is changed in what goes over the wire, or in how keys are made, shows here. The frames of one handshake by IK, from one seed.
#[test]
fn the_frames_of_a_handshake_are_those_that_they_were() {
    let mut world = world(16, [Suites::Two; 2]);
    world.connect(0, 1, b"");
    world.run(100);
    let digest = world.tape.iter().fold(Sha256::new(), |hash, flight| hash.chain_update(&flight.bytes)).finalize();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let kinds: Vec<u8> = world.tape.iter().map(|flight| flight.bytes[8]).collect();
    assert_eq!(kinds, [1, 6, 2, 6, 5, 5]);
    assert_eq!(digest, "6b278f41dc7ee4226c662d6d4b021973d3bf7a452e3ecaf1ea180e7a6e654127");
}
