//! Where a table keeps its rows: chunks on the heap, or inline.

mod sealed {
    pub trait Sealed {}
}

/// Where tables keep their rows: [`Heap`] or [`Fixed`].
pub trait Storage: sealed::Sealed {
    /// A growing list of rows.
    type List<T>: Store<T>;
}

/// A list of rows that only grows.
pub trait Store<T>: Default + sealed::Sealed {
    /// How many rows there are.
    fn len(&self) -> usize;

    /// No row yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many rows there can ever be.
    fn limit() -> usize;

    /// One row.
    fn get(&self, at: usize) -> Option<&T>;

    /// One row, to change it.
    fn get_mut(&mut self, at: usize) -> Option<&mut T>;

    /// Add a row at the end.
    ///
    /// # Errors
    /// The row, when the limit is reached.
    fn push(&mut self, row: T) -> Result<(), T>;

    /// Bytes of heap held, the allocator's own overhead aside.
    fn heap_bytes(&self) -> usize;

    /// Bytes of heap that the next [`push`](Self::push) adds to that.
    fn growth_bytes(&self) -> usize;
}

/// Rows on the heap, in chunks of about 4 KiB. Starts without any memory; the first chunk grows by halves from about
/// 64 bytes, so that a table with a few entries is small.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Heap;

#[cfg(feature = "alloc")]
mod heap {
    use alloc::vec::Vec;
    use core::mem::size_of;

    use super::{Heap, Storage, Store, sealed::Sealed};

    impl Sealed for Heap {}

    impl Storage for Heap {
        type List<T> = Chunks<T>;
    }

    /// Rows in chunks; all but the first never move.
    #[derive(Debug)]
    pub struct Chunks<T> {
        chunks: Vec<Vec<T>>,
        len: usize,
    }

    impl<T> Chunks<T> {
        /// Rows in a chunk: the power of two that comes closest to 4 KiB from below, at least 4.
        const ROWS: usize = {
            let size = if size_of::<T>() == 0 { 1 } else { size_of::<T>() };
            let fit = 4096 / size;
            if fit < 4 { 4 } else { 1 << fit.ilog2() }
        };
        const SHIFT: u32 = Self::ROWS.ilog2();
        /// Rows that the first chunk starts with.
        const FIRST: usize = if Self::ROWS / 64 > 1 { Self::ROWS / 64 } else { 1 };

        /// By how many chunks the list of chunks grows when it is full.
        fn more_chunks(&self) -> usize {
            if self.chunks.is_empty() { 1 } else { (self.chunks.len() / 4).max(4) }
        }

        /// By how many rows the chunk grows in which the next row goes, if it is full.
        fn more_rows(&self) -> usize {
            match self.chunks.first() {
                None => Self::FIRST,
                Some(first) if first.len() < first.capacity().min(Self::ROWS) => 0,
                Some(first) if first.len() < Self::ROWS => first.len().div_ceil(2).min(Self::ROWS - first.len()),
                Some(_) if self.len & (Self::ROWS - 1) == 0 => Self::ROWS,
                Some(_) => 0,
            }
        }
    }

    impl<T> Default for Chunks<T> {
        fn default() -> Self {
            Self { chunks: Vec::new(), len: 0 }
        }
    }

    impl<T> Sealed for Chunks<T> {}

    impl<T> Store<T> for Chunks<T> {
        fn len(&self) -> usize {
            self.len
        }

        fn limit() -> usize {
            usize::MAX
        }

        #[inline]
        fn get(&self, at: usize) -> Option<&T> {
            self.chunks.get(at >> Self::SHIFT)?.get(at & (Self::ROWS - 1))
        }

        #[inline]
        fn get_mut(&mut self, at: usize) -> Option<&mut T> {
            self.chunks.get_mut(at >> Self::SHIFT)?.get_mut(at & (Self::ROWS - 1))
        }

        #[inline]
        fn push(&mut self, row: T) -> Result<(), T> {
            match self.chunks.last_mut() {
                Some(chunk) if chunk.len() < chunk.capacity().min(Self::ROWS) => chunk.push(row),
                _ => self.push_growing(row),
            }
            self.len += 1;
            Ok(())
        }

        fn heap_bytes(&self) -> usize {
            let rows: usize = self.chunks.first().map_or(0, Vec::capacity);
            let rows = rows + self.chunks.len().saturating_sub(1) * Self::ROWS;
            self.chunks.capacity() * size_of::<Vec<T>>() + rows * size_of::<T>()
        }

        fn growth_bytes(&self) -> usize {
            let chunk_full = self.chunks.len() * Self::ROWS == self.len;
            let list_full = chunk_full && self.chunks.len() == self.chunks.capacity();
            self.more_rows() * size_of::<T>() + usize::from(list_full) * self.more_chunks() * size_of::<Vec<T>>()
        }
    }

    impl<T> Chunks<T> {
        /// Add a row where the last chunk is full.
        #[cold]
        fn push_growing(&mut self, row: T) {
            let more = self.more_rows();
            match self.chunks.last_mut() {
                Some(chunk) if chunk.len() < Self::ROWS => {
                    chunk.reserve_exact(more);
                    chunk.push(row);
                }
                _ => {
                    let mut chunk = Vec::with_capacity(more);
                    chunk.push(row);
                    if self.chunks.len() == self.chunks.capacity() {
                        self.chunks.reserve_exact(self.more_chunks());
                    }
                    self.chunks.push(chunk);
                }
            }
        }
    }
}

/// At most `N` rows, inline.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fixed<const N: usize>;

impl<const N: usize> sealed::Sealed for Fixed<N> {}

impl<const N: usize> Storage for Fixed<N> {
    type List<T> = heapless::Vec<T, N>;
}

impl<T, const N: usize> sealed::Sealed for heapless::Vec<T, N> {}

impl<T, const N: usize> Store<T> for heapless::Vec<T, N> {
    fn len(&self) -> usize {
        self.as_slice().len()
    }

    fn limit() -> usize {
        N
    }

    fn get(&self, at: usize) -> Option<&T> {
        self.as_slice().get(at)
    }

    fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.as_mut_slice().get_mut(at)
    }

    fn push(&mut self, row: T) -> Result<(), T> {
        Self::push(self, row)
    }

    fn heap_bytes(&self) -> usize {
        0
    }

    fn growth_bytes(&self) -> usize {
        0
    }
}
