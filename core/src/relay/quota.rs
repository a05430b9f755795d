//! Who may send how much.

use super::config::Pace;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::Instant;

/// The generic cell rate algorithm (ITU-T I.371): of all that went through, only the instant is kept at which it would have been
/// through at the sustained rate. Before that instant there is less than a full burst left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Cell(Instant);

impl Cell {
    /// The cell after so many more (packets, or bytes), or nothing where that would be more than the rate allows.
    pub(super) fn after(self, now: Instant, pace: Pace, cost: u32) -> Option<Self> {
        let now = now.as_nanos();
        let ahead = self.0.as_nanos().saturating_sub(now).saturating_add(pace.each.saturating_mul(cost.into()));
        (ahead <= pace.burst && pace.each < u64::MAX).then(|| Self(Instant::from_nanos(now.saturating_add(ahead))))
    }

    /// Nothing of the burst is used up: as good as new.
    fn is_idle(self, now: Instant) -> bool {
        self.0 <= now
    }
}

struct ByName;
struct ByUse;

struct Entry {
    hash: u64,
    cell: Cell,
    chain: Chain,
    link: Link,
}

impl Chained<ByName> for Entry {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

impl Linked<ByUse> for Entry {
    fn link(&self) -> &Link {
        &self.link
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

/// One quota for each of many names, which are known by a keyed hash.
///
/// A name is forgotten only when its quota is as good as new, so that forgetting never gives anybody more: where there is no such
/// name and no room, a new one is refused.
pub(super) struct Quotas {
    entries: Slab<Entry, Heap>,
    by_name: Index<ByName, Heap>,
    by_use: List<ByUse>,
}

/// A quota that has room, to be [charged](Quotas::charge).
#[derive(Clone, Copy)]
pub(super) struct Grant {
    hash: u64,
    cell: Cell,
    slot: Option<u32>,
}

impl Quotas {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: Slab::new(capacity.max(1)), by_name: Index::new(), by_use: List::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether one more of this name is within the rate. Changes nothing.
    pub(super) fn grant(&self, now: Instant, hash: u64, pace: Pace) -> Option<Grant> {
        let slot = self.by_name.find(&self.entries, hash, |entry| entry.hash == hash);
        let cell = slot.and_then(|slot| self.entries.at(slot)).map_or(Cell::default(), |entry| entry.cell);
        if slot.is_none() && self.entries.is_full() {
            self.by_use.front().and_then(|slot| self.entries.at(slot)).filter(|entry| entry.cell.is_idle(now))?;
        }
        Some(Grant { hash, cell: cell.after(now, pace, 1)?, slot })
    }

    /// Use up what was granted. Nothing else may have been charged in between.
    pub(super) fn charge(&mut self, grant: Grant) {
        let Grant { hash, cell, slot } = grant;
        if let Some(entry) = slot.and_then(|slot| self.entries.at_mut(slot)) {
            entry.cell = cell;
            self.by_use.move_to_back(&mut self.entries, slot.unwrap_or_default());
            return;
        }
        if self.entries.is_full()
            && let Some(slot) = self.by_use.pop_front(&mut self.entries)
        {
            self.by_name.remove(&mut self.entries, slot);
            self.entries.remove_at(slot);
        }
        let entry = Entry { hash, cell, chain: Chain::default(), link: Link::default() };
        if let Ok(id) = self.entries.insert(entry) {
            self.by_name.insert(&mut self.entries, id.slot(), hash);
            self.by_use.push_back(&mut self.entries, id.slot());
        }
    }
}
