//! The same machines under the real driver, on simulated streams: cut anywhere, broken at any byte, brokers that crash and stall.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use sluis_core::driver::Flow;
use sluis_core::sim::streams::{HostId, Reach, StreamLink, StreamWorld};
use sluis_core::time::Duration;
use sluis_core::{Machine as _, Now, Seed};
use sluis_signal::key::PublicKey;
use sluis_signal::rendezvous::{Config, Event, Rendezvous};
use sluis_signal::server::{Server, ServerLimits};

use super::{places, secret};

#[derive(Default)]
struct Seen {
    to_send: VecDeque<(PublicKey, String)>,
    heard: Vec<String>,
    acked: Vec<u64>,
    failed: usize,
    answered: Vec<bool>,
    unanswered: usize,
    joined: (usize, usize),
    probe: Option<PublicKey>,
}

type Shared = Rc<RefCell<Seen>>;

fn broker(world: &mut StreamWorld, n: usize) -> HostId {
    world.listen(&format!("n{n}.test"), server(n as u64), idle)
}

fn server(seed: u64) -> Server {
    Server::new(ServerLimits::default(), Seed::from_u64(seed).fork("server"))
}

fn idle(_: Now, _: &mut Server) -> Flow {
    Flow::Continue
}

/// A node that sends what is put on its list, for a minute each, and confirms what it hears.
fn node(world: &mut StreamWorld, n: usize, brokers: usize) -> (HostId, Shared) {
    let config = Config::new(secret(n), places(brokers));
    let machine = Rendezvous::new(config, &Seed::from_u64(n as u64), world.now());
    let seen = Shared::default();
    let shown = Rc::clone(&seen);
    let app = move |now: Now, machine: &mut Rendezvous| {
        let mut seen = shown.borrow_mut();
        while let Some((to, text)) = seen.to_send.pop_front() {
            machine.send(now, &to, Arc::from(text.as_bytes()), true, Duration::from_secs(60)).unwrap();
        }
        if let Some(peer) = seen.probe.take() {
            machine.probe(now, &peer, Duration::from_secs(5)).unwrap();
        }
        while let Some(event) = machine.poll_event() {
            match event {
                Event::Message(message) => {
                    seen.heard.push(String::from_utf8(message.body).unwrap());
                    assert!(machine.confirm(now, &message.key));
                }
                Event::Sent { number, outcome: Ok(_), .. } => seen.acked.push(number),
                Event::Sent { .. } => seen.failed += 1,
                Event::Answered { sealed, .. } => seen.answered.push(sealed),
                Event::Unanswered { .. } => seen.unanswered += 1,
                _ => {}
            }
        }
        seen.joined = machine.joined();
        Flow::Continue
    };
    (world.add(&format!("node{n}"), machine, app), seen)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn what_is_acknowledged_was_handed_over_once_however_streams_break() {
    for (n, seed) in (0..12).enumerate() {
        // Streams that live for seconds only leave the brokers resting for most of the time: then messages end undelivered, and say so.
        let resets = [0, 6_000, 400_000][n / 3 % 3];
        let link = StreamLink { chunk: [1, 40, 5000][n % 3], reset_within: resets, ..StreamLink::default() };
        let mut world = StreamWorld::new(link, &Seed::from_u64(seed));
        let brokers: Vec<HostId> = (0..3).map(|n| broker(&mut world, n)).collect();
        let nodes: Vec<(HostId, Shared)> = (0..2).map(|n| node(&mut world, n, 3)).collect();
        assert!(world.run_for(seconds(10)));
        for n in 0..40 {
            for (from, to) in [(0, 1), (1, 0)] {
                let text = (secret(to).public(), format!("{from}: {n}"));
                nodes[from].1.borrow_mut().to_send.push_back(text);
                world.wake(nodes[from].0);
            }
            match n {
                10 => world.restart(brokers[0], Reach::Listening, server(seed + 10), idle),
                20 => world.stall(brokers[1], true),
                30 => world.stall(brokers[1], false),
                _ => {}
            }
            assert!(world.run_for(Duration::from_millis(300)), "it spins");
        }
        assert!(world.run_for(seconds(70)), "it spins");
        for (node, other) in [(0, 1), (1, 0)] {
            let (seen, sender) = (nodes[node].1.borrow(), nodes[other].1.borrow());
            assert_eq!(sender.acked.len() + sender.failed, 40, "seed {seed}: every send ends, once");
            let numbers: Vec<u64> = seen
                .heard
                .iter()
                .map(|text| text.strip_prefix(&format!("{other}: ")).unwrap().parse().unwrap())
                .collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "seed {seed}: in order, none twice: {numbers:?}");
            assert!(sender.acked.iter().all(|number| numbers.contains(number)), "seed {seed}: {:?}", sender.acked);
            assert!(sender.failed == 0 || resets == 6_000, "seed {seed}: {} failed", sender.failed);
        }
    }
}

#[test]
fn a_probe_finds_who_is_there_and_ends_where_nobody_is() {
    let mut world = StreamWorld::new(StreamLink::default(), &Seed::from_u64(1));
    let down = broker(&mut world, 0);
    broker(&mut world, 1);
    world.set_reach(down, Reach::Refusing);
    let (host, seen) = node(&mut world, 0, 2);
    let (_, other) = node(&mut world, 1, 2);
    let ask = |world: &mut StreamWorld, n| {
        seen.borrow_mut().probe = Some(secret(n).public());
        world.wake(host);
        assert!(world.run_for(seconds(6)));
    };
    assert!(world.run_for(seconds(1)));
    assert_eq!((seen.borrow().joined, other.borrow().joined), ((1, 2), (1, 2)));
    ask(&mut world, 1);
    assert_eq!((&seen.borrow().answered[..], seen.borrow().unanswered), (&[true][..], 0));
    ask(&mut world, 9);
    assert_eq!((seen.borrow().answered.len(), seen.borrow().unanswered), (1, 1));
    // It comes back, and is joined.
    world.set_reach(down, Reach::Listening);
    assert!(world.run_for(seconds(61)));
    assert_eq!(seen.borrow().joined, (2, 2));
}
