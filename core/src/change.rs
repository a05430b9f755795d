//! What a room changed that must survive a restart.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// A change that has been made at once: the record to write or remove for it in a store, and what undoes it when that could not be done.
#[derive(Clone, Debug)]
#[must_use = "unless its record is written, the change is forgotten at the next start"]
pub struct Change<U> {
    record: Option<Record>,
    undo: Option<U>,
}

/// A key, and the value to put there; without one the record is removed.
type Record = (Box<[u8]>, Option<Box<[u8]>>);

impl<U> Change<U> {
    /// The record's key, and its value; without a value the record is to be removed. `None` when nothing has changed.
    #[must_use]
    pub fn record(&self) -> Option<(&[u8], Option<&[u8]>)> {
        self.record.as_ref().map(|(key, value)| (&**key, value.as_deref()))
    }

    /// Everything was as it is to be.
    pub(crate) const fn nothing() -> Self {
        Self { record: None, undo: None }
    }

    /// `value` is to be kept under `prefix` and `name`; without one, nothing.
    pub(crate) fn of(prefix: u8, name: &[u8], value: Option<Vec<u8>>, undo: Option<U>) -> Self {
        let mut key = Vec::with_capacity(1 + name.len());
        key.push(prefix);
        key.extend_from_slice(name);
        Self { record: Some((key.into(), value.map(Vec::into_boxed_slice))), undo }
    }

    pub(crate) const fn undone_by(&self) -> Option<&U> {
        self.undo.as_ref()
    }
}
