//! What survives a restart: acknowledged is handed over exactly once, whenever everything stops.

use sluis_core::time::Duration;
use sluis_signal::envelope::{Content, Kind};
use sluis_signal::rendezvous::{Legacy, Turned};

use super::by_hand::ByHand;
use super::{World, secret};

fn world(nodes: usize) -> World {
    let mut world = World::with(2, nodes, |n, config| {
        config.keeps = n == 1;
        config.legacy = Legacy::Everybody;
    });
    world.nodes[1].store = Some(Box::default());
    world.settle();
    world
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn nothing_is_handed_over_or_acknowledged_that_the_medium_does_not_know() {
    let mut world = world(2);
    world.nodes[1].store_fails = true;
    world.send(0, 1, "one", 60);
    world.pass(seconds(5));
    assert_eq!((world.nodes[1].texts().len(), world.nodes[0].delivered()), (0, 0));
    world.nodes[1].store_fails = false;
    world.pass(seconds(2));
    assert_eq!((world.nodes[1].texts(), world.nodes[0].delivered()), (vec!["one"], 1));
    // Confirmed, and not known to the medium: not acknowledged.
    world.nodes[1].confirms = false;
    world.send(0, 1, "two", 60);
    world.pass(seconds(1));
    world.nodes[1].store_fails = true;
    let (now, key) = (world.now(), world.nodes[1].unconfirmed[0]);
    assert!(world.nodes[1].machine.confirm(now, &key));
    world.pass(seconds(5));
    assert_eq!((world.nodes[1].texts(), world.nodes[0].delivered()), (vec!["one", "two"], 1));
    world.nodes[1].store_fails = false;
    world.pass(seconds(9));
    assert_eq!((world.nodes[1].texts(), world.nodes[0].delivered()), (vec!["one", "two"], 2));
}

/// Stopped before a message is known, before it is confirmed, and before its acknowledgement leaves.
#[test]
fn acknowledged_is_handed_over_exactly_once_whenever_everything_stops() {
    for moment in ["before", "handed", "confirmed", "acknowledged"] {
        let mut world = world(2);
        world.send(0, 1, "first", 60);
        world.pass(seconds(1));
        world.nodes[1].confirms = false;
        let mut all: Vec<String> = Vec::new();
        match moment {
            "before" => world.nodes[1].store_fails = true,
            // The acknowledgement finds no broker.
            "confirmed" => world.nodes[1].confirms = true,
            "acknowledged" => world.nodes[1].confirms = true,
            _ => {}
        }
        if moment == "confirmed" {
            world.nodes[1].mute = true;
        }
        world.send(0, 1, "second", 60);
        world.settle();
        world.pass(Duration::from_millis(100));
        all.extend(world.nodes[1].texts().into_iter().map(str::to_owned));
        world.restart(1, |_| {});
        world.pass(seconds(70));
        all.extend(world.nodes[1].texts().into_iter().map(str::to_owned));
        let acked = world.nodes[0].delivered();
        let expected = match moment {
            // It was in nobody's hands: it comes now.
            "before" => (2, vec!["first", "second"]),
            // Whether the application had it is not known: its sender is told so.
            "handed" => (1, vec!["first", "second"]),
            _ => (2, vec!["first", "second"]),
        };
        assert_eq!((acked, all.iter().map(String::as_str).collect::<Vec<_>>()), expected, "{moment}");
        // And the row goes on.
        world.send(0, 1, "third", 20);
        world.pass(seconds(20));
        assert_eq!(world.nodes[1].texts().last(), Some(&"third"), "{moment}");
    }
}

#[test]
fn messages_in_the_clear_are_known_after_a_restart() {
    let mut world = world(2);
    let us = secret(1).public();
    let mut reference = ByHand::new(&mut world, 0, secret(50));
    let kind = Kind::Message as u8;
    let said = |world: &World, queue: u8, body: &'static [u8]| Content {
        queue: [queue; 32],
        seq: 0,
        timestamp: world.seconds(),
        kind,
        body,
    };
    let first = said(&world, 1, b"first");
    reference.say(&mut world, &us, &first);
    assert_eq!((reference.hears(&mut world).len(), world.nodes[1].texts()), (1, vec!["first"]));
    world.nodes[1].confirms = false;
    let second = said(&world, 2, b"second");
    reference.say(&mut world, &us, &second);
    assert_eq!((world.nodes[1].texts().len(), reference.hears(&mut world).len()), (2, 0));
    world.pass(seconds(3));
    world.restart(1, |_| {});
    world.pass(seconds(3));
    // The one is known, and acknowledged; of the other nobody knows whether the application had it. What was said while nobody listened is taken.
    let meanwhile = Content { timestamp: world.seconds() - 5, ..said(&world, 3, b"meanwhile") };
    for content in [&first, &second, &meanwhile] {
        reference.say(&mut world, &us, content);
    }
    assert_eq!(world.nodes[1].texts(), ["meanwhile"]);
    let acks: Vec<u8> = reference.hears(&mut world).iter().map(|ack| ack.queue[0]).collect();
    assert_eq!(acks, [1, 3]);
    // What is too old to come again is forgotten.
    world.pass(seconds(300));
    let kept = world.nodes[1].store.as_ref().unwrap();
    assert!(!kept.keys().any(|key| key[0] == b'm'), "{}", kept.len());
}

#[test]
fn who_is_one_of_ours_is_known_after_a_restart() {
    let mut world = world(2);
    world.send(0, 1, "sealed", 10);
    world.settle();
    world.restart(1, |_| {});
    let in_its_name = ByHand::new(&mut world, 0, secret(0));
    world.pass(seconds(1));
    let timestamp = world.seconds();
    let words = Content { queue: [1; 32], seq: 0, timestamp, kind: Kind::Message as u8, body: b"in the clear" };
    in_its_name.say(&mut world, &secret(1).public(), &words);
    assert_eq!((world.nodes[1].texts().len(), world.nodes[1].machine.turned(Turned::Plain)), (0, 1));
}

#[test]
fn what_is_damaged_is_not_passed_over() {
    let mut world = world(2);
    world.send(0, 1, "one", 10);
    world.settle();
    let kept = world.nodes[1].store.clone().unwrap();
    let now = world.now();
    for (key, value) in &*kept {
        let mut other = world.node(1, 9).machine;
        assert_eq!(other.restore(now, key, value), Ok(()));
        if key[0] == b'h' {
            // It only says where to look first.
            for (key, value) in [(&key[..key.len() - 1], &value[..]), (key, &value[..value.len() - 1]), (key, b"")] {
                assert_eq!(other.restore(now, key, value), Ok(()));
            }
            continue;
        }
        if key[0] != b'p' {
            assert!(other.restore(now, key, &value[..value.len() - 1]).is_err(), "{key:?}");
        }
        assert!(other.restore(now, &key[..key.len() - 1], value).is_err() || key.len() == 1, "{key:?}");
    }
    assert!(world.node(1, 9).machine.restore(now, b"x", b"").is_err());
}
