//! Who there is a session with, found by name, by key and by what is to be done next.

use alloc::boxed::Box;

use super::direct::Detour;
use super::incarnation::{Incarnation, Known, Verdict};
use super::stamp::Stamp;
use super::wheel::{Due, Timed, Wheel};
use super::{Down, SUITE, SessionId};
use crate::identity::PublicKey;
use crate::noise::X25519Public;
use crate::path::Path;
use crate::seed::SipKey;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::{Duration, Instant};

/// Bytes that go to an unproven address, for each that came from there.
pub(super) const AMPLIFICATION: usize = 3;
/// So many names has one key sessions under at most.
const MOST_NAMES: usize = 64;

/// No slot.
pub(super) const NONE: u32 = u32::MAX;

/// The index of sessions by the name of the other side.
pub(super) struct ByDid;
/// The index of sessions by the key of the other side, as far as it is known.
pub(super) struct ByKey;
/// The list of sessions that there is something to be told of.
pub(super) struct ByEvent;
/// The list of sessions with something to be sent.
pub(super) struct ByOutput;

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing was opened yet: a handshake is under way, or its keys are not confirmed.
    Opening,
    Up,
    /// Over; the application has not been told yet.
    Gone(Option<Down>),
}

/// What is to be told of a session; bits of `told`.
pub(super) mod news {
    pub(crate) const STAMP: u8 = 1;
    pub(crate) const INCARNATION: u8 = 2;
    pub(crate) const UP: u8 = 4;
    pub(crate) const REKEYED: u8 = 8;
    pub(crate) const MOVED: u8 = 16;
    pub(crate) const CLONE: u8 = 32;
    pub(crate) const DOWN: u8 = 64;
}

/// What is to be sent within a session; bits of `owes`.
pub(super) mod owed {
    /// Anything at all.
    pub(crate) const NOTHING: u8 = 1;
    /// The answer to a challenge.
    pub(crate) const ANSWER: u8 = 2;
    /// A challenge to an address that the session may move to.
    pub(crate) const ASK_NEW: u8 = 4;
    /// A challenge to the address that it has.
    pub(crate) const ASK_OLD: u8 = 8;
    /// Where we can be reached without relays.
    pub(crate) const ADDRESSES: u8 = 16;
    /// A question to where the other side can be.
    pub(crate) const ASK_DIRECT: u8 = 32;
    /// A question whether the direct path still works.
    pub(crate) const CHECK: u8 = 64;
    /// Over relays once more what went on a direct path last.
    pub(crate) const AGAIN: u8 = 128;
}

/// The other side writes from another address than before.
#[derive(Debug)]
pub(super) struct Probe {
    pub(super) path: Path,
    /// What is to come back from there, and from the address that we have.
    pub(super) tokens: [[u8; 8]; 2],
    pub(super) began: Instant,
    pub(super) received: usize,
    pub(super) sent: usize,
    pub(super) tries: u8,
    /// When the new address answered.
    pub(super) answered: Option<Instant>,
    /// When the address that we have was asked last.
    pub(super) asked_old: Instant,
    /// What was sent to the new address was answered from the one that we have, too: somebody passes on.
    pub(super) relayed: bool,
}

/// What only sessions have whose address changes.
#[derive(Debug, Default)]
pub(super) struct Roaming {
    pub(super) probe: Option<Probe>,
    /// No other probe before that.
    pub(super) quiet_until: Option<Instant>,
    /// A challenge that is to be answered.
    pub(super) answer: Option<([u8; 8], Path)>,
    /// The address before the last move.
    pub(super) from: Option<Path>,
    /// Of one that goes over relays, or did.
    pub(super) detour: Option<Box<Detour>>,
}

/// A moment or none, in the eight bytes of a moment: nanoseconds since the origin, plus one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since(u64);

impl Since {
    pub(super) const NEVER: Self = Self(0);

    pub(super) const fn at(now: Instant) -> Self {
        Self(now.as_nanos().saturating_add(1))
    }

    pub(super) fn get(self) -> Option<Instant> {
        self.0.checked_sub(1).map(|nanos| Instant::ZERO + Duration::from_nanos(nanos))
    }
}

/// What only sessions have whose other side shows a start that is not judged yet, showed one that excludes another, or has begun anew.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// Where the first message came from of an other side that has lost its keys: where the session is once the new ones are confirmed.
    pub(super) anew: Option<Path>,
    /// In the first message that was answered last.
    pub(super) incarnation: Incarnation,
    /// Where the node spoke from that excludes the one of the session.
    pub(super) elsewhere: Option<Path>,
}

pub(super) struct Session {
    pub(super) did: Box<str>,
    /// Who it is: proven, or who alone it may be. Unknown until XX has told.
    pub(super) key: Option<PublicKey>,
    /// Its static key where it is not the one that belongs to its identity.
    pub(super) statics: Option<Box<X25519Public>>,
    pub(super) path: Path,
    pub(super) phase: Phase,
    /// Slots of epochs: what we send under, what it was before, and what the other side has not used yet.
    pub(super) current: u32,
    pub(super) previous: u32,
    pub(super) next: u32,
    /// The slot of a handshake that we began.
    pub(super) half: u32,
    /// Whether nobody has shown yet to hear us at the address. As long as that is so, bytes received from and sent to it are counted.
    pub(super) unproven: bool,
    /// Whether the other side has lost the keys that we have, and not used the new ones yet: nothing of the application's is sent meanwhile, for
    /// [`TAKEOVER`](super::timers::TAKEOVER) at most.
    pub(super) fresh: bool,
    pub(super) received: u32,
    pub(super) sent: u32,
    /// The newest stamp of its first messages.
    pub(super) stamp: Stamp,
    /// What is known of its starts.
    pub(super) known: Known,
    pub(super) shown: Option<Box<Shown>>,
    pub(super) heard: Instant,
    /// Since when nothing was heard although something was sent.
    pub(super) awaiting: Since,
    /// Since when nothing was sent although something was heard.
    pub(super) owing: Since,
    /// When the keys before were replaced, or keys that nobody has used yet were made.
    pub(super) replaced: Instant,
    /// How often a confirmation was sent.
    pub(super) confirmed: u8,
    pub(super) told: u8,
    pub(super) owes: u8,
    /// Whether our application has asked for it: then it is told of its end.
    pub(super) ours: bool,
    /// Whether it was made for a first message of the other side.
    pub(super) theirs: bool,
    /// Whether the handshake that made it up was ours.
    pub(super) initiator: bool,
    /// Whether the early data was in the message that was answered.
    pub(super) early: bool,
    /// The suite of the keys that were installed last; before any were, that of the last attempt.
    pub(super) suite: u8,
    pub(super) roaming: Option<Box<Roaming>>,
    pub(super) due: Due,
    by_event: Link,
    by_output: Link,
    by_did: Chain,
    by_key: Chain,
}

impl Session {
    pub(super) fn new(did: &str, key: Option<PublicKey>, path: Path, now: Instant) -> Self {
        Self {
            did: did.into(),
            key,
            statics: None,
            path,
            phase: Phase::Opening,
            current: NONE,
            previous: NONE,
            next: NONE,
            half: NONE,
            unproven: false,
            fresh: false,
            received: 0,
            sent: 0,
            stamp: Stamp::ZERO,
            known: Known::default(),
            shown: None,
            heard: now,
            awaiting: Since::NEVER,
            owing: Since::NEVER,
            replaced: now,
            confirmed: 0,
            told: 0,
            owes: 0,
            ours: false,
            theirs: false,
            initiator: false,
            early: false,
            suite: SUITE,
            roaming: None,
            due: Due::default(),
            by_event: Link::default(),
            by_output: Link::default(),
            by_did: Chain::default(),
            by_key: Chain::default(),
        }
    }

    pub(super) const fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone(_))
    }

    /// Whether so many bytes more may go to the address of the session.
    pub(super) fn may_send(&self, len: usize) -> bool {
        !self.unproven || self.sent as usize + len <= AMPLIFICATION * self.received as usize
    }

    pub(super) fn count_sent(&mut self, len: usize) {
        if self.unproven {
            self.sent = self.sent.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        }
    }

    /// Remember what is known of the other side from before.
    pub(super) fn remember(&mut self, (stamp, known): (Stamp, Known)) {
        self.stamp = self.stamp.max(stamp);
        self.known = self.known.or(known);
    }

    /// The start that is to be judged when the other side shows to be alive.
    pub(super) fn set_shown(&mut self, incarnation: Incarnation) {
        if incarnation != Incarnation::NONE {
            self.shown.get_or_insert_default().incarnation = incarnation;
        } else if self.shown.as_ref().is_some_and(|shown| shown.elsewhere.is_none()) {
            self.shown = None;
        }
    }

    /// The other side has lost its keys and asks from this address. It is believed to be there when it has used the new ones.
    pub(super) fn begins_anew(&mut self, path: Path) {
        self.fresh = true;
        self.shown.get_or_insert_default().anew = Some(path);
    }

    /// Whether a start, once the other side shows to be alive, is one that excludes another.
    pub(super) fn excludes(&self, incarnation: &Incarnation) -> bool {
        self.known.judge(incarnation) == Verdict::Clone
    }

    /// Whether another began it, and has not used its keys yet.
    pub(super) const fn is_unconfirmed(&self) -> bool {
        matches!(self.phase, Phase::Opening) && self.theirs
    }

    /// The static key of the other side.
    pub(super) fn statics(&self) -> Option<X25519Public> {
        match &self.statics {
            Some(statics) => Some(**statics),
            None => self.key.as_ref().map(X25519Public::of_identity),
        }
    }

    /// Remember a static key, in as little as it takes.
    pub(super) fn set_statics(&mut self, statics: X25519Public) {
        let usual = self.key.as_ref().is_some_and(|key| X25519Public::of_identity(key) == statics);
        self.statics = if usual { None } else { Some(Box::new(statics)) };
    }
}

impl Timed for Session {
    fn due(&self) -> &Due {
        &self.due
    }
    fn due_mut(&mut self) -> &mut Due {
        &mut self.due
    }
}

macro_rules! placed {
    ($trait:ident<$kind:ty>, $place:ty, $get:ident, $get_mut:ident, $field:ident) => {
        impl $trait<$kind> for Session {
            fn $get(&self) -> &$place {
                &self.$field
            }
            fn $get_mut(&mut self) -> &mut $place {
                &mut self.$field
            }
        }
    };
}

placed!(Linked<ByEvent>, Link, link, link_mut, by_event);
placed!(Linked<ByOutput>, Link, link, link_mut, by_output);
placed!(Chained<ByDid>, Chain, chain, chain_mut, by_did);
placed!(Chained<ByKey>, Chain, chain, chain_mut, by_key);

/// All sessions.
pub(super) struct Table {
    pub(super) slab: Slab<Session, Heap>,
    by_did: Index<ByDid, Heap>,
    by_key: Index<ByKey, Heap>,
    events: List<ByEvent>,
    output: List<ByOutput>,
    pub(super) wheel: Wheel,
    hash: SipKey,
}

impl Table {
    pub(super) fn new(capacity: usize, hash: SipKey) -> Self {
        Self {
            slab: Slab::new(capacity),
            by_did: Index::new(),
            by_key: Index::new(),
            events: List::new(),
            output: List::new(),
            wheel: Wheel::default(),
            hash,
        }
    }

    pub(super) fn at(&self, slot: u32) -> Option<&Session> {
        self.slab.at(slot)
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> Option<&mut Session> {
        self.slab.at_mut(slot)
    }

    pub(super) fn id(&self, slot: u32) -> Option<SessionId> {
        self.slab.id_at(slot).map(SessionId)
    }

    /// The slot of a session that is not over.
    pub(super) fn live(&self, id: SessionId) -> Option<u32> {
        self.slab.get(id.0).filter(|session| !session.is_gone()).map(|_| id.0.slot())
    }

    /// Add a session; `None` when there are as many as there may be.
    pub(super) fn insert(&mut self, session: Session) -> Option<u32> {
        let (did, key) = (self.hash.hash(session.did.as_bytes()), session.key);
        let slot = self.slab.insert(session).ok()?.slot();
        self.by_did.insert(&mut self.slab, slot, did);
        if let Some(key) = key {
            self.by_key.insert(&mut self.slab, slot, self.hash.hash(key.as_bytes()));
        }
        Some(slot)
    }

    /// Say who the other side of a session is, of which that was unknown.
    pub(super) fn identify(&mut self, slot: u32, key: PublicKey) {
        if let Some(session) = self.slab.at_mut(slot).filter(|session| session.key.is_none()) {
            session.key = Some(key);
            self.by_key.insert(&mut self.slab, slot, self.hash.hash(key.as_bytes()));
        }
    }

    /// A session with this name and, where both are known, this key.
    pub(super) fn find(&self, did: &str, key: Option<&PublicKey>) -> Option<u32> {
        self.by_did.find(&self.slab, self.hash.hash(did.as_bytes()), |session| {
            let same_key = key.is_none() || session.key.is_none() || session.key.as_ref() == key;
            !session.is_gone() && same_key && *session.did == *did
        })
    }

    /// A session with this key that is not over.
    pub(super) fn of_key(&self, key: &PublicKey) -> Option<u32> {
        let hash = self.hash.hash(key.as_bytes());
        self.by_key.find(&self.slab, hash, |session| session.key.as_ref() == Some(key) && !session.is_gone())
    }

    /// Whether a key has sessions under as many names as it may: finding and ending them takes work in proportion to that.
    pub(super) fn has_its_share(&self, key: &PublicKey) -> bool {
        let (hash, mut names) = (self.hash.hash(key.as_bytes()), 0);
        let last = self.by_key.find(&self.slab, hash, |session| {
            names += usize::from(session.key.as_ref() == Some(key));
            names >= MOST_NAMES
        });
        last.is_some()
    }

    /// Take a session out of everything but the slab and what is to be told.
    pub(super) fn retire(&mut self, slot: u32) {
        self.by_did.remove(&mut self.slab, slot);
        if self.slab.at(slot).is_some_and(|session| session.key.is_some()) {
            self.by_key.remove(&mut self.slab, slot);
        }
        self.output.remove(&mut self.slab, slot);
        self.wheel.unset(&mut self.slab, slot);
    }

    /// Have something told of a session.
    pub(super) fn tell(&mut self, slot: u32, what: u8) {
        if let Some(session) = self.slab.at_mut(slot) {
            session.told |= what;
            self.events.push_back(&mut self.slab, slot);
        }
    }

    /// The session that something is to be told of next, first in first out.
    pub(super) const fn telling(&self) -> Option<u32> {
        self.events.front()
    }

    pub(super) fn told_all(&mut self, slot: u32) {
        self.events.remove(&mut self.slab, slot);
    }

    /// Have something sent within a session.
    pub(super) fn owe(&mut self, slot: u32, what: u8) {
        if let Some(session) = self.slab.at_mut(slot) {
            session.owes |= what;
            self.output.push_back(&mut self.slab, slot);
        }
    }

    /// The session that something is to be sent in next.
    pub(super) const fn sending(&self) -> Option<u32> {
        self.output.front()
    }

    pub(super) fn sent_all(&mut self, slot: u32) {
        self.output.remove(&mut self.slab, slot);
    }

    pub(super) fn set_timer(&mut self, slot: u32, at: Instant) {
        self.wheel.set(&mut self.slab, slot, at);
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slab.heap_bytes() + self.by_did.heap_bytes() + self.by_key.heap_bytes()
    }
}
