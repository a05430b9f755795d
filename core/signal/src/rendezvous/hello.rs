//! Hellos of others: answered within a budget, and kept until they prove who they are.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use sluis_core::Instant;
use sluis_core::time::Duration;

use crate::key::PublicKey;
use crate::pace::Pace;
use crate::sealed::{Answered, SessionId};

/// From one hello to the next that is answered, in the long run: a thousand a minute.
const INTERVAL: Duration = Duration::from_millis(60);
/// At once: of peers that are known, and of strangers.
const BURST: u32 = 50;
const STRANGERS: u32 = 25;
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
    until: Instant,
}

/// All that were answered.
#[derive(Debug)]
pub(super) struct Hellos {
    waiting: BTreeMap<PublicKey, Waiting>,
    /// By the session that each would begin.
    by_session: BTreeMap<SessionId, PublicKey>,
    pace: Pace,
}

impl Hellos {
    pub(super) const fn new() -> Self {
        Self { waiting: BTreeMap::new(), by_session: BTreeMap::new(), pace: Pace::new() }
    }

    /// Whether there is budget for the work that a hello costs; it is spent.
    pub(super) fn spend(&mut self, now: Instant, known: bool) -> bool {
        let burst = if known { BURST } else { STRANGERS };
        self.pace.spend(now, INTERVAL, burst)
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

    /// Keep an answer; `None` where there is no room.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        from: PublicKey,
        (body, stamp): (&[u8], u64),
        answered: Answered,
    ) -> Option<&Answered> {
        if self.waiting.len() >= MOST && !self.waiting.contains_key(&from) {
            self.sweep(now);
            if self.waiting.len() >= MOST {
                return None;
            }
        }
        self.remove(&from);
        self.by_session.insert(answered.id(), from);
        self.waiting.insert(from, Waiting { answered, body: body.to_vec(), stamp, until: now + PATIENCE });
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
