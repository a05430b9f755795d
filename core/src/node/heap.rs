//! A binary heap of deadlines in which an entry can be moved or removed: every slot of a table has at most one.

use alloc::vec::Vec;

use crate::time::Instant;

const ABSENT: u32 = u32::MAX;

/// Deadlines of the slots of a table, earliest first; equal deadlines in order of slot number.
#[derive(Debug, Default)]
pub(super) struct DeadlineHeap {
    heap: Vec<(Instant, u32)>,
    /// Where a slot stands in `heap`.
    position: Vec<u32>,
}

impl DeadlineHeap {
    /// The earliest deadline and its slot.
    pub(super) fn first(&self) -> Option<(Instant, u32)> {
        self.heap.first().copied()
    }

    /// Give a slot a deadline, or move the one it has.
    pub(super) fn set(&mut self, slot: u32, at: Instant) {
        let index = slot as usize;
        if self.position.len() <= index {
            self.position.resize(index + 1, ABSENT);
        }
        match self.position_of(slot) {
            Some(place) => {
                if let Some(entry) = self.heap.get_mut(place) {
                    entry.0 = at;
                }
                self.restore(place);
            }
            None => {
                self.heap.push((at, slot));
                self.restore(self.heap.len() - 1);
            }
        }
    }

    /// Take a slot's deadline away.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(place) = self.position_of(slot) else { return };
        self.heap.swap_remove(place);
        if let Some(position) = self.position.get_mut(slot as usize) {
            *position = ABSENT;
        }
        if place < self.heap.len() {
            self.restore(place);
        }
    }

    fn position_of(&self, slot: u32) -> Option<usize> {
        self.position.get(slot as usize).copied().filter(|p| *p != ABSENT).map(|p| p as usize)
    }

    /// Move the entry at `place` up or down until the heap is in order again.
    fn restore(&mut self, mut place: usize) {
        while place > 0 && self.heap[place] < self.heap[(place - 1) / 2] {
            self.heap.swap(place, (place - 1) / 2);
            self.note(place);
            place = (place - 1) / 2;
        }
        loop {
            let left = 2 * place + 1;
            let Some(child) = (left..(left + 2).min(self.heap.len())).min_by_key(|c| self.heap[*c]) else { break };
            if self.heap[place] <= self.heap[child] {
                break;
            }
            self.heap.swap(place, child);
            self.note(place);
            place = child;
        }
        self.note(place);
    }

    fn note(&mut self, place: usize) {
        let slot = self.heap[place].1;
        if let Some(position) = self.position.get_mut(slot as usize) {
            // The heap never has more entries than slots, and slots are numbered in 32 bits.
            *position = u32::try_from(place).unwrap_or(ABSENT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::DeadlineHeap;
    use crate::time::Instant;

    proptest! {
        #[test]
        fn always_knows_the_earliest(ops in prop::collection::vec((0u32..20, prop::option::of(0u64..50)), 0..300)) {
            let mut heap = DeadlineHeap::default();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for (slot, at) in ops {
                match at {
                    Some(at) => { heap.set(slot, Instant::from_nanos(at)); model.insert(slot, at); }
                    None => { heap.remove(slot); model.remove(&slot); }
                }
                let first = model.iter().map(|(s, a)| (*a, *s)).min();
                prop_assert_eq!(heap.first().map(|(a, s)| (a.as_nanos(), s)), first);
            }
        }
    }
}
