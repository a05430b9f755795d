//! What strangers, and who plays a peer, send us: it is turned away, counted, and keeps nobody out.

use sluis_signal::envelope::{Content, Kind};
use sluis_signal::rendezvous::Turned;

use super::by_hand::ByHand;
use super::{World, secret};

/// An empty probe, stamped now.
fn probe(world: &World) -> Content<'static> {
    Content { queue: [1; 32], seq: 0, timestamp: world.seconds(), kind: Kind::Probe as u8, body: b"" }
}

/// A thousand strangers say hello in a minute: they are answered within the budget, and a known peer is heard all the same.
#[test]
fn strangers_do_not_keep_known_peers_out() {
    let mut world = World::new(1, 2);
    world.send(0, 1, "we know each other", 10);
    world.settle();
    let bob = secret(1).public();
    for n in 0..300 {
        let stranger = ByHand::silent(&mut world, 0, secret(10_000 + n));
        let hello = probe(&world);
        stranger.say(&mut world, &bob, &hello);
        stranger.leave(&mut world);
    }
    let budget = world.nodes[1].machine.turned(Turned::Budget);
    assert!(budget >= 250, "{budget}");
    world.send(0, 1, "still heard", 10);
    world.settle();
    assert_eq!(world.nodes[1].texts(), ["we know each other", "still heard"]);
}

#[test]
fn what_is_plain_old_or_forged_is_turned_away_and_counted() {
    let mut world = World::new(1, 2);
    world.settle();
    let (alice, bob) = (ByHand::silent(&mut world, 0, secret(0)), secret(1).public());
    let plain = Content { kind: Kind::Message as u8, body: b"in the clear", ..probe(&world) };
    let stamp = plain.timestamp;
    alice.say(&mut world, &bob, &plain);
    alice.say(&mut world, &bob, &Content { timestamp: stamp - 121, ..plain });
    alice.say(&mut world, &bob, &Content { timestamp: stamp + 121, ..plain });
    alice.say(&mut world, &bob, &Content { kind: Kind::Ack as u8, body: b"ack", ..plain });
    let probe = probe(&world);
    let mut forged = vec![0; probe.envelope_len()];
    probe.sign(&alice.key, &mut forged).unwrap();
    forged[40] ^= 1;
    alice.post(&mut world, &bob, &forged);
    let turned = |why| world.nodes[1].machine.turned(why);
    assert_eq!(
        (turned(Turned::Plain), turned(Turned::Time), turned(Turned::Unverified), turned(Turned::Unasked)),
        (1, 2, 1, 1)
    );
    assert_eq!(world.nodes[1].messages.len(), 0);
}
