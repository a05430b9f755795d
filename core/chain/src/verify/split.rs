//! Cuts a stream of bytes into runs of whole lines.

use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use super::chunk::find_line_feed;
use crate::log::merkle::NodeHash;

/// Bytes between two line ends, more than a verifier takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LongLine {
    pub(super) leaf: NodeHash,
    pub(super) len: u64,
    /// The file ended in it.
    pub(super) torn: bool,
}

/// What a splitter gives out.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Whole lines; only the last of the file may lack its line feed.
    Lines(Vec<u8>),
    /// A line too long to be kept.
    Long(LongLine),
}

/// Cuts a stream of bytes at line ends into pieces of some size. It holds one piece, or a line where that is longer.
pub(crate) struct Splitter {
    buf: Vec<u8>,
    /// Bytes of `buf` that are filled.
    len: usize,
    piece: usize,
    max_line: usize,
    /// In the middle of a line that is too long.
    long: Option<(Sha256, u64)>,
}

impl core::fmt::Debug for Splitter {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Splitter").field("held", &self.len).field("piece", &self.piece).finish_non_exhaustive()
    }
}

impl Splitter {
    /// Pieces of about `piece` bytes, lines of at most `max_line`.
    #[must_use]
    pub(crate) fn new(piece: usize, max_line: usize) -> Self {
        // Places in a piece are 32-bit numbers.
        Self { buf: Vec::new(), len: 0, piece: piece.clamp(1, 1 << 30), max_line: max_line.min(1 << 30), long: None }
    }

    /// Where the next bytes go. Never empty.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.len >= self.buf.len() {
            let more = (self.len + self.piece).max(self.piece);
            self.buf.resize(more, 0);
        }
        self.buf.get_mut(self.len..).unwrap_or_default()
    }

    /// So many bytes were put into the [`room`](Self::room).
    pub(crate) fn filled(&mut self, bytes: usize) {
        self.len = self.len.saturating_add(bytes).min(self.buf.len());
    }

    /// Whether a piece may be there to be taken.
    #[must_use]
    pub(crate) const fn is_full(&self) -> bool {
        self.len >= self.piece
    }

    /// Take a piece, if there is a whole line; at the end of the file (`last`) whatever is left. `spare` is memory for the
    /// next one.
    pub(crate) fn take(&mut self, spare: Vec<u8>, last: bool) -> Option<Piece> {
        if let Some((hash, len)) = self.long.take() {
            return self.take_long(hash, len, last).map(Piece::Long);
        }
        let held = self.buf.get(..self.len).unwrap_or_default();
        match held.iter().rposition(|byte| *byte == b'\n') {
            Some(at) if !last => Some(Piece::Lines(self.cut(at + 1, spare))),
            _ if self.len > self.max_line && find_line_feed(held).is_none_or(|at| at > self.max_line) => {
                let hash = Sha256::new().chain_update([0]);
                self.take_long(hash, 0, last).map(Piece::Long)
            }
            _ if last && self.len > 0 => Some(Piece::Lines(self.cut(self.len, spare))),
            _ => None,
        }
    }

    /// The first so many bytes; the rest stays.
    fn cut(&mut self, at: usize, mut next: Vec<u8>) -> Vec<u8> {
        let rest = self.buf.get(at..self.len).unwrap_or_default();
        if next.len() < rest.len() {
            next.resize(rest.len().max(self.piece), 0);
        }
        if let Some(front) = next.get_mut(..rest.len()) {
            front.copy_from_slice(rest);
        }
        self.len = rest.len();
        let mut piece = core::mem::replace(&mut self.buf, next);
        piece.truncate(at);
        piece
    }

    fn take_long(&mut self, mut hash: Sha256, mut len: u64, last: bool) -> Option<LongLine> {
        let held = self.buf.get(..self.len).unwrap_or_default();
        let end = find_line_feed(held);
        let line = held.get(..end.unwrap_or(held.len())).unwrap_or_default();
        hash.update(line);
        len += line.len() as u64;
        let used = end.map_or(self.len, |at| at + 1);
        let left = self.len;
        if used < left {
            self.buf.copy_within(used..left, 0);
        }
        self.len = left - used;
        if end.is_none() && !last {
            self.long = Some((hash, len));
            return None;
        }
        Some(LongLine { leaf: hash.finalize().into(), len, torn: end.is_none() })
    }
}
