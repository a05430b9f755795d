//! Taking in what was kept in an earlier life.

use super::decisions::{TRUST, VOUCH};
use super::mark::{self, read_number};
use super::{stamps, start};
use crate::airlock::{TrustError, VouchError};
use crate::check_did;
use crate::node::{Node, RestoreOverlayError};
use crate::pins::RecordError;
use crate::time::Wall;

/// Why a record of a store is not taken in: whoever reads one should go no further than to say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// Of a pin or a retired key.
    #[error(transparent)]
    Pin(#[from] RecordError),
    /// The record is not what was written.
    #[error("a record of {0} is damaged")]
    Damaged(&'static str),
    /// It does not fit.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// It does not fit.
    #[error(transparent)]
    Vouch(#[from] VouchError),
    /// Of a device, a signed vouch or a join token.
    #[error(transparent)]
    Overlay(#[from] RestoreOverlayError),
}

impl Node {
    /// Take in a record of the store, before anything else comes in: what [`poll_store`](crate::Durable::poll_store) gave out in an earlier
    /// life. `false` if it is none of a node's.
    ///
    /// # Errors
    /// The record is damaged, or there is no room for it: a node without all of its records believes what it should not.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<bool, RestoreError> {
        if self.policy.pins.restore(key, value)? || self.restore_overlay(key, value)? {
            return Ok(true);
        }
        match key {
            mark::KEY => {
                let micros = read_number(value).ok_or(RestoreError::Damaged("the replay floor"))?;
                self.restore_mark(Wall::from_micros(micros));
            }
            [TRUST, did @ ..] => {
                let damaged = RestoreError::Damaged("a trust");
                let did = core::str::from_utf8(did).ok().filter(|did| check_did(did).is_ok()).ok_or(damaged)?;
                let trust = core::str::from_utf8(value).ok().and_then(|value| value.parse::<f64>().ok());
                let trust = trust.filter(|trust| (0.0..=1.0).contains(trust)).ok_or(damaged)?;
                self.policy.trust.set(did, trust)?;
                self.policy.decisions.insert(did.into(), trust);
            }
            [VOUCH, id @ ..] => {
                let damaged = RestoreError::Damaged("a vouch");
                let (id, record) = (core::str::from_utf8(id), core::str::from_utf8(value));
                let (Ok(id), Ok(record)) = (id, record) else { return Err(damaged) };
                // Nothing is dropped for having expired by a clock that nobody has read yet.
                if !self.policy.registry().read(id, record, Wall::MIN)? {
                    return Err(damaged);
                }
            }
            [stamps::PEER, ..] | stamps::FLOOR | stamps::OWN => {
                let damaged = RestoreError::Damaged("a handshake stamp");
                let (stamp, known) = stamps::read_value(value).ok_or(damaged)?;
                let Some(waiting) = self.rooms.storing.0.as_mut() else { return Ok(true) };
                match key {
                    stamps::FLOOR => waiting.stamps.restore_floor(stamp),
                    stamps::OWN => waiting.stamps.restore_own(stamp),
                    peer if waiting.stamps.restore(peer, (stamp, known)) => {}
                    _ => return Err(damaged),
                }
            }
            start::KEY => {
                let starts = self.rooms.storing.0.as_mut().and_then(|waiting| waiting.start.as_mut());
                if !starts.is_none_or(|start| start.restore(value)) {
                    return Err(RestoreError::Damaged("the start of this node"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What bears a stamp up to this was heard in an earlier life, or may have been.
    fn restore_mark(&mut self, mark: Wall) {
        if let Some(waiting) = &mut self.rooms.storing.0 {
            waiting.mark.restore(mark);
        }
        if !self.rooms.admission.forgets_floor() {
            self.rooms.admission.raise_floor(mark::floor(mark, self.config.replay.skew, self.config.accept_older));
        }
    }
}
