//! A list that grows by whole pieces and never moves: no doubling, no slack but in the last piece.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// Items of one piece.
const PIECE: usize = 4096;

/// A growing list.
pub(super) struct ChunkedVec<T> {
    pieces: Vec<Box<[T]>>,
    len: usize,
}

impl<T: Copy + Default> ChunkedVec<T> {
    pub(super) const fn new() -> Self {
        Self { pieces: Vec::new(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, item: T) {
        if self.len == self.pieces.len() * PIECE {
            self.pieces.push(alloc::vec![T::default(); PIECE].into_boxed_slice());
        }
        let at = self.len;
        self.len += 1;
        if let Some(slot) = self.get_mut(at) {
            *slot = item;
        }
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.pieces.get(at / PIECE)?.get(at % PIECE)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.pieces.get_mut(at / PIECE)?.get_mut(at % PIECE)
    }
}
