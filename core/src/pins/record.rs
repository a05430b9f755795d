//! Pins and retired keys as records of a store, and taking them back in.
//!
//! A record's key is one letter, then what it is about: `p` and the DID, or `r` and the 32 bytes of a retired key. Its value is JSON: of a pin
//! `{"key":"<64 hex>","origin":"operator","since":1764400000}`, with `,"session":true` behind it once there was a session with that key, of a retired key the statement that
//! retired it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::table::{Binding, Origin, PinError, Pins};
use crate::data::{Number, Sink as _, Text, Value};
use crate::identity::{PublicKey, Statement, StatementError};

/// A change that has been made: the record to write or remove for it, and what undoes it.
#[derive(Clone, Debug)]
#[must_use = "unless its record is written, the change is forgotten at the next start"]
pub struct Change {
    record: Option<Record>,
    undo: Option<Undo>,
}

/// A key, and the value to put there; without one the record is removed.
type Record = (Box<[u8]>, Option<Box<[u8]>>);

/// What takes a change back.
#[derive(Clone, Debug)]
pub(super) enum Undo {
    /// Pin the name as it was before, unless something newer than the change with this number was decided about it.
    Pin { did: Box<str>, serial: u64, before: Option<Binding> },
    /// Forget that there was a session with the key of this name.
    Session { did: Box<str> },
}

impl Change {
    /// The record's key, and its value; without a value the record is to be removed. `None` when nothing has changed.
    #[must_use]
    pub fn record(&self) -> Option<(&[u8], Option<&[u8]>)> {
        self.record.as_ref().map(|(key, value)| (&**key, value.as_deref()))
    }

    /// Everything was as it is to be.
    pub(super) const fn nothing() -> Self {
        Self { record: None, undo: None }
    }

    pub(super) fn put(did: &str, binding: Binding, undo: Undo) -> Self {
        let Binding { key, origin, since, session } = binding;
        let session = if session { r#","session":true"# } else { "" };
        let value = alloc::format!(r#"{{"key":"{key}","origin":"{}","since":{since}{session}}}"#, origin.as_str());
        Self { record: Some((pin_key(did), Some(value.into_bytes().into()))), undo: Some(undo) }
    }

    pub(super) fn remove(did: &str, undo: Undo) -> Self {
        Self { record: Some((pin_key(did), None)), undo: Some(undo) }
    }

    pub(super) fn retire(statement: &Statement) -> Self {
        let mut key = Vec::with_capacity(33);
        let _ = key.put(b"r").and_then(|()| key.put(statement.key().as_bytes()));
        let mut value = Vec::with_capacity(Statement::MAX_JSON);
        // A vector takes everything.
        let _ = statement.write_json(&mut value);
        Self { record: Some((key.into(), Some(value.into()))), undo: None }
    }

    pub(super) const fn undone_by(&self) -> Option<&Undo> {
        self.undo.as_ref()
    }
}

/// Why a record is not taken in: whoever reads a store should go no further than to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It is not what was written.
    #[error("a record of a pin is damaged")]
    Pin,
    /// The statement that retired a key is not what was written.
    #[error("a record of a retired key is damaged: {0}")]
    Statement(#[from] StatementError),
    /// The record of a retired key holds a statement about another key.
    #[error("a record of a retired key speaks of another key")]
    OtherKey,
    /// It does not fit.
    #[error(transparent)]
    Table(#[from] PinError),
}

impl Pins {
    /// Take in a record that was written before; false when it is none of this room's. The order does not matter.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<bool, RecordError> {
        match key {
            [b'p', did @ ..] => {
                let (did, value) = (core::str::from_utf8(did), core::str::from_utf8(value));
                let (Ok(did), Ok(value)) = (did, value) else { return Err(RecordError::Pin) };
                self.restore_pin(did, read_pin(value).ok_or(RecordError::Pin)?)?;
                Ok(true)
            }
            [b'r', retired @ ..] => {
                let text = core::str::from_utf8(value).map_err(|_| StatementError::Form("it is not UTF-8"))?;
                let value = Value::from_json(text).map_err(|_| StatementError::Form("it is not JSON"))?;
                let statement = Statement::read(value)?;
                if statement.key().as_bytes() != retired {
                    return Err(RecordError::OtherKey);
                }
                self.restore_retired(statement.key(), statement.successor())?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

fn pin_key(did: &str) -> Box<[u8]> {
    let mut key = Vec::with_capacity(1 + did.len());
    let _ = key.put(b"p").and_then(|()| key.put(did.as_bytes()));
    key.into()
}

fn read_pin(value: &str) -> Option<Binding> {
    let value = Value::from_json(value).ok()?;
    let text = |name| value.get(name).and_then(Value::as_text).and_then(Text::as_str);
    let key = PublicKey::from_hex(text("key")?.as_bytes()).ok()?;
    let origin = Origin::from_name(text("origin")?)?;
    let Number::Int(since) = value.get("since")?.as_number()? else { return None };
    let session = match value.get("session") {
        None => false,
        Some(session) => session.as_bool()?,
    };
    Some(Binding { key, origin, since: u64::try_from(since).ok()?, session })
}
