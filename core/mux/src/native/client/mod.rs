//! One agent: a connection to a hub that is made again when it is lost, and its channels.

mod config;
mod connection;
mod event;
mod machine;
mod reading;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use sluis_core::identity::Signer;
use sluis_core::table::{Heap, Slab, SlotId};
use sluis_core::{Conn, Instant, Now, Rng, Seed};

use super::orders::{Kind as OrderKind, Orders};
use crate::agent::normalise;
use crate::channel::record::Reader;
use crate::channel::{self as ends, ChannelId, Fault, Kind, Opening, Own, SIGN_TIME, SendError, Side, State};
use crate::faults::Faults;
use crate::intents::Intents;
use crate::news::Via;
use crate::session::{Session, StreamId};

pub use config::{ClientConfig, Credentials};
pub use event::{Channel, Event, Lost, OpenError};

/// From the connection to the end of the greeting.
const GREETING_TIME: Duration = Duration::from_secs(10);
/// The shortest and the longest time between two attempts, before a random part of it is taken.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
/// A connection that lasted this long was a good one: the next attempt comes soon again.
const PROVEN: Duration = Duration::from_secs(30);

/// An event that lends nothing.
#[derive(Debug)]
enum Queued {
    Connected,
    Disconnected(Lost, Duration),
    Incoming(Channel),
    Other(Event<'static>),
}

#[derive(Debug)]
enum Link {
    /// Nothing, until then.
    Waiting(Instant),
    Dialling(Conn),
    Up(Box<Connected>),
}

#[derive(Debug)]
struct Connected {
    conn: Conn,
    session: Session,
    exporter: [u8; 32],
    since: Instant,
    greeting: Greeting,
    /// What comes on streams that are no channel's yet.
    fresh: BTreeMap<StreamId, Box<Reader>>,
    channels: BTreeMap<StreamId, SlotId>,
    hub: Box<str>,
    /// What it is carried by, and where the hub is.
    via: Via,
    remote: SocketAddr,
}

#[derive(Debug)]
enum Greeting {
    /// The hub's HELLO comes on its stream.
    Hello(Option<StreamId>, Reader, Instant),
    /// Its answer comes on ours.
    Answer(StreamId, Reader, Instant),
    Done,
}

#[derive(Debug)]
struct Entry {
    channel: ends::Channel,
    stream: Option<StreamId>,
    level: u8,
    /// Until when it waits for a stream.
    parked: Option<Instant>,
    /// When to ask for it again.
    retry: Option<Instant>,
    /// When what was sent is signed for, however little that is.
    sign: Option<Instant>,
    timer: Option<Instant>,
    closed: bool,
    queued: bool,
    /// Nothing is read of it.
    held: bool,
}

/// An agent, as a machine on byte streams.
pub struct Client {
    config: ClientConfig,
    rng: Rng,
    intents: Intents,
    link: Link,
    connects: u32,
    backoff: Duration,
    channels: Slab<Entry, Heap>,
    by_id: BTreeMap<ChannelId, SlotId>,
    orders: Orders,
    events: VecDeque<Queued>,
    /// Channels whose streams may have something to read.
    readable: VecDeque<SlotId>,
    timers: BTreeSet<(Instant, SlotId)>,
    /// The last time that came in.
    now: Instant,
    /// No connection is made any more.
    stopped: bool,
    faults: Faults,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.config)
            .field("channels", &self.channels.len())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// An agent that dials its hub at once.
    #[must_use]
    pub fn new(config: ClientConfig, seed: &Seed, now: Now) -> Self {
        let mut client = Self {
            rng: seed.fork("sluis mux native client"),
            intents: Intents::new(),
            link: Link::Waiting(now.mono),
            connects: 0,
            backoff: SHORTEST,
            channels: Slab::new(config.max_channels),
            by_id: BTreeMap::new(),
            orders: Orders::default(),
            events: VecDeque::new(),
            readable: VecDeque::new(),
            timers: BTreeSet::new(),
            now: now.mono,
            stopped: false,
            faults: Faults::default(),
            config,
        };
        client.dial();
        client
    }

    /// Whether the hub has let us in.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(&self.link, Link::Up(up) if matches!(up.greeting, Greeting::Done))
    }

    /// What the connection is carried by, and where the hub is; the address says nothing behind a proxy.
    #[must_use]
    pub fn reached(&self) -> Option<(Via, SocketAddr)> {
        match &self.link {
            Link::Up(up) => Some((up.via, up.remote)),
            _ => None,
        }
    }

    /// Channels that there are.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// A channel: who is at its other end, how far it is.
    #[must_use]
    pub fn channel(&self, channel: Channel) -> Option<&ends::Channel> {
        self.channels.get(channel.0).map(|entry| &entry.channel)
    }

    /// Switch a protection off: for simulations that prove that they would notice.
    #[cfg(feature = "sim")]
    pub const fn switch_off(&mut self, fault: crate::faults::Fault) {
        self.faults.fault = Some(fault);
    }

    /// Bytes of memory that the streams of the connection hold.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.link {
            Link::Up(up) => up.session.held(),
            _ => 0,
        }
    }

    fn dial(&mut self) {
        self.connects = self.connects.wrapping_add(1);
        let conn = Conn::new(0, self.connects);
        self.link = Link::Dialling(conn);
        self.orders.push(conn, OrderKind::Dial);
    }

    fn own<'c>(config: &'c ClientConfig, channel: &Opening, side: Side) -> Own<'c> {
        let other = match side {
            Side::Opener => &channel.target,
            Side::Target => &channel.agent,
        };
        let signer = config.signer.as_deref().filter(|_| !config.unsigned).map(|signer| signer as &dyn Signer);
        Own { signer, pinned: config.pins.get(other).copied() }
    }

    /// Open a channel to another agent; it may be sent on once it is [open](Event::Opened).
    ///
    /// # Errors
    /// Too many, or something that no channel can be opened with.
    pub fn open(&mut self, now: Now, target: &str, intent: &str, metadata: &str) -> Result<Channel, OpenError> {
        let mut id = [0; 16];
        self.rng.fill(&mut id);
        let opening = Opening::new(ChannelId(id), &self.config.agent, &normalise(target), intent, metadata);
        let opening = opening.ok_or(OpenError::Invalid)?;
        let own = Self::own(&self.config, &opening, Side::Opener);
        let level = self.intents.resolve(intent).policy.priority;
        let channel = ends::Channel::open(opening, own, &mut self.rng).map_err(|_| OpenError::Signer)?;
        let slot = self.insert(channel, level).ok_or(OpenError::Full)?;
        self.attach(now.mono, slot);
        Ok(Channel(slot))
    }

    fn insert(&mut self, mut channel: ends::Channel, level: u8) -> Option<SlotId> {
        channel.set_faults(self.faults);
        if self.config.sign_each {
            channel.sign_each();
        }
        let id = channel.opening().channel;
        let entry = Entry {
            channel,
            stream: None,
            level,
            parked: None,
            retry: None,
            sign: None,
            timer: None,
            closed: false,
            queued: false,
            held: false,
        };
        let slot = self.channels.insert(entry).ok()?;
        self.by_id.insert(id, slot);
        Some(slot)
    }

    /// Accept a channel that was opened to us.
    pub fn accept(&mut self, _: Now, channel: Channel) {
        let Some(entry) = self.channels.get_mut(channel.0) else { return };
        let own = Self::own(&self.config, &entry.channel.opening().clone(), Side::Target);
        if let Err(fault) = entry.channel.accept(own) {
            return self.broken(channel.0, fault);
        }
        self.write(channel.0);
    }

    /// Refuse a channel that was opened to us. It is gone.
    pub fn refuse(&mut self, _: Now, channel: Channel, reason: &str) {
        let Some(entry) = self.channels.get_mut(channel.0) else { return };
        if entry.channel.side() == Side::Target && entry.channel.state() == State::Opening {
            entry.channel.refuse(reason);
            self.write(channel.0);
            if let (Link::Up(up), Some(stream)) = (&mut self.link, self.channels.get(channel.0).and_then(|e| e.stream))
            {
                let _ = up.session.finish(stream);
            }
            self.settle();
            self.forget(channel.0, false);
        }
    }

    /// Send a message: its number, which [`Event::Acked`] tells once the application at the other end took it. A parked channel
    /// takes messages, too.
    ///
    /// # Errors
    /// Too long, too much waits, or the channel is closed or not open yet.
    pub fn send(&mut self, now: Now, channel: Channel, kind: Kind, body: &[u8]) -> Result<u64, SendError> {
        let entry = self.channels.get_mut(channel.0).ok_or(SendError::Closed)?;
        let number = entry.channel.send(kind, body)?;
        if entry.sign.is_none() && entry.channel.has_unsigned() {
            entry.sign = Some(now.mono + SIGN_TIME);
            self.arm(channel.0);
        }
        self.write(channel.0);
        Ok(number)
    }

    /// The application took all messages up to this one: the sender is told.
    pub fn take(&mut self, _: Now, channel: Channel, upto: u64) {
        if let Some(entry) = self.channels.get_mut(channel.0) {
            entry.channel.take(upto);
            self.write(channel.0);
            self.close_if_over(channel.0);
        }
    }

    /// Read nothing more of a channel, or go on reading it: while it is held its sender gets no credit, and nothing else that comes on it
    /// is heard either, acknowledgements of what we send among it.
    pub fn hold(&mut self, channel: Channel, held: bool) {
        if let Some(entry) = self.channels.get_mut(channel.0) {
            entry.held = held;
            self.queue(channel.0);
        }
    }

    /// Send no more on a channel. It is gone once the other end has done the same and everything was taken.
    pub fn close(&mut self, _: Now, channel: Channel, reason: &str) {
        if let Some(entry) = self.channels.get_mut(channel.0) {
            entry.channel.close(reason);
            self.write(channel.0);
        }
    }

    /// Give a channel up without a goodbye. It is gone here; the other end waits for it in vain and is told so after the time of parking.
    pub fn abandon(&mut self, _: Now, channel: Channel) {
        self.forget(channel.0, true);
    }

    /// End the connection in peace: channels that are open are not waited for.
    pub fn shut_down(&mut self, _: Now) {
        self.stopped = true;
        if let Link::Up(up) = &mut self.link {
            up.session.close();
            let conn = up.conn;
            self.settle();
            self.orders.push(conn, OrderKind::Finish);
        }
    }

    /// Give a channel a stream, if there is a connection.
    fn attach(&mut self, now: Instant, slot: SlotId) {
        if !self.is_connected() {
            return;
        }
        let (Link::Up(up), Some(entry)) = (&mut self.link, self.channels.get_mut(slot)) else { return };
        match up.session.open(now, entry.level) {
            Ok(stream) => {
                entry.channel.resume();
                (entry.stream, entry.retry) = (Some(stream), None);
                up.channels.insert(stream, slot);
                self.write(slot);
            }
            // The hub is slow to accept, or goes away: later.
            Err(_) => entry.retry = Some(now + SHORTEST),
        }
        self.arm(slot);
    }

    /// Let a channel write what it has.
    fn write(&mut self, slot: SlotId) {
        let (Link::Up(up), Some(entry)) = (&mut self.link, self.channels.get_mut(slot)) else { return };
        let Some(stream) = entry.stream else { return };
        let own = Self::own(&self.config, entry.channel.opening(), entry.channel.side());
        if let Err(fault) = entry.channel.write(&mut up.session, stream, own) {
            self.broken(slot, fault);
        }
        self.settle();
    }

    /// Have written what the connection has to write.
    fn settle(&mut self) {
        if let Link::Up(up) = &self.link
            && up.session.wants_write()
        {
            self.orders.push(up.conn, OrderKind::Write);
        }
    }

    fn tell(&mut self, event: Event<'static>) {
        self.events.push_back(Queued::Other(event));
    }

    /// A channel is gone.
    fn forget(&mut self, slot: SlotId, reset: bool) {
        let Some(entry) = self.channels.remove(slot) else { return };
        if let Some(at) = entry.timer {
            self.timers.remove(&(at, slot));
        }
        self.by_id.remove(&entry.channel.opening().channel);
        if let (Link::Up(up), Some(stream)) = (&mut self.link, entry.stream) {
            up.channels.remove(&stream);
            if reset {
                up.session.reset(stream);
            }
        }
        self.settle();
    }

    fn broken(&mut self, slot: SlotId, fault: Fault) {
        self.forget(slot, true);
        self.tell(Event::Broken(Channel(slot), fault));
    }

    /// A channel has lost its stream.
    fn park(&mut self, now: Instant, slot: SlotId) {
        let park_time = self.config.park_time;
        let Some(entry) = self.channels.get_mut(slot) else { return };
        if let (Link::Up(up), Some(stream)) = (&mut self.link, entry.stream.take()) {
            up.channels.remove(&stream);
            up.session.reset(stream);
        }
        if entry.channel.side() == Side::Opener && entry.channel.state() == State::Opening {
            // Nobody has accepted it: it is opened anew, with fresh keys.
            let mut opening = entry.channel.opening().clone();
            self.by_id.remove(&opening.channel);
            self.rng.fill(&mut opening.channel.0);
            self.by_id.insert(opening.channel, slot);
            let own = Self::own(&self.config, &opening, Side::Opener);
            if let Ok(mut channel) = ends::Channel::open(opening.clone(), own, &mut self.rng) {
                if self.config.sign_each {
                    channel.sign_each();
                }
                entry.channel = channel;
            }
            entry.parked.get_or_insert(now + park_time);
            entry.retry = Some(now + SHORTEST);
        } else if entry.channel.park() {
            let first = entry.parked.is_none() && !entry.closed;
            entry.parked.get_or_insert(now + park_time);
            let pause = Self::jitter(&mut self.rng, SHORTEST * 4);
            entry.retry = (entry.channel.side() == Side::Opener).then_some(now + pause);
            if first {
                self.tell(Event::Parked(Channel(slot)));
            }
        } else {
            self.forget(slot, false);
            self.tell(Event::Abandoned(Channel(slot), 0));
        }
        self.arm(slot);
    }

    fn jitter(rng: &mut Rng, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(rng.u64() % nanos.max(1))
    }

    fn close_if_over(&mut self, slot: SlotId) {
        let Some(entry) = self.channels.get(slot) else { return };
        // What its stream has not taken, an acknowledgement say, the other end still waits for.
        if !entry.channel.is_writing() {
            self.closed(slot);
        }
    }

    fn closed(&mut self, slot: SlotId) {
        let Some(entry) = self.channels.get_mut(slot) else { return };
        if !entry.channel.is_over() {
            return;
        }
        let first = !core::mem::replace(&mut entry.closed, true);
        // It stays for an end that has not heard so much, and that one may go on with it.
        if let (Link::Up(up), Some(stream)) = (&mut self.link, entry.stream) {
            let _ = up.session.finish(stream);
        }
        self.settle();
        if first {
            self.tell(Event::Closed(Channel(slot)));
        }
    }

    /// Be woken when something of a channel is due.
    fn arm(&mut self, slot: SlotId) {
        let Some(entry) = self.channels.get_mut(slot) else { return };
        let waits = entry.stream.is_none();
        let at = [entry.parked.filter(|_| waits), entry.retry.filter(|_| waits), entry.sign];
        let at = at.into_iter().flatten().min();
        let before = core::mem::replace(&mut entry.timer, at);
        if before != at {
            before.map(|before| self.timers.remove(&(before, slot)));
            self.timers.extend(at.map(|at| (at, slot)));
        }
    }

    /// Channels that have waited for too long, those that ask again, and those that sign.
    fn look_after_channels(&mut self, now: Instant) {
        while let Some((_, slot)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.pop_first();
            let Some(entry) = self.channels.get_mut(slot) else { continue };
            entry.timer = None;
            let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
            if entry.stream.is_none() && is_due(entry.parked) {
                let (missing, closed) = (entry.channel.sent() - entry.channel.acked(), entry.closed);
                self.forget(slot, true);
                if !closed {
                    self.tell(Event::Abandoned(Channel(slot), missing));
                }
                continue;
            }
            let (sign, retry) = (is_due(entry.sign), entry.stream.is_none() && is_due(entry.retry));
            if sign {
                entry.sign = None;
                entry.channel.sign_soon();
                self.write(slot);
            }
            if retry {
                if let Some(entry) = self.channels.get_mut(slot) {
                    entry.retry = None;
                }
                self.attach(now, slot);
            }
            self.arm(slot);
        }
    }
}
