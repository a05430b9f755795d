//! What comes on our topic: sealed packets, hellos and their answers.

use alloc::boxed::Box;
use alloc::vec::Vec;

use sluis_core::Now;
use sluis_core::time::Duration;

use super::budget::Budget;
use super::machine::Rendezvous;
use super::outgoing::{seconds, signed};
use super::peer::Peer;
use super::plain::{OUR_ACK, Taken};
use super::{Delivered, Event, Message, MessageKey, PeerName, Turned};
use crate::delivery::{Acked, Arrived, Received, Record};
use crate::envelope::{Content, Kind, Unverified};
use crate::key::{PublicKey, SecretKey};
use crate::sealed::{Answered, SealedError, Session, is_hello, our_hello_stands, session_of};

/// How far a stamp may be off, in seconds.
pub(super) const SKEW: u64 = 120;
/// The body of an acknowledgement of the reference, and the start of ours.
const ACK: &[u8] = b"ack";
/// A round trip is never taken for longer: what was sent several times took longer for other reasons.
const LONGEST_RTT: Duration = Duration::from_secs(2);
/// From one answer to the next whose signature is looked at, in the long run, and how many at once: those that somebody makes up come for as long as
/// the right one is under way. Checking one takes a tenth of this time or so.
const ANSWERS: (Duration, u32) = (Duration::from_micros(500), 4000);
/// The same of answers beyond those that a copy of a hello may have.
const MORE_ANSWERS: (Duration, u32) = (Duration::from_millis(4), 400);
/// The same of first packets of sessions, which take about as long.
const FIRSTS: (Duration, u32) = (Duration::from_millis(1), 2000);

/// How much of what nobody has proven is looked at.
#[derive(Debug)]
pub(super) struct Unproven {
    answers: Budget,
    more_answers: Budget,
    firsts: Budget,
}

impl Unproven {
    /// Of so many brokers.
    pub(super) fn new(brokers: usize) -> Self {
        let budget = |(interval, burst)| Budget::new(brokers, interval, burst);
        Self { answers: budget(ANSWERS), more_answers: budget(MORE_ANSWERS), firsts: budget(FIRSTS) }
    }
}

impl Rendezvous {
    pub(super) fn turn(&mut self, why: Turned) {
        let count = &mut self.turned[why as usize];
        *count = count.saturating_add(1);
    }

    /// Something came on our topic.
    pub(super) fn message(&mut self, now: Now, at: usize, payload: &mut [u8]) {
        let done = match session_of(payload) {
            Some(_) => self.sealed(now, at, payload),
            None => self.envelope(now, at, payload),
        };
        if let Err(why) = done {
            self.turn(why);
        }
    }

    pub(super) fn sealed(&mut self, now: Now, at: usize, packet: &mut [u8]) -> Result<(), Turned> {
        let id = session_of(packet).ok_or(Turned::Session)?;
        let from = match self.peers.of_session(id) {
            Some(from) => from,
            None => self.proven(now, at, packet)?,
        };
        let peer = self.peers.get_mut(&from).ok_or(Turned::Busy)?;
        let session = peer.session_mut(id).ok_or(Turned::Session)?;
        let opened = session.open(now.mono, packet).map_err(|_| Turned::Unverified)?;
        let record = Record::parse(opened.kind, &opened.id, opened.body).ok_or(Turned::Unverified)?;
        if peer.heard(now.mono, at) && self.config.keeps {
            self.keep.heard(seconds(now), &from, &peer.is_at());
        }
        match record {
            Record::Message { epoch, number, oldest, said, ordered, body } => {
                let arrived = Arrived { from, epoch, number, oldest, ordered, said, broker: at, body };
                let received = self.inbox.receive(now.mono, &arrived).map_err(|_| Turned::Busy)?;
                if received == Received::Again && self.faults.no_dedupe() {
                    let key = MessageKey::Sealed { from, epoch, number };
                    let name = self.name_of(&from).cloned();
                    let message = Message { key, name, said, broker: at, body: body.to_vec() };
                    self.events.push_back(Event::Message(message));
                }
                if self.faults.ack_early() {
                    self.inbox.acknowledge_early(from, epoch, number);
                }
                if received == Received::Again || self.faults.ack_early() {
                    self.acknowledge(now);
                }
            }
            Record::Ack { epoch, numbers } => {
                for number in numbers.iter().map(|number| u64::from_be_bytes(*number)) {
                    self.acked(now, at, &from, (epoch, number), true);
                }
            }
            Record::Joined { epoch, version, body } => return self.told(now, at, &from, (epoch, version), body),
            Record::JoinedHeard { epoch, version } => self.tell_heard(&from, (epoch, version)),
        }
        Ok(())
    }

    /// The first packet of a session that we answered: it shows who asked.
    pub(super) fn proven(&mut self, now: Now, at: usize, packet: &[u8]) -> Result<PublicKey, Turned> {
        let id = session_of(packet).ok_or(Turned::Session)?;
        let Self { hellos, unproven, up, .. } = self;
        let (from, waiting) = hellos.of_session(id).ok_or(Turned::Session)?;
        // Whoever sees the packets of others knows which session begins. What they make up is found out at the price of a sealed packet.
        if !waiting.answered.may_be_first(packet) {
            return Err(Turned::Unverified);
        }
        // Whoever has seen the right one can have us try any number of others that begin as it does.
        if !unproven.firsts.spend(now.mono, at, *up) {
            return Err(Turned::Budget);
        }
        let stamp = waiting.stamp;
        let proven = waiting.answered.first(&self.config.key, packet, now.mono).map_err(|_| Turned::Unverified)?;
        // The envelope of the hello was signed by the same key, or somebody played it through.
        if proven.remote != from {
            return Err(Turned::Unverified);
        }
        let name = proven.name().map(|name| name.map(|name| PeerName { did: name.did.into(), key: name.key }));
        // A signer that fails leaves us without a name.
        let ours = self.config.name.as_ref().and_then(|named| proven.sign_name(named.did(), named.signer()).ok());
        self.hellos.remove(&from);
        self.peer(now.mono, &from).ok_or(Turned::Busy)?.name = name.clone().ok().flatten().map(Box::new);
        if name.is_err() {
            self.turn(Turned::Name);
        }
        self.look_at_clock(now, &from, stamp);
        self.begin_to_tell(now, &from, ours.unwrap_or_default());
        self.install(now, &from, proven.session);
        Ok(from)
    }

    /// A new session with a peer: what is under way goes on in it.
    pub(super) fn install(&mut self, now: Now, key: &PublicKey, session: Session) {
        self.is_ours(key);
        self.end_plain(key);
        let Some(peer) = self.peers.begin_session(key, session) else { return };
        peer.end_silence();
        peer.sender.hurry(now.mono);
        if let Some(hello) = peer.take_hello() {
            self.cancel(hello.ticket);
        }
        self.drive(now, key);
    }

    /// A peer acknowledges a message, by its epoch and number.
    pub(super) fn acked(&mut self, now: Now, at: usize, from: &PublicKey, (epoch, number): (u64, u64), sealed: bool) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        let plain = peer.take_plain(number);
        let event = match peer.sender.acked(now.mono, epoch, number) {
            Acked::Delivered(after) => {
                peer.set_rtt(after.min(LONGEST_RTT));
                let maybe_dropped = !sealed && plain.is_some_and(|plain| plain.maybe_dropped);
                let delivered = Delivered { after, broker: at, sealed, maybe_dropped };
                Event::Sent { to: *from, number, outcome: Ok(delivered) }
            }
            Acked::Late(after) => Event::Late { to: *from, number, after },
            Acked::Unknown => return,
        };
        let ticket = peer.take_ticket(number);
        self.events.push_back(event);
        // The first acknowledgement stops every copy, also those not written yet.
        ticket.into_iter().for_each(|ticket| self.cancel(ticket));
        self.drive(now, from);
    }

    /// A peer has shown that it is one of ours.
    fn is_ours(&mut self, peer: &PublicKey) {
        let keeps = self.config.keeps;
        self.pins.add(*peer, &self.config.legacy, keeps);
        if let Some(clear) = self.peers.get_mut(peer).and_then(Peer::in_clear) {
            clear.reference = None;
        }
    }

    /// A peer that we know stamped something that nobody else can have made just now.
    fn look_at_clock(&mut self, now: Now, peer: &PublicKey, stamp: u64) {
        if (self.peers.contains(peer) || self.config.legacy.names(peer))
            && let Some(ahead) = self.clocks.note(*peer, stamp, seconds(now))
        {
            self.events.push_back(Event::Clock { ahead });
        }
    }

    pub(super) fn envelope(&mut self, now: Now, at: usize, payload: &[u8]) -> Result<(), Turned> {
        let parsed = Unverified::parse(payload).map_err(|_| Turned::Unverified)?;
        match Kind::from_byte(parsed.claimed().kind) {
            // Neither rests on a stamp: an answer is one to what we asked, and a session is proven by its first packet.
            Some(Kind::Probe) => self.asked(now, at, &parsed),
            Some(Kind::Ack) => self.answer(now, at, &parsed),
            Some(Kind::Message) => self.plain_message(now, at, &parsed),
            None => Err(Turned::Unverified),
        }
    }

    /// A message in the clear.
    fn plain_message(&mut self, now: Now, at: usize, parsed: &Unverified<'_>) -> Result<(), Turned> {
        let (content, clock) = (parsed.claimed(), seconds(now));
        let of_our_time = self.plain.takes(content.timestamp, self.config.accept_older);
        if content.timestamp.abs_diff(clock) > SKEW || !of_our_time {
            // Who says so has to be known, and right, before our clock is doubted.
            if let Ok(from) = PublicKey::from_bytes(*parsed.claimed_source())
                && self.pins.allow_plain(&from, &self.config.legacy)
                && self.plain.spend(now.mono, at, self.up)
                && parsed.verify().is_ok()
            {
                self.look_at_clock(now, &from, content.timestamp);
            }
            return Err(Turned::Time);
        }
        let from = PublicKey::from_bytes(*parsed.claimed_source()).map_err(|_| Turned::Unverified)?;
        if !self.pins.allow_plain(&from, &self.config.legacy) && !self.faults.accept_downgrade() {
            return Err(Turned::Plain);
        }
        if !self.plain.spend(now.mono, at, self.up) {
            return Err(Turned::Budget);
        }
        let content = parsed.verify().map_err(|_| Turned::Unverified)?.content;
        let key = (from, content.queue, content.seq);
        match self.plain.receive(clock, key, content.timestamp, content.body, at)? {
            Taken::Again => self.acknowledge_plain(now, key, &[at]),
            Taken::Pending => {}
        }
        self.look_at_clock(now, &from, content.timestamp);
        Ok(())
    }

    /// Somebody asks whether we are there, perhaps for a session.
    pub(super) fn asked(&mut self, now: Now, at: usize, parsed: &Unverified<'_>) -> Result<(), Turned> {
        let place = self.config.brokers.get(at).ok_or(Turned::Busy)?;
        let known = PublicKey::from_bytes(*parsed.claimed_source())
            .is_ok_and(|from| self.peers.contains(&from) || self.pins.knows(&from) || self.config.legacy.names(&from));
        if !self.hellos.spend(now.mono, known, at, self.up, &place.settings) {
            return Err(Turned::Budget);
        }
        let envelope = parsed.verify().map_err(|_| Turned::Unverified)?;
        let (from, content) = (envelope.source, envelope.content);
        let ours = self.config.key.public();
        if from == ours {
            return Err(Turned::Unasked);
        }
        self.look_at_clock(now, &from, content.timestamp);
        let Self { config, rng, hellos, peers, .. } = self;
        let crosses = peers.get(&from).is_some_and(|peer| peer.more.hello.is_some());
        let mut body = OUR_ACK.to_vec();
        if is_hello(content.body) {
            if crosses && our_hello_stands(&ours, &from) {
                return Err(Turned::Unasked);
            }
            let is_older = hellos.is_older(now.mono, &from, content.timestamp);
            let answered = match hellos.same(&from, content.body, content.timestamp) {
                Some(answered) => answered,
                None if is_older => return Err(Turned::Time),
                None => {
                    let answered = Answered::new(&config.key, content.body, SecretKey::generate(rng));
                    let answered = answered.map_err(|_| Turned::Unverified)?;
                    hellos.keep(now.mono, from, (content.body, content.timestamp, at), answered).ok_or(Turned::Busy)?
                }
            };
            body = Vec::from(*answered.body());
        }
        let reply = Content { timestamp: seconds(now), kind: Kind::Ack as u8, body: &body, ..content };
        let reply = signed(&reply, &config.key).ok_or(Turned::Busy)?;
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        if let Some(broker) = self.broker(at) {
            broker.publish(&from, reply, ticket).map_err(|_| Turned::Busy)?;
        }
        Ok(())
    }

    /// The answer to a hello of ours, or to a message in the clear.
    pub(super) fn answer(&mut self, now: Now, at: usize, parsed: &Unverified<'_>) -> Result<(), Turned> {
        let from = PublicKey::from_bytes(*parsed.claimed_source()).map_err(|_| Turned::Unverified)?;
        let Self { peers, unproven, up, .. } = self;
        let peer = peers.get_mut(&from).ok_or(Turned::Unasked)?;
        let queue = parsed.claimed().queue;
        let mut sends = peer.more.clear.iter().flat_map(|clear| clear.sends.iter());
        let plain = sends.find(|(_, plain)| plain.queue == queue).map(|(number, _)| *number);
        let is_one_of_few = match plain {
            Some(_) => true,
            None => peer.hello().and_then(|hello| hello.asked.spend(&queue, at)).ok_or(Turned::Unasked)?,
        };
        let Unproven { answers, more_answers, .. } = unproven;
        let budget = if is_one_of_few { answers } else { more_answers };
        if !budget.spend(now.mono, at, *up) {
            return Err(Turned::Budget);
        }
        let content = parsed.verify().map_err(|_| Turned::Unverified)?.content;
        self.look_at_clock(now, &from, content.timestamp);
        if content.body.starts_with(OUR_ACK) {
            self.is_ours(&from);
        }
        let Some(number) = plain else { return self.answered(now, at, &from, content.body) };
        let peer = self.peers.get_mut(&from).ok_or(Turned::Unasked)?;
        peer.heard(now.mono, at);
        let epoch = peer.sender.epoch();
        self.acked(now, at, &from, (epoch, number), false);
        Ok(())
    }

    /// A peer answered a hello.
    fn answered(&mut self, now: Now, at: usize, from: &PublicKey, body: &[u8]) -> Result<(), Turned> {
        let is_ours = self.pins.knows(from);
        let peer = self.peers.get_mut(from).ok_or(Turned::Unasked)?;
        let hello = peer.hello().ok_or(Turned::Unasked)?;
        let after = now.mono.saturating_since(hello.since);
        let answered = |sealed| Event::Answered { peer: *from, sealed, after, broker: at };
        if body == ACK && !is_ours {
            // A peer of the reference: what is sealed it cannot read.
            peer.end_probe(|_| true);
            let ticket = peer.take_hello().map(|hello| hello.ticket);
            peer.heard(now.mono, at);
            peer.clear().reference = Some(now.mono + super::outgoing::REFERENCE_LIFE);
            peer.sender.hurry(now.mono);
            self.events.push_back(answered(false));
            ticket.into_iter().for_each(|ticket| self.cancel(ticket));
            self.drive(now, from);
            return Ok(());
        }
        let named = self.config.name.as_ref().map(|named| (named.did(), named.signer()));
        let session = match hello.offer.answered(&self.config.key, body, named, now.mono) {
            Ok(session) => session,
            Err(why) => {
                // Our signer failed, which uses the offer up: another one is made.
                let spent = if why == SealedError::Name { peer.take_hello() } else { None };
                spent.into_iter().for_each(|hello| self.cancel(hello.ticket));
                return Err(Turned::Unverified);
            }
        };
        if peer.heard(now.mono, at) && self.config.keeps {
            self.keep.heard(seconds(now), from, &peer.is_at());
        }
        peer.end_probe(|_| true);
        self.events.push_back(answered(true));
        self.begin_to_tell(now, from, Vec::new());
        self.install(now, from, session);
        Ok(())
    }
}
