//! The machine of one broker, as whoever runs its stream sees it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use sluis_core::time::Duration;
use sluis_core::{Instant, Rng};

use super::backoff::{Backoff, jitter};
use super::link::{Link, State};
use super::outbox::Outbox;
use super::{End, Left, PublishError, Settings};
use crate::faults::Faults;
use crate::key::PublicKey;
use crate::mqtt::Reader;

/// Acknowledgements that wait to be written, in bytes: until some are, nothing more is read.
const MAX_CONTROL: usize = 4096;

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
            wanted: None,
            rtt: Duration::ZERO,
            counts: Counts::default(),
            again: false,
            faults: Faults::default(),
        };
        Self { reader, link }
    }

    /// Switch protections off.
    pub(crate) const fn set_faults(&mut self, faults: Faults) {
        self.link.faults = faults;
    }

    /// Whether messages can be published and are heard.
    #[must_use]
    pub const fn is_joined(&self) -> bool {
        self.link.is_joined()
    }

    /// Whether it was left for good and its stream is gone.
    #[must_use]
    pub(crate) const fn is_closed(&self) -> bool {
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
    pub fn set_others_up(&mut self, now: Instant, up: bool) {
        self.link.set_others_up(now, up);
    }

    /// Try soon, where it rests: a peer that was here does not answer elsewhere. Not more often than every five seconds, whoever asks.
    pub(crate) fn want(&mut self, now: Instant) {
        self.link.want(now);
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
    pub(crate) const fn has_order(&self) -> bool {
        self.link.abort || self.link.dial || self.link.finish
    }

    /// Whether bytes are taken; not while there is too much to acknowledge.
    #[must_use]
    pub(crate) fn takes_bytes(&self) -> bool {
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

    /// Whether no more waits than may.
    #[cfg(feature = "sim")]
    pub(crate) fn is_within_cap(&self) -> bool {
        let link = &self.link;
        link.outbox.is_within_cap(&link.settings) && link.control.len() <= MAX_CONTROL + 256
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
