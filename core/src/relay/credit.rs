//! How many bytes may go to addresses that have proven nothing.

use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};

struct ByAddress;
struct ByUse;

struct Entry {
    hash: u64,
    left: usize,
    chain: Chain,
    link: Link,
}

impl Chained<ByAddress> for Entry {
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

/// How many bytes may go to each address that has proven nothing, by its keyed hash.
///
/// Nothing may go to an address that is not known here, so that forgetting one never gives it more; the one that was used longest ago is
/// forgotten for a new one.
pub(super) struct Credits {
    entries: Slab<Entry, Heap>,
    by_address: Index<ByAddress, Heap>,
    by_use: List<ByUse>,
}

impl Credits {
    /// Empty, for at most so many addresses (at least one).
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: Slab::new(capacity.max(1)), by_address: Index::new(), by_use: List::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn slot(&self, hash: u64) -> Option<u32> {
        self.by_address.find(&self.entries, hash, |entry| entry.hash == hash)
    }

    /// How many bytes may go there.
    pub(super) fn left(&self, hash: u64) -> usize {
        self.slot(hash).and_then(|slot| self.entries.at(slot)).map_or(0, |entry| entry.left)
    }

    /// So many more may go there.
    pub(super) fn add(&mut self, hash: u64, bytes: usize) {
        if bytes == 0 {
            return;
        }
        if let Some(slot) = self.slot(hash) {
            if let Some(entry) = self.entries.at_mut(slot) {
                entry.left = entry.left.saturating_add(bytes);
            }
            self.by_use.move_to_back(&mut self.entries, slot);
            return;
        }
        if self.entries.is_full()
            && let Some(slot) = self.by_use.front()
        {
            self.remove(slot);
        }
        let entry = Entry { hash, left: bytes, chain: Chain::default(), link: Link::default() };
        if let Ok(id) = self.entries.insert(entry) {
            self.by_address.insert(&mut self.entries, id.slot(), hash);
            self.by_use.push_back(&mut self.entries, id.slot());
        }
    }

    /// So many went there.
    pub(super) fn take(&mut self, hash: u64, bytes: usize) {
        let Some(slot) = self.slot(hash) else { return };
        let Some(entry) = self.entries.at_mut(slot) else { return };
        entry.left = entry.left.saturating_sub(bytes);
        match entry.left {
            0 => self.remove(slot),
            _ => _ = self.by_use.move_to_back(&mut self.entries, slot),
        }
    }

    fn remove(&mut self, slot: u32) {
        self.by_use.remove(&mut self.entries, slot);
        self.by_address.remove(&mut self.entries, slot);
        self.entries.remove_at(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_may_be_sent_nothing() {
        let mut credits = Credits::new(2);
        credits.add(1, 10);
        credits.add(2, 20);
        credits.add(1, 5);
        credits.add(3, 30);
        assert_eq!(([1, 2, 3].map(|n| credits.left(n)), credits.len()), ([15, 0, 30], 2));
        credits.take(1, 4);
        credits.take(2, 4);
        credits.take(3, 31);
        assert_eq!(([1, 2, 3].map(|n| credits.left(n)), credits.len()), ([11, 0, 0], 1));
        credits.add(4, 0);
        credits.add(1, usize::MAX);
        assert_eq!((credits.left(1), credits.len()), (usize::MAX, 1));
    }
}
