//! What is known of a peer.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use sluis_core::Instant;
use sluis_core::time::Duration;

use super::Place;
use super::outgoing::PLAIN_WINDOW;
use super::plain::Texts;
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

/// The most hints of a peer.
const MOST_HINTS: usize = 16;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) sender: Sender,
    pub(super) session: Option<Session>,
    /// The one before: what was sent at its end may be under way.
    pub(super) before: Option<Session>,
    pub(super) hello: Option<Hello>,
    /// Under which ticket each message waits at brokers.
    pub(super) tickets: BTreeMap<u64, u64>,
    /// The brokers of each family in the peer's order.
    ranking: [Vec<usize>; 2],
    /// Where it was heard last, the latest at the end.
    heard_at: Vec<usize>,
    /// Where somebody says that it is.
    hints: Vec<usize>,
    /// Until when it is taken for one of the reference: it answered a hello as those do.
    pub(super) reference: Option<Instant>,
    /// What was sent to it in the clear, by number.
    pub(super) plain: BTreeMap<u64, PlainSend>,
    pub(super) texts: Texts,
    pub(super) rtt: Duration,
    /// There is no session to send in: a hello is under way.
    pub(super) waits: bool,
    /// Since when sealed messages find no echo.
    pub(super) unanswered: Option<Instant>,
    pub(super) used: Instant,
    /// Until when an answer to a probe is waited for.
    pub(super) probe: Option<Instant>,
}

impl Peer {
    pub(super) fn new(key: &PublicKey, places: &[Place], sender: Sender, now: Instant) -> Self {
        Self {
            sender,
            session: None,
            before: None,
            hello: None,
            tickets: BTreeMap::new(),
            ranking: [Family::V4, Family::V6].map(|family| ranking(key, places, family)),
            heard_at: Vec::new(),
            hints: Vec::new(),
            reference: None,
            plain: BTreeMap::new(),
            texts: Texts::default(),
            rtt: Duration::ZERO,
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
        let window = if self.reference.is_some() { PLAIN_WINDOW } else { usize::MAX };
        let sends = if self.waits { self.sender.ends() } else { self.sender.deadline(window) };
        let sends = sends.map(|at| hello.map_or(at, |due| due.min(at)));
        let probes = self.probe.map(|until| hello.map_or(until, |due| due.min(until)));
        [sends, probes].into_iter().flatten().min()
    }

    /// It was heard over a broker. Whether that is news.
    pub(super) fn heard(&mut self, now: Instant, broker: usize) -> bool {
        (self.unanswered, self.used) = (None, now);
        let news = !self.heard_at.contains(&broker);
        if self.heard_at.last() != Some(&broker) {
            self.heard_at.retain(|known| *known != broker);
            self.heard_at.push(broker);
            // Three are enough to begin with.
            if self.heard_at.len() > 3 {
                self.heard_at.remove(0);
            }
        }
        news
    }

    /// Where it was heard last, the latest at the end.
    pub(super) fn heard_at(&self) -> &[usize] {
        &self.heard_at
    }

    /// Somebody says that it is at a broker.
    pub(super) fn hint(&mut self, broker: usize) {
        if !self.hints.contains(&broker) && self.hints.len() < MOST_HINTS {
            self.hints.push(broker);
        }
    }

    /// Where it was heard last.
    pub(super) fn last_heard_at(&self) -> Option<usize> {
        self.heard_at.last().copied()
    }

    /// To which brokers a message goes.
    pub(super) fn brokers(&self, reach: Reach) -> Vec<usize> {
        let most = match reach {
            Reach::Near if self.heard_at.is_empty() && self.hints.is_empty() => 3,
            Reach::Near => 0,
            Reach::Wider => 10,
            Reach::All => usize::MAX,
        };
        let mut all = self.heard_at.clone();
        let ranked = self.ranking.iter().flat_map(|ranking| ranking.iter().take(most));
        for broker in self.hints.iter().chain(ranked) {
            if !all.contains(broker) {
                all.push(*broker);
            }
        }
        all
    }

    /// The session of this id, the current or the one before.
    pub(super) fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        [&mut self.session, &mut self.before].into_iter().flatten().find(|session| session.id() == id)
    }

    /// Whether nothing is lost when it is forgotten.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        let over = |session: &Option<Session>| session.as_ref().is_none_or(|session| session.is_over(now));
        self.sender.in_flight() == 0 && over(&self.session) && over(&self.before)
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
