//! Datagrams on their way out.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use crate::limits::MAX_DATAGRAM_V6;
use crate::path::Path;
use crate::time::Now;
use crate::{Datagrams, Transmit, Unsent};

/// Datagrams to send: one arena, filled by single `poll_transmit` calls straight into it, and a list of who gets
/// which part of it. The io takes them from the front.
#[derive(Debug)]
pub struct SendBatch {
    arena: Box<[u8]>,
    used: usize,
    entries: Vec<Entry>,
    max_entries: usize,
    /// Entries before this one were sent or discarded.
    front: usize,
    sent: u64,
    discarded: u64,
    /// Entries that did not leave and of which the machine has not been told yet; their bytes stay where they are.
    unsent: Vec<(Entry, Unsent)>,
}

#[derive(Clone, Debug)]
struct Entry {
    path: Path,
    range: Range<usize>,
}

/// What one call of the kernel can send at once; [`ONE`](Self::ONE) where it cannot send several datagrams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLimits {
    /// Datagrams.
    pub segments: usize,
    /// Bytes of one datagram; a longer one goes alone.
    pub segment_len: usize,
    /// Bytes of all datagrams together.
    pub bytes: usize,
}

impl RunLimits {
    /// One by one.
    pub const ONE: Self = Self { segments: 1, segment_len: 0, bytes: 0 };
}

/// Consecutive datagrams of equal length to one path (the last may be shorter): one GSO send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<'a> {
    /// Where they go, and from which of our addresses.
    pub path: Path,
    /// Their bytes, one after the other.
    pub bytes: &'a [u8],
    /// Length of each but the last.
    pub segment_len: usize,
    /// How many there are: at least 1.
    pub count: usize,
}

impl SendBatch {
    /// Room for at most `entries` datagrams (at least 1) and `bytes` bytes beside the one largest datagram that there
    /// must always be room for.
    #[must_use]
    pub fn new(entries: usize, bytes: usize) -> Self {
        let max_entries = entries.max(1);
        let arena = vec![0; bytes.saturating_add(MAX_DATAGRAM_V6)].into_boxed_slice();
        Self {
            arena,
            used: 0,
            entries: Vec::with_capacity(max_entries),
            max_entries,
            front: 0,
            sent: 0,
            discarded: 0,
            unsent: Vec::new(),
        }
    }

    /// How many datagrams wait to be sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.front
    }

    /// Nothing waits to be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// There is no room for another datagram, whatever its length.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.max_entries || self.arena.len() - self.used < MAX_DATAGRAM_V6
    }

    /// Let a machine write what it has to send, until it has no more (`true`) or there is no room (`false`).
    pub fn fill<M: Datagrams>(&mut self, now: Now, machine: &mut M) -> bool {
        while !self.is_full() {
            if !self.fill_one(|out| machine.poll_transmit(now, out)) {
                return true;
            }
        }
        false
    }

    /// Copy one datagram in; `false` if there is no room.
    pub fn push(&mut self, path: Path, datagram: &[u8]) -> bool {
        !self.is_full()
            && self.fill_one(|out| {
                out.get_mut(..datagram.len())?.copy_from_slice(datagram);
                Some(Transmit { path, len: datagram.len() })
            })
    }

    fn fill_one(&mut self, write: impl FnOnce(&mut [u8]) -> Option<Transmit>) -> bool {
        let Some(out) = self.arena.get_mut(self.used..) else { return false };
        let room = out.len();
        let Some(transmit) = write(out) else { return false };
        let end = self.used + transmit.len.min(room);
        self.entries.push(Entry { path: transmit.path, range: self.used..end });
        self.used = end;
        true
    }

    /// The datagrams at the front that can go out in one call, `None` when nothing waits.
    #[must_use]
    pub fn front(&self, limits: RunLimits) -> Option<Run<'_>> {
        self.run_at(self.front, limits)
    }

    /// Everything that waits, in order, as runs.
    pub fn runs(&self, limits: RunLimits) -> impl Iterator<Item = Run<'_>> {
        let mut at = self.front;
        core::iter::from_fn(move || {
            let run = self.run_at(at, limits)?;
            at += run.count;
            Some(run)
        })
    }

    fn run_at(&self, at: usize, limits: RunLimits) -> Option<Run<'_>> {
        let first = self.entries.get(at)?;
        let (path, segment_len) = (first.path, first.range.len());
        let (mut end, mut count) = (first.range.end, 1);
        if segment_len > 0 && segment_len <= limits.segment_len {
            for entry in self.entries.get(at + 1..)? {
                let len = entry.range.len();
                let fits = count < limits.segments && entry.range.end - first.range.start <= limits.bytes;
                if !fits || entry.path != path || len > segment_len || len == 0 {
                    break;
                }
                end = entry.range.end;
                count += 1;
                if len < segment_len {
                    break;
                }
            }
        }
        let bytes = self.arena.get(first.range.start..end)?;
        Some(Run { path, bytes, segment_len, count })
    }

    /// The first `count` datagrams were sent.
    pub fn advance(&mut self, count: usize) {
        self.sent += self.take(count);
    }

    /// The first `count` datagrams cannot be sent (too large for the path, nobody there, not allowed): drop and count
    /// them.
    pub fn discard(&mut self, count: usize) {
        self.discarded += self.take(count);
    }

    /// The first `count` datagrams did not leave: drop and count them, and have the machine told why.
    pub fn refuse(&mut self, count: usize, why: Unsent) {
        let refused = self.entries.iter().skip(self.front).take(count);
        self.unsent.extend(refused.map(|entry| (entry.clone(), why)));
        self.discard(count);
    }

    fn take(&mut self, count: usize) -> u64 {
        let count = count.min(self.len());
        self.front += count;
        self.clear_if_done();
        count as u64
    }

    fn clear_if_done(&mut self) {
        if self.is_empty() && self.unsent.is_empty() {
            self.entries.clear();
            self.front = 0;
            self.used = 0;
        }
    }

    /// Whether the machine is to be told of datagrams that did not leave.
    pub(super) const fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Tell the machine of the datagrams that did not leave.
    pub(super) fn tell_unsent<M: Datagrams>(&mut self, now: Now, machine: &mut M) {
        for (Entry { path, range }, why) in self.unsent.drain(..) {
            machine.handle_unsent(now, path, self.arena.get(range).unwrap_or_default(), why);
        }
        self.clear_if_done();
    }

    /// Datagrams sent and discarded since the last call.
    pub(super) fn take_counts(&mut self) -> (u64, u64) {
        (core::mem::take(&mut self.sent), core::mem::take(&mut self.discarded))
    }
}
