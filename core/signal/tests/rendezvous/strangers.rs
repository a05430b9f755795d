//! What strangers, and who plays a peer, send us: it is turned away, counted, and keeps nobody out.

use sluis_core::time::Duration;
use sluis_signal::envelope::{Content, Kind};
use sluis_signal::rendezvous::Turned;
use sluis_signal::sealed::Offer;

use super::by_hand::ByHand;
use super::{World, secret};

/// More proofs than are looked at at once.
const FLOOD: u64 = 2100;

/// Where, in a first packet, what shows that its sender holds the key begins: behind type, session, length, version and the key itself, sealed.
const PROOF: usize = 1 + 8 + 2 + 1 + 33 + 16;

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

/// A stranger under a key of his own at the only broker, and a hello of his.
fn stranger(world: &mut World, n: usize, to: usize) -> (ByHand, Offer) {
    let offer = Offer::new(&secret(n), secret(to).public(), secret(n + 1000)).unwrap();
    (ByHand::new(world, 0, secret(n)), offer)
}

/// Whoever listens at a broker knows which session begins there, and which answer is waited for: what is made up costs us no more than so much.
#[test]
fn forged_answers_and_first_packets_are_looked_at_within_a_budget() {
    let mut world = World::new(1, 1);
    world.settle();
    let us = secret(0).public();
    let (mut peer, mut hello) = stranger(&mut world, 20_000, 0);
    peer.say_hello(&mut world, &us, &hello, 0);
    let mut session = peer.greeted(&mut world, &mut hello).expect("an answer");
    let first = ByHand::sealed(&world, &mut session, 0, "the real one");
    let mut forged = first.clone();
    *forged.last_mut().unwrap() ^= 1;
    forged[20] ^= 1;
    for _ in 0..FLOOD {
        peer.post(&mut world, &us, &forged);
    }
    // Who does not know how the right one begins takes nothing of the budget.
    let turned = |world: &World, why| world.nodes[0].machine.turned(why);
    assert_eq!((turned(&world, Turned::Budget), turned(&world, Turned::Unverified)), (0, FLOOD));
    forged = first.clone();
    forged[PROOF] ^= 1;
    for _ in 0..FLOOD {
        peer.post(&mut world, &us, &forged);
    }
    let budget = world.nodes[0].machine.turned(Turned::Budget);
    assert!((1..FLOOD / 2).contains(&budget), "{budget}");
    // A moment later the real one is heard.
    world.pass(Duration::from_millis(100));
    peer.post(&mut world, &us, &first);
    assert_eq!(world.nodes[0].texts(), ["the real one"]);

    // Now we ask, and somebody else answers for the peer.
    let (mut absent, _) = stranger(&mut world, 20_001, 0);
    let now = world.now();
    world.nodes[0].machine.probe(now, &absent.key.public(), Duration::from_secs(60)).unwrap();
    world.settle();
    let asked = absent.hears(&mut world).pop().expect("a hello");
    let (kind, timestamp) = (Kind::Ack as u8, world.seconds());
    let content = Content { queue: asked.queue, seq: 0, timestamp, kind, body: b"ack" };
    let mut forged = vec![0; content.envelope_len()];
    content.sign(&absent.key, &mut forged).unwrap();
    forged[40] ^= 1;
    for _ in 0..FLOOD {
        absent.post(&mut world, &us, &forged);
    }
    assert!(world.nodes[0].machine.turned(Turned::Budget) > budget);
    world.pass(Duration::from_millis(100));
    absent.acknowledge(&mut world, &asked);
    assert_eq!(world.nodes[0].answered, [false]);
}

/// Somebody has kept a hello of a peer, and brings it again whenever that says another one.
#[test]
fn an_old_hello_does_not_take_the_place_of_a_new_one() {
    let mut world = World::new(1, 1);
    world.settle();
    let us = secret(0).public();
    let (mut peer, mut hello) = stranger(&mut world, 20_000, 0);
    let old = Offer::new(&peer.key, us, secret(30_000)).unwrap();
    peer.say_hello(&mut world, &us, &hello, 0);
    peer.say_hello(&mut world, &us, &old, 5);
    assert_eq!(world.nodes[0].machine.turned(Turned::Time), 1);
    // A copy of the new one, which went over another broker, is answered as the first.
    peer.say_hello(&mut world, &us, &hello, 2);
    let mut session = peer.greeted(&mut world, &mut hello).expect("an answer");
    let first = ByHand::sealed(&world, &mut session, 0, "I am here");
    peer.post(&mut world, &us, &first);
    assert_eq!(world.nodes[0].texts(), ["I am here"]);
}

/// A stranger has a session with the second node, says something in it, and a second goes by.
fn one_of_many(world: &mut World, n: usize) {
    let bob = secret(1).public();
    let (mut stranger, mut hello) = stranger(world, 20_000 + n, 1);
    stranger.say_hello(world, &bob, &hello, 0);
    let mut session = stranger.greeted(world, &mut hello).expect("an answer");
    let first = ByHand::sealed(world, &mut session, 0, "I am one of many");
    stranger.post(world, &bob, &first);
    stranger.leave(world);
    world.pass(Duration::from_secs(1));
}

/// Under as many keys as there is room for peers, and more: who is known goes on, and others are reached.
#[test]
fn strangers_with_sessions_do_not_take_the_room_of_peers() {
    const ROOM: usize = 8;
    let mut world = World::with(1, 3, |_, config| config.peers = ROOM);
    world.send(0, 1, "first", 10);
    world.settle();
    for n in 0..2 * ROOM {
        one_of_many(&mut world, n);
        world.send(0, 1, "still here", 10);
        world.settle();
    }
    assert_eq!(world.nodes[0].delivered(), 1 + 2 * ROOM);
    assert_eq!(world.nodes[0].answered, [true], "the session of who is known has not ended");
    // Whom we did not know is reached, and reaches us.
    world.send(1, 2, "and you?", 10);
    world.send(2, 1, "and me", 10);
    world.settle();
    assert_eq!((world.nodes[1].delivered(), world.nodes[2].delivered()), (1, 1));
    // Who was forgotten begins anew, and nothing of his comes twice.
    assert_eq!(world.nodes[1].texts().iter().filter(|text| **text == "I am one of many").count(), 2 * ROOM);
}

/// Whom we once wrote to keeps his session, however long he is silent while strangers come.
#[test]
fn strangers_do_not_take_the_room_of_a_silent_peer_that_we_wrote_to() {
    const ROOM: usize = 8;
    let mut world = World::with(1, 2, |_, config| config.peers = ROOM);
    world.send(1, 0, "first", 10);
    world.settle();
    for n in 0..2 * ROOM {
        one_of_many(&mut world, n);
    }
    world.send(0, 1, "still here", 10);
    world.settle();
    assert_eq!(world.nodes[0].delivered(), 1);
    assert!(world.nodes[0].answered.is_empty(), "the session that the other end began has not ended");
}
