//! Changes that are to survive, on their way to a store, and what waits for them.
//!
//! | key | what is kept |
//! |---|---|
//! | `p`, `r` | pins and retired keys, see [`pins`](crate::pins) |
//! | `t` and a DID | how far it is trusted, as decided while the node ran |
//! | `v` and an id | a vouch |
//! | `f` | the replay floor: no stamp above it was ever admitted |
//! | `d`, `u`, `s`, `w`, `j` | devices, names of which only an unsigned word is known, signed vouches and those that were revoked, join tokens: see [`registry`](crate::registry), [`airlock`](crate::airlock), [`discovery`](crate::discovery) |
//! | `h`, a key and a DID; `g`; `o` | the newest handshake stamp of a peer, and what is known of its starts; the floor of all others; our own stamp |
//! | `i` | which start of this node speaks |

mod decisions;
mod held;
mod mark;
mod restore;
pub(super) mod stamps;
mod start;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

pub(super) use self::decisions::{Decisions, Undo};
use self::held::{Held, Via};
use self::mark::Mark;
pub use self::restore::RestoreError;
use self::stamps::{Given, Stamps};
use self::start::Start;
use super::event::Event;
use super::ingress::Ingress;
use super::policy::Policy;
use super::{Node, Rooms};
use crate::airlock::VouchChange;
use crate::discovery::TokenChange;
use crate::identity::{PublicKey, Statement};
use crate::pins::{Change, Origin, PinError, Pins};
use crate::seed::SipKey;
use crate::session::{Incarnation, Known, Sessions, Stamp};
use crate::time::{Duration, Instant, Now, Wall};
use crate::{Durable, Rng, StoreError, StoreOp, StoreSeq, registry};

/// How long traffic goes on without what could not be written before that is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Of how many peers the newest handshake stamp is kept.
const MAX_STAMPS: usize = 65_536;

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
    changes: VecDeque<Entry>,
    /// How many of them were given out.
    given: usize,
    last: StoreSeq,
    /// Commits that have ended and were not told of.
    ended: VecDeque<(StoreSeq, Result<(), StoreError>)>,
    mark: Mark,
    stamps: Stamps,
    /// Nothing where sessions are off.
    start: Option<Start>,
    held: Held,
    /// What was held is looked at again.
    again: bool,
    /// When a commit failed last, as long as none has succeeded since.
    failed: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    seq: StoreSeq,
    what: What,
}

#[derive(Debug)]
enum What {
    /// A pin or a retired key.
    Pin { change: Change, first_use: bool },
    /// Something else that somebody decided and is told of.
    Decision { key: Box<[u8]>, value: Option<Box<[u8]>>, undo: Undo },
    /// Something of the overlay; `told`: somebody decided it and is told of its end.
    Overlay { change: Box<OverlayChange>, told: bool },
    /// The replay floor.
    Mark { mark: Wall, value: Box<[u8]> },
    /// That there was a session with the key that is pinned to a name.
    Session(Change),
    /// Which start of this node speaks.
    Start(Box<[u8]>),
    /// A handshake stamp.
    Stamp { given: Given, key: Box<[u8]>, value: Option<Box<[u8]>> },
}

/// A change of the overlay's rooms.
#[derive(Debug)]
pub(super) enum OverlayChange {
    /// Of the registry.
    Device(registry::Change),
    /// Of the signed vouches.
    Vouch(VouchChange),
    /// Of the join tokens.
    Token(TokenChange),
}

impl OverlayChange {
    fn record(&self) -> Option<(&[u8], Option<&[u8]>)> {
        match self {
            Self::Device(change) => change.record(),
            Self::Vouch(change) => change.record(),
            Self::Token(change) => change.record(),
        }
    }
}

impl What {
    fn record(&self) -> Option<(&[u8], Option<&[u8]>)> {
        match self {
            Self::Pin { change, .. } | Self::Session(change) => change.record(),
            Self::Start(value) => Some((start::KEY, Some(value))),
            Self::Overlay { change, .. } => change.record(),
            Self::Mark { value, .. } => Some((mark::KEY, Some(value))),
            Self::Decision { key, value, .. } | Self::Stamp { key, value, .. } => Some((key, value.as_deref())),
        }
    }

    /// Whether its end is told.
    const fn is_told(&self) -> bool {
        matches!(self, Self::Pin { .. } | Self::Decision { .. } | Self::Overlay { told: true, .. })
    }

    /// Whether others bring it about, so that only so many of it may wait.
    const fn is_bounded(&self) -> bool {
        self.is_told() || matches!(self, Self::Overlay { .. })
    }
}

impl Storing {
    /// `starts` is where the random part of a node's [`Incarnation`] comes from, where it has sessions.
    pub(super) fn new(on: bool, max: u32, names: &SipKey, starts: Option<&mut Rng>) -> Self {
        let waiting = || Waiting {
            max: max as usize,
            changes: VecDeque::new(),
            given: 0,
            last: StoreSeq(0),
            ended: VecDeque::new(),
            mark: Mark::new(),
            stamps: Stamps::new(MAX_STAMPS, names.clone()),
            start: starts.map(Start::new),
            held: Held::default(),
            again: false,
            failed: None,
        };
        Self(on.then(|| Box::new(waiting())))
    }

    /// Whether one more change can wait.
    pub(super) fn has_room(&self) -> bool {
        self.has_room_for(1)
    }

    /// Whether so many more changes can wait.
    pub(super) fn has_room_for(&self, more: usize) -> bool {
        let bounded = |waiting: &Waiting| waiting.changes.iter().filter(|entry| entry.what.is_bounded()).count();
        self.0.as_ref().is_none_or(|waiting| bounded(waiting) + waiting.ended.len() + more <= waiting.max)
    }

    /// Keep a change of the overlay, without saying when it is kept; whether that is still to be waited for.
    pub(super) fn push_overlay(&mut self, change: OverlayChange) -> bool {
        self.push_change(change, false) != Keeping::Done
    }

    /// Keep a change of the overlay that somebody has decided; when it is safe, which is told.
    pub(super) fn keep_overlay(&mut self, change: OverlayChange) -> Keeping {
        self.push_change(change, true)
    }

    fn push_change(&mut self, change: OverlayChange, told: bool) -> Keeping {
        let Some(waiting) = self.0.as_mut().filter(|_| change.record().is_some()) else { return Keeping::Done };
        waiting.push(What::Overlay { change: Box::new(change), told })
    }

    /// Whether a change under this key is not known to be on the medium.
    pub(super) fn is_waiting(&self, key: &[u8]) -> bool {
        let is = |entry: &Entry| entry.what.record().is_some_and(|(other, _)| other == key);
        self.0.as_ref().is_some_and(|waiting| waiting.changes.iter().any(is))
    }

    fn push(&mut self, change: Change, first_use: bool) -> Keeping {
        let Some(waiting) = self.0.as_mut().filter(|_| change.record().is_some()) else { return Keeping::Done };
        waiting.push(What::Pin { change, first_use })
    }

    /// There was a session with the key that is pinned to a name: to be written beside the pin.
    pub(super) fn push_session(&mut self, change: Change) {
        if let Some(waiting) = self.0.as_mut() {
            let _ = waiting.push(What::Session(change));
        }
    }

    /// A decision was made whose record this is; without a value it is removed.
    pub(super) fn push_decision(&mut self, key: Box<[u8]>, value: Option<Box<[u8]>>, undo: Undo) -> Keeping {
        let Some(waiting) = self.0.as_mut() else { return Keeping::Done };
        waiting.push(What::Decision { key, value, undo })
    }

    /// Whether there are changes to be given out.
    pub(super) fn wants(&self) -> bool {
        let start = |waiting: &Waiting| waiting.start.as_ref().is_some_and(Start::wants);
        let wants = |waiting: &Waiting| waiting.mark.wants() || waiting.stamps.wants() || start(waiting);
        self.0.as_ref().is_some_and(|waiting| waiting.given < waiting.changes.len() || wants(waiting))
    }

    /// Whether there are ends to be told of.
    pub(super) fn has_notice(&self) -> bool {
        self.0.as_ref().is_some_and(|waiting| !waiting.ended.is_empty())
    }

    pub(super) fn pop_notice(&mut self) -> Option<Event<'static>> {
        let (upto, result) = self.0.as_mut()?.ended.pop_front()?;
        Some(Event::Kept { upto, result })
    }

    /// Whether a packet with this stamp has to wait for the medium before it is admitted. Not while nothing can be written: traffic goes on then.
    pub(super) fn holds(&mut self, now: Now, stamp: Wall) -> bool {
        let Some(waiting) = self.0.as_deref_mut() else { return false };
        if waiting.is_failing(now.mono) {
            return false;
        }
        let holds = !waiting.mark.admits(now, stamp, waiting.again);
        if holds {
            waiting.resume();
        }
        holds
    }

    /// Whether the key of this name was pinned at first sight and that is not on the medium yet.
    pub(super) fn is_new(&self, did: &str) -> bool {
        let Some(waiting) = self.0.as_deref() else { return false };
        let mut first_uses = waiting.changes.iter().filter_map(|entry| match &entry.what {
            What::Pin { change, first_use: true } => change.record(),
            _ => None,
        });
        first_uses.any(|(key, _)| key.get(1..) == Some(did.as_bytes()))
    }

    /// Whether nothing could be written of late.
    pub(super) fn is_failing(&self, now: Instant) -> bool {
        self.0.as_ref().is_some_and(|waiting| waiting.is_failing(now))
    }

    /// Have a datagram wait until a commit has ended; false if there is no room.
    pub(super) fn hold(&mut self, ingress: &Ingress<'_>) -> bool {
        let via = ingress.session.map_or(Via::Path(ingress.path), Via::Session);
        self.0.as_mut().is_some_and(|waiting| waiting.held.push(via, ingress.bytes))
    }

    fn set_again(&mut self, again: bool) {
        self.0.iter_mut().for_each(|waiting| waiting.again = again);
    }

    fn held(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.held.len())
    }

    /// Note the newest stamp of a peer's first messages: it is written with what is written next. Until then the floor of the replay window keeps
    /// out after a restart what rode in that first message; without it, a copy of one begins a session that nobody can confirm.
    pub(super) fn note_stamp(&mut self, did: &str, key: PublicKey, stamp: Stamp) {
        if let Some(waiting) = &mut self.0 {
            waiting.stamps.note(did, key, stamp);
            waiting.resume();
        }
    }

    /// Note what is known of the starts of a peer: written as a stamp is.
    pub(super) fn note_known(&mut self, did: &str, key: PublicKey, known: Known) {
        if let Some(waiting) = &mut self.0 {
            waiting.stamps.note_known(did, key, known);
        }
    }

    /// Which start of this node is shown to peers; `None`: nothing may be said to them yet.
    pub(super) fn incarnation(&self) -> Option<Incarnation> {
        match self.0.as_ref().and_then(|waiting| waiting.start.as_ref()) {
            Some(start) => start.shown(),
            None => Some(Incarnation::NONE),
        }
    }

    /// Whether it is on the medium; true where nothing is kept, and as long as nothing can be.
    #[cfg(test)]
    pub(super) fn is_stamp_kept(&self, now: Instant, did: &str, key: &PublicKey, stamp: Stamp) -> bool {
        let kept = |waiting: &Waiting| waiting.is_failing(now) || waiting.stamps.is_kept(did, key, stamp);
        self.0.as_deref().is_none_or(kept)
    }

    /// Note our own stamp after a first message was written. What is stored is ahead of it, so that the next life begins above it.
    pub(super) fn note_own_stamp(&mut self, stamp: Stamp) {
        if let Some(waiting) = &mut self.0 {
            waiting.stamps.note_own(stamp);
        }
    }

    /// Tell sessions what was kept of an earlier life, before they hear anything. Whose stamp is not among it is refused up to the time of the start,
    /// or up to the replay floor if that is later.
    pub(super) fn tell_sessions(&self, sessions: &mut Sessions, start: Wall) {
        match &self.0 {
            Some(waiting) => {
                waiting.stamps.tell(sessions, start.max(waiting.mark.kept()));
                sessions.set_incarnation(waiting.start.as_ref().map_or(Incarnation::NONE, Start::own));
            }
            None => sessions.raise_floor(Stamp::at(start)),
        }
    }

    fn poll(&mut self) -> Option<StoreOp<'_>> {
        let waiting = self.0.as_deref_mut()?;
        if waiting.given == waiting.changes.len() {
            let own = waiting.give()?;
            waiting.push(own);
        }
        let Entry { seq, what } = waiting.changes.get(waiting.given)?;
        waiting.given += 1;
        let (key, value) = what.record()?;
        // A name is shorter than a key may be, and a statement than a value; a vouch was looked at.
        match value {
            Some(value) => StoreOp::put(*seq, key, value).ok(),
            None => StoreOp::remove(*seq, key).ok(),
        }
    }

    /// A commit has ended. What it was to keep and did not is taken back, the last first; a retired key stays retired.
    /// Those of the overlay that were not kept are given back, the last first.
    fn end(
        &mut self,
        now: Instant,
        upto: StoreSeq,
        result: Result<(), StoreError>,
        policy: &mut Policy,
    ) -> Vec<OverlayChange> {
        let mut undone = Vec::new();
        let Some(waiting) = self.0.as_deref_mut() else { return undone };
        let count = waiting.changes.iter().take(waiting.given).take_while(|entry| entry.seq <= upto).count();
        if count == 0 {
            return undone;
        }
        waiting.failed = result.is_err().then_some(now);
        let mut done: VecDeque<Entry> = waiting.changes.drain(..count).collect();
        waiting.given -= count;
        if let Some(last) = done.iter().rfind(|entry| entry.what.is_told()) {
            waiting.ended.push_back((last.seq, result));
        }
        while let Some(Entry { what, .. }) = done.pop_back() {
            match what {
                What::Mark { mark, .. } => waiting.mark.end(mark, result.is_ok()),
                What::Stamp { given, .. } => waiting.stamps.end(given, result.is_ok()),
                What::Start(_) => waiting.start.iter_mut().for_each(|start| start.end(result.is_ok())),
                What::Pin { .. } | What::Session(_) | What::Decision { .. } | What::Overlay { .. }
                    if result.is_ok() => {}
                What::Overlay { change, .. } => undone.push(*change),
                What::Pin { change, .. } | What::Session(change) => _ = policy.pins.undo(&change),
                What::Decision { key, undo, .. } => {
                    // What was decided later about the same goes back behind this, should it fail, too.
                    let later = waiting.changes.iter_mut().find_map(|entry| match &mut entry.what {
                        What::Decision { key: other, undo, .. } if *other == key => Some(undo),
                        _ => None,
                    });
                    match later {
                        Some(later) => *later = undo,
                        None => policy.undo(undo),
                    }
                }
            }
        }
        undone
    }
}

impl Waiting {
    fn push(&mut self, what: What) -> Keeping {
        self.last = self.last.next();
        self.changes.push_back(Entry { seq: self.last, what });
        Keeping::Until(self.last)
    }

    /// Try again what could not be written.
    fn resume(&mut self) {
        self.stamps.resume();
        self.start.iter_mut().for_each(Start::resume);
    }

    /// The next change that is the node's own.
    fn give(&mut self) -> Option<What> {
        if let Some(value) = self.start.as_mut().and_then(Start::give) {
            return Some(What::Start(value));
        }
        if let Some((mark, value)) = self.mark.give() {
            return Some(What::Mark { mark, value: value.into() });
        }
        let (given, key, value) = self.stamps.give()?;
        Some(What::Stamp { given, key, value: value.map(Into::into) })
    }

    fn is_failing(&self, now: Instant) -> bool {
        self.failed.is_some_and(|at| now.saturating_since(at) < RETRY)
    }
}

impl Durable for Node {
    fn poll_store(&mut self) -> Option<StoreOp<'_>> {
        self.rooms.storing.poll()
    }

    fn handle_stored(&mut self, now: Now, upto: StoreSeq, result: Result<(), StoreError>) {
        self.rooms.timers.advance(now.mono);
        for change in self.rooms.storing.end(now.mono, upto, result, &mut self.policy) {
            match &change {
                OverlayChange::Vouch(change) => self.policy.undo_vouch(change),
                change => self.rooms.overlay.iter_mut().for_each(|overlay| overlay.undo(change)),
            }
        }
        if let Some(links) = &mut self.rooms.links {
            links.speak_as(self.rooms.storing.incarnation());
        }
        self.rooms.storing.set_again(true);
        // Those that still have to wait go to the back.
        for _ in 0..self.rooms.storing.held() {
            let Some((via, mut bytes)) = self.rooms.storing.0.as_mut().and_then(|waiting| waiting.held.pop()) else {
                break;
            };
            let taken = match via {
                Via::Path(path) => self.take(now, path, &mut bytes),
                Via::Session(from) => self.take_opened(now, from, &bytes),
            };
            self.rooms.traffic.count_held(taken);
        }
        self.rooms.storing.set_again(false);
        self.run_overlay(now);
    }
}

impl Node {
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
        self.policy.doubt_vouches();
        Ok(self.rooms.storing.push(change, origin == Origin::FirstUse))
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
        self.policy.doubt_vouches();
        let kept = self.rooms.storing.push(change, false);
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
        let kept = self.rooms.storing.push(change, false);
        self.policy.doubt_vouches();
        self.retire_in_overlay(statement);
        self.end_sessions_of(&statement.key());
        Ok(kept)
    }
}

impl Rooms {
    fn check_room(&self) -> Result<(), PinError> {
        if self.has_room_to_store() { Ok(()) } else { Err(PinError::Busy) }
    }

    /// Whether one more change can wait for the store.
    pub(super) fn has_room_to_store(&self) -> bool {
        self.storing.has_room()
    }
}
