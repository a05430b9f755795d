//! The machine of one connection.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use sluis_core::time::Duration;
use sluis_core::{Instant, Rng};

use super::backoff::{Backoff, jitter};
use super::outbox::Outbox;
use super::{End, Left, PublishError, Settings};
use crate::key::{PUBLIC_LEN, PublicKey};
use crate::mqtt::{Connect, EncodeError, Packet, Publish, Qos, Reader, encode};

/// The packet id of the subscription: the first of every connection.
const SUBSCRIPTION: u16 = 1;
/// Acknowledgements that wait to be written, in bytes: until some are, nothing more is read.
const MAX_CONTROL: usize = 4096;
/// Memory that is kept for packets that do not fit into the caller's buffer at once, in bytes.
const KEPT: usize = 4096;
/// A machine that was not called for so much longer than it asked for has slept.
const OVERSLEPT: Duration = Duration::from_secs(5);
/// The shortest time that is given to a broker after a gap.
const SHORTEST: Duration = Duration::from_millis(250);

/// What whoever runs the connection is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Open a stream; then [`handle_up`](Broker::handle_up) or [`handle_end`](Broker::handle_end).
    Dial,
    /// Drop the stream at once. Nothing of it is to be told to the machine any more.
    Abort,
    /// Write what [`poll_bytes`](Broker::poll_bytes) still gives, then drop the stream. It is the last order.
    Finish,
}

/// What a broker said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// It let us in and we hear our topic; the time from CONNECT to CONNACK.
    Joined(Duration),
    /// A message on our topic. It may be a copy, and may be from anybody.
    Message(&'a [u8]),
    /// It has a message of ours. That says nothing of who it is for.
    Taken {
        /// Under which it was [published](Broker::publish).
        ticket: u64,
    },
}

/// What was dropped without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages on topics that are not ours.
    pub foreign_topics: u64,
    /// Acknowledgements of what was not sent.
    pub unknown_ids: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resting { until: Instant },
    Dialling { until: Instant },
    Connecting { until: Instant, since: Instant },
    Subscribing { until: Instant },
    Joined { since: Instant },
    Closing,
    Closed,
}

/// A broker that is joined and stays joined.
#[derive(Debug)]
pub struct Broker {
    /// Apart from the rest, because what it lends goes to the caller.
    reader: Reader,
    link: Link,
}

impl Broker {
    /// Join a broker under our key, for the first time within `spread` from now: a random part of it is waited.
    #[must_use]
    pub fn new(settings: Settings, key: &PublicKey, mut rng: Rng, now: Instant, spread: Duration) -> Self {
        let until = now + jitter(&mut rng, spread);
        let reader = Reader::new(settings.max_packet);
        let link = Link {
            settings,
            topic: key.to_hex(),
            rng,
            state: State::Resting { until },
            backoff: Backoff::default(),
            others_up: false,
            dial: false,
            abort: false,
            finish: false,
            outbox: Outbox::new(),
            control: Vec::new(),
            current: Vec::new(),
            written: 0,
            heard: now,
            spoke: now,
            asked: None,
            called: now,
            rtt: Duration::ZERO,
            counts: Counts::default(),
        };
        Self { reader, link }
    }

    /// Whether messages can be published and are heard.
    #[must_use]
    pub const fn is_joined(&self) -> bool {
        self.link.is_joined()
    }

    /// Whether it was left for good and its stream is gone.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.link.state, State::Closed)
    }

    /// The last round trip that was measured; zero before the first.
    #[must_use]
    pub const fn rtt(&self) -> Duration {
        self.link.rtt
    }

    /// What was dropped without a word.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.link.counts
    }

    /// Say whether other brokers of the same set are joined: then nobody is in a hurry when this one is lost.
    pub const fn set_others_up(&mut self, up: bool) {
        self.link.others_up = up;
    }

    /// Send a message to a key. It leaves in its turn at the broker's pace, unless it is [taken back](Self::cancel) before.
    ///
    /// # Errors
    /// [`PublishError`]: nothing was kept.
    pub fn publish(&mut self, to: &PublicKey, payload: Arc<[u8]>, ticket: u64) -> Result<(), PublishError> {
        if !self.is_joined() {
            return Err(PublishError::NotJoined);
        }
        self.link.outbox.push(&self.link.settings, to, payload, ticket)
    }

    /// Take back what waits under a ticket. What is written is under way. Says whether anything waited.
    pub fn cancel(&mut self, ticket: u64) -> bool {
        self.link.outbox.cancel(ticket)
    }

    /// Leave for good. What was queued and not written is gone.
    pub fn close(&mut self) {
        self.link.close();
    }

    /// The stream is up.
    pub fn handle_up(&mut self, now: Instant) {
        self.reader = Reader::new(self.link.settings.max_packet);
        self.link.up(now);
    }

    /// Bytes came. What was used of them is said, and the next thing that the broker said, if it is complete; call again with the rest.
    /// When nothing is used and nothing said, write first: there is too much to acknowledge.
    ///
    /// # Errors
    /// [`Left`]: the connection is no more, and an [`Order::Abort`] waits.
    pub fn handle_bytes<'a>(&'a mut self, now: Instant, bytes: &'a [u8]) -> Result<(usize, Option<Event<'a>>), Left> {
        let Self { reader, link } = self;
        link.called = now;
        if !link.is_up() {
            return Ok((bytes.len(), None));
        }
        if link.control.len() >= MAX_CONTROL {
            return Ok((0, None));
        }
        match reader.read(bytes) {
            Ok((Some(packet), taken)) => link.packet(now, packet).map(|event| (taken, event)),
            Ok((None, taken)) => Ok((taken, None)),
            Err(why) => Err(link.leave(now, Left::Malformed(why))),
        }
    }

    /// The stream is no more, or never was. `None` when that is what was asked for.
    pub fn handle_end(&mut self, now: Instant, end: End) -> Option<Left> {
        let link = &mut self.link;
        link.called = now;
        match link.state {
            State::Resting { .. } | State::Closed => None,
            State::Closing => {
                (link.state, link.finish) = (State::Closed, false);
                None
            }
            _ => {
                let why = link.leave(
                    now,
                    match end {
                        End::Unreachable => Left::Unreachable,
                        End::Ended => Left::Ended,
                        End::Lost => Left::Lost,
                        End::Untrusted => Left::Untrusted,
                    },
                );
                link.abort = false;
                Some(why)
            }
        }
    }

    /// Time has passed. `Some` when the broker was given up for it.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Left> {
        self.link.timeout(now)
    }

    /// When [`handle_timeout`](Self::handle_timeout) or [`poll_bytes`](Self::poll_bytes) has something to do next, what
    /// [waits for the stream](Self::wants_write) aside; `None`: not before something happens. Orders are to be asked for after every
    /// call.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.link.deadline()
    }

    /// Whether [`poll_bytes`](Self::poll_bytes) has something to write now.
    #[must_use]
    pub fn wants_write(&self, now: Instant) -> bool {
        let link = &self.link;
        let due = || link.is_joined() && link.outbox.due(&link.settings).is_some_and(|due| due <= now);
        (link.is_up() || link.state == State::Closing)
            && (!link.current.is_empty() || !link.control.is_empty() || due())
    }

    /// Whether [`poll_order`](Self::poll_order) has one.
    #[must_use]
    pub const fn has_order(&self) -> bool {
        self.link.abort || self.link.dial || self.link.finish
    }

    /// Whether bytes are taken; not while there is too much to acknowledge.
    #[must_use]
    pub fn takes_bytes(&self) -> bool {
        self.link.control.len() < MAX_CONTROL
    }

    /// The next thing to do with the stream.
    pub fn poll_order(&mut self) -> Option<Order> {
        let link = &mut self.link;
        if core::mem::take(&mut link.abort) {
            return Some(Order::Abort);
        }
        if core::mem::take(&mut link.dial) {
            return Some(Order::Dial);
        }
        core::mem::take(&mut link.finish).then_some(Order::Finish)
    }

    /// Write what is to be sent next to the start of `out`, and say how much that is; 0: nothing for now. The packets of a message may be
    /// cut anywhere.
    pub fn poll_bytes(&mut self, now: Instant, out: &mut [u8]) -> usize {
        self.link.write(now, out)
    }

    /// Bytes of heap that are held, without what is queued.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.reader.heap_bytes()
            + self.link.control.capacity()
            + self.link.current.capacity()
            + self.link.outbox.heap_bytes()
    }
}

/// All but the reader.
#[derive(Debug)]
struct Link {
    settings: Settings,
    topic: [u8; 2 * PUBLIC_LEN],
    rng: Rng,
    state: State,
    backoff: Backoff,
    others_up: bool,
    dial: bool,
    abort: bool,
    finish: bool,
    outbox: Outbox,
    /// Packets of the protocol itself, which go before all messages.
    control: Vec<u8>,
    /// A message that is written in part, and how much of it.
    current: Vec<u8>,
    written: usize,
    heard: Instant,
    spoke: Instant,
    /// A PINGREQ that waits for an answer: since when, and until when.
    asked: Option<(Instant, Instant)>,
    called: Instant,
    rtt: Duration,
    counts: Counts,
}

impl Link {
    const fn is_joined(&self) -> bool {
        matches!(self.state, State::Joined { .. })
    }

    const fn is_up(&self) -> bool {
        matches!(self.state, State::Connecting { .. } | State::Subscribing { .. } | State::Joined { .. })
    }

    fn close(&mut self) {
        match self.state {
            State::Closing | State::Closed => {}
            State::Resting { .. } => self.state = State::Closed,
            State::Dialling { .. } => {
                // An order that nobody took needs no other one.
                self.abort = !core::mem::take(&mut self.dial);
                self.state = State::Closed;
            }
            State::Connecting { .. } | State::Subscribing { .. } | State::Joined { .. } => {
                self.outbox.clear();
                self.put(2, encode::disconnect);
                (self.finish, self.state) = (true, State::Closing);
            }
        }
    }

    fn up(&mut self, now: Instant) {
        self.called = now;
        if !matches!(self.state, State::Dialling { .. }) {
            return;
        }
        (self.heard, self.spoke) = (now, now);
        self.state = State::Connecting { until: now + self.settings.patience, since: now };
        let name = client_id(&mut self.rng);
        let Settings { user, password, keep_alive, .. } = &self.settings;
        let connect = Connect {
            client_id: &name,
            clean: true,
            keep_alive: u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX),
            user: user.as_deref(),
            password: password.as_ref().map(|password| password.as_bytes()),
            will: None,
        };
        let room = 64 + connect.user.map_or(0, str::len) + connect.password.map_or(0, <[u8]>::len);
        // Settings that MQTT cannot say leave nothing to write; that ends like a broker that does not answer.
        put(&mut self.control, room, |out| encode::connect(&connect, out));
    }

    /// What a packet means. What does not belong there ends the connection.
    fn packet<'a>(&mut self, now: Instant, packet: Packet<'a>) -> Result<Option<Event<'a>>, Left> {
        self.heard = now;
        // Whatever comes shows that it is there.
        let asked = self.asked.take();
        match (self.state, packet) {
            (State::Connecting { since, .. }, Packet::ConnAck { session_present: false, code: 0 }) => {
                self.rtt = now.saturating_since(since);
                self.state = State::Subscribing { until: now + self.settings.patience };
                self.subscribe();
                Ok(None)
            }
            (State::Connecting { .. }, Packet::ConnAck { code, .. }) if code != 0 => {
                Err(self.leave(now, Left::Refused(code)))
            }
            (State::Subscribing { .. }, Packet::SubAck { id: SUBSCRIPTION, codes }) => match codes {
                [1] => {
                    self.state = State::Joined { since: now };
                    Ok(Some(Event::Joined(self.rtt)))
                }
                [code] => Err(self.leave(now, Left::SubscriptionRefused(*code))),
                _ => Err(self.leave(now, Left::Protocol)),
            },
            (State::Subscribing { .. } | State::Joined { .. }, Packet::Publish(publish)) => Ok(self.message(&publish)),
            (State::Subscribing { .. } | State::Joined { .. }, Packet::PubAck { id }) => {
                let taken = self.outbox.taken(id);
                if taken.is_none() {
                    self.counts.unknown_ids = self.counts.unknown_ids.saturating_add(1);
                }
                Ok(taken.map(|ticket| Event::Taken { ticket }))
            }
            (State::Subscribing { .. } | State::Joined { .. }, Packet::PingResp) => {
                if let Some((since, _)) = asked {
                    self.rtt = now.saturating_since(since);
                }
                Ok(None)
            }
            // Nothing of a session before can be there, nothing was sent in quality 2, and the rest is for clients to send.
            _ => Err(self.leave(now, Left::Protocol)),
        }
    }

    fn message<'a>(&mut self, publish: &Publish<'a>) -> Option<Event<'a>> {
        if let Some(id) = publish.id {
            self.put(4, |out| encode::puback(id, out));
        }
        if publish.topic.as_bytes() == self.topic {
            return Some(Event::Message(publish.payload));
        }
        self.counts.foreign_topics = self.counts.foreign_topics.saturating_add(1);
        None
    }

    fn subscribe(&mut self) {
        let Self { topic, control, .. } = self;
        // Hex digits.
        let topic = core::str::from_utf8(topic).unwrap_or_default();
        put(control, 16 + topic.len(), |out| encode::subscribe(SUBSCRIPTION, &[(topic, Qos::AtLeastOnce)], out));
    }

    fn timeout(&mut self, now: Instant) -> Option<Left> {
        let slept = now.saturating_since(self.called) > self.settings.keep_alive + OVERSLEPT;
        self.called = now;
        match self.state {
            State::Resting { until } if until <= now => {
                self.dial = true;
                self.state = State::Dialling { until: now + self.settings.patience };
                None
            }
            State::Dialling { until } if until <= now => Some(self.leave(now, Left::DialTimeout)),
            State::Connecting { until, .. } if until <= now => Some(self.leave(now, Left::NoConnAck)),
            State::Subscribing { until } if until <= now => Some(self.leave(now, Left::NoSubAck)),
            State::Joined { .. } if self.owed().is_some_and(|until| until <= now) && !slept => {
                Some(self.leave(now, Left::NoPubAck))
            }
            State::Joined { .. } => self.is_it_there(now, slept),
            _ => None,
        }
    }

    /// Ask a silent broker whether it is there, and give up one that was asked.
    fn is_it_there(&mut self, now: Instant, slept: bool) -> Option<Left> {
        if slept {
            // Whoever slept knows nothing: the broker may have given us up long ago.
            let until = now + (self.rtt * 3).max(SHORTEST);
            self.ask(now, until);
            return None;
        }
        match self.asked {
            Some((_, until)) if until <= now => Some(self.leave(now, Left::Silent)),
            None if self.next_ask() <= now => {
                self.ask(now, now + self.settings.keep_alive);
                None
            }
            _ => None,
        }
    }

    fn ask(&mut self, now: Instant, until: Instant) {
        self.asked = Some((now, until));
        self.put(2, encode::pingreq);
    }

    /// Until when the broker must acknowledge what it was sent.
    fn owed(&self) -> Option<Instant> {
        self.outbox.unanswered_since().map(|since| since + self.settings.keep_alive * 2)
    }

    fn next_ask(&self) -> Instant {
        self.heard.min(self.spoke) + self.settings.keep_alive
    }

    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Resting { until }
            | State::Dialling { until }
            | State::Connecting { until, .. }
            | State::Subscribing { until } => Some(until),
            State::Joined { .. } => {
                let alive = self.asked.map_or_else(|| self.next_ask(), |(_, until)| until);
                // What may leave already waits for the stream, not for time.
                let due = self.outbox.due(&self.settings).filter(|due| *due > self.called);
                [due, self.owed(), Some(alive)].into_iter().flatten().min()
            }
            State::Closing | State::Closed => None,
        }
    }

    /// Rest and try again.
    fn leave(&mut self, now: Instant, why: Left) -> Left {
        let joined = match self.state {
            State::Joined { since } => Some(since),
            _ => None,
        };
        let rest = self.backoff.lost(now, joined, self.others_up, &mut self.rng);
        // An order to dial that nobody took needs none to abort.
        self.abort = !core::mem::take(&mut self.dial);
        self.state = State::Resting { until: now + rest };
        self.outbox.clear();
        (self.control, self.current, self.written) = (Vec::new(), Vec::new(), 0);
        self.asked = None;
        why
    }

    fn write(&mut self, now: Instant, out: &mut [u8]) -> usize {
        if !(self.is_up() || self.state == State::Closing) {
            return 0;
        }
        let mut at = self.write_current(out);
        if self.written < self.current.len() {
            return at;
        }
        // Between two messages.
        let rest = out.get_mut(at..).unwrap_or_default();
        let len = self.control.len().min(rest.len());
        for (to, from) in rest.iter_mut().zip(self.control.drain(..len)) {
            *to = from;
        }
        at += len;
        while self.is_joined() && self.control.is_empty() && at < out.len() {
            let rest = out.get_mut(at..).unwrap_or_default();
            let Some((id, waiting)) = self.outbox.next(&self.settings, now) else { break };
            let publish = Publish {
                topic: core::str::from_utf8(&waiting.topic).unwrap_or_default(),
                payload: &waiting.payload,
                id: Some(id),
                retain: false,
                duplicate: false,
            };
            if let Ok(len) = encode::publish(&publish, rest) {
                at += len;
                continue;
            }
            let room = encode::publish_len(waiting.topic.len(), waiting.payload.len());
            put(&mut self.current, room, |out| encode::publish(&publish, out));
            at += self.write_current(rest);
        }
        if at > 0 {
            self.spoke = now;
        }
        at
    }

    /// The rest of a message that did not fit before.
    fn write_current(&mut self, out: &mut [u8]) -> usize {
        let rest = self.current.get(self.written..).unwrap_or_default();
        let len = rest.len().min(out.len());
        out.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.written += len;
        if self.written == self.current.len() {
            self.written = 0;
            self.current.clear();
            self.current.shrink_to(KEPT);
        }
        len
    }

    fn put(&mut self, room: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>) {
        put(&mut self.control, room, write);
    }
}

/// Append a packet of at most so many bytes.
fn put(buffer: &mut Vec<u8>, room: usize, write: impl FnOnce(&mut [u8]) -> Result<usize, EncodeError>) {
    let start = buffer.len();
    buffer.resize(start + room, 0);
    let len = buffer.get_mut(start..).and_then(|out| write(out).ok()).unwrap_or_default();
    buffer.truncate(start + len);
}

/// A name that no other client has, of letters and digits that every broker takes (3.1.3.1): more than a hundred bits of them.
fn client_id(rng: &mut Rng) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = [0; 22];
    rng.fill(&mut bytes);
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}
