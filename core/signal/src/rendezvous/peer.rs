//! What is known of a peer.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

use sluis_core::Instant;
use sluis_core::time::Duration;

use super::outgoing::PLAIN_WINDOW;
use super::plain::Texts;
use super::tell::{Tell, Told};
use super::{PeerName, Place};
use crate::delivery::{Reach, Sender};
use crate::key::PublicKey;
use crate::rank::{self, Candidate, Family};
use crate::row::Row;
use crate::sealed::{Offer, Session, SessionId};
use crate::seconds::Second;

/// A hello of ours that waits for its answer.
#[derive(Debug)]
pub(super) struct Hello {
    pub(super) offer: Offer,
    pub(super) asked: Asked,
    pub(super) ticket: u64,
    pub(super) since: Instant,
    pub(super) times: u32,
    pub(super) due: Instant,
}

impl Hello {
    /// How far the next copy reaches.
    pub(super) const fn reach(&self) -> Reach {
        match self.times {
            0 => Reach::Near,
            1 => Reach::Wider,
            _ => Reach::All,
        }
    }

    /// How far the last copy reached, if there was one.
    pub(super) const fn last_reach(&self) -> Option<Reach> {
        match self.times {
            0 => None,
            1 => Some(Reach::Near),
            2 => Some(Reach::Wider),
            _ => Some(Reach::All),
        }
    }
}

/// The copies of a hello that an answer may be to, each to several brokers. Each has a queue of its own, which is known to nobody before it is sent: so answers that somebody
/// makes up to one copy take nothing of what is looked at of those to the next.
#[derive(Debug, Default)]
pub(super) struct Asked(VecDeque<Asking>);

/// Under which queue it went, and how many answers to it go before others, from each broker to which it went.
#[derive(Debug)]
struct Asking {
    queue: [u8; 32],
    left: Row<usize, u16>,
}

impl Asked {
    /// So many copies, the latest, are known.
    const MOST: usize = 8;
    /// So many answers to a copy, of those that one broker brings, go before others.
    const ANSWERS: u16 = 600;

    /// A copy goes to these brokers.
    pub(super) fn push(&mut self, queue: [u8; 32], brokers: &[usize]) {
        if self.0.len() >= Self::MOST {
            self.0.pop_front();
        }
        let mut left = Row::new();
        brokers.iter().for_each(|at| left.insert(*at, Self::ANSWERS));
        self.0.push_back(Asking { queue, left });
    }

    /// The last copy goes to another broker, too, or goes there again: under which queue.
    pub(super) fn add(&mut self, at: usize) -> Option<[u8; 32]> {
        let copy = self.0.back_mut()?;
        if copy.left.get_mut(&at).is_none() {
            copy.left.insert(at, Self::ANSWERS);
        }
        Some(copy.queue)
    }

    /// A broker brings an answer: whether it is one of the first to a copy, and `None` where it is to none that went there.
    pub(super) fn spend(&mut self, queue: &[u8; 32], at: usize) -> Option<bool> {
        let copy = self.0.iter_mut().find(|copy| copy.queue == *queue)?;
        let left = copy.left.get_mut(&at)?;
        let is_one_of_few = *left > 0;
        *left = left.saturating_sub(1);
        Some(is_one_of_few)
    }
}

/// A message that was sent in the clear.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlainSend {
    /// Ours alone, so that nobody's acknowledgement is taken for this one's.
    pub(super) queue: [u8; 32],
    pub(super) maybe_dropped: bool,
}

/// What there is of a peer that is spoken to in the clear.
#[derive(Debug, Default)]
pub(super) struct InClear {
    /// Until when it is taken for one of the reference: it answered a hello as those do.
    pub(super) reference: Option<Instant>,
    /// What was sent to it, by number.
    pub(super) sends: BTreeMap<u64, PlainSend>,
    pub(super) texts: Texts,
}

/// The most hints of a peer.
const MOST_HINTS: usize = 16;
/// So many brokers are enough to begin with.
const NEAR: usize = 3;
/// A peer that was not heard or spoken to for so long gives back the memory that it can do without.
const RESTS: Duration = Duration::from_secs(20);

/// Thousands of them may be idle: what only some need, or only while something is under way, is behind a pointer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) sender: Sender,
    pub(super) session: Option<Session>,
    pub(super) more: Lazy,
    /// Where it says that it is.
    pub(super) told: Option<Box<Told>>,
    /// Who it has proven to be.
    pub(super) name: Option<Box<PeerName>>,
    used: Second,
    rtt_us: u32,
    /// Where it was heard last, the latest at the end.
    heard_at: Few,
}

/// What an idle peer does without.
#[derive(Debug, Default)]
pub(super) struct More {
    /// The session before: what was sent at its end may be under way.
    before: Option<Box<Session>>,
    pub(super) hello: Option<Box<Hello>>,
    /// Under which ticket each message waits at brokers.
    tickets: Row<u64, u64>,
    /// The brokers of each family in the peer's order, while it is needed.
    ranking: Option<[Vec<usize>; 2]>,
    /// Where somebody says that it is.
    hints: Vec<usize>,
    /// What it is to be told.
    pub(super) tell: Option<Tell>,
    pub(super) clear: Option<Box<InClear>>,
    /// There is no session to send in: a hello is under way.
    pub(super) waits: bool,
    /// Since when sealed messages find no echo.
    pub(super) unanswered: Option<Instant>,
    /// Until when an answer to a probe is waited for.
    pub(super) probe: Option<Instant>,
}

impl More {
    const NOTHING: &Self = &Self {
        before: None,
        hello: None,
        tickets: Row::new(),
        ranking: None,
        hints: Vec::new(),
        tell: None,
        clear: None,
        waits: false,
        unanswered: None,
        probe: None,
    };

    /// Whether nothing is lost without it. A ranking is made anew.
    fn is_empty(&self) -> bool {
        let Self { before, hello, tickets, ranking: _, hints, tell, clear, waits, unanswered, probe } = self;
        before.is_none()
            && hello.is_none()
            && tickets.is_empty()
            && hints.is_empty()
            && tell.is_none()
            && clear.is_none()
            && !waits
            && unanswered.is_none()
            && probe.is_none()
    }
}

/// What is there of it, made when it is first written to.
#[derive(Debug, Default)]
pub(super) struct Lazy(Option<Box<More>>);

impl Lazy {
    /// To take something out of it: that makes none.
    pub(super) fn there(&mut self) -> Option<&mut More> {
        self.0.as_deref_mut()
    }
}

impl Deref for Lazy {
    type Target = More;

    fn deref(&self) -> &More {
        self.0.as_deref().unwrap_or(More::NOTHING)
    }
}

impl DerefMut for Lazy {
    fn deref_mut(&mut self) -> &mut More {
        self.0.get_or_insert_default()
    }
}

impl Peer {
    pub(super) fn new(sender: Sender, now: Instant) -> Self {
        Self {
            sender,
            session: None,
            more: Lazy::default(),
            told: None,
            name: None,
            used: Second::of(now),
            rtt_us: 0,
            heard_at: Few { at: [0; NEAR], len: 0 },
        }
    }

    /// When something is to be done for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let more = &*self.more;
        let hello = more.hello.as_ref().map(|hello| hello.due);
        // While nothing is sent but hellos, messages only run out.
        let window = if self.reference().is_some() { PLAIN_WINDOW } else { usize::MAX };
        let sends = if more.waits { self.sender.ends() } else { self.sender.deadline(window) };
        let sends = sends.map(|at| hello.map_or(at, |due| due.min(at)));
        let probes = more.probe.map(|until| hello.map_or(until, |due| due.min(until)));
        let tells = more.tell.as_ref().map(|tell| tell.due);
        [sends, probes, tells].into_iter().flatten().min()
    }

    /// What there is of it in the clear, from now on.
    pub(super) fn clear(&mut self) -> &mut InClear {
        self.more.clear.get_or_insert_default()
    }

    /// What there is of it in the clear, if anything is.
    pub(super) fn in_clear(&mut self) -> Option<&mut InClear> {
        self.more.there()?.clear.as_deref_mut()
    }

    /// The hello that is under way, if one is.
    pub(super) fn hello(&mut self) -> Option<&mut Hello> {
        self.more.there()?.hello.as_deref_mut()
    }

    /// No hello is under way any more; the one that was.
    pub(super) fn take_hello(&mut self) -> Option<Box<Hello>> {
        self.more.there()?.hello.take()
    }

    /// What it is to be told, if that is due.
    pub(super) fn take_tell_if(&mut self, is: impl FnOnce(&mut Tell) -> bool) -> Option<Tell> {
        self.more.there()?.tell.take_if(is)
    }

    /// Its answer to a probe came, or is not waited for any longer if that is so; whether it was waited for.
    pub(super) fn end_probe(&mut self, is: impl FnOnce(Instant) -> bool) -> bool {
        self.more.there().is_some_and(|more| more.probe.take_if(|until| is(*until)).is_some())
    }

    /// Something sealed was sent, and no echo has come yet.
    pub(super) fn await_echo(&mut self, now: Instant) {
        self.more.unanswered.get_or_insert(now);
    }

    /// It is heard.
    pub(super) fn end_silence(&mut self) {
        if let Some(more) = self.more.there() {
            more.unanswered = None;
        }
    }

    /// Whether there is no session to send in, so that a hello is under way.
    pub(super) fn set_waits(&mut self, waits: bool) {
        if self.more.waits != waits {
            self.more.waits = waits;
        }
    }

    /// Speak in this session from now on; the id of the one before.
    pub(super) fn begin_session(&mut self, session: Session) -> Option<SessionId> {
        let before = self.session.replace(session)?;
        let id = before.id();
        self.more.before = Some(Box::new(before));
        Some(id)
    }

    /// Until when it is taken for one of the reference.
    pub(super) fn reference(&self) -> Option<Instant> {
        self.more.clear.as_ref()?.reference
    }

    /// A message that was sent in the clear is no more.
    pub(super) fn take_plain(&mut self, number: u64) -> Option<PlainSend> {
        self.in_clear()?.sends.remove(&number)
    }

    /// It was written to, or heard.
    pub(super) fn note_used(&mut self, now: Instant) {
        self.used = Second::of(now);
    }

    /// For how long it was neither.
    pub(super) fn unused(&self, now: Instant) -> Duration {
        self.used.since(now)
    }

    /// It was heard over a broker. Whether that is news.
    pub(super) fn heard(&mut self, now: Instant, broker: usize) -> bool {
        self.note_used(now);
        self.end_silence();
        self.heard_at.push(broker)
    }

    /// The round trip to it, as far as it is known.
    pub(super) const fn rtt(&self) -> Duration {
        Duration::from_micros(self.rtt_us as u64)
    }

    /// A round trip was measured.
    pub(super) fn set_rtt(&mut self, rtt: Duration) {
        self.rtt_us = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX);
    }

    /// Under which ticket a message waits at brokers; a new one where it has none.
    pub(super) fn ticket(&mut self, number: u64, last: &mut u64) -> u64 {
        let tickets = &mut self.more.tickets;
        if let Some(ticket) = tickets.get_mut(&number) {
            return *ticket;
        }
        *last += 1;
        tickets.insert(number, *last);
        *last
    }

    /// A message waits nowhere any more: what its ticket was.
    pub(super) fn take_ticket(&mut self, number: u64) -> Option<u64> {
        self.more.there()?.tickets.remove(&number)
    }

    /// Where it is to be found, as far as it was heard or says so: the surest first, and no more than are enough to begin with.
    pub(super) fn is_at(&self) -> Vec<usize> {
        let mut all = Vec::new();
        self.put_is_at(&mut all);
        all
    }

    fn put_is_at(&self, all: &mut Vec<usize>) {
        let told = self.told.as_deref().filter(|told| told.brokers().next().is_some());
        all.extend(self.heard_at.last());
        // It left those of which it does not speak any more.
        let heard =
            self.heard_at.iter().rev().filter(|at| told.is_none_or(|told| told.brokers().any(|told| told == *at)));
        for at in heard.chain(told.into_iter().flat_map(Told::brokers)) {
            if all.len() < NEAR && !all.contains(&at) {
                all.push(at);
            }
        }
    }

    /// Somebody says that it is at a broker.
    pub(super) fn hint(&mut self, broker: usize) {
        if !self.is_hinted(broker) && self.more.hints.len() < MOST_HINTS {
            self.more.hints.push(broker);
        }
    }

    /// Whether somebody says that it is at a broker.
    pub(super) fn is_hinted(&self, broker: usize) -> bool {
        self.more.hints.contains(&broker)
    }

    /// Where it was heard last.
    pub(super) fn last_heard_at(&self) -> Option<usize> {
        self.heard_at.last()
    }

    /// To which brokers of a pool a message to its key goes, in the place of what there is.
    pub(super) fn brokers(&mut self, key: &PublicKey, pool: &[Place], reach: Reach, all: &mut Vec<usize>) {
        all.clear();
        self.put_is_at(all);
        let most = match reach {
            Reach::Near if all.is_empty() && self.more.hints.is_empty() => NEAR,
            Reach::Near => 0,
            Reach::Wider => 10,
            Reach::All => usize::MAX,
        };
        let mut add = |broker: usize| {
            if !all.contains(&broker) {
                all.push(broker);
            }
        };
        self.more.hints.iter().copied().for_each(&mut add);
        if most > 0 {
            self.heard_at.iter().for_each(&mut add);
            let told = self.told.iter().flat_map(|told| told.brokers());
            told.for_each(&mut add);
            let made = || [Family::V4, Family::V6].map(|family| ranking(key, pool, family));
            let ranking = self.more.ranking.get_or_insert_with(made);
            ranking.iter().flat_map(|ranking| ranking.iter().take(most)).copied().for_each(add);
        }
    }

    /// The session of this id, the current or the one before.
    pub(super) fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        let before = self.more.there().and_then(|more| more.before.as_deref_mut());
        [self.session.as_mut(), before].into_iter().flatten().find(|session| session.id() == id)
    }

    /// Whether it has a session of this id.
    pub(super) fn has_session(&self, id: SessionId) -> bool {
        let both = [self.session.as_ref(), self.more.before.as_deref()];
        both.into_iter().flatten().any(|session| session.id() == id)
    }

    /// Whether nothing is lost when it is forgotten.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let over = |session: Option<&Session>| session.is_none_or(|session| session.is_over(now));
        self.sender.in_flight() == 0 && over(self.session.as_ref()) && over(self.more.before.as_deref())
    }

    /// How little is lost when it is forgotten: whether nothing was ever sent to it, and for how long nothing was said to it or heard of it.
    /// `None` where somebody waits for something of it, or said where it is.
    pub(super) fn silent(&self, now: Instant) -> Option<(bool, Duration)> {
        let More { hello, hints, clear, probe, .. } = &*self.more;
        let is_waited_for = self.sender.in_flight() > 0 || hello.is_some() || probe.is_some();
        (!is_waited_for && hints.is_empty() && clear.is_none()).then(|| (!self.sender.has_sent(), self.unused(now)))
    }

    /// Give back what it can do without, if it is quiet.
    pub(super) fn rest(&mut self, now: Instant) {
        if let Some(more) = self.more.there() {
            more.before.take_if(|session| session.is_over(now));
        }
        if self.sender.in_flight() > 0 || self.unused(now) < RESTS {
            return;
        }
        if let Some(more) = self.more.there() {
            more.ranking = None;
        }
        self.more.0.take_if(|more| more.is_empty());
        self.sender.rest();
        if let Some(session) = &mut self.session {
            session.rest();
        }
    }
}

/// The brokers where a peer was heard last, the latest at the end, each once.
#[derive(Clone, Copy, Debug)]
struct Few {
    at: [u16; NEAR],
    len: u8,
}

impl Few {
    fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let known = self.at.get(..usize::from(self.len)).unwrap_or_default();
        known.iter().map(|at| usize::from(*at))
    }

    fn last(&self) -> Option<usize> {
        self.iter().next_back()
    }

    /// Put one to the end, and say whether it is new. Where there is no room the first goes.
    fn push(&mut self, broker: usize) -> bool {
        let Ok(broker) = u16::try_from(broker) else { return false };
        let known = self.at.get_mut(..usize::from(self.len)).unwrap_or_default();
        let place = known.iter().position(|known| *known == broker);
        match place {
            None if known.len() < NEAR => self.len += 1,
            place => known.get_mut(place.unwrap_or(0)..).unwrap_or_default().rotate_left(1),
        }
        let known = self.at.get_mut(..usize::from(self.len)).unwrap_or_default();
        known.last_mut().into_iter().for_each(|last| *last = broker);
        place.is_none()
    }
}

/// Which brokers of a family are tried for a key, in order.
pub(super) fn ranking(key: &PublicKey, places: &[Place], family: Family) -> Vec<usize> {
    let of_family: Vec<usize> =
        (0..places.len()).filter(|at| places.get(*at).is_some_and(|place| place.family == family)).collect();
    let candidates = of_family.iter().filter_map(|at| places.get(*at)).map(|place| Candidate {
        family,
        host: &place.host,
        port: place.port,
        weight: place.weight,
    });
    let ranked = rank::order(key.as_bytes(), candidates);
    ranked.into_iter().filter_map(|row| of_family.get(row.index).copied()).collect()
}
