//! A run of whole lines, checked by itself.

use alloc::vec::Vec;

use super::hook::Checker;
use super::line::{Flags, LineContext, Record, Scratch, check};
use super::settings::Settings;
use crate::log::is_blank;
use crate::log::merkle::leaf_hash;
use sluis_core::SipKey;

/// What was taken down of a run of lines. Used again for the next: it holds some 150 bytes for each line of the longest run.
pub struct Checked<N> {
    pub(super) records: Vec<Record>,
    /// Of the checker, each with the index of its record.
    pub(super) notes: Vec<(u32, N)>,
    /// Lines, blank ones included.
    pub(super) lines: u32,
    /// Events that its tokens say are not recorded.
    pub(super) lost: u64,
    pub(super) scratch: Scratch,
}

impl<N> Default for Checked<N> {
    fn default() -> Self {
        Self { records: Vec::new(), notes: Vec::new(), lines: 0, lost: 0, scratch: [0; 2048] }
    }
}

impl<N> core::fmt::Debug for Checked<N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Checked").field("entries", &self.records.len()).finish_non_exhaustive()
    }
}

impl<N> Checked<N> {
    /// Check every line in `chunk`, which ends at a line end or at the end of the file. `leaves`: all leaf hashes are asked
    /// for, not only those that links need.
    pub(super) fn fill<C: Checker<Note = N>>(
        &mut self,
        settings: &Settings<'_>,
        key: &SipKey,
        leaves: bool,
        chunk: &[u8],
    ) {
        self.records.clear();
        self.notes.clear();
        self.lines = 0;
        self.lost = 0;
        let mut at = 0;
        let mut context = LineContext { scratch: &mut self.scratch, before: None, leaves };
        while let Some(rest) = chunk.get(at..).filter(|rest| !rest.is_empty()) {
            let end = find_line_feed(rest);
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            if !is_blank(line) {
                let number = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
                // A chunk is at most 2 GiB long: see `Splitter`.
                let at = u32::try_from(at).unwrap_or(u32::MAX);
                let len = u32::try_from(line.len()).unwrap_or(u32::MAX);
                self.records.push(Record { at, len, line: self.lines, ..Record::EMPTY });
                let Some(record) = self.records.last_mut() else { return };
                let (notes, lost) = (&mut self.notes, &mut self.lost);
                check(settings, key, &mut context, line, record, |token, good| {
                    *lost = lost.saturating_add(token.lost_events().filter(|_| good).unwrap_or(0));
                    notes.extend(C::look(token, good).map(|note| (number, note)));
                });
                if end.is_none() {
                    record.flags.add(Flags::TORN);
                }
                if line.ends_with(b"\r") {
                    record.flags.add(Flags::RETURN);
                }
                context.leaves |= record.flags.has(Flags::LINK);
            }
            self.lines = self.lines.saturating_add(1);
            at += line.len() + 1;
        }
        // The line after this chunk may link to its last line.
        let needed = if context.leaves { 0 } else { self.records.len().saturating_sub(1) };
        for record in self.records.iter_mut().skip(needed).filter(|record| !record.flags.has(Flags::LEAF)) {
            record.leaf = leaf_hash(record.bytes(chunk));
        }
    }
}

impl Record {
    /// The line.
    pub(super) fn bytes<'a>(&self, chunk: &'a [u8]) -> &'a [u8] {
        let at = self.at as usize;
        chunk.get(at..at + self.len as usize).unwrap_or_default()
    }
}

/// Where the first line feed is.
pub(super) fn find_line_feed(bytes: &[u8]) -> Option<usize> {
    // Without a way out, so that the compiler looks at all of them at once.
    let (runs, _) = bytes.as_chunks::<64>();
    let at = 64
        * runs
            .iter()
            .position(|run| run.iter().fold(false, |found, byte| found | (*byte == b'\n')))
            .unwrap_or(runs.len());
    find_near(bytes.get(at..).unwrap_or_default()).map(|near| at + near)
}

/// The same, eight bytes at a time.
fn find_near(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    const FEEDS: u64 = ONES * b'\n' as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word) ^ FEEDS;
        let zeroes = word.wrapping_sub(ONES) & !word & HIGHS;
        if zeroes != 0 {
            return Some(i * 8 + zeroes.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|byte| *byte == b'\n').map(|at| words.len() * 8 + at)
}
