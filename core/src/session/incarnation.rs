//! Which start of a node speaks, and whether two nodes speak with one key.

use core::cmp::Ordering;

use super::epoch::{Inner, sealed_len};
use super::room::Sessions;
use super::table::news;
use super::{Down, SessionReject, Stamp};
use crate::Rng;
use crate::identity::PublicKey;
use crate::path::Path;

/// One start of a node: a counter that rises with each start of it, kept in its state directory, and sixteen random bytes. Two nodes that run from copies of one
/// directory have different ones, and cannot both be the newest.
///
/// The application stores [`to_bytes`](Self::to_bytes) before the first handshake, and makes the next one of what it finds with [`following`](Self::following).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Incarnation {
    counter: u64,
    random: [u8; 16],
}

impl Incarnation {
    /// Of a node without a state directory. Peers judge nothing by it.
    pub const NONE: Self = Self { counter: 0, random: [0; 16] };
    /// Length of the encoding, in bytes.
    pub const LEN: usize = 24;

    /// The start after this one; the first is that after [`NONE`](Self::NONE).
    #[must_use]
    pub fn following(&self, rng: &mut Rng) -> Self {
        let mut random = [0; 16];
        rng.fill(&mut random);
        Self { counter: self.counter.saturating_add(1), random }
    }

    /// The same start as the one after `before`: with its number, and the random bytes of this.
    pub(crate) const fn as_after(&self, before: &Self) -> Self {
        Self { counter: before.counter.saturating_add(1), random: self.random }
    }

    /// The number of the start; 0 is [`NONE`](Self::NONE).
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }

    /// The counter, big-endian, and the random bytes. This encoding does not change.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.counter.to_be_bytes());
        bytes[8..].copy_from_slice(&self.random);
        bytes
    }

    /// From [`to_bytes`](Self::to_bytes).
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let [c0, c1, c2, c3, c4, c5, c6, c7, random @ ..] = *bytes;
        Self { counter: u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]), random }
    }

    /// What peers remember of the random bytes: four of them, never 0.
    fn tag(&self) -> u32 {
        let [t0, t1, t2, t3, ..] = self.random;
        u32::from_be_bytes([t0, t1, t2, t3]).max(1)
    }
}

/// What is known of the starts of one peer: the newest, and whether another spoke that cannot be the same node.
///
/// Told by [`News::Incarnation`](super::News::Incarnation), restored by [`Sessions::set_known`](super::Sessions::set_known).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Known {
    counter: u64,
    tag: u32,
    /// The tag of the other one of a conflict; 0 without one.
    other: u32,
}

/// What is to be made of a start that a peer showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the newest that is known, or shows nothing.
    Same,
    /// It is newer.
    Newer,
    /// Another start was heard that excludes this one.
    Clone,
}

impl Known {
    /// Length of the encoding, in bytes.
    pub const LEN: usize = 16;

    /// Whether two nodes were heard that cannot be one, and none that was started later.
    #[must_use]
    pub const fn is_in_conflict(&self) -> bool {
        self.other != 0
    }

    /// The counter of the newest start; 0 where none is known.
    #[must_use]
    pub const fn counter(&self) -> u64 {
        self.counter
    }

    /// For whoever stores it. This encoding does not change.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let tags = u64::from(self.tag) << 32 | u64::from(self.other);
        (u128::from(self.counter) << 64 | u128::from(tags)).to_be_bytes()
    }

    /// From [`to_bytes`](Self::to_bytes).
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let [c0, c1, c2, c3, c4, c5, c6, c7, t0, t1, t2, t3, o0, o1, o2, o3] = *bytes;
        Self {
            counter: u64::from_be_bytes([c0, c1, c2, c3, c4, c5, c6, c7]),
            tag: u32::from_be_bytes([t0, t1, t2, t3]),
            other: u32::from_be_bytes([o0, o1, o2, o3]),
        }
    }

    /// Judge a start that was shown by somebody who is alive and has the key.
    pub(super) fn judge(&self, shown: &Incarnation) -> Verdict {
        if shown.counter == 0 {
            return Verdict::Same;
        }
        let is_of_conflict = shown.tag() == self.tag || shown.tag() == self.other;
        match shown.counter.cmp(&self.counter) {
            Ordering::Greater => Verdict::Newer,
            // Of a copy that was running, the node that it was made of has its next start under the number of the copy.
            Ordering::Equal if self.is_in_conflict() && !is_of_conflict => Verdict::Newer,
            Ordering::Equal if shown.tag() == self.tag && !self.is_in_conflict() => Verdict::Same,
            _ => Verdict::Clone,
        }
    }

    /// Take a newer start.
    pub(super) fn take(&mut self, shown: &Incarnation) {
        *self = Self { counter: shown.counter, tag: shown.tag(), other: 0 };
    }

    /// Remember that this one spoke, too.
    pub(super) fn conflict(&mut self, shown: &Incarnation) {
        if shown.tag() != self.tag {
            self.other = shown.tag();
        }
    }

    /// The one of the two that says more.
    pub(super) fn or(self, other: Self) -> Self {
        if other.counter > self.counter || (other.counter == self.counter && other.is_in_conflict()) {
            other
        } else {
            self
        }
    }
}

impl Sessions {
    /// Show peers which start of this node speaks, so that they notice when two nodes speak with one key. Without it, or with [`Incarnation::NONE`], they judge nothing.
    ///
    /// What was written under another one and not sent yet is dropped, as if the network had lost it: handshakes are repeated.
    pub fn set_incarnation(&mut self, incarnation: Incarnation) {
        if incarnation != self.local.incarnation {
            self.local.incarnation = incarnation;
            self.outgoing.clear();
        }
    }

    /// What is known of the starts of a peer.
    #[must_use]
    pub fn known(&self, did: &str, key: &PublicKey) -> Known {
        let session = self.table.find(did, Some(key)).and_then(|slot| self.table.at(slot));
        session.map_or_else(|| self.stamps.known(self.stamps.peer(did, key.as_bytes())), |session| session.known)
    }

    /// Restore what is known of the starts of a name and key, as [`News::Incarnation`](super::News::Incarnation) told it. False where there is no room for it: it is forgotten then.
    pub fn set_known(&mut self, did: &str, key: &PublicKey, known: Known) -> bool {
        let peer = self.stamps.peer(did, key.as_bytes());
        if let Some(session) = self.table.find(did, Some(key)).and_then(|slot| self.table.at_mut(slot)) {
            session.remember((Stamp::ZERO, known));
            return true;
        }
        self.stamps.has_room(self.table.slab.len()) && self.stamps.put(peer, Stamp::ZERO, known)
    }

    /// Judge the start that the other side of new keys shows, now that it has shown to be alive: none of what it said can be a replay. Of two that exclude each other
    /// neither goes on, and both are told.
    pub(super) fn settle_incarnation(
        &mut self,
        slot: u32,
        epoch: u32,
        path: Path,
        shown: &Incarnation,
    ) -> Result<(), SessionReject> {
        let Some(session) = self.table.at_mut(slot) else { return Ok(()) };
        match session.known.judge(shown) {
            Verdict::Same => {}
            Verdict::Newer => {
                session.known.take(shown);
                self.table.tell(slot, news::INCARNATION);
            }
            Verdict::Clone => {
                session.known.conflict(shown);
                session.shown.get_or_insert_default().elsewhere = Some(path);
                let (current, old) = (session.current, session.path);
                if session.may_send(sealed_len(0)) {
                    self.part(current, old, Inner::Clone);
                }
                self.part(epoch, path, Inner::Clone);
                self.epochs.remove(epoch);
                self.table.tell(slot, news::INCARNATION | news::CLONE);
                self.end(slot, Some(Down::Clone));
                return Err(SessionReject::Clone);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Incarnation, Known, Verdict};
    use crate::Seed;

    #[test]
    fn of_two_that_exclude_each_other_neither_is_let_in_and_a_later_start_is() {
        let mut rng = Seed::from_u64(1).fork("starts");
        let first = Incarnation::NONE.following(&mut rng);
        // A copy of the running node is started; the node goes on.
        let copy = first.following(&mut rng);
        let mut known = Known::default();
        for start in [first, copy] {
            assert_eq!(known.judge(&start), Verdict::Newer);
            known.take(&start);
            assert_eq!(known.judge(&start), Verdict::Same);
        }
        assert_eq!(known.judge(&first), Verdict::Clone);
        known.conflict(&first);
        assert!(known.is_in_conflict());
        assert_eq!([first, copy].map(|start| known.judge(&start)), [Verdict::Clone; 2]);
        assert_eq!(known.judge(&Incarnation::NONE), Verdict::Same);
        let restored = Known::from_bytes(&known.to_bytes());
        assert_eq!(restored, known);
        let again = first.following(&mut rng);
        assert_eq!((again.counter(), known.judge(&again)), (copy.counter(), Verdict::Newer));
        known.take(&again);
        assert_eq!(known.judge(&copy), Verdict::Clone);
        // Two copies of a directory at rest have the same number.
        let mut known = Known::default();
        known.take(&copy);
        assert_eq!(known.judge(&again), Verdict::Clone);
    }

    #[test]
    fn the_encoding_is_what_is_written_down() {
        let bytes: [u8; 24] = core::array::from_fn(|n| u8::try_from(n).unwrap());
        let incarnation = Incarnation::from_bytes(&bytes);
        assert_eq!((incarnation.counter(), incarnation.to_bytes()), (0x0001_0203_0405_0607, bytes));
        let bytes: [u8; 16] = core::array::from_fn(|n| u8::try_from(n).unwrap());
        assert_eq!(Known::from_bytes(&bytes).to_bytes(), bytes);
    }
}
