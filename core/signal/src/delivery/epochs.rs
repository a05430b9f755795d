//! What is known of the epochs of senders, found by sender and epoch.

use alloc::vec::Vec;

use sluis_core::SipKey;
use sluis_core::table::{Chain, Chained, Heap, Index, Slab};

use super::inbox::{Epoch, Key};
use crate::key::PublicKey;

struct BySender;

/// Most senders have one epoch: those of one are found in one chain.
struct Entry {
    from: PublicKey,
    by_sender: Chain,
    epoch: u64,
    known: Epoch,
}

impl Chained<BySender> for Entry {
    fn chain(&self) -> &Chain {
        &self.by_sender
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.by_sender
    }
}

/// All epochs. How many there may be of one sender, and in all, is for who inserts.
pub(super) struct Epochs {
    slab: Slab<Entry, Heap>,
    by_sender: Index<BySender, Heap>,
    hash: SipKey,
}

impl Epochs {
    pub(super) fn new(hash: SipKey) -> Self {
        Self { slab: Slab::new(usize::MAX), by_sender: Index::new(), hash }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Epoch> {
        self.slab.at(self.slot(key)?).map(|entry| &entry.known)
    }

    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Epoch> {
        let slot = self.slot(key)?;
        self.slab.at_mut(slot).map(|entry| &mut entry.known)
    }

    /// What is known of an epoch, from now on. `None`: a table of 2^32 epochs is full.
    pub(super) fn entry(&mut self, key: Key, new: impl FnOnce() -> Epoch) -> Option<&mut Epoch> {
        let slot = match self.slot(&key) {
            Some(slot) => slot,
            None => {
                let entry = Entry { from: key.0, by_sender: Chain::default(), epoch: key.1, known: new() };
                let slot = self.slab.insert(entry).ok()?.slot();
                self.by_sender.insert(&mut self.slab, slot, self.hash.hash(key.0.as_bytes()));
                slot
            }
        };
        self.slab.at_mut(slot).map(|entry| &mut entry.known)
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(slot) = self.slot(key) {
            self.by_sender.remove(&mut self.slab, slot);
            self.slab.remove_at(slot);
        }
    }

    /// Every epoch of a sender.
    pub(super) fn of_sender(&self, from: &PublicKey, mut visit: impl FnMut(u64, &Epoch)) {
        self.by_sender.find(&self.slab, self.hash.hash(from.as_bytes()), |entry| {
            if entry.from == *from {
                visit(entry.epoch, &entry.known);
            }
            false
        });
    }

    /// Every epoch, in an order that depends on nothing but when they came and went.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Epoch)> {
        self.slab.iter().map(|(_, entry)| ((entry.from, entry.epoch), &entry.known))
    }

    pub(super) fn for_each(&mut self, mut visit: impl FnMut(&mut Epoch)) {
        for slot in 0..self.slab.slots() {
            if let Some(entry) = self.slab.at_mut(slot) {
                visit(&mut entry.known);
            }
        }
    }

    fn slot(&self, (from, epoch): &Key) -> Option<u32> {
        let is = |entry: &Entry| entry.epoch == *epoch && entry.from == *from;
        self.by_sender.find(&self.slab, self.hash.hash(from.as_bytes()), is)
    }
}

impl core::fmt::Debug for Epochs {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let shown: Vec<(Key, &Epoch)> = self.iter().take(8).collect();
        f.debug_struct("Epochs").field("len", &self.len()).field("first", &shown).finish()
    }
}
