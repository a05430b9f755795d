//! What is sent to a peer: hellos, messages, acknowledgements, over which brokers and when.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use sluis_core::time::Duration;
use sluis_core::{Instant, Now};

use super::machine::{Rendezvous, pool_of};
use super::peer::{Asked, Hello, Peer, PlainSend};
use super::plain::OUR_ACK;
use super::{Event, NotDelivered};
use crate::broker::Broker;
use crate::delivery::{Reach, Record};
use crate::envelope::{Content, Kind};
use crate::key::{PublicKey, SecretKey};
use crate::sealed::{Offer, Session};

/// A session that finds no echo for so long is followed by a new one.
const NO_ECHO: Duration = Duration::from_secs(2);
/// How long a peer is taken for one of the reference before it is asked again.
pub(super) const REFERENCE_LIFE: Duration = Duration::from_secs(3600);
/// So many messages in the clear are under way to a peer at once: it takes them one by one, hundreds of times slower than we do, and what it
/// has not come to would only be sent to it again.
pub(super) const PLAIN_WINDOW: usize = 16;
/// The most messages in the clear that were given up and whose acknowledgement would still be said.
const MOST_LATE: usize = 256;

/// How a peer is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Sealed,
    Plain,
    /// It reads only what is in the clear, and nothing is sent to it so.
    Refused,
}

impl Rendezvous {
    /// Do what is due for a peer.
    pub(super) fn drive(&mut self, now: Now, key: &PublicKey) {
        self.give_up(now.mono, key);
        self.tell_due(now, key);
        let Some(peer) = self.peers.get_mut(key) else {
            self.active.remove(key);
            return;
        };
        if peer.end_probe(|until| until <= now.mono) {
            self.events.push_back(Event::Unanswered { peer: *key });
        }
        if peer.sender.in_flight() == 0 && peer.more.probe.is_none() {
            if peer.more.tell.is_none() {
                self.active.remove(key);
            }
            peer.set_waits(false);
            if let Some(hello) = peer.take_hello() {
                self.cancel(hello.ticket);
            }
            return;
        }
        let silent =
            peer.more.unanswered.is_some_and(|since| now.mono.saturating_since(since) >= NO_ECHO.max(peer.rtt() * 3));
        let spent = peer.session.as_ref().is_none_or(|session| session.is_spent(now.mono));
        if let Some(clear) = peer.in_clear() {
            clear.reference.take_if(|until| *until <= now.mono);
        }
        let (probes, reference) = (peer.more.probe.is_some(), peer.reference().is_some());
        let way = match reference && spent {
            false => Way::Sealed,
            true if self.pins.allow_plain(key, &self.config.legacy) => Way::Plain,
            true => Way::Refused,
        };
        let waits = spent && way == Way::Sealed;
        peer.set_waits(waits);
        if silent || probes || waits {
            self.say_hello(now, key);
        } else if let Some(hello) = peer.take_hello() {
            // The session that was given up on works after all.
            self.cancel(hello.ticket);
        }
        match way {
            Way::Sealed if spent => {}
            Way::Sealed => self.send_due(now, key),
            Way::Plain => self.send_plain_due(now, key),
            Way::Refused => {
                self.refuse_all(key);
                // It may run something else when it is spoken to the next time.
                if let Some(clear) = self.peers.get_mut(key).and_then(Peer::in_clear) {
                    clear.reference = None;
                }
            }
        }
    }

    /// End all sends to a peer that cannot read them.
    fn refuse_all(&mut self, key: &PublicKey) {
        while let Some(number) = self.peers.get(key).and_then(|peer| peer.sender.first()) {
            self.refuse(key, number, NotDelivered::Refused);
        }
    }

    /// End a send at once.
    fn refuse(&mut self, key: &PublicKey, number: u64, why: NotDelivered) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.take_plain(number);
        let ticket = peer.take_ticket(number);
        if peer.sender.refuse(number) {
            self.events.push_back(Event::Sent { to: *key, number, outcome: Err(why) });
        }
        ticket.into_iter().for_each(|ticket| self.cancel(ticket));
    }

    /// A peer turns out to be one of ours: what was sent to it in the clear is not sent again in another way, or it might come twice.
    pub(super) fn end_plain(&mut self, key: &PublicKey) {
        let Some(peer) = self.peers.get(key) else { return };
        let sends = peer.more.clear.iter().flat_map(|clear| clear.sends.keys());
        let numbers: Vec<u64> = sends.copied().collect();
        numbers.into_iter().for_each(|number| self.refuse(key, number, NotDelivered::NoAck));
    }

    /// Send the messages whose turn it is, in the clear.
    fn send_plain_due(&mut self, now: Now, key: &PublicKey) {
        loop {
            let Some(peer) = self.peers.get_mut(key) else { return };
            let rtt = peer.rtt();
            let Some(sent) = peer.sender.poll(now.mono, rtt, PLAIN_WINDOW) else { return };
            if !crate::text::survives(&sent.body) {
                self.refuse(key, sent.number, NotDelivered::Mangled);
                continue;
            }
            let open = peer.sender.in_flight();
            let clear = peer.clear();
            let plain = match clear.sends.get(&sent.number) {
                Some(plain) => *plain,
                None => {
                    let maybe_dropped = clear.texts.say(now.mono, crate::text::content_hash(&sent.body));
                    let mut queue = [0; 32];
                    self.rng.fill(&mut queue);
                    let plain = PlainSend { queue, maybe_dropped };
                    clear.sends.insert(sent.number, plain);
                    plain
                }
            };
            // Those that were given up long ago are forgotten.
            while clear.sends.len() > open + MOST_LATE {
                clear.sends.pop_first();
            }
            let ticket = peer.ticket(sent.number, &mut self.next_ticket);
            // Stamped anew each time: a peer takes nothing that is older than two minutes.
            let (kind, timestamp) = (Kind::Message as u8, seconds(now));
            let content = Content { queue: plain.queue, seq: 0, timestamp, kind, body: &sent.body };
            let Some(envelope) = signed(&content, &self.config.key) else { return };
            peer.await_echo(now.mono);
            let mut brokers = core::mem::take(&mut self.buffers.brokers);
            peer.brokers(key, pool_of(&self.config), sent.reach, &mut brokers);
            self.spread(now.mono, key, &brokers, &envelope, ticket);
            self.buffers.brokers = brokers;
        }
    }

    /// Acknowledge a message in the clear, over the brokers over which it came: the reference hears it nowhere else.
    pub(super) fn acknowledge_plain(&mut self, now: Now, key: (PublicKey, [u8; 32], u32), brokers: &[usize]) {
        let (to, queue, seq) = key;
        let (kind, timestamp) = (Kind::Ack as u8, seconds(now));
        let Some(ack) = signed(&Content { queue, seq, timestamp, kind, body: OUR_ACK }, &self.config.key) else {
            return;
        };
        for at in brokers {
            self.next_ticket += 1;
            let ticket = self.next_ticket;
            if let Some(broker) = self.broker(*at) {
                // What finds no room is asked for again by a copy.
                let _ = broker.publish(&to, ack.clone(), ticket);
            }
        }
    }

    pub(super) fn give_up(&mut self, now: Instant, key: &PublicKey) {
        let none_up = !self.spots.iter().any(|spot| spot.broker.as_ref().is_some_and(Broker::is_joined));
        while let Some(peer) = self.peers.get_mut(key)
            && let Some(number) = peer.sender.poll_given_up(now)
        {
            let ticket = peer.take_ticket(number);
            let why = if none_up { NotDelivered::NoBroker } else { NotDelivered::NoAck };
            self.events.push_back(Event::Sent { to: *key, number, outcome: Err(why) });
            ticket.into_iter().for_each(|ticket| self.cancel(ticket));
        }
    }

    /// Send the messages whose turn it is, sealed.
    pub(super) fn send_due(&mut self, now: Now, key: &PublicKey) {
        loop {
            let Some(peer) = self.peers.get_mut(key) else { return };
            let rtt = peer.rtt();
            let Some(sent) = peer.sender.poll(now.mono, rtt, usize::MAX) else { return };
            let ticket = peer.ticket(sent.number, &mut self.next_ticket);
            let epoch = peer.sender.epoch();
            let record = Record::Message {
                epoch,
                number: sent.number,
                oldest: sent.oldest,
                said: millis(now).saturating_sub(age(now.mono, sent.since)),
                ordered: sent.ordered,
                body: &sent.body,
            };
            let Some(packet) = peer.session.as_mut().and_then(|session| self.buffers.seal(now.mono, session, &record))
            else {
                return;
            };
            peer.await_echo(now.mono);
            let mut brokers = core::mem::take(&mut self.buffers.brokers);
            peer.brokers(key, pool_of(&self.config), sent.reach, &mut brokers);
            self.want(now.mono, key, sent.reach, &brokers);
            self.spread(now.mono, key, &brokers, &packet, ticket);
            self.buffers.brokers = brokers;
        }
    }

    /// Ask for a session, or ask again.
    pub(super) fn say_hello(&mut self, now: Now, key: &PublicKey) {
        let Self { config, rng, next_ticket, peers, .. } = self;
        let Some(peer) = peers.get_mut(key) else { return };
        if peer.more.hello.is_none() {
            let Ok(offer) = Offer::new(&config.key, *key, SecretKey::generate(rng)) else { return };
            *next_ticket += 1;
            let (since, due, asked) = (now.mono, now.mono, Asked::default());
            peer.more.hello = Some(Box::new(Hello { offer, asked, ticket: *next_ticket, since, times: 0, due }));
        }
        let rtt = peer.rtt();
        let Some(hello) = peer.hello().filter(|hello| hello.due <= now.mono) else { return };
        let reach = hello.reach();
        let wait = Duration::from_millis(300 << hello.times.saturating_sub(1).min(4)).max(rtt * 2);
        hello.times = hello.times.saturating_add(1);
        hello.due = now.mono + wait;
        let mut brokers = Vec::new();
        peer.brokers(key, pool_of(config), reach, &mut brokers);
        self.want(now.mono, key, reach, &brokers);
        let mut queue = [0; 32];
        self.rng.fill(&mut queue);
        if let Some(hello) = self.peers.get_mut(key).and_then(Peer::hello) {
            hello.asked.push(queue, &brokers);
        }
        self.copy_hello(now, key, queue, &brokers);
    }

    /// A broker is joined: if a hello went there before it was, it goes there now. No other broker has to hear of that.
    pub(super) fn say_hello_at(&mut self, now: Now, key: &PublicKey, at: usize) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let Some(reach) = peer.hello().and_then(|hello| hello.last_reach()) else { return };
        let mut brokers = Vec::new();
        peer.brokers(key, pool_of(&self.config), reach, &mut brokers);
        if brokers.contains(&at)
            && let Some(queue) = peer.hello().and_then(|hello| hello.asked.add(at))
        {
            self.copy_hello(now, key, queue, &[at]);
        }
    }

    /// Publish a copy of the hello that is under way.
    fn copy_hello(&mut self, now: Now, key: &PublicKey, queue: [u8; 32], brokers: &[usize]) {
        let Self { config, peers, .. } = self;
        let Some(hello) = peers.get_mut(key).and_then(Peer::hello) else { return };
        // Each copy is stamped anew: by the stamps of peers a wrong clock is found.
        let (kind, timestamp) = (Kind::Probe as u8, seconds(now));
        let content = Content { queue, seq: 0, timestamp, kind, body: hello.offer.body() };
        let ticket = hello.ticket;
        let Some(envelope) = signed(&content, &config.key) else { return };
        self.spread(now.mono, key, brokers, &envelope, ticket);
    }

    /// Where nothing reaches a peer any more that was heard before: each side may rest from brokers that the other one is at, and neither hears
    /// so.
    fn want(&mut self, now: Instant, key: &PublicKey, reach: Reach, brokers: &[usize]) {
        let was_heard = self.peers.get(key).is_some_and(|peer| peer.last_heard_at().is_some());
        if reach != Reach::All || !was_heard {
            return;
        }
        for at in brokers {
            if let Some(broker) = self.broker(*at) {
                broker.want(now);
            }
        }
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
        while let Some((key, brokers)) = self.plain.poll_ack() {
            self.acknowledge_plain(now, key, &brokers);
        }
        let mut numbers = core::mem::take(&mut self.buffers.numbers);
        while let Some((to, epoch)) = self.inbox.poll_acks_into(&mut numbers) {
            let Some(peer) = self.peers.get_mut(&to) else { continue };
            let record = Record::Ack { epoch, numbers: &numbers };
            // Without a session, or a broker, nothing is lost: a copy of the message asks again.
            let Some(packet) = peer.session.as_mut().and_then(|session| self.buffers.seal(now.mono, session, &record))
            else {
                continue;
            };
            let at = peer.last_heard_at();
            self.next_ticket += 1;
            let ticket = self.next_ticket;
            if let Some(broker) = at.and_then(|at| self.broker(at)) {
                let _ = broker.publish(&to, packet, ticket);
            }
        }
        self.buffers.numbers = numbers;
    }
}

/// Memory that is kept from packet to packet, in bytes.
const KEPT: usize = 4096;

/// So many packets are kept to be used again, of so many bytes at most.
const SPARE: usize = 8;
const SPARE_BYTES: usize = 2048;

/// Where packets are made. Brokers share each; one that all of them have written is used again for the next of its length.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    body: Vec<u8>,
    packet: Vec<u8>,
    spare: VecDeque<Arc<[u8]>>,
    pub(super) brokers: Vec<usize>,
    pub(super) numbers: Vec<[u8; 8]>,
}

impl Buffers {
    /// A record as a packet.
    pub(super) fn seal(&mut self, now: Instant, session: &mut Session, record: &Record<'_>) -> Option<Arc<[u8]>> {
        let len = record.body_len();
        self.body.resize(len, 0);
        record.write(&mut self.body)?;
        self.packet.resize(session.next_len(len), 0);
        let sealed = session.seal(now, record.kind(), &record.id(), &self.body, &mut self.packet);
        let packet = sealed.is_ok().then(|| self.shared());
        for buffer in [&mut self.body, &mut self.packet] {
            buffer.truncate(KEPT);
            buffer.shrink_to(KEPT);
        }
        packet
    }

    /// Nothing is sent now: give back what was to be used again.
    pub(super) fn rest(&mut self) {
        self.spare.clear();
    }

    /// The packet, to be shared.
    fn shared(&mut self) -> Arc<[u8]> {
        let Self { packet, spare, .. } = self;
        let is_free = |old: &mut Arc<[u8]>| old.len() == packet.len() && Arc::get_mut(old).is_some();
        let free = spare.iter_mut().position(is_free);
        if let Some(old) = free.and_then(|at| spare.get_mut(at)) {
            Arc::get_mut(old).into_iter().for_each(|bytes| bytes.copy_from_slice(packet));
            return old.clone();
        }
        let new: Arc<[u8]> = Arc::from(&**packet);
        if new.len() <= SPARE_BYTES {
            spare.truncate(SPARE - 1);
            spare.push_front(new.clone());
        }
        new
    }
}

pub(super) fn signed(content: &Content<'_>, key: &SecretKey) -> Option<Arc<[u8]>> {
    let mut out = alloc::vec![0; content.envelope_len()];
    content.sign(key, &mut out).ok()?;
    Some(out.into())
}

/// The wall clock in seconds since 1970.
pub(super) fn seconds(now: Now) -> u64 {
    millis(now) / 1000
}

/// The wall clock in milliseconds since 1970.
fn millis(now: Now) -> u64 {
    u64::try_from(now.wall.as_micros() / 1000).unwrap_or_default()
}

fn age(now: Instant, since: Instant) -> u64 {
    u64::try_from(now.saturating_since(since).as_millis()).unwrap_or(u64::MAX)
}
