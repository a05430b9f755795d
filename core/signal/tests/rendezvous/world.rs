//! Peers and brokers in one process, on a clock of their own: what every test here plays with.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluis_core::time::Duration;
use sluis_core::{Durable as _, Instant, Machine as _, Now, Security, Seed, StoreError, Wall};
use sluis_signal::broker::{End, Order, Settings};
use sluis_signal::key::{PublicKey, SecretKey};
use sluis_signal::rank::{Family, Weight};
use sluis_signal::rendezvous::{Config, Delivered, Event, MessageKey, NotDelivered, PeerName, Place, Rendezvous};
use sluis_signal::server::{ConnId, Fault, Faults, Server, ServerLimits};

/// A peer, its streams, and what its application saw.
pub(crate) struct Node {
    pub(crate) machine: Rendezvous,
    pub(crate) streams: Vec<Option<ConnId>>,
    /// Bytes that it did not take yet.
    pub(crate) waiting: Vec<Vec<u8>>,
    pub(crate) messages: Vec<(PublicKey, String)>,
    /// Who their senders have proven to be.
    pub(crate) names: Vec<Option<PeerName>>,
    pub(crate) sent: Vec<(u64, Result<Delivered, NotDelivered>)>,
    pub(crate) answered: Vec<bool>,
    pub(crate) left: usize,
    pub(crate) late: usize,
    pub(crate) confirms: bool,
    pub(crate) unconfirmed: Vec<MessageKey>,
    pub(crate) clock: Vec<i64>,
    /// What it keeps, if it does.
    pub(crate) store: Option<Kept>,
    pub(crate) store_fails: bool,
    /// Nothing that is sent to it reaches it; nothing that it sends reaches anybody.
    pub(crate) deaf: bool,
    pub(crate) mute: bool,
}

pub(crate) type Kept = Box<BTreeMap<Vec<u8>, Vec<u8>>>;

pub(crate) type Configure = Box<dyn Fn(usize, &mut Config)>;

pub(crate) struct World {
    pub(crate) servers: Vec<Server>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) mono: Instant,
    pub(crate) configure: Configure,
    pub(crate) lives: u64,
}

pub(crate) fn secret(n: usize) -> SecretKey {
    SecretKey::generate(&mut Seed::from_u64(n as u64 + 100).fork("key"))
}

pub(crate) fn places(count: usize) -> Vec<Place> {
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
    pub(crate) fn new(servers: usize, nodes: usize) -> Self {
        Self::with(servers, nodes, |_, _| {})
    }

    pub(crate) fn with(servers: usize, nodes: usize, configure: impl Fn(usize, &mut Config) + 'static) -> Self {
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

    pub(crate) fn now(&self) -> Now {
        Now::new(
            self.mono,
            Wall::from_micros(1_736_942_400_000_000 + i64::try_from(self.mono.as_nanos() / 1000).unwrap()),
        )
    }

    pub(crate) fn seconds(&self) -> u64 {
        u64::try_from(self.now().wall.as_micros() / 1_000_000).unwrap()
    }

    pub(crate) fn node(&self, n: usize, life: u64) -> Node {
        let mut config = Config::new(secret(n), places(self.servers.len()));
        (self.configure)(n, &mut config);
        self.of(config, n, life)
    }

    /// A node that finds only one of the brokers.
    pub(crate) fn only_at(&self, n: usize, server: usize) -> Node {
        let mut config = Config::new(secret(n), places(self.servers.len()));
        // Nobody else is where it looks first.
        let ours = config.brokers.remove(server);
        config.brokers.insert(server, Place { weight: Weight::from_thousandths(1_000_000_000).unwrap(), ..ours });
        config.join = 1;
        self.of(config, n, 0)
    }

    /// It stops, and begins anew with what it kept.
    pub(crate) fn restart(&mut self, n: usize, change: impl Fn(&mut Config)) {
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

    pub(crate) fn of(&self, config: Config, n: usize, life: u64) -> Node {
        Node {
            machine: Rendezvous::new(config, &Seed::from_u64(n as u64 * 1000 + life), self.now()),
            streams: vec![None; self.servers.len()],
            waiting: vec![Vec::new(); self.servers.len()],
            messages: Vec::new(),
            names: Vec::new(),
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

    pub(crate) fn fault(&mut self, server: usize, fault: Fault, thousandths: u16) {
        self.servers[server].set_faults(Faults::default().with(fault, thousandths));
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, text: &str, timeout: u64) -> u64 {
        let (now, to) = (self.now(), secret(to).public());
        self.nodes[from].machine.send(now, &to, Arc::from(text.as_bytes()), true, Duration::from_secs(timeout)).unwrap()
    }

    pub(crate) fn settle(&mut self) {
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

    pub(crate) fn pass(&mut self, by: Duration) {
        let end = self.mono + by;
        self.settle();
        while self.mono < end {
            let due = self.nodes.iter().filter_map(|node| node.machine.deadline());
            let next = due.chain(self.servers.iter().filter_map(Server::deadline)).min();
            self.mono = next.map_or(end, |next| next.max(self.mono + Duration::from_millis(1)).min(end));
            let now = self.now();
            self.nodes.iter_mut().for_each(|node| node.machine.handle_timeout(now));
            self.settle();
        }
    }
}

impl Node {
    pub(crate) fn pump(&mut self, servers: &mut [Server], now: Now) -> bool {
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
    pub(crate) fn keep(&mut self, now: Now) -> bool {
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

    pub(crate) fn events(&mut self, now: Now) -> bool {
        let mut any = false;
        while let Some(event) = self.machine.poll_event() {
            any = true;
            match event {
                Event::Message(message) => {
                    self.names.push(message.name);
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

    pub(crate) fn texts(&self) -> Vec<&str> {
        self.messages.iter().map(|(_, text)| text.as_str()).collect()
    }

    pub(crate) fn delivered(&self) -> usize {
        self.sent.iter().filter(|(_, outcome)| outcome.is_ok()).count()
    }
}
