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

/// A radix heap with a sorted list in front: entries by virtual time, equal times first in first out.
///
/// Time never runs backwards, so an entry is kept in the bucket of the highest bit in which its time differs from a time
/// that is not after any of them. Entries with equal times are always in one bucket, in the order they came, and moving a
/// bucket's entries down keeps that order; so no sequence number is needed. A bucket with few entries is not moved down
/// but sorted into the list in front, which therefore knows what happens next: see [`Agenda::next_few`].
#[derive(Debug)]
pub(super) struct Agenda {
    /// The time that was taken out last.
    now: u64,
    /// Everything up to `horizon`, sorted; taken out up to `next`.
    front: Vec<Entry>,
    next: usize,
    horizon: u64,
    /// Told by [`next_few`](Self::next_few) up to here.
    told: usize,
    /// No entry behind the horizon is before this.
    base: u64,
    /// Bucket `i`: the time differs from `base` in bit `i` at the highest.
    buckets: [Vec<Entry>; 64],
    /// Which buckets have entries.
    occupied: u64,
}

/// A bucket with at most so many entries is sorted into the list in front, which is filled up to so many.
const BATCH: usize = if cfg!(test) { 4 } else { 64 };

/// When the list in front gets longer than this, what is behind the first [`BATCH`] goes back into buckets.
const LONG: usize = 4 * BATCH;

impl Agenda {
    pub(super) fn new() -> Self {
        Self {
            now: 0,
            front: Vec::new(),
            next: 0,
            horizon: 0,
            told: 0,
            base: 0,
            buckets: array::from_fn(|_| Vec::new()),
            occupied: 0,
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.front.len() - self.next + self.buckets.iter().map(Vec::len).sum::<usize>()
    }

    /// Add an entry. What should have been earlier happens now.
    pub(super) fn push(&mut self, at: u64, due: Due) {
        let entry = Entry { at: at.max(self.now), due };
        if entry.at > self.horizon {
            return self.put_away(entry);
        }
        let behind = self.front.iter().rev().take_while(|other| other.at > entry.at).count();
        let place = (self.front.len() - behind).max(self.next);
        self.front.insert(place, entry);
        self.told += usize::from(place < self.told);
        if self.front.len() - self.next > LONG {
            self.shorten();
        }
    }

    fn put_away(&mut self, entry: Entry) {
        // What is behind the horizon differs from the base.
        let bucket = (entry.at ^ self.base).checked_ilog2().unwrap_or(0) as usize;
        self.buckets[bucket].push(entry);
        self.occupied |= 1 << bucket;
    }

    /// Put what is far from the front back into buckets.
    fn shorten(&mut self) {
        let Some(horizon) = self.front.get(self.next + BATCH).map(|entry| entry.at) else { return };
        // What is before the base has no bucket.
        let horizon = horizon.max(self.base);
        let keep = self.next + self.front[self.next..].partition_point(|entry| entry.at <= horizon);
        if keep == self.front.len() {
            return;
        }
        self.horizon = horizon;
        let mut front = core::mem::take(&mut self.front);
        for entry in front.drain(keep..) {
            self.put_away(entry);
        }
        self.front = front;
        self.told = self.told.min(keep);
    }

    /// Take out the first entry, unless it comes after `until`.
    pub(super) fn pop(&mut self, until: u64) -> Option<(u64, Due)> {
        if self.next == self.front.len() {
            self.refill();
        }
        let Entry { at, due } = *self.front.get(self.next)?;
        if at > until {
            return None;
        }
        self.next += 1;
        self.now = at;
        Some((at, due))
    }

    /// Whether [`next_few`](Self::next_few) has something new to tell.
    pub(super) fn has_news(&self) -> bool {
        self.told <= self.next && self.next < self.front.len()
    }

    /// The next entries that were not told before, at most `most`. Others may still come in between, and one that does may
    /// cause some to be told again.
    pub(super) fn next_few(&mut self, most: usize) -> impl Iterator<Item = Due> {
        let from = self.told.max(self.next);
        self.told = self.front.len().min(from + most);
        self.front[from..self.told].iter().map(|entry| entry.due)
    }

    /// Fill the list in front, which is empty.
    fn refill(&mut self) {
        self.front.clear();
        (self.next, self.told) = (0, 0);
        while self.occupied != 0 {
            let bucket = self.occupied.trailing_zeros() as usize;
            let len = self.buckets[bucket].len();
            if len + self.front.len() <= BATCH {
                self.take(bucket);
            } else if self.front.is_empty() {
                self.split(bucket);
            } else {
                break;
            }
        }
    }

    /// Sort a bucket, the first that has entries, into the list in front.
    fn take(&mut self, bucket: usize) {
        let from = self.front.len();
        self.front.append(&mut self.buckets[bucket]);
        self.occupied &= !(1 << bucket);
        self.front[from..].sort_by_key(|entry| entry.at);
        self.horizon = self.base | (u64::MAX >> (63 - bucket));
    }

    /// Move the entries of a bucket, the first that has any, down to others, and those that come first to the front.
    fn split(&mut self, bucket: usize) {
        let mut entries = core::mem::take(&mut self.buckets[bucket]);
        self.occupied &= !(1 << bucket);
        self.base = entries.iter().map(|e| e.at).min().unwrap_or(self.base);
        self.horizon = self.base;
        for entry in entries.drain(..) {
            if entry.at == self.base {
                self.front.push(entry);
            } else {
                self.put_away(entry);
            }
        }
        // The memory is used again.
        self.buckets[bucket] = entries;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::{Agenda, Due, LONG};

    #[test]
    fn many_entries_before_what_was_looked_at_come_out_in_turn() {
        let mut agenda = Agenda::new();
        for turn in 0..2 * LONG as u32 {
            agenda.push(1 << 20 | u64::from(turn), Due::Mail(turn));
        }
        // It looks ahead, finds nothing in time, and then very much is to happen before.
        assert_eq!(agenda.pop(10), None);
        for turn in 0..3 * LONG as u32 {
            agenda.push(100 + u64::from(turn % 7) * 1000, Due::Timer(turn));
        }
        let times: Vec<u64> = core::iter::from_fn(|| agenda.pop(u64::MAX)).map(|(at, _)| at).collect();
        assert!(times.is_sorted() && times.len() == 5 * LONG, "{times:?}");
    }

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
                if agenda.has_news() {
                    for due in agenda.next_few(3) {
                        prop_assert!(model.values().any(|other| *other == due));
                    }
                }
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
