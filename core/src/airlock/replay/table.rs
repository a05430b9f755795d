//! Records, entries and what is done to them. The argument is in the face of this room.

use core::fmt;
use core::num::NonZeroU16;

use super::ReplayReject;
use super::{Names, ReplayConfig};
#[cfg(feature = "alloc")]
use crate::seed::Name;
use crate::seed::SipKey;
use crate::table::{Chain, Chained, Index, Link, Linked, List, Slab, SlotId, Storage, Store};
use crate::time::{Duration, Now, Wall};

/// From this many entries on, a sender that needs room when all is taken makes it among its own.
pub const FAIR_SHARE: usize = 64;

/// How many entries that have left the window one admission forgets: more than it adds.
const EXPIRE: usize = 2;

/// How many records are looked at for one to drop.
const LOOK: usize = 8;

/// Places in which records of strangers are counted by the hash of the address that they came from.
const ORIGINS: u16 = 1024;

/// From this many records on they are counted. A smaller table has no shares worth the name.
const MANY: usize = 1024;

/// Where a packet came from and whether its sender is known, as far as that decides who gets the last records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An address that has proven to be its sender's.
    Proven,
    /// A sender that the operator trusts by name.
    #[cfg_attr(not(feature = "alloc"), expect(dead_code, reason = "only the node tells them apart"))]
    Trusted,
    /// Anybody else: the keyed hash of the address.
    #[cfg_attr(not(feature = "alloc"), expect(dead_code, reason = "only the node tells strangers from others"))]
    Stranger(u64),
}

impl Origin {
    /// How many of so many records may be taken before one from there.
    const fn share(self, all: usize) -> usize {
        match self {
            Self::Proven => all,
            Self::Trusted => all - all / 16,
            Self::Stranger(_) => all - all / 8,
        }
    }

    /// Where records from there are counted.
    fn place(self) -> Option<NonZeroU16> {
        match self {
            Self::Proven | Self::Trusted => None,
            #[allow(clippy::cast_possible_truncation, reason = "it is below a small number")]
            Self::Stranger(hash) => NonZeroU16::new((hash % u64::from(ORIGINS)) as u16 + 1),
        }
    }
}

/// The list of all entries, oldest admission first.
struct ByAge;
/// The list of one sender's entries, oldest admission first.
struct OfSender;
/// The list of all senders, least recently admitted first.
struct ByUse;
/// The index of entries by the hash of sender and nonce.
struct ByKey;
/// The index of senders by the hash of their names.
struct ByName;

struct Entry {
    key: u64,
    stamp: Wall,
    sender: SlotId,
    by_age: Link,
    of_sender: Link,
    chain: Chain,
}

struct Record {
    name: u64,
    /// Only stamps above this are taken.
    floor: Wall,
    /// The latest stamp that was ever admitted.
    newest: Wall,
    entries: List<OfSender>,
    by_use: Link,
    chain: Chain,
    /// Which of the [`ORIGINS`] is charged for it, if one is.
    origin: Option<NonZeroU16>,
}

impl Linked<ByAge> for Entry {
    fn link(&self) -> &Link {
        &self.by_age
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.by_age
    }
}

impl Linked<OfSender> for Entry {
    fn link(&self) -> &Link {
        &self.of_sender
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.of_sender
    }
}

impl Chained<ByKey> for Entry {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

impl Linked<ByUse> for Record {
    fn link(&self) -> &Link {
        &self.by_use
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.by_use
    }
}

impl Chained<ByName> for Record {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

/// Leave to admit one packet, from [`ReplayTable::check`]; [`ReplayTable::admit`] uses it up.
///
/// Dropping it admits nothing and costs nothing. Use it before the next check: two leaves for one packet admit it twice as far as
/// the caller is concerned.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a packet that is not admitted is not remembered"]
pub struct Admission {
    name: u64,
    key: u64,
    stamp: Wall,
    wall: Wall,
    sender: Option<SlotId>,
    /// Who is charged for a new record.
    origin: Origin,
    /// Where to look for an entry with this nonce that is to be forgotten.
    place: Place,
}

#[cfg(feature = "alloc")]
impl Admission {
    /// When the packet was made, by its sender's clock.
    pub(crate) const fn stamp(&self) -> Wall {
        self.stamp
    }
}

/// What [`ReplayTable::check`] knows of an entry with the nonce of a packet.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// There was none after so many admissions.
    NoneAt(u64),
    /// There may be one.
    Look,
}

/// A replay window over two storages, of senders and of packets: see [`ReplayWindow`](super::ReplayWindow) and
/// [`FixedReplayWindow`](super::FixedReplayWindow).
pub struct ReplayTable<P: Storage, E: Storage> {
    names: Names,
    window: Duration,
    skew: Duration,
    per_sender: usize,
    entries: Slab<Entry, E>,
    by_key: Index<ByKey, E>,
    by_age: List<ByAge>,
    senders: Slab<Record, P>,
    by_name: Index<ByName, P>,
    by_use: List<ByUse>,
    /// How many records each origin is charged for; nothing as long as there are few.
    origins: P::List<u32>,
    /// The floor of every sender without a record.
    floor: Wall,
    /// How many packets were admitted.
    admitted: u64,
}

/// What a row takes: its slot, its buckets, and its part in the lists of chunks.
const fn row_bytes(slot: usize) -> usize {
    slot + 8 + slot / 64 + 1
}

/// How many rows of a slab and their index fit in so many bytes.
const fn rows_in(bytes: usize, slot: usize) -> usize {
    // Two chunks may not be full yet.
    bytes.saturating_sub(8192) / row_bytes(slot)
}

impl<P: Storage, E: Storage> ReplayTable<P, E> {
    /// Empty, holding nothing.
    #[must_use]
    pub fn new(config: ReplayConfig, key: SipKey) -> Self {
        let slot = Slab::<Record, P>::SLOT_BYTES;
        let senders = config.max_senders.min(rows_in(config.max_bytes / 2, slot)).max(1);
        let origins = if senders < MANY { 0 } else { size_of::<u32>() * usize::from(ORIGINS) };
        let used = senders * row_bytes(slot) + 8192 + origins;
        let left = config.max_bytes.saturating_sub(used);
        let entries = config.max_entries.min(rows_in(left, Slab::<Entry, E>::SLOT_BYTES)).max(1);
        Self {
            names: Names(key),
            window: config.window,
            skew: config.skew,
            per_sender: config.per_sender.max(1),
            entries: Slab::new(entries),
            by_key: Index::new(),
            by_age: List::new(),
            senders: Slab::new(senders),
            by_name: Index::new(),
            by_use: List::new(),
            origins: Default::default(),
            floor: Wall::MIN,
            admitted: 0,
        }
    }

    /// Whether a packet may be admitted. Changes nothing.
    ///
    /// # Errors
    /// * [`ReplayReject::Stale`]: stamped longer ago than the window, or not after what was already forgotten of this sender.
    /// * [`ReplayReject::Future`]: stamped further ahead than the skew.
    /// * [`ReplayReject::Replay`]: the nonce is remembered from this sender.
    /// * [`ReplayReject::Busy`]: a new sender, and every record belongs to one that was active within the window.
    pub fn check(&self, now: Now, sender: &str, nonce: &str, stamp: Wall) -> Result<Admission, ReplayReject> {
        self.check_hashed(now, || self.names.sender(sender), nonce, stamp, Origin::Proven)
    }

    /// The same for a sender whose name was hashed with this table's key, and of whose origin something is known: strangers do not
    /// get the last eighth of the records, who is only trusted by name not the last sixteenth, and strangers of the second half no
    /// more from one address than a thirty-second of all.
    #[cfg(feature = "alloc")]
    pub(crate) fn check_name(
        &self,
        now: Now,
        sender: Name<'_>,
        nonce: &str,
        stamp: Wall,
        origin: Origin,
    ) -> Result<Admission, ReplayReject> {
        self.check_hashed(now, || sender.hash(), nonce, stamp, origin)
    }

    /// Whether an unknown sender from there may have a record.
    fn has_record_for(&self, origin: Origin, horizon: Wall) -> bool {
        let (taken, all) = (self.senders.len(), self.senders.capacity());
        if taken >= origin.share(all) {
            // The record that is dropped belonged to one of them.
            return self.droppable(horizon).is_some() && !self.has_its_share(origin);
        }
        !self.has_its_share(origin)
    }

    /// Whether records are scarce and this origin has as many as it may have.
    fn has_its_share(&self, origin: Origin) -> bool {
        let all = self.senders.capacity();
        if all < MANY || self.senders.len() < all / 2 {
            return false;
        }
        let charged = origin.place().and_then(|place| self.origins.get(usize::from(place.get()) - 1));
        charged.is_some_and(|charged| *charged as usize >= all / 32)
    }

    /// Charge an origin for a record, where records are scarce.
    fn charge(&mut self, origin: Origin) -> Option<NonZeroU16> {
        let all = self.senders.capacity();
        let place = origin.place().filter(|_| all >= MANY && self.senders.len() >= all / 2)?;
        while self.origins.len() < usize::from(ORIGINS) {
            self.origins.push(0).ok()?;
        }
        *self.origins.get_mut(usize::from(place.get()) - 1)? += 1;
        Some(place)
    }

    fn discharge(&mut self, place: Option<NonZeroU16>) {
        if let Some(charged) = place.and_then(|place| self.origins.get_mut(usize::from(place.get()) - 1)) {
            *charged = charged.saturating_sub(1);
        }
    }

    /// Nothing is hashed for a stamp that is out of the window anyway.
    fn check_hashed(
        &self,
        now: Now,
        sender: impl FnOnce() -> u64,
        nonce: &str,
        stamp: Wall,
        origin: Origin,
    ) -> Result<Admission, ReplayReject> {
        let horizon = now.wall.saturating_sub(self.window);
        if stamp < horizon {
            return Err(ReplayReject::Stale);
        }
        if stamp > now.wall.saturating_add(self.skew) {
            return Err(ReplayReject::Future);
        }
        let name = sender();
        let key = self.names.nonce(name, nonce);
        let id = self.sender(name);
        let floor = id.and_then(|id| self.senders.get(id)).map_or(self.floor, |record| record.floor);
        if stamp <= floor {
            return Err(ReplayReject::Stale);
        }
        let mut place = Place::NoneAt(self.admitted);
        if let Some(id) = id {
            if let Some(entry) = self.entry(id, key).and_then(|slot| self.entries.at(slot)) {
                if counts(entry.stamp, floor, horizon) {
                    return Err(ReplayReject::Replay);
                }
                place = Place::Look;
            }
        } else if !self.has_record_for(origin, horizon) {
            return Err(ReplayReject::Busy);
        }
        Ok(Admission { name, key, stamp, wall: now.wall, sender: id, origin, place })
    }

    /// Remember a packet. Admitting the same packet again changes nothing.
    #[allow(clippy::needless_pass_by_value)] // a leave is used up
    pub fn admit(&mut self, admission: Admission) {
        let Admission { name, key, stamp, wall, sender, origin, place } = admission;
        let horizon = wall.saturating_sub(self.window);
        let known = sender.filter(|id| self.senders.get(*id).is_some()).or_else(|| self.sender(name));
        let Some(id) = known.or_else(|| self.enrol(name, horizon, origin)) else { return };
        if place != Place::NoneAt(self.admitted)
            && let Some(slot) = self.entry(id, key)
        {
            let floor = self.senders.get(id).map_or(Wall::MIN, |record| record.floor);
            if self.entries.at(slot).is_some_and(|entry| counts(entry.stamp, floor, horizon)) {
                return;
            }
            self.forget(slot);
        }
        self.admitted = self.admitted.wrapping_add(1);
        self.make_room(id, horizon);
        let (by_age, of_sender, chain) = (Link::default(), Link::default(), Chain::default());
        let entry = Entry { key, stamp, sender: id, by_age, of_sender, chain };
        let inserted = self.entries.insert(entry).ok();
        let Some(record) = self.senders.get_mut(id) else { return };
        record.newest = record.newest.max(stamp);
        match inserted {
            Some(entry) => {
                record.entries.push_back(&mut self.entries, entry.slot());
                self.by_age.push_back(&mut self.entries, entry.slot());
                self.by_key.insert(&mut self.entries, entry.slot(), key);
            }
            // There is always room by now; were there none, this would still be safe.
            None => record.floor = record.floor.max(stamp),
        }
        self.by_use.move_to_back(&mut self.senders, id.slot());
        self.unpin(wall);
    }

    /// See `Node::touch`.
    #[cfg(feature = "sim")]
    #[inline]
    pub(crate) fn touch(&self, level: u32) -> u64 {
        match level {
            0 => {
                let senders = self.senders.len() ^ self.by_name.len() ^ self.by_use.len();
                (senders ^ self.entries.len() ^ self.by_key.len() ^ self.by_age.len()) as u64 ^ self.admitted
            }
            1 => self.entries.touch(16) ^ self.senders.touch(8) ^ self.by_key.touch() ^ self.by_name.touch(),
            _ => 0,
        }
    }

    /// Take nothing stamped at or before this from a sender that is not remembered, and nothing from anyone once it is forgotten: at a
    /// start, the time of starting keeps out what was admitted before it. Never lowers.
    pub fn raise_floor(&mut self, floor: Wall) {
        self.floor = self.floor.max(floor);
    }

    /// How many packets are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// No packet is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many senders are remembered.
    #[must_use]
    pub fn senders(&self) -> usize {
        self.senders.len()
    }

    /// How many packets can be remembered.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    /// Bytes of heap held, the allocator's own overhead aside.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let (packets, senders) = (self.entries.heap_bytes(), self.senders.heap_bytes());
        packets + self.by_key.heap_bytes() + senders + self.by_name.heap_bytes() + self.origins.heap_bytes()
    }

    fn sender(&self, name: u64) -> Option<SlotId> {
        let slot = self.by_name.find(&self.senders, name, |record| record.name == name)?;
        self.senders.id_at(slot)
    }

    fn entry(&self, sender: SlotId, key: u64) -> Option<u32> {
        self.by_key.find(&self.entries, key, |entry| entry.key == key && entry.sender == sender)
    }

    /// A record whose newest stamp has left the window.
    fn droppable(&self, horizon: Wall) -> Option<u32> {
        let gone = |slot: &u32| self.senders.at(*slot).is_some_and(|record| record.newest < horizon);
        self.by_use.iter(&self.senders).take(LOOK).find(gone)
    }

    /// A record for a new sender, in the place of an old one where all are taken.
    fn enrol(&mut self, name: u64, horizon: Wall, origin: Origin) -> Option<SlotId> {
        let all = self.senders.capacity();
        if self.senders.len() >= origin.share(all) {
            // `check` found one to drop; a caller that admits out of turn may find none, then any will do.
            let slot = self.droppable(horizon).or(self.by_use.front())?;
            self.by_use.remove(&mut self.senders, slot);
            self.by_name.remove(&mut self.senders, slot);
            let old = self.senders.remove_at(slot)?;
            self.discharge(old.origin);
            // Its entries stay in the queue without an owner, and nothing is looked up among them any more. Its own floor is
            // either one of its stamps or where the common floor once was: not above these two.
            self.floor = self.floor.max(old.newest);
        }
        let (by_use, chain) = (Link::default(), Chain::default());
        let (entries, origin) = (List::new(), self.charge(origin));
        let record = Record { name, floor: self.floor, newest: Wall::MIN, entries, by_use, chain, origin };
        let id = self.senders.insert(record).ok()?;
        self.by_use.push_back(&mut self.senders, id.slot());
        self.by_name.insert(&mut self.senders, id.slot(), name);
        Some(id)
    }

    /// Forget what has left the window, and make room for one more entry of this sender.
    fn make_room(&mut self, sender: SlotId, horizon: Wall) {
        for _ in 0..EXPIRE {
            match self.by_age.front() {
                Some(slot) if self.entries.at(slot).is_some_and(|e| e.stamp < horizon) => self.forget(slot),
                _ => break,
            }
        }
        let Some(own) = self.senders.get(sender).map(|record| &record.entries) else { return };
        let victim = if own.len() >= self.per_sender {
            own.front()
        } else if self.entries.is_full() {
            if own.len() >= FAIR_SHARE { own.front() } else { self.by_age.front() }
        } else {
            None
        };
        if let Some(slot) = victim {
            self.forget(slot);
        }
    }

    /// Forget an entry: from now on the floor of its sender stands for it.
    fn forget(&mut self, slot: u32) {
        self.by_age.remove(&mut self.entries, slot);
        self.by_key.remove(&mut self.entries, slot);
        let Some((sender, stamp)) = self.entries.at(slot).map(|entry| (entry.sender, entry.stamp)) else { return };
        if let Some(record) = self.senders.get_mut(sender) {
            record.entries.remove(&mut self.entries, slot);
            record.floor = record.floor.max(stamp);
        }
        self.entries.remove_at(slot);
    }

    /// Where the clock stepped back, records stamped far ahead cannot be dropped for long: do not let them stand at the
    /// front, where records to drop are looked for.
    fn unpin(&mut self, wall: Wall) {
        if !self.senders.is_full() {
            return;
        }
        let Some(slot) = self.by_use.front() else { return };
        let ahead = wall.saturating_add(self.skew);
        if self.senders.at(slot).is_some_and(|record| record.newest > ahead) {
            self.by_use.move_to_back(&mut self.senders, slot);
        }
    }
}

/// Whether an entry stands for itself: the floor does not cover it and it has not left the window.
fn counts(stamp: Wall, floor: Wall, horizon: Wall) -> bool {
    stamp > floor && stamp >= horizon
}

impl<P: Storage, E: Storage> fmt::Debug for ReplayTable<P, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayWindow")
            .field("entries", &self.entries.len())
            .field("senders", &self.senders.len())
            .finish_non_exhaustive()
    }
}
