//! Who vouches for whom: vouches, devices, and the loans between them.

use alloc::boxed::Box;

use super::{Expiry, Vouch, VouchConfig, VouchError, VouchId, VouchStats, check};
use crate::seed::SipKey;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab};
use crate::time::Wall;

/// The index of vouches by their id.
struct ById;
/// The index of devices by their DID.
struct ByDid;
/// The list of one vouch's loans.
struct OfVouch;
/// The list of one device's loans.
struct OfDevice;

struct Record {
    id: Box<str>,
    voucher: Box<str>,
    trust: f64,
    expires: Expiry,
    loans: List<OfVouch>,
    chain: Chain,
}

struct Device {
    did: Box<str>,
    loans: List<OfDevice>,
    chain: Chain,
}

/// One DID in one vouch.
struct Loan {
    vouch: u32,
    device: u32,
    of_vouch: Link,
    of_device: Link,
}

impl Chained<ById> for Record {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

impl Chained<ByDid> for Device {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

impl Linked<OfVouch> for Loan {
    fn link(&self) -> &Link {
        &self.of_vouch
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.of_vouch
    }
}

impl Linked<OfDevice> for Loan {
    fn link(&self) -> &Link {
        &self.of_device
    }
    fn link_mut(&mut self) -> &mut Link {
        &mut self.of_device
    }
}

/// Who vouches for whom, until when.
///
/// The trust of a DID is the highest that any vouch lends it now. Chains are not followed: what a vouch lends is the voucher's trust as
/// stated in it, times the factor.
pub struct VouchRegistry {
    key: SipKey,
    config: VouchConfig,
    vouches: Slab<Record, Heap>,
    by_id: Index<ById, Heap>,
    devices: Slab<Device, Heap>,
    by_did: Index<ByDid, Heap>,
    loans: Slab<Loan, Heap>,
    text_bytes: usize,
    /// The slot that the sweep for expired vouches looks at next.
    sweep: u32,
    /// The last one that it dropped.
    swept: Option<Box<str>>,
}

/// How many slots one [`VouchRegistry::add`] sweeps.
const SWEEP: u32 = 16;

/// What the lists may grow by beyond the rows counted: a chunk and its entry in a list for each.
const ROOM_TO_GROW: usize = 64 * 1024;

impl VouchRegistry {
    /// Empty.
    #[must_use]
    pub fn new(config: VouchConfig, key: SipKey) -> Self {
        Self {
            key,
            config,
            vouches: Slab::new(config.max_vouches),
            by_id: Index::new(),
            devices: Slab::new(config.max_vouched),
            by_did: Index::new(),
            loans: Slab::new(config.max_vouched),
            text_bytes: 0,
            sweep: 0,
            swept: None,
        }
    }

    /// Add a vouch. One with the same id is replaced: whom only the old one named has lost it. (In the reference they keep it
    /// and get the new trust.) From half of the capacity on, each call also looks for an expired one to drop.
    ///
    /// # Errors
    /// When it is wrong or does not fit; then nothing else has changed.
    pub fn add(&mut self, vouch: &Vouch<'_>, wall: Wall) -> Result<VouchId, VouchError> {
        check(vouch)?;
        if self.vouches.len() * 2 >= self.vouches.capacity() || self.loans.len() * 2 >= self.loans.capacity() {
            self.sweep(wall);
        }
        self.check_room(vouch)?;
        self.revoke(vouch.id);
        let record = Record {
            id: vouch.id.into(),
            voucher: vouch.voucher_did.into(),
            trust: vouch.voucher_trust * vouch.factor,
            expires: vouch.expires,
            loans: List::new(),
            chain: Chain::default(),
        };
        let Ok(id) = self.vouches.insert(record) else { return Err(VouchError::TooMany(self.config.max_vouches)) };
        self.by_id.insert(&mut self.vouches, id.slot(), self.key.hash(vouch.id.as_bytes()));
        self.text_bytes += vouch.id.len() + vouch.voucher_did.len();
        for did in vouch.vouched {
            self.lend(id.slot(), did);
        }
        Ok(id)
    }

    /// Whether a vouch fits once the one it replaces is gone.
    fn check_room(&self, vouch: &Vouch<'_>) -> Result<(), VouchError> {
        let config = &self.config;
        let replaced = self.find(vouch.id).and_then(|slot| self.vouches.at(slot));
        if replaced.is_none() && self.vouches.is_full() {
            return Err(VouchError::TooMany(config.max_vouches));
        }
        let freed = replaced.map_or(0, |record| record.loans.len());
        if self.loans.len() - freed + vouch.vouched.len() > self.loans.capacity() {
            return Err(VouchError::TooManyVouched(config.max_vouched));
        }
        // A little more than exact: rows are counted as if each list still had to grow for them.
        let mut bytes = self.heap_bytes() + ROOM_TO_GROW + vouch.id.len() + vouch.voucher_did.len();
        for did in vouch.vouched {
            let device = self.device(did).and_then(|slot| self.devices.at(slot));
            let has = device.map_or(0, |device| self.loans_by_others(device, vouch.id));
            if has >= config.max_for_one {
                return Err(VouchError::TooManyForOne(config.max_for_one));
            }
            bytes += Slab::<Loan, Heap>::SLOT_BYTES;
            bytes += if device.is_none() { Slab::<Device, Heap>::SLOT_BYTES + 4 + did.len() } else { 0 };
        }
        if bytes > config.max_bytes {
            return Err(VouchError::TooLarge(config.max_bytes));
        }
        Ok(())
    }

    /// How many vouches but the one with this id name a device.
    fn loans_by_others(&self, device: &Device, id: &str) -> usize {
        let vouch = |slot| self.vouches.at(self.loans.at(slot)?.vouch);
        device.loans.iter(&self.loans).filter(|slot| vouch(*slot).is_some_and(|r| &*r.id != id)).count()
    }

    /// Take a vouch back; false when there is none with this id.
    pub fn revoke(&mut self, id: &str) -> bool {
        let Some(slot) = self.find(id) else { return false };
        self.drop_vouch(slot);
        true
    }

    /// The trust that a DID is lent, and by how many vouches; `None` when by none, or none of it.
    #[must_use]
    pub fn trust_for(&self, did: &str, wall: Wall) -> Option<(f64, u32)> {
        if self.devices.is_empty() {
            return None;
        }
        let (mut trust, mut count) = (0.0, 0);
        for record in self.vouches_for(did) {
            if !record.expires.is_over(wall) {
                trust = f64::max(trust, record.trust);
                count += 1;
            }
        }
        (trust > 0.0).then_some((trust, count))
    }

    /// The ids of the vouches that count for a DID now, in the order they were added, and who gave each.
    pub fn active_for(&self, did: &str, wall: Wall) -> impl Iterator<Item = (&str, &str)> {
        self.vouches_for(did).filter(move |r| !r.expires.is_over(wall)).map(|r| (&*r.id, &*r.voucher))
    }

    /// The id of the expired vouch that the last [`add`](Self::add) dropped, if it did and nobody asked since.
    pub(crate) fn take_swept(&mut self) -> Option<Box<str>> {
        self.swept.take()
    }

    /// Who gave the vouch with this id, how much it lends, and until when.
    pub(super) fn get(&self, id: &str) -> Option<(&str, f64, Expiry)> {
        let record = self.find(id).and_then(|slot| self.vouches.at(slot))?;
        Some((&record.voucher, record.trust, record.expires))
    }

    /// Whom the vouch with this id names.
    pub(super) fn vouched_by(&self, id: &str) -> impl Iterator<Item = &str> {
        let record = self.find(id).and_then(|slot| self.vouches.at(slot));
        let loans = record.into_iter().flat_map(|record| record.loans.iter(&self.loans));
        loans.filter_map(|slot| Some(&*self.devices.at(self.loans.at(slot)?.device)?.did))
    }

    /// The same with what each lends.
    pub(super) fn active_loans(&self, did: &str, wall: Wall) -> impl Iterator<Item = (&str, f64)> {
        self.vouches_for(did).filter(move |r| !r.expires.is_over(wall)).map(|r| (&*r.id, r.trust))
    }

    /// Counts. Looks at every vouch.
    #[must_use]
    pub fn stats(&self, wall: Wall) -> VouchStats {
        VouchStats {
            total: self.vouches.len(),
            active: self.vouches.iter().filter(|(_, r)| !r.expires.is_over(wall)).count(),
            devices: self.devices.len(),
        }
    }

    /// Bytes of heap held, the allocator's own overhead aside.
    #[must_use]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.vouches.heap_bytes()
            + self.by_id.heap_bytes()
            + self.devices.heap_bytes()
            + self.by_did.heap_bytes()
            + self.loans.heap_bytes()
            + self.text_bytes
    }

    fn find(&self, id: &str) -> Option<u32> {
        self.by_id.find(&self.vouches, self.key.hash(id.as_bytes()), |r| &*r.id == id)
    }

    fn device(&self, did: &str) -> Option<u32> {
        self.by_did.find(&self.devices, self.key.hash(did.as_bytes()), |d| &*d.did == did)
    }

    fn vouches_for(&self, did: &str) -> impl Iterator<Item = &Record> {
        let device = self.device(did).and_then(|slot| self.devices.at(slot));
        device
            .into_iter()
            .flat_map(|device| device.loans.iter(&self.loans))
            .filter_map(|slot| self.vouches.at(self.loans.at(slot)?.vouch))
    }

    /// Note that a vouch names a DID.
    fn lend(&mut self, vouch: u32, did: &str) {
        let device = self.device(did).or_else(|| {
            let device = Device { did: did.into(), loans: List::new(), chain: Chain::default() };
            let slot = self.devices.insert(device).ok()?.slot();
            self.by_did.insert(&mut self.devices, slot, self.key.hash(did.as_bytes()));
            self.text_bytes += did.len();
            Some(slot)
        });
        let Some(device) = device else { return };
        // Past the cap only by a vouch that names this DID many times over: once would have been enough.
        if self.devices.at(device).is_none_or(|d| d.loans.len() >= self.config.max_for_one) {
            return;
        }
        let loan = Loan { vouch, device, of_vouch: Link::default(), of_device: Link::default() };
        let Ok(loan) = self.loans.insert(loan) else { return };
        if let Some(record) = self.vouches.at_mut(vouch) {
            record.loans.push_back(&mut self.loans, loan.slot());
        }
        if let Some(device) = self.devices.at_mut(device) {
            device.loans.push_back(&mut self.loans, loan.slot());
        }
    }

    /// Drop a vouch and the devices that no other vouch names.
    fn drop_vouch(&mut self, slot: u32) {
        self.by_id.remove(&mut self.vouches, slot);
        let Some(mut record) = self.vouches.remove_at(slot) else { return };
        self.text_bytes -= record.id.len() + record.voucher.len();
        while let Some(loan) = record.loans.front() {
            record.loans.remove(&mut self.loans, loan);
            let Some(device) = self.loans.at(loan).map(|l| l.device) else { break };
            if let Some(entry) = self.devices.at_mut(device) {
                entry.loans.remove(&mut self.loans, loan);
                if entry.loans.is_empty() {
                    self.text_bytes -= entry.did.len();
                    self.by_did.remove(&mut self.devices, device);
                    self.devices.remove_at(device);
                }
            }
            self.loans.remove_at(loan);
        }
    }

    /// Look at a few vouches and drop the first that has expired.
    fn sweep(&mut self, wall: Wall) {
        for _ in 0..SWEEP.min(self.vouches.slots()) {
            let slot = self.sweep;
            self.sweep = if slot + 1 < self.vouches.slots() { slot + 1 } else { 0 };
            if let Some(over) = self.vouches.at(slot).filter(|r| r.expires.is_over(wall)) {
                self.swept = Some(over.id.clone());
                self.drop_vouch(slot);
                return;
            }
        }
    }
}

impl core::fmt::Debug for VouchRegistry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VouchRegistry").field("vouches", &self.vouches.len()).finish_non_exhaustive()
    }
}
