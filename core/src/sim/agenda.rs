//! What happens when: the event queue of a world.

use alloc::vec::Vec;
use core::array;

/// What is due: a kind and a number that belongs to it, packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A datagram arrives: its place in the post.
    Mail(u32),
    /// A member wants to be woken.
    Timer(u32),
    /// Somebody wanted to do something: its place in the list of errands.
    Errand(u32),
    /// A line of the plan.
    Plan(u32),
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u64,
    due: Due,
}

/// A radix heap: entries by virtual time, equal times first in first out.
///
/// Time never runs backwards, so an entry is kept in the bucket of the highest bit in which its time differs from the
/// last time taken out. Entries with equal times are always in one bucket, in the order they came, and moving a bucket's
/// entries down keeps that order; so no sequence number is needed. An entry moves down at most once a bit, in practice
/// about log2 of how many there are, and always through memory in a straight line.
#[derive(Debug)]
pub(super) struct Agenda {
    last: u64,
    /// Due at `last`, from `next` on.
    front: Vec<Due>,
    next: usize,
    /// Bucket `i`: the time differs from `last` in bit `i` at the highest.
    buckets: [Vec<Entry>; 64],
    /// Which buckets have entries.
    occupied: u64,
}

impl Agenda {
    pub(super) fn new() -> Self {
        Self { last: 0, front: Vec::new(), next: 0, buckets: array::from_fn(|_| Vec::new()), occupied: 0 }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.front.len() - self.next + self.buckets.iter().map(Vec::len).sum::<usize>()
    }

    /// Add an entry. What should have been earlier happens now.
    pub(super) fn push(&mut self, at: u64, due: Due) {
        self.place(Entry { at: at.max(self.last), due });
    }

    fn place(&mut self, entry: Entry) {
        if entry.at == self.last {
            self.front.push(entry.due);
        } else {
            let bucket = 63 - (entry.at ^ self.last).leading_zeros() as usize;
            self.buckets[bucket].push(entry);
            self.occupied |= 1 << bucket;
        }
    }

    /// Take out the first entry, unless it comes after `until`.
    pub(super) fn pop(&mut self, until: u64) -> Option<(u64, Due)> {
        if self.next == self.front.len() && !self.refill(until) {
            return None;
        }
        if self.last > until {
            return None;
        }
        let due = *self.front.get(self.next)?;
        self.next += 1;
        Some((self.last, due))
    }

    /// Move what is due next to the front; false if nothing is by `until`.
    fn refill(&mut self, until: u64) -> bool {
        if self.occupied == 0 {
            return false;
        }
        let bucket = self.occupied.trailing_zeros() as usize;
        let mut entries = core::mem::take(&mut self.buckets[bucket]);
        let first = entries.iter().map(|e| e.at).min().unwrap_or(u64::MAX);
        if first > until {
            self.buckets[bucket] = entries;
            return false;
        }
        self.occupied &= !(1 << bucket);
        self.front.clear();
        self.next = 0;
        self.last = first;
        for entry in entries.drain(..) {
            self.place(entry);
        }
        // The memory is used again.
        self.buckets[bucket] = entries;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Agenda, Due};

    proptest! {
        #[test]
        fn comes_out_by_time_and_then_by_turn(
            ops in prop::collection::vec(prop::option::of((0u64..1 << 40, 0u32..64)), 0..400),
        ) {
            let mut agenda = Agenda::new();
            let mut model: BTreeMap<(u64, u32), Due> = BTreeMap::new();
            let (mut now, mut turn) = (0, 0);
            for op in ops {
                turn += 1;
                if let Some((after, shift)) = op {
                    let at = now + (after >> (shift % 41));
                    agenda.push(at, Due::Mail(turn));
                    model.insert((at, turn), Due::Mail(turn));
                } else {
                    let first = model.first_key_value().map(|(k, v)| (k.0, *v));
                    if let Some((at, _)) = first {
                        if at > 0 {
                            prop_assert_eq!(agenda.pop(at - 1), None);
                        }
                        now = at;
                    }
                    prop_assert_eq!(agenda.pop(u64::MAX), first);
                    model.pop_first();
                }
                prop_assert_eq!(agenda.len(), model.len());
            }
        }
    }
}
