//! A bounded first-in first-out queue of records: a small `Copy` head and any number of bytes.
//!
//! All bytes live in one buffer that starts empty, grows up to its cap and is then reused for ever: in steady state a
//! record costs no allocation. A record is written in place, so the writer decides how long it is.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The queue. `H` is the head of a record.
#[derive(Debug)]
pub(super) struct Queue<H> {
    heads: VecDeque<(H, u32)>,
    /// Storage; `head..tail` is occupied, and the oldest record starts at `head`.
    bytes: Vec<u8>,
    head: usize,
    tail: usize,
    max_records: usize,
    /// Of storage.
    max_bytes: usize,
}

/// There is no room for one more record of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What a writer of a record answers.
pub(super) enum Written<E> {
    /// The record has this many bytes.
    Bytes(usize),
    /// The space offered was too small: offer more.
    MoreSpace,
    /// There will be no record.
    Failed(E),
}

/// Why there is no record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum StageError<E> {
    /// The queue has no room.
    Full,
    /// The writer gave up.
    Failed(E),
}

impl<H: Copy> Queue<H> {
    /// An empty queue that never takes more memory than this; records may fill three quarters of it.
    pub(super) const fn new(max_records: usize, max_bytes: usize) -> Self {
        Self { heads: VecDeque::new(), bytes: Vec::new(), head: 0, tail: 0, max_records, max_bytes }
    }

    /// The bounds: how many records, and bytes of storage.
    pub(super) const fn bounds(&self) -> (usize, usize) {
        (self.max_records, self.max_bytes)
    }

    /// Bytes of records at most: a quarter of the storage stays free, so that records are moved to the front at most once in as many bytes.
    const fn max_live(&self) -> usize {
        self.max_bytes - self.max_bytes / 4
    }

    pub(super) fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    /// Bytes of storage.
    #[cfg(feature = "sim")]
    pub(super) fn storage(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether `records` records of `bytes` bytes together fit.
    pub(super) fn has_room(&self, records: usize, bytes: usize) -> bool {
        self.heads.len() + records <= self.max_records && self.tail - self.head + bytes <= self.max_live()
    }

    /// Write a record behind the last one without making it visible: [`commit`](Self::commit) does that, and the next
    /// `stage` overwrites it. `guess` is how many bytes it will probably need.
    pub(super) fn stage<E>(
        &mut self,
        guess: usize,
        mut write: impl FnMut(&mut [u8]) -> Written<E>,
    ) -> Result<usize, StageError<E>> {
        let most = self.max_live().saturating_sub(self.tail - self.head);
        if self.heads.len() >= self.max_records || most == 0 {
            return Err(StageError::Full);
        }
        let free = self.bytes.len().saturating_sub(self.tail);
        let mut offer = guess.max(free).clamp(1, most);
        loop {
            self.make_space(offer);
            let Some(space) = self.bytes.get_mut(self.tail..self.tail + offer) else {
                return Err(StageError::Full);
            };
            match write(space) {
                Written::Bytes(n) if n <= offer => return Ok(n),
                Written::Failed(why) => return Err(StageError::Failed(why)),
                Written::Bytes(_) | Written::MoreSpace if offer == most => return Err(StageError::Full),
                Written::Bytes(_) | Written::MoreSpace => offer = offer.saturating_mul(2).min(most),
            }
        }
    }

    /// The bytes of the record of this length that was staged last.
    pub(super) fn staged(&self, len: usize) -> &[u8] {
        self.bytes.get(self.tail..self.tail + len).unwrap_or_default()
    }

    /// Make the record that was staged last visible.
    pub(super) fn commit(&mut self, head: H, len: usize) {
        debug_assert!(self.tail + len <= self.bytes.len(), "only what was staged can be committed");
        if self.heads.len() == self.heads.capacity() {
            // Room for one at first, not for four as a deque would have it: most nodes never queue more.
            self.heads.reserve_exact(self.heads.len().max(1));
        }
        // No record is longer than a datagram with a name or two.
        self.heads.push_back((head, u32::try_from(len).unwrap_or(u32::MAX)));
        self.tail += len;
    }

    /// Append a record made of parts.
    pub(super) fn push(&mut self, head: H, parts: &[&[u8]]) -> Result<(), Full> {
        let len = parts.iter().map(|p| p.len()).sum();
        if !self.has_room(1, len) {
            return Err(Full);
        }
        self.make_space(len);
        let mut at = self.tail;
        for part in parts {
            if let Some(space) = self.bytes.get_mut(at..at + part.len()) {
                space.copy_from_slice(part);
            }
            at += part.len();
        }
        self.commit(head, len);
        Ok(())
    }

    /// The oldest record.
    pub(super) fn front(&self) -> Option<(H, &[u8])> {
        let (head, len) = self.heads.front()?;
        Some((*head, self.bytes.get(self.head..self.head + *len as usize).unwrap_or_default()))
    }

    /// Take the oldest record out. Its bytes stay readable until something is queued.
    pub(super) fn pop(&mut self) -> Option<(H, &[u8])> {
        let (head, len) = self.heads.pop_front()?;
        let start = self.head;
        self.head += len as usize;
        let end = self.head;
        if self.heads.is_empty() {
            (self.head, self.tail) = (0, 0);
        }
        Some((head, self.bytes.get(start..end).unwrap_or_default()))
    }

    /// Make sure that `len` bytes of storage follow the last record, moving the records to the front or growing.
    fn make_space(&mut self, len: usize) {
        if self.tail + len <= self.bytes.len() {
            return;
        }
        let used = self.tail - self.head;
        // Moving pays once at least half of the storage in front is free, or when growing is not possible.
        if self.head >= used.max(1) || self.tail + len > self.max_bytes {
            self.bytes.copy_within(self.head..self.tail, 0);
            (self.head, self.tail) = (0, used);
        }
        let need = self.tail + len;
        if need > self.bytes.len() {
            let size = need.max(self.bytes.len().saturating_mul(2)).min(self.max_bytes.max(need));
            self.bytes.reserve_exact(size - self.bytes.len());
            self.bytes.resize(size, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::{Full, Queue, StageError, Written};

    proptest! {
        #[test]
        fn behaves_like_a_queue_of_vectors(ops in prop::collection::vec((any::<bool>(), 0usize..40), 0..400)) {
            let (max_records, max_bytes) = (9, 100);
            let mut queue = Queue::new(max_records, 133);
            let mut model: VecDeque<(usize, Vec<u8>)> = VecDeque::new();
            for (i, (push, len)) in ops.into_iter().enumerate() {
                if push {
                    let record = vec![u8::try_from(i % 251).unwrap_or(0); len];
                    let (a, b) = record.split_at(len / 2);
                    let fits = model.len() < max_records
                        && model.iter().map(|(_, r)| r.len()).sum::<usize>() + len <= max_bytes;
                    prop_assert_eq!(queue.push(i, &[a, b]), if fits { Ok(()) } else { Err(Full) });
                    if fits {
                        model.push_back((i, record));
                    }
                } else {
                    let got = queue.pop().map(|(h, b)| (h, b.to_vec()));
                    prop_assert_eq!(got, model.pop_front());
                }
                prop_assert!(queue.bytes.capacity() <= 133);
                prop_assert_eq!(queue.is_empty(), model.is_empty());
            }
        }
    }

    #[test]
    fn staging_offers_more_space_until_it_fits_and_never_passes_the_cap() {
        let mut queue: Queue<u8> = Queue::new(10, 133);
        let write = |want: usize| {
            move |space: &mut [u8]| {
                if space.len() < want {
                    return Written::<()>::MoreSpace;
                }
                space[..want].fill(7);
                Written::Bytes(want)
            }
        };
        assert_eq!(queue.stage(1, write(60)), Ok(60));
        queue.commit(1, 60);
        assert_eq!(queue.stage(1, write(41)), Err(StageError::Full));
        assert_eq!(queue.stage(1, |_: &mut [u8]| Written::Failed("no")), Err(StageError::Failed("no")));
        assert_eq!(queue.stage(1, write(40)), Ok(40));
        queue.commit(2, 40);
        assert_eq!(queue.pop(), Some((1, &[7; 60][..])));
        assert_eq!(queue.pop(), Some((2, &[7; 40][..])));
        assert_eq!(queue.pop(), None);
    }
}
