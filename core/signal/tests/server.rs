//! The small broker: as a broker should be, and with every fault against the machine of a client.

mod common;

use std::sync::Arc;

use common::key;
use proptest::prelude::*;
use sluis_core::time::Duration;
use sluis_core::{Instant, Seed};
use sluis_signal::broker::{Broker, End, Event, Left, Order, Settings};
use sluis_signal::mqtt::{Connect, MAX_PACKET, Packet, Publish, Qos, decode, encode};
use sluis_signal::server::{ConnId, Fault, Faults, Server, ServerLimits};

/// A server, two machines that want to be joined to it, and the time.
struct World {
    server: Server,
    now: Instant,
    clients: Vec<Client>,
}

struct Client {
    broker: Broker,
    conn: Option<ConnId>,
    joined: u32,
    left: Vec<Left>,
    heard: Vec<String>,
    taken: Vec<u64>,
}

impl World {
    fn new(names: &[&str], faults: Faults) -> Self {
        let now = Instant::ZERO + Duration::from_secs(1000);
        let mut server = Server::new(ServerLimits::default(), Seed::from_u64(1).fork("server"));
        server.set_faults(faults);
        let clients = names.iter().map(|name| {
            let rng = Seed::from_u64(2).fork(name);
            let broker = Broker::new(Settings::default(), &key(name).public(), rng, now, Duration::ZERO);
            Client { broker, conn: None, joined: 0, left: Vec::new(), heard: Vec::new(), taken: Vec::new() }
        });
        Self { clients: clients.collect(), server, now }
    }

    /// Carry bytes until nothing moves.
    fn settle(&mut self) {
        let Self { server, now, clients } = self;
        let now = *now;
        let mut moves = true;
        while moves {
            moves = false;
            server.time_passes(now);
            while let Some(conn) = server.poll_close() {
                for client in clients.iter_mut().filter(|client| client.conn == Some(conn)) {
                    client.conn = None;
                    client.left.extend(client.broker.handle_end(now, End::Ended));
                }
            }
            for client in &mut *clients {
                moves |= client.pump(server, now);
            }
        }
    }

    /// Let time pass, with all that is due on the way.
    fn pass(&mut self, by: Duration) {
        let end = self.now + by;
        self.settle();
        while self.now < end {
            let next =
                self.clients.iter().filter_map(|client| client.broker.deadline()).chain(self.server.deadline()).min();
            self.now = next.map_or(end, |next| next.clamp(self.now + Duration::from_millis(1), end));
            self.settle();
        }
    }

    fn publish(&mut self, from: usize, to: &str, payload: &str, ticket: u64) {
        // Who was just thrown out cannot.
        let _ = self.clients[from].broker.publish(&key(to).public(), Arc::from(payload.as_bytes()), ticket);
    }
}

impl Client {
    fn pump(&mut self, server: &mut Server, now: Instant) -> bool {
        let mut moves = false;
        if self.broker.deadline().is_some_and(|at| at <= now) {
            self.left.extend(self.broker.handle_timeout(now));
        }
        while let Some(order) = self.broker.poll_order() {
            moves = true;
            match order {
                Order::Dial => {
                    self.conn = server.accept(now);
                    match self.conn {
                        Some(_) => self.broker.handle_up(now),
                        None => self.left.extend(self.broker.handle_end(now, End::Unreachable)),
                    }
                }
                Order::Abort | Order::Finish => self.conn.take().into_iter().for_each(|conn| server.client_end(conn)),
            }
        }
        let Some(conn) = self.conn else { return moves };
        let mut buffer = [0; 999];
        let len = self.broker.poll_bytes(now, &mut buffer);
        if len > 0 {
            moves = true;
            server.client_bytes(now, conn, &buffer[..len]);
        }
        let len = server.client_output(now, conn, &mut buffer);
        let mut rest = &buffer[..len];
        while !rest.is_empty() {
            moves = true;
            match self.broker.handle_bytes(now, rest) {
                Ok((taken, event)) => {
                    rest = &rest[taken..];
                    match event {
                        Some(Event::Joined(_)) => self.joined += 1,
                        Some(Event::Message(payload)) => self.heard.push(String::from_utf8_lossy(payload).into_owned()),
                        Some(Event::Taken { ticket }) => self.taken.push(ticket),
                        None => {}
                    }
                }
                Err(why) => {
                    self.left.push(why);
                    return true;
                }
            }
        }
        moves
    }
}

fn with(fault: Fault, thousandths: u16) -> Faults {
    Faults::default().with(fault, thousandths)
}

#[test]
fn messages_pass_to_whom_they_are_for() {
    let mut world = World::new(&["alice", "bob", "carol"], Faults::default());
    world.settle();
    assert!(world.clients.iter().all(|client| client.joined == 1));
    for n in 0..40 {
        world.publish(0, "bob", &format!("{n}"), n);
    }
    world.publish(1, "alice", "back", 77);
    world.settle();
    let expected: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    assert_eq!((&world.clients[1].heard, &world.clients[0].heard[..]), (&expected, &["back".to_owned()][..]));
    assert_eq!((world.clients[0].taken.len(), world.clients[2].heard.len()), (40, 0));
    // An hour of silence ends nothing.
    world.pass(Duration::from_secs(3600));
    assert!(
        world.clients.iter().all(|client| client.joined == 1 && client.left.is_empty() && client.broker.is_joined())
    );
    assert_eq!((world.server.connections(), world.server.counts().dropped), (3, 0));
}

/// What the machine of a client makes of each fault.
#[test]
fn every_fault_is_found_out_or_does_no_harm() {
    for fault in Fault::ALL {
        assert_eq!(Fault::by_name(fault.name()), Some(fault));
        let mut world = World::new(&["alice", "bob"], with(fault, 1000));
        world.pass(Duration::from_secs(8));
        let left = world.clients[0].left.first().copied();
        let joins = !matches!(
            fault,
            Fault::Refuse | Fault::Mute | Fault::NoSuback | Fault::SubackFail | Fault::Freeze | Fault::Die
        );
        assert_eq!(world.clients[0].joined > 0, joins, "{fault:?}");
        if !joins {
            let expected = match fault {
                Fault::Refuse => Left::Refused(5),
                Fault::NoSuback => Left::NoSubAck,
                Fault::SubackFail => Left::SubscriptionRefused(0x80),
                Fault::Die => Left::Unreachable,
                _ => Left::NoConnAck,
            };
            assert_eq!(left, Some(expected), "{fault:?}");
            // It gets well, and so do we.
            world.server.set_faults(Faults::default());
            world.pass(Duration::from_secs(61));
            assert!(world.clients.iter().all(|client| client.broker.is_joined()), "{fault:?}");
            continue;
        }
        for n in 0..30 {
            world.publish(0, "bob", &format!("m{n}"), n);
            world.pass(Duration::from_millis(1));
        }
        world.pass(Duration::from_secs(4));
        let (heard, taken) = (&world.clients[1].heard, world.clients[0].taken.len());
        match fault {
            Fault::Lose | Fault::PubackWithoutDelivery => assert_eq!((heard.len(), taken), (0, 30), "{fault:?}"),
            Fault::Duplicate => assert_eq!((heard.len(), taken), (60, 30)),
            Fault::Replay => assert!(heard.len() > 50 && taken == 30),
            Fault::Reorder | Fault::Slow => assert_eq!((heard.len(), taken), (30, 30), "{fault:?}"),
            // Alice hears what is for Bob, and her own.
            Fault::CrossTopics => assert_eq!((world.clients[0].heard.len(), heard.len()), (30, 30)),
            Fault::Garbage => assert!(
                world.clients[1].left.iter().all(|why| matches!(why, Left::Malformed(_)))
                    && !world.clients[1].left.is_empty()
            ),
            Fault::Limit => assert_eq!(left.or(world.clients[0].left.first().copied()), Some(Left::Ended)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_server_that_freezes_or_dies_under_us_is_left_and_joined_again() {
    for (fault, why) in [(Fault::Freeze, Left::Silent), (Fault::Die, Left::Ended)] {
        let mut world = World::new(&["alice"], Faults::default());
        world.pass(Duration::from_secs(60));
        world.server.set_faults(with(fault, 1000));
        world.pass(Duration::from_secs(25));
        assert_eq!(
            (world.clients[0].left.first(), world.clients[0].broker.is_joined()),
            (Some(&why), false),
            "{fault:?}"
        );
        world.server.set_faults(Faults::default());
        world.pass(Duration::from_secs(61));
        assert_eq!((world.clients[0].broker.is_joined(), world.clients[0].joined), (true, 2), "{fault:?}");
    }
}

/// A client by hand.
fn raw(server: &mut Server, now: Instant, name: &str) -> ConnId {
    let conn = server.accept(now).unwrap();
    let connect = Connect { client_id: name, clean: true, keep_alive: 10, user: None, password: None, will: None };
    let mut out = [0; 100];
    let len = encode::connect(&connect, &mut out).unwrap();
    server.client_bytes(now, conn, &out[..len]);
    conn
}

#[test]
fn clients_that_break_the_rules_are_dropped() {
    let now = Instant::ZERO;
    let mut server =
        Server::new(ServerLimits { connections: 2, ..ServerLimits::default() }, Seed::from_u64(1).fork("x"));
    let first = raw(&mut server, now, "one");
    let second = raw(&mut server, now, "two");
    assert_eq!(server.accept(now), None);
    // The same name again: the older ends.
    server.client_end(second);
    let again = raw(&mut server, now, "one");
    assert_eq!((server.poll_close(), server.poll_close()), (Some(first), None));
    // A second CONNECT, a packet before it, garbage, DISCONNECT, silence.
    server.client_bytes(now, again, &[0xf0]);
    assert_eq!(server.poll_close(), Some(again));
    let early = server.accept(now).unwrap();
    server.client_bytes(now, early, &[0xc0, 0]);
    assert_eq!(server.poll_close(), Some(early));
    let silent = server.accept(now).unwrap();
    let polite = raw(&mut server, now, "polite");
    let dropped = server.counts().dropped;
    server.client_bytes(now, polite, &[0xe0, 0]);
    assert_eq!((server.poll_close(), server.counts().dropped), (Some(polite), dropped));
    server.time_passes(now + Duration::from_secs(10));
    assert_eq!(server.poll_close(), Some(silent));
    let kept = raw(&mut server, now, "kept");
    server.time_passes(now + Duration::from_millis(14_999));
    assert_eq!(server.poll_close(), None);
    server.time_passes(now + Duration::from_secs(15));
    assert_eq!(server.poll_close(), Some(kept));
}

/// One who asks and never reads is not fed without end, and costs the others nothing.
#[test]
fn a_client_that_reads_nothing_is_dropped() {
    let now = Instant::ZERO;
    let mut server =
        Server::new(ServerLimits { queue: 10_000, ..ServerLimits::default() }, Seed::from_u64(1).fork("x"));
    let deaf = raw(&mut server, now, "deaf");
    let mut out = [0; 200];
    let len = encode::subscribe(1, &[("#", Qos::AtLeastOnce)], &mut out).unwrap();
    server.client_bytes(now, deaf, &out[..len]);
    let loud = raw(&mut server, now, "loud");
    for _ in 0..1000 {
        let publish = Publish { topic: "t", payload: &[1; 100], id: None, retain: false, duplicate: false };
        let len = encode::publish(&publish, &mut out).unwrap();
        server.client_bytes(now, loud, &out[..len]);
    }
    assert!(server.counts().delivered < 100 && server.counts().lost > 900, "{:?}", server.counts());
    for _ in 0..100_000 {
        server.client_bytes(now, deaf, &[0xc0, 0]);
    }
    assert_eq!((server.poll_close(), server.connections()), (Some(deaf), 1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever clients send, the server lives, and what it sends is MQTT.
    #[test]
    fn hostile_clients_get_nowhere(steps in proptest::collection::vec((0..6_u8, 0..4_usize, proptest::collection::vec(any::<u8>(), 0..40)), 0..100)) {
        let mut now = Instant::ZERO;
        let mut server = Server::new(ServerLimits { connections: 4, queue: 2000, ..ServerLimits::default() }, Seed::from_u64(1).fork("x"));
        let mut conns: Vec<ConnId> = Vec::new();
        for (what, which, bytes) in steps {
            now = now + Duration::from_millis(200);
            let conn = conns.get(which).copied();
            match (what, conn) {
                (0, _) => conns.extend(server.accept(now)),
                (1, _) if server.connections() < 4 => conns.push(raw(&mut server, now, &format!("c{which}"))),
                (2, Some(conn)) => server.client_bytes(now, conn, &bytes),
                (3, Some(conn)) => {
                    let mut out = [0; 100];
                    let len = encode::subscribe(1, &[("a/+", Qos::AtLeastOnce)], &mut out).unwrap();
                    server.client_bytes(now, conn, &out[..len]);
                }
                (4, Some(conn)) => {
                    let publish = Publish { topic: "a/b", payload: &bytes, id: Some(7), retain: false, duplicate: false };
                    let mut out = [0; 100];
                    let len = encode::publish(&publish, &mut out).unwrap();
                    server.client_bytes(now, conn, &out[..len]);
                }
                (_, Some(conn)) => {
                    let mut out = vec![0; 4000];
                    let len = server.client_output(now, conn, &mut out);
                    let mut rest = &out[..len];
                    while let Some((packet, taken)) = decode(rest, MAX_PACKET).unwrap() {
                        prop_assert!(!matches!(packet, Packet::Connect(_)));
                        rest = &rest[taken..];
                    }
                }
                _ => {}
            }
            server.time_passes(now);
            while let Some(closed) = server.poll_close() {
                conns.retain(|conn| *conn != closed);
            }
            prop_assert!(server.connections() <= 4);
        }
    }
}
