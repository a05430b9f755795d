//! Addresses that change, and those that somebody would like to change.

use std::net::SocketAddr;

use super::{Flight, STORM, World};
use sluis_core::Path;
use sluis_core::session::{News, SealError, SessionId, SessionReject};

fn elsewhere(n: u8) -> SocketAddr {
    format!("198.51.100.{n}:4500").parse().unwrap()
}

fn path_of(world: &World, n: usize, id: SessionId) -> SocketAddr {
    world.nodes[n].room.peer(id).unwrap().2.remote
}

fn moved(world: &World, n: usize) -> usize {
    world.news_of(n).iter().filter(|news| matches!(news, News::Moved { .. })).count()
}

#[test]
fn a_session_goes_on_from_another_address() {
    let (mut world, [a, b]) = World::pair(1);
    let old = world.nodes[0].at;
    world.nodes[0].at = elsewhere(1);
    world.say(0, a, b"I have moved").unwrap();
    world.run(5);
    // Nothing of the application's goes there before it has answered.
    assert_eq!(path_of(&world, 1, b), old);
    let before = world.tape.len();
    world.say(1, b, b"lost on the way to the old address").unwrap();
    assert_eq!(world.tape[before..].last().unwrap().to, old);
    world.run(1500);
    assert_eq!(path_of(&world, 1, b), elsewhere(1));
    assert_eq!(world.news_of(1).last(), Some(&News::Moved { from: Path::to(old) }));
    world.say(1, b, b"found").unwrap();
    world.run(100);
    assert_eq!(world.bodies(0), [b"found"]);
    assert_eq!(world.nodes[1].room.len(), 1);
    // And again, and back.
    for at in [elsewhere(2), old] {
        world.run(10_000);
        world.nodes[0].at = at;
        world.say(0, a, b"moved again").unwrap();
        world.run(2000);
        assert_eq!(path_of(&world, 1, b), at);
    }
    assert_eq!(moved(&world, 1), 3);
}

#[test]
fn sessions_follow_through_storms() {
    for seed in 0..20 {
        let (mut world, [a, b]) = World::pair(seed);
        world.weather = STORM;
        for n in 1..=5 {
            world.nodes[0].at = elsewhere(n);
            for _ in 0..60 {
                let _ = world.say(0, a, b"x");
                let _ = world.say(1, b, b"y");
                world.run(500);
            }
            assert_eq!(path_of(&world, 1, b), elsewhere(n), "seed {seed}");
        }
        assert!((5..=7).contains(&moved(&world, 1)), "seed {seed}: {}", moved(&world, 1));
    }
}

/// Somebody on the path copies what node 0 sends and has the copy arrive first, from an address of its own. `relays`: it also passes on what is
/// sent to that address, both ways.
fn copier(relays: bool) {
    let (mut world, [a, b]) = World::pair(20);
    let (old, thief) = (world.nodes[0].at, elsewhere(66));
    let (mut received, mut sent, mut seen) = (0, 0, world.tape.len());
    for n in 0..200_u32 {
        world.say(0, a, &n.to_be_bytes()).unwrap();
        let copy = world.tape.last().unwrap().clone();
        received += copy.bytes.len();
        assert!(world.deliver(1, thief, &copy.bytes).is_ok());
        world.say(1, b, &n.to_be_bytes()).unwrap();
        for _ in 0..4 {
            let tape = world.tape[seen..].to_vec();
            for flight in &tape {
                if flight.to == thief {
                    sent += flight.bytes.len();
                    if relays {
                        // Slower than the way without it, as a detour is.
                        world.clock += 1;
                        let before = world.tape.len();
                        let _ = world.deliver(0, thief, &flight.bytes);
                        let answers: Vec<Flight> =
                            world.tape[before..].iter().filter(|f| f.to == thief).cloned().collect();
                        for answer in answers {
                            received += answer.bytes.len();
                            let _ = world.deliver(1, thief, &answer.bytes);
                        }
                    }
                }
            }
            seen = world.tape.len();
            world.run(50);
        }
        assert!(sent <= 3 * received);
        assert_eq!(path_of(&world, 1, b), old, "round {n}");
    }
    assert_eq!(moved(&world, 1) + moved(&world, 0), 0);
    // What is said arrives all the while, once.
    let expected: Vec<_> = (0..200_u32).map(|n| n.to_be_bytes().to_vec()).collect();
    assert_eq!((world.bodies(0), world.bodies(1)), (expected.clone(), expected));
    assert!(world.nodes[1].rejects[&SessionReject::Replay] >= 200);
    assert!(sent > 0, "nothing was ever asked there");
}

#[test]
fn a_copier_that_is_faster_takes_no_session() {
    copier(false);
}

#[test]
fn a_copier_that_passes_challenges_on_takes_no_session_either() {
    copier(true);
}

/// The way of the copier is perfect, that without him loses what it does: as long as one of the challenges to the old address arrives and is answered, or one of the answers that go there beside those
/// that he passes on, the session stays where it is.
#[test]
fn a_copier_that_passes_challenges_on_gains_nothing_by_what_the_old_path_loses() {
    let (mut stolen, mut probes) = (0, 0);
    for seed in 0..40 {
        let (mut world, [a, b]) = World::pair(seed);
        let thief = elsewhere(66);
        let mut seen = world.tape.len();
        world.weather.lost = 200;
        for n in 0..40_u32 {
            world.say(0, a, &n.to_be_bytes()).unwrap();
            let copy = world.tape.last().unwrap().clone();
            let _ = world.deliver(1, thief, &copy.bytes);
            let _ = world.say(1, b, &n.to_be_bytes());
            for _ in 0..8 {
                let tape = world.tape[seen..].to_vec();
                seen = world.tape.len();
                for flight in tape.iter().filter(|flight| flight.to == thief) {
                    probes += 1;
                    let before = world.tape.len();
                    let _ = world.deliver(0, thief, &flight.bytes);
                    let answers: Vec<Flight> = world.tape[before..].iter().filter(|f| f.to == thief).cloned().collect();
                    for answer in answers {
                        let _ = world.deliver(1, thief, &answer.bytes);
                    }
                }
                world.run(100);
            }
        }
        stolen += moved(&world, 1);
    }
    assert!(probes > 300, "{probes} challenges went to the copier");
    assert!(stolen * 100 <= probes, "{stolen} of {probes}: a fifth is lost each way");
}

/// A first message that was held back is let through when there is a session: it draws nothing to where it comes from, and what is said goes on.
#[test]
fn a_first_message_that_was_held_back_moves_nothing() {
    let mut world = World::new(23, 2);
    // Node 0 asks, nobody hears it, and it gives up.
    world.blocked = |flight| flight.bytes[8] == 1;
    world.connect(0, 1, b"");
    world.run(30_000);
    let held = world.tape.iter().rfind(|flight| flight.bytes[8] == 1).unwrap().clone();
    world.blocked = |_| false;
    let b = world.connect(1, 0, b"").session;
    world.run(100);
    let a = world.session(0, 1).unwrap();
    let at = path_of(&world, 1, b);
    assert!(world.deliver(1, elsewhere(7), &held.bytes).is_ok());
    // For as long as whoever has no keys any more would need, nothing is sent; it is not lost either, since who sends it is told.
    assert_eq!(world.say(1, b, b"not yet"), Err(SealError::NotReady));
    assert!(!world.nodes[1].room.is_ready(world.now(), b));
    world.run(2_000);
    assert!(world.nodes[1].room.is_ready(world.now(), b));
    for n in 0..20_u32 {
        world.say(1, b, &n.to_be_bytes()).unwrap();
        world.say(0, a, &n.to_be_bytes()).unwrap();
        world.run(2_500);
        assert_eq!(path_of(&world, 1, b), at);
    }
    assert_eq!((world.bodies(0).len(), world.bodies(1).len(), moved(&world, 1)), (20, 20, 0));
    let drawn = world.tape.iter().filter(|flight| flight.to == elsewhere(7));
    assert_eq!(
        drawn.map(|flight| flight.bytes[8]).collect::<Vec<_>>(),
        [2],
        "one second message, shorter than the first"
    );
}

#[test]
fn an_old_packet_from_elsewhere_moves_nothing() {
    let (mut world, [a, b]) = World::pair(21);
    world.say(0, a, b"held back").unwrap();
    let held = world.tape.last().unwrap().clone();
    world.weather.lost = 1000;
    world.run(10);
    let (mut world, held) = {
        // The same world in which that one did not arrive.
        let (mut again, _) = World::pair(21);
        again.weather.lost = 1000;
        again.say(0, a, b"held back").unwrap();
        again.weather.lost = 0;
        again.say(0, a, b"newer").unwrap();
        again.run(10);
        drop(world);
        (again, held)
    };
    let before = world.tape.len();
    world.deliver(1, elsewhere(9), &held.bytes).unwrap();
    world.run(5000);
    assert_eq!(path_of(&world, 1, b), world.nodes[0].at);
    assert!(world.tape[before..].iter().all(|flight| flight.to != elsewhere(9)));
}

#[test]
fn an_address_that_never_answers_gets_three_times_its_bytes_at_most_and_is_left() {
    let (mut world, [a, b]) = World::pair(22);
    world.weather.lost = 1000;
    world.say(0, a, b"x").unwrap();
    let copy = world.tape.last().unwrap().clone();
    world.deliver(1, elsewhere(5), &copy.bytes).unwrap();
    world.run(20_000);
    let sent: usize =
        world.tape.iter().filter(|flight| flight.to == elsewhere(5)).map(|flight| flight.bytes.len()).sum();
    assert!(sent > 0 && sent <= 3 * copy.bytes.len(), "{sent} for {}", copy.bytes.len());
    assert_eq!(path_of(&world, 1, b), world.nodes[0].at);
}
