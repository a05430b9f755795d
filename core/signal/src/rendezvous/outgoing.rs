//! What is sent to a peer: hellos, messages, acknowledgements, over which brokers and when.

use alloc::sync::Arc;
use alloc::vec::Vec;

use sluis_core::time::Duration;
use sluis_core::{Instant, Now};

use super::machine::Rendezvous;
use super::peer::Hello;
use super::{Event, NotDelivered};
use crate::broker::Broker;
use crate::delivery::{Reach, Record};
use crate::envelope::{Content, Kind};
use crate::key::{PublicKey, SecretKey};
use crate::sealed::{Offer, Session};

/// A session that finds no echo for so long is followed by a new one.
const NO_ECHO: Duration = Duration::from_secs(2);

impl Rendezvous {
    /// Do what is due for a peer.
    pub(super) fn drive(&mut self, now: Now, key: &PublicKey) {
        self.give_up(now.mono, key);
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.probe.take_if(|until| *until <= now.mono).is_some() {
            self.events.push_back(Event::Unanswered { peer: *key });
        }
        if peer.sender.in_flight() == 0 && peer.probe.is_none() {
            if let Some(hello) = peer.hello.take() {
                self.cancel(hello.ticket);
            }
            self.active.remove(key);
            return;
        }
        let spent = peer.session.as_ref().is_none_or(|session| session.is_spent(now.mono));
        let silent = peer.unanswered.is_some_and(|since| now.mono.saturating_since(since) >= NO_ECHO.max(peer.rtt * 3));
        if spent || silent || peer.probe.is_some() {
            self.say_hello(now, key);
        }
        if !spent {
            self.send_due(now, key);
        }
    }

    pub(super) fn give_up(&mut self, now: Instant, key: &PublicKey) {
        let none_up = !self.spots.iter().any(|spot| spot.broker.as_ref().is_some_and(Broker::is_joined));
        while let Some(peer) = self.peers.get_mut(key)
            && let Some(number) = peer.sender.poll_given_up(now)
        {
            let ticket = peer.tickets.remove(&number);
            let why = if none_up { NotDelivered::NoBroker } else { NotDelivered::NoAck };
            self.events.push_back(Event::Sent { to: *key, number, outcome: Err(why) });
            ticket.into_iter().for_each(|ticket| self.cancel(ticket));
        }
    }

    /// Send the messages whose turn it is, sealed.
    pub(super) fn send_due(&mut self, now: Now, key: &PublicKey) {
        loop {
            let Some(peer) = self.peers.get_mut(key) else { return };
            let rtt = peer.rtt;
            let Some(sent) = peer.sender.poll(now.mono, rtt) else { return };
            let ticket = *peer.tickets.entry(sent.number).or_insert_with(|| {
                self.next_ticket += 1;
                self.next_ticket
            });
            let epoch = peer.sender.epoch();
            let record = Record::Message {
                epoch,
                number: sent.number,
                oldest: sent.oldest,
                ordered: sent.ordered,
                body: &sent.body,
            };
            let Some(packet) = peer.session.as_mut().and_then(|session| sealed(now.mono, session, &record)) else {
                return;
            };
            peer.unanswered.get_or_insert(now.mono);
            let brokers = peer.brokers(sent.reach);
            self.spread(now.mono, key, &brokers, &packet, ticket);
        }
    }

    /// Ask for a session, or ask again.
    pub(super) fn say_hello(&mut self, now: Now, key: &PublicKey) {
        let Self { config, rng, next_ticket, peers, .. } = self;
        let Some(peer) = peers.get_mut(key) else { return };
        if peer.hello.is_none() {
            let Ok(offer) = Offer::new(&config.key, *key, SecretKey::generate(rng)) else { return };
            let mut queue = [0; 32];
            rng.fill(&mut queue);
            let content =
                Content { queue, seq: 0, timestamp: seconds(now), kind: Kind::Probe as u8, body: offer.body() };
            let Some(envelope) = signed(&content, &config.key) else { return };
            *next_ticket += 1;
            let (since, due) = (now.mono, now.mono);
            peer.hello = Some(Hello { offer, queue, envelope, ticket: *next_ticket, since, times: 0, due });
        }
        let rtt = peer.rtt;
        let Some(hello) = peer.hello.as_mut().filter(|hello| hello.due <= now.mono) else { return };
        let reach = match hello.times {
            0 => Reach::Near,
            1 => Reach::Wider,
            _ => Reach::All,
        };
        let wait = Duration::from_millis(300 << hello.times.saturating_sub(1).min(4)).max(rtt * 2);
        hello.times = hello.times.saturating_add(1);
        hello.due = now.mono + wait;
        let (envelope, ticket) = (hello.envelope.clone(), hello.ticket);
        let brokers = peer.brokers(reach);
        self.spread(now.mono, key, &brokers, &envelope, ticket);
    }

    /// Publish copies of a packet.
    pub(super) fn spread(&mut self, now: Instant, to: &PublicKey, brokers: &[usize], packet: &Arc<[u8]>, ticket: u64) {
        for at in brokers {
            self.open(now, *at);
            if let Some(broker) = self.broker(*at) {
                // One that waits there already is enough. What does not get in now is sent again when its time comes.
                broker.cancel(ticket);
                let _ = broker.publish(to, packet.clone(), ticket);
            }
        }
    }

    /// Take back what waits under a ticket, at all brokers.
    pub(super) fn cancel(&mut self, ticket: u64) {
        for broker in self.spots.iter_mut().filter_map(|spot| spot.broker.as_mut()) {
            broker.cancel(ticket);
        }
    }

    /// Send the acknowledgements that are owed, where the peers were heard last.
    pub(super) fn acknowledge(&mut self, now: Now) {
        while let Some((to, epoch, numbers)) = self.inbox.poll_acks() {
            let Some(peer) = self.peers.get_mut(&to) else { continue };
            let record = Record::Ack { epoch, numbers: &numbers };
            // Without a session, or a broker, nothing is lost: a copy of the message asks again.
            let Some(packet) = peer.session.as_mut().and_then(|session| sealed(now.mono, session, &record)) else {
                continue;
            };
            let at = peer.last_heard_at();
            self.next_ticket += 1;
            let ticket = self.next_ticket;
            if let Some(broker) = at.and_then(|at| self.broker(at)) {
                let _ = broker.publish(&to, packet, ticket);
            }
        }
    }
}

/// A record as a packet.
fn sealed(now: Instant, session: &mut Session, record: &Record<'_>) -> Option<Arc<[u8]>> {
    let mut body = Vec::new();
    let len = match record {
        Record::Message { body, .. } => 8 + body.len(),
        Record::Ack { numbers, .. } => 8 * numbers.len(),
    };
    body.resize(len, 0);
    record.write(&mut body)?;
    let mut packet = alloc::vec![0; session.next_len(len)];
    session.seal(now, record.kind(), &record.id(), &body, &mut packet).ok()?;
    Some(packet.into())
}

pub(super) fn signed(content: &Content<'_>, key: &SecretKey) -> Option<Arc<[u8]>> {
    let mut out = alloc::vec![0; content.envelope_len()];
    content.sign(key, &mut out).ok()?;
    Some(out.into())
}

/// The wall clock in seconds since 1970.
pub(super) fn seconds(now: Now) -> u64 {
    u64::try_from(now.wall.as_micros() / 1_000_000).unwrap_or_default()
}
