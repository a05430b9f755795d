//! Hellos of others: answered within a budget, and kept until they prove who they are.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use sluis_core::Instant;
use sluis_core::time::Duration;

use super::budget::Budget;
use crate::broker::Settings;
use crate::key::PublicKey;
use crate::pace::Pace;
use crate::sealed::{Answered, SessionId};

/// From one hello of a stranger to the next that is answered, in the long run: a thousand a minute. And how many at once.
const STRANGERS: Duration = Duration::from_millis(60);
const BURST_OF_STRANGERS: u32 = 40;
/// The same of those that say they are of peers that are known: whoever listens can say so.
const KNOWN: Duration = Duration::from_micros(500);
const BURST_OF_KNOWN: u32 = 1000;
/// How long the first packet of a session may take to come.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most that wait for it.
const MOST: usize = 1024;

/// A hello that was answered.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) answered: Answered,
    /// What it said: a copy of it gets the same answer.
    pub(super) body: Vec<u8>,
    /// The latest of its copies that came.
    pub(super) stamp: u64,
    /// The broker that brought it.
    at: usize,
    until: Instant,
}

/// All that were answered.
#[derive(Debug)]
pub(super) struct Hellos {
    waiting: BTreeMap<PublicKey, Waiting>,
    /// By the session that each would begin.
    by_session: BTreeMap<SessionId, PublicKey>,
    known: Budget,
    strangers: Budget,
    /// What is answered to strangers takes no more than half of what each broker lets us publish.
    answers: Vec<Pace>,
}

impl Hellos {
    pub(super) fn new(brokers: usize) -> Self {
        Self {
            waiting: BTreeMap::new(),
            by_session: BTreeMap::new(),
            known: Budget::new(brokers, KNOWN, BURST_OF_KNOWN),
            strangers: Budget::new(brokers, STRANGERS, BURST_OF_STRANGERS),
            answers: vec![Pace::new(); brokers],
        }
    }

    /// Whether there is budget for the work that a hello costs which a broker brings, while so many are joined; it is spent. `settings` are those of
    /// the broker.
    pub(super) fn spend(&mut self, now: Instant, known: bool, at: usize, joined: usize, settings: &Settings) -> bool {
        if known {
            return self.known.spend(now, at, joined);
        }
        let interval = Duration::from_secs(2) / settings.rate.max(1);
        let answers = self.answers.get_mut(at);
        answers.is_some_and(|answers| answers.spend(now, interval, settings.burst / 2))
            && self.strangers.spend(now, at, joined)
    }

    /// Whether another hello of the same peer that was stamped later waits already: then this one is a copy that somebody kept, and does not take
    /// the place of that.
    pub(super) fn is_older(&self, now: Instant, from: &PublicKey, stamp: u64) -> bool {
        self.waiting.get(from).is_some_and(|waiting| waiting.until > now && waiting.stamp > stamp)
    }

    /// The answer to the same hello, of which this copy is stamped so.
    pub(super) fn same(&mut self, from: &PublicKey, body: &[u8], stamp: u64) -> Option<&Answered> {
        let waiting = self.waiting.get_mut(from).filter(|waiting| waiting.body == body)?;
        waiting.stamp = waiting.stamp.max(stamp);
        Some(&waiting.answered)
    }

    /// Keep an answer. Where there is no room, the oldest of the broker that brought most makes some.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        from: PublicKey,
        (body, stamp, at): (&[u8], u64, usize),
        answered: Answered,
    ) -> Option<&Answered> {
        if self.waiting.len() >= MOST && !self.waiting.contains_key(&from) {
            self.sweep(now);
            if self.waiting.len() >= MOST {
                self.forget_oldest_of_most();
            }
        }
        self.remove(&from);
        self.by_session.insert(answered.id(), from);
        self.waiting.insert(from, Waiting { answered, body: body.to_vec(), stamp, at, until: now + PATIENCE });
        self.waiting.get(&from).map(|waiting| &waiting.answered)
    }

    /// The one of a session, which its first packet may prove.
    pub(super) fn of_session(&mut self, id: SessionId) -> Option<(PublicKey, &mut Waiting)> {
        let from = *self.by_session.get(&id)?;
        Some((from, self.waiting.get_mut(&from)?))
    }

    #[cfg(feature = "sim")]
    pub(super) fn is_within_cap(&self) -> bool {
        self.waiting.len() <= MOST && self.by_session.len() == self.waiting.len()
    }

    pub(super) fn remove(&mut self, from: &PublicKey) {
        if let Some(waiting) = self.waiting.remove(from) {
            self.by_session.remove(&waiting.answered.id());
        }
    }

    fn forget_oldest_of_most(&mut self) {
        let mut counts = BTreeMap::<usize, usize>::new();
        self.waiting.values().for_each(|waiting| *counts.entry(waiting.at).or_default() += 1);
        let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(at, _)| at);
        let of_most = self.waiting.iter().filter(|(_, waiting)| Some(waiting.at) == most);
        let oldest = of_most.min_by_key(|(_, waiting)| waiting.until).map(|(from, _)| *from);
        oldest.into_iter().for_each(|from| self.remove(&from));
    }

    /// Forget what did not prove itself in time.
    pub(super) fn sweep(&mut self, now: Instant) {
        let Self { waiting, by_session, .. } = self;
        waiting.retain(|_, waiting| {
            let stays = waiting.until > now;
            if !stays {
                by_session.remove(&waiting.answered.id());
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use sluis_core::Seed;

    use super::*;
    use crate::key::SecretKey;
    use crate::sealed::Offer;

    /// Hellos that fill the table from one broker make room themselves for those of another.
    #[test]
    fn whoever_fills_the_table_makes_room() {
        let mut rng = Seed::from_u64(1).fork("hellos");
        let us = SecretKey::generate(&mut rng);
        let mut hellos = Hellos::new(2);
        let mut come = |hellos: &mut Hellos, at: usize, ms: u64| {
            let peer = SecretKey::generate(&mut rng);
            let offer = Offer::new(&peer, us.public(), SecretKey::generate(&mut rng)).unwrap();
            let answered = Answered::new(&us, offer.body(), SecretKey::generate(&mut rng)).unwrap();
            let now = Instant::ZERO + Duration::from_millis(ms);
            assert!(hellos.keep(now, peer.public(), (offer.body(), 0, at), answered).is_some());
            assert!(hellos.waiting.len() <= MOST && hellos.by_session.len() == hellos.waiting.len());
            peer.public()
        };
        let early = come(&mut hellos, 1, 0);
        let first = come(&mut hellos, 0, 1);
        for n in 1..MOST {
            come(&mut hellos, 0, n as u64);
        }
        let late = come(&mut hellos, 1, 2000);
        assert!(hellos.waiting.contains_key(&early) && hellos.waiting.contains_key(&late));
        assert!(!hellos.waiting.contains_key(&first));
    }
}
