//! Handshakes that are under way.

use alloc::boxed::Box;

use super::SUITE;
use super::guard::Tag;
use super::incarnation::Incarnation;
use super::kem::{Announced, KemSecret};
use super::stamp::Stamp;
use super::table::NONE;
use crate::identity::PublicKey;
use crate::noise::{Handshake, Pattern, X25519};
use crate::path::Path;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::Instant;

/// The index of handshakes by the number that we gave.
struct ByNumber;
/// The list of those of others, oldest first.
struct ByAge;

/// Who began a handshake, and has yet to send the rest of its first message or to prove its static key.
pub(super) struct Claim {
    pub(super) did: Box<str>,
    pub(super) key: PublicKey,
    pub(super) peer: u64,
    pub(super) stamp: Stamp,
    pub(super) incarnation: Incarnation,
    pub(super) path: Path,
    pub(super) peer_index: u32,
    /// It has no keys of a session with us.
    pub(super) fresh: bool,
    /// How many bytes came.
    pub(super) received: usize,
    /// Of suite 2, until the rest has come.
    pub(super) announced: Option<Announced>,
}

/// A second message to a handshake of ours, of which the rest has yet to come.
pub(super) struct Answered {
    pub(super) noise: Handshake<X25519>,
    pub(super) key: PublicKey,
    pub(super) incarnation: Incarnation,
    pub(super) peer_index: u32,
    pub(super) announced: Option<Announced>,
}

/// A handshake.
pub(super) struct Half {
    pub(super) index: u32,
    /// The slot of the session it is for; [`NONE`] where another began it.
    pub(super) session: u32,
    /// Nothing once all messages are done and the last is only repeated.
    pub(super) noise: Option<Handshake<X25519>>,
    pub(super) pattern: Pattern,
    pub(super) suite: u8,
    /// Our secret in suite 2.
    pub(super) kem: Option<Box<KemSecret>>,
    pub(super) answered: Option<Box<Answered>>,
    /// Of the first message that was sent last.
    pub(super) mac1: Tag,
    pub(super) cookie: Option<Tag>,
    /// How many cookies were taken.
    pub(super) cookies: u8,
    /// How many first messages were sent because time had passed.
    pub(super) tries: u8,
    pub(super) at: Instant,
    pub(super) early: Box<[u8]>,
    /// The third message of XX.
    pub(super) last: Box<[u8]>,
    pub(super) claim: Option<Box<Claim>>,
    chain: Chain,
    link: Link,
}

impl Half {
    pub(super) fn new(index: u32, session: u32, at: Instant) -> Self {
        Self {
            index,
            session,
            noise: None,
            pattern: Pattern::Xx,
            suite: SUITE,
            kem: None,
            answered: None,
            mac1: Tag::default(),
            cookie: None,
            cookies: 0,
            tries: 0,
            at,
            early: Box::default(),
            last: Box::default(),
            claim: None,
            chain: Chain::default(),
            link: Link::default(),
        }
    }
}

impl Chained<ByNumber> for Half {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

impl Linked<ByAge> for Half {
    fn link(&self) -> &Link {
        &self.link
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

/// All handshakes that are under way.
pub(super) struct Halves {
    slab: Slab<Half, Heap>,
    by_number: Index<ByNumber, Heap>,
    /// Of others.
    theirs: List<ByAge>,
}

impl Halves {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slab: Slab::new(capacity), by_number: Index::new(), theirs: List::new() }
    }

    /// How many we began.
    pub(super) fn ours(&self) -> usize {
        self.slab.len() - self.theirs.len()
    }

    /// How many others began.
    pub(super) const fn theirs(&self) -> usize {
        self.theirs.len()
    }

    pub(super) fn at(&self, slot: u32) -> Option<&Half> {
        self.slab.at(slot)
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> Option<&mut Half> {
        self.slab.at_mut(slot)
    }

    pub(super) fn insert(&mut self, half: Half) -> Option<u32> {
        let (index, theirs) = (half.index, half.session == NONE);
        let slot = self.slab.insert(half).ok()?.slot();
        self.by_number.insert(&mut self.slab, slot, u64::from(index));
        if theirs {
            self.theirs.push_back(&mut self.slab, slot);
        }
        Some(slot)
    }

    /// Give a handshake another number: it begins anew.
    pub(super) fn renumber(&mut self, slot: u32, index: u32) {
        self.by_number.remove(&mut self.slab, slot);
        if let Some(half) = self.slab.at_mut(slot) {
            half.index = index;
            self.by_number.insert(&mut self.slab, slot, u64::from(index));
        }
    }

    pub(super) fn find(&self, index: u32) -> Option<u32> {
        self.by_number.find(&self.slab, u64::from(index), |half| half.index == index)
    }

    pub(super) fn remove(&mut self, slot: u32) -> Option<Half> {
        self.by_number.remove(&mut self.slab, slot);
        self.theirs.remove(&mut self.slab, slot);
        self.slab.remove_at(slot)
    }

    /// The oldest handshake of another, and since when it waits.
    pub(super) fn oldest(&self) -> Option<(u32, Instant)> {
        let slot = self.theirs.front()?;
        self.slab.at(slot).map(|half| (slot, half.at))
    }

    /// A handshake of others by who it is from. Looks at all of them, of which there are few.
    pub(super) fn of(&self, mut is: impl FnMut(&Claim) -> bool) -> Option<u32> {
        let claim = |slot: &u32| self.slab.at(*slot).and_then(|half| half.claim.as_deref()).is_some_and(&mut is);
        self.theirs.iter(&self.slab).find(claim)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.slab.heap_bytes() + self.by_number.heap_bytes()
    }
}
