//! Load, caps, and what strangers cost.

use std::net::SocketAddr;

use super::frames::{forge_mac1, one_of_each};
use super::{START, World, addr, config, secret};
use sluis_core::session::{Caps, Config, ConfigError, ConnectError, News, Peer, SealError, SessionReject, Sessions};
use sluis_core::time::Duration;
use sluis_core::{Did, Instant, Now, Path, Seed, Wall};

/// Two nodes, the second of which is under load: whoever comes needs a cookie.
pub(crate) fn flooded(seed: u64) -> World {
    let mut world = World::new(seed, 1);
    let mut config = config(1);
    config.caps.handshakes_per_second = 1;
    world.add(config);
    let first = spoofed(&mut world, 0);
    let _ = world.deliver(1, addr(100), &first);
    world
}

/// A first message with the right first mac and nothing else right: the most that somebody can make who knows only whom it is for.
fn spoofed(world: &mut World, n: u64) -> Vec<u8> {
    let mut frame = vec![0; 16 + 96 + 192 + 32];
    let len = u32::try_from(frame.len() - 8).unwrap();
    frame[..12].copy_from_slice(&[b'T', b'P', 1, 8, 0, 0, 0, 0, 1, 1, 2, 0]);
    frame[4..8].copy_from_slice(&len.to_be_bytes());
    frame.iter_mut().skip(12).for_each(|byte| *byte = world.dice(256).to_le_bytes()[0]);
    frame[16] = n.to_le_bytes()[0];
    forge_mac1(&mut frame, &[&[1][..], secret(1).public().as_bytes()].concat());
    frame
}

fn spoofed_addr(n: u32) -> SocketAddr {
    format!("10.{}.{}.{}:{}", n >> 16 & 255, n >> 8 & 255, n & 255, 1024 + n % 60_000).parse().unwrap()
}

#[test]
fn under_load_a_cookie_is_asked_for_and_gets_in() {
    let mut world = flooded(1);
    assert!(world.connect(0, 1, b"early").early);
    world.run(100);
    assert!(world.session(0, 1).is_some() && world.session(1, 0).is_some());
    assert_eq!(world.bodies(1), [b"early"]);
    assert_eq!(world.nodes[1].rejects[&SessionReject::Cookie], 1);
    let (asked, cookie) = (&world.tape[0], &world.tape[1]);
    assert!(cookie.bytes[8] == 4 && cookie.bytes.len() < asked.bytes.len());
    // The same for those who know only the name.
    let mut world = flooded(2);
    world.connect_named(0, 1);
    world.run(100);
    assert!(world.session(0, 1).is_some() && world.nodes[1].rejects[&SessionReject::Cookie] == 1);
}

#[test]
fn a_cookie_is_good_for_the_address_and_the_time_that_it_was_made_for() {
    let mut world = flooded(3);
    world.connect(0, 1, b"");
    world.run(15);
    let with_cookie = world.tape[2].clone();
    assert!(with_cookie.bytes[8] == 1 && with_cookie.bytes[with_cookie.bytes.len() - 16..] != [0; 16]);
    let at = |world: &mut World, from| {
        let (n, mut rejects) = (world.tape.len(), Vec::new());
        rejects.push(world.deliver(1, from, &with_cookie.bytes));
        assert!(world.tape.len() - n <= 1);
        rejects.remove(0)
    };
    // A replay of it is known by its stamp, from its own address; from elsewhere it does not even get so far.
    assert_eq!(at(&mut world, addr(0)), Err(SessionReject::Stamp));
    assert_eq!(at(&mut world, addr(5)), Err(SessionReject::Cookie));
    let mut port = addr(0);
    port.set_port(1);
    assert_eq!(at(&mut world, port), Err(SessionReject::Cookie));
    let mapped = SocketAddr::new(std::net::Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().into(), addr(0).port());
    assert_eq!(at(&mut world, mapped), Err(SessionReject::Stamp));
    // Secrets are changed every two minutes and taken for two more.
    world.run(110_000);
    let first = spoofed(&mut world, 1);
    let _ = world.deliver(1, addr(100), &first);
    assert_eq!(at(&mut world, addr(0)), Err(SessionReject::Stamp));
    for _ in 0..2 {
        world.run(125_000);
        let first = spoofed(&mut world, 1);
        let _ = world.deliver(1, addr(100), &first);
        let _ = world.deliver(1, addr(100), &first);
    }
    assert_eq!(at(&mut world, addr(0)), Err(SessionReject::Cookie));
}

#[test]
fn a_flood_from_ten_thousand_addresses_costs_no_memory_and_no_session() {
    let (mut world, [a, b]) = World::pair(4);
    world.nodes[0].heard.clear();
    let heap = world.nodes[1].room.heap_bytes();
    let (mut received, mut sent) = (0, 0);
    let frame = spoofed(&mut world, 0);
    for n in 0..10_000_u32 {
        let mut frame = frame.clone();
        frame[20..24].copy_from_slice(&n.to_be_bytes());
        forge_mac1(&mut frame, &[&[1][..], secret(1).public().as_bytes()].concat());
        received += frame.len();
        let before = world.tape.len();
        assert!(world.deliver(1, spoofed_addr(n), &frame).is_err());
        sent += world.tape[before..].iter().map(|flight| flight.bytes.len()).sum::<usize>();
        if n % 100 == 0 {
            // Those who have a session do not notice.
            world.say(0, a, &n.to_be_bytes()).unwrap();
            world.say(1, b, &n.to_be_bytes()).unwrap();
            world.run(6);
        }
    }
    assert_eq!((world.nodes[0].heard.len(), world.nodes[1].heard.len()), (100, 100));
    let rejects = &world.nodes[1].rejects;
    let asked = rejects[&SessionReject::Cookie];
    assert!(rejects[&SessionReject::Handshake] <= 512 + 400 && asked > 8000, "{rejects:?}");
    assert!(sent <= received / 4, "{sent} for {received}");
    let grown = world.nodes[1].room.heap_bytes() - heap;
    assert!(grown < 16 << 10, "{grown} bytes");
    assert_eq!((world.nodes[1].room.len(), world.nodes[1].room.half_open()), (1, 0));
    // A newcomer gets in all the same.
    world.add(config(2));
    world.connect(2, 1, b"hello");
    world.run(100);
    assert!(world.session(2, 1).is_some());
}

#[test]
fn one_address_with_a_cookie_does_not_get_everything() {
    let mut world = flooded(5);
    world.connect(0, 1, b"");
    world.run(15);
    let with_cookie = world.tape[2].clone();
    let count = |world: &World, why| world.nodes[1].rejects.get(&why).copied().unwrap_or_default();
    for _ in 0..200 {
        let _ = world.deliver(1, addr(0), &with_cookie.bytes);
    }
    // One of the 64 was the one that got in.
    assert_eq!(count(&world, SessionReject::Stamp), 63);
    assert_eq!(count(&world, SessionReject::Source), 137);
    world.run(1000);
    let _ = world.deliver(1, addr(0), &with_cookie.bytes);
    assert_eq!(count(&world, SessionReject::Stamp), 64);
}

#[test]
fn without_the_mac_nothing_is_computed_and_nobody_hears_anything() {
    let mut world = World::new(6, 2);
    for mut frame in one_of_each().into_iter().take(3) {
        let at = frame.len() - 20;
        frame[at] ^= 1;
        let before = world.tape.len();
        assert_eq!(world.deliver(1, addr(7), &frame), Err(SessionReject::Mac));
        assert_eq!(world.tape.len(), before);
    }
}

#[test]
fn caps_hold_and_what_is_refused_leaves_nothing() {
    let mut world = World::new(7, 0);
    world.add(config(0));
    let mut small = config(1);
    small.caps = Caps { sessions: 3, half_open: 2, ..Caps::default() };
    world.add(small);
    (2..8).for_each(|n| world.add(config(n)));
    // Their packets are held back: none of the sessions is confirmed.
    world.weather.lost = 1000;
    for n in 2..8 {
        let before = world.tape.len();
        world.connect(n, 1, b"");
        let first = world.tape[before].clone();
        let _ = world.deliver(1, first.from, &first.bytes);
    }
    assert_eq!(world.nodes[1].rejects[&SessionReject::Busy], 4);
    assert_eq!((world.nodes[1].room.half_open(), world.nodes[1].room.len()), (2, 2));
    world.run(11_000);
    assert_eq!((world.nodes[1].room.half_open(), world.nodes[1].room.len()), (0, 0));
    // Those who come after them find room, up to the cap of sessions.
    world.weather.lost = 0;
    world.run(60_000);
    for n in 2..8 {
        world.connect(n, 1, b"");
        world.run(100);
    }
    assert_eq!(world.nodes[1].room.len(), 3);
    let (did, key) = ("jis:node:0", secret(0).public());
    let now = world.now();
    let busy = world.nodes[1].room.connect(now, &Peer::pinned(did, key), Path::to(addr(0)), b"");
    assert_eq!(busy, Err(ConnectError::Busy));
    // One that ends makes room.
    let id = world.session(1, 2).unwrap();
    world.nodes[1].room.close(now, id);
    assert!(world.nodes[1].room.connect(now, &Peer::pinned(did, key), Path::to(addr(0)), b"").is_ok());
}

/// A session is with who answers: the places of handshakes that never go on are those of who comes next.
#[test]
fn strangers_that_begin_and_never_answer_keep_nobody_out() {
    for by_key in [false, true] {
        let mut world = World::new(8, 0);
        world.add(config(0));
        let mut small = config(1);
        small.caps = Caps { half_open: 4, ..Caps::default() };
        world.add(small);
        (2..40).for_each(|n| world.add(config(n)));
        for n in 2..40 {
            // What the strangers send arrives, and nothing that goes to them.
            world.weather.lost = 1000;
            let before = world.tape.len();
            let hub = if by_key { Peer::pinned("jis:node:1", secret(1).public()) } else { Peer::named("jis:node:1") };
            world.connect_to(n, &hub, addr(1), b"");
            let first = world.tape[before].clone();
            let _ = world.deliver(1, first.from, &first.bytes);
            assert!(world.nodes[1].room.half_open() <= 4);
            world.run(300);
        }
        assert_eq!(world.nodes[1].rejects.get(&SessionReject::Busy), None);
        world.weather.lost = 0;
        world.connect(0, 1, b"");
        world.run(200);
        assert!(world.session(0, 1).is_some() && world.session(1, 0).is_some(), "by key: {by_key}");
    }
}

#[test]
fn whoever_forgets_to_drain_loses_no_news_and_fills_no_memory() {
    let mut room = Sessions::new(
        Config { caps: Caps { sessions: 10, outgoing: 5, ..Caps::default() }, ..config(0) },
        &Seed::from_u64(1),
    )
    .unwrap();
    let mut now = Now::new(Instant::ZERO + Duration::from_secs(5), Wall::from_micros(START));
    let mut begun = 0;
    for n in 1..20 {
        let did = format!("jis:node:{n}");
        begun +=
            usize::from(room.connect(now, &Peer::pinned(&did, secret(n).public()), Path::to(addr(1)), b"").is_ok());
    }
    assert_eq!((begun, room.len()), (5, 5));
    for _ in 0..100 {
        now = Now::new(now.mono + Duration::from_secs(1), now.wall);
        room.handle_timeout(now);
    }
    assert!(room.has_events() && room.has_output() && room.len() == 5);
    let downs =
        std::iter::from_fn(|| room.poll_event().map(|event| event.news)).filter(|news| matches!(news, News::Down(_)));
    assert_eq!(downs.count(), 5);
    assert!(room.is_empty());
    // Into too small a buffer nothing is written, and nothing is lost.
    assert!(room.poll_transmit(now, &mut [0; 63]).is_none() && room.has_output());
    assert!(room.poll_transmit(now, &mut [0; 1200]).is_some());
}

#[test]
fn the_callers_mistakes_are_said() {
    let mut bad = config(0);
    bad.caps.half_open = 0;
    assert_eq!(Sessions::new(bad, &Seed::from_u64(1)).unwrap_err(), ConfigError::Cap);
    let mut bad = config(0);
    bad.rekey_after = Duration::from_secs(121);
    assert_eq!(Sessions::new(bad, &Seed::from_u64(1)).unwrap_err(), ConfigError::Rekey);
    let mut room = Sessions::new(config(0), &Seed::from_u64(1)).unwrap();
    let now = Now::new(Instant::ZERO, Wall::from_micros(START));
    let other = secret(1).public();
    let mut connect = |did: &str, key, early: &[u8]| {
        room.connect(now, &Peer { did, key, statics: None }, Path::to(addr(1)), early).map(|connected| connected.early)
    };
    assert!(matches!(connect("", Some(other), b""), Err(ConnectError::Did(_))));
    assert_eq!(connect("jis:node:0", Some(other), b""), Err(ConnectError::Ourselves));
    assert_eq!(connect("jis:node:1", Some(secret(0).public()), b""), Err(ConnectError::Ourselves));
    let most = sluis_core::session::max_early("jis:node:0");
    assert_eq!(connect("jis:node:1", Some(other), &vec![0; most + 1]), Err(ConnectError::TooLong(most)));
    assert_eq!(connect("jis:node:1", Some(other), &vec![0; most]), Ok(true));
    let longest = "x".repeat(256);
    let mut room = Sessions::new(Config::new(Did::new(&longest).unwrap(), secret(0)), &Seed::from_u64(1)).unwrap();
    let early = vec![0; sluis_core::session::max_early(&longest)];
    assert!(room.connect(now, &Peer::pinned(&"y".repeat(256), other), Path::to(addr(1)), &early).is_ok());
    assert!(room.poll_transmit(now, &mut [0; 1200]).is_some());
}

#[test]
fn one_key_has_sessions_under_64_names_at_most() {
    let mut world = World::new(8, 0);
    world.add(config(0));
    for n in 0..70 {
        let mut config = config(1);
        config.did = Did::new(&format!("jis:many:{n}")).unwrap();
        world.add(config);
        world.nodes[1].at = addr(1);
        world.connect(1, 0, b"");
        world.run(50);
        world.nodes.remove(1);
    }
    assert_eq!(world.nodes[0].room.len(), 64);
    assert_eq!(world.nodes[0].rejects[&SessionReject::Busy], 6);
    assert_eq!(world.nodes[0].room.revoke(&secret(1).public()), 64);
}

#[test]
fn an_address_that_has_shown_nothing_gets_three_times_its_bytes_at_most() {
    let mut world = World::new(9, 2);
    world.weather.lost = 1000;
    world.connect(0, 1, b"a question");
    // The first message comes from an address of somebody else, who never asked for anything.
    let (first, victim) = (world.tape[0].bytes.clone(), spoofed_addr(7));
    assert!(world.deliver(1, victim, &first).is_ok());
    let heard = world.nodes[1].heard[0].clone();
    let mut refused = 0;
    for _ in 0..100 {
        refused += usize::from(world.say(1, heard.session, b"an answer") == Err(SealError::Unproven));
        world.run(100);
    }
    assert!(refused >= 90, "{refused}");
    let sent: usize = world.tape.iter().filter(|flight| flight.to == victim).map(|flight| flight.bytes.len()).sum();
    assert!(sent > first.len() && sent <= 3 * first.len(), "{sent} for {}", first.len());
    // The one who asked is not locked out by it.
    world.weather.lost = 0;
    world.run(10_000);
    let id = world.session(1, 0).unwrap();
    for _ in 0..100 {
        world.say(1, id, b"an answer").unwrap();
    }
    world.run(100);
    assert_eq!(world.nodes[0].heard.len(), 100);
}
