//! A key in two places.

use super::{World, addr, config, secret};
use sluis_core::session::{Down, Incarnation, Known, News, Peer, SessionReject};
use sluis_core::{Rng, Seed};

/// A hub (1), a node (0), and a copy of the node (2) elsewhere.
fn world(seed: u64) -> (World, Rng) {
    let mut world = World::new(seed, 2);
    world.add(config(0));
    (world, Seed::from_u64(seed).fork("starts"))
}

fn start(world: &mut World, n: usize, incarnation: Incarnation) {
    // The copy has the keys of the node.
    world.restart_as(n, config(0));
    world.nodes[n].room.set_incarnation(incarnation);
    world.nodes[n].news.clear();
}

fn connect(world: &mut World, n: usize, named: bool, early: &[u8]) {
    if named {
        world.connect_named(n, 1);
    } else {
        world.connect(n, 1, early);
    }
    world.run(1000);
}

fn is_up(world: &World, n: usize) -> bool {
    world.news_of(n).iter().any(|news| matches!(news, News::Up { .. })) && world.session(n, 1).is_some()
}

fn clones(world: &World, n: usize) -> Vec<std::net::SocketAddr> {
    let elsewhere = |news: &News| match news {
        News::Clone { elsewhere } => Some(elsewhere.remote),
        _ => None,
    };
    world.news_of(n).iter().filter_map(elsewhere).collect()
}

#[test]
fn of_a_node_and_its_running_copy_neither_goes_on_and_all_three_are_told() {
    for named in [false, true] {
        let (mut world, mut rng) = world(1);
        let first = Incarnation::NONE.following(&mut rng);
        let copy = first.following(&mut rng);
        start(&mut world, 0, first);
        start(&mut world, 2, copy);
        connect(&mut world, 0, named, b"");
        assert!(is_up(&world, 0));
        // The copy is started later: that is what a restart looks like, from another address.
        connect(&mut world, 2, named, b"");
        assert!(is_up(&world, 2) && clones(&world, 1).is_empty());
        // The node goes on: both cannot be it.
        world.nodes[1].heard.clear();
        start(&mut world, 0, first);
        connect(&mut world, 0, named, b"not heard");
        assert_eq!(clones(&world, 1), [addr(0)]);
        assert_eq!(world.nodes[1].rejects[&SessionReject::Clone], 1);
        assert_eq!(world.nodes[1].room.rejected(SessionReject::Clone), 1);
        assert!(world.nodes[1].room.is_empty() && world.nodes[1].heard.is_empty());
        assert!(world.news_of(1).contains(&News::Down(Down::Clone)));
        for n in [0, 2] {
            assert_eq!(world.news_of(n).last(), Some(&News::Down(Down::Cloned)), "node {n}");
            assert!(world.nodes[n].room.is_empty());
        }
        // Nor does either later.
        for n in [2, 0] {
            connect(&mut world, n, named, b"not heard");
            assert!(world.session(n, 1).is_none() && world.nodes[1].heard.is_empty(), "node {n}");
        }
        // The owner ends the copy and starts the node anew, whose counter is then that of the copy.
        start(&mut world, 0, first.following(&mut rng));
        connect(&mut world, 0, named, b"back");
        assert!(is_up(&world, 0) && world.session(1, 0).is_some());
        let before = clones(&world, 1).len();
        connect(&mut world, 2, named, b"");
        assert_eq!(clones(&world, 1).len(), before + 1);
    }
}

#[test]
fn two_copies_of_a_directory_at_rest_are_noticed_when_both_have_spoken() {
    let (mut world, mut rng) = world(2);
    let at_rest = Incarnation::NONE.following(&mut rng);
    for n in [0, 2] {
        start(&mut world, n, at_rest.following(&mut rng));
    }
    connect(&mut world, 0, false, b"one");
    connect(&mut world, 2, false, b"two");
    assert_eq!((clones(&world, 1), world.bodies(1)), (vec![addr(2)], vec![b"one".to_vec()]));
}

#[test]
fn a_copy_is_noticed_by_who_asks_it_too() {
    let (mut world, mut rng) = world(3);
    let first = Incarnation::NONE.following(&mut rng);
    start(&mut world, 0, first.following(&mut rng));
    start(&mut world, 2, first);
    connect(&mut world, 0, false, b"");
    assert!(is_up(&world, 0));
    let id = world.session(1, 0).unwrap();
    let now = world.now();
    world.nodes[1].room.close(now, id);
    world.drain(1);
    world.nodes[0].at = addr(9);
    world.nodes[2].at = addr(0);
    world.connect_to(1, &Peer::pinned("jis:node:0", secret(0).public()), addr(0), b"");
    world.run(1000);
    assert_eq!(clones(&world, 1), [addr(0)]);
    assert_eq!(world.news_of(2).last(), Some(&News::Down(Down::Cloned)));
    assert!(world.nodes[1].room.is_empty() && world.nodes[2].room.is_empty());
}

#[test]
fn nobody_without_the_key_makes_a_node_look_cloned() {
    for named in [false, true] {
        let (mut world, mut rng) = world(4);
        let first = Incarnation::NONE.following(&mut rng);
        start(&mut world, 0, first);
        connect(&mut world, 0, named, b"");
        let old = world.tape.clone();
        start(&mut world, 0, first.following(&mut rng));
        connect(&mut world, 0, named, b"");
        let known = world.nodes[1].room.known("jis:node:0", &world.nodes[0].key);
        assert_eq!(known.counter(), 2);
        // The hub has lost its stamps, not what it knows of the starts: every old message is taken for new, and is none.
        world.restart(1);
        let key = world.nodes[0].key;
        assert!(world.nodes[1].room.set_known("jis:node:0", &key, known));
        for flight in old.iter().filter(|flight| flight.to == addr(1)) {
            let _ = world.deliver(1, flight.from, &flight.bytes);
        }
        world.run(20_000);
        assert!(clones(&world, 1).is_empty() && !world.nodes[1].rejects.contains_key(&SessionReject::Clone));
        assert_eq!(world.nodes[1].room.known("jis:node:0", &key), known);
        start(&mut world, 0, first.following(&mut rng).following(&mut rng));
        connect(&mut world, 0, named, b"");
        assert!(is_up(&world, 0));
    }
}

#[test]
fn what_is_known_of_starts_survives_a_restart_and_a_session() {
    let (mut world, mut rng) = world(5);
    let first = Incarnation::NONE.following(&mut rng);
    start(&mut world, 0, first.following(&mut rng));
    start(&mut world, 2, first);
    connect(&mut world, 0, false, b"");
    let told: Vec<Known> = world
        .news_of(1)
        .iter()
        .filter_map(|news| match news {
            News::Incarnation(known) => Some(*known),
            _ => None,
        })
        .collect();
    let key = world.nodes[0].key;
    assert_eq!(told, [world.nodes[1].room.known("jis:node:0", &key)]);
    // Over when nothing was heard for three minutes, and known all the same.
    world.run(200_000);
    assert!(world.nodes[1].room.is_empty());
    assert_eq!(world.nodes[1].room.known("jis:node:0", &key), told[0]);
    world.restart(1);
    assert!(world.nodes[1].room.set_known("jis:node:0", &key, Known::from_bytes(&told[0].to_bytes())));
    connect(&mut world, 2, false, b"");
    assert_eq!(clones(&world, 1), [addr(2)]);
}

#[test]
fn nodes_without_a_state_directory_are_not_judged() {
    let (mut world, mut rng) = world(6);
    start(&mut world, 2, Incarnation::NONE.following(&mut rng));
    for n in [0, 2, 0] {
        connect(&mut world, n, false, b"");
        assert!(is_up(&world, n));
    }
    assert!(clones(&world, 1).is_empty());
}
