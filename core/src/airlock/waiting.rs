//! The waiting room: what nobody has decided yet.

use crate::table::{Fixed, Link, Linked, List, Slab, SlotId, Storage};
use crate::time::{Duration, Instant};

/// Names one entry of a waiting room. It outlives the entry harmlessly: then it finds nothing, never another entry.
pub type WaitingId = SlotId;

/// How much a waiting room holds, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingConfig {
    /// How many entries there may be. Default 1,024.
    pub capacity: usize,
    /// How many of them only who is better known than a [`Rank::Stranger`] may take. Default 128, an eighth.
    pub reserved: usize,
    /// How long an entry waits. Default 300 s.
    pub lifetime: Duration,
}

impl Default for WaitingConfig {
    fn default() -> Self {
        Self { capacity: 1024, reserved: 128, lifetime: Duration::from_secs(300) }
    }
}

/// How well a sender is known. Where room is short, who is less known makes way for who is better known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// A name that anybody could write, from an address that anybody could write.
    Stranger,
    /// The operator trusts this name; the address has proven nothing.
    Trusted,
    /// The address has answered a request of ours in this name.
    Proven,
}

impl Rank {
    const COUNT: usize = 3;
}

/// The waiting room is full; the value comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the waiting room is full")]
pub struct Full<T>(pub T);

struct Age;
struct ByRank;

struct Entry<T> {
    until: Instant,
    rank: Rank,
    age: Link,
    by_rank: Link,
    value: T,
}

impl<T> Linked<Age> for Entry<T> {
    fn link(&self) -> &Link {
        &self.age
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.age
    }
}

impl<T> Linked<ByRank> for Entry<T> {
    fn link(&self) -> &Link {
        &self.by_rank
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.by_rank
    }
}

/// Entries that all wait equally long, so that the one that came first is the one that expires first.
///
/// Every call does a fixed amount of work. An entry counts until [`expire_one`](Self::expire_one) has handed it out or it was
/// removed: at the cap, expire first and then insert.
pub struct WaitingTable<T, S: Storage> {
    entries: Slab<Entry<T>, S>,
    by_age: List<Age>,
    /// Those of each rank, longest waiting first.
    by_rank: [List<ByRank>; Rank::COUNT],
    reserved: usize,
    lifetime: Duration,
}

/// A waiting room on the heap.
#[cfg(feature = "alloc")]
pub type WaitingRoom<T> = WaitingTable<T, crate::table::Heap>;

/// A waiting room without a heap, for at most `N` entries.
pub type FixedWaitingRoom<T, const N: usize> = WaitingTable<T, Fixed<N>>;

impl<T, S: Storage> WaitingTable<T, S> {
    /// Empty.
    #[must_use]
    pub fn new(config: WaitingConfig) -> Self {
        let WaitingConfig { capacity, reserved, lifetime } = config;
        let by_rank = [const { List::new() }; Rank::COUNT];
        Self { entries: Slab::new(capacity), by_age: List::new(), by_rank, reserved, lifetime }
    }

    /// Let something wait.
    ///
    /// # Errors
    /// The value, when there is no room for its rank.
    pub fn insert(&mut self, now: Instant, rank: Rank, value: T) -> Result<WaitingId, Full<T>> {
        if !self.has_room(rank) {
            return Err(Full(value));
        }
        let (age, by_rank) = (Link::default(), Link::default());
        let entry = Entry { until: now + self.lifetime, rank, age, by_rank, value };
        let id = self.entries.insert(entry).map_err(|entry| Full(entry.value))?;
        self.by_age.push_back(&mut self.entries, id.slot());
        self.by_rank[rank as usize].push_back(&mut self.entries, id.slot());
        Ok(id)
    }

    /// Whether one more of this rank fits.
    #[must_use]
    pub fn has_room(&self, rank: Rank) -> bool {
        let kept = if rank == Rank::Stranger { self.reserved } else { 0 };
        self.len() + kept < self.entries.capacity()
    }

    /// Take out the entry of the lowest rank below this one that has waited longest, to make room.
    pub(crate) fn displace(&mut self, rank: Rank) -> Option<(WaitingId, T)> {
        let slot = self.by_rank.iter().take(rank as usize).find_map(List::front)?;
        let id = self.entries.id_at(slot)?;
        Some((id, self.remove(id)?))
    }

    /// What waits under this id.
    #[must_use]
    pub fn get(&self, id: WaitingId) -> Option<&T> {
        self.entries.get(id).map(|e| &e.value)
    }

    /// What waits under this id, to change it.
    pub fn get_mut(&mut self, id: WaitingId) -> Option<&mut T> {
        self.entries.get_mut(id).map(|e| &mut e.value)
    }

    /// Take an entry out: it was decided.
    pub fn remove(&mut self, id: WaitingId) -> Option<T> {
        let rank = self.entries.get(id)?.rank;
        self.by_rank[rank as usize].remove(&mut self.entries, id.slot());
        self.by_age.remove(&mut self.entries, id.slot());
        self.entries.remove(id).map(|e| e.value)
    }

    /// Take out the entry that has waited longest, if its time is up.
    pub fn expire_one(&mut self, now: Instant) -> Option<(WaitingId, T)> {
        let id = self.entries.id_at(self.by_age.front()?)?;
        if self.entries.get(id)?.until > now {
            return None;
        }
        Some((id, self.remove(id)?))
    }

    /// When the next entry expires.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Instant> {
        Some(self.entries.at(self.by_age.front()?)?.until)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_age.len()
    }

    /// Nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_age.is_empty()
    }

    /// No room for another, whoever it is.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.is_full()
    }

    /// Everything that waits, longest first.
    pub fn iter(&self) -> impl Iterator<Item = (WaitingId, &T)> {
        self.by_age
            .iter(&self.entries)
            .filter_map(|slot| Some((self.entries.id_at(slot)?, &self.entries.at(slot)?.value)))
    }

    /// Bytes of heap held by the table itself, without what the values own.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.entries.heap_bytes()
    }
}

impl<T, S: Storage> core::fmt::Debug for WaitingTable<T, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WaitingRoom").field("len", &self.len()).finish_non_exhaustive()
    }
}
