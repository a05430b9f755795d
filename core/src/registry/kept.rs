//! Devices as records of a store, and taking them back in.
//!
//! The key is `g` and the DID. The value, all integers big-endian: form (1, one byte), bound key (32 bytes), flags (one byte: 1 heard directly, 2 revoked),
//! when it was heard (microseconds since the Unix epoch, 8), the four counts of its history (4 each), its last success (8; the smallest integer is never), the record.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::fira::History;
use super::intake::Registry;
use super::record::{Record, RecordError};
use super::table::{Entry, Heard, State};
use crate::data::cursor::Cursor;
use crate::identity::PublicKey;
use crate::time::Wall;

const PREFIX: u8 = b'd';
const FORM: u8 = 1;
const DIRECTLY: u8 = 1;
const REVOKED: u8 = 2;
const NEVER: i64 = i64::MIN;

/// A change of a [`Registry`].
pub type Change = crate::change::Change<Undo>;

/// How a device was known before a change.
#[derive(Clone, Debug)]
pub struct Undo {
    pub(super) did: Box<str>,
    /// Its key and number after the change; `None`: it was forgotten.
    pub(super) now: Option<(PublicKey, u64)>,
    pub(super) before: Option<State>,
}

pub(super) fn put(entry: &Entry, undo: Option<Undo>) -> Change {
    let mut value = Vec::with_capacity(66 + entry.record.len());
    let flags = if entry.heard == Heard::Directly { DIRECTLY } else { 0 } | if entry.revoked { REVOKED } else { 0 };
    let History { verify_pass, verify_fail, interactions, anomalies, last_success } = entry.history;
    value.push(FORM);
    value.extend_from_slice(entry.key().as_bytes());
    value.push(flags);
    value.extend_from_slice(&entry.heard_at.as_micros().to_be_bytes());
    for count in [verify_pass, verify_fail, interactions, anomalies] {
        value.extend_from_slice(&count.to_be_bytes());
    }
    value.extend_from_slice(&last_success.map_or(NEVER, Wall::as_micros).to_be_bytes());
    value.extend_from_slice(&entry.record);
    Change::of(PREFIX, entry.did().as_bytes(), Some(value), undo)
}

pub(super) fn remove(did: &str, undo: Option<Undo>) -> Change {
    Change::of(PREFIX, did.as_bytes(), None, undo)
}

/// Why a kept device is not taken in: whoever reads a store should go no further than to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// It is not what was written.
    #[error("a record of a device is damaged")]
    Damaged,
    /// The record in it is not what was written.
    #[error("a record of a device is damaged: {0}")]
    Record(#[from] RecordError),
    /// It does not fit.
    #[error("the registry has no room for all the devices that were kept")]
    Full,
}

impl Registry {
    /// Take in what was kept before; false when it is none of this room's. The signature is not verified again unless `verify` says so: who can write to the store
    /// can write anything else into it, too.
    ///
    /// # Errors
    /// [`RestoreError`].
    pub fn restore(&mut self, key: &[u8], value: &[u8], verify: bool) -> Result<bool, RestoreError> {
        let Some((&PREFIX, did)) = key.split_first() else { return Ok(false) };
        let (state, record) = read(value).ok_or(RestoreError::Damaged)?;
        let whole = if verify { Record::read(record)? } else { Record::kept(record).ok_or(RestoreError::Damaged)? };
        if whole.claims().did.as_bytes() != did {
            return Err(RestoreError::Damaged);
        }
        if self.put_back(&state) { Ok(true) } else { Err(RestoreError::Full) }
    }
}

fn read(value: &[u8]) -> Option<(State, &[u8])> {
    let mut from = Cursor::new(value);
    if from.u8()? != FORM {
        return None;
    }
    let key = PublicKey::from_bytes(from.array()?).ok()?;
    let flags = from.u8()?;
    let heard_at = Wall::from_micros(i64::from_be_bytes(from.array()?));
    let mut count = || from.array().map(u32::from_be_bytes);
    let (verify_pass, verify_fail, interactions, anomalies) = (count()?, count()?, count()?, count()?);
    let last = i64::from_be_bytes(from.array()?);
    let last_success = (last != NEVER).then(|| Wall::from_micros(last));
    if flags & !(DIRECTLY | REVOKED) != 0 {
        return None;
    }
    let record = from.rest();
    let state = State {
        record: record.into(),
        key,
        history: History { verify_pass, verify_fail, interactions, anomalies, last_success },
        heard_at,
        heard: if flags & DIRECTLY != 0 { Heard::Directly } else { Heard::PassedOn },
        revoked: flags & REVOKED != 0,
    };
    Some((state, record))
}
