//! Devices by name, by key, and by what they can do.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::address::Address;
use super::fira::{Fira, History};
use super::record::{Claims, Front, Record, did_and_endpoint, front};
use crate::identity::PublicKey;
use crate::seed::SipKey;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, NONE, Slab};
use crate::time::Wall;

pub(super) struct ByDid;
pub(super) struct ByKey;
pub(super) struct ByText;
/// The devices with one capability, longest there first.
pub(super) struct OfCapability;

/// How a record came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// From the device itself: it holds as long as it says.
    Directly,
    /// Somebody passed it on: after a while there may be a newer one elsewhere.
    PassedOn,
}

/// What is known of one device. Its name and all that it says are in the record.
pub(super) struct Entry {
    pub(super) record: Box<[u8]>,
    /// The key that speaks for the name, where it is not the one that signed the record: it was rotated since.
    pub(super) bound: Option<Box<PublicKey>>,
    pub(super) history: History,
    pub(super) heard_at: Wall,
    pub(super) heard: Heard,
    pub(super) revoked: bool,
    /// The first of its offers, which are linked by `next`.
    first_offer: u32,
    by_did: Chain,
    by_key: Chain,
}

impl Entry {
    pub(super) fn did(&self) -> &str {
        did_and_endpoint(&self.record).map_or("", |(did, _)| did)
    }

    pub(super) fn key(&self) -> PublicKey {
        self.bound.as_deref().copied().unwrap_or_else(|| front(&self.record).key)
    }

    pub(super) fn front(&self) -> Front {
        front(&self.record)
    }

    fn bytes(&self) -> usize {
        self.record.len() + self.bound.as_ref().map_or(0, |_| size_of::<PublicKey>())
    }
}

impl Chained<ByDid> for Entry {
    fn chain(&self) -> &Chain {
        &self.by_did
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_did
    }
}

impl Chained<ByKey> for Entry {
    fn chain(&self) -> &Chain {
        &self.by_key
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_key
    }
}

/// One capability of one device.
pub(super) struct Offer {
    device: u32,
    capability: u32,
    next: u32,
    of_capability: Link,
}

impl Linked<OfCapability> for Offer {
    fn link(&self) -> &Link {
        &self.of_capability
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.of_capability
    }
}

struct Capability {
    text: Box<str>,
    offers: List<OfCapability>,
    by_text: Chain,
}

impl Chained<ByText> for Capability {
    fn chain(&self) -> &Chain {
        &self.by_text
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_text
    }
}

/// What is kept about a device before it changes, and after.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) record: Box<[u8]>,
    pub(super) key: PublicKey,
    pub(super) history: History,
    pub(super) heard_at: Wall,
    pub(super) heard: Heard,
    pub(super) revoked: bool,
}

/// The tables: they hold what they are told, and decide nothing.
pub(super) struct Devices {
    hash: SipKey,
    entries: Slab<Entry, Heap>,
    by_did: Index<ByDid, Heap>,
    by_key: Index<ByKey, Heap>,
    offers: Slab<Offer, Heap>,
    capabilities: Slab<Capability, Heap>,
    by_text: Index<ByText, Heap>,
    bytes: usize,
}

impl Devices {
    pub(super) fn new(hash: SipKey, max_devices: usize, max_offers: usize) -> Self {
        Self {
            hash,
            entries: Slab::new(max_devices),
            by_did: Index::new(),
            by_key: Index::new(),
            offers: Slab::new(max_offers),
            capabilities: Slab::new(max_offers),
            by_text: Index::new(),
            bytes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.is_full()
    }

    /// How many more capabilities of devices fit.
    pub(super) fn room_for_offers(&self) -> usize {
        self.offers.capacity() - self.offers.len()
    }

    pub(super) fn slots(&self) -> u32 {
        self.entries.slots()
    }

    pub(super) fn at(&self, slot: u32) -> Option<&Entry> {
        self.entries.at(slot)
    }

    /// To change what no index is by: neither the record, nor the bound key.
    pub(super) fn at_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.entries.at_mut(slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    pub(super) fn find(&self, did: &str) -> Option<u32> {
        self.by_did.find(&self.entries, self.hash.hash(did.as_bytes()), |entry| entry.did() == did)
    }

    /// The slots of devices that this key speaks for, up to `most` of them.
    pub(super) fn of_key(&self, key: &PublicKey, most: usize) -> Vec<u32> {
        let (hash, mut slots) = (self.hash.hash(key.as_bytes()), Vec::new());
        // Finds the slot by the entry's address in the slab: the index hands out entries, and one at a time.
        self.by_key.find(&self.entries, hash, |entry| {
            if entry.key() == *key {
                slots.extend(self.find(entry.did()));
            }
            slots.len() >= most
        });
        slots
    }

    /// Devices with a capability, in the order in which they got it.
    pub(super) fn with(&self, capability: &str) -> impl Iterator<Item = &Entry> {
        let slot = self.capability(capability);
        let offers = slot.and_then(|slot| self.capabilities.at(slot)).map(|capability| &capability.offers);
        offers
            .into_iter()
            .flat_map(|list| list.iter(&self.offers))
            .filter_map(|slot| self.at(self.offers.at(slot)?.device))
    }

    pub(super) fn capabilities(&self) -> impl Iterator<Item = (&str, usize)> {
        self.capabilities.iter().map(|(_, capability)| (&*capability.text, capability.offers.len()))
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.entries.heap_bytes()
            + self.by_did.heap_bytes()
            + self.by_key.heap_bytes()
            + self.offers.heap_bytes()
            + self.capabilities.heap_bytes()
            + self.by_text.heap_bytes()
            + self.bytes
    }

    pub(super) fn state(&self, slot: u32) -> Option<State> {
        let entry = self.at(slot)?;
        let Entry { history, heard_at, heard, revoked, .. } = *entry;
        Some(State { record: entry.record.clone(), key: entry.key(), history, heard_at, heard, revoked })
    }

    /// Put a device in, or in the place of what was known of it. False when there is no room.
    pub(super) fn put(&mut self, record: &Record<'_>, key: PublicKey, state: (History, Wall, Heard, bool)) -> bool {
        let claims = record.claims();
        match self.find(claims.did) {
            Some(slot) => {
                self.replace(slot, record, key, state);
                true
            }
            None => self.add(record, key, state),
        }
    }

    fn add(
        &mut self,
        record: &Record<'_>,
        key: PublicKey,
        (history, heard_at, heard, revoked): (History, Wall, Heard, bool),
    ) -> bool {
        let claims = record.claims();
        let (by_did, by_key) = (self.hash.hash(claims.did.as_bytes()), self.hash.hash(key.as_bytes()));
        let entry = Entry {
            record: record.as_bytes().into(),
            bound: (key != claims.key).then(|| Box::new(key)),
            history,
            heard_at,
            heard,
            revoked,
            first_offer: NONE,
            by_did: Chain::default(),
            by_key: Chain::default(),
        };
        self.bytes += entry.bytes();
        let bytes = entry.bytes();
        let Ok(id) = self.entries.insert(entry) else {
            self.bytes -= bytes;
            return false;
        };
        self.by_did.insert(&mut self.entries, id.slot(), by_did);
        self.by_key.insert(&mut self.entries, id.slot(), by_key);
        self.offer(id.slot(), claims);
        true
    }

    fn replace(&mut self, slot: u32, record: &Record<'_>, key: PublicKey, state: (History, Wall, Heard, bool)) {
        let (claims, hash) = (record.claims(), self.hash.hash(key.as_bytes()));
        let Some(before) = self.at(slot) else { return };
        let known = Record::kept(&before.record);
        let same_offers = known.is_some_and(|known| known.claims().same_capabilities(claims));
        let (bytes, rebound) = (before.bytes(), before.key() != key);
        self.bytes -= bytes;
        if rebound {
            self.by_key.remove(&mut self.entries, slot);
        }
        if let Some(entry) = self.entries.at_mut(slot) {
            // A record is as long as the one before it, as a rule: nothing is allocated then.
            if entry.record.len() == record.as_bytes().len() {
                entry.record.copy_from_slice(record.as_bytes());
            } else {
                entry.record = record.as_bytes().into();
            }
            entry.bound = (key != claims.key).then(|| Box::new(key));
            (entry.history, entry.heard_at, entry.heard, entry.revoked) = state;
            self.bytes += entry.bytes();
        }
        if rebound {
            self.by_key.insert(&mut self.entries, slot, hash);
        }
        if !same_offers {
            self.withdraw(slot);
            self.offer(slot, claims);
        }
    }

    /// Bind a name to another key.
    pub(super) fn rebind(&mut self, slot: u32, key: PublicKey) {
        let hash = self.hash.hash(key.as_bytes());
        self.by_key.remove(&mut self.entries, slot);
        if let Some(entry) = self.entries.at_mut(slot) {
            self.bytes -= entry.bytes();
            entry.bound = (key != entry.front().key).then(|| Box::new(key));
            self.bytes += entry.bytes();
        }
        self.by_key.insert(&mut self.entries, slot, hash);
    }

    pub(super) fn remove(&mut self, slot: u32) {
        self.withdraw(slot);
        self.by_did.remove(&mut self.entries, slot);
        self.by_key.remove(&mut self.entries, slot);
        if let Some(entry) = self.entries.remove_at(slot) {
            self.bytes -= entry.bytes();
        }
    }

    fn capability(&self, text: &str) -> Option<u32> {
        self.by_text.find(&self.capabilities, self.hash.hash(text.as_bytes()), |capability| *capability.text == *text)
    }

    /// Note what a device can do.
    fn offer(&mut self, device: u32, claims: &Claims<'_>) {
        for text in claims.capabilities() {
            let Some(capability) = self.capability(text).or_else(|| self.add_capability(text)) else { return };
            let next = self.at(device).map_or(NONE, |entry| entry.first_offer);
            let offer = Offer { device, capability, next, of_capability: Link::default() };
            let Ok(id) = self.offers.insert(offer) else { return };
            if let Some(capability) = self.capabilities.at_mut(capability) {
                capability.offers.push_back(&mut self.offers, id.slot());
            }
            if let Some(entry) = self.entries.at_mut(device) {
                entry.first_offer = id.slot();
            }
        }
    }

    fn add_capability(&mut self, text: &str) -> Option<u32> {
        let capability = Capability { text: text.into(), offers: List::new(), by_text: Chain::default() };
        let slot = self.capabilities.insert(capability).ok()?.slot();
        self.by_text.insert(&mut self.capabilities, slot, self.hash.hash(text.as_bytes()));
        self.bytes += text.len();
        Some(slot)
    }

    /// Forget what a device can do.
    fn withdraw(&mut self, device: u32) {
        let Some(entry) = self.entries.at_mut(device) else { return };
        let mut slot = core::mem::replace(&mut entry.first_offer, NONE);
        while let Some(&Offer { capability, next, .. }) = self.offers.at(slot) {
            if let Some(row) = self.capabilities.at_mut(capability) {
                row.offers.remove(&mut self.offers, slot);
                if row.offers.is_empty() {
                    self.bytes -= row.text.len();
                    self.by_text.remove(&mut self.capabilities, capability);
                    self.capabilities.remove_at(capability);
                }
            }
            self.offers.remove_at(slot);
            slot = next;
        }
    }
}

/// A device in the registry.
#[derive(Clone, Copy)]
pub struct Device<'a>(pub(super) &'a Entry);

impl<'a> Device<'a> {
    /// Its name.
    #[must_use]
    pub fn did(&self) -> &'a str {
        self.0.did()
    }

    /// The key that speaks for it.
    #[must_use]
    pub fn key(&self) -> PublicKey {
        self.0.key()
    }

    /// Its record.
    #[must_use]
    pub fn record(&self) -> Option<Record<'a>> {
        Record::kept(&self.0.record)
    }

    /// Where it can best be reached. `None`: its record names no endpoint, or its key was revoked.
    #[must_use]
    pub fn endpoint(&self) -> Option<Address<'a>> {
        if self.0.revoked { None } else { did_and_endpoint(&self.0.record)?.1 }
    }

    /// The number of its record.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.0.front().seq
    }

    /// Until when its record holds: seconds since the Unix epoch.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.0.front().expires
    }

    /// Whether its record still holds.
    #[must_use]
    pub fn is_current(&self, wall: Wall) -> bool {
        !self.0.revoked && wall < Wall::from_secs(self.expires())
    }

    /// When and how its record came here.
    #[must_use]
    pub const fn heard(&self) -> (Wall, Heard) {
        (self.0.heard_at, self.0.heard)
    }

    /// Its key was revoked: nothing is believed of this name until the operator says otherwise.
    #[must_use]
    pub const fn is_revoked(&self) -> bool {
        self.0.revoked
    }

    /// What has been proven about it.
    #[must_use]
    pub const fn history(&self) -> History {
        self.0.history
    }

    /// Its score now.
    #[must_use]
    pub fn fira(&self, wall: Wall) -> Fira {
        self.0.history.fira(wall)
    }
}

impl core::fmt::Debug for Device<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Device({} seq {} key {})", self.did(), self.seq(), self.key())
    }
}
