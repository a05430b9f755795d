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

    /// The first rows: as many as lie in one piece.
    fn head(&self) -> &[T];

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
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::mem::size_of;

    use super::{Heap, Storage, Store, sealed::Sealed};

    impl Sealed for Heap {}

    impl Storage for Heap {
        type List<T> = Chunks<T>;
    }

    /// Rows in chunks; all but the first never move. Most tables never have more than the first, which is one hop away.
    #[derive(Debug)]
    pub struct Chunks<T> {
        first: Vec<T>,
        /// Nothing as long as the first is enough.
        rest: Option<Box<Rest<T>>>,
    }

    /// The chunks behind the first.
    #[derive(Debug)]
    struct Rest<T> {
        chunks: Vec<Vec<T>>,
        /// Rows in all of them.
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

        /// By how many rows the first chunk grows; 0 when it is as large as it gets.
        fn more_first(&self) -> usize {
            let len = self.first.len();
            if len == 0 { Self::FIRST } else { len.div_ceil(2).min(Self::ROWS - len) }
        }
    }

    impl<T> Rest<T> {
        /// By how many chunks the list of chunks grows when it is full.
        fn more_chunks(&self) -> usize {
            (self.chunks.len() / 4).max(4)
        }

        /// Add a row.
        fn push(&mut self, row: T) {
            self.len += 1;
            match self.chunks.last_mut() {
                Some(chunk) if chunk.len() < Chunks::<T>::ROWS => chunk.push(row),
                _ => self.push_growing(row),
            }
        }

        #[cold]
        fn push_growing(&mut self, row: T) {
            let mut chunk = Vec::with_capacity(Chunks::<T>::ROWS);
            chunk.push(row);
            if self.chunks.len() == self.chunks.capacity() {
                self.chunks.reserve_exact(self.more_chunks());
            }
            self.chunks.push(chunk);
        }

        fn heap_bytes(&self) -> usize {
            let rows = self.chunks.len() * Chunks::<T>::ROWS;
            size_of::<Self>() + self.chunks.capacity() * size_of::<Vec<T>>() + rows * size_of::<T>()
        }

        fn growth_bytes(&self) -> usize {
            if self.len < self.chunks.len() * Chunks::<T>::ROWS {
                return 0;
            }
            let list_full = self.chunks.len() == self.chunks.capacity();
            let list = usize::from(list_full) * self.more_chunks() * size_of::<Vec<T>>();
            Chunks::<T>::ROWS * size_of::<T>() + list
        }
    }

    impl<T> Default for Chunks<T> {
        fn default() -> Self {
            Self { first: Vec::new(), rest: None }
        }
    }

    impl<T> Sealed for Chunks<T> {}

    impl<T> Store<T> for Chunks<T> {
        #[inline]
        fn len(&self) -> usize {
            match &self.rest {
                None => self.first.len(),
                Some(rest) => Self::ROWS + rest.len,
            }
        }

        fn limit() -> usize {
            usize::MAX
        }

        #[inline]
        fn get(&self, at: usize) -> Option<&T> {
            if at < Self::ROWS {
                return self.first.get(at);
            }
            self.rest.as_ref()?.chunks.get((at >> Self::SHIFT) - 1)?.get(at & (Self::ROWS - 1))
        }

        #[inline]
        fn get_mut(&mut self, at: usize) -> Option<&mut T> {
            if at < Self::ROWS {
                return self.first.get_mut(at);
            }
            self.rest.as_mut()?.chunks.get_mut((at >> Self::SHIFT) - 1)?.get_mut(at & (Self::ROWS - 1))
        }

        #[inline]
        fn head(&self) -> &[T] {
            &self.first
        }

        #[inline]
        fn push(&mut self, row: T) -> Result<(), T> {
            if self.first.len() < self.first.capacity().min(Self::ROWS) {
                self.first.push(row);
            } else {
                self.push_growing(row);
            }
            Ok(())
        }

        fn heap_bytes(&self) -> usize {
            let rest = self.rest.as_ref().map_or(0, |rest| rest.heap_bytes());
            self.first.capacity() * size_of::<T>() + rest
        }

        fn growth_bytes(&self) -> usize {
            if self.first.len() < self.first.capacity().min(Self::ROWS) {
                return 0;
            }
            match (&self.rest, self.more_first()) {
                (Some(rest), _) => rest.growth_bytes(),
                (None, 0) => {
                    let rest = Rest::<T> { chunks: Vec::new(), len: 0 };
                    size_of::<Rest<T>>() + rest.growth_bytes()
                }
                (None, more) => more * size_of::<T>(),
            }
        }
    }

    impl<T> Chunks<T> {
        /// Add a row where the first chunk has no room for it.
        #[cold]
        fn push_growing(&mut self, row: T) {
            let more = self.more_first();
            if more > 0 {
                self.first.reserve_exact(more);
                self.first.push(row);
            } else {
                let rest = self.rest.get_or_insert_with(|| Box::new(Rest { chunks: Vec::new(), len: 0 }));
                rest.push(row);
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

    fn head(&self) -> &[T] {
        self.as_slice()
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

/// Rows on the heap whose look-ups are counted: for tests of how many steps something takes.
#[cfg(all(test, feature = "alloc"))]
pub(crate) mod counted {
    use core::cell::Cell;

    use super::{Heap, Storage, Store, sealed::Sealed};

    pub(crate) struct Counted;

    impl Sealed for Counted {}

    impl Storage for Counted {
        type List<T> = List<T>;
    }

    pub(crate) struct List<T> {
        rows: <Heap as Storage>::List<T>,
        steps: Cell<u64>,
    }

    impl<T> List<T> {
        /// How many rows were looked at so far.
        pub(crate) fn steps(&self) -> u64 {
            self.steps.get()
        }

        fn step(&self) {
            self.steps.set(self.steps.get() + 1);
        }
    }

    impl<T> Default for List<T> {
        fn default() -> Self {
            Self { rows: Default::default(), steps: Cell::new(0) }
        }
    }

    impl<T> Sealed for List<T> {}

    impl<T> Store<T> for List<T> {
        fn len(&self) -> usize {
            self.rows.len()
        }

        fn limit() -> usize {
            <<Heap as Storage>::List<T> as Store<T>>::limit()
        }

        fn get(&self, at: usize) -> Option<&T> {
            self.step();
            self.rows.get(at)
        }

        fn get_mut(&mut self, at: usize) -> Option<&mut T> {
            self.step();
            self.rows.get_mut(at)
        }

        fn head(&self) -> &[T] {
            self.rows.head()
        }

        fn push(&mut self, row: T) -> Result<(), T> {
            self.rows.push(row)
        }

        fn heap_bytes(&self) -> usize {
            self.rows.heap_bytes()
        }

        fn growth_bytes(&self) -> usize {
            self.rows.growth_bytes()
        }
    }
}
