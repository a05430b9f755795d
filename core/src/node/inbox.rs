//! Pings that passed the gate and wait for the application: for its decision, or for its answer.

use super::config::Caps;
use super::event::{OpenId, WaitId, Waiting};
use super::inbound::Inbound;
use super::quota::Quota;
use crate::airlock::{WaitingConfig, WaitingRoom};
use crate::time::{Duration, Instant};

/// The two bounded tables of pings that wait for the application.
#[derive(Debug)]
pub(super) struct Inbox {
    /// GEEL: they wait for a decision.
    waiting: WaitingRoom<Inbound>,
    /// Those by sender.
    quota: Quota,
    /// The number of the ping that began to wait last.
    number: u64,
    /// Accepted: they wait for an answer.
    open: WaitingRoom<Inbound>,
}

impl Inbox {
    /// Empty. Pings wait for a decision, and open ones for an answer, at most so long.
    pub(super) fn new(caps: &Caps, decision: Duration, answer: Duration) -> Self {
        let room = |capacity: u32, lifetime| WaitingRoom::new(WaitingConfig { capacity: capacity as usize, lifetime });
        Self {
            waiting: room(caps.waiting, decision),
            quota: Quota::new(caps.waiting_per_sender),
            number: 0,
            open: room(caps.open, answer),
        }
    }

    /// Let a ping wait for a decision, unless there is no room or its sender has its share already.
    pub(super) fn wait(&mut self, now: Instant, mut ping: Inbound) -> Option<WaitId> {
        let sender = ping.sender;
        if !self.quota.allows(sender) {
            return None;
        }
        ping.number = self.number + 1;
        let slot = self.waiting.insert(now, ping).ok()?;
        self.number += 1;
        self.quota.add(sender);
        Some(WaitId { slot, number: self.number })
    }

    /// Let an accepted ping wait for its answer, unless there is no room.
    pub(super) fn open(&mut self, now: Instant, ping: Inbound) -> Option<OpenId> {
        self.open.insert(now, ping).ok().map(OpenId)
    }

    pub(super) fn open_is_full(&self) -> bool {
        self.open.is_full()
    }

    pub(super) fn waiting(&self, id: WaitId) -> Option<&Inbound> {
        self.waiting.get(id.slot)
    }

    pub(super) fn opened(&self, id: OpenId) -> Option<&Inbound> {
        self.open.get(id.0)
    }

    /// Take a ping out: it was decided.
    pub(super) fn take_waiting(&mut self, id: WaitId) -> Option<Inbound> {
        let ping = self.waiting.remove(id.slot)?;
        self.quota.remove(ping.sender);
        Some(ping)
    }

    /// Take an open ping out: it was answered.
    pub(super) fn take_open(&mut self, id: OpenId) -> Option<Inbound> {
        self.open.remove(id.0)
    }

    /// Take out the ping that has waited longest for a decision, if its time is up.
    pub(super) fn expire_waiting(&mut self, now: Instant) -> Option<(WaitId, Inbound)> {
        let (slot, ping) = self.waiting.expire_one(now)?;
        self.quota.remove(ping.sender);
        Some((WaitId { slot, number: ping.number }, ping))
    }

    /// Take out the open ping that has waited longest, if its time is up.
    pub(super) fn expire_open(&mut self, now: Instant) -> Option<OpenId> {
        self.open.expire_one(now).map(|(slot, _)| OpenId(slot))
    }

    /// When the next ping has waited too long for a decision.
    pub(super) fn next_waiting(&self) -> Option<Instant> {
        self.waiting.next_expiry()
    }

    /// When the next open ping has waited too long.
    pub(super) fn next_open(&self) -> Option<Instant> {
        self.open.next_expiry()
    }

    /// What waits for a decision, longest first.
    pub(super) fn list(&self) -> impl Iterator<Item = Waiting<'_>> {
        self.waiting.iter().map(|(slot, ping)| {
            let [packet_id, source_did, intent] = ping.texts();
            let id = WaitId { slot, number: ping.number };
            Waiting { id, packet_id, source_did, intent, from: ping.path, since: ping.since }
        })
    }

    /// How many wait for a decision.
    pub(super) fn waiting_len(&self) -> usize {
        self.waiting.len()
    }

    /// How many wait for an answer.
    pub(super) fn open_len(&self) -> usize {
        self.open.len()
    }

    /// Most that wait for a decision from one sender.
    #[cfg(feature = "sim")]
    pub(super) fn most_of_one(&self) -> u32 {
        self.quota.most()
    }
}
