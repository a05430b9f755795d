//! One agent: a connection to a hub that is made again when it is lost, and its channels.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use sluis_core::identity::{PublicKey, Signer};
use sluis_core::table::{Heap, Slab, SlotId};
use sluis_core::{
    Conn, End, Endpoint, Family, Instant, Machine, Now, Order, Origin, Reason, Reject, Rng, Security, Seed, Streams,
    Up, Wants,
};

use super::hello::{Auth, ClientHello, ServerHello, WINDOW};
use super::orders::{Kind as OrderKind, Orders};
use crate::agent::normalise;
use crate::channel::record::{self, Reader};
use crate::channel::{self as ends, ChannelId, Fault, Kind, Opening, Own, Proof, Resume, SendError, Side, State, Told};
use crate::faults::Faults;
use crate::intents::Intents;
use crate::proof::{ACCEPT, HELLO, OPEN, REFUSE, RESUME};
use crate::session::{self, Event as StreamEvent, Read, Role, Session, SessionError, StreamId};

/// From the connection to the end of the greeting.
const GREETING_TIME: Duration = Duration::from_secs(10);
/// The shortest and the longest time between two attempts, before a random part of it is taken.
const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
/// A connection that lasted this long was a good one: the next attempt comes soon again.
const PROVEN: Duration = Duration::from_secs(30);

/// How an agent shows who it is.
#[derive(Clone)]
pub enum Credentials {
    /// Its name is believed: at an open hub.
    Nothing,
    /// A token. Over TLS only.
    Token(Box<str>),
    /// The [signer](ClientConfig::signer).
    Key,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Token(_) => "Token(<redacted>)",
            Self::Key => "Key",
        })
    }
}

/// Settings of a [`Client`].
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Its name.
    pub agent: Box<str>,
    /// Where the hub is.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// How it shows who it is.
    pub credentials: Credentials,
    /// What channels are signed with; without one nothing is proven.
    pub signer: Option<Arc<dyn Signer + Send + Sync>>,
    /// Keys of other agents that are known: they have to show them.
    pub pins: BTreeMap<Box<str>, PublicKey>,
    /// Signatures are not bound to the TLS connection, because a proxy in front of the hub ends that.
    pub behind_proxy: bool,
    /// It is on a WebSocket as well: channels that are opened in JSON go there, and not to this connection.
    pub beside: bool,
    /// Channels at a time, both kinds.
    pub max_channels: usize,
    /// How long a channel outlives its connection.
    pub park_time: Duration,
    /// Settings of the connection's streams.
    pub session: session::Config,
}

impl ClientConfig {
    /// An agent of this name, at the hub there.
    #[must_use]
    pub fn new(agent: &str, host: &str, port: u16) -> Self {
        Self {
            agent: normalise(agent).into(),
            host: host.into(),
            port,
            security: Security::Plain,
            credentials: Credentials::Nothing,
            signer: None,
            pins: BTreeMap::new(),
            behind_proxy: false,
            beside: false,
            max_channels: 4096,
            park_time: Duration::from_secs(60),
            session: session::Config::default(),
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("agent", &self.agent).field("host", &self.host).finish_non_exhaustive()
    }
}

/// Names a channel of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(SlotId);

/// Why no channel is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There are [`ClientConfig::max_channels`].
    #[error("there are as many channels as there may be")]
    Full,
    /// A name or an intent is too long, or the metadata is no object or too long.
    #[error("a name, the intent or the metadata is not what it may be")]
    Invalid,
    /// Our own key does not sign.
    #[error("our own key does not sign")]
    Signer,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lost {
    /// It did not come up, or broke.
    Connection(End),
    /// It ended because of what came, or because nothing did.
    Session(SessionError),
    /// The hub does not say what it must, or not in time.
    Greeting,
    /// The hub does not let this agent in.
    Refused,
}

/// What an application is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The hub has let us in. It calls itself so.
    Connected(&'a str),
    /// There is no connection; the next attempt comes after this time. Channels that were open wait for it.
    Disconnected(Lost, Duration),
    /// A channel is opened to us: [accept](Client::accept) or [refuse](Client::refuse) it.
    Incoming(Channel, &'a Opening, Proof),
    /// A channel that we opened is accepted.
    Opened(Channel, Proof),
    /// A channel that we opened is refused, for this reason. It is gone.
    Refused(Channel, String),
    /// A message: its number, kind and body. [`take`](Client::take) tells the sender that it was taken.
    Message(Channel, u64, Kind, &'a [u8]),
    /// All messages up to this one were taken by the application at the other end.
    Acked(Channel, u64),
    /// A send that was [`SendError::Full`] can be tried again.
    Writable(Channel),
    /// The other end has signed for all messages up to this one.
    Signed(Channel, u64),
    /// The connection of a channel is gone; it waits.
    Parked(Channel),
    /// It goes on.
    Resumed(Channel),
    /// The other end sends no more, for this reason.
    Finished(Channel, String),
    /// Both ends are done, and have all of each other's messages. It is gone.
    Closed(Channel),
    /// What came was not what the other end sent or may send. It is gone.
    Broken(Channel, Fault),
    /// It was parked for too long. It is gone; so many messages of ours were not acknowledged.
    Abandoned(Channel, u64),
}

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
    timer: Option<Instant>,
    closed: bool,
    queued: bool,
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
        let signer = config.signer.as_deref().map(|signer| signer as &dyn Signer);
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
        let id = channel.opening().channel;
        let entry = Entry {
            channel,
            stream: None,
            level,
            parked: None,
            retry: None,
            timer: None,
            closed: false,
            queued: false,
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
    pub fn send(&mut self, _: Now, channel: Channel, kind: Kind, body: &[u8]) -> Result<u64, SendError> {
        let entry = self.channels.get_mut(channel.0).ok_or(SendError::Closed)?;
        let number = entry.channel.send(kind, body)?;
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

    /// Send no more on a channel. It is gone once the other end has done the same and everything was taken.
    pub fn close(&mut self, _: Now, channel: Channel, reason: &str) {
        if let Some(entry) = self.channels.get_mut(channel.0) {
            entry.channel.close(reason);
            self.write(channel.0);
        }
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
            if let Ok(channel) = ends::Channel::open(opening.clone(), own, &mut self.rng) {
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
        let Some(entry) = self.channels.get_mut(slot) else { return };
        if entry.closed || !entry.channel.is_over() {
            return;
        }
        entry.closed = true;
        // For an end that has not heard so much.
        if let (Link::Up(up), Some(stream)) = (&mut self.link, entry.stream) {
            let _ = up.session.finish(stream);
        }
        self.settle();
        self.tell(Event::Closed(Channel(slot)));
    }

    /// The connection is gone.
    fn lost(&mut self, now: Instant, why: Lost) {
        let link = core::mem::replace(&mut self.link, Link::Waiting(now));
        if let Link::Up(up) = &link
            && now.saturating_since(up.since) >= PROVEN
            && matches!(up.greeting, Greeting::Done)
        {
            self.backoff = SHORTEST;
        }
        let pause = Self::jitter(&mut self.rng, self.backoff);
        self.backoff = (self.backoff * 2).min(LONGEST);
        self.link = Link::Waiting(now + pause);
        if !self.stopped {
            self.events.push_back(Queued::Disconnected(why, pause));
        }
        if let Link::Up(up) = link {
            for slot in up.channels.into_values() {
                self.park(now, slot);
            }
        }
    }

    /// End the connection, because of what came.
    fn abort(&mut self, now: Instant, why: Lost) {
        if let Link::Up(up) = &self.link {
            self.orders.push(up.conn, OrderKind::Abort);
        }
        self.lost(now, why);
    }

    /// Do what the events of the connection's streams ask for.
    fn serve(&mut self, now: Instant) {
        loop {
            let Link::Up(up) = &mut self.link else { return };
            let Some(event) = up.session.poll_event() else { break };
            match event {
                StreamEvent::Opened(stream) => self.opened(stream),
                StreamEvent::Readable(stream) => self.readable(now, stream),
                StreamEvent::Writable(stream) => {
                    if let Some(slot) = up.channels.get(&stream).copied() {
                        self.write(slot);
                    }
                }
                StreamEvent::Reset(stream) => {
                    up.fresh.remove(&stream);
                    match up.channels.get(&stream).copied() {
                        Some(slot) => self.park(now, slot),
                        None if !matches!(up.greeting, Greeting::Done) => return self.abort(now, Lost::Greeting),
                        None => {}
                    }
                }
                StreamEvent::GoingAway => {}
            }
        }
        let Link::Up(up) = &self.link else { return };
        if up.session.state() == session::State::Closed {
            return self.abort(now, Lost::Connection(End::Closed));
        }
        self.settle();
    }

    fn opened(&mut self, stream: StreamId) {
        let full = self.channels.is_full();
        let Link::Up(up) = &mut self.link else { return };
        match &mut up.greeting {
            Greeting::Hello(at @ None, ..) => {
                *at = Some(stream);
                let _ = up.session.accept(stream, 0);
            }
            Greeting::Done if !full => {
                let _ = up.session.accept(stream, 5);
                up.fresh.insert(stream, Box::default());
            }
            _ => up.session.reset(stream),
        }
    }

    fn readable(&mut self, now: Instant, stream: StreamId) {
        let Link::Up(up) = &mut self.link else { return };
        if let Some(slot) = up.channels.get(&stream).copied() {
            return self.queue(slot);
        }
        if up.fresh.contains_key(&stream) {
            return self.first(now, stream);
        }
        match &up.greeting {
            Greeting::Hello(Some(hello), ..) if *hello == stream => self.greet(now, stream),
            Greeting::Answer(hello, ..) if *hello == stream => self.greeted(now),
            _ => {}
        }
    }

    fn queue(&mut self, slot: SlotId) {
        if let Some(entry) = self.channels.get_mut(slot)
            && !core::mem::replace(&mut entry.queued, true)
        {
            self.readable.push_back(slot);
        }
    }

    /// The hub has said HELLO, and we do.
    fn greet(&mut self, now: Instant, stream: StreamId) {
        let Link::Up(up) = &mut self.link else { return };
        let Greeting::Hello(_, reader, until) = &mut up.greeting else { return };
        let (kind, until) = match read_record(&mut up.session, now, stream, reader) {
            None => return,
            Some(kind) => (kind, *until),
        };
        let hello = (kind == Some(HELLO)).then(|| ServerHello::read(reader.body()).ok()).flatten();
        let auth = match (&self.config.credentials, &self.config.signer) {
            (Credentials::Token(token), _) => Auth::Token(token),
            (Credentials::Key, Some(signer)) => Auth::Key(&**signer),
            _ => Auth::Nothing,
        };
        let body = hello.as_ref().and_then(|hello| {
            ClientHello::write(&self.config.agent, self.config.beside, auth, &hello.nonce, &up.exporter).ok()
        });
        let (Some(hello), Some(body), Ok(own)) = (hello, body, up.session.open(now, 0)) else {
            return self.abort(now, Lost::Greeting);
        };
        up.session.set_first_windows(WINDOW, hello.window);
        up.hub = hello.agent;
        let mut first = Vec::new();
        record::put(&mut first, HELLO, &[&body]);
        let _ = up.session.write(own, &first);
        let _ = up.session.finish(own);
        up.greeting = Greeting::Answer(own, Reader::default(), until);
        self.settle();
    }

    /// The hub has answered.
    fn greeted(&mut self, now: Instant) {
        let Link::Up(up) = &mut self.link else { return };
        let Greeting::Answer(stream, reader, _) = &mut up.greeting else { return };
        match read_record(&mut up.session, now, *stream, reader) {
            None => {}
            Some(Some(ACCEPT)) => {
                up.greeting = Greeting::Done;
                self.events.push_back(Queued::Connected);
                let waiting: Vec<SlotId> = self
                    .channels
                    .iter()
                    .filter(|(_, entry)| entry.stream.is_none() && entry.channel.side() == Side::Opener)
                    .map(|(slot, _)| slot)
                    .collect();
                waiting.into_iter().for_each(|slot| self.attach(now, slot));
            }
            Some(Some(REFUSE)) => self.abort(now, Lost::Refused),
            Some(_) => self.abort(now, Lost::Greeting),
        }
    }

    /// What a stream that somebody opened to us begins with.
    fn first(&mut self, now: Instant, stream: StreamId) {
        let Link::Up(up) = &mut self.link else { return };
        let Some(mut reader) = up.fresh.remove(&stream) else { return };
        let Some(kind) = read_record(&mut up.session, now, stream, &mut reader) else {
            up.fresh.insert(stream, reader);
            return;
        };
        match kind {
            Some(OPEN) => self.incoming(stream, reader.body()),
            Some(RESUME) => self.go_on(now, stream, reader.body()),
            _ => up.session.reset(stream),
        }
        self.settle();
    }

    fn refuse_stream(&mut self, stream: StreamId, reason: &str) {
        let Link::Up(up) = &mut self.link else { return };
        let mut answer = Vec::new();
        record::put(&mut answer, REFUSE, &[reason.as_bytes()]);
        let _ = up.session.write(stream, &answer);
        let _ = up.session.finish(stream);
    }

    fn incoming(&mut self, stream: StreamId, body: &[u8]) {
        let Ok(opening) = ends::peek_opening(body) else {
            return self.refuse_stream(stream, "the opening is malformed");
        };
        if *opening.target != *self.config.agent || self.by_id.contains_key(&opening.channel) {
            return self.refuse_stream(stream, "this is another agent's channel");
        }
        let own = Self::own(&self.config, &opening, Side::Target);
        let level = self.intents.resolve(&opening.intent).policy.priority;
        let Ok(channel) = ends::Channel::incoming(body, own, &mut self.rng) else {
            return self.refuse_stream(stream, "the opening is not signed as it must be");
        };
        let Some(slot) = self.insert(channel, level) else { return self.refuse_stream(stream, "too many channels") };
        if let (Link::Up(up), Some(entry)) = (&mut self.link, self.channels.get_mut(slot)) {
            entry.stream = Some(stream);
            up.channels.insert(stream, slot);
            let _ = up.session.set_level(stream, level);
        }
        self.events.push_back(Queued::Incoming(Channel(slot)));
    }

    /// The opener of a channel goes on with it.
    fn go_on(&mut self, now: Instant, stream: StreamId, body: &[u8]) {
        let resume = Resume::parts(body).and_then(|(_, text)| Resume::read(text));
        let slot = resume.ok().and_then(|resume| self.by_id.get(&resume.channel).copied());
        let Some(slot) = slot else { return self.refuse_stream(stream, "the channel is not known") };
        if self.channels.get(slot).is_some_and(|entry| entry.stream.is_some()) {
            // It knows of a cut of which we have not heard.
            self.park(now, slot);
        }
        let Some(entry) = self.channels.get_mut(slot) else { return };
        match entry.channel.handle_resume(body) {
            Ok(_) => {
                (entry.stream, entry.parked, entry.retry) = (Some(stream), None, None);
                if let Link::Up(up) = &mut self.link {
                    up.channels.insert(stream, slot);
                }
                if !self.channels.get(slot).is_some_and(|entry| entry.closed) {
                    self.tell(Event::Resumed(Channel(slot)));
                }
                self.arm(slot);
                self.write(slot);
                self.queue(slot);
            }
            // Somebody who is not the opener: the channel goes on waiting for the one who is.
            Err(_) => self.refuse_stream(stream, "the channel cannot go on like this"),
        }
    }

    /// Read what a channel's stream has; the next event of it.
    fn read(&mut self, now: Instant, slot: SlotId) -> Option<Told> {
        let (Link::Up(up), Some(entry)) = (&mut self.link, self.channels.get_mut(slot)) else { return None };
        let stream = entry.stream?;
        let own = Self::own(&self.config, entry.channel.opening(), entry.channel.side());
        match entry.channel.read(now, &mut up.session, stream, own) {
            Ok(Some(told)) => Some(told),
            Ok(None) => {
                if !matches!(up.session.peek(stream), Ok(Read::Pending | Read::Bytes(_))) {
                    self.stream_ended(now, slot);
                }
                self.settle();
                None
            }
            Err(fault) => {
                self.broken(slot, fault);
                None
            }
        }
    }

    /// The other end has ended the stream of a channel.
    fn stream_ended(&mut self, now: Instant, slot: SlotId) {
        let Some(entry) = self.channels.get_mut(slot) else { return };
        if entry.closed {
            self.forget(slot, false);
        } else if entry.channel.is_over() {
            self.close_if_over(slot);
            self.forget(slot, false);
        } else {
            self.park(now, slot);
        }
    }

    /// What a channel told, as an event that lends nothing; `None` for a message, and for what needs no event.
    fn event_of(&mut self, now: Instant, slot: SlotId, told: Told) -> Option<Event<'static>> {
        let channel = Channel(slot);
        match told {
            Told::Opened(proof) => {
                if let Some(entry) = self.channels.get_mut(slot) {
                    entry.parked = None;
                }
                self.write(slot);
                Some(Event::Opened(channel, proof))
            }
            Told::Refused(reason) => {
                self.forget(slot, true);
                Some(Event::Refused(channel, reason))
            }
            Told::Acked { upto, room } => {
                if room {
                    self.tell(Event::Writable(channel));
                }
                self.close_if_over(slot);
                Some(Event::Acked(channel, upto))
            }
            Told::Signed(upto) => Some(Event::Signed(channel, upto)),
            Told::Resumed => {
                let entry = self.channels.get_mut(slot)?;
                (entry.parked, entry.retry) = (None, None);
                let closed = entry.closed;
                self.write(slot);
                (!closed).then_some(Event::Resumed(channel))
            }
            Told::Away => {
                self.park(now, slot);
                None
            }
            Told::Finished(reason) => {
                self.write(slot);
                self.close_if_over(slot);
                Some(Event::Finished(channel, reason))
            }
            Told::Message(..) => None,
        }
    }

    /// What the next channel with something to read tells; `None` also where that became an event of its own.
    fn next_told(&mut self) -> Option<Next> {
        // Credit that reading gives is measured against the last time that came in.
        let now = self.now;
        while self.events.is_empty() {
            let slot = self.readable.pop_front()?;
            if let Some(entry) = self.channels.get_mut(slot) {
                entry.queued = false;
            }
            let Some(told) = self.read(now, slot) else { continue };
            self.queue(slot);
            if let Told::Message(number, kind) = told {
                return Some(Next::Message(slot, number, kind));
            }
            if let Some(event) = self.event_of(now, slot, told) {
                return Some(Next::Event(event));
            }
        }
        None
    }

    /// Be woken when something is due of a channel without a stream.
    fn arm(&mut self, slot: SlotId) {
        let Some(entry) = self.channels.get_mut(slot) else { return };
        let at = [entry.parked, entry.retry].into_iter().flatten().min().filter(|_| entry.stream.is_none());
        let before = core::mem::replace(&mut entry.timer, at);
        if before != at {
            before.map(|before| self.timers.remove(&(before, slot)));
            self.timers.extend(at.map(|at| (at, slot)));
        }
    }

    /// Channels that have waited for too long, and those that ask again.
    fn look_after_parked(&mut self, now: Instant) {
        while let Some((_, slot)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.pop_first();
            let Some(entry) = self.channels.get_mut(slot) else { continue };
            entry.timer = None;
            if entry.parked.is_some_and(|until| until <= now) {
                let (missing, closed) = (entry.channel.sent() - entry.channel.acked(), entry.closed);
                self.forget(slot, true);
                if !closed {
                    self.tell(Event::Abandoned(Channel(slot), missing));
                }
                continue;
            }
            entry.retry = None;
            self.attach(now, slot);
            self.arm(slot);
        }
    }

    fn next_timer(&self) -> Option<Instant> {
        let link = match &self.link {
            Link::Waiting(at) => (!self.stopped).then_some(*at),
            Link::Dialling(_) => None,
            Link::Up(up) => {
                let greeting = match &up.greeting {
                    Greeting::Hello(_, _, until) | Greeting::Answer(_, _, until) => Some(*until),
                    Greeting::Done => None,
                };
                [greeting, up.session.deadline()].into_iter().flatten().min()
            }
        };
        [link, self.timers.first().map(|(at, _)| *at)].into_iter().flatten().min()
    }
}

/// What reading found.
enum Next {
    Event(Event<'static>),
    Message(SlotId, u64, Kind),
}

/// Read the next record of a stream: its kind; `Some(None)` where there is none any more.
fn read_record(session: &mut Session, now: Instant, stream: StreamId, reader: &mut Reader) -> Option<Option<u8>> {
    loop {
        let bytes = match session.peek(stream) {
            Ok(Read::Bytes(bytes)) => bytes,
            Ok(Read::Pending) => return None,
            _ => return Some(None),
        };
        let Ok((used, kind)) = reader.take(bytes) else { return Some(None) };
        let _ = session.consume(now, stream, used);
        if kind.is_some() {
            return Some(kind);
        }
    }
}

impl Machine for Client {
    type Event<'a> = Event<'a>;

    fn handle_timeout(&mut self, now: Now) {
        self.now = now.mono;
        match &mut self.link {
            Link::Waiting(at) if *at <= now.mono && !self.stopped => self.dial(),
            Link::Up(up) => {
                let late = match &up.greeting {
                    Greeting::Hello(_, _, until) | Greeting::Answer(_, _, until) => *until <= now.mono,
                    Greeting::Done => false,
                };
                if late {
                    self.abort(now.mono, Lost::Greeting);
                } else if let Err(error) = up.session.handle_timeout(now.mono) {
                    self.abort(now.mono, Lost::Session(error));
                } else {
                    self.serve(now.mono);
                }
            }
            _ => {}
        }
        self.look_after_parked(now.mono);
    }

    fn poll_event(&mut self) -> Option<Event<'_>> {
        loop {
            match self.events.pop_front() {
                Some(Queued::Other(event)) => return Some(event),
                Some(Queued::Disconnected(why, pause)) => return Some(Event::Disconnected(why, pause)),
                Some(Queued::Connected) => {
                    if matches!(self.link, Link::Up(_)) {
                        let Link::Up(up) = &self.link else { return None };
                        return Some(Event::Connected(&up.hub));
                    }
                }
                Some(Queued::Incoming(channel)) => {
                    if self.channels.get(channel.0).is_some() {
                        let entry = self.channels.get(channel.0)?;
                        return Some(Event::Incoming(channel, entry.channel.opening(), entry.channel.proof()));
                    }
                }
                None => match self.next_told() {
                    Some(Next::Event(event)) => return Some(event),
                    Some(Next::Message(slot, number, kind)) => {
                        let message = self.channels.get(slot)?.channel.message();
                        return Some(Event::Message(Channel(slot), number, kind, message));
                    }
                    None if self.events.is_empty() => return None,
                    None => {}
                },
            }
        }
    }

    fn wants(&self) -> Wants {
        Wants {
            events: !self.events.is_empty() || !self.readable.is_empty(),
            orders: !self.orders.is_empty(),
            at: self.next_timer().map(|at| (at, Reason::Session)),
            ..Wants::NOTHING
        }
    }
}

impl Streams for Client {
    fn handle_up(&mut self, now: Now, up: &Up<'_>) -> Result<Conn, Reject> {
        self.now = now.mono;
        let conn = match (&self.link, up.origin) {
            (Link::Dialling(conn), Origin::Dialled(up)) if *conn == up => up,
            _ => return Err(Reject::Unrequested),
        };
        let mut bytes = [0; 32];
        self.rng.fill(&mut bytes);
        let mut session = Session::new(Role::Client, self.config.session.clone(), &Seed::new(bytes), now.mono);
        session.set_faults(self.faults);
        // The first byte that is written tells a server without TLS that this is no HTTP.
        session.handle_timeout(now.mono).map_err(Reject::from)?;
        let exporter = up.exporter.copied().filter(|_| !self.config.behind_proxy).unwrap_or_default();
        self.link = Link::Up(Box::new(Connected {
            conn,
            session,
            exporter,
            since: now.mono,
            greeting: Greeting::Hello(None, Reader::default(), now.mono + GREETING_TIME),
            fresh: BTreeMap::new(),
            channels: BTreeMap::new(),
            hub: Box::default(),
        }));
        self.settle();
        Ok(conn)
    }

    fn handle_bytes(&mut self, now: Now, conn: Conn, bytes: &[u8]) -> Result<usize, Reject> {
        self.now = now.mono;
        let Link::Up(up) = &mut self.link else { return Err(Reject::Unrequested) };
        if up.conn != conn {
            return Err(Reject::Unrequested);
        }
        if let Err(error) = up.session.handle_bytes(now.mono, bytes) {
            self.orders.withdraw(conn);
            self.lost(now.mono, Lost::Session(error));
            return Err(error.into());
        }
        self.serve(now.mono);
        Ok(bytes.len())
    }

    fn handle_end(&mut self, now: Now, conn: Conn, end: End) {
        self.now = now.mono;
        let ours = match &self.link {
            Link::Dialling(dialled) => *dialled == conn,
            Link::Up(up) => up.conn == conn,
            Link::Waiting(_) => false,
        };
        if !ours {
            return;
        }
        self.orders.withdraw(conn);
        if end.is_last() {
            self.lost(now.mono, Lost::Connection(end));
        } else {
            self.abort(now.mono, Lost::Connection(end));
        }
    }

    fn poll_order(&mut self, now: Now) -> Option<Order<'_>> {
        self.now = now.mono;
        let (conn, kind) = self.orders.pop()?;
        Some(match kind {
            OrderKind::Write => Order::Write(conn),
            OrderKind::Finish => Order::Finish(conn),
            OrderKind::Abort => Order::Abort(conn),
            OrderKind::Dial => Order::Dial(
                conn,
                Endpoint {
                    host: &self.config.host,
                    port: self.config.port,
                    family: Family::Any,
                    security: self.config.security,
                },
            ),
        })
    }

    fn poll_bytes(&mut self, now: Now, conn: Conn, out: &mut [u8]) -> usize {
        self.now = now.mono;
        let Link::Up(up) = &mut self.link else { return 0 };
        if up.conn != conn {
            return 0;
        }
        let len = up.session.poll_bytes(now.mono, out);
        if up.session.has_events() {
            self.serve(now.mono);
        }
        len
    }
}
