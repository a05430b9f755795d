//! Changes that are to survive, on their way to a store.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::event::Event;
use super::{Node, Rooms};
use crate::identity::{PublicKey, Statement};
use crate::pins::{Change, Origin, PinError, Pins, RecordError};
use crate::session::Stamp;
use crate::time::Now;
use crate::{Durable, StoreError, StoreOp, StoreSeq};

/// When a change is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// As safe as it gets: nothing has changed, or the node keeps nothing.
    Done,
    /// Once [`Event::Kept`](super::Event::Kept) names this number or a later one.
    Until(StoreSeq),
}

/// Changes that were made and are not known to be on the medium; nothing where nothing is kept.
#[derive(Debug)]
pub(super) struct Storing(Option<Box<Waiting>>);

/// They wait, oldest first.
#[derive(Debug)]
struct Waiting {
    max: usize,
    changes: VecDeque<(StoreSeq, Change)>,
    /// How many of them were given out.
    given: usize,
    last: StoreSeq,
    /// Commits that have ended and were not told of.
    ended: VecDeque<(StoreSeq, Result<(), StoreError>)>,
}

impl Storing {
    pub(super) fn new(on: bool, max: u32) -> Self {
        let (changes, ended) = (VecDeque::new(), VecDeque::new());
        let waiting = Waiting { max: max as usize, changes, given: 0, last: StoreSeq(0), ended };
        Self(on.then(|| Box::new(waiting)))
    }

    /// Whether one more change can wait.
    fn has_room(&self) -> bool {
        self.0.as_ref().is_none_or(|waiting| waiting.changes.len() + waiting.ended.len() < waiting.max)
    }

    /// The newest stamp of a peer's first messages of sessions: to be kept before the handshake is answered. The sessions have it in memory.
    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "a store of stamps goes here")]
    pub(super) fn note_stamp(&mut self, did: &str, key: PublicKey, stamp: Stamp) {
        let _ = (did, key, stamp);
    }

    fn push(&mut self, change: Change) -> Keeping {
        let Some(waiting) = self.0.as_mut().filter(|_| change.record().is_some()) else { return Keeping::Done };
        waiting.last = waiting.last.next();
        waiting.changes.push_back((waiting.last, change));
        Keeping::Until(waiting.last)
    }

    /// Whether there are changes to be given out.
    pub(super) fn wants(&self) -> bool {
        self.0.as_ref().is_some_and(|waiting| waiting.given < waiting.changes.len())
    }

    /// Whether there are ends to be told of.
    pub(super) fn has_notice(&self) -> bool {
        self.0.as_ref().is_some_and(|waiting| !waiting.ended.is_empty())
    }

    pub(super) fn pop_notice(&mut self) -> Option<Event<'static>> {
        let (upto, result) = self.0.as_mut()?.ended.pop_front()?;
        Some(Event::Kept { upto, result })
    }

    fn poll(&mut self) -> Option<StoreOp<'_>> {
        let waiting = self.0.as_mut()?;
        let (seq, change) = waiting.changes.get(waiting.given)?;
        waiting.given += 1;
        let (key, value) = change.record()?;
        // A name is shorter than a key may be, and a statement than a value.
        match value {
            Some(value) => StoreOp::put(*seq, key, value).ok(),
            None => StoreOp::remove(*seq, key).ok(),
        }
    }

    /// A commit has ended. What it was to keep and did not is taken back, the last first; a retired key stays retired.
    fn end(&mut self, upto: StoreSeq, result: Result<(), StoreError>, pins: &mut Pins) {
        let Some(Waiting { changes, given, ended, .. }) = self.0.as_deref_mut() else { return };
        let count = changes.iter().take(*given).take_while(|(seq, _)| *seq <= upto).count();
        if count == 0 {
            return;
        }
        let done = changes.drain(..count);
        if result.is_err() {
            done.rev().for_each(|(_, change)| _ = pins.undo(&change));
        } else {
            drop(done);
        }
        *given -= count;
        ended.push_back((upto, result));
    }
}

impl Durable for Node {
    fn poll_store(&mut self) -> Option<StoreOp<'_>> {
        self.rooms.storing.poll()
    }

    fn handle_stored(&mut self, now: Now, upto: StoreSeq, result: Result<(), StoreError>) {
        self.rooms.timers.advance(now.mono);
        self.rooms.storing.end(upto, result, &mut self.policy.pins);
    }
}

impl Node {
    /// Take in a record of the store, before anything else comes in: what [`poll_store`](Durable::poll_store) gave out in an earlier
    /// life. `false` if it is none of a node's.
    ///
    /// # Errors
    /// The record is damaged, or there is no room for it: a node without all of its records believes what it should not.
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<bool, RecordError> {
        self.policy.pins.restore(key, value)
    }

    /// Which key speaks for which name.
    #[must_use]
    pub const fn pins(&self) -> &Pins {
        &self.policy.pins
    }

    /// Bind a name to a key: only what that key signs is believed of the name from now on, and from the next packet on. It
    /// is taken back should it turn out that it cannot be kept.
    ///
    /// # Errors
    /// [`PinError`].
    pub fn pin(&mut self, now: Now, did: &str, key: PublicKey, origin: Origin) -> Result<Keeping, PinError> {
        self.rooms.check_room()?;
        let since = u64::try_from(now.wall.as_micros() / 1_000_000).unwrap_or(0);
        let change = self.policy.pins.pin(did, key, origin, since)?;
        Ok(self.rooms.storing.push(change))
    }

    /// Forget which key speaks for a name; `None` when none does. From then on anybody may use the name, as far as rules and trust let
    /// the unsigned in.
    ///
    /// # Errors
    /// [`PinError::Busy`].
    pub fn unpin(&mut self, did: &str) -> Result<Option<Keeping>, PinError> {
        self.rooms.check_room()?;
        let key = self.policy.pins.get(did).map(|pin| pin.key);
        let Some(change) = self.policy.pins.unpin(did) else { return Ok(None) };
        let kept = self.rooms.storing.push(change);
        if let Some(links) = &mut self.rooms.links {
            links.forget(self.rooms.admission.name(did));
        }
        key.into_iter().for_each(|key| self.end_sessions_of(&key));
        Ok(Some(kept))
    }

    /// Retire a key by a statement that somebody brought to the operator. It holds from the next packet on, also if it cannot be kept.
    ///
    /// # Errors
    /// [`PinError`]. [`PinError::Unknown`]: no name is pinned to that key.
    pub fn retire(&mut self, statement: &Statement) -> Result<Keeping, PinError> {
        self.rooms.check_room()?;
        let change = self.policy.pins.retire(statement, true)?;
        let kept = self.rooms.storing.push(change);
        self.end_sessions_of(&statement.key());
        Ok(kept)
    }
}

impl Rooms {
    fn check_room(&self) -> Result<(), PinError> {
        if self.storing.has_room() { Ok(()) } else { Err(PinError::Busy) }
    }
}
