//! Sessions begin, cross, end and are followed by others; what is under way goes on.

use sluis_core::Machine as _;
use sluis_core::time::Duration;
use sluis_signal::rendezvous::{NotDelivered, Turned};
use sluis_signal::server::ConnId;

use super::World;

#[test]
fn an_acknowledgement_leaves_when_the_application_confirms() {
    let mut world = World::new(1, 2);
    world.nodes[1].confirms = false;
    world.send(0, 1, "one", 3);
    world.pass(Duration::from_secs(1));
    assert_eq!((world.nodes[1].texts(), world.nodes[0].sent.len()), (vec!["one"], 0));
    world.pass(Duration::from_secs(3));
    assert_eq!(world.nodes[0].sent, [(0, Err(NotDelivered::NoAck))]);
    // One that comes later is said too.
    let (now, key) = (world.now(), world.nodes[1].unconfirmed[0]);
    assert!(world.nodes[1].machine.confirm(now, &key) && !world.nodes[1].machine.confirm(now, &key));
    world.settle();
    assert_eq!(world.nodes[0].late, 1);
}

/// A session that found no echo works after all, while the hello for the next one finds none: nothing is due for ever then.
#[test]
fn a_hello_that_is_not_needed_any_more_is_taken_back() {
    let mut world = World::new(1, 2);
    world.send(0, 1, "one", 60);
    world.settle();
    world.nodes[1].confirms = false;
    world.send(0, 1, "two", 60);
    world.send(0, 1, "three", 60);
    world.pass(Duration::from_millis(1900));
    world.nodes[1].deaf = true;
    world.pass(Duration::from_millis(250));
    let (now, key) = (world.now(), world.nodes[1].unconfirmed[0]);
    assert!(world.nodes[1].machine.confirm(now, &key));
    for _ in 0..40 {
        world.pass(Duration::from_millis(10));
        let (now, machine) = (world.now(), &mut world.nodes[0].machine);
        machine.handle_timeout(now);
        assert!(machine.deadline().is_some_and(|at| at > now.mono), "due for ever");
    }
    assert_eq!(world.nodes[0].delivered(), 2);
}

#[test]
fn a_peer_that_starts_anew_is_reached_in_a_new_session() {
    let mut world = World::new(3, 2);
    world.send(0, 1, "before", 10);
    world.settle();
    assert_eq!(world.nodes[1].texts(), ["before"]);
    // It forgets all, its sessions with it.
    let streams: Vec<(usize, ConnId)> =
        world.nodes[1].streams.iter().enumerate().filter_map(|(at, conn)| Some((at, (*conn)?))).collect();
    streams.into_iter().for_each(|(at, conn)| world.servers[at].client_end(conn));
    world.nodes[1] = world.node(1, 7);
    world.settle();
    world.send(0, 1, "after", 10);
    world.pass(Duration::from_secs(10));
    assert_eq!((world.nodes[1].texts(), world.nodes[0].delivered()), (vec!["after"], 2));
    assert!(world.nodes[1].machine.turned(Turned::Session) > 0);
    world.send(1, 0, "back", 10);
    world.settle();
    assert_eq!((world.nodes[0].texts(), world.nodes[1].delivered()), (vec!["back"], 1));
}

#[test]
fn hellos_that_cross_lead_to_one_session_and_both_messages_arrive() {
    for n in 0..10 {
        let mut world = World::new(2, 2 * n + 2);
        let (a, b) = (2 * n, 2 * n + 1);
        world.settle();
        // Both speak before either is heard.
        world.send(a, b, "from a", 10);
        world.send(b, a, "from b", 10);
        world.pass(Duration::from_secs(3));
        assert_eq!((world.nodes[a].texts(), world.nodes[b].texts()), (vec!["from b"], vec!["from a"]), "pair {n}");
        assert_eq!((world.nodes[a].delivered(), world.nodes[b].delivered()), (1, 1));
    }
}

#[test]
fn a_session_that_has_lived_its_time_is_followed_by_another() {
    let mut world = World::new(1, 2);
    for n in 0..5 {
        world.send(0, 1, &format!("{n}"), 10);
        world.pass(Duration::from_secs(1801));
    }
    assert_eq!((world.nodes[1].texts(), world.nodes[0].delivered()), (vec!["0", "1", "2", "3", "4"], 5));
    assert!(world.nodes[0].answered.len() >= 2, "{:?}", world.nodes[0].answered);
}
