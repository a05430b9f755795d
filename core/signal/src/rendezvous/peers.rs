//! The peers that are known, found by their key and by their session.

use alloc::collections::BTreeMap;

use sluis_core::SipKey;
use sluis_core::table::{Chain, Chained, Heap, Index, Slab};
use sluis_core::time::Duration;

use super::peer::Peer;
use crate::key::PublicKey;
use crate::sealed::{Session, SessionId};

struct ByKey;
struct BySession;

/// A peer is as long in memory as all of this: it lies in a slab, so that no place of it is empty.
struct Entry {
    key: PublicKey,
    by_key: Chain,
    by_session: Chain,
    peer: Peer,
}

impl Chained<ByKey> for Entry {
    fn chain(&self) -> &Chain {
        &self.by_key
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_key
    }
}

impl Chained<BySession> for Entry {
    fn chain(&self) -> &Chain {
        &self.by_session
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_session
    }
}

/// All peers, at most so many.
pub(super) struct Peers {
    slab: Slab<Entry, Heap>,
    by_key: Index<ByKey, Heap>,
    /// By the session that is spoken in.
    by_session: Index<BySession, Heap>,
    /// Whose the sessions before those are; one that is no more may stand here for a while.
    earlier: BTreeMap<SessionId, PublicKey>,
    hash: SipKey,
}

impl Peers {
    pub(super) fn new(most: usize, hash: SipKey) -> Self {
        Self { slab: Slab::new(most), by_key: Index::new(), by_session: Index::new(), earlier: BTreeMap::new(), hash }
    }

    pub(super) fn is_full(&self) -> bool {
        self.slab.is_full()
    }

    #[cfg(feature = "sim")]
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn contains(&self, key: &PublicKey) -> bool {
        self.slot(key).is_some()
    }

    pub(super) fn get(&self, key: &PublicKey) -> Option<&Peer> {
        self.slab.at(self.slot(key)?).map(|entry| &entry.peer)
    }

    pub(super) fn get_mut(&mut self, key: &PublicKey) -> Option<&mut Peer> {
        let slot = self.slot(key)?;
        self.slab.at_mut(slot).map(|entry| &mut entry.peer)
    }

    /// Add a peer that is not known, and has no session; `None` where there is no room.
    pub(super) fn insert(&mut self, key: PublicKey, peer: Peer) -> Option<()> {
        let entry = Entry { key, by_key: Chain::default(), by_session: Chain::default(), peer };
        let slot = self.slab.insert(entry).ok()?.slot();
        self.by_key.insert(&mut self.slab, slot, self.hash.hash(key.as_bytes()));
        Some(())
    }

    /// Every peer, in an order that depends on nothing but when they came and went.
    pub(super) fn for_each(&mut self, mut visit: impl FnMut(&PublicKey, &mut Peer)) {
        for slot in 0..self.slab.slots() {
            if let Some(Entry { key, peer, .. }) = self.slab.at_mut(slot) {
                visit(key, peer);
            }
        }
    }

    /// Forget all for which that does not hold.
    pub(super) fn retain(&mut self, stays: impl Fn(&Peer) -> bool) {
        for slot in 0..self.slab.slots() {
            if self.slab.at(slot).is_some_and(|entry| !stays(&entry.peer)) {
                self.remove(slot);
            }
        }
    }

    /// Forget the one for which this is most, of those for which it is anything; whether there was one.
    pub(super) fn forget_most_silent(&mut self, silent: impl Fn(&Peer) -> Option<(bool, Duration)>) -> bool {
        let all = self.slab.iter().filter_map(|(id, entry)| Some((silent(&entry.peer)?, id.slot())));
        // Of several the first, whatever order they stand in.
        let Some((_, slot)) = all.max_by_key(|(silent, slot)| (*silent, core::cmp::Reverse(*slot))) else {
            return false;
        };
        self.remove(slot);
        true
    }

    fn remove(&mut self, slot: u32) {
        self.by_key.remove(&mut self.slab, slot);
        self.leave_session(slot);
        self.slab.remove_at(slot);
    }

    /// Speak in a session with a peer from now on; that one.
    pub(super) fn begin_session(&mut self, key: &PublicKey, session: Session) -> Option<&mut Peer> {
        let slot = self.slot(key)?;
        self.leave_session(slot);
        let (id, peer) = (session.id(), &mut self.slab.at_mut(slot)?.peer);
        if let Some(before) = peer.begin_session(session) {
            self.earlier.insert(before, *key);
        }
        self.by_session.insert(&mut self.slab, slot, self.hash.hash(&id));
        self.slab.at_mut(slot).map(|entry| &mut entry.peer)
    }

    /// Whose a session is.
    pub(super) fn of_session(&self, id: SessionId) -> Option<PublicKey> {
        let is = |entry: &Entry| entry.peer.session.as_ref().is_some_and(|session| session.id() == id);
        match self.by_session.find(&self.slab, self.hash.hash(&id), is) {
            Some(slot) => self.slab.at(slot).map(|entry| entry.key),
            None => self.earlier.get(&id).copied().filter(|key| self.get(key).is_some_and(|peer| peer.has_session(id))),
        }
    }

    /// Drop what is over of sessions.
    pub(super) fn sweep_sessions(&mut self) {
        let mut earlier = core::mem::take(&mut self.earlier);
        earlier.retain(|id, key| self.get(key).is_some_and(|peer| peer.has_session(*id)));
        self.earlier = earlier;
    }

    fn slot(&self, key: &PublicKey) -> Option<u32> {
        self.by_key.find(&self.slab, self.hash.hash(key.as_bytes()), |entry| entry.key == *key)
    }

    fn leave_session(&mut self, slot: u32) {
        if self.slab.at(slot).is_some_and(|entry| entry.peer.session.is_some()) {
            self.by_session.remove(&mut self.slab, slot);
        }
    }
}

impl core::fmt::Debug for Peers {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Peers").field("len", &self.slab.len()).finish_non_exhaustive()
    }
}
