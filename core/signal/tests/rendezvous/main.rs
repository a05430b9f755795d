//! Peers over brokers that refuse, lose, repeat, lie, die and come back: they meet, and what is acknowledged was handed over once.

mod by_hand;
mod kept;
mod legacy;
mod streams;

use std::collections::BTreeMap;
use std::sync::Arc;

use sluis_core::time::Duration;
use sluis_core::{Durable as _, Instant, Machine as _, Now, Security, Seed, StoreError, Wall};
use sluis_signal::broker::{End, Order, Settings};
use sluis_signal::envelope::{Content, Kind};
use sluis_signal::key::{PublicKey, SecretKey};
use sluis_signal::rank::{Family, Weight};
use sluis_signal::rendezvous::{Config, Delivered, Event, MessageKey, NotDelivered, Place, Rendezvous, Turned};
use sluis_signal::server::{ConnId, Fault, Faults, Server, ServerLimits};

/// A peer, its streams, and what its application saw.
struct Node {
    machine: Rendezvous,
    streams: Vec<Option<ConnId>>,
    /// Bytes that it did not take yet.
    waiting: Vec<Vec<u8>>,
    messages: Vec<(PublicKey, String)>,
    sent: Vec<(u64, Result<Delivered, NotDelivered>)>,
    answered: Vec<bool>,
    left: usize,
    late: usize,
    confirms: bool,
    unconfirmed: Vec<MessageKey>,
    clock: Vec<i64>,
    /// What it keeps, if it does.
    store: Option<Kept>,
    store_fails: bool,
    /// Nothing that is sent to it reaches it; nothing that it sends reaches anybody.
    deaf: bool,
    mute: bool,
}

type Kept = Box<BTreeMap<Vec<u8>, Vec<u8>>>;

type Configure = Box<dyn Fn(usize, &mut Config)>;

struct World {
    servers: Vec<Server>,
    nodes: Vec<Node>,
    mono: Instant,
    configure: Configure,
    lives: u64,
}

fn secret(n: usize) -> SecretKey {
    SecretKey::generate(&mut Seed::from_u64(n as u64 + 100).fork("key"))
}

fn places(count: usize) -> Vec<Place> {
    let place = |n| Place {
        family: Family::V4,
        host: format!("n{n}.test"),
        port: 1883,
        weight: Weight::ONE,
        security: Security::Plain,
        settings: Settings { rate: 10_000, burst: 1000, ..Settings::default() },
    };
    (0..count).map(place).collect()
}

impl World {
    fn new(servers: usize, nodes: usize) -> Self {
        Self::with(servers, nodes, |_, _| {})
    }

    fn with(servers: usize, nodes: usize, configure: impl Fn(usize, &mut Config) + 'static) -> Self {
        let mono = Instant::ZERO + Duration::from_secs(1000);
        let server = |n| Server::new(ServerLimits::default(), Seed::from_u64(n as u64).fork("server"));
        let servers = (0..servers).map(server).collect();
        let mut world = Self { servers, nodes: Vec::new(), mono, configure: Box::new(configure), lives: 1 };
        for n in 0..nodes {
            let node = world.node(n, 0);
            world.nodes.push(node);
        }
        world
    }

    fn now(&self) -> Now {
        Now::new(
            self.mono,
            Wall::from_micros(1_736_942_400_000_000 + i64::try_from(self.mono.as_nanos() / 1000).unwrap()),
        )
    }

    fn seconds(&self) -> u64 {
        u64::try_from(self.now().wall.as_micros() / 1_000_000).unwrap()
    }

    fn node(&self, n: usize, life: u64) -> Node {
        let mut config = Config::new(secret(n), places(self.servers.len()));
        (self.configure)(n, &mut config);
        self.of(config, n, life)
    }

    /// A node that finds only one of the brokers.
    fn only_at(&self, n: usize, server: usize) -> Node {
        let mut config = Config::new(secret(n), places(self.servers.len()));
        // Nobody else is where it looks first.
        let ours = config.brokers.remove(server);
        config.brokers.insert(server, Place { weight: Weight::from_thousandths(1_000_000_000).unwrap(), ..ours });
        config.join = 1;
        self.of(config, n, 0)
    }

    /// It stops, and begins anew with what it kept.
    fn restart(&mut self, n: usize, change: impl Fn(&mut Config)) {
        for (at, conn) in self.nodes[n].streams.iter().enumerate().filter_map(|(at, conn)| Some((at, (*conn)?))) {
            self.servers[at].client_end(conn);
        }
        let mut config = Config::new(secret(n), places(self.servers.len()));
        (self.configure)(n, &mut config);
        change(&mut config);
        self.lives += 1;
        let mut node = self.of(config, n, self.lives);
        node.store = self.nodes[n].store.take();
        let now = self.now();
        for (key, value) in node.store.iter().flat_map(|kept| kept.iter()) {
            node.machine.restore(now, key, value).unwrap();
        }
        self.nodes[n] = node;
        self.settle();
    }

    fn of(&self, config: Config, n: usize, life: u64) -> Node {
        Node {
            machine: Rendezvous::new(config, &Seed::from_u64(n as u64 * 1000 + life), self.now()),
            streams: vec![None; self.servers.len()],
            waiting: vec![Vec::new(); self.servers.len()],
            messages: Vec::new(),
            sent: Vec::new(),
            answered: Vec::new(),
            left: 0,
            late: 0,
            confirms: true,
            unconfirmed: Vec::new(),
            clock: Vec::new(),
            store: None,
            store_fails: false,
            deaf: false,
            mute: false,
        }
    }

    fn fault(&mut self, server: usize, fault: Fault, thousandths: u16) {
        self.servers[server].set_faults(Faults::default().with(fault, thousandths));
    }

    fn send(&mut self, from: usize, to: usize, text: &str, timeout: u64) -> u64 {
        let (now, to) = (self.now(), secret(to).public());
        self.nodes[from].machine.send(now, &to, Arc::from(text.as_bytes()), true, Duration::from_secs(timeout)).unwrap()
    }

    fn settle(&mut self) {
        let now = self.now();
        for round in 0.. {
            assert!(round < 10_000, "it never settles");
            let mut moves = false;
            for at in 0..self.servers.len() {
                self.servers[at].time_passes(now.mono);
                while let Some(conn) = self.servers[at].poll_close() {
                    for node in self.nodes.iter_mut().filter(|node| node.streams[at] == Some(conn)) {
                        node.streams[at] = None;
                        node.waiting[at].clear();
                        node.machine.broker_end(now, at, End::Ended);
                    }
                }
            }
            for node in &mut self.nodes {
                moves |= node.pump(&mut self.servers, now);
            }
            if !moves {
                return;
            }
        }
    }

    fn pass(&mut self, by: Duration) {
        let end = self.mono + by;
        self.settle();
        while self.mono < end {
            let due = self.nodes.iter().filter_map(|node| node.machine.deadline());
            let next = due.chain(self.servers.iter().filter_map(Server::deadline)).min();
            self.mono = next.map_or(end, |next| next.clamp(self.mono + Duration::from_millis(1), end));
            let now = self.now();
            self.nodes.iter_mut().for_each(|node| node.machine.handle_timeout(now));
            self.settle();
        }
    }
}

impl Node {
    fn pump(&mut self, servers: &mut [Server], now: Now) -> bool {
        let mut moves = false;
        if self.machine.deadline().is_some_and(|at| at <= now.mono) {
            self.machine.handle_timeout(now);
        }
        while let Some((at, order)) = self.machine.broker_order() {
            moves = true;
            match order {
                Order::Dial => {
                    self.streams[at] = servers[at].accept(now.mono);
                    match self.streams[at] {
                        Some(_) => self.machine.broker_up(now, at),
                        None => self.machine.broker_end(now, at, End::Unreachable),
                    }
                }
                Order::Finish => {
                    let mut out = [0; 999];
                    while let (len @ 1.., Some(conn)) =
                        (self.machine.broker_output(now, at, &mut out), self.streams[at])
                    {
                        servers[at].client_bytes(now.mono, conn, &out[..len]);
                    }
                    self.streams[at].take().into_iter().for_each(|conn| servers[at].client_end(conn));
                    self.machine.broker_end(now, at, End::Ended);
                }
                Order::Abort => {
                    self.waiting[at].clear();
                    self.streams[at].take().into_iter().for_each(|conn| servers[at].client_end(conn));
                }
            }
        }
        let mut buffer = [0; 2000];
        for (at, server) in servers.iter_mut().enumerate() {
            let Some(conn) = self.streams[at] else { continue };
            let len = self.machine.broker_output(now, at, &mut buffer);
            if len > 0 {
                moves = true;
                if !self.mute {
                    server.client_bytes(now.mono, conn, &buffer[..len]);
                }
            }
            let len = server.client_output(now.mono, conn, &mut buffer);
            let len = if self.deaf { 0 } else { len };
            self.waiting[at].extend_from_slice(&buffer[..len]);
            let used = self.machine.broker_bytes(now, at, &self.waiting[at]);
            let waiting = &mut self.waiting[at];
            waiting.drain(..used.min(waiting.len()));
            moves |= len > 0 || used > 0;
        }
        moves |= self.keep(now);
        self.events(now) || moves
    }

    /// What it keeps goes to the store, as a driver does that.
    fn keep(&mut self, now: Now) -> bool {
        let Some(store) = &mut self.store else { return false };
        let (mut upto, mut batch) = (None, Vec::new());
        while let Some(op) = self.machine.poll_store() {
            upto = Some(op.seq());
            batch.push((op.key().to_vec(), op.value().map(<[u8]>::to_vec)));
        }
        let Some(upto) = upto else { return false };
        if self.store_fails {
            self.machine.handle_stored(now, upto, Err(StoreError::Full));
            return true;
        }
        for (key, value) in batch {
            match value {
                Some(value) => drop(store.insert(key, value)),
                None => drop(store.remove(&key)),
            }
        }
        self.machine.handle_stored(now, upto, Ok(()));
        true
    }

    fn events(&mut self, now: Now) -> bool {
        let mut any = false;
        while let Some(event) = self.machine.poll_event() {
            any = true;
            match event {
                Event::Message(message) => {
                    self.messages.push((message.key.from(), String::from_utf8(message.body).unwrap()));
                    if self.confirms {
                        assert!(self.machine.confirm(now, &message.key));
                    } else {
                        self.unconfirmed.push(message.key);
                    }
                }
                Event::Sent { number, outcome, .. } => self.sent.push((number, outcome)),
                Event::Answered { sealed, .. } => self.answered.push(sealed),
                Event::Left { .. } => self.left += 1,
                Event::Late { .. } => self.late += 1,
                Event::Clock { ahead } => self.clock.push(ahead),
                _ => {}
            }
        }
        any
    }

    fn texts(&self) -> Vec<&str> {
        self.messages.iter().map(|(_, text)| text.as_str()).collect()
    }

    fn delivered(&self) -> usize {
        self.sent.iter().filter(|(_, outcome)| outcome.is_ok()).count()
    }
}

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

/// A thousand strangers say hello in a minute: they are answered within the budget, and a known peer is heard all the same.
#[test]
fn strangers_do_not_keep_known_peers_out() {
    let mut world = World::new(1, 2);
    world.send(0, 1, "we know each other", 10);
    world.settle();
    let now = world.now();
    let conn = world.servers[0].accept(now.mono).unwrap();
    let mut wire = vec![0; 1000];
    let connect = sluis_signal::mqtt::Connect {
        client_id: "flood",
        clean: true,
        keep_alive: 0,
        user: None,
        password: None,
        will: None,
    };
    let len = sluis_signal::mqtt::encode::connect(&connect, &mut wire).unwrap();
    world.servers[0].client_bytes(now.mono, conn, &wire[..len]);
    let bob = secret(1).public();
    let topic = bob.to_string();
    for n in 0..300 {
        let stranger = secret(10_000 + n);
        let stamp = u64::try_from(world.now().wall.as_micros() / 1_000_000).unwrap();
        let content = Content { queue: [1; 32], seq: 0, timestamp: stamp, kind: Kind::Probe as u8, body: b"" };
        let mut envelope = [0; 200];
        let len = content.sign(&stranger, &mut envelope).unwrap();
        let publish = sluis_signal::mqtt::Publish {
            topic: &topic,
            payload: &envelope[..len],
            id: None,
            retain: false,
            duplicate: false,
        };
        let len = sluis_signal::mqtt::encode::publish(&publish, &mut wire).unwrap();
        world.servers[0].client_bytes(world.mono, conn, &wire[..len]);
    }
    world.settle();
    assert!(world.nodes[1].machine.turned(Turned::Budget) >= 250, "{}", world.nodes[1].machine.turned(Turned::Budget));
    world.send(0, 1, "still heard", 10);
    world.settle();
    assert_eq!(world.nodes[1].texts(), ["we know each other", "still heard"]);
}

#[test]
fn what_is_plain_old_or_forged_is_turned_away_and_counted() {
    let mut world = World::new(1, 2);
    world.settle();
    let stamp = u64::try_from(world.now().wall.as_micros() / 1_000_000).unwrap();
    let (alice, bob) = (secret(0), secret(1).public());
    let post = |world: &mut World, content: &Content<'_>, touch: bool| {
        let mut envelope = vec![0; content.envelope_len()];
        content.sign(&alice, &mut envelope).unwrap();
        if touch {
            envelope[40] ^= 1;
        }
        let conn = world.servers[0].accept(world.mono).unwrap();
        let mut wire = vec![0; 1000];
        let connect = sluis_signal::mqtt::Connect {
            client_id: "by hand",
            clean: true,
            keep_alive: 0,
            user: None,
            password: None,
            will: None,
        };
        let len = sluis_signal::mqtt::encode::connect(&connect, &mut wire).unwrap();
        world.servers[0].client_bytes(world.mono, conn, &wire[..len]);
        let topic = bob.to_string();
        let publish = sluis_signal::mqtt::Publish {
            topic: &topic,
            payload: &envelope,
            id: None,
            retain: false,
            duplicate: false,
        };
        let len = sluis_signal::mqtt::encode::publish(&publish, &mut wire).unwrap();
        world.servers[0].client_bytes(world.mono, conn, &wire[..len]);
        world.settle();
        world.servers[0].client_end(conn);
    };
    let plain = Content { queue: [1; 32], seq: 0, timestamp: stamp, kind: Kind::Message as u8, body: b"in the clear" };
    post(&mut world, &plain, false);
    post(&mut world, &Content { timestamp: stamp - 121, ..plain }, false);
    post(&mut world, &Content { timestamp: stamp + 121, ..plain }, false);
    post(&mut world, &Content { kind: Kind::Probe as u8, ..plain }, true);
    post(&mut world, &Content { kind: Kind::Ack as u8, body: b"ack", ..plain }, false);
    let turned = |why| world.nodes[1].machine.turned(why);
    assert_eq!(
        (turned(Turned::Plain), turned(Turned::Time), turned(Turned::Unverified), turned(Turned::Unasked)),
        (1, 2, 1, 1)
    );
    assert_eq!(world.nodes[1].messages.len(), 0);
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
