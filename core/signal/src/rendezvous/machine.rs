//! The machine that composes it all.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use sluis_core::time::Duration;
use sluis_core::{Instant, Now, Rng, Seed};

use super::hello::Hellos;
use super::peer::{Hello, Peer, ranking};
use super::{Config, Event, NotDelivered, Turned};
use crate::broker::{Broker, End, Event as Said, Left, Order};
use crate::delivery::{Acked, Inbox, Reach, Received, Record, SendError, Sender};
use crate::envelope::{Content, Kind, Unverified};
use crate::key::{PublicKey, SecretKey};
use crate::rank::Family;
use crate::sealed::{Answered, Offer, Session, is_hello, our_hello_stands, session_of};

/// How far a stamp may be off, in seconds.
const SKEW: u64 = 120;
/// A session that finds no echo for so long is followed by a new one.
const NO_ECHO: Duration = Duration::from_secs(2);
/// A round trip is never taken for longer: what was sent several times took longer for other reasons.
const LONGEST_RTT: Duration = Duration::from_secs(5);
/// A connection that only served for sending ends after so long without use.
const IDLE: Duration = Duration::from_secs(600);
/// How often what is over is looked for.
const SWEEP: Duration = Duration::from_secs(30);
/// The most events that wait for the application; then bytes wait at the brokers.
const MAX_EVENTS: usize = 4096;

/// A broker of the pool.
#[derive(Debug)]
struct Spot {
    broker: Option<Broker>,
    /// One of those where peers look for us.
    own: bool,
    used: Instant,
}

/// Messages to keys, over whatever brokers live.
#[derive(Debug)]
pub struct Rendezvous {
    config: Config,
    rng: Rng,
    seed: Seed,
    spots: Vec<Spot>,
    peers: BTreeMap<PublicKey, Peer>,
    /// Peers with something under way.
    active: BTreeSet<PublicKey>,
    hellos: Hellos,
    inbox: Inbox,
    events: VecDeque<Event>,
    turned: [u64; Turned::COUNT],
    next_ticket: u64,
    sweep: Instant,
    scratch: Vec<u8>,
}

impl Rendezvous {
    /// Begin to join the brokers of our own ranking.
    #[must_use]
    pub fn new(config: Config, seed: &Seed, now: Now) -> Self {
        let idle = || Spot { broker: None, own: false, used: now.mono };
        let mut this = Self {
            rng: seed.fork("rendezvous"),
            seed: seed.clone(),
            spots: config.brokers.iter().map(|_| idle()).collect(),
            peers: BTreeMap::new(),
            active: BTreeSet::new(),
            hellos: Hellos::new(),
            inbox: Inbox::new(config.inbox),
            events: VecDeque::new(),
            turned: [0; Turned::COUNT],
            next_ticket: 0,
            sweep: now.mono + SWEEP,
            scratch: Vec::new(),
            config,
        };
        let key = this.config.key.public();
        for family in [Family::V4, Family::V6] {
            for at in ranking(&key, &this.config.brokers, family).into_iter().take(this.config.join) {
                this.open(now.mono, at);
                if let Some(spot) = this.spots.get_mut(at) {
                    spot.own = true;
                }
            }
        }
        this
    }

    /// Our public key: where peers reach us.
    #[must_use]
    pub const fn public_key(&self) -> PublicKey {
        self.config.key.public()
    }

    /// How many of the brokers of our own ranking are joined, and how many there are.
    #[must_use]
    pub fn joined(&self) -> (usize, usize) {
        let own = || self.spots.iter().filter(|spot| spot.own);
        (own().filter(|spot| spot.broker.as_ref().is_some_and(Broker::is_joined)).count(), own().count())
    }

    /// How often something was turned away for this reason.
    #[must_use]
    pub const fn turned(&self, why: Turned) -> u64 {
        self.turned[why as usize]
    }

    /// Send a message. It is tried for `timeout` and ends in an [`Event::Sent`] with the number that is said here.
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
        let peer = self.peer(now.mono, to).ok_or(SendError::Full)?;
        let number = peer.sender.send(now.mono, body, ordered, timeout)?;
        peer.used = now.mono;
        self.active.insert(*to);
        self.drive(now, to);
        Ok(number)
    }

    /// The application has a message: it is acknowledged. Says whether there was one to confirm.
    pub fn confirm(&mut self, now: Now, from: PublicKey, epoch: u64, number: u64) -> bool {
        let known = self.inbox.confirm(from, epoch, number);
        self.acknowledge(now);
        known
    }

    /// The next event. A message that is taken is to be [confirmed](Self::confirm).
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front().or_else(|| self.inbox.poll().map(Event::Message))
    }

    /// The next thing to do with the stream of a broker.
    pub fn poll_order(&mut self) -> Option<(usize, Order)> {
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
    pub fn handle_up(&mut self, now: Now, at: usize) {
        if let Some(broker) = self.broker(at) {
            broker.handle_up(now.mono);
        }
    }

    /// Bytes came from a broker; how many of them were used is said. When it is none, write first, or take events.
    pub fn handle_bytes(&mut self, now: Now, at: usize, bytes: &[u8]) -> usize {
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
                Heard::Left(reason) => self.went_down(at, reason),
                Heard::Nothing => {}
            }
            self.scratch = scratch;
        }
        used
    }

    /// The stream of a broker is no more, or never was.
    pub fn handle_end(&mut self, now: Now, at: usize, end: End) {
        if let Some(reason) = self.broker(at).and_then(|broker| broker.handle_end(now.mono, end)) {
            self.went_down(at, reason);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        for at in 0..self.spots.len() {
            let due = |broker: &&mut Broker| broker.deadline().is_some_and(|due| due <= now.mono);
            if let Some(reason) = self.broker(at).filter(due).and_then(|broker| broker.handle_timeout(now.mono)) {
                self.went_down(at, reason);
            }
        }
        let active: Vec<PublicKey> = self.active.iter().copied().collect();
        active.iter().for_each(|peer| self.drive(now, peer));
        if self.sweep <= now.mono {
            self.sweep = now.mono + SWEEP;
            self.forget(now.mono);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let brokers = self.spots.iter().filter_map(|spot| spot.broker.as_ref()?.deadline());
        let peers = self.active.iter().filter_map(|key| {
            let peer = self.peers.get(key)?;
            let ends = peer.sender.deadline()?;
            // Without a session nothing is sent but hellos, and what runs out.
            Some(
                peer.hello
                    .as_ref()
                    .map_or(ends, |hello| if peer.session.is_some() { ends.min(hello.due) } else { hello.due }),
            )
        });
        brokers.chain(peers).chain([self.sweep]).min()
    }

    /// Whether there is something to write to a broker.
    #[must_use]
    pub fn wants_write(&self, now: Now, at: usize) -> bool {
        self.spots.get(at).and_then(|spot| spot.broker.as_ref()).is_some_and(|broker| broker.wants_write(now.mono))
    }

    /// Write what is to be sent to a broker to the start of `out`; 0: nothing for now.
    pub fn poll_bytes(&mut self, now: Now, at: usize, out: &mut [u8]) -> usize {
        self.broker(at).map_or(0, |broker| broker.poll_bytes(now.mono, out))
    }

    fn broker(&mut self, at: usize) -> Option<&mut Broker> {
        self.spots.get_mut(at)?.broker.as_mut()
    }

    /// Make sure that a broker is joined, or about to be.
    fn open(&mut self, now: Instant, at: usize) {
        let key = self.config.key.public();
        let (Some(spot), Some(place)) = (self.spots.get_mut(at), self.config.brokers.get(at)) else { return };
        spot.used = now;
        if spot.broker.is_none() {
            // Of an independent stream each time: no client id comes again.
            let rng = self.seed.fork(&alloc::format!("broker {at} {}", self.rng.u64()));
            spot.broker = Some(Broker::new(place.settings.clone(), &key, rng, now, Duration::ZERO));
        }
    }

    fn came_up(&mut self, now: Now, at: usize, rtt: Duration) {
        self.events.push_back(Event::Joined { broker: at, rtt });
        self.tell_others();
        let active: Vec<PublicKey> = self.active.iter().copied().collect();
        for key in active {
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.sender.hurry(now.mono);
                if let Some(hello) = &mut peer.hello {
                    hello.due = now.mono;
                }
            }
            self.drive(now, &key);
        }
    }

    fn went_down(&mut self, at: usize, reason: Left) {
        self.events.push_back(Event::Left { broker: at, reason });
        self.tell_others();
    }

    /// Nobody hurries who has others.
    fn tell_others(&mut self) {
        let up = self.spots.iter().filter_map(|spot| spot.broker.as_ref()).filter(|broker| broker.is_joined()).count();
        for broker in self.spots.iter_mut().filter_map(|spot| spot.broker.as_mut()) {
            let others = up > usize::from(broker.is_joined());
            broker.set_others_up(others);
        }
    }

    fn peer(&mut self, now: Instant, key: &PublicKey) -> Option<&mut Peer> {
        if !self.peers.contains_key(key) {
            if self.peers.len() >= self.config.peers {
                self.peers.retain(|_, peer| !peer.is_idle(now));
            }
            if self.peers.len() >= self.config.peers {
                return None;
            }
            let sender = Sender::new(self.rng.u64(), self.config.sender);
            self.peers.insert(*key, Peer::new(key, &self.config.brokers, sender, now));
        }
        self.peers.get_mut(key)
    }

    /// Do what is due for a peer.
    fn drive(&mut self, now: Now, key: &PublicKey) {
        self.give_up(now.mono, key);
        let Some(peer) = self.peers.get_mut(key) else { return };
        if peer.sender.in_flight() == 0 {
            if let Some(hello) = peer.hello.take() {
                self.cancel(hello.ticket);
            }
            self.active.remove(key);
            return;
        }
        let spent = peer.session.as_ref().is_none_or(|session| session.is_spent(now.mono));
        let silent = peer.unanswered.is_some_and(|since| now.mono.saturating_since(since) >= NO_ECHO.max(peer.rtt * 3));
        if spent || silent {
            self.say_hello(now, key);
        }
        if !spent {
            self.send_due(now, key);
        }
    }

    fn give_up(&mut self, now: Instant, key: &PublicKey) {
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
    fn send_due(&mut self, now: Now, key: &PublicKey) {
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
    fn say_hello(&mut self, now: Now, key: &PublicKey) {
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
    fn spread(&mut self, now: Instant, to: &PublicKey, brokers: &[usize], packet: &Arc<[u8]>, ticket: u64) {
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
    fn cancel(&mut self, ticket: u64) {
        for broker in self.spots.iter_mut().filter_map(|spot| spot.broker.as_mut()) {
            broker.cancel(ticket);
        }
    }

    fn turn(&mut self, why: Turned) {
        let count = &mut self.turned[why as usize];
        *count = count.saturating_add(1);
    }

    /// Something came on our topic.
    fn message(&mut self, now: Now, at: usize, payload: &mut [u8]) {
        let done = match session_of(payload) {
            Some(_) => self.sealed(now, at, payload),
            None => self.envelope(now, at, payload),
        };
        if let Err(why) = done {
            self.turn(why);
        }
    }

    fn sealed(&mut self, now: Now, at: usize, packet: &mut [u8]) -> Result<(), Turned> {
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
    fn proven(&mut self, now: Now, packet: &[u8]) -> Result<PublicKey, Turned> {
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
    fn install(&mut self, now: Now, key: &PublicKey, session: Session) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.before = peer.session.replace(session);
        peer.unanswered = None;
        peer.sender.hurry(now.mono);
        if let Some(hello) = peer.hello.take() {
            self.cancel(hello.ticket);
        }
        self.drive(now, key);
    }

    fn acked(&mut self, now: Now, from: &PublicKey, epoch: u64, number: u64) {
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

    /// Send the acknowledgements that are owed, where the peers were heard last.
    fn acknowledge(&mut self, now: Now) {
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

    fn envelope(&mut self, now: Now, at: usize, payload: &[u8]) -> Result<(), Turned> {
        let parsed = Unverified::parse(payload).map_err(|_| Turned::Unverified)?;
        let content = *parsed.claimed();
        let stamp = seconds(now);
        if content.timestamp.abs_diff(stamp) > SKEW {
            return Err(Turned::Time);
        }
        match Kind::from_byte(content.kind) {
            Some(Kind::Probe) => self.probe(now, at, &parsed),
            Some(Kind::Ack) => self.answer(now, at, &parsed),
            Some(Kind::Message) => Err(Turned::Plain),
            None => Err(Turned::Unverified),
        }
    }

    /// Somebody asks whether we are there, perhaps for a session.
    fn probe(&mut self, now: Now, at: usize, parsed: &Unverified<'_>) -> Result<(), Turned> {
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
    fn answer(&mut self, now: Now, at: usize, parsed: &Unverified<'_>) -> Result<(), Turned> {
        let from = PublicKey::from_bytes(*parsed.claimed_source()).map_err(|_| Turned::Unverified)?;
        let peer = self.peers.get_mut(&from).ok_or(Turned::Unasked)?;
        let queue = parsed.claimed().queue;
        let hello = peer.hello.as_mut().filter(|hello| hello.queue == queue).ok_or(Turned::Unasked)?;
        let envelope = parsed.verify().map_err(|_| Turned::Unverified)?;
        let after = now.mono.saturating_since(hello.since);
        let answered = |sealed| Event::Answered { peer: from, sealed, after, broker: at };
        if envelope.content.body == b"ack" {
            // A peer of the reference: what is sealed it cannot read.
            self.events.push_back(answered(false));
            return Ok(());
        }
        let session = hello.offer.answered(&self.config.key, envelope.content.body, None, now.mono);
        let session = session.map_err(|_| Turned::Unverified)?;
        peer.heard(now.mono, at);
        self.events.push_back(answered(true));
        self.install(now, &from, session);
        Ok(())
    }

    /// Leave what serves nobody any more.
    fn forget(&mut self, now: Instant) {
        self.hellos.sweep(now);
        for spot in self.spots.iter_mut().filter(|spot| !spot.own && now.saturating_since(spot.used) >= IDLE) {
            if let Some(broker) = &mut spot.broker {
                broker.close();
            }
        }
    }
}

/// What a broker said, without what it borrows.
enum Heard {
    Nothing,
    Joined(Duration),
    Message,
    Left(Left),
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

fn signed(content: &Content<'_>, key: &SecretKey) -> Option<Arc<[u8]>> {
    let mut out = alloc::vec![0; content.envelope_len()];
    content.sign(key, &mut out).ok()?;
    Some(out.into())
}

/// The wall clock in seconds since 1970.
fn seconds(now: Now) -> u64 {
    u64::try_from(now.wall.as_micros() / 1_000_000).unwrap_or_default()
}
