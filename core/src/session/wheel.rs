//! When sessions are to be looked after: whole seconds, in a ring of lists.

use alloc::vec::Vec;

use crate::table::{Heap, Link, Linked, List, Slab};
use crate::time::{Duration, Instant};

/// Seconds in the ring. Nothing of a session is further away than three minutes.
const SLOTS: u64 = 256;

/// The place of an entry in the ring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Due {
    /// The second; 0 is none.
    at: u64,
    link: Link,
}

/// The lists of the ring.
#[derive(Debug)]
pub(super) struct ByDue;

/// An entry that can be in the ring.
pub(super) trait Timed {
    fn due(&self) -> &Due;
    fn due_mut(&mut self) -> &mut Due;
}

impl<T: Timed> Linked<ByDue> for T {
    fn link(&self) -> &Link {
        &self.due().link
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.due_mut().link
    }
}

/// A timer wheel over the entries of one slab, which is handed in with every call: setting, moving and finding the next cost the same however many there are.
#[derive(Debug, Default)]
pub(super) struct Wheel {
    /// Made with the first entry.
    lists: Vec<List<ByDue>>,
    /// Which of them have entries.
    used: [u64; 4],
    /// The last second that was gone through.
    done: u64,
}

const SECOND: u64 = 1_000_000_000;

impl Wheel {
    /// Have this entry looked after at that time or up to a second later, unless it is to be sooner anyway.
    pub(super) fn set<T: Timed>(&mut self, slab: &mut Slab<T, Heap>, slot: u32, at: Instant) {
        let at = at.as_nanos().div_ceil(SECOND);
        if self.used == [0; 4] {
            // Nothing lies between: the ring may begin anywhere.
            self.done = self.done.max(at.saturating_sub(SLOTS - 1));
        }
        let at = at.clamp(self.done + 1, self.done + SLOTS - 1);
        let Some(due) = slab.at(slot).map(|entry| entry.due().at) else { return };
        if due != 0 && due <= at {
            return;
        }
        self.unset(slab, slot);
        if self.lists.is_empty() {
            self.lists.resize_with(256, List::new);
        }
        let (list, word, bit) = place(at);
        let Some(list) = self.lists.get_mut(list) else { return };
        list.push_back(slab, slot);
        self.used[word] |= bit;
        if let Some(entry) = slab.at_mut(slot) {
            entry.due_mut().at = at;
        }
    }

    /// Forget about this entry.
    pub(super) fn unset<T: Timed>(&mut self, slab: &mut Slab<T, Heap>, slot: u32) {
        let Some(at) = slab.at_mut(slot).map(|entry| core::mem::take(&mut entry.due_mut().at)) else { return };
        let (list, word, bit) = place(at);
        let Some(list) = self.lists.get_mut(list).filter(|_| at != 0) else { return };
        list.remove(slab, slot);
        if list.is_empty() {
            self.used[word] &= !bit;
        }
    }

    /// The next entry whose time has come, which is in the ring no more.
    pub(super) fn pop<T: Timed>(&mut self, slab: &mut Slab<T, Heap>, now: Instant) -> Option<u32> {
        let second = now.as_nanos() / SECOND;
        // What is further back than the ring is long lies in it all the same, once around.
        self.done = self.done.max(second.saturating_sub(SLOTS));
        while self.done < second {
            let (list, ..) = place(self.done + 1);
            if let Some(slot) = self.lists.get(list).and_then(List::front) {
                self.unset(slab, slot);
                return Some(slot);
            }
            self.done = self.next_second().map_or(second, |next| (next - 1).min(second));
        }
        None
    }

    /// When [`pop`](Self::pop) has the next entry.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next_second().map(|second| Instant::ZERO + Duration::from_secs(second))
    }

    /// The first second after `done` with entries.
    fn next_second(&self) -> Option<u64> {
        let first = self.done + 1;
        let start = first % SLOTS;
        for step in 0..=4 {
            let word = (start / 64 + step) % 4;
            let mut bits = self.used.get(usize::try_from(word).ok()?).copied()?;
            // Of the word that is begun with, the part from there on first, and the rest at the end.
            let front = u64::MAX << (start % 64);
            bits &= match step {
                0 => front,
                4 => !front,
                _ => u64::MAX,
            };
            if bits != 0 {
                let slot = word * 64 + u64::from(bits.trailing_zeros());
                return Some(first + (slot + SLOTS - start) % SLOTS);
            }
        }
        None
    }
}

#[allow(clippy::cast_possible_truncation, reason = "below the number of slots")]
const fn place(at: u64) -> (usize, usize, u64) {
    let slot = at % SLOTS;
    (slot as usize, (slot / 64) as usize, 1 << (slot % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::{Due, Timed, Wheel};
    use crate::table::{Heap, Slab};
    use crate::time::{Duration, Instant};

    struct Entry(Due);

    impl Timed for Entry {
        fn due(&self) -> &Due {
            &self.0
        }
        fn due_mut(&mut self) -> &mut Due {
            &mut self.0
        }
    }

    proptest! {
        /// Against a map of times: an entry comes at the first second that is not before its time, with jumps of the clock of any length.
        #[test]
        fn every_entry_comes_at_its_second(
            steps in prop::collection::vec((0_u32..8, 0_u64..200_000, prop_oneof![9 => 0_u64..3000, 1 => 0_u64..900_000]), 1..200),
            start in 0_u64..10_000_000,
        ) {
            let mut slab: Slab<Entry, Heap> = Slab::new(8);
            (0..8).for_each(|_| assert!(slab.insert(Entry(Due::default())).is_ok()));
            let mut wheel = Wheel::default();
            let mut now = Instant::ZERO + Duration::from_millis(start);
            prop_assert_eq!(wheel.pop(&mut slab, now), None);
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for (slot, ahead, pass) in steps {
                let at = now + Duration::from_millis(ahead);
                let second = at.as_nanos().div_ceil(1_000_000_000).max(now.as_nanos() / 1_000_000_000 + 1);
                wheel.set(&mut slab, slot, at);
                let due = model.entry(slot).or_insert(second);
                *due = second.min(*due);
                prop_assert_eq!(wheel.next().map(|at| at.as_nanos() / 1_000_000_000), model.values().min().copied());
                now = now + Duration::from_millis(pass);
                let second = now.as_nanos() / 1_000_000_000;
                let mut came: Vec<u32> = core::iter::from_fn(|| wheel.pop(&mut slab, now)).collect();
                came.sort_unstable();
                let due: Vec<u32> = model.iter().filter(|(_, due)| **due <= second).map(|(slot, _)| *slot).collect();
                prop_assert_eq!(came, due);
                model.retain(|_, due| *due > second);
            }
        }
    }
}
