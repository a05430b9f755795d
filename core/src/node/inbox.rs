//! Pings that passed the gate and wait for the application: for its decision, or for its answer.

use alloc::boxed::Box;

use super::config::Caps;
use super::event::{OpenId, WaitId, Waiting};
use super::inbound::Inbound;
use super::quota::{Most, Quota};
use crate::airlock::{Rank, WaitingConfig, WaitingRoom};
use crate::time::{Duration, Instant};

/// Pings that wait for the application, in two bounded tables. Most nodes never need them, so they are made with the first ping.
#[derive(Debug)]
pub(super) struct Inbox {
    tables: Option<Box<Tables>>,
    bounds: Bounds,
    /// The number of the ping that began to wait last.
    number: u64,
}

#[derive(Debug)]
struct Tables {
    /// GEEL: they wait for a decision.
    waiting: WaitingRoom<Inbound>,
    waiting_quota: Quota,
    /// Accepted: they wait for an answer.
    open: WaitingRoom<Inbound>,
    open_quota: Quota,
}

/// What the tables are made of.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    waiting: u32,
    waiting_most: Most,
    open: u32,
    open_most: Most,
    decision: Duration,
    answer: Duration,
}

impl Tables {
    fn new(bounds: &Bounds) -> Self {
        let room = |capacity: u32, lifetime| {
            let (capacity, reserved) = (capacity as usize, Caps::reserved(capacity as usize));
            WaitingRoom::new(WaitingConfig { capacity, reserved, lifetime })
        };
        Self {
            waiting: room(bounds.waiting, bounds.decision),
            waiting_quota: Quota::new(bounds.waiting_most),
            open: room(bounds.open, bounds.answer),
            open_quota: Quota::new(bounds.open_most),
        }
    }
}

impl Inbox {
    /// Empty. Pings wait for a decision, and open ones for an answer, at most so long.
    pub(super) const fn new(caps: &Caps, decision: Duration, answer: Duration) -> Self {
        let &Caps { waiting, open, .. } = caps;
        let waiting_most = Most {
            per_sender: caps.waiting_per_sender,
            per_name: caps.waiting_per_name,
            per_address: caps.waiting_per_address,
        };
        let open_most = Most { per_sender: open, per_name: open, per_address: caps.open_per_address };
        let bounds = Bounds { waiting, waiting_most, open, open_most, decision, answer };
        Self { tables: None, bounds, number: 0 }
    }

    fn tables(&mut self) -> &mut Tables {
        self.tables.get_or_insert_with(|| Box::new(Tables::new(&self.bounds)))
    }

    /// Let a ping wait for a decision, unless there is no room or its sender has its share already. One that is less well
    /// known may have made room for it.
    ///
    /// What is over the fair share of its name takes a stranger's place, and makes way as one.
    pub(super) fn wait(&mut self, now: Instant, mut ping: Inbound) -> Option<(WaitId, Option<(WaitId, Inbound)>)> {
        let (charged, rank, number) = (ping.charged, ping.rank, self.number + 1);
        let Tables { waiting, waiting_quota, .. } = self.tables();
        if !waiting_quota.allows(charged) {
            return None;
        }
        let rank = if waiting_quota.is_over_share(charged) { Rank::Stranger } else { rank };
        let displaced = if waiting.has_room(rank) {
            None
        } else {
            let (slot, old) = waiting.displace(rank)?;
            waiting_quota.remove(old.charged);
            Some((WaitId { slot, number: old.number }, old))
        };
        ping.number = number;
        let slot = waiting.insert(now, rank, ping).ok()?;
        waiting_quota.add(charged);
        self.number = number;
        Some((WaitId { slot, number }, displaced))
    }

    /// Let an accepted ping wait for its answer, unless there is no room or its address has its share already.
    pub(super) fn open(&mut self, now: Instant, ping: Inbound) -> Option<OpenId> {
        let (charged, rank) = (ping.charged, ping.rank);
        let Tables { open, open_quota, .. } = self.tables();
        if !open_quota.allows(charged) {
            return None;
        }
        let slot = open.insert(now, rank, ping).ok()?;
        open_quota.add(charged);
        Some(OpenId(slot))
    }

    /// Whether a waiting ping that is let in finds room among the open ones.
    pub(super) fn can_open(&self, ping: &Inbound) -> bool {
        let free = |tables: &Tables| tables.open.has_room(ping.rank) && tables.open_quota.allows(ping.charged);
        self.tables.as_deref().is_none_or(free)
    }

    pub(super) fn waiting(&self, id: WaitId) -> Option<&Inbound> {
        self.tables.as_ref()?.waiting.get(id.slot)
    }

    pub(super) fn opened(&self, id: OpenId) -> Option<&Inbound> {
        self.tables.as_ref()?.open.get(id.0)
    }

    /// Take a ping out: it was decided.
    pub(super) fn take_waiting(&mut self, id: WaitId) -> Option<Inbound> {
        let Tables { waiting, waiting_quota, .. } = self.tables.as_deref_mut()?;
        let ping = waiting.remove(id.slot)?;
        waiting_quota.remove(ping.charged);
        Some(ping)
    }

    /// Take an open ping out: it was answered.
    pub(super) fn take_open(&mut self, id: OpenId) -> Option<Inbound> {
        let Tables { open, open_quota, .. } = self.tables.as_deref_mut()?;
        let ping = open.remove(id.0)?;
        open_quota.remove(ping.charged);
        Some(ping)
    }

    /// Take out the ping that has waited longest for a decision, if its time is up.
    pub(super) fn expire_waiting(&mut self, now: Instant) -> Option<(WaitId, Inbound)> {
        let Tables { waiting, waiting_quota, .. } = self.tables.as_deref_mut()?;
        let (slot, ping) = waiting.expire_one(now)?;
        waiting_quota.remove(ping.charged);
        Some((WaitId { slot, number: ping.number }, ping))
    }

    /// Take out the open ping that has waited longest, if its time is up.
    pub(super) fn expire_open(&mut self, now: Instant) -> Option<OpenId> {
        let Tables { open, open_quota, .. } = self.tables.as_deref_mut()?;
        let (slot, ping) = open.expire_one(now)?;
        open_quota.remove(ping.charged);
        Some(OpenId(slot))
    }

    /// When the next ping has waited too long for a decision.
    pub(super) fn next_waiting(&self) -> Option<Instant> {
        self.tables.as_ref()?.waiting.next_expiry()
    }

    /// When the next open ping has waited too long.
    pub(super) fn next_open(&self) -> Option<Instant> {
        self.tables.as_ref()?.open.next_expiry()
    }

    /// What waits for a decision, longest first.
    pub(super) fn list(&self) -> impl Iterator<Item = Waiting<'_>> {
        self.tables.iter().flat_map(|tables| tables.waiting.iter()).map(|(slot, ping)| {
            let [packet_id, source_did, intent] = ping.texts();
            let id = WaitId { slot, number: ping.number };
            Waiting { id, packet_id, source_did, intent, from: ping.path, since: ping.since }
        })
    }

    /// How many wait for a decision.
    pub(super) fn waiting_len(&self) -> usize {
        self.tables.as_ref().map_or(0, |tables| tables.waiting.len())
    }

    /// How many wait for an answer.
    pub(super) fn open_len(&self) -> usize {
        self.tables.as_ref().map_or(0, |tables| tables.open.len())
    }

    /// Most that wait for a decision from one sender, name or address.
    #[cfg(feature = "sim")]
    pub(super) fn most_of_one(&self) -> u32 {
        self.tables.as_ref().map_or(0, |tables| tables.waiting_quota.most())
    }
}
