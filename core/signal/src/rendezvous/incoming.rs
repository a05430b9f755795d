//! What comes on our topic: sealed packets, hellos and their answers.

use alloc::vec::Vec;

use sluis_core::Now;
use sluis_core::time::Duration;

use super::machine::Rendezvous;
use super::outgoing::{seconds, signed};
use super::{Event, Turned};
use crate::delivery::{Acked, Received, Record};
use crate::envelope::{Content, Kind, Unverified};
use crate::key::{PublicKey, SecretKey};
use crate::sealed::{Answered, Session, is_hello, our_hello_stands, session_of};

/// How far a stamp may be off, in seconds.
const SKEW: u64 = 120;
/// A round trip is never taken for longer: what was sent several times took longer for other reasons.
const LONGEST_RTT: Duration = Duration::from_secs(5);

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
        let known = self.peers.iter_mut().find_map(|(key, peer)| peer.session_mut(id).map(|_| *key));
        let from = match known {
            Some(from) => from,
            None => self.proven(now, packet)?,
        };
        let peer = self.peers.get_mut(&from).ok_or(Turned::Busy)?;
        let session = peer.session_mut(id).ok_or(Turned::Session)?;
        let opened = session.open(now.mono, packet).map_err(|_| Turned::Unverified)?;
        let record = Record::parse(opened.kind, &opened.id, opened.body).ok_or(Turned::Unverified)?;
        peer.heard(now.mono, at);
        match record {
            Record::Message { epoch, number, oldest, ordered, body } => {
                let received = self.inbox.receive(now.mono, from, epoch, (number, oldest), ordered, body);
                if received.map_err(|_| Turned::Busy)? == Received::Again {
                    self.acknowledge(now);
                }
            }
            Record::Ack { epoch, numbers } => {
                for number in numbers.iter().map(|number| u64::from_be_bytes(*number)) {
                    self.acked(now, &from, epoch, number);
                }
            }
        }
        Ok(())
    }

    /// The first packet of a session that we answered: it shows who asked.
    pub(super) fn proven(&mut self, now: Now, packet: &[u8]) -> Result<PublicKey, Turned> {
        let id = session_of(packet).ok_or(Turned::Session)?;
        let (from, answered) = self.hellos.of_session(id).ok_or(Turned::Session)?;
        let proven = answered.first(&self.config.key, packet, now.mono).map_err(|_| Turned::Unverified)?;
        // The envelope of the hello was signed by the same key, or somebody played it through.
        if proven.session.remote() != from {
            return Err(Turned::Unverified);
        }
        self.hellos.remove(&from);
        self.peer(now.mono, &from).ok_or(Turned::Busy)?;
        self.install(now, &from, proven.session);
        Ok(from)
    }

    /// A new session with a peer: what is under way goes on in it.
    pub(super) fn install(&mut self, now: Now, key: &PublicKey, session: Session) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.before = peer.session.replace(session);
        peer.unanswered = None;
        peer.sender.hurry(now.mono);
        if let Some(hello) = peer.hello.take() {
            self.cancel(hello.ticket);
        }
        self.drive(now, key);
    }

    pub(super) fn acked(&mut self, now: Now, from: &PublicKey, epoch: u64, number: u64) {
        let Some(peer) = self.peers.get_mut(from) else { return };
        let event = match peer.sender.acked(now.mono, epoch, number) {
            Acked::Delivered(after) => {
                peer.rtt = after.min(LONGEST_RTT);
                Event::Sent { to: *from, number, outcome: Ok(after) }
            }
            Acked::Late(after) => Event::Late { to: *from, number, after },
            Acked::Unknown => return,
        };
        let ticket = peer.tickets.remove(&number);
        self.events.push_back(event);
        // The first acknowledgement stops every copy, also those not written yet.
        ticket.into_iter().for_each(|ticket| self.cancel(ticket));
        self.drive(now, from);
    }

    pub(super) fn envelope(&mut self, now: Now, at: usize, payload: &[u8]) -> Result<(), Turned> {
        let parsed = Unverified::parse(payload).map_err(|_| Turned::Unverified)?;
        let content = *parsed.claimed();
        let stamp = seconds(now);
        if content.timestamp.abs_diff(stamp) > SKEW {
            return Err(Turned::Time);
        }
        match Kind::from_byte(content.kind) {
            Some(Kind::Probe) => self.asked(now, at, &parsed),
            Some(Kind::Ack) => self.answer(now, at, &parsed),
            Some(Kind::Message) => Err(Turned::Plain),
            None => Err(Turned::Unverified),
        }
    }

    /// Somebody asks whether we are there, perhaps for a session.
    pub(super) fn asked(&mut self, now: Now, at: usize, parsed: &Unverified<'_>) -> Result<(), Turned> {
        let known = PublicKey::from_bytes(*parsed.claimed_source()).is_ok_and(|from| self.peers.contains_key(&from));
        if !self.hellos.spend(now.mono, known) {
            return Err(Turned::Budget);
        }
        let envelope = parsed.verify().map_err(|_| Turned::Unverified)?;
        let (from, content) = (envelope.source, envelope.content);
        let ours = self.config.key.public();
        if from == ours {
            return Err(Turned::Unasked);
        }
        let Self { config, rng, hellos, peers, .. } = self;
        let crosses = peers.get(&from).is_some_and(|peer| peer.hello.is_some());
        let mut body = Vec::from(*b"ack");
        if is_hello(content.body) {
            if crosses && our_hello_stands(&ours, &from) {
                return Err(Turned::Unasked);
            }
            let answered = match hellos.same(&from, content.body) {
                Some(answered) => answered,
                None => {
                    let answered = Answered::new(&config.key, content.body, SecretKey::generate(rng));
                    let answered = answered.map_err(|_| Turned::Unverified)?;
                    hellos.keep(now.mono, from, content.body, answered).ok_or(Turned::Busy)?
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

    /// The answer to a hello of ours.
    pub(super) fn answer(&mut self, now: Now, at: usize, parsed: &Unverified<'_>) -> Result<(), Turned> {
        let from = PublicKey::from_bytes(*parsed.claimed_source()).map_err(|_| Turned::Unverified)?;
        let peer = self.peers.get_mut(&from).ok_or(Turned::Unasked)?;
        let queue = parsed.claimed().queue;
        let hello = peer.hello.as_mut().filter(|hello| hello.queue == queue).ok_or(Turned::Unasked)?;
        let envelope = parsed.verify().map_err(|_| Turned::Unverified)?;
        let after = now.mono.saturating_since(hello.since);
        let answered = |sealed| Event::Answered { peer: from, sealed, after, broker: at };
        if envelope.content.body == b"ack" {
            // A peer of the reference: what is sealed it cannot read.
            peer.probe = None;
            self.events.push_back(answered(false));
            self.drive(now, &from);
            return Ok(());
        }
        let session = hello.offer.answered(&self.config.key, envelope.content.body, None, now.mono);
        let session = session.map_err(|_| Turned::Unverified)?;
        peer.heard(now.mono, at);
        peer.probe = None;
        self.events.push_back(answered(true));
        self.install(now, &from, session);
        Ok(())
    }
}
