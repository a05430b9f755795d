//! What peers tell each other in a session besides messages: where they are joined, and by which name they go.

use sluis_core::Did;
use sluis_core::identity::{self, SignError, Signer};
use sluis_core::time::Duration;
use sluis_signal::broker::End;
use sluis_signal::rendezvous::{Named, Turned};
use sluis_signal::server::Fault;

use super::by_hand::ByHand;
use super::{World, secret};

/// A broker refuses a node from now on, and ends its connection.
fn shut_out(world: &mut World, n: usize, at: usize) {
    world.fault(at, Fault::Refuse, 1000);
    let now = world.now();
    let conn = world.nodes[n].streams[at].take().expect("it is connected");
    world.servers[at].client_end(conn);
    world.nodes[n].machine.broker_end(now, at, End::Lost);
    world.settle();
}

/// Where the last message that a node sent was acknowledged.
fn delivered_at(world: &World, n: usize) -> usize {
    world.nodes[n].sent.last().expect("it ended").1.expect("it arrived").broker
}

/// Without being told, the sender would wait 300 ms for an answer over the broker that the peer has lost.
#[test]
fn a_broker_that_the_peer_has_lost_is_not_waited_for() {
    let mut world = World::new(12, 2);
    world.send(0, 1, "before", 10);
    world.pass(Duration::from_secs(10));
    for round in 0..3 {
        world.send(0, 1, "again", 10);
        world.settle();
        let at = delivered_at(&world, 0);
        shut_out(&mut world, 1, at);
        world.pass(Duration::from_secs(5));
        let before = world.nodes[0].delivered();
        world.send(0, 1, "elsewhere", 10);
        world.settle();
        assert_eq!(world.nodes[0].delivered(), before + 1, "round {round}: it takes time");
        assert_ne!(delivered_at(&world, 0), at);
    }
    // The other way, the peer never having asked.
    let at = world.nodes[0].streams.iter().position(Option::is_some).expect("one is up");
    shut_out(&mut world, 0, at);
    world.pass(Duration::from_secs(5));
    world.send(1, 0, "back", 10);
    world.settle();
    assert_eq!(world.nodes[0].texts(), ["back"]);
}

/// What is joined where is news once: it is not told for ever to one who does not answer, and again when it changes.
#[test]
fn what_is_not_heard_is_told_three_times() {
    let mut world = World::new(3, 2);
    world.send(0, 1, "x", 10);
    world.pass(Duration::from_secs(10));
    let mut spies: Vec<ByHand> = (0..3).map(|at| ByHand::new(&mut world, at, secret(1))).collect();
    // Nothing is told where nothing changes.
    world.pass(Duration::from_secs(60));
    let mut told = |world: &mut World| spies.iter_mut().map(|spy| spy.payloads(world).len()).max();
    assert_eq!(told(&mut world), Some(0));
    world.nodes[1].deaf = true;
    for _ in 0..2 {
        shut_out(&mut world, 0, 2);
        world.pass(Duration::from_secs(30));
        assert_eq!(told(&mut world), Some(3));
        world.fault(2, Fault::Refuse, 0);
        world.pass(Duration::from_secs(90));
        // It is back.
        assert_eq!(told(&mut world), Some(3));
    }
}

#[test]
fn nobody_gets_us_to_dial_what_our_pool_does_not_have() {
    // For the first node only two brokers are the pool, though it has a hint of another one for somebody else.
    let mut world = World::with(3, 2, |n, config| config.pool = [2, 3][n]);
    let (now, other) = (world.now(), secret(7).public());
    world.nodes[0].machine.hint(now, &other, 2).unwrap();
    world.send(1, 0, "I am at all three", 10);
    world.pass(Duration::from_secs(5));
    assert_eq!(world.nodes[0].texts().len(), 1);
    // It has no other way than the third one.
    for at in 0..2 {
        shut_out(&mut world, 1, at);
    }
    world.send(0, 1, "where are you?", 5);
    world.pass(Duration::from_secs(6));
    assert_eq!((world.nodes[0].streams[2], world.nodes[0].delivered()), (None, 0));
}

struct Stale;

impl Signer for Stale {
    fn public(&self) -> identity::PublicKey {
        identity::SecretKey::from_seed(&[1; 32]).public()
    }

    fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignError> {
        identity::SecretKey::from_seed(&[1; 32]).sign(b"another session")
    }
}

fn did(n: usize) -> Did {
    Did::new(&format!("jis:test:{n}")).unwrap()
}

/// Nodes 0 and 1 have names, 2 has none, and 3 claims one that it cannot prove.
fn named() -> World {
    World::with(2, 4, |n, config| {
        let signer = || identity::SecretKey::from_seed(&[u8::try_from(n).unwrap(); 32]);
        config.name = match n {
            0 | 1 => Some(Named::new(did(n), signer())),
            3 => Some(Named::new(did(1), Stale)),
            _ => None,
        };
    })
}

#[test]
fn a_message_bears_the_name_that_its_sender_has_proven() {
    let mut world = named();
    for (from, to) in [(0, 1), (1, 0), (2, 0), (0, 2)] {
        world.send(from, to, "x", 10);
        world.pass(Duration::from_secs(5));
        let name = world.nodes[to].names.last().expect("a message").clone();
        let key = identity::SecretKey::from_seed(&[u8::try_from(from).unwrap(); 32]).public();
        let known = name.as_ref().map(|name| (&*name.did, name.key));
        assert_eq!(known, (from < 2).then_some((did(from).as_str(), key)), "from {from} to {to}");
        assert_eq!(world.nodes[to].machine.name_of(&secret(from).public()), name.as_ref());
    }
    // Also in the sessions that follow.
    world.pass(Duration::from_secs(3700));
    for (from, to) in [(1, 0), (0, 1)] {
        world.send(from, to, "later", 10);
        world.pass(Duration::from_secs(5));
        let name = world.nodes[to].names.last().expect("a message").as_ref().expect("a name");
        assert_eq!(&*name.did, did(from).as_str());
    }
}

/// The key of the session is whose it is; what it says of a DID is not taken.
#[test]
fn a_name_that_is_not_proven_is_none_and_counted() {
    let mut world = named();
    // As who says hello, and as who answers.
    for (from, to) in [(3, 0), (3, 1), (2, 3), (3, 2)] {
        world.send(from, to, "believe me", 10);
        world.pass(Duration::from_secs(5));
        assert_eq!(world.nodes[to].texts().last(), Some(&"believe me"));
        assert_eq!(world.nodes[to].names.last(), Some(&None));
    }
    assert_eq!([0, 1, 2].map(|n| world.nodes[n].machine.turned(Turned::Name)), [1; 3]);
}
