//! Pings that passed the gate and wait for the application: for its decision, or for its answer.

mod inbound;
mod quota;

use alloc::boxed::Box;
use core::hash::BuildHasherDefault;

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

pub(super) use self::inbound::{AMPLIFICATION, Inbound, Kept};
pub(super) use self::quota::{Charged, address};
use self::quota::{Most, Quota};
use super::config::Caps;
use super::event::{OpenId, WaitId, Waiting};
use crate::airlock::{Claim, Rank, WaitingConfig, WaitingId, WaitingRoom, Within};
use crate::table::List;
use crate::time::{Duration, Instant};

/// Pings that wait for the application, in two bounded tables. Most nodes never need them, so they are made with the first ping.
#[derive(Debug)]
pub(super) struct Inbox {
    tables: Option<Box<Tables>>,
    bounds: Bounds,
    /// The number of the ping that began to wait last.
    number: u64,
    counts: Counts,
}

/// What became of pings that waited for the application.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) approved: u64,
    pub(super) refused: u64,
    pub(super) expired: u64,
    pub(super) displaced: u64,
    pub(super) unanswered: u64,
}

/// Why a ping stops waiting for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Approved,
    Refused,
}

#[derive(Debug)]
struct Tables {
    undecided: Undecided,
    /// Accepted: they wait for an answer.
    open: WaitingRoom<Inbound>,
    open_quota: Quota,
}

/// What the tables are made of.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    waiting: u32,
    waiting_most: Most,
    per_name: u32,
    open: u32,
    open_most: Most,
    decision: Duration,
    answer: Duration,
}

fn room(capacity: u32, lifetime: Duration) -> WaitingRoom<Inbound> {
    let capacity = capacity as usize;
    WaitingRoom::new(WaitingConfig {
        capacity,
        reserved: Caps::reserved(capacity, Rank::Stranger),
        reserved_for_proven: Caps::reserved(capacity, Rank::Trusted),
        lifetime,
    })
}

impl Tables {
    fn new(bounds: &Bounds) -> Self {
        Self {
            undecided: Undecided {
                room: room(bounds.waiting, bounds.decision),
                quota: Quota::new(bounds.waiting_most),
                names: HashMap::default(),
                per_name: bounds.per_name as usize,
            },
            open: room(bounds.open, bounds.answer),
            open_quota: Quota::new(bounds.open_most),
        }
    }
}

/// GEEL pings, which wait for a decision.
///
/// Whose address is proven takes its place from who has proven nothing. Among those a name that many addresses write and an
/// address that writes many names make way for others: a ping within half of what its name may have counts with the pings of
/// its name, any other with those of its address, and who has many of them yields to who has few.
#[derive(Debug)]
struct Undecided {
    room: WaitingRoom<Inbound>,
    quota: Quota,
    /// Those from unproven addresses by the hash of their name, longest waiting first.
    names: HashMap<u64, List<Within<ByName>>, BuildHasherDefault<SipHasher13>>,
    /// Most of them under one name.
    per_name: usize,
}

/// How many pings of a name are looked at for one that makes way for another of the same name.
const LOOK: usize = 256;

/// The list of pings under one name.
#[derive(Debug)]
pub(super) struct ByName;

impl Undecided {
    /// Let a ping wait, perhaps in the place of another, which is handed out.
    fn wait(&mut self, now: Instant, ping: Inbound) -> Option<(WaitingId, Option<(WaitingId, Inbound)>)> {
        let charged = ping.charged;
        if !self.quota.allows(charged) {
            return None;
        }
        let claim = self.claim(ping.rank, charged);
        let old = if self.under_name(charged) >= self.per_name {
            Some(self.largest_of_name(charged)?)
        } else if self.room.has_room(claim.rank) {
            None
        } else {
            Some(self.room.weakest(claim).or_else(|| self.largest_of_name(charged))?)
        };
        let (slot, displaced) = match old {
            None => (self.room.insert(now, claim, ping).ok()?, None),
            Some(old) => {
                self.discharge(old);
                let (slot, gone) = self.room.replace(now, old, claim, ping).ok()?;
                (slot, Some((old, gone)))
            }
        };
        self.quota.add(charged);
        if let Some(who) = charged.unproven {
            self.names.entry(who.name).or_default().push_back(self.room.entries_mut(), slot.slot());
        }
        Some((slot, displaced))
    }

    /// How many pings wait under the name of an unproven sender.
    fn under_name(&self, who: Charged) -> usize {
        who.unproven.and_then(|who| self.names.get(&who.name)).map_or(0, List::len)
    }

    /// By what a ping claims its place.
    fn claim(&self, rank: Rank, who: Charged) -> Claim {
        let Some(unproven) = who.unproven else { return Claim { rank, held: self.quota.has(who.sender) } };
        let under_name = self.under_name(who);
        if rank > Rank::Stranger && under_name < self.per_name.div_ceil(2) {
            Claim { rank, held: u32::try_from(under_name).unwrap_or(u32::MAX) }
        } else {
            Claim { rank: Rank::Stranger, held: self.quota.has(unproven.address) }
        }
    }

    /// Of the pings under this name the oldest of the sender (at one address) that has most, if that is clearly more than this one
    /// has.
    fn largest_of_name(&self, who: Charged) -> Option<WaitingId> {
        let list = self.names.get(&who.unproven?.name)?;
        let (mut most, mut found) = (self.quota.has(who.sender) + 1, None);
        for (id, ping) in self.room.within(list).take(LOOK) {
            let held = self.quota.has(ping.charged.sender);
            if held > most {
                (most, found) = (held, Some(id));
            }
        }
        found
    }

    /// A ping is about to be taken out: give back what it is charged for.
    fn discharge(&mut self, id: WaitingId) {
        let Some(who) = self.room.get(id).map(|ping| ping.charged) else { return };
        self.quota.remove(who);
        if let Some(who) = who.unproven
            && let Some(list) = self.names.get_mut(&who.name)
        {
            list.remove(self.room.entries_mut(), id.slot());
            if list.is_empty() {
                self.names.remove(&who.name);
            }
        }
    }

    fn take(&mut self, id: WaitingId) -> Option<Inbound> {
        self.discharge(id);
        self.room.remove(id)
    }

    /// Take out the ping that has waited longest, if its time is up.
    fn expire(&mut self, now: Instant) -> Option<(WaitingId, Inbound)> {
        if self.room.next_expiry()? > now {
            return None;
        }
        let (id, _) = self.room.iter().next()?;
        Some((id, self.take(id)?))
    }

    /// Most that wait from one sender, address or name.
    #[cfg(feature = "sim")]
    fn most_of_one(&self) -> u32 {
        let names = self.names.values().map(List::len).max().unwrap_or(0);
        self.quota.most().max(u32::try_from(names).unwrap_or(u32::MAX))
    }
}

impl Inbox {
    /// Empty. Pings wait for a decision, and open ones for an answer, at most so long.
    pub(super) const fn new(caps: &Caps, decision: Duration, answer: Duration) -> Self {
        let &Caps { waiting, open, waiting_per_name: per_name, .. } = caps;
        let waiting_most = Most { per_sender: caps.waiting_per_sender, per_address: caps.waiting_per_address };
        let open_most = Most { per_sender: open, per_address: caps.open_per_address };
        let bounds = Bounds { waiting, waiting_most, per_name, open, open_most, decision, answer };
        let counts = Counts { approved: 0, refused: 0, expired: 0, displaced: 0, unanswered: 0 };
        Self { tables: None, bounds, number: 0, counts }
    }

    fn tables(&mut self) -> &mut Tables {
        self.tables.get_or_insert_with(|| Box::new(Tables::new(&self.bounds)))
    }

    /// Let a ping wait for a decision, unless there is no room or its sender has its share already. One that is less well
    /// known, or whose source has more of them, may have made room for it.
    pub(super) fn wait(&mut self, now: Instant, mut ping: Inbound) -> Option<(WaitId, Option<(WaitId, Inbound)>)> {
        let number = self.number + 1;
        ping.number = number;
        let (slot, displaced) = self.tables().undecided.wait(now, ping)?;
        self.number = number;
        let displaced = displaced.map(|(slot, old)| (WaitId { slot, number: old.number }, old));
        count(&mut self.counts.displaced, displaced.is_some());
        Some((WaitId { slot, number }, displaced))
    }

    /// Let an accepted ping wait for its answer, unless there is no room or its address has its share already.
    pub(super) fn open(&mut self, now: Instant, ping: Inbound) -> Option<OpenId> {
        let (charged, rank) = (ping.charged, ping.rank);
        let Tables { open, open_quota, .. } = self.tables();
        if !open_quota.allows(charged) {
            return None;
        }
        let slot = open.insert(now, Claim { rank, held: 0 }, ping).ok()?;
        open_quota.add(charged);
        Some(OpenId(slot))
    }

    /// Whether a waiting ping that is let in finds room among the open ones.
    pub(super) fn can_open(&self, ping: &Inbound) -> bool {
        let free = |tables: &Tables| tables.open.has_room(ping.rank) && tables.open_quota.allows(ping.charged);
        self.tables.as_deref().is_none_or(free)
    }

    pub(super) fn waiting(&self, id: WaitId) -> Option<&Inbound> {
        self.tables.as_ref()?.undecided.room.get(id.slot)
    }

    pub(super) fn opened(&self, id: OpenId) -> Option<&Inbound> {
        self.tables.as_ref()?.open.get(id.0)
    }

    /// Take a ping out: it was decided.
    pub(super) fn take_waiting(&mut self, id: WaitId, verdict: Verdict) -> Option<Inbound> {
        let ping = self.tables.as_deref_mut()?.undecided.take(id.slot)?;
        match verdict {
            Verdict::Approved => count(&mut self.counts.approved, true),
            Verdict::Refused => count(&mut self.counts.refused, true),
        }
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
        let (slot, ping) = self.tables.as_deref_mut()?.undecided.expire(now)?;
        count(&mut self.counts.expired, true);
        Some((WaitId { slot, number: ping.number }, ping))
    }

    /// Take out the open ping that has waited longest, if its time is up.
    pub(super) fn expire_open(&mut self, now: Instant) -> Option<OpenId> {
        let Tables { open, open_quota, .. } = self.tables.as_deref_mut()?;
        let (slot, ping) = open.expire_one(now)?;
        open_quota.remove(ping.charged);
        count(&mut self.counts.unanswered, true);
        Some(OpenId(slot))
    }

    /// What became of pings so far.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// When the next ping has waited too long for a decision.
    pub(super) fn next_waiting(&self) -> Option<Instant> {
        self.tables.as_ref()?.undecided.room.next_expiry()
    }

    /// When the next open ping has waited too long.
    pub(super) fn next_open(&self) -> Option<Instant> {
        self.tables.as_ref()?.open.next_expiry()
    }

    /// What waits for a decision, longest first.
    pub(super) fn list(&self) -> impl Iterator<Item = Waiting<'_>> {
        self.tables.iter().flat_map(|tables| tables.undecided.room.iter()).map(|(slot, ping)| {
            let [packet_id, source_did, intent] = ping.texts();
            let id = WaitId { slot, number: ping.number };
            Waiting { id, packet_id, source_did, intent, from: ping.path(), auth: ping.auth(), since: ping.since() }
        })
    }

    /// How many wait for a decision.
    pub(super) fn waiting_len(&self) -> usize {
        self.tables.as_ref().map_or(0, |tables| tables.undecided.room.len())
    }

    /// How many wait for an answer.
    pub(super) fn open_len(&self) -> usize {
        self.tables.as_ref().map_or(0, |tables| tables.open.len())
    }

    /// Most that wait for a decision from one sender, name or address.
    #[cfg(feature = "sim")]
    pub(super) fn most_of_one(&self) -> u32 {
        self.tables.as_ref().map_or(0, |tables| tables.undecided.most_of_one())
    }
}

fn count(n: &mut u64, one: bool) {
    *n = n.saturating_add(u64::from(one));
}
