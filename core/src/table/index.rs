//! Finding entries of a slab by hash.

use core::fmt;
use core::marker::PhantomData;
use core::num::NonZeroU32;

use super::{NONE, Slab, Storage, Store};

/// An entry's place in one [`Index`].
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    /// Never 0, so that a slab can tell a free slot from one with an entry without a byte more.
    hash: NonZeroU32,
    next: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self { hash: fold(0), next: NONE }
    }
}

/// An entry that can be in one index of kind `K` at a time. `K` is any type, used as a name.
pub trait Chained<K> {
    /// Its place.
    fn chain(&self) -> &Chain;
    /// Its place, for the index to change.
    fn chain_mut(&mut self) -> &mut Chain;
}

/// Finds entries of one slab (handed in with every call) by a hash of their key.
///
/// Entries with equal keys may coexist. The caller brings the hash, keyed ([`SipKey`](crate::SipKey)) where strangers choose
/// the keys. Linear hashing: with every entry two buckets are added, as long as the storage has room for them, and two
/// are split, so a call does work in proportion to one bucket, which is half an entry on average.
pub struct Index<K, S: Storage> {
    buckets: S::List<u32>,
    len: usize,
    kind: PhantomData<fn() -> K>,
}

impl<K, S: Storage> Default for Index<K, S> {
    fn default() -> Self {
        Self::new()
    }
}

/// The part of a hash that an index looks at: both halves folded, and the highest bit set, which no bucket number has.
#[allow(clippy::cast_possible_truncation)]
const fn fold(hash: u64) -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add((hash ^ (hash >> 32)) as u32 | 1 << 31)
}

impl<K, S: Storage> Index<K, S> {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self { buckets: <S::List<u32> as Default>::default(), len: 0, kind: PhantomData }
    }

    /// How many entries are in it.
    #[must_use]
    #[cfg(feature = "sim")]
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Bytes of heap held: about eight an entry at its fullest.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.buckets.heap_bytes()
    }

    /// Bytes of heap that the next [`insert`](Self::insert) adds to that.
    #[must_use]
    #[cfg(feature = "alloc")]
    pub(crate) fn growth_bytes(&self) -> usize {
        if self.len * 2 < self.buckets.len() { 0 } else { self.buckets.growth_bytes() }
    }

    /// Read something of the first lines of buckets, for whoever wants them at hand. The result means nothing.
    #[cfg(feature = "sim")]
    pub(crate) fn touch(&self) -> u64 {
        let head = self.buckets.head();
        u64::from(head.first().copied().unwrap_or(0) ^ head.get(..16).unwrap_or(head).last().copied().unwrap_or(0))
    }

    /// The bucket of a hash: its low bits, one bit less where that bucket has not been split yet.
    fn bucket(&self, hash: NonZeroU32) -> usize {
        let count = self.buckets.len();
        let mask = count.next_power_of_two() - 1;
        let at = hash.get() as usize & mask;
        if at < count { at } else { at & (mask >> 1) }
    }

    /// The slot of the first entry with this hash for which `is` holds.
    pub fn find<T: Chained<K>>(&self, slab: &Slab<T, S>, hash: u64, mut is: impl FnMut(&T) -> bool) -> Option<u32> {
        let hash = fold(hash);
        let mut slot = *self.buckets.get(self.bucket(hash))?;
        while let Some(entry) = slab.at(slot) {
            let chain = entry.chain();
            if chain.hash == hash && is(entry) {
                return Some(slot);
            }
            slot = chain.next;
        }
        None
    }

    /// Add the entry in this slot. It must not be in the index already.
    pub fn insert<T: Chained<K>>(&mut self, slab: &mut Slab<T, S>, slot: u32, hash: u64) {
        for _ in 0..2 {
            if self.len * 2 >= self.buckets.len() {
                self.grow(slab);
            }
        }
        let hash = fold(hash);
        let bucket = self.bucket(hash);
        let (Some(head), Some(entry)) = (self.buckets.get_mut(bucket), slab.at_mut(slot)) else { return };
        *entry.chain_mut() = Chain { hash, next: *head };
        *head = slot;
        self.len += 1;
    }

    /// Take the entry in this slot out of the index (it stays in the slab); false when it is not in it.
    pub fn remove<T: Chained<K>>(&mut self, slab: &mut Slab<T, S>, slot: u32) -> bool {
        let Some(Chain { hash, next }) = slab.at(slot).map(|e| *e.chain()) else { return false };
        let bucket = self.bucket(hash);
        let Some(head) = self.buckets.get_mut(bucket) else { return false };
        if *head == slot {
            *head = next;
        } else {
            let mut before = *head;
            loop {
                let Some(entry) = slab.at_mut(before) else { return false };
                let link = entry.chain_mut();
                if link.next == slot {
                    link.next = next;
                    break;
                }
                before = link.next;
            }
        }
        if let Some(entry) = slab.at_mut(slot) {
            *entry.chain_mut() = Chain::default();
        }
        self.len -= 1;
        true
    }

    /// Add one bucket and move into it what belongs there from the bucket that used to hold it.
    fn grow<T: Chained<K>>(&mut self, slab: &mut Slab<T, S>) {
        let new = self.buckets.len();
        if self.buckets.push(NONE).is_err() || new == 0 {
            return;
        }
        let old = new & !(1 << new.ilog2());
        let mut slot = self.buckets.get(old).copied().unwrap_or(NONE);
        let (mut stay, mut go) = (NONE, NONE);
        while let Some(Chain { hash, next }) = slab.at(slot).map(|e| *e.chain()) {
            let head = if self.bucket(hash) == new { &mut go } else { &mut stay };
            if let Some(entry) = slab.at_mut(slot) {
                entry.chain_mut().next = *head;
            }
            *head = slot;
            slot = next;
        }
        for (bucket, head) in [(old, stay), (new, go)] {
            if let Some(place) = self.buckets.get_mut(bucket) {
                *place = head;
            }
        }
    }
}

impl<K, S: Storage> fmt::Debug for Index<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("len", &self.len).finish_non_exhaustive()
    }
}
