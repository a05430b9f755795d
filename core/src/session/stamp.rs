//! The time in a handshake's first message, and what is known of peers without a session.

use super::incarnation::Known;
use crate::seed::SipKey;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::Wall;

/// When a handshake was begun, by the clock of who began it: microseconds since 1970-01-01T00:00:00Z. Of one peer every stamp is greater than the one
/// before, also where its clock stands still or steps back; nobody compares it with another clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp(u64);

impl Stamp {
    /// Before every other.
    pub const ZERO: Self = Self(0);

    /// From microseconds.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// What this clock shows; a time before 1970 is the first stamp.
    #[must_use]
    pub fn at(wall: Wall) -> Self {
        Self(u64::try_from(wall.as_micros()).unwrap_or(0))
    }

    /// A stamp after this one, at best that of the clock.
    pub(super) fn following(self, wall: Wall) -> Self {
        Self(self.0.saturating_add(1).max(Self::at(wall).0))
    }
}

/// The list of records, least recently put in first.
struct ByAge;
/// The index of records by the hash of name and key.
struct ByPeer;

struct Record {
    peer: u64,
    stamp: Stamp,
    known: Known,
    link: Link,
    chain: Chain,
}

impl Linked<ByAge> for Record {
    fn link(&self) -> &Link {
        &self.link
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

impl Chained<ByPeer> for Record {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

/// The newest stamp and start of every peer without a session; one with a session keeps them there.
///
/// Peers are kept as keyed hashes: two that collide, which nobody can bring about without the key, could only refuse a handshake. A record that is
/// forgotten for room raises the floor of all peers without one to its stamp. One that is ahead of our clock is not forgotten: such a floor
/// would turn everybody away whose clock is right.
pub(super) struct Stamps {
    hash: SipKey,
    records: Slab<Record, Heap>,
    by_peer: Index<ByPeer, Heap>,
    by_age: List<ByAge>,
    floor: Stamp,
}

/// How many records are looked at for one to forget.
const LOOK: usize = 8;

impl Stamps {
    pub(super) fn new(capacity: usize, hash: SipKey) -> Self {
        let (by_peer, by_age) = (Index::new(), List::new());
        Self { hash, records: Slab::new(capacity), by_peer, by_age, floor: Stamp::ZERO }
    }

    /// How a peer is known here.
    pub(super) fn peer(&self, did: &str, key: &[u8; 32]) -> u64 {
        self.hash.hash_in(self.hash.hash(key), did.as_bytes())
    }

    /// The newest stamp that is known of a peer.
    pub(super) fn newest(&self, peer: u64) -> Stamp {
        self.find(peer).and_then(|slot| self.records.at(slot)).map_or(self.floor, |record| record.stamp.max(self.floor))
    }

    /// The starts that are known of a peer.
    pub(super) fn known(&self, peer: u64) -> Known {
        self.find(peer).and_then(|slot| self.records.at(slot)).map_or_else(Known::default, |record| record.known)
    }

    /// Refuse what is not above this of peers that nothing else is known of.
    pub(super) fn raise_floor(&mut self, floor: Stamp) {
        self.floor = self.floor.max(floor);
    }

    /// Whether, with `others` to come, one more can be put in.
    pub(super) fn has_room(&self, others: usize) -> bool {
        self.records.len().saturating_add(others) < self.records.capacity()
    }

    /// Make room so that, with `others` to come, one more can be put in; false where there is none.
    pub(super) fn reserve(&mut self, others: usize, wall: Wall) -> bool {
        if self.has_room(others) {
            return true;
        }
        let ahead = Stamp::at(wall);
        let old = self.by_age.iter(&self.records).take(LOOK);
        let mut old = old.filter(|slot| self.records.at(*slot).is_some_and(|record| record.stamp <= ahead));
        let Some(slot) = old.next() else { return false };
        drop(old);
        if let Some(record) = self.remove(slot) {
            self.raise_floor(record.stamp);
        }
        self.has_room(others)
    }

    /// Remember a stamp and starts; what is newer and there already stays. False where there is no room, which [`reserve`](Self::reserve) makes.
    pub(super) fn put(&mut self, peer: u64, stamp: Stamp, known: Known) -> bool {
        if let Some(slot) = self.find(peer) {
            if let Some(record) = self.records.at_mut(slot) {
                record.stamp = record.stamp.max(stamp);
                record.known = record.known.or(known);
            }
            return true;
        }
        let record = Record { peer, stamp, known, link: Link::default(), chain: Chain::default() };
        let Ok(id) = self.records.insert(record) else { return false };
        self.by_peer.insert(&mut self.records, id.slot(), peer);
        self.by_age.push_back(&mut self.records, id.slot());
        true
    }

    /// Stamp and starts of a peer, to be kept elsewhere from now on.
    pub(super) fn take(&mut self, peer: u64) -> (Stamp, Known) {
        let (stamp, known) = (self.newest(peer), self.known(peer));
        if let Some(slot) = self.find(peer) {
            self.remove(slot);
        }
        (stamp, known)
    }

    fn find(&self, peer: u64) -> Option<u32> {
        self.by_peer.find(&self.records, peer, |record| record.peer == peer)
    }

    fn remove(&mut self, slot: u32) -> Option<Record> {
        self.by_peer.remove(&mut self.records, slot);
        self.by_age.remove(&mut self.records, slot);
        self.records.remove_at(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Stamp, Stamps};
    use crate::Seed;
    use crate::time::Wall;

    #[test]
    fn what_is_forgotten_stays_refused() {
        let mut stamps = Stamps::new(4, Seed::from_u64(1).fork("stamps").sip_key());
        let wall = Wall::from_micros(1000);
        for peer in 1..=20 {
            assert!(stamps.reserve(0, wall));
            assert!(stamps.put(peer, Stamp(peer * 10), Known::default()));
        }
        assert!((1..=20).all(|peer| stamps.newest(peer) >= Stamp(peer * 10)));
        assert_eq!(stamps.newest(99), Stamp(160));
        assert_eq!(stamps.take(20).0, Stamp(200));
        assert!(stamps.reserve(0, wall) && !stamps.reserve(4, wall));
    }

    #[test]
    fn a_stamp_of_the_future_never_becomes_the_floor_of_others() {
        let mut stamps = Stamps::new(2, Seed::from_u64(1).fork("stamps").sip_key());
        let none = Known::default();
        assert!(stamps.put(1, Stamp(5000), none) && stamps.put(2, Stamp(6000), none));
        assert!(!stamps.reserve(0, Wall::from_micros(1000)) && !stamps.put(3, Stamp(10), none));
        assert_eq!(stamps.newest(3), Stamp::ZERO);
        assert!(stamps.reserve(0, Wall::from_micros(5000)));
        assert_eq!(stamps.newest(3), Stamp(5000));
    }

    #[test]
    fn stamps_of_one_sender_rise_whatever_its_clock_does() {
        let mut last = Stamp::ZERO;
        for wall in [-5, 10, 10, 3, 20, i64::MAX, 0] {
            let next = last.following(Wall::from_micros(wall));
            assert!(next > last);
            last = next;
        }
    }
}
