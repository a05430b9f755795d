//! The machine that composes it all.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use sluis_core::time::Duration;
use sluis_core::{Instant, Now, Rng, Seed};

use super::clock::Clocks;
use super::hello::Hellos;
use super::incoming::Unproven;
use super::kept::Keep;
use super::outgoing::{Buffers, seconds};
use super::peer::{Peer, ranking};
use super::peers::Peers;
use super::pins::Pins;
use super::plain::Plain;
use super::streams::Stream;
use super::{Config, Event, Message, MessageKey, PeerName, Place, Turned};
use crate::broker::{Broker, End, Event as Said, Left, Order};
use crate::delivery::{Handed, Inbox, SendError, Sender, SenderLimits};
use crate::faults::Faults;
use crate::key::PublicKey;
use crate::rank::Family;
use crate::row::Row;

/// A connection that only served for sending ends after so long without use.
pub(super) const IDLE: Duration = Duration::from_secs(600);
/// How often what is over is looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// The most events that wait for the application; then bytes wait at the brokers.
const MAX_EVENTS: usize = 4096;

/// A broker of the pool.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) broker: Option<Broker>,
    /// One of those where peers look for us.
    own: bool,
    /// It was joined when peers were told of it last.
    told: bool,
    used: Instant,
    pub(super) stream: Stream,
}

impl Spot {
    /// Whether peers who look for us find us there.
    pub(super) fn is_own_and_joined(&self) -> bool {
        self.own && self.broker.as_ref().is_some_and(Broker::is_joined)
    }
}

/// Messages to keys, over whatever brokers live.
#[derive(Debug)]
pub struct Rendezvous {
    pub(super) config: Config,
    pub(super) rng: Rng,
    pub(super) seed: Seed,
    pub(super) spots: Vec<Spot>,
    pub(super) peers: Peers,
    /// What is held for each peer that is sent to.
    limits: Arc<SenderLimits>,
    /// Peers with something under way.
    pub(super) active: Row<PublicKey, ()>,
    pub(super) hellos: Hellos,
    pub(super) unproven: Unproven,
    /// How many brokers are joined.
    pub(super) up: usize,
    pub(super) inbox: Inbox,
    pub(super) plain: Plain,
    pub(super) pins: Pins,
    pub(super) clocks: Clocks,
    pub(super) keep: Keep,
    pub(super) events: VecDeque<Event>,
    pub(super) turned: [u64; Turned::COUNT],
    pub(super) next_ticket: u64,
    /// Counts how often the set of our own brokers that are joined has changed.
    pub(super) version: u64,
    pub(super) sweep: Instant,
    pub(super) scratch: Vec<u8>,
    pub(super) buffers: Buffers,
    /// When it was called last.
    pub(super) called: Instant,
    pub(super) faults: Faults,
}

impl Rendezvous {
    /// Begin to join the brokers of our own ranking.
    #[must_use]
    pub fn new(config: Config, seed: &Seed, now: Now) -> Self {
        let idle = || Spot { broker: None, own: false, told: false, used: now.mono, stream: Stream::default() };
        let mut tables = seed.fork("rendezvous.tables");
        let inbox = Inbox::new(config.inbox, tables.sip_key());
        let brokers = config.brokers.len();
        let mut this = Self {
            rng: seed.fork("rendezvous"),
            seed: seed.clone(),
            spots: config.brokers.iter().map(|_| idle()).collect(),
            peers: Peers::new(config.peers, tables.sip_key()),
            active: Row::new(),
            hellos: Hellos::new(brokers),
            unproven: Unproven::new(brokers),
            up: 0,
            inbox: if config.keeps { inbox.keeping() } else { inbox },
            plain: Plain::new(seconds(now), config.keeps, brokers),
            pins: Pins::new(tables.sip_key()),
            limits: Arc::new(config.sender),
            clocks: Clocks::default(),
            keep: Keep::default(),
            events: VecDeque::new(),
            turned: [0; Turned::COUNT],
            next_ticket: 0,
            version: 0,
            sweep: now.mono + SWEEP,
            scratch: Vec::new(),
            buffers: Buffers::default(),
            called: now.mono,
            faults: Faults::default(),
            config,
        };
        let key = this.config.key.public();
        for family in [Family::V4, Family::V6] {
            for at in ranking(&key, pool_of(&this.config), family).into_iter().take(this.config.join) {
                this.open(now.mono, at);
                if let Some(spot) = this.spots.get_mut(at) {
                    spot.own = true;
                }
            }
        }
        this
    }

    /// What has passed its cap, if anything has: for simulations that look.
    #[cfg(feature = "sim")]
    #[must_use]
    pub fn over_cap(&self) -> Option<&'static str> {
        let Self { config, peers, hellos, inbox, plain, pins, events, .. } = self;
        let brokers = self.spots.iter().filter_map(|spot| spot.broker.as_ref());
        let caps = [
            ("peers", peers.len() <= config.peers),
            ("epochs", inbox.epochs() <= config.inbox.epochs),
            ("bytes of messages", inbox.waiting_bytes() <= config.inbox.bytes),
            ("hellos", hellos.is_within_cap()),
            ("messages in the clear", plain.is_within_cap()),
            ("pins", pins.is_within_cap(&config.legacy)),
            // Those of sends and of brokers that were left come beside what is heard, and each is of one that there is.
            ("events", events.len() <= MAX_EVENTS + config.sender.in_flight * config.peers + self.spots.len()),
            ("packets for a broker", brokers.into_iter().all(Broker::is_within_cap)),
        ];
        caps.iter().find(|(_, holds)| !holds).map(|(name, _)| *name)
    }

    /// Our public key: where peers reach us.
    #[must_use]
    pub const fn public_key(&self) -> PublicKey {
        self.config.key.public()
    }

    /// Switch a protection off: for simulations that prove that they would notice.
    #[cfg(feature = "sim")]
    pub fn switch_off(&mut self, fault: crate::faults::Fault) {
        self.faults.fault = Some(fault);
        let faults = self.faults;
        self.spots.iter_mut().filter_map(|spot| spot.broker.as_mut()).for_each(|broker| broker.set_faults(faults));
    }

    /// How many of the brokers of our own ranking are joined, and how many there are.
    #[must_use]
    pub fn joined(&self) -> (usize, usize) {
        let own = || self.spots.iter().filter(|spot| spot.own);
        (own().filter(|spot| spot.is_own_and_joined()).count(), own().count())
    }

    /// How often something was turned away for this reason.
    #[must_use]
    pub const fn turned(&self, why: Turned) -> u64 {
        self.turned[why as usize]
    }

    /// Send a message. It is tried for `timeout`, [`MAX_TIMEOUT`](crate::delivery::MAX_TIMEOUT) at most, and ends in an [`Event::Sent`] with the
    /// number that is said here.
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::Full`] also where too many peers are known.
    pub fn send(
        &mut self,
        now: Now,
        to: &PublicKey,
        body: Arc<[u8]>,
        ordered: bool,
        timeout: Duration,
    ) -> Result<u64, SendError> {
        self.called = now.mono;
        let peer = self.peer(now.mono, to).ok_or(SendError::Full)?;
        let number = peer.sender.send(now.mono, body, ordered, timeout)?;
        peer.note_used(now.mono);
        self.active.insert(*to, ());
        self.drive(now, to);
        Ok(number)
    }

    /// Ask whether a peer is there: ends in an [`Event::Answered`] or, after `timeout`, an [`Event::Unanswered`]. One probe of a peer at a
    /// time; another call only moves its end.
    ///
    /// # Errors
    /// [`SendError::Full`]: too many peers are known.
    pub fn probe(&mut self, now: Now, to: &PublicKey, timeout: Duration) -> Result<(), SendError> {
        self.called = now.mono;
        let peer = self.peer(now.mono, to).ok_or(SendError::Full)?;
        peer.more.probe = Some(now.mono + timeout);
        peer.note_used(now.mono);
        self.active.insert(*to, ());
        self.drive(now, to);
        Ok(())
    }

    /// Somebody says that a peer is at a broker: what is sent to it goes there first.
    ///
    /// # Errors
    /// [`SendError::Full`]: too many peers are known.
    pub fn hint(&mut self, now: Now, peer: &PublicKey, broker: usize) -> Result<(), SendError> {
        self.called = now.mono;
        if broker < self.spots.len() {
            self.peer(now.mono, peer).ok_or(SendError::Full)?.hint(broker);
        }
        Ok(())
    }

    /// The application has a message: it is acknowledged, once that is kept where it is to be. Says whether there was one to confirm.
    pub fn confirm(&mut self, now: Now, key: &MessageKey) -> bool {
        self.called = now.mono;
        let known = match *key {
            MessageKey::Sealed { from, epoch, number } => self.inbox.confirm(from, epoch, number),
            MessageKey::Plain { from, queue, seq } => self.plain.confirm((from, queue, seq)),
        };
        self.acknowledge(now);
        known
    }

    /// Take back the memory of a message that the application is done with: the next that comes is put into it, so that messages cost none.
    pub fn take_back(&mut self, body: Vec<u8>) {
        self.inbox.take_back(body);
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front().or_else(|| self.next_message())
    }

    pub(super) fn next_message(&mut self) -> Option<Event> {
        let sealed = self.inbox.poll().map(|handed| {
            let Handed { from, epoch, number, said, broker, body } = handed;
            let name = self.name_of(&from).cloned();
            Message { key: MessageKey::Sealed { from, epoch, number }, name, said, broker, body }
        });
        sealed.or_else(|| self.plain.poll()).map(Event::Message)
    }

    /// Who a peer has proven to be, in the session that is, or the last that was.
    #[must_use]
    pub fn name_of(&self, peer: &PublicKey) -> Option<&PeerName> {
        self.peers.get(peer)?.name.as_deref()
    }

    /// The oldest event of a kind, messages aside.
    #[cfg(feature = "std")]
    pub(super) fn take_event(&mut self, which: impl Fn(&Event) -> bool) -> Option<Event> {
        let at = self.events.iter().position(which)?;
        self.events.remove(at)
    }

    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty() || self.inbox.has_message() || self.plain.has_message()
    }

    /// Whether events of what comes find room.
    pub(super) fn has_room(&self) -> bool {
        self.events.len() < MAX_EVENTS
    }

    /// The next thing to do with the stream of a broker.
    pub fn broker_order(&mut self) -> Option<(usize, Order)> {
        for (at, spot) in self.spots.iter_mut().enumerate() {
            if let Some(order) = spot.broker.as_mut().and_then(Broker::poll_order) {
                return Some((at, order));
            }
            // One that was left is made anew when it is needed again.
            spot.broker.take_if(|broker| broker.is_closed());
        }
        None
    }

    /// The stream of a broker is up.
    pub fn broker_up(&mut self, now: Now, at: usize) {
        if let Some(broker) = self.broker(at) {
            broker.handle_up(now.mono);
        }
    }

    /// Bytes came from a broker; how many of them were used is said. When it is none, write first, or take events.
    pub fn broker_bytes(&mut self, now: Now, at: usize, bytes: &[u8]) -> usize {
        self.called = now.mono;
        let mut used = 0;
        while used < bytes.len() && self.events.len() < MAX_EVENTS {
            let rest = bytes.get(used..).unwrap_or_default();
            // Copied, so that what was said can be worked on while the broker is written to.
            let mut scratch = core::mem::take(&mut self.scratch);
            scratch.clear();
            let Some(broker) = self.broker(at) else { return bytes.len() };
            let said = match broker.handle_bytes(now.mono, rest) {
                Ok((0, None)) => break,
                Ok((taken, said)) => {
                    used += taken;
                    match said {
                        Some(Said::Message(payload)) => {
                            scratch.extend_from_slice(payload);
                            Heard::Message
                        }
                        Some(Said::Joined(rtt)) => Heard::Joined(rtt),
                        Some(Said::Taken { .. }) | None => Heard::Nothing,
                    }
                }
                Err(why) => {
                    used = bytes.len();
                    Heard::Left(why)
                }
            };
            match said {
                Heard::Message => self.message(now, at, &mut scratch),
                Heard::Joined(rtt) => self.came_up(now, at, rtt),
                Heard::Left(reason) => self.went_down(now.mono, at, reason),
                Heard::Nothing => {}
            }
            self.scratch = scratch;
        }
        used
    }

    /// The stream of a broker is no more, or never was.
    pub fn broker_end(&mut self, now: Now, at: usize, end: End) {
        if let Some(reason) = self.broker(at).and_then(|broker| broker.handle_end(now.mono, end)) {
            self.went_down(now.mono, at, reason);
        }
    }

    pub(super) fn time_passes(&mut self, now: Now) {
        self.called = now.mono;
        for at in 0..self.spots.len() {
            let due = |broker: &&mut Broker| broker.deadline().is_some_and(|due| due <= now.mono);
            if let Some(reason) = self.broker(at).filter(due).and_then(|broker| broker.handle_timeout(now.mono)) {
                self.went_down(now.mono, at, reason);
            }
        }
        let active: Vec<PublicKey> = self.active.keys().copied().collect();
        active.iter().for_each(|peer| self.drive(now, peer));
        if self.sweep <= now.mono {
            self.sweep = now.mono + SWEEP;
            self.plain.forget(seconds(now));
            self.forget(now.mono);
        }
    }

    /// When [`handle_timeout`](sluis_core::Machine::handle_timeout) has something to do next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let brokers = self.spots.iter().filter_map(|spot| spot.broker.as_ref()?.deadline());
        let peers = self.active.keys().filter_map(|key| self.peers.get(key)?.deadline());
        brokers.chain(peers).chain([self.sweep]).chain(self.keep.rests_until()).min()
    }

    /// Whether there is something to write to a broker.
    #[must_use]
    pub(crate) fn broker_wants_write(&self, now: Now, at: usize) -> bool {
        self.spots.get(at).and_then(|spot| spot.broker.as_ref()).is_some_and(|broker| broker.wants_write(now.mono))
    }

    /// Write what is to be sent to a broker to the start of `out`; 0: nothing for now.
    pub fn broker_output(&mut self, now: Now, at: usize, out: &mut [u8]) -> usize {
        self.broker(at).map_or(0, |broker| broker.poll_bytes(now.mono, out))
    }

    /// Whether a broker is one of our own ranking.
    #[must_use]
    pub fn is_own(&self, at: usize) -> bool {
        self.spots.get(at).is_some_and(|spot| spot.own)
    }

    /// Whether nothing waits to be written to a broker now.
    #[must_use]
    pub fn is_written(&self, now: Now) -> bool {
        !self.spots.iter().filter_map(|spot| spot.broker.as_ref()).any(|broker| broker.wants_write(now.mono))
    }

    /// Leave all brokers for good; what is not [written](Self::is_written) is gone.
    pub fn leave(&mut self, now: Now) {
        self.called = now.mono;
        for broker in self.spots.iter_mut().filter_map(|spot| spot.broker.as_mut()) {
            broker.close();
        }
    }

    /// Whether all brokers were left, and know it.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.spots.iter().all(|spot| spot.broker.as_ref().is_none_or(Broker::is_closed))
    }

    pub(super) fn broker(&mut self, at: usize) -> Option<&mut Broker> {
        self.spots.get_mut(at)?.broker.as_mut()
    }

    /// Make sure that a broker is joined, or about to be.
    pub(super) fn open(&mut self, now: Instant, at: usize) {
        let key = self.config.key.public();
        let (Some(spot), Some(place)) = (self.spots.get_mut(at), self.config.brokers.get(at)) else { return };
        spot.used = now;
        if spot.broker.is_none() {
            // Of an independent stream each time: no client id comes again.
            let rng = self.seed.fork(&alloc::format!("broker {at} {}", self.rng.u64()));
            let mut broker = Broker::new(place.settings.clone(), &key, rng, now, Duration::ZERO);
            broker.set_faults(self.faults);
            spot.broker = Some(broker);
        }
    }

    pub(super) fn came_up(&mut self, now: Now, at: usize, rtt: Duration) {
        self.events.push_back(Event::Joined { broker: at, rtt });
        self.tell_others(now.mono);
        self.look_at_joined(now.mono);
        let active: Vec<PublicKey> = self.active.keys().copied().collect();
        for key in active {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.sender.hurry(now.mono);
            }
            self.say_hello_at(now, &key, at);
            self.drive(now, &key);
        }
    }

    pub(super) fn went_down(&mut self, now: Instant, at: usize, reason: Left) {
        self.events.push_back(Event::Left { broker: at, reason });
        self.tell_others(now);
        self.look_at_joined(now);
    }

    /// Whether the brokers where peers look for us are others than those of which they were told.
    fn look_at_joined(&mut self, now: Instant) {
        let mut changed = false;
        for spot in &mut self.spots {
            let joined = spot.is_own_and_joined();
            changed |= core::mem::replace(&mut spot.told, joined) != joined;
        }
        if changed {
            self.joined_changed(now);
        }
    }

    /// Nobody hurries who has others.
    pub(super) fn tell_others(&mut self, now: Instant) {
        let up = self.spots.iter().filter_map(|spot| spot.broker.as_ref()).filter(|broker| broker.is_joined()).count();
        self.up = up;
        for broker in self.spots.iter_mut().filter_map(|spot| spot.broker.as_mut()) {
            let others = up > usize::from(broker.is_joined());
            broker.set_others_up(now, others);
        }
    }

    pub(super) fn peer(&mut self, now: Instant, key: &PublicKey) -> Option<&mut Peer> {
        if !self.peers.contains(key) {
            if self.peers.is_full() {
                self.peers.retain(|peer| !peer.is_idle(now));
            }
            // Strangers say hello under as many keys as they like: of those to whom nothing was ever sent, or else of all, whoever was silent for
            // longest makes room. His next packet finds no session, and he begins another; what was handed over of his is known elsewhere.
            if self.peers.is_full() && !self.peers.forget_most_silent(|peer| peer.silent(now)) {
                return None;
            }
            let mut peer = Peer::new(Sender::new(self.rng.u64(), self.limits.clone()), now);
            self.keep.hints_of(key).iter().for_each(|broker| peer.hint(*broker));
            self.peers.insert(*key, peer)?;
        }
        self.peers.get_mut(key)
    }

    /// Leave what serves nobody any more.
    pub(super) fn forget(&mut self, now: Instant) {
        self.hellos.sweep(now);
        self.active.rest();
        if self.active.is_empty() {
            self.buffers.rest();
        }
        self.peers.for_each(|_, peer| peer.rest(now));
        self.inbox.rest(now);
        self.peers.sweep_sessions();
        for spot in self.spots.iter_mut().filter(|spot| !spot.own && now.saturating_since(spot.used) >= IDLE) {
            if let Some(broker) = &mut spot.broker {
                broker.close();
            }
        }
    }
}

/// The brokers where peers look for each other.
pub(super) fn pool_of(config: &Config) -> &[Place] {
    config.brokers.get(..config.pool).unwrap_or(&config.brokers)
}

/// What a broker said, without what it borrows.
enum Heard {
    Nothing,
    Joined(Duration),
    Message,
    Left(Left),
}
