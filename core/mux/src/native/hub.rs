//! The hub of native connections: it lets agents in, and joins the streams of their channels.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use sluis_core::table::{Heap, Slab, SlotId};
use sluis_core::{Conn, End, Instant, Machine, Now, Order, Reason, Reject, Rng, Seed, Streams, Up, Wants};

use super::greeting::{GREETING_TIME, Greeting};
use super::local::{LocalEvent, Locals};
use super::orders::{Kind, Orders};
use super::relay::Relays;
use super::taps::Taps;
use crate::access::Access;
use crate::agent::normalise;
use crate::channel::record::Reader;
use crate::intents::{Intents, RegisterError};
use crate::news::{self, News, Via};
use crate::session::{self, Event as StreamEvent, Read, Session, StreamId};

/// Settings of a [`Hub`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HubConfig {
    /// Its own name.
    pub agent: Box<str>,
    /// Who may come in.
    pub access: Access,
    /// Connections at a time.
    pub max_connections: usize,
    /// Channels that one connection may have, both ends counted.
    pub max_channels: usize,
    /// Channels at a time.
    pub max_all_channels: usize,
    /// Signatures of clients are not bound to the TLS connection, because a proxy in front of the hub ends that.
    pub behind_proxy: bool,
    /// Intents of which the hub itself takes channels that are opened to its name: those of [`Hub::handle_own_up`].
    pub services: BTreeSet<Box<str>>,
    /// Channels of these that one agent may have.
    pub max_served: usize,
    /// Who comes, and which channels between native agents are opened and closed, is told; see [`Hub::poll_news`].
    pub tells: bool,
    /// What the ends of channels sign for is told, too: everything that passes is hashed for it.
    pub witnesses: bool,
    /// Settings of each connection's streams.
    pub session: session::Config,
}

impl HubConfig {
    /// The defaults, for a hub of this name that lets nobody in.
    #[must_use]
    pub fn new(agent: &str) -> Self {
        Self {
            agent: normalise(agent).into(),
            access: Access::default(),
            max_connections: 16_384,
            max_channels: 4096,
            max_all_channels: 131_072,
            behind_proxy: false,
            services: BTreeSet::new(),
            max_served: 512,
            tells: false,
            witnesses: false,
            session: session::Config::default(),
        }
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Connections that came in.
    pub connections: u64,
    /// Of these, those that did not say who they are in time, or not so that it is believed.
    pub unauthorised: u64,
    /// Channels that were opened.
    pub opened: u64,
    /// Of these, those from one native agent to another; the others are a switchboard's, too.
    pub joined: u64,
    /// Channels that went on after a connection was lost.
    pub resumed: u64,
    /// Channels that were refused.
    pub refused: u64,
    /// Connections that ended because of what came.
    pub breaches: u64,
    /// Times that a channel waited for its budget.
    pub throttled: u64,
    /// Bytes that were passed on.
    pub bytes: u64,
}

/// What a stream of a connection is to the hub.
#[derive(Debug)]
pub(super) enum Leg {
    /// Its first record has not come.
    First(Box<Reader>),
    /// One of the two streams of a channel.
    Relay(SlotId, usize),
    /// That of a channel that ends here.
    Here(SlotId),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) session: Session,
    pub(super) nonce: [u8; 32],
    pub(super) exporter: [u8; 32],
    pub(super) greeting: Greeting,
    /// Where it comes from, and what it is carried by.
    pub(super) remote: SocketAddr,
    pub(super) via: Via,
    /// It is that of the hub's own agent.
    pub(super) own: bool,
    /// The agent has a WebSocket beside it, for who speaks JSON.
    pub(super) beside: bool,
    pub(super) greet_until: Option<Instant>,
    /// Its HELLO comes on this one.
    pub(super) hello: Option<StreamId>,
    pub(super) legs: BTreeMap<StreamId, Leg>,
    pub(super) timer: Option<Instant>,
    /// No more is read from it, and it is finished once all is written.
    pub(super) ending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Link(SlotId),
    /// One side of a channel waits for its budget.
    Relay(SlotId, usize),
    /// A channel that ends here waits.
    Here(SlotId),
    /// A channel that is looked at has had no streams for too long.
    Tap(SlotId),
}

/// A hub of native connections, as a machine on byte streams. It tells nothing; what it does shows in its [`HubStats`].
#[derive(Debug)]
pub struct Hub {
    pub(super) config: HubConfig,
    pub(super) seed: Seed,
    pub(super) rng: Rng,
    pub(super) intents: Intents,
    pub(super) links: Slab<Link, Heap>,
    /// The connection of the hub's own agent.
    pub(super) own: Option<SlotId>,
    pub(super) agents: BTreeMap<Arc<str>, Vec<SlotId>>,
    pub(super) relays: Relays,
    pub(super) locals: Locals,
    pub(super) timers: BTreeSet<(Instant, Timer)>,
    orders: Orders,
    pub(super) stats: HubStats,
    pub(super) news: news::Queue,
    pub(super) taps: Taps,
}

pub(super) fn conn_of(id: SlotId) -> Conn {
    let bits = id.to_bits();
    // The two halves.
    Conn::new(id.slot(), u32::try_from(bits >> 32).unwrap_or_default())
}

fn id_of(conn: Conn) -> SlotId {
    SlotId::from_bits(u64::from(conn.generation()) << 32 | u64::from(conn.slot()))
}

impl Hub {
    /// A hub without connections.
    #[must_use]
    pub fn new(config: HubConfig, seed: &Seed) -> Self {
        Self {
            rng: seed.fork("sluis mux native hub"),
            seed: seed.clone(),
            intents: Intents::new(),
            links: Slab::new(config.max_connections),
            own: None,
            agents: BTreeMap::new(),
            relays: Relays::new(config.max_all_channels),
            locals: Locals::new(config.max_all_channels),
            timers: BTreeSet::new(),
            orders: Orders::default(),
            stats: HubStats::default(),
            news: news::Queue::default(),
            taps: Taps::new(config.max_all_channels, config.max_channels),
            config,
        }
    }

    /// What was counted.
    #[must_use]
    pub const fn stats(&self) -> HubStats {
        self.stats
    }

    /// What happened, where that is to be told. A hub on its own says here what it never asks anybody to fetch: poll it whenever something
    /// was handed in.
    pub fn poll_news(&mut self) -> Option<News> {
        self.news.pop()
    }

    /// Whether there is any.
    #[must_use]
    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Route exactly this intent to a backend; see [`Intents::register`].
    ///
    /// # Errors
    /// Too many, or too long.
    pub fn register_intent(&mut self, name: &str, backend: &str, description: &str) -> Result<(), RegisterError> {
        self.intents.register(name, backend, description)
    }

    /// Connections of agents that are there.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.links.len() - usize::from(self.own.is_some())
    }

    /// Channels that there are.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.relays.len() + self.locals.len()
    }

    /// Whether an agent of this name is connected.
    #[must_use]
    pub fn has(&self, agent: &str) -> bool {
        self.agents.contains_key(agent)
    }

    /// Change who may come in. Connections of agents whose entry is gone or another are ended.
    pub fn replace_access(&mut self, now: Now, access: Access) {
        let gone: Vec<SlotId> =
            self.links.iter().filter(|(_, link)| !link.is_still_in(&access)).map(|(id, _)| id).collect();
        self.config.access = access;
        gone.into_iter().for_each(|id| self.end(now.mono, id));
    }

    /// End a connection at once.
    fn end(&mut self, now: Instant, id: SlotId) {
        self.orders.push(conn_of(id), Kind::Abort);
        self.forget(now, id);
    }

    /// A connection is gone: so are the streams that its own were joined to.
    fn forget(&mut self, now: Instant, id: SlotId) {
        let Some(link) = self.links.remove(id) else { return };
        if let Some(at) = link.timer {
            self.timers.remove(&(at, Timer::Link(id)));
        }
        if self.own == Some(id) {
            self.own = None;
        } else if let Greeting::Done(name, _) = &link.greeting
            && let Some(all) = self.agents.get_mut(name)
        {
            all.retain(|other| *other != id);
            if all.is_empty() {
                self.agents.remove(name);
            }
            if !link.beside && self.by_newest(name).is_none() {
                self.locals.tell(LocalEvent::Away(Arc::clone(name)));
            }
        }
        for leg in link.legs.into_values() {
            match leg {
                Leg::Relay(relay, side) => self.part(now, relay, side),
                Leg::Here(local) => self.park_here(now, local),
                Leg::First(_) => {}
            }
        }
    }

    /// One stream of a channel is gone: the other one ends behind what was passed on to it, which a reset would throw away. Its agent knows by that end, since no CLOSE came before it, and resets it.
    fn part(&mut self, now: Instant, relay: SlotId, side: usize) {
        let Some(relay) = self.relays.remove(relay, &mut self.timers) else { return };
        let (other, stream) = relay.legs[1 - side];
        self.untap(now, relay.tap);
        if let Some(link) = self.links.get_mut(other) {
            // One that has ended already says nothing new.
            let _ = link.session.finish(stream);
            link.legs.remove(&stream);
        }
        self.settle(now, other);
    }

    /// Both streams of a channel are given up: its opener has begun to go on with others.
    pub(super) fn part_whole(&mut self, now: Instant, relay: SlotId) {
        let Some((opener, stream)) = self.relays.opener(relay) else { return };
        self.part(now, relay, 0);
        if let Some(link) = self.links.get_mut(opener) {
            link.session.reset(stream);
            link.legs.remove(&stream);
        }
        self.settle(now, opener);
    }

    /// Have written what a connection has to write, and be woken when it wants.
    pub(super) fn settle(&mut self, now: Instant, id: SlotId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.session.wants_write() {
            self.orders.push(conn_of(id), Kind::Write);
        }
        if link.session.state() == session::State::Closed && !link.ending {
            link.ending = true;
            self.orders.push(conn_of(id), Kind::Finish);
        }
        let ping = link.session.deadline();
        // A connection that is ending gets as long for it as for a greeting.
        let at = if link.ending { Some(link.greet_until.unwrap_or(now + GREETING_TIME)) } else { ping };
        let at = [at, link.greet_until].into_iter().flatten().min();
        if at != link.timer {
            if let Some(before) = link.timer {
                self.timers.remove(&(before, Timer::Link(id)));
            }
            link.timer = at;
            self.timers.extend(at.map(|at| (at, Timer::Link(id))));
        }
    }

    /// Do what the events of a connection's streams ask for.
    fn serve(&mut self, now: Instant, id: SlotId) {
        while let Some(event) = self.links.get_mut(id).and_then(|link| link.session.poll_event()) {
            match event {
                StreamEvent::Opened(stream) => self.opened(id, stream),
                StreamEvent::Readable(stream) => self.readable(now, id, stream),
                StreamEvent::Writable(stream) => match self.links.get(id).and_then(|link| link.legs.get(&stream)) {
                    Some(Leg::Relay(relay, side)) => self.pump(now, *relay, 1 - *side),
                    Some(Leg::Here(local)) => self.write_here(now, *local),
                    Some(Leg::First(_)) | None => {}
                },
                StreamEvent::Reset(stream) => {
                    let leg = self.links.get_mut(id).and_then(|link| link.legs.remove(&stream));
                    match leg {
                        Some(Leg::Relay(relay, side)) => self.part(now, relay, side),
                        Some(Leg::Here(local)) => self.park_here(now, local),
                        Some(Leg::First(_)) | None => {}
                    }
                }
                StreamEvent::GoingAway => {}
            }
        }
        self.settle(now, id);
    }

    fn opened(&mut self, id: SlotId, stream: StreamId) {
        let most = self.config.max_channels;
        let Some(link) = self.links.get_mut(id) else { return };
        match link.greeting {
            Greeting::Waiting(_) if link.hello.is_none() => {
                link.hello = Some(stream);
                let _ = link.session.accept(stream, 0);
            }
            Greeting::Done(..) if link.legs.len() < most => {
                let _ = link.session.accept(stream, 5);
                link.legs.insert(stream, Leg::First(Box::default()));
            }
            _ => link.session.reset(stream),
        }
    }

    fn readable(&mut self, now: Instant, id: SlotId, stream: StreamId) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.hello == Some(stream) {
            return self.greet(now, id, stream);
        }
        match link.legs.get(&stream) {
            Some(Leg::Relay(relay, side)) => {
                let (relay, side) = (*relay, *side);
                self.pump(now, relay, side);
            }
            Some(Leg::Here(local)) => {
                let local = *local;
                self.read_here(now, local);
            }
            Some(Leg::First(_)) => self.first(now, id, stream),
            None => {}
        }
    }

    /// Read the first record of a stream: its kind and body.
    pub(super) fn read_first(
        link: &mut Link,
        now: Instant,
        stream: StreamId,
        reader: &mut Reader,
    ) -> Option<Result<u8, ()>> {
        loop {
            let bytes = match link.session.peek(stream) {
                Ok(Read::Bytes(bytes)) => bytes,
                Ok(Read::Pending) => return None,
                _ => return Some(Err(())),
            };
            let Ok((used, kind)) = reader.take(bytes) else { return Some(Err(())) };
            let _ = link.session.consume(now, stream, used);
            if let Some(kind) = kind {
                return Some(Ok(kind));
            }
        }
    }
}

impl Machine for Hub {
    type Event<'a> = ();

    fn handle_timeout(&mut self, now: Now) {
        while let Some(&(at, timer)) = self.timers.first() {
            if at > now.mono {
                return;
            }
            self.timers.pop_first();
            match timer {
                Timer::Relay(relay, side) => self.pump(now.mono, relay, side),
                Timer::Here(local) => self.due_here(now.mono, local),
                Timer::Tap(tap) => self.forget_tap(tap),
                Timer::Link(id) => {
                    let Some(link) = self.links.get_mut(id) else { continue };
                    link.timer = None;
                    let late = link.greet_until.is_some_and(|until| until <= now.mono);
                    if late || link.ending || link.session.handle_timeout(now.mono).is_err() {
                        self.stats.unauthorised += u64::from(late && !link.ending);
                        self.end(now.mono, id);
                    } else {
                        self.serve(now.mono, id);
                    }
                }
            }
        }
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn wants(&self) -> Wants {
        let at = self.timers.first().map(|(at, _)| (*at, Reason::Session));
        Wants { orders: !self.orders.is_empty(), at, ..Wants::NOTHING }
    }
}

impl Streams for Hub {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        self.come_up(now, up, false)
    }

    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        let id = id_of(conn);
        let link = self.links.get_mut(id).ok_or(Reject::Unrequested)?;
        if link.ending {
            return Ok(bytes.len());
        }
        if let Err(error) = link.session.handle_bytes(now.mono, bytes) {
            self.stats.breaches += 1;
            self.orders.withdraw(conn);
            self.forget(now.mono, id);
            return Err(error.into());
        }
        self.serve(now.mono, id);
        Ok(bytes.len())
    }

    fn handle_end(&mut self, now: Now, conn: Conn, end: End) {
        let id = id_of(conn);
        if end.is_last() {
            self.orders.withdraw(conn);
            self.forget(now.mono, id);
        } else if self.links.get(id).is_some() {
            // Nobody speaks with half a connection: what it has sent is passed on, then it goes.
            self.serve(now.mono, id);
            self.end(now.mono, id);
        }
    }

    fn poll_order(&mut self, _: Now) -> Option<Order<'_>> {
        let (conn, kind) = self.orders.pop()?;
        Some(match kind {
            Kind::Finish => Order::Finish(conn),
            Kind::Abort => Order::Abort(conn),
            // A hub dials nobody.
            Kind::Write | Kind::Dial => Order::Write(conn),
        })
    }

    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize {
        let id = id_of(conn);
        let Some(link) = self.links.get_mut(id) else { return 0 };
        let len = link.session.poll_bytes(now.mono, out);
        if link.session.has_events() {
            self.serve(now.mono, id);
        }
        len
    }
}
