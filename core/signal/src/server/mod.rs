//! A small MQTT 3.1.1 broker as a machine: for tests, simulations, demos and a LAN. It may be told to [misbehave](Fault).
//!
//! Quality 0 and 1, wildcards, clean sessions; nothing is retained and nothing survives a connection. Everything is bounded; a client that
//! does not read what it is sent loses it, one that breaks the protocol or is silent for too long is dropped.

mod client;
mod fault;
mod streams;

pub use fault::{Fault, Faults};

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use sluis_core::time::Duration;
use sluis_core::{Instant, Rng};

use self::client::{Client, Deed, Delivery};
use crate::mqtt::{MAX_PACKET, Packet};

/// A connection to the server. It is never used for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(u64);

impl ConnId {
    /// As one number.
    const fn number(self) -> u64 {
        self.0
    }
}

/// What a server holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections.
    pub connections: usize,
    /// Topic filters of a connection.
    pub filters: usize,
    /// Bytes that wait to be written to a connection; more are lost.
    pub queue: usize,
    /// The longest packet that is taken, in bytes.
    pub max_packet: usize,
    /// How long a connection may take to say CONNECT.
    pub patience: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 1024,
            filters: 32,
            queue: 512 * 1024,
            max_packet: MAX_PACKET,
            patience: Duration::from_secs(10),
        }
    }
}

/// How often what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ServerCounts {
    /// Messages that clients published.
    pub published: u64,
    /// Messages that were put to a client's queue.
    pub delivered: u64,
    /// Messages that were lost: by a fault, or because a queue was full.
    pub lost: u64,
    /// Clients that were dropped because of what they did.
    pub dropped: u64,
}

/// A small broker.
#[derive(Debug)]
pub struct Server {
    limits: ServerLimits,
    faults: Faults,
    rng: Rng,
    next: u64,
    clients: Vec<Client>,
    closing: Vec<ConnId>,
    counts: ServerCounts,
    /// What passed lately, for the fault that plays it again.
    past: Vec<Delivery>,
    /// Connections whose driver was asked to write, and has not come to the end.
    writes: BTreeSet<ConnId>,
    /// When it was called last.
    called: Instant,
}

impl Server {
    /// A server that behaves, until it is [told otherwise](Self::set_faults).
    #[must_use]
    pub fn new(limits: ServerLimits, rng: Rng) -> Self {
        Self {
            limits,
            faults: Faults::default(),
            rng,
            next: 0,
            clients: Vec::new(),
            closing: Vec::new(),
            counts: ServerCounts::default(),
            past: Vec::new(),
            writes: BTreeSet::new(),
            called: Instant::ZERO,
        }
    }

    /// Misbehave so from now on.
    pub const fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// How often what happened.
    #[must_use]
    pub const fn counts(&self) -> ServerCounts {
        self.counts
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.clients.len()
    }

    /// A stream is up; `None` when it is to be refused: there are too many, or the server is dead.
    pub fn accept(&mut self, now: Instant) -> Option<ConnId> {
        if self.clients.len() >= self.limits.connections || self.faults.has(Fault::Die) {
            return None;
        }
        let id = ConnId(self.next);
        self.next += 1;
        self.clients.push(Client::new(id, now, &self.limits));
        Some(id)
    }

    /// Bytes came on a connection.
    pub fn client_bytes(&mut self, now: Instant, conn: ConnId, mut bytes: &[u8]) {
        // A client reads its own packets; what they mean to others is done when it is put back.
        let (frozen, max) = (self.faults.has(Fault::Freeze), self.limits.max_packet);
        let Some(client) = self.client(conn).filter(|_| !frozen) else { return };
        let mut reader = client.take_reader(max);
        while !bytes.is_empty() {
            match reader.read(bytes) {
                Ok((Some(packet), taken)) => {
                    bytes = bytes.get(taken..).unwrap_or_default();
                    if !self.packet(now, conn, packet) {
                        return;
                    }
                }
                Ok((None, _)) => break,
                Err(_) => return self.drop_client(conn),
            }
        }
        if let Some(client) = self.client(conn) {
            client.put_reader(reader);
        }
    }

    /// A stream is no more.
    pub fn client_end(&mut self, conn: ConnId) {
        self.writes.remove(&conn);
        self.clients.retain(|client| client.id != conn);
    }

    /// Time has passed.
    pub fn time_passes(&mut self, now: Instant) {
        if self.faults.has(Fault::Freeze) {
            return;
        }
        let over: Vec<ConnId> =
            self.clients.iter().filter(|client| client.is_over(now)).map(|client| client.id).collect();
        over.into_iter().for_each(|conn| self.drop_client(conn));
        if self.faults.has(Fault::Die) {
            let all: Vec<ConnId> = self.clients.iter().map(|client| client.id).collect();
            all.into_iter().for_each(|conn| self.drop_client(conn));
        }
    }

    /// When [`time_passes`](Self::time_passes) or [`client_output`](Self::client_output) has something to do next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.clients.iter().filter(|_| !self.faults.has(Fault::Freeze)).filter_map(Client::deadline).min()
    }

    /// The next stream to be dropped.
    pub fn poll_close(&mut self) -> Option<ConnId> {
        self.closing.pop()
    }

    /// Write what is to be sent on a connection to the start of `out`; 0: nothing for now.
    pub fn client_output(&mut self, now: Instant, conn: ConnId, out: &mut [u8]) -> usize {
        if self.faults.has(Fault::Freeze) {
            return 0;
        }
        self.client(conn).map_or(0, |client| client.write(now, out))
    }

    /// Whether something may be written on a connection now.
    fn wants_write(&self, now: Instant, client: &Client) -> bool {
        !self.faults.has(Fault::Freeze) && client.may_write(now) && !self.writes.contains(&client.id)
    }

    fn client(&mut self, conn: ConnId) -> Option<&mut Client> {
        self.clients.iter_mut().find(|client| client.id == conn)
    }

    fn drop_client(&mut self, conn: ConnId) {
        if self.end_client(conn) {
            self.counts.dropped += 1;
        }
    }

    /// End a connection; whether there was one.
    fn end_client(&mut self, conn: ConnId) -> bool {
        let before = self.clients.len();
        self.clients.retain(|client| client.id != conn);
        let was_there = self.clients.len() < before;
        if was_there {
            self.writes.remove(&conn);
            self.closing.push(conn);
        }
        was_there
    }

    /// Do what a packet asks for. `false`: the connection is no more.
    fn packet(&mut self, now: Instant, conn: ConnId, packet: Packet<'_>) -> bool {
        let (faults, most) = (self.faults, self.limits.filters);
        let Some(client) = self.client(conn) else { return false };
        match client.packet(now, packet, &faults, most) {
            Deed::Nothing => true,
            Deed::Drop => {
                self.drop_client(conn);
                false
            }
            Deed::Leave => {
                self.end_client(conn);
                false
            }
            Deed::Connected(name) => {
                // Of two connections of one client the older ends (3.1.4-2).
                let older = |client: &&Client| client.id != conn && client.name() == name;
                if let Some(old) = self.clients.iter().find(older).map(|client| client.id) {
                    self.drop_client(old);
                }
                true
            }
            Deed::Publish(delivery) => {
                self.counts.published += 1;
                if self.faults.has(Fault::Limit) && self.client(conn).is_some_and(|client| client.is_too_fast(now)) {
                    self.drop_client(conn);
                    return false;
                }
                self.publish(now, &delivery);
                true
            }
        }
    }

    /// Put a message to everybody who listens, as far as the faults let it.
    fn publish(&mut self, now: Instant, delivery: &Delivery) {
        let Self { faults, rng, .. } = self;
        if faults.has(Fault::PubackWithoutDelivery) || faults.strikes(Fault::Lose, rng) {
            self.counts.lost += 1;
            return;
        }
        let copies = if faults.strikes(Fault::Duplicate, rng) { 2 } else { 1 };
        let cross = faults.strikes(Fault::CrossTopics, rng);
        let again = faults.strikes(Fault::Replay, rng).then(|| pick(rng, &self.past)).flatten();
        for _ in 0..copies {
            self.fan_out(now, delivery, cross);
        }
        if let Some(again) = again {
            self.fan_out(now, &again, false);
        }
        if self.faults.has(Fault::Replay) {
            if self.past.len() >= 64 {
                self.past.remove(0);
            }
            self.past.push(delivery.clone());
        }
    }

    fn fan_out(&mut self, now: Instant, delivery: &Delivery, cross: bool) {
        let Self { faults, rng, clients, counts, .. } = self;
        for client in clients {
            let Some(qos) = client.wants(&delivery.topic).or_else(|| cross.then(|| client.any_qos()).flatten()) else {
                continue;
            };
            let at = if faults.has(Fault::Slow) { now + faults.slowness() } else { now };
            let early = faults.strikes(Fault::Reorder, rng);
            let garbage = faults.strikes(Fault::Garbage, rng);
            // To another's topic what was meant for his: as if it were for this one.
            let topic = if cross {
                client.any_topic().unwrap_or_else(|| delivery.topic.clone())
            } else {
                delivery.topic.clone()
            };
            let put = client.put(at, &Delivery { topic, payload: delivery.payload.clone() }, qos, early, garbage);
            if put {
                counts.delivered += 1;
            } else {
                counts.lost += 1;
            }
        }
    }
}

fn pick(rng: &mut Rng, past: &[Delivery]) -> Option<Delivery> {
    let len = u64::try_from(past.len()).ok().filter(|len| *len > 0)?;
    usize::try_from(rng.u64() % len).ok().and_then(|at| past.get(at)).cloned()
}
