//! Where a workload keeps its texts: on the heap, or inline with a fixed length.

use core::fmt::Debug;
use core::ops::{Deref, DerefMut};

use sluis_core::data::{EncodeError, SliceSink, Style, Value};
#[cfg(feature = "alloc")]
use sluis_core::table::Heap;
use sluis_core::table::{Fixed, Storage};

/// Longest name, DID, SPIFFE ID or node in bytes.
pub const MAX_NAME: usize = 256;
/// Longest intent, error text or parent id in bytes.
pub const MAX_NOTE: usize = 1024;
/// Longest metadata of a step or workload, and longest tampered data that is kept, as JSON in bytes.
pub const MAX_DATA: usize = 8 * 1024;
/// Longest text of any kind where there is no heap.
pub const FIXED_TEXT: usize = 96;

/// A text is longer than its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Where a workload keeps its steps and texts: [`Heap`], or [`Fixed`] with a capacity in steps and [`FIXED_TEXT`] bytes a text.
pub trait StepStorage: Storage {
    /// A text that is kept.
    type Text: AsRef<str> + Debug;
    /// Something that few steps have.
    type Rare<T>: DerefMut<Target = T>;

    /// Keep a text; `None` when it does not fit.
    fn text(text: &str) -> Option<Self::Text>;

    /// Keep a value as JSON, members as they stand; `None` when it does not fit.
    ///
    /// # Errors
    /// Something in it has no JSON form.
    fn json(value: Value<'_>) -> Result<Option<Self::Text>, EncodeError>;

    /// Keep something that few steps have.
    fn rare<T>(value: T) -> Self::Rare<T>;
}

/// A value as JSON, in this much room.
fn json_in<'b>(value: Value<'_>, room: &'b mut [u8]) -> Result<Option<&'b str>, EncodeError> {
    let mut sink = SliceSink::new(room);
    match value.write_json(&mut sink, Style::SPACED) {
        Ok(()) => Ok(core::str::from_utf8(sink.into_parts().0).ok()),
        Err(EncodeError::BufferFull) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(feature = "alloc")]
impl StepStorage for Heap {
    type Text = alloc::boxed::Box<str>;
    type Rare<T> = alloc::boxed::Box<T>;

    fn text(text: &str) -> Option<Self::Text> {
        Some(text.into())
    }

    fn json(value: Value<'_>) -> Result<Option<Self::Text>, EncodeError> {
        let mut room = alloc::vec![0; MAX_DATA];
        Ok(json_in(value, &mut room)?.and_then(Self::text))
    }

    fn rare<T>(value: T) -> Self::Rare<T> {
        alloc::boxed::Box::new(value)
    }
}

impl<const N: usize> StepStorage for Fixed<N> {
    type Text = heapless::String<FIXED_TEXT>;
    type Rare<T> = Inline<T>;

    fn text(text: &str) -> Option<Self::Text> {
        heapless::String::try_from(text).ok()
    }

    fn json(value: Value<'_>) -> Result<Option<Self::Text>, EncodeError> {
        Ok(json_in(value, &mut [0; FIXED_TEXT])?.and_then(Self::text))
    }

    fn rare<T>(value: T) -> Self::Rare<T> {
        Inline(value)
    }
}

/// A value where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Inline<T>(T);

impl<T> Deref for Inline<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Inline<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// Keep a text of at most `limit` bytes.
pub(super) fn keep<S: StepStorage>(text: &str, limit: usize) -> Result<S::Text, TooLong> {
    if text.len() > limit { Err(TooLong) } else { S::text(text).ok_or(TooLong) }
}
