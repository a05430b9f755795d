//! Hashes that were noted a short time ago.

use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::{Duration, Instant};

struct ByHash;
struct ByAge;

struct Noted {
    hash: u64,
    until: Instant,
    chain: Chain,
    link: Link,
}

impl Chained<ByHash> for Noted {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

impl Linked<ByAge> for Noted {
    fn link(&self) -> &Link {
        &self.link
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

/// A set of 64-bit keyed hashes, each of which is forgotten after the same time, or earlier when there is no room for a new one.
///
/// The hashes have to be keyed: then two things with one hash are an accident that happens once in 2^64 pairs.
pub(super) struct Recent {
    noted: Slab<Noted, Heap>,
    by_hash: Index<ByHash, Heap>,
    by_age: List<ByAge>,
    lasts: Duration,
}

impl Recent {
    /// Empty, for at most `capacity` hashes (at least one), each of which lasts so long.
    pub(super) fn new(capacity: usize, lasts: Duration) -> Self {
        Self { noted: Slab::new(capacity.max(1)), by_hash: Index::new(), by_age: List::new(), lasts }
    }

    pub(super) fn len(&self) -> usize {
        self.noted.len()
    }

    pub(super) fn contains(&self, now: Instant, hash: u64) -> bool {
        let slot = self.by_hash.find(&self.noted, hash, |noted| noted.hash == hash);
        slot.and_then(|slot| self.noted.at(slot)).is_some_and(|noted| noted.until > now)
    }

    /// Note a hash, from now on.
    pub(super) fn note(&mut self, now: Instant, hash: u64) {
        let until = now + self.lasts;
        if let Some(slot) = self.by_hash.find(&self.noted, hash, |noted| noted.hash == hash) {
            if let Some(noted) = self.noted.at_mut(slot) {
                noted.until = until;
            }
            self.by_age.move_to_back(&mut self.noted, slot);
            return;
        }
        // Two for one: so the set shrinks again after a burst, and no call does more work than that.
        self.expire(now, 2);
        if self.noted.is_full() {
            self.drop_oldest();
        }
        let noted = Noted { hash, until, chain: Chain::default(), link: Link::default() };
        if let Ok(id) = self.noted.insert(noted) {
            self.by_hash.insert(&mut self.noted, id.slot(), hash);
            self.by_age.push_back(&mut self.noted, id.slot());
        }
    }

    /// Forget a hash.
    pub(super) fn forget(&mut self, hash: u64) {
        if let Some(slot) = self.by_hash.find(&self.noted, hash, |noted| noted.hash == hash) {
            self.by_age.remove(&mut self.noted, slot);
            self.by_hash.remove(&mut self.noted, slot);
            self.noted.remove_at(slot);
        }
    }

    /// Forget at most so many whose time is over.
    fn expire(&mut self, now: Instant, most: usize) {
        for _ in 0..most {
            let oldest = self.by_age.front().and_then(|slot| self.noted.at(slot));
            if oldest.is_none_or(|noted| noted.until > now) {
                return;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(slot) = self.by_age.pop_front(&mut self.noted) {
            self.by_hash.remove(&mut self.noted, slot);
            self.noted.remove_at(slot);
        }
    }
}
