//! A list that starts on the stack and, where there is a heap, moves there when it outgrows that.

/// A list with room for `N` entries, or with `alloc` for any number.
#[derive(Clone, Debug)]
pub(super) struct Spill<T, const N: usize> {
    inline: heapless::Vec<T, N>,
    #[cfg(feature = "alloc")]
    heap: alloc::vec::Vec<T>,
}

impl<T: Copy, const N: usize> Spill<T, N> {
    pub(super) const fn new() -> Self {
        Self {
            inline: heapless::Vec::new(),
            #[cfg(feature = "alloc")]
            heap: alloc::vec::Vec::new(),
        }
    }

    /// Give the entry back when there is no room.
    pub(super) fn push(&mut self, entry: T) -> Result<(), T> {
        #[cfg(feature = "alloc")]
        if self.heap.is_empty() {
            let Err(entry) = self.inline.push(entry) else { return Ok(()) };
            self.heap.extend_from_slice(&self.inline);
            self.inline.clear();
            self.heap.push(entry);
        } else {
            self.heap.push(entry);
        }
        #[cfg(not(feature = "alloc"))]
        self.inline.push(entry)?;
        Ok(())
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        #[cfg(feature = "alloc")]
        if let Some(entry) = self.heap.pop() {
            return Some(entry);
        }
        self.inline.pop()
    }

    pub(super) fn as_slice(&self) -> &[T] {
        #[cfg(feature = "alloc")]
        if !self.heap.is_empty() {
            return &self.heap;
        }
        &self.inline
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [T] {
        #[cfg(feature = "alloc")]
        if !self.heap.is_empty() {
            return &mut self.heap;
        }
        &mut self.inline
    }

    pub(super) fn get(&self, at: u32) -> Option<T> {
        self.as_slice().get(at as usize).copied()
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.as_mut_slice().get_mut(at as usize)
    }

    pub(super) fn last(&self) -> Option<&T> {
        self.as_slice().last()
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut T> {
        self.as_mut_slice().last_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub(super) fn truncate(&mut self, len: usize) {
        #[cfg(feature = "alloc")]
        self.heap.truncate(len);
        self.inline.truncate(len);
    }
}
