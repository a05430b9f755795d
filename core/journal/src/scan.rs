//! Reading a file line by line, and its `FILE.tree` beside it, each in pieces of bounded size.

use std::io;

use crate::chain::Leaf;
use crate::disk::File;

const PIECE: usize = 64 << 10;

/// The lines of a file.
pub(crate) struct Lines<'a, F> {
    file: &'a mut F,
    len: u64,
    /// Where the next piece begins.
    at: u64,
    buffer: Vec<u8>,
    start: usize,
    max_line: usize,
}

impl<'a, F: File> Lines<'a, F> {
    pub(crate) fn new(file: &'a mut F, len: u64, max_line: usize) -> Self {
        Self { file, len, at: 0, buffer: Vec::new(), start: 0, max_line }
    }

    /// The next line without its line feed. `None` at the end; an inner error is what keeps the rest from being a line.
    pub(crate) fn next(&mut self) -> io::Result<Option<Result<&[u8], &'static str>>> {
        let mut searched = 0;
        let end = loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            if let Some(found) = rest.get(searched..).unwrap_or_default().iter().position(|&b| b == b'\n') {
                break searched + found;
            }
            searched = rest.len();
            if searched > self.max_line {
                return Ok(Some(Err("longer than a line may be")));
            }
            if !self.more()? {
                return Ok((searched > 0).then_some(Err("no line feed at its end")));
            }
        };
        let from = self.start;
        self.start += end + 1;
        if end > self.max_line {
            return Ok(Some(Err("longer than a line may be")));
        }
        Ok(self.buffer.get(from..from + end).map(Ok))
    }

    fn more(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let old = self.buffer.len();
        let want = usize::try_from(self.len - self.at).unwrap_or(PIECE).min(PIECE);
        self.buffer.resize(old + want, 0);
        let got = self.file.read_full_at(self.at, self.buffer.get_mut(old..).unwrap_or_default())?;
        self.buffer.truncate(old + got);
        self.at += got as u64;
        Ok(got > 0)
    }
}

/// `FILE.tree`, read along with the lines; what it lacks is filled in.
pub(crate) struct Tree<F> {
    file: F,
    /// Leaves as they are in the file, from `first` on. Zeros and what is not there are the same: not known.
    piece: Vec<u8>,
    first: u64,
    /// Leaves to be written, from `missing_from` on.
    missing: Vec<Leaf>,
    missing_from: u64,
}

/// What a tree says of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Known,
    Unknown,
    Other,
}

const LEAF: usize = size_of::<Leaf>();

impl<F: File> Tree<F> {
    pub(crate) fn new(file: F) -> Self {
        Self { file, piece: Vec::new(), first: 0, missing: Vec::new(), missing_from: 0 }
    }

    /// What stands in a place.
    fn known_at(&mut self, entry: u64) -> io::Result<Option<Leaf>> {
        let held = (self.piece.len() / LEAF) as u64;
        if entry < self.first || entry >= self.first + held {
            self.first = entry;
            self.piece.resize(PIECE, 0);
            let got = self.file.read_full_at(entry * LEAF as u64, &mut self.piece)?;
            self.piece.truncate(got / LEAF * LEAF);
        }
        let at = usize::try_from(entry - self.first).unwrap_or(usize::MAX).saturating_mul(LEAF);
        let leaf = self.piece.get(at..).and_then(|rest| rest.first_chunk::<LEAF>());
        Ok(leaf.copied().filter(|leaf| *leaf != [0; LEAF]))
    }

    /// Whether a line's leaf is the one that stands here; where none does, it is filled in.
    pub(crate) fn expect(&mut self, entry: u64, leaf: Leaf) -> io::Result<Expected> {
        if let Some(known) = self.known_at(entry)? {
            if known == leaf {
                return Ok(Expected::Known);
            }
            // Writing it may have been cut short; then it is written again.
            let len = known.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
            if !leaf.starts_with(known.get(..len).unwrap_or_default()) {
                return Ok(Expected::Other);
            }
        }
        if self.missing_from + self.missing.len() as u64 != entry || self.missing.len() * LEAF >= PIECE {
            self.fill_in();
            self.missing_from = entry;
        }
        self.missing.push(leaf);
        Ok(Expected::Unknown)
    }

    /// How many lines the tree knows of, if more than these: one more than the last that it knows. Zeros behind it are passed over
    /// only where a power cut can have left them: a tree that is longer than that is taken by its length, and not read.
    pub(crate) fn known_beyond(&mut self, entries: u64) -> io::Result<u64> {
        let mut count = self.file.len()? / LEAF as u64;
        if count > entries.saturating_add((PIECE / LEAF) as u64) {
            return Ok(count);
        }
        while count > entries && self.known_at_end(count - 1)?.is_none() {
            count -= 1;
        }
        Ok(count)
    }

    /// As [`known_at`](Self::known_at), for going backwards.
    fn known_at_end(&mut self, entry: u64) -> io::Result<Option<Leaf>> {
        if entry < self.first {
            self.first = entry.saturating_sub((PIECE / LEAF) as u64 - 1);
            self.piece.resize(PIECE, 0);
            let got = self.file.read_full_at(self.first * LEAF as u64, &mut self.piece)?;
            self.piece.truncate(got / LEAF * LEAF);
        }
        self.known_at(entry)
    }

    /// Nobody is told when this fails: the tree is a help, and the next open tries again.
    fn fill_in(&mut self) {
        let _ = self.file.write_all_at(self.missing_from * LEAF as u64, self.missing.as_flattened());
        self.missing.clear();
    }

    /// The file, with a leaf for every line and no more; `None` if that could not be written.
    pub(crate) fn finish(mut self, entries: u64) -> Option<F> {
        self.fill_in();
        let len = entries * LEAF as u64;
        if self.file.len().ok()? != len {
            self.file.set_len(len).ok()?;
        }
        Some(self.file)
    }
}
