//! Who is one of ours.

use alloc::collections::{BTreeSet, VecDeque};

use sluis_core::SipKey;

use super::Legacy;
use crate::key::PublicKey;

/// The most peers that are remembered, those that [`Legacy`] names aside.
const MOST: usize = 65_536;

/// Peers that were seen as ours: nothing in the clear is sent to them or believed of them any more.
#[derive(Debug)]
pub(super) struct Pins {
    /// By a hash that nobody else can compute: two keys of one hash are as unlikely as a guessed key of 64 bits, and then only keep a peer of the reference out.
    known: BTreeSet<u64>,
    hash: SipKey,
    /// One found no room: from then on nobody is taken for one of the reference who is not named.
    is_full: bool,
    /// Not kept yet.
    fresh: VecDeque<PublicKey>,
}

impl Pins {
    pub(super) const fn new(hash: SipKey) -> Self {
        Self { known: BTreeSet::new(), hash, is_full: false, fresh: VecDeque::new() }
    }

    fn name(&self, peer: &PublicKey) -> u64 {
        self.hash.hash(peer.as_bytes())
    }

    /// A peer has shown that it is one of ours.
    pub(super) fn add(&mut self, peer: PublicKey, legacy: &Legacy, keeps: bool) {
        if self.knows(&peer) {
            return;
        }
        if self.known.len() >= MOST && !legacy.names(&peer) {
            self.is_full = true;
            return;
        }
        self.known.insert(self.name(&peer));
        if keeps {
            self.fresh.push_back(peer);
        }
    }

    /// Whether a peer was seen as one of ours.
    pub(super) fn knows(&self, peer: &PublicKey) -> bool {
        self.known.contains(&self.name(peer))
    }

    /// As it was kept.
    pub(super) fn restore(&mut self, peer: PublicKey) {
        self.known.insert(self.name(&peer));
    }

    /// Whether messages in the clear are exchanged with a peer.
    pub(super) fn allow_plain(&self, peer: &PublicKey, legacy: &Legacy) -> bool {
        let legacy = match legacy {
            Legacy::Nobody => false,
            Legacy::Only(peers) => peers.contains(peer),
            Legacy::Everybody => !self.is_full,
        };
        legacy && !self.knows(peer)
    }

    #[cfg(feature = "sim")]
    pub(super) fn is_within_cap(&self, legacy: &Legacy) -> bool {
        let named = if let Legacy::Only(peers) = legacy { peers.len() } else { 0 };
        self.known.len() <= MOST + named
    }

    pub(super) fn poll_fresh(&mut self) -> Option<PublicKey> {
        self.fresh.pop_front()
    }

    pub(super) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// It is not known to be kept.
    pub(super) fn again(&mut self, peer: PublicKey) {
        self.fresh.push_front(peer);
    }
}

#[cfg(test)]
mod tests {
    use sluis_core::Seed;

    use super::*;
    use crate::key::SecretKey;

    #[test]
    fn who_was_seen_as_ours_is_never_again_believed_in_the_clear() {
        let key = |n| SecretKey::generate(&mut Seed::from_u64(n).fork("key")).public();
        let (alice, bob) = (key(1), key(2));
        let only = Legacy::Only([alice].into());
        let mut pins = Pins::new(Seed::from_u64(9).fork("pins").sip_key());
        assert!(pins.allow_plain(&alice, &only) && !pins.allow_plain(&bob, &only));
        assert!(pins.allow_plain(&bob, &Legacy::Everybody) && !pins.allow_plain(&bob, &Legacy::Nobody));
        pins.add(alice, &only, false);
        assert!(!pins.allow_plain(&alice, &only) && !pins.allow_plain(&alice, &Legacy::Everybody));
        // Who finds no room is not forgotten: from then on nobody is believed who is not named.
        pins.restore(key(3));
        pins.is_full = true;
        assert!(!pins.allow_plain(&bob, &Legacy::Everybody));
        assert!(pins.allow_plain(&bob, &Legacy::Only([bob].into())));
    }
}
