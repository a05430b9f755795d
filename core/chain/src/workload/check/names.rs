//! Which hashes were seen: of names, and of workloads that ended.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hashbrown::HashTable;

/// How many are kept in a plain table: as many as fill one of 2^16 slots.
const FEW: usize = (1 << 16) / 8 * 7;
/// Parts after that, a power of two. Which part a hash is in says so many of its bits.
const PARTS: usize = 1 << 12;

/// What a part keeps of a hash.
type Kept = [u8; 6];

/// An empty slot.
const FREE: Kept = [0; 6];

/// A set of keyed 64-bit hashes. Few are kept as they are; of many, 60 bits are, in some 7 bytes for each: open addressing with linear
/// probing in many small parts, that grow by a tenth, each at its own time.
pub(super) struct Names {
    few: HashTable<u64>,
    parts: Vec<Part>,
}

impl Names {
    pub(super) const fn new() -> Self {
        Self { few: HashTable::new(), parts: Vec::new() }
    }

    pub(super) fn contains(&self, hash: u64) -> bool {
        match self.parts.get(part(hash)) {
            Some(part) => matches!(part.slot(kept(hash)), Some((_, true))),
            None => self.few.find(hash, |seen| *seen == hash).is_some(),
        }
    }

    /// Put it in; whether it was there.
    pub(super) fn insert(&mut self, hash: u64) -> bool {
        if self.parts.is_empty() {
            if self.few.find(hash, |seen| *seen == hash).is_some() {
                return true;
            }
            if self.few.len() < FEW {
                self.few.insert_unique(hash, hash, |seen| *seen);
                return false;
            }
            self.parts.resize_with(PARTS, Part::default);
            for hash in core::mem::take(&mut self.few) {
                self.insert_in_part(hash);
            }
        }
        self.insert_in_part(hash)
    }

    fn insert_in_part(&mut self, hash: u64) -> bool {
        self.parts.get_mut(part(hash)).is_some_and(|part| part.insert(kept(hash)))
    }

    /// Bytes of heap held, the allocator's own overhead aside.
    pub(super) fn heap_bytes(&self) -> usize {
        let slots: usize = self.parts.iter().map(|part| part.slots.len()).sum();
        self.few.allocation_size() + slots * size_of::<Kept>() + self.parts.capacity() * size_of::<Part>()
    }
}

/// Which part a hash is in: its low bits.
#[allow(clippy::cast_possible_truncation)]
const fn part(hash: u64) -> usize {
    hash as usize & (PARTS - 1)
}

/// What is kept of a hash: its high bits.
const fn kept(hash: u64) -> Kept {
    let [a, b, c, d, e, f, ..] = hash.to_be_bytes();
    match [a, b, c, d, e, f] {
        FREE => [0, 0, 0, 0, 0, 1],
        kept => kept,
    }
}

#[derive(Default)]
struct Part {
    slots: Box<[Kept]>,
    used: usize,
}

impl Part {
    /// Its slot, or the free one where it would be.
    fn slot(&self, hash: Kept) -> Option<(usize, bool)> {
        let [a, b, c, d, ..] = hash;
        let home = (u64::from(u32::from_be_bytes([a, b, c, d])) * self.slots.len() as u64) >> 32;
        let home = usize::try_from(home).unwrap_or(0);
        let (wrapped, from_home) = self.slots.split_at_checked(home)?;
        let hit = |(at, slot): (usize, &Kept)| (*slot == hash || *slot == FREE).then_some((at, *slot == hash));
        from_home
            .iter()
            .enumerate()
            .find_map(|(at, slot)| hit((home + at, slot)))
            .or_else(|| wrapped.iter().enumerate().find_map(hit))
    }

    fn insert(&mut self, hash: Kept) -> bool {
        if matches!(self.slot(hash), Some((_, true))) {
            return true;
        }
        if (self.used + 1) * 10 > self.slots.len() * 9 {
            let bigger = (self.slots.len() + (self.slots.len() / 10).max(1)).max(8);
            let old = core::mem::replace(&mut self.slots, alloc::vec![FREE; bigger].into_boxed_slice());
            old.into_iter().filter(|hash| *hash != FREE).for_each(|hash| self.put(hash));
        }
        self.put(hash);
        self.used += 1;
        false
    }

    /// Put in what is not there.
    fn put(&mut self, hash: Kept) {
        if let Some((at, false)) = self.slot(hash)
            && let Some(slot) = self.slots.get_mut(at)
        {
            *slot = hash;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FEW, Names};
    use sluis_core::Seed;

    #[test]
    fn what_was_put_in_is_in_it_few_or_many() {
        let key = Seed::from_u64(1).fork("names").sip_key();
        let hash = |n: usize| key.hash(&n.to_le_bytes());
        let mut names = Names::new();
        let n = 4 * FEW;
        for i in 0..n {
            assert!(!names.contains(hash(i)) && !names.insert(hash(i)), "{i}");
            // Also across the change from few to many.
            assert!(names.insert(hash(i)) && names.contains(hash(i / 2)), "{i}");
        }
        assert!((0..n).all(|i| names.contains(hash(i))));
        assert!((n..2 * n).all(|i| !names.contains(hash(i))));
        let per_name = names.heap_bytes() as f64 / n as f64;
        assert!(per_name < 8.0, "{per_name}");
    }

    #[test]
    fn a_hash_of_zeros_is_one_too() {
        let mut names = Names::new();
        (0..=FEW as u64).for_each(|n| assert!(!names.insert((n + 2) << 16 | n)));
        assert!(!names.contains(0) && !names.insert(0) && names.contains(0) && names.insert(0));
    }
}
