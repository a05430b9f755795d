//! Which ids there are, and which follows from which: some 22 to 26 bytes a token, and 8 more for each whose parent does not
//! stand before it.
//!
//! An entry is 8 bytes: the index of the parent's entry, and the line. They are found by the keyed 64-bit fingerprints of
//! their ids in a hash table of 256 parts, 12 bytes a slot. A part grows by a quarter when it is 7/8 full, each at its own
//! time, so that never two tables exist at once. A parent that does not stand before its child (no log of ours does that)
//! waits with its 8-byte fingerprint until the end.
//!
//! Two different ids have one fingerprint with a chance of about n² / 2^65: one in ten million at a million tokens. The key
//! is secret, so nobody can make it happen.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::chunked::ChunkedVec;

/// Most tokens in one file: what the index has room for.
pub(super) const MAX_TOKENS: usize = (1 << 30) - 1;

/// No parent.
const NONE: u32 = (1 << 30) - 1;
/// The parent waits: the rest is its place among those that wait. At the end: the entry has been looked at.
const WAITS: u32 = 1 << 31;
/// The line cannot be believed, its id least of all. At the end: the entry is on the way that is being walked.
const FALSE: u32 = 1 << 30;

/// Nobody waits there.
const NOBODY: u64 = u64::MAX;

#[derive(Clone, Copy, Default)]
struct Entry {
    parent: u32,
    line: u32,
}

impl Entry {
    const fn parent(self) -> u32 {
        self.parent & NONE
    }
}

const PARTS: usize = 256;

/// Part of the table: open addressing, linear probing. A fingerprint of 0 is an empty slot.
#[derive(Default)]
struct Part {
    ids: Box<[u64]>,
    indexes: Box<[u32]>,
    used: usize,
}

impl Part {
    /// Where probing begins: the upper half of the fingerprint, spread over the slots without a division. (The low byte
    /// chose the part.)
    fn home(&self, id: u64) -> usize {
        usize::try_from(((id >> 32) * self.ids.len() as u64) >> 32).unwrap_or(0)
    }

    /// The slot of this id, or the empty one where it would be.
    #[inline]
    fn slot(&self, id: u64) -> Option<(usize, bool)> {
        let home = self.home(id);
        let (wrapped, from_home) = self.ids.split_at_checked(home)?;
        let hit = |(at, slot): (usize, &u64)| (*slot == id || *slot == 0).then_some((at, *slot == id));
        from_home
            .iter()
            .enumerate()
            .find_map(|(at, slot)| hit((home + at, slot)))
            .or_else(|| wrapped.iter().enumerate().find_map(hit))
    }

    /// Have the slot brought near.
    fn touch(&self, id: u64) -> u64 {
        let home = self.home(id);
        let slot = (self.ids.get(home).copied(), self.indexes.get(home).copied());
        slot.0.unwrap_or_default() ^ u64::from(slot.1.unwrap_or_default())
    }

    fn find(&self, id: u64) -> Option<u32> {
        match self.slot(id)? {
            (at, true) => self.indexes.get(at).copied(),
            (_, false) => None,
        }
    }

    /// Put in what is not there.
    fn insert(&mut self, id: u64, index: u32) {
        if (self.used + 1) * 8 > self.ids.len() * 7 {
            let bigger = (self.ids.len() * 5 / 4).max(8);
            let ids = core::mem::replace(&mut self.ids, alloc::vec![0; bigger].into_boxed_slice());
            let indexes = core::mem::replace(&mut self.indexes, alloc::vec![0; bigger].into_boxed_slice());
            for (id, index) in ids.into_iter().zip(indexes).filter(|(id, _)| *id != 0) {
                self.put(id, index);
            }
        }
        self.put(id, index);
        self.used += 1;
    }

    fn put(&mut self, id: u64, index: u32) {
        if let Some((at, false)) = self.slot(id)
            && let (Some(slot), Some(place)) = (self.ids.get_mut(at), self.indexes.get_mut(at))
        {
            (*slot, *place) = (id, index);
        }
    }
}

/// What is to be said of a line's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is the first with this id.
    New(u32),
    /// The token in this line has it too.
    Before(u32),
    /// It follows from itself.
    Itself(u32),
    /// There are more tokens than there is room for.
    Full,
}

/// Where a parent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parent {
    /// There is none, or it was there before its child.
    Known,
    /// It has not been seen yet: the n-th that waits.
    Waits(usize),
}

/// Which part of the table an id is in.
const fn part(id: u64) -> usize {
    (id & 0xff) as usize
}

/// The ids of a file.
pub(super) struct Ids {
    entries: ChunkedVec<Entry>,
    parts: Vec<Part>,
    /// Fingerprints of parents that were not there before their children; at the end the children's indexes.
    waiting: ChunkedVec<u64>,
}

impl Ids {
    pub(super) fn new() -> Self {
        Self { entries: ChunkedVec::new(), parts: Vec::new(), waiting: ChunkedVec::new() }
    }

    fn find(&self, id: u64) -> Option<u32> {
        self.parts.get(part(id))?.find(id)
    }

    /// These ids will be asked for. Looking at all their places at once takes hardly longer than at one of them, where the
    /// table is too large for the cache.
    pub(super) fn expect(&self, ids: impl Iterator<Item = u64>) {
        let touched = ids.fold(0, |touched, id| touched ^ self.parts.get(part(id)).map_or(0, |part| part.touch(id)));
        core::hint::black_box(touched);
    }

    /// A line with an id that can be believed, and what it follows from.
    pub(super) fn add(&mut self, id: u64, parent: Option<u64>, line: u64) -> (Seen, Parent) {
        let line = u32::try_from(line).unwrap_or(u32::MAX);
        let (id, parent) = (id.max(1), parent.map(|parent| parent.max(1)));
        let old = self.find(id);
        if let Some(old) = old
            && let Some(entry) = self.entries.get(old as usize)
            && entry.parent & FALSE == 0
        {
            return (Seen::Before(entry.line), Parent::Known);
        }
        if self.entries.len() >= MAX_TOKENS {
            return (Seen::Full, Parent::Known);
        }
        let (at, waits) = match parent {
            None => (NONE, Parent::Known),
            Some(parent) if parent == id => (NONE, Parent::Known),
            Some(parent) => match self.find(parent) {
                // One that takes the place of what could not be believed may close a circle with those that followed that.
                Some(at) if old.is_none() => (at, Parent::Known),
                _ => {
                    let place = self.waiting.len();
                    self.waiting.push(parent);
                    // As many as there are tokens at most.
                    (WAITS | u32::try_from(place).unwrap_or(NONE), Parent::Waits(place))
                }
            },
        };
        let entry = Entry { parent: at, line };
        let index = match old {
            // What was said of it before could not be believed.
            Some(old) => {
                if let Some(slot) = self.entries.get_mut(old as usize) {
                    *slot = entry;
                }
                old
            }
            None => self.put(id, entry),
        };
        if parent == Some(id) { (Seen::Itself(index), Parent::Known) } else { (Seen::New(index), waits) }
    }

    /// A line of which something was found: its id is good enough as a parent's, if nobody else has it.
    pub(super) fn add_false(&mut self, id: u64, line: u64) {
        let id = id.max(1);
        if self.entries.len() < MAX_TOKENS && self.find(id).is_none() {
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            self.put(id, Entry { parent: NONE | FALSE, line });
        }
    }

    /// Something was found of a line after it was added: what it follows from does not matter any more.
    pub(super) fn disbelieve(&mut self, index: u32) {
        let Some(entry) = self.entries.get_mut(index as usize) else { return };
        let parent = core::mem::replace(&mut entry.parent, NONE | FALSE);
        if parent & WAITS != 0
            && let Some(slot) = self.waiting.get_mut((parent & NONE) as usize)
        {
            *slot = NOBODY;
        }
    }

    fn put(&mut self, id: u64, entry: Entry) -> u32 {
        let index = u32::try_from(self.entries.len()).unwrap_or(NONE);
        self.entries.push(entry);
        if self.parts.is_empty() {
            self.parts.resize_with(PARTS, Part::default);
        }
        if let Some(part) = self.parts.get_mut(part(id)) {
            part.insert(id, index);
        }
        index
    }

    /// The file has ended: look again for the parents that waited. Says the line of each child whose parent is not there, with
    /// the parent's fingerprint and its place among those that waited.
    pub(super) fn resolve(&mut self, mut missing: impl FnMut(u64, u64, usize)) {
        for child in 0..self.entries.len() {
            let Some(entry) = self.entries.get(child).copied() else { continue };
            if entry.parent & WAITS == 0 {
                continue;
            }
            let place = entry.parent() as usize;
            let wanted = self.waiting.get(place).copied().unwrap_or_default();
            let parent = self.find(wanted);
            if parent.is_none() {
                missing(u64::from(entry.line), wanted, place);
            }
            if let Some(entry) = self.entries.get_mut(child) {
                entry.parent = parent.unwrap_or(NONE) | (entry.parent & FALSE);
            }
            if let Some(slot) = self.waiting.get_mut(place) {
                *slot = if parent.is_some() { child as u64 } else { NOBODY };
            }
        }
        // From now on the two bits are for walking.
        for at in 0..self.entries.len() {
            if let Some(entry) = self.entries.get_mut(at) {
                entry.parent &= NONE;
            }
        }
    }

    /// After [`resolve`](Self::resolve): every circle, by the lines in it. A circle goes through a parent that waited.
    pub(super) fn circles(&mut self, mut circle: impl FnMut(&mut dyn Iterator<Item = u64>)) {
        for place in 0..self.waiting.len() {
            let child = self.waiting.get(place).and_then(|child| usize::try_from(*child).ok());
            let Some(start) = child.filter(|child| *child < self.entries.len()) else { continue };
            if let Some(on) = self.walk(start) {
                let mut at = Some(on);
                let mut lines = core::iter::from_fn(|| {
                    let here = at?;
                    let entry = self.entries.get(here)?;
                    at = Some(entry.parent() as usize).filter(|next| *next != on);
                    Some(u64::from(entry.line))
                });
                circle(&mut lines);
            }
            self.unwalk(start);
        }
    }

    /// Follow the parents until there is none, or one that was looked at, or one on this way: that one.
    fn walk(&mut self, start: usize) -> Option<usize> {
        let mut at = start;
        while let Some(entry) = self.entries.get_mut(at) {
            if entry.parent & WAITS != 0 {
                return None;
            }
            if entry.parent & FALSE != 0 {
                return Some(at);
            }
            entry.parent |= FALSE;
            at = entry.parent() as usize;
        }
        None
    }

    /// Everything on the way has been looked at.
    fn unwalk(&mut self, start: usize) {
        let mut at = start;
        while let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.parent & FALSE != 0) {
            entry.parent = entry.parent() | WAITS;
            at = entry.parent() as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::{Ids, Parent, Seen};

    fn circles(ids: &mut Ids) -> Vec<Vec<u64>> {
        let mut all = Vec::new();
        ids.circles(|lines| all.push(lines.collect()));
        all
    }

    fn missing(ids: &mut Ids) -> Vec<u64> {
        let mut all = Vec::new();
        ids.resolve(|line, _, _| all.push(line));
        all
    }

    fn spread(n: u64) -> u64 {
        sluis_core::Seed::from_u64(n).fork("").u64()
    }

    #[test]
    fn a_long_chain_is_found_again() {
        let mut ids = Ids::new();
        let id = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20);
        for n in 1..=100_000 {
            let parent = (n > 1).then(|| id(n - 1));
            assert_eq!(ids.add(id(n), parent, n), (Seen::New(u32::try_from(n - 1).unwrap()), Parent::Known));
        }
        for n in 1..=100_000 {
            assert_eq!(ids.add(id(n), None, 0), (Seen::Before(u32::try_from(n).unwrap()), Parent::Known));
        }
        assert_eq!(missing(&mut ids), [0_u64; 0]);
        assert!(circles(&mut ids).is_empty());
    }

    #[test]
    fn parents_after_their_children_are_found_and_circles_named() {
        let mut ids = Ids::new();
        let id = spread;
        // 1 <- 2 <- 3 <- 1 is a circle, 4 leads into it, 5 waits for 6, 7 for nobody, 8 follows from itself.
        for (n, parent) in [(1, 3), (2, 1), (3, 2), (4, 1), (5, 6), (6, 100), (7, 101)] {
            assert!(matches!(ids.add(id(n), Some(id(parent)), n), (Seen::New(_), _)));
        }
        assert!(matches!(ids.add(id(8), Some(id(8)), 8), (Seen::Itself(_), _)));
        assert_eq!(missing(&mut ids), [6, 7]);
        let found = circles(&mut ids);
        assert_eq!(found.len(), 1);
        let mut lines = found[0].clone();
        lines.sort_unstable();
        assert_eq!(lines, [1, 2, 3]);
    }

    #[test]
    fn what_cannot_be_believed_is_a_parent_but_no_duplicate() {
        let mut ids = Ids::new();
        ids.add_false(spread(1), 1);
        assert_eq!(ids.add(spread(2), Some(spread(1)), 2), (Seen::New(1), Parent::Known));
        assert_eq!(ids.add(spread(1), None, 3), (Seen::New(0), Parent::Known));
        ids.add_false(spread(1), 4);
        assert_eq!(ids.add(spread(1), None, 5), (Seen::Before(3), Parent::Known));
        ids.disbelieve(0);
        assert_eq!(ids.add(spread(1), None, 6), (Seen::New(0), Parent::Known));
        // One that is disbelieved waits for nobody.
        let (Seen::New(late), Parent::Waits(0)) = ids.add(spread(7), Some(spread(8)), 7) else { panic!() };
        ids.disbelieve(late);
        assert_eq!(missing(&mut ids), [0_u64; 0]);
        assert!(circles(&mut ids).is_empty());
    }

    #[test]
    fn a_circle_through_an_id_that_was_false_before_is_found() {
        let mut ids = Ids::new();
        ids.add_false(spread(1), 1);
        ids.add(spread(2), Some(spread(1)), 2);
        ids.add(spread(1), Some(spread(2)), 3);
        assert_eq!(missing(&mut ids), [0_u64; 0]);
        let mut found = circles(&mut ids);
        found[0].sort_unstable();
        assert_eq!(found, [[2, 3]]);
    }

    #[test]
    fn a_way_that_many_lead_into_is_walked_once() {
        // Everybody waits for the one after; the last closes the circle.
        let mut ids = Ids::new();
        let id = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        const N: u64 = 200_000;
        for n in 0..N {
            ids.add(id(n), Some(id((n + 1) % N)), n);
        }
        assert_eq!(missing(&mut ids), [0_u64; 0]);
        let found = circles(&mut ids);
        assert_eq!((found.len(), found[0].len()), (1, usize::try_from(N).unwrap()));
    }
}
