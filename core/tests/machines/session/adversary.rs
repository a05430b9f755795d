//! Those who want in, or want to know.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::frames::forge_mac1;
use super::{STORM, World, addr, config, secret};
use sluis_core::identity::PublicKey;
use sluis_core::noise::X25519Public;
use sluis_core::session::{ConnectError, Down, News, Peer, SealError, SessionReject};
use sluis_core::{Did, Path};

/// The points of small order of X25519, and spellings of them.
const SMALL_ORDER: [[u8; 32]; 5] = {
    let mut points = [[0; 32]; 5];
    points[1][0] = 1;
    points[2] = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ];
    points[3] = [0xff; 32];
    points[3][0] = 0xec;
    points[3][31] = 0x7f;
    points[4] = [0xff; 32];
    points[4][0] = 0xee;
    points[4][31] = 0x7f;
    points
};

#[test]
fn what_was_heard_is_not_heard_again_however_often_it_comes() {
    for named in [false, true] {
        let mut world = World::new(1, 2);
        if named {
            world.connect_named(0, 1)
        } else {
            world.connect(0, 1, b"early")
        };
        world.run(50);
        let ids = [world.session(0, 1).unwrap(), world.session(1, 0).unwrap()];
        for n in 0..50_u32 {
            for (a, id) in ids.into_iter().enumerate() {
                world.say(a, id, &n.to_be_bytes()).unwrap();
            }
        }
        world.run(50);
        let heard = [world.bodies(0), world.bodies(1)];
        for wait in [0, 31_000, 100_000, 300_000] {
            world.run(wait);
            let before = world.news_of(0).len() + world.news_of(1).len();
            for flight in world.tape.clone() {
                let to = usize::from(flight.to == world.nodes[1].at);
                for from in [flight.from, addr(9)] {
                    assert!(world.deliver(to, from, &flight.bytes).is_err());
                }
            }
            assert_eq!([world.bodies(0), world.bodies(1)], heard);
            assert_eq!(world.news_of(0).len() + world.news_of(1).len(), before);
        }
    }
}

#[test]
fn what_is_sent_back_to_its_sender_is_refused() {
    for named in [false, true] {
        let mut world = World::new(2, 2);
        if named {
            world.connect_named(0, 1)
        } else {
            world.connect(0, 1, b"early")
        };
        world.run(50);
        let ids = [world.session(0, 1).unwrap(), world.session(1, 0).unwrap()];
        (0..2).for_each(|a| world.say(a, ids[a], b"hello").unwrap());
        world.run(50);
        let heard = [world.bodies(0), world.bodies(1)];
        for flight in world.tape.clone() {
            let sender = usize::from(flight.from == world.nodes[1].at);
            assert!(world.deliver(sender, flight.to, &flight.bytes).is_err());
        }
        assert_eq!([world.bodies(0), world.bodies(1)], heard);
    }
}

#[test]
fn a_stranger_burns_neither_stamps_nor_counters() {
    let mut world = World::new(3, 2);
    world.weather.lost = 1000;
    world.connect(0, 1, b"");
    let genuine = world.tape[0].bytes.clone();
    let to_1 = [&[1][..], secret(1).public().as_bytes()].concat();
    // Every byte that Noise wrote, with a mac that fits again.
    for at in 16..genuine.len() - 32 {
        let mut forged = genuine.clone();
        forged[at] ^= 0x40;
        forge_mac1(&mut forged, &to_1);
        assert_eq!(world.deliver(1, addr(0), &forged), Err(SessionReject::Handshake), "byte {at}");
    }
    assert!(world.deliver(1, addr(0), &genuine).is_ok());
    // Packets of counters far ahead leave the window where it was.
    let (mut world, [a, _]) = World::pair(3);
    world.say(0, a, b"genuine").unwrap();
    let genuine = world.tape.last().unwrap().bytes.clone();
    for counter in [2_u64, 5000, 1 << 32, u64::MAX] {
        let mut forged = genuine.clone();
        forged[16..24].copy_from_slice(&counter.to_be_bytes());
        assert!(world.deliver(1, addr(0), &forged).is_err());
    }
    world.run(10);
    assert_eq!(world.bodies(1), [b"genuine"]);
}

#[test]
fn suite_pattern_and_receiver_are_what_both_sides_think_they_are() {
    let to_1 = [&[1][..], secret(1).public().as_bytes()].concat();
    for (at, value, why) in [
        (9, 2, SessionReject::Suite),
        (9, 0, SessionReject::Suite),
        (10, 0, SessionReject::Suite),
        (10, 3, SessionReject::Suite),
    ] {
        let mut world = World::new(4, 2);
        world.weather.lost = 1000;
        world.connect(0, 1, b"");
        let mut frame = world.tape[0].bytes.clone();
        frame[at] = value;
        forge_mac1(&mut frame, &to_1);
        assert!([why, SessionReject::Mac].contains(&world.deliver(1, addr(0), &frame).unwrap_err()));
    }
    // A first message of IK passed off as one of XX: its keys are of another transcript.
    let mut world = World::new(4, 2);
    world.weather.lost = 1000;
    world.connect(0, 1, b"");
    let mut frame = world.tape[0].bytes.clone();
    frame[10] = 1;
    forge_mac1(&mut frame, &[&[2][..], b"jis:node:1"].concat());
    assert_eq!(world.deliver(1, addr(0), &frame), Err(SessionReject::Handshake));
    // The same key under another name is not who was meant.
    let mut world = World::new(5, 1);
    let mut other = config(1);
    other.did = Did::new("jis:node:other").unwrap();
    world.add(other);
    world.nodes[1].did = "jis:node:1".into();
    world.connect(0, 1, b"");
    world.run(50);
    assert_eq!(world.nodes[1].rejects[&SessionReject::Handshake], 1);
    assert!(world.nodes[1].room.is_empty() && world.tape.len() == 1);
}

#[test]
fn who_is_not_let_in_hears_nothing_and_leaves_nothing() {
    for named in [false, true] {
        let mut world = World::new(6, 2);
        world.nodes[1].admits = Some(BTreeSet::new());
        if named {
            world.connect_named(0, 1)
        } else {
            world.connect(0, 1, b"let me in")
        };
        world.run(60_000);
        assert!(world.tape.iter().all(|flight| flight.from == world.nodes[0].at));
        assert!(world.nodes[1].rejects[&SessionReject::Key] >= 4 && world.nodes[1].heard.is_empty());
        assert!(world.nodes[1].room.is_empty() && world.nodes[1].room.half_open() == 0);
        assert_eq!(world.news_of(0), [News::Down(Down::NoAnswer)]);
        // Its stamps are not remembered: once it is let in, it is in.
        let key = world.nodes[0].key;
        world.nodes[1].admits = Some([key].into());
        if named {
            world.connect_named(0, 1)
        } else {
            world.connect(0, 1, b"let me in")
        };
        world.run(100);
        assert!(world.session(1, 0).is_some());
    }
}

#[test]
fn a_key_is_asked_about_only_when_it_was_proven() {
    // Node 0 claims the key of node 2: its signature is not that one's.
    let mut world = World::new(7, 2);
    let mut liar = config(0);
    liar.identity = std::sync::Arc::new(Liar);
    world.nodes.remove(0);
    world.add(liar);
    world.nodes.swap(0, 1);
    world.nodes[0].at = addr(0);
    world.nodes[1].at = addr(1);
    world.nodes[1].admits = Some([secret(2).public()].into());
    for named in [false, true] {
        if named {
            world.connect_named(0, 1)
        } else {
            world.connect(0, 1, b"")
        };
        world.run(60_000);
    }
    assert!(world.nodes[1].rejects[&SessionReject::Signature] >= 8);
    assert!(world.nodes[1].room.is_empty() && world.tape.iter().all(|flight| flight.from == addr(0)));
}

/// Says that it has a key of another.
struct Liar;

impl sluis_core::identity::Signer for Liar {
    fn public(&self) -> PublicKey {
        secret(2).public()
    }
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], sluis_core::identity::SignError> {
        Ok(secret(0).sign_now(message))
    }
}

#[test]
fn keys_swapped_in_transit_are_found_out() {
    // In the middle stands somebody with keys of his own who answers for node 1, whose key is pinned: he cannot read what is for it.
    let mut world = World::new(8, 2);
    let mut middle = config(66);
    middle.did = Did::new("jis:node:1").unwrap();
    world.add(middle);
    world.nodes[2].at = addr(1);
    world.nodes[1].at = addr(99);
    world.connect_to(0, &Peer::pinned("jis:node:1", secret(1).public()), addr(1), b"secret");
    world.run(60_000);
    assert_eq!(world.news_of(0), [News::Down(Down::NoAnswer)]);
    assert!(world.nodes[2].heard.is_empty() && world.nodes[2].rejects[&SessionReject::Mac] >= 4);
    // Told that the static key of node 1 is his, it notices by whom the answer is signed.
    let statics = X25519Public::of_identity(&secret(66).public());
    let peer = Peer { did: "jis:node:1", key: Some(secret(1).public()), statics: Some(statics) };
    world.connect_to(0, &peer, addr(1), b"secret");
    world.run(60_000);
    assert!(world.session(0, 1).is_none());
    assert!(world.nodes[2].heard.is_empty());
    // Of somebody whose key is not known, the application is shown the key that answers, and may refuse it.
    world.nodes[0].admits = Some([secret(1).public()].into());
    world.connect_to(0, &Peer::named("jis:node:1"), addr(1), b"");
    world.run(60_000);
    assert!(world.nodes[0].rejects[&SessionReject::Key] >= 4 && world.session(0, 1).is_none());
}

#[test]
fn points_of_small_order_lead_nowhere() {
    let to_1 = [&[1][..], secret(1).public().as_bytes()].concat();
    let mut world = World::new(9, 2);
    world.weather.lost = 1000;
    world.connect(0, 1, b"");
    let genuine = world.tape[0].bytes.clone();
    let now = world.now();
    for point in SMALL_ORDER {
        let mut frame = genuine.clone();
        frame[16..48].copy_from_slice(&point);
        forge_mac1(&mut frame, &to_1);
        assert_eq!(world.deliver(1, addr(0), &frame), Err(SessionReject::Handshake));
        let peer =
            Peer { did: "jis:node:9", key: Some(secret(9).public()), statics: Some(X25519Public::from_bytes(point)) };
        assert_eq!(world.nodes[0].room.connect(now, &peer, Path::to(addr(1)), b""), Err(ConnectError::Weak));
    }
    assert!(world.nodes[1].room.is_empty() && world.nodes[0].room.half_open() == 1);
}

#[test]
fn a_revoked_key_is_out_with_the_next_packet() {
    let (mut world, [a, b]) = World::pair(10);
    world.say(0, a, b"on its way").unwrap();
    let key = world.nodes[0].key;
    assert_eq!(world.nodes[1].room.revoke(&key), 1);
    world.nodes[1].admits = Some(BTreeSet::new());
    let before = world.tape.len();
    world.drain(1);
    world.run(100);
    assert!(world.nodes[1].heard.is_empty());
    assert_eq!(world.nodes[1].rejects[&SessionReject::Unknown], 1);
    assert_eq!(world.news_of(1).last(), Some(&News::Down(Down::Revoked)));
    assert_eq!(world.say(1, b, b"x"), Err(SealError::Gone));
    for _ in 0..60 {
        let _ = world.say(0, a, b"let me in");
        world.run(1000);
    }
    assert!(world.nodes[1].heard.is_empty() && world.nodes[1].room.is_empty());
    assert!(world.tape[before..].iter().all(|flight| flight.from == addr(0)));
    // In the middle of a handshake, too.
    let mut world = World::new(11, 2);
    world.connect_named(0, 1);
    world.run(5);
    assert_eq!(world.nodes[1].room.half_open(), 1);
    assert_eq!(world.nodes[1].room.revoke(&key), 0);
    assert_eq!(world.nodes[1].room.half_open(), 0);
    world.nodes[1].admits = Some(BTreeSet::new());
    world.run(60_000);
    assert!(world.session(1, 0).is_none());
}

/// What somebody who sees everything learns of names and keys.
#[test]
fn what_an_observer_learns_is_what_is_written_down() {
    let seen = |named| {
        let mut world = World::new(12, 2);
        if named {
            world.connect_named(0, 1)
        } else {
            world.connect(0, 1, b"a secret")
        };
        world.run(50);
        let ids = [world.session(0, 1).unwrap(), world.session(1, 0).unwrap()];
        (0..2).for_each(|a| world.say(a, ids[a], b"a secret").unwrap());
        let all: Vec<Vec<u8>> = world.tape.iter().map(|flight| flight.bytes.clone()).collect();
        let has = move |text: &[u8]| {
            all.iter().map(|frame| usize::from(frame.windows(text.len()).any(|w| w == text))).sum::<usize>()
        };
        let [k0, k1] = [secret(0).public(), secret(1).public()];
        let statics = [k0, k1].map(|key| X25519Public::of_identity(&key));
        [
            has(k0.as_bytes()),
            has(b"jis:node:0"),
            has(k1.as_bytes()),
            has(b"jis:node:1"),
            has(statics[0].as_ref()),
            has(statics[1].as_ref()),
            has(b"a secret"),
        ]
    };
    // IK: nothing.
    assert_eq!(seen(false), [0; 7]);
    // XX: who begins, in the first message; not who answers.
    assert_eq!(seen(true), [1, 1, 0, 0, 0, 0, 0]);
    // An active observer who knows the name of node 1 learns its key only if he is let in.
    let mut world = World::new(13, 2);
    world.nodes[1].admits = Some([secret(5).public()].into());
    world.connect_named(0, 1);
    world.run(60_000);
    assert!(world.tape.iter().all(|flight| flight.from == addr(0)));
}

#[test]
fn responses_and_cookies_of_others_do_not_disturb_a_handshake() {
    let mut world = World::new(14, 2);
    world.weather.lost = 1000;
    world.connect(0, 1, b"");
    let first = world.tape[0].bytes.clone();
    world.deliver(1, addr(0), &first).unwrap();
    let response = world.tape[1].bytes.clone();
    let to_0 = [&[1][..], secret(0).public().as_bytes()].concat();
    for at in 20..response.len() - 32 {
        let mut forged = response.clone();
        forged[at] ^= 1;
        forge_mac1(&mut forged, &to_0);
        assert_eq!(world.deliver(0, addr(1), &forged), Err(SessionReject::Handshake), "byte {at}");
    }
    // From elsewhere not even the genuine one is taken.
    assert_eq!(world.deliver(0, addr(9), &response), Err(SessionReject::Path));
    let mut cookie = vec![0; 64];
    cookie[..12].copy_from_slice(&[b'T', b'P', 1, 8, 0, 0, 0, 56, 4, 0, 0, 0]);
    cookie[12..16].copy_from_slice(&first[12..16]);
    assert_eq!(world.deliver(0, addr(1), &cookie), Err(SessionReject::Mac));
    assert!(world.deliver(0, addr(1), &response).is_ok());
    world.weather.lost = 0;
    world.run(3000);
    assert!(world.session(0, 1).is_some() && world.session(1, 0).is_some());
}

#[test]
fn nobody_talks_to_itself() {
    let mut world = World::new(15, 2);
    // The same key under another name elsewhere.
    let mut twin = config(0);
    twin.did = Did::new("jis:node:twin").unwrap();
    world.add(twin);
    let now = world.now();
    let peer = Peer::pinned("jis:node:twin", secret(0).public());
    assert_eq!(world.nodes[0].room.connect(now, &peer, Path::to(addr(2)), b""), Err(ConnectError::Ourselves));
    world.connect_named(0, 2);
    world.run(100);
    assert!(world.nodes[2].rejects[&SessionReject::OwnKey] >= 1 && world.nodes[2].room.is_empty());
}

#[test]
fn a_pin_that_comes_later_holds_for_a_handshake_that_is_under_way() {
    let mut world = World::new(16, 2);
    let begun = world.connect_named(0, 1);
    // Meanwhile the operator pins another key for that name.
    let other = secret(7).public();
    let again = world.connect_to(0, &Peer::pinned("jis:node:1", other), addr(1), b"secret");
    assert_eq!((again.session, again.early), (begun.session, false));
    world.run(60_000);
    assert!(world.nodes[0].rejects[&SessionReject::Key] >= 1);
    assert_eq!(world.news_of(0), [News::Down(Down::NoAnswer)]);
    assert!(world.session(1, 0).is_none());
}

#[test]
fn every_reason_has_a_counter_and_a_name_of_its_own() {
    let names: BTreeSet<_> = SessionReject::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), SessionReject::COUNT);
    assert!(SessionReject::ALL.iter().enumerate().all(|(n, why)| *why as usize == n));
    let (mut world, _) = World::pair(17);
    assert!(world.deliver(0, addr(1), b"TP").is_err() && world.deliver(0, addr(1), b"TP\x01\x08").is_err());
    assert_eq!(world.nodes[0].room.rejected(SessionReject::Frame), 2);
}

/// Storms, restarts, moves, and somebody who has all that was ever sent: what is heard was said by whom it seems to be, once; and when the weather clears, everybody
/// is heard again.
fn siege(seed: u64) {
    let mut world = World::new(seed, 3);
    world.weather = STORM;
    let mut said: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    let mut n = 0_u32;
    let hub = 2;
    for round in 0..120 {
        let a = usize::try_from(world.dice(2)).unwrap();
        match world.dice(20) {
            0 => {
                world.restart(a);
                world.nodes[a].news.clear();
            }
            1 => {
                world.nodes[a].at =
                    SocketAddr::from(([198, 51, 100, u8::try_from(round).unwrap()], 1000 + u16::try_from(a).unwrap()));
            }
            2..8 => {
                // Something old, or what was sent last, from somewhere else.
                let pick = world.dice(world.tape.len().max(1) as u64).max(world.dice(world.tape.len().max(1) as u64));
                if let Some(old) = world.tape.get(usize::try_from(pick).unwrap()).cloned() {
                    let to = usize::try_from(world.dice(3)).unwrap();
                    let _ = world.deliver(to, addr(50), &old.bytes);
                }
            }
            _ => {}
        }
        for a in 0..2 {
            n += 1;
            let body = n.to_be_bytes().to_vec();
            said.insert(body.clone(), a);
            match world.session(a, hub) {
                Some(session) => {
                    let _ = world.say(a, session, &body);
                }
                None => {
                    world.connect(a, hub, &body);
                }
            }
        }
        world.run(700);
    }
    let mut once = BTreeSet::new();
    for heard in &world.nodes[hub].heard {
        let a = said[&heard.body];
        assert_eq!(heard.key, world.nodes[a].key, "seed {seed}");
        // Early data goes out again with each attempt, under a stamp of its own: the replay window of pings is behind it.
        assert!(once.insert(heard.body.clone()) || heard.early, "seed {seed}");
    }
    world.weather = super::CALM;
    for node in &mut world.nodes {
        node.heard.clear();
    }
    for _ in 0..60 {
        for a in 0..2 {
            match world.session(a, hub) {
                Some(session) => {
                    let _ = world.say(a, session, &[u8::try_from(a).unwrap(); 4]);
                }
                None => {
                    world.connect(a, hub, b"");
                }
            }
        }
        world.run(1000);
    }
    for a in 0..2_u8 {
        let key = world.nodes[usize::from(a)].key;
        let heard = world.nodes[hub].heard.iter().filter(|heard| heard.key == key && heard.body == [a; 4]).count();
        assert!(heard >= 20, "seed {seed}: {heard} of node {a}");
    }
}

#[test]
fn nobody_is_heard_twice_or_for_another_in_a_siege_and_everybody_after_it() {
    (0..60).for_each(siege);
}
