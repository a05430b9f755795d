//! The newest handshake stamp of each peer and what is known of its starts, and our own stamp, on their way to the medium.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::mark::{number, read_number};
use crate::data::hex;
use crate::identity::PublicKey;
use crate::seed::SipKey;
use crate::session::{Known, Sessions, Stamp};
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::Wall;

/// Keys of records: `h`, the 32 bytes of a key and the DID; the floor of all others; our own.
pub(super) const PEER: u8 = b'h';
pub(super) const FLOOR: &[u8] = b"g";
pub(super) const OWN: &[u8] = b"o";

/// How far ahead of the last stamp of ours the stored one is put where they keep coming, in microseconds, and how near it may come before it is raised. One that comes alone is
/// stored as it is: a node that is started again and again would run ahead of its clock otherwise, and could not be told from one whose clock is wrong if its state were lost.
const OWN_AHEAD: u64 = 4_000_000;
const OWN_NEAR: u64 = 2_000_000;

/// How many records are looked at for one to forget.
const LOOK: usize = 8;
/// How many records that go may wait for that.
const MAX_GONE: usize = 64;
/// How many stamps may be on their way.
const MAX_GIVEN: usize = 64;

/// The list of records, least recently noted first.
struct ByAge;
/// The list of those that are to be written, oldest first.
struct Dirty;
/// The index of records by the hash of name and key.
struct ByPeer;

struct Record {
    key: PublicKey,
    did: Box<str>,
    stamp: Stamp,
    /// What is known of its starts.
    known: Known,
    /// The stamp that is known to be on the medium.
    kept: Stamp,
    dirty: bool,
    by_age: Link,
    by_dirt: Link,
    chain: Chain,
}

impl Linked<ByAge> for Record {
    fn link(&self) -> &Link {
        &self.by_age
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.by_age
    }
}

impl Linked<Dirty> for Record {
    fn link(&self) -> &Link {
        &self.by_dirt
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.by_dirt
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

/// What was given out, so that its end can be noted.
#[derive(Clone, Debug)]
pub(in crate::node) enum Given {
    Peer { key: PublicKey, did: Box<str>, stamp: Stamp },
    Floor(Stamp),
    Own(Stamp),
    Gone(Box<[u8]>),
}

/// What a record is to hold; without it, it goes.
type Value = Option<Vec<u8>>;

/// A stored value and the one that is to be.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    kept: Stamp,
    given: Stamp,
    wanted: Stamp,
}

impl Level {
    fn want(&mut self, stamp: Stamp) {
        self.wanted = self.wanted.max(stamp);
    }

    fn give(&mut self) -> Option<Stamp> {
        let more = self.wanted > self.given;
        self.given = self.wanted;
        more.then_some(self.given)
    }

    fn end(&mut self, stamp: Stamp, kept: bool) {
        if kept {
            self.kept = self.kept.max(stamp);
        } else {
            self.given = self.kept;
        }
    }

    fn restore(&mut self, stamp: Stamp) {
        let most = |level: Stamp| level.max(stamp);
        *self = Self { kept: most(self.kept), given: most(self.given), wanted: most(self.wanted) };
    }
}

/// Newest stamps of peers by name and key. Where there is no room the one that was noted longest ago goes, and the floor of all that are not here is raised to its stamp: what is
/// forgotten is refused. A stamp that could not be written is written again with the next that can.
pub(in crate::node) struct Stamps {
    hash: SipKey,
    records: Slab<Record, Heap>,
    by_peer: Index<ByPeer, Heap>,
    by_age: List<ByAge>,
    dirty: List<Dirty>,
    gone: VecDeque<Box<[u8]>>,
    floor: Level,
    own: Level,
    /// Our own stamp that was noted last.
    last_own: Stamp,
    given: usize,
    /// The last commit failed: nothing is given out again before there is reason to believe that it helps.
    paused: bool,
}

impl Stamps {
    pub(in crate::node) fn new(capacity: usize, hash: SipKey) -> Self {
        Self {
            hash,
            records: Slab::new(capacity),
            by_peer: Index::new(),
            by_age: List::new(),
            dirty: List::new(),
            gone: VecDeque::new(),
            floor: Level::default(),
            own: Level::default(),
            last_own: Stamp::ZERO,
            given: 0,
            paused: false,
        }
    }

    /// Try again what could not be written.
    pub(in crate::node) const fn resume(&mut self) {
        self.paused = false;
    }

    /// Note the newest stamp of a peer.
    pub(in crate::node) fn note(&mut self, did: &str, key: PublicKey, stamp: Stamp) {
        self.resume();
        match self.find(did, &key) {
            Some(slot) => {
                if let Some(record) = self.records.at_mut(slot).filter(|record| record.stamp < stamp) {
                    record.stamp = stamp;
                    self.soil(slot);
                }
                self.by_age.move_to_back(&mut self.records, slot);
            }
            None if stamp <= self.floor.wanted => {}
            None if !self.make_room() => self.floor.want(stamp),
            None => {
                if let Some(slot) = self.insert(did, key, (stamp, Known::default()), Stamp::ZERO) {
                    self.soil(slot);
                }
            }
        }
    }

    /// Note what is known of the starts of a peer. Where there is no room it is forgotten at the next start.
    pub(in crate::node) fn note_known(&mut self, did: &str, key: PublicKey, known: Known) {
        self.resume();
        let slot = match self.find(did, &key) {
            Some(slot) => slot,
            None if !self.make_room() => return,
            None => match self.insert(did, key, (Stamp::ZERO, Known::default()), Stamp::ZERO) {
                Some(slot) => slot,
                None => return,
            },
        };
        if let Some(record) = self.records.at_mut(slot).filter(|record| record.known != known) {
            record.known = known;
            self.soil(slot);
        }
        self.by_age.move_to_back(&mut self.records, slot);
    }

    /// Whether this stamp of a peer is on the medium, or all up to it are refused.
    #[cfg(test)]
    pub(in crate::node) fn is_kept(&self, did: &str, key: &PublicKey, stamp: Stamp) -> bool {
        let kept = self.find(did, key).and_then(|slot| self.records.at(slot)).map_or(Stamp::ZERO, |record| record.kept);
        stamp <= kept.max(self.floor.kept)
    }

    /// Note the stamp of our own first message that was written last.
    pub(in crate::node) fn note_own(&mut self, stamp: Stamp) {
        let micros = stamp.as_micros();
        let keep_coming = micros.saturating_sub(self.last_own.as_micros()) < OWN_AHEAD;
        self.last_own = stamp;
        if !keep_coming {
            self.own.want(Stamp::from_micros(micros.saturating_add(1)));
        } else if micros.saturating_add(OWN_NEAR) > self.own.wanted.as_micros() {
            self.own.want(Stamp::from_micros(micros.saturating_add(OWN_AHEAD)));
        }
    }

    pub(in crate::node) fn wants(&self) -> bool {
        let (level, peers) = (|level: &Level| level.wanted > level.given, self.given < MAX_GIVEN);
        if self.paused {
            return false;
        }
        level(&self.floor) || level(&self.own) || (peers && (!self.gone.is_empty() || !self.dirty.is_empty()))
    }

    /// The next record to be written or, without a value, removed. The floor comes before what it stands for goes.
    pub(in crate::node) fn give(&mut self) -> Option<(Given, Box<[u8]>, Value)> {
        if self.paused {
            return None;
        }
        if let Some(stamp) = self.floor.give() {
            return Some((Given::Floor(stamp), FLOOR.into(), Some(value(stamp, Known::default()))));
        }
        if let Some(stamp) = self.own.give() {
            return Some((Given::Own(stamp), OWN.into(), Some(value(stamp, Known::default()))));
        }
        if self.given >= MAX_GIVEN {
            return None;
        }
        while let Some(key) = self.gone.pop_front() {
            // It may have come back in the meantime.
            if read_key(&key).is_some_and(|(key, did)| self.find(did, &key).is_none()) {
                self.given += 1;
                return Some((Given::Gone(key.clone()), key, None));
            }
        }
        let slot = self.dirty.pop_front(&mut self.records)?;
        let record = self.records.at_mut(slot)?;
        record.dirty = false;
        self.given += 1;
        let (key, did, stamp, known) = (record.key, record.did.clone(), record.stamp, record.known);
        Some((Given::Peer { key, did: did.clone(), stamp }, record_key(&key, &did), Some(value(stamp, known))))
    }

    /// What was given out was written, or not.
    pub(in crate::node) fn end(&mut self, given: Given, kept: bool) {
        self.paused = !kept;
        match given {
            Given::Floor(stamp) => return self.floor.end(stamp, kept),
            Given::Own(stamp) => return self.own.end(stamp, kept),
            Given::Gone(key) if !kept => self.gone.push_back(key),
            Given::Gone(_) => {}
            Given::Peer { key, did, stamp } => match self.find(&did, &key) {
                Some(slot) if kept => {
                    if let Some(record) = self.records.at_mut(slot) {
                        record.kept = record.kept.max(stamp);
                    }
                }
                Some(slot) => self.soil(slot),
                None => {}
            },
        }
        self.given = self.given.saturating_sub(1);
    }

    /// What was kept in an earlier life; false if the record is damaged. What does not fit raises the floor.
    pub(super) fn restore(&mut self, key: &[u8], (stamp, known): (Stamp, Known)) -> bool {
        let Some((key, did)) = read_key(key) else { return false };
        if self.records.len() >= self.records.capacity() {
            self.floor.want(stamp);
        } else {
            self.insert(did, key, (stamp, known), stamp);
        }
        true
    }

    pub(super) fn restore_floor(&mut self, stamp: Stamp) {
        self.floor.restore(stamp);
    }

    pub(super) fn restore_own(&mut self, stamp: Stamp) {
        self.own.restore(stamp);
    }

    /// Tell sessions that were just made what is known, before they hear anything. `start` is when this life begins by the wall clock, or what is later of that and
    /// the replay floor.
    pub(super) fn tell(&self, sessions: &mut Sessions, start: Wall) {
        for (_, record) in self.records.iter() {
            // What has no room there raises the floor there.
            let _ = sessions.set_newest(&record.did, &record.key, record.stamp);
            if record.known != Known::default() {
                let _ = sessions.set_known(&record.did, &record.key, record.known);
            }
        }
        sessions.raise_floor(self.floor.wanted.max(Stamp::at(start)));
        sessions.set_own_stamp(self.own.wanted);
    }

    fn insert(&mut self, did: &str, key: PublicKey, (stamp, known): (Stamp, Known), kept: Stamp) -> Option<u32> {
        let (by_age, by_dirt, chain) = (Link::default(), Link::default(), Chain::default());
        let record = Record { key, did: did.into(), stamp, known, kept, dirty: false, by_age, by_dirt, chain };
        let slot = self.records.insert(record).ok()?.slot();
        let peer = self.peer(did, &key);
        self.by_peer.insert(&mut self.records, slot, peer);
        self.by_age.push_back(&mut self.records, slot);
        Some(slot)
    }

    /// It is to be written.
    fn soil(&mut self, slot: u32) {
        if let Some(record) = self.records.at_mut(slot).filter(|record| !record.dirty) {
            record.dirty = true;
            self.dirty.push_back(&mut self.records, slot);
        }
    }

    /// Make room for one more; false if what goes for it would have to wait for too long.
    fn make_room(&mut self) -> bool {
        if self.records.len() < self.records.capacity() {
            return true;
        }
        if self.gone.len() >= MAX_GONE {
            return false;
        }
        // One that is ahead would shut everybody out whose clock is right: of a few, that which costs least goes.
        let stamp = |slot: &u32| self.records.at(*slot).map_or(Stamp::ZERO, |record| record.stamp);
        let Some(slot) = self.by_age.iter(&self.records).take(LOOK).min_by_key(stamp) else { return false };
        self.by_peer.remove(&mut self.records, slot);
        self.by_age.remove(&mut self.records, slot);
        self.dirty.remove(&mut self.records, slot);
        if let Some(record) = self.records.remove_at(slot) {
            self.floor.want(record.stamp);
            self.gone.push_back(record_key(&record.key, &record.did));
        }
        true
    }

    fn peer(&self, did: &str, key: &PublicKey) -> u64 {
        self.hash.hash_in(self.hash.hash(key.as_bytes()), did.as_bytes())
    }

    fn find(&self, did: &str, key: &PublicKey) -> Option<u32> {
        let is = |record: &Record| record.key == *key && *record.did == *did;
        self.by_peer.find(&self.records, self.peer(did, key), is)
    }
}

impl core::fmt::Debug for Stamps {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stamps").field("peers", &self.records.len()).finish_non_exhaustive()
    }
}

/// A stamp in decimal digits, and behind a blank in hex what is known of starts, if anything is.
fn value(stamp: Stamp, known: Known) -> Vec<u8> {
    let mut value = number(stamp.as_micros().min(i64::MAX.unsigned_abs()).cast_signed());
    if known != Known::default() {
        value.push(b' ');
        // A vector takes everything.
        let _ = hex::write(&mut value, &known.to_bytes());
    }
    value
}

/// What [`value`] wrote.
pub(super) fn read_value(text: &[u8]) -> Option<(Stamp, Known)> {
    let blank = text.iter().position(|byte| *byte == b' ');
    let (digits, known) = match blank {
        Some(at) => (text.get(..at)?, Some(text.get(at + 1..)?)),
        None => (text, None),
    };
    let stamp = Stamp::from_micros(u64::try_from(read_number(digits)?).ok()?);
    let mut bytes = [0; Known::LEN];
    if let Some(known) = known {
        hex::parse(known, &mut bytes)?;
    }
    let known = Known::from_bytes(&bytes);
    // Nothing but what is written.
    (value(stamp, known) == text).then_some((stamp, known))
}

fn record_key(key: &PublicKey, did: &str) -> Box<[u8]> {
    let mut out = Vec::with_capacity(33 + did.len());
    out.push(PEER);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(did.as_bytes());
    out.into()
}

fn read_key(key: &[u8]) -> Option<(PublicKey, &str)> {
    let (key, did) = key.strip_prefix(&[PEER])?.split_first_chunk::<32>()?;
    let did = core::str::from_utf8(did).ok().filter(|did| crate::check_did(did).is_ok())?;
    Some((PublicKey::from_bytes(*key).ok()?, did))
}
