//! Where encoders put their bytes.

/// A sink has no room for what was put: nothing of it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room in the output buffer")]
pub struct Full;

/// Takes bytes in order.
///
/// Writers in this room call [`put`](Self::put) many times with small pieces and stop at the first [`Full`].
pub trait Sink {
    /// Append all of `bytes`, or nothing.
    ///
    /// # Errors
    /// [`Full`] when there is no room for all of them.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full>;
}

impl<S: Sink + ?Sized> Sink for &mut S {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        (**self).put(bytes)
    }
}

/// Writes into a borrowed buffer from its start.
#[derive(Debug)]
pub struct SliceSink<'b> {
    buf: &'b mut [u8],
    len: usize,
}

impl<'b> SliceSink<'b> {
    /// Start at the front of `buf`.
    #[must_use]
    pub const fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// How many bytes were written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What was written.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or_default()
    }

    /// What was written, and the room behind it.
    #[must_use]
    pub fn into_parts(self) -> (&'b mut [u8], &'b mut [u8]) {
        self.buf.split_at_mut_checked(self.len).unwrap_or_default()
    }

    /// Write over bytes that were already written: lengths that are known only afterwards. Ignored beyond the end.
    pub(crate) fn patch(&mut self, at: usize, bytes: &[u8]) {
        if let Some(room) = self.buf.get_mut(at..self.len).and_then(|b| b.get_mut(..bytes.len())) {
            room.copy_from_slice(bytes);
        }
    }
}

impl Sink for SliceSink<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.len + bytes.len();
        let Some(room) = self.buf.get_mut(self.len..end) else { return Err(Full) };
        room.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

/// Counts bytes and keeps none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter(usize);

impl Counter {
    /// How many bytes were put.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0
    }
}

impl Sink for Counter {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(())
    }
}

/// Hands every piece to a closure: a hasher's `update`, say.
#[derive(Clone, Copy, Debug)]
pub struct FnSink<F>(pub F);

impl<F: FnMut(&[u8])> Sink for FnSink<F> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        (self.0)(bytes);
        Ok(())
    }
}

/// Grows without limit: only for sizes that the caller bounds.
#[cfg(feature = "alloc")]
impl Sink for alloc::vec::Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}
