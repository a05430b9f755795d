//! Which start of this node speaks: on the medium before it does.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::Rng;
use crate::data::hex;
use crate::session::Incarnation;

/// The key of its record.
pub(super) const KEY: &[u8] = b"i";

/// How far it has come on its way to the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is to be written.
    Wanted,
    /// It was given out.
    Given,
    /// It is there.
    Kept,
    /// It could not be written, and is tried again when there is reason to believe that it can.
    Failed,
}

/// The [`Incarnation`] of this life, which follows that of the life before. A node that spoke under one that is not stored would speak under the same number again in its next life, and
/// look as if its state had been copied; so nothing is said under it before it is.
///
/// Where it cannot be stored, the node shows none, and goes on: peers then judge nothing.
#[derive(Debug)]
pub(super) struct Start {
    own: Incarnation,
    stage: Stage,
    /// It could not be written at least once, and is not there yet.
    failed: bool,
}

impl Start {
    /// The first start; [`restore`](Self::restore) makes it a later one.
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self { own: Incarnation::NONE.following(rng), stage: Stage::Wanted, failed: false }
    }

    /// What was kept of the life before; false if the record is damaged.
    pub(super) fn restore(&mut self, value: &[u8]) -> bool {
        let mut before = [0; Incarnation::LEN];
        if hex::parse(value, &mut before).is_none() {
            return false;
        }
        self.own = self.own.as_after(&Incarnation::from_bytes(&before));
        true
    }

    /// The start, stored or not.
    pub(super) const fn own(&self) -> Incarnation {
        self.own
    }

    /// What is to be shown to peers: nothing may be said to them before there is something.
    pub(super) const fn shown(&self) -> Option<Incarnation> {
        match self.stage {
            Stage::Kept => Some(self.own),
            _ if self.failed => Some(Incarnation::NONE),
            Stage::Wanted | Stage::Given | Stage::Failed => None,
        }
    }

    pub(super) const fn wants(&self) -> bool {
        matches!(self.stage, Stage::Wanted)
    }

    /// The value that is to be written.
    pub(super) fn give(&mut self) -> Option<Box<[u8]>> {
        if !self.wants() {
            return None;
        }
        self.stage = Stage::Given;
        let mut value = Vec::with_capacity(2 * Incarnation::LEN);
        // A vector takes everything.
        let _ = hex::write(&mut value, &self.own.to_bytes());
        Some(value.into())
    }

    /// It was written, or not.
    pub(super) const fn end(&mut self, kept: bool) {
        self.stage = if kept { Stage::Kept } else { Stage::Failed };
        self.failed = !kept;
    }

    /// Try again what could not be written.
    pub(super) const fn resume(&mut self) {
        if matches!(self.stage, Stage::Failed) {
            self.stage = Stage::Wanted;
        }
    }
}
