//! Who knows whose key meets them, whatever brokers do, and every send ends.

use sluis_core::time::Duration;
use sluis_signal::rendezvous::NotDelivered;
use sluis_signal::server::{Fault, Faults};

use super::by_hand::ByHand;
use super::{World, secret};

#[test]
fn two_peers_meet_over_one_broker() {
    let mut world = World::new(1, 2);
    world.settle();
    assert_eq!(world.nodes[0].machine.joined(), (1, 1));
    for text in ["ping", "ping", "pong"] {
        world.send(0, 1, text, 4);
    }
    world.settle();
    assert_eq!(world.nodes[1].texts(), ["ping", "ping", "pong"]);
    assert!(world.nodes[1].messages.iter().all(|(from, _)| *from == secret(0).public()));
    assert_eq!((world.nodes[0].delivered(), &world.nodes[0].answered[..]), (3, &[true][..]));
    // And back, in the same session.
    world.send(1, 0, "back", 4);
    world.settle();
    assert_eq!(
        (world.nodes[0].texts(), world.nodes[1].delivered(), world.nodes[1].answered.len()),
        (vec!["back"], 1, 0)
    );
}

/// Of the reference 7, 19 and 14 of 24 pairs meet in pools of 3, 8 and 16, and none in a pool of 1.
#[test]
fn all_pairs_meet_in_pools_of_any_size_also_when_a_third_is_dead() {
    for (pool, dead) in [(1, 0), (3, 0), (8, 0), (16, 0), (3, 1), (8, 2), (16, 5), (40, 12)] {
        let mut world = World::new(pool, 16);
        for at in 0..dead {
            world.fault(at * pool / dead, if at % 2 == 0 { Fault::Die } else { Fault::Freeze }, 1000);
        }
        world.settle();
        for n in 0..8 {
            world.send(n, n + 8, "hello", 8);
        }
        world.pass(Duration::from_secs(8));
        let met =
            (0..8).filter(|n| world.nodes[*n].delivered() == 1 && world.nodes[n + 8].texts() == ["hello"]).count();
        assert_eq!(met, 8, "{dead} of {pool} dead");
    }
}

/// For twenty minutes one of three brokers is always dead or has just come back, so that none of them works for long enough to be hurried
/// to again: each side rests from brokers that the other one is joined at.
#[test]
fn brokers_that_come_and_go_for_long_keep_nobody_apart() {
    for seed in 0..4 {
        let mut world = World::new(3, 2 + seed);
        let (from, to) = (seed, seed + 1);
        world.send(from, to, "first", 60);
        world.pass(Duration::from_secs(5));
        for turn in 0..240 {
            world.fault(turn / 2 % 3, Fault::Die, if turn % 2 == 0 { 1000 } else { 0 });
            for _ in 0..10 {
                world.send(from, to, "again", 60);
                world.pass(Duration::from_millis(500));
            }
        }
        world.pass(Duration::from_secs(60));
        assert_eq!((world.nodes[from].delivered(), world.nodes[to].messages.len()), (2401, 2401));
        let mut took: Vec<Duration> =
            world.nodes[from].sent.iter().flat_map(|(_, sent)| sent).map(|sent| sent.after).collect();
        took.sort_unstable();
        let (p99, most) = (took[took.len() * 99 / 100], took[took.len() - 1]);
        assert!(p99 <= Duration::from_secs(2) && most <= Duration::from_secs(5), "p99 {p99:?}, most {most:?}");
    }
}

/// Each fault at one of three brokers, then at all three as far as that can be lived with.
#[test]
fn whatever_brokers_do_nothing_is_lost_and_nothing_comes_twice() {
    for fault in Fault::ALL {
        for (servers, thousandths) in [(1, 1000), (3, 300)] {
            let mut world = World::new(3, 2);
            for at in 0..servers {
                if servers == 1
                    || !matches!(
                        fault,
                        Fault::Die
                            | Fault::Freeze
                            | Fault::Refuse
                            | Fault::Mute
                            | Fault::NoSuback
                            | Fault::SubackFail
                            | Fault::PubackWithoutDelivery
                            | Fault::Garbage
                    )
                {
                    world.fault(at, fault, thousandths);
                }
            }
            world.settle();
            for n in 0..40 {
                world.send(0, 1, &format!("a{n}"), 60);
                world.send(1, 0, &format!("b{n}"), 60);
                world.pass(Duration::from_millis(100));
            }
            world.pass(Duration::from_secs(61));
            for (from, to, letter) in [(0, 1, 'a'), (1, 0, 'b')] {
                let expected: Vec<String> = (0..40).map(|n| format!("{letter}{n}")).collect();
                assert_eq!(world.nodes[to].texts(), expected, "{fault:?} at {servers}");
                assert_eq!(world.nodes[from].delivered(), 40, "{fault:?} at {servers}");
            }
        }
    }
}

#[test]
fn every_send_ends_also_when_there_is_nobody() {
    let mut world = World::new(2, 1);
    world.fault(0, Fault::Die, 1000);
    world.fault(1, Fault::Refuse, 1000);
    world.send(0, 1, "into the void", 5);
    world.pass(Duration::from_secs(6));
    assert_eq!(world.nodes[0].sent, [(0, Err(NotDelivered::NoBroker))]);
    world.servers.iter_mut().for_each(|server| server.set_faults(Faults::default()));
    world.pass(Duration::from_secs(61));
    assert_eq!(world.nodes[0].machine.joined(), (2, 2));
    world.send(0, 1, "to nobody", 5);
    world.pass(Duration::from_secs(6));
    assert_eq!(world.nodes[0].sent[1], (1, Err(NotDelivered::NoAck)));
    assert_eq!(world.nodes[0].machine.deadline().map(|at| at > world.mono), Some(true), "nothing is due for ever");
}

/// Also from a cold start, where one broker after the other is joined meanwhile.
#[test]
fn a_peer_is_looked_for_at_few_brokers_then_at_more_then_at_all() {
    let mut world = World::with(40, 1, |_, config| config.join = 3);
    world.send(0, 1, "is anybody there?", 10);
    let mut open = Vec::new();
    for wait in [0, 250, 100, 300] {
        world.pass(Duration::from_millis(wait));
        open.push(world.nodes[0].streams.iter().flatten().count());
    }
    // Its own three, and of the peer's ranking three, ten, all; some are of both.
    assert!(open[0] <= 6 && open[1] == open[0], "{open:?}");
    assert!((10..=13).contains(&open[2]) && open[3] == 40, "{open:?}");
}

#[test]
fn connections_that_only_served_for_sending_are_left_after_ten_minutes() {
    let mut world = World::new(40, 2);
    world.settle();
    world.send(0, 1, "x", 10);
    world.pass(Duration::from_secs(20));
    assert_eq!(world.nodes[0].delivered(), 1);
    let open = |world: &World| world.nodes[0].streams.iter().flatten().count();
    let before = open(&world);
    world.pass(Duration::from_secs(700));
    assert_eq!(open(&world), 10, "{before} before");
    // And opened again when they are needed.
    world.send(0, 1, "y", 10);
    world.pass(Duration::from_secs(20));
    assert_eq!(world.nodes[1].texts(), ["x", "y"]);
}

/// The reference goes on for a minute, with the message and with its acknowledgement.
#[test]
fn nothing_is_sent_again_after_the_acknowledgement() {
    let mut world = World::new(3, 2);
    world.settle();
    let mut spies: Vec<ByHand> = Vec::new();
    for at in 0..3 {
        for n in 0..2 {
            spies.push(ByHand::new(&mut world, at, secret(n)));
        }
    }
    let mut seen = |world: &mut World| spies.iter_mut().map(|spy| spy.payloads(world).len()).sum::<usize>();
    for text in ["one", "two"] {
        world.send(0, 1, text, 60);
        world.settle();
        assert_eq!(world.nodes[1].texts().last(), Some(&text));
        assert!(seen(&mut world) > 0);
        world.pass(Duration::from_secs(61));
        assert_eq!((seen(&mut world), world.nodes[0].late), (0, 0), "after {text}");
    }
    assert_eq!(world.nodes[0].delivered(), 2);
}
