//! What is known of a peer.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use sluis_core::Instant;
use sluis_core::time::Duration;

use super::outgoing::PLAIN_WINDOW;
use super::plain::Texts;
use super::tell::{Tell, Told};
use super::{PeerName, Place};
use crate::delivery::{Reach, Sender};
use crate::key::PublicKey;
use crate::rank::{self, Candidate, Family};
use crate::sealed::{Offer, Session, SessionId};

/// A hello of ours that waits for its answer.
#[derive(Debug)]
pub(super) struct Hello {
    pub(super) offer: Offer,
    pub(super) queue: [u8; 32],
    pub(super) ticket: u64,
    pub(super) since: Instant,
    pub(super) times: u32,
    pub(super) due: Instant,
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

/// Thousands of them may be idle: what only some need is behind a pointer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) sender: Sender,
    pub(super) session: Option<Session>,
    /// The one before: what was sent at its end may be under way.
    pub(super) before: Option<Box<Session>>,
    pub(super) hello: Option<Box<Hello>>,
    /// Under which ticket each message waits at brokers.
    tickets: BTreeMap<u64, u64>,
    /// The brokers of each family in the peer's order, while it is needed.
    ranking: Option<Box<[Vec<usize>; 2]>>,
    /// Where it was heard last, the latest at the end.
    heard_at: Few,
    /// Where somebody says that it is.
    hints: Box<[usize]>,
    /// Where it says that it is.
    pub(super) told: Option<Box<Told>>,
    /// What it is to be told.
    pub(super) tell: Option<Box<Tell>>,
    /// Who it has proven to be.
    pub(super) name: Option<Box<PeerName>>,
    pub(super) clear: Option<Box<InClear>>,
    rtt_us: u32,
    /// There is no session to send in: a hello is under way.
    pub(super) waits: bool,
    /// Since when sealed messages find no echo.
    pub(super) unanswered: Option<Instant>,
    pub(super) used: Instant,
    /// Until when an answer to a probe is waited for.
    pub(super) probe: Option<Instant>,
}

impl Peer {
    pub(super) fn new(sender: Sender, now: Instant) -> Self {
        let hints = Box::default();
        Self {
            sender,
            session: None,
            before: None,
            hello: None,
            tickets: BTreeMap::new(),
            ranking: None,
            heard_at: Few { at: [0; NEAR], len: 0 },
            hints,
            told: None,
            tell: None,
            name: None,
            clear: None,
            rtt_us: 0,
            waits: false,
            unanswered: None,
            used: now,
            probe: None,
        }
    }

    /// When something is to be done for it.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let hello = self.hello.as_ref().map(|hello| hello.due);
        // While nothing is sent but hellos, messages only run out.
        let window = if self.reference().is_some() { PLAIN_WINDOW } else { usize::MAX };
        let sends = if self.waits { self.sender.ends() } else { self.sender.deadline(window) };
        let sends = sends.map(|at| hello.map_or(at, |due| due.min(at)));
        let probes = self.probe.map(|until| hello.map_or(until, |due| due.min(until)));
        let tells = self.tell.as_ref().map(|tell| tell.due);
        [sends, probes, tells].into_iter().flatten().min()
    }

    /// What there is of it in the clear, from now on.
    pub(super) fn clear(&mut self) -> &mut InClear {
        self.clear.get_or_insert_default()
    }

    /// Until when it is taken for one of the reference.
    pub(super) fn reference(&self) -> Option<Instant> {
        self.clear.as_ref()?.reference
    }

    /// A message that was sent in the clear is no more.
    pub(super) fn take_plain(&mut self, number: u64) -> Option<PlainSend> {
        self.clear.as_mut()?.sends.remove(&number)
    }

    /// It was heard over a broker. Whether that is news.
    pub(super) fn heard(&mut self, now: Instant, broker: usize) -> bool {
        (self.unanswered, self.used) = (None, now);
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
        *self.tickets.entry(number).or_insert_with(|| {
            *last += 1;
            *last
        })
    }

    /// A message waits nowhere any more: what its ticket was.
    pub(super) fn take_ticket(&mut self, number: u64) -> Option<u64> {
        self.tickets.remove(&number)
    }

    /// Where it is to be found, as far as it was heard or says so: the surest first, and no more than are enough to begin with.
    pub(super) fn is_at(&self) -> Vec<usize> {
        let told = self.told.as_deref().map(|told| &*told.brokers).filter(|told| !told.is_empty());
        let mut all: Vec<usize> = self.heard_at.last().into_iter().collect();
        // It left those of which it does not speak any more.
        let heard = self.heard_at.iter().rev().filter(|at| told.is_none_or(|told| told.contains(at)));
        for at in heard.chain(told.unwrap_or_default().iter().copied()) {
            if all.len() < NEAR && !all.contains(&at) {
                all.push(at);
            }
        }
        all
    }

    /// Somebody says that it is at a broker.
    pub(super) fn hint(&mut self, broker: usize) {
        if !self.hints.contains(&broker) && self.hints.len() < MOST_HINTS {
            self.hints = self.hints.iter().copied().chain([broker]).collect();
        }
    }

    /// Whether somebody says that it is at a broker.
    pub(super) fn is_hinted(&self, broker: usize) -> bool {
        self.hints.contains(&broker)
    }

    /// Where it was heard last.
    pub(super) fn last_heard_at(&self) -> Option<usize> {
        self.heard_at.last()
    }

    /// To which brokers of a pool a message to its key goes.
    pub(super) fn brokers(&mut self, key: &PublicKey, pool: &[Place], reach: Reach) -> Vec<usize> {
        let mut all = self.is_at();
        let most = match reach {
            Reach::Near if all.is_empty() && self.hints.is_empty() => NEAR,
            Reach::Near => 0,
            Reach::Wider => 10,
            Reach::All => usize::MAX,
        };
        let mut add = |broker: usize| {
            if !all.contains(&broker) {
                all.push(broker);
            }
        };
        self.hints.iter().copied().for_each(&mut add);
        if most > 0 {
            self.heard_at.iter().for_each(&mut add);
            let told = self.told.iter().flat_map(|told| told.brokers.iter());
            told.copied().for_each(&mut add);
            let ranking = self
                .ranking
                .get_or_insert_with(|| Box::new([Family::V4, Family::V6].map(|family| ranking(key, pool, family))));
            ranking.iter().flat_map(|ranking| ranking.iter().take(most)).copied().for_each(add);
        }
        all
    }

    /// The session of this id, the current or the one before.
    pub(super) fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        let both = [self.session.as_mut(), self.before.as_deref_mut()];
        both.into_iter().flatten().find(|session| session.id() == id)
    }

    /// Whether it has a session of this id.
    pub(super) fn has_session(&self, id: SessionId) -> bool {
        let both = [self.session.as_ref(), self.before.as_deref()];
        both.into_iter().flatten().any(|session| session.id() == id)
    }

    /// Whether nothing is lost when it is forgotten.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let over = |session: Option<&Session>| session.is_none_or(|session| session.is_over(now));
        self.sender.in_flight() == 0 && over(self.session.as_ref()) && over(self.before.as_deref())
    }

    /// Give back what it can do without, if it is quiet.
    pub(super) fn rest(&mut self, now: Instant) {
        self.before.take_if(|session| session.is_over(now));
        if self.sender.in_flight() > 0 || now.saturating_since(self.used) < RESTS {
            return;
        }
        self.ranking = None;
        self.sender.rest();
        if let Some(session) = &mut self.session {
            session.rest();
        }
    }
}

/// The brokers where a peer was heard last, the latest at the end, each once.
#[derive(Clone, Copy, Debug)]
struct Few {
    at: [u32; NEAR],
    len: u8,
}

impl Few {
    fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        let known = self.at.get(..usize::from(self.len)).unwrap_or_default();
        known.iter().filter_map(|at| usize::try_from(*at).ok())
    }

    fn last(&self) -> Option<usize> {
        self.iter().next_back()
    }

    /// Put one to the end, and say whether it is new. Where there is no room the first goes.
    fn push(&mut self, broker: usize) -> bool {
        let Ok(broker) = u32::try_from(broker) else { return false };
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
