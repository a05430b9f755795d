//! What stands on the wire.

use super::{World, secret};
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use sluis_core::framing::Frame;
use sluis_core::session::{MAX_BODY, SealError, SessionReject, is_session_frame, sealed_len};

/// One frame of each kind, in the order of their numbers: first, second, third message, cookie, data.
pub(crate) fn one_of_each() -> Vec<Vec<u8>> {
    let mut world = World::new(1, 2);
    world.connect_named(0, 1);
    world.run(100);
    let mut frames: Vec<_> = (1..=3_u8).map(|kind| of_kind(&world, kind)).collect();
    let mut flooded = super::limits::flooded(1);
    flooded.connect(0, 1, b"");
    flooded.run(100);
    frames.push(of_kind(&flooded, 4));
    frames.push(of_kind(&world, 5));
    frames
}

fn of_kind(world: &World, kind: u8) -> Vec<u8> {
    world.tape.iter().find(|flight| flight.bytes[8] == kind).unwrap().bytes.clone()
}

#[test]
fn the_reference_drops_every_frame_unread_and_so_does_a_plain_node() {
    for (frame, kind) in one_of_each().into_iter().zip(1_u8..) {
        assert!(is_session_frame(&frame));
        assert_eq!(frame[..4], *b"TP\x01\x08");
        assert_eq!(u32::from_be_bytes(frame[4..8].try_into().unwrap()) as usize, frame.len() - 8);
        // The reference looks at bits 0 and 1 alone and reads JSON, which begins with no such byte.
        assert_eq!(frame[8], kind);
        assert!(Frame::decode(&frame).is_err());
        // Whatever has other bits beside is no frame of a session.
        for flags in (0..=255).filter(|flags| *flags != 8) {
            let mut other = frame.clone();
            other[3] = flags;
            assert!(!is_session_frame(&other));
        }
    }
}

#[test]
fn the_lengths_are_those_that_are_written_down() {
    let lens: Vec<usize> = one_of_each().iter().map(Vec::len).collect();
    assert_eq!(lens, [16 + 32 + 192 + 32, 20 + 32 + 48 + 128 + 16 + 32, 20 + 48 + 64 + 16 + 32, 64, 24 + 64 + 16]);
    assert_eq!((MAX_BODY, sealed_len(MAX_BODY)), (65_405, 65_448));
    assert_eq!([0, 61, 62, 125].map(sealed_len), [104, 104, 168, 168]);
}

#[test]
fn type_and_length_of_what_is_said_do_not_show_within_64_bytes() {
    let (mut world, [a, _]) = World::pair(2);
    let before = world.tape.len();
    for len in 0..=61 {
        world.say(0, a, &vec![b'x'; len]).unwrap();
    }
    let said = &world.tape[before..];
    assert_eq!(said.len(), 62);
    assert!(said.iter().all(|flight| flight.bytes.len() == 104));
    // Names and early data of a first message are hidden in the same way.
    let init = |early: &[u8]| {
        let mut world = World::new(3, 2);
        world.connect(0, 1, early);
        world.tape[0].bytes.len()
    };
    assert_eq!(init(b""), init(b"12345678"));
}

/// The macs of a frame, made as `docs/wire.md` says and by nothing of ours.
pub(crate) fn forge_mac1(frame: &mut [u8], receiver: &[u8]) {
    let key = Sha256::new().chain_update(b"sluis session 1 mac1").chain_update(receiver).finalize();
    let at = frame.len() - 32;
    let (text, macs) = frame.split_at_mut(at);
    let tag = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update(text).finalize().into_bytes();
    macs[..16].copy_from_slice(&tag[..16]);
    macs[16..].fill(0);
}

#[test]
fn the_first_mac_is_keyed_by_what_is_known_of_the_receiver() {
    let mut world = World::new(4, 2);
    world.connect(0, 1, b"");
    let ik = world.tape[0].bytes.clone();
    let by_key = [&[1][..], secret(1).public().as_bytes()].concat();
    let mut again = ik.clone();
    forge_mac1(&mut again, &by_key);
    assert_eq!(again, ik);
    let mut world = World::new(4, 2);
    world.connect_named(0, 1);
    let xx = world.tape[0].bytes.clone();
    let mut again = xx.clone();
    forge_mac1(&mut again, &[&[2][..], b"jis:node:1"].concat());
    assert_eq!(again, xx);
}

#[test]
fn whatever_is_touched_or_cut_is_refused_and_changes_nothing() {
    for named in [false, true] {
        let mut world = World::new(5, 2);
        if named {
            world.connect_named(0, 1)
        } else {
            world.connect(0, 1, b"early")
        };
        world.weather.lost = 1000;
        let mut done = 0;
        // Every frame of the handshake and the first packets, each touched everywhere before it arrives.
        while let Some(flight) = world.tape.get(done).cloned() {
            done += 1;
            let to = usize::from(flight.to == world.nodes[1].at);
            let rejects = |world: &World| world.nodes[to].rejects.values().sum::<usize>();
            let (before, sent) = (rejects(&world), world.tape.len());
            for at in 0..flight.bytes.len() {
                let mut touched = flight.bytes.clone();
                touched[at] ^= 1 << (at % 8);
                let second_mac = [1, 2, 3].contains(&flight.bytes[8]) && at >= flight.bytes.len() - 16;
                // The second mac says nothing where there is no load.
                if !second_mac {
                    assert!(world.deliver(to, flight.from, &touched).is_err(), "kind {} byte {at}", flight.bytes[8]);
                }
            }
            for cut in 0..flight.bytes.len() {
                assert!(world.deliver(to, flight.from, &flight.bytes[..cut]).is_err());
            }
            assert!(world.deliver(to, flight.from, &[&flight.bytes[..], b"x"].concat()).is_err());
            assert!(rejects(&world) > before + flight.bytes.len() && world.tape.len() == sent);
            world.deliver(to, flight.from, &flight.bytes).unwrap();
        }
        assert!(done >= 4 && world.session(0, 1).is_some() && world.session(1, 0).is_some());
    }
}

#[test]
fn bodies_of_any_length_arrive_as_they_were() {
    let (mut world, [a, b]) = World::pair(6);
    let mut expected = Vec::new();
    for len in [0, 1, 60, 61, 62, 1000, 1400, 9000, MAX_BODY] {
        let body: Vec<u8> = (0..len).map(|n| (n * 7).to_le_bytes()[0]).collect();
        world.say(0, a, &body).unwrap();
        expected.push(body);
    }
    world.run(100);
    assert_eq!(world.bodies(1), expected);
    let mut out = vec![0; MAX_BODY + 200];
    let now = world.now();
    let room = &mut world.nodes[1].room;
    assert_eq!(room.seal(now, b, &mut out, MAX_BODY + 1), Err(SealError::TooLong));
    assert_eq!(room.seal(now, b, &mut out[..167], 62), Err(SealError::Room));
    assert_eq!(room.seal(now, b, &mut out[..168], 62).unwrap().len, 168);
}

proptest! {
    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..600), kind in 0_u8..7, pattern in 0_u8..4) {
        let (mut world, [a, _]) = World::pair(7);
        prop_assert!(world.deliver(1, world.nodes[0].at, &bytes).is_err());
        let mut frame = b"TP\x01\x08\0\0\0\0\0\x01\0\0".to_vec();
        frame.extend(&bytes);
        let len = u32::try_from(frame.len() - 8).unwrap();
        frame[4..8].copy_from_slice(&len.to_be_bytes());
        (frame[8], frame[10]) = (kind, pattern);
        prop_assert!(world.deliver(1, world.nodes[0].at, &frame).is_err());
        if bytes.len() >= 36 {
            // With the right mac it is read further.
            forge_mac1(&mut frame, &[&[1][..], secret(1).public().as_bytes()].concat());
            let why = world.deliver(1, world.nodes[0].at, &frame);
            prop_assert!(why.is_err());
            prop_assert!((kind, pattern) != (1, 2) || bytes.len() < 68 || why == Err(SessionReject::Handshake), "{:?}", why);
        }
        world.say(0, a, b"still there").unwrap();
        world.run(10);
        prop_assert_eq!(world.bodies(1), [b"still there"]);
    }
}
