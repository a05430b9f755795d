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
    /// How many of them only a [`Rank::Proven`] may take. Default 64, a sixteenth.
    pub reserved_for_proven: usize,
    /// How long an entry waits. Default 300 s.
    pub lifetime: Duration,
}

impl Default for WaitingConfig {
    fn default() -> Self {
        Self { capacity: 1024, reserved: 128, reserved_for_proven: 64, lifetime: Duration::from_secs(300) }
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

/// What decides about a place in a waiting room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// How well the sender is known.
    pub rank: Rank,
    /// How many places its source has already; what a source is (a name, an address) the caller decides. Where room is short,
    /// who has many makes way for who has few of the same rank.
    pub held: u32,
}

impl Claim {
    /// Classes of `held`, each twice as wide as the one before: 0, 1, 2 to 3, 4 to 7 and so on, from 64 up.
    const CLASSES: usize = 8;

    fn class(self) -> usize {
        ((u32::BITS - self.held.leading_zeros()) as usize).min(Self::CLASSES - 1)
    }
}

/// The waiting room is full; the value comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the waiting room is full")]
pub struct Full<T>(pub T);

struct Age;
struct ByClaim;

/// One place in a waiting room.
pub(crate) struct Entry<T> {
    until: Instant,
    claim: Claim,
    age: Link,
    by_claim: Link,
    value: T,
}

/// Names a list that a caller threads through its own values: `K`, which they are [`Linked`] by.
#[cfg(feature = "alloc")]
pub(crate) struct Within<K>(core::marker::PhantomData<K>);

#[cfg(feature = "alloc")]
impl<K, T: Linked<K>> Linked<Within<K>> for Entry<T> {
    fn link(&self) -> &Link {
        self.value.link()
    }
    fn link_mut(&mut self) -> &mut Link {
        self.value.link_mut()
    }
}

impl<T> Linked<Age> for Entry<T> {
    fn link(&self) -> &Link {
        &self.age
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.age
    }
}

impl<T> Linked<ByClaim> for Entry<T> {
    fn link(&self) -> &Link {
        &self.by_claim
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.by_claim
    }
}

/// Entries that all wait equally long, so that the one that came first is the one that expires first.
///
/// Every call does a fixed amount of work. An entry counts until [`expire_one`](Self::expire_one) has handed it out or it was
/// removed: at the cap, expire first and then insert.
pub struct WaitingTable<T, S: Storage> {
    entries: Slab<Entry<T>, S>,
    by_age: List<Age>,
    /// Those of each rank and each class of [`Claim::held`], longest waiting first.
    by_claim: [[List<ByClaim>; Claim::CLASSES]; Rank::COUNT],
    /// How many places each rank may not take.
    reserved: [usize; Rank::COUNT],
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
        let WaitingConfig { capacity, reserved, reserved_for_proven, lifetime } = config;
        let by_claim = [const { [const { List::new() }; Claim::CLASSES] }; Rank::COUNT];
        let reserved = [reserved.max(reserved_for_proven), reserved_for_proven, 0];
        Self { entries: Slab::new(capacity), by_age: List::new(), by_claim, reserved, lifetime }
    }

    /// Let something wait.
    ///
    /// # Errors
    /// The value, when there is no room for its rank: [`replace`](Self::replace) may find some.
    pub fn insert(&mut self, now: Instant, claim: Claim, value: T) -> Result<WaitingId, Full<T>> {
        if self.has_room(claim.rank) { self.add(now, claim, value) } else { Err(Full(value)) }
    }

    fn add(&mut self, now: Instant, claim: Claim, value: T) -> Result<WaitingId, Full<T>> {
        let (age, by_claim) = (Link::default(), Link::default());
        let entry = Entry { until: now + self.lifetime, claim, age, by_claim, value };
        let id = self.entries.insert(entry).map_err(|entry| Full(entry.value))?;
        self.by_age.push_back(&mut self.entries, id.slot());
        self.by_claim[claim.rank as usize][claim.class()].push_back(&mut self.entries, id.slot());
        Ok(id)
    }

    /// Whether one more of this rank fits.
    #[must_use]
    pub fn has_room(&self, rank: Rank) -> bool {
        self.len() + self.reserved[rank as usize] < self.entries.capacity()
    }

    /// The entry that makes way for one with this claim: of the lowest rank below it, else of its own rank and a higher class of
    /// [`held`](Claim::held); there of the highest class, and of that the one that has waited longest.
    #[must_use]
    pub fn weakest(&self, claim: Claim) -> Option<WaitingId> {
        let (lower, own) = self.by_claim.split_at(claim.rank as usize);
        let more = own.first().and_then(|classes| classes.get(claim.class() + 1..)).unwrap_or_default();
        let lists = lower.iter().flat_map(|classes| classes.iter().rev()).chain(more.iter().rev());
        self.entries.id_at(lists.into_iter().find_map(List::front)?)
    }

    /// Put something in the place of an entry, which is handed out. The place stays one of that entry's rank, unless the
    /// newcomer is better known.
    ///
    /// # Errors
    /// The value, when there is no such entry.
    pub fn replace(&mut self, now: Instant, old: WaitingId, claim: Claim, value: T) -> Result<(WaitingId, T), Full<T>> {
        let Some(rank) = self.entries.get(old).map(|entry| entry.claim.rank) else { return Err(Full(value)) };
        let Some(gone) = self.remove(old) else { return Err(Full(value)) };
        let id = self.add(now, Claim { rank: rank.max(claim.rank), ..claim }, value)?;
        Ok((id, gone))
    }

    /// The entries, for a list that the caller threads through them.
    #[cfg(feature = "alloc")]
    pub(crate) const fn entries_mut(&mut self) -> &mut Slab<Entry<T>, S> {
        &mut self.entries
    }

    /// The values of such a list.
    #[cfg(feature = "alloc")]
    pub(crate) fn within<'a, K>(&'a self, list: &'a List<Within<K>>) -> impl Iterator<Item = (WaitingId, &'a T)>
    where
        T: Linked<K>,
    {
        list.iter(&self.entries).filter_map(|slot| Some((self.entries.id_at(slot)?, &self.entries.at(slot)?.value)))
    }

    /// What waits under this id.
    #[must_use]
    pub fn get(&self, id: WaitingId) -> Option<&T> {
        self.entries.get(id).map(|e| &e.value)
    }

    /// What waits under this id, to change it.
    #[cfg(feature = "alloc")]
    pub(crate) fn get_mut(&mut self, id: WaitingId) -> Option<&mut T> {
        self.entries.get_mut(id).map(|e| &mut e.value)
    }

    /// Take an entry out: it was decided.
    pub fn remove(&mut self, id: WaitingId) -> Option<T> {
        let claim = self.entries.get(id)?.claim;
        self.by_claim[claim.rank as usize][claim.class()].remove(&mut self.entries, id.slot());
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
}

impl<T, S: Storage> core::fmt::Debug for WaitingTable<T, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("WaitingRoom").field("len", &self.len()).finish_non_exhaustive()
    }
}
