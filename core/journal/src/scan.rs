//! Reading a file line by line, and its `FILE.tree` beside it, each in pieces of bounded size.

use std::io;

use sluis_chain::log::is_blank;

use crate::chain::Leaf;
use crate::disk::File;

const PIECE: usize = 64 << 10;

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<'a> {
    /// A line, without its line feed.
    Line(&'a [u8]),
    /// The end of the file, without a line feed.
    NoLineFeed(&'a [u8]),
    /// Something longer than a line may be.
    TooLong,
}

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
        Self::from(file, 0, len, max_line)
    }

    /// Those from an offset on, at which a line begins.
    pub(crate) fn from(file: &'a mut F, at: u64, len: u64, max_line: usize) -> Self {
        Self { file, len, at, buffer: Vec::new(), start: 0, max_line }
    }

    /// `None` at the end. After anything but a line nothing sensible comes.
    pub(crate) fn next(&mut self) -> io::Result<Option<Next<'_>>> {
        let mut searched = 0;
        let end = loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            if let Some(found) = rest.get(searched..).unwrap_or_default().iter().position(|&b| b == b'\n') {
                break searched + found;
            }
            searched = rest.len();
            if searched > self.max_line {
                return Ok(Some(Next::TooLong));
            }
            if !self.more()? {
                let rest = self.buffer.get(self.start..).unwrap_or_default();
                return Ok((searched > 0).then_some(Next::NoLineFeed(rest)));
            }
        };
        let from = self.start;
        self.start += end + 1;
        if end > self.max_line {
            return Ok(Some(Next::TooLong));
        }
        Ok(self.buffer.get(from..from + end).map(Next::Line))
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

/// `FILE.tree`, read along with the lines. It is not changed before these are known to be what they should be.
pub(crate) struct Tree<F> {
    file: F,
    /// Leaves as they are in the file, from `first` on. Zeros and what is not there are the same: not known.
    piece: Vec<u8>,
    first: u64,
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
        Self { file, piece: Vec::new(), first: 0 }
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

    /// Whether a line's leaf is the one that stands here.
    pub(crate) fn expect(&mut self, entry: u64, leaf: Leaf) -> io::Result<Expected> {
        let Some(known) = self.known_at(entry)? else { return Ok(Expected::Unknown) };
        if known == leaf {
            return Ok(Expected::Known);
        }
        // Writing it may have been cut short; then it is written again.
        let len = known.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
        let cut_short = leaf.starts_with(known.get(..len).unwrap_or_default());
        Ok(if cut_short { Expected::Unknown } else { Expected::Other })
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

    pub(crate) fn into_file(self) -> F {
        self.file
    }
}

/// Where a line begins, and how many come before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

/// Write the leaves of the lines from one on, and of no others behind them.
pub(crate) fn fill<F: File>(
    tree: &mut F,
    mut lines: Lines<'_, F>,
    from: At,
    leaf: impl Fn(&[u8]) -> Option<Leaf>,
) -> io::Result<()> {
    let (mut at, mut leaves) = (from.entries * LEAF as u64, Vec::new());
    loop {
        let line = match lines.next()? {
            Some(Next::Line(line)) => Some(line),
            _ => None,
        };
        if leaves.len() >= PIECE || line.is_none() {
            tree.write_all_at(at, &leaves)?;
            at += leaves.len() as u64;
            leaves.clear();
        }
        match line {
            Some(line) if is_blank(line) => {}
            Some(line) => leaves.extend_from_slice(&leaf(line).unwrap_or_default()),
            None => break,
        }
    }
    if tree.len()? == at { Ok(()) } else { tree.set_len(at) }
}
