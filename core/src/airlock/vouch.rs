//! Vouches: a trusted DID lends a share of its trust to others.

use alloc::boxed::Box;

use crate::did::{DidError, check_did};
use crate::seed::SipKey;
use crate::table::{Chain, Chained, Heap, Index, Link, Linked, List, Slab, SlotId};
use crate::time::{Wall, iso};

/// When a vouch ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// After this moment: at exactly this moment it still counts.
    After(Wall),
    /// It has ended: the text could not be read.
    Unreadable,
}

impl Expiry {
    /// From the text of a vouch record: none or an empty one is never, one that cannot be read has expired.
    #[must_use]
    pub fn from_text(text: Option<&str>) -> Self {
        match text {
            None | Some("") => Self::Never,
            Some(text) => iso::parse(text).map_or(Self::Unreadable, Self::After),
        }
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(self, wall: Wall) -> bool {
        match self {
            Self::Never => false,
            Self::After(end) => wall > end,
            Self::Unreadable => true,
        }
    }
}

/// A vouch, as it is handed in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vouch<'a> {
    /// Names it: adding another with the same id replaces it.
    pub id: &'a str,
    /// Who vouches.
    pub voucher_did: &'a str,
    /// How far the voucher is trusted, 0 to 1.
    pub voucher_trust: f64,
    /// Which share of that is lent, 0 to 1. Default in the reference: 0.7.
    pub factor: f64,
    /// To whom. Exact DIDs, no patterns.
    pub vouched: &'a [&'a str],
    /// Until when.
    pub expires: Expiry,
}

/// Why a vouch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VouchError {
    /// Trust or factor is not a number from 0 to 1. (The reference takes any, and so lends more than everything.)
    #[error("{0} must be a number from 0 to 1")]
    OutOfRange(&'static str),
    /// The id is empty or longer than [`MAX_VOUCH_ID`] bytes.
    #[error("a vouch id has 1 to {MAX_VOUCH_ID} bytes, this one has {0}")]
    Id(usize),
    /// A DID cannot be one.
    #[error(transparent)]
    Did(#[from] DidError),
    /// There are as many vouches as the configuration allows.
    #[error("there are {0} vouches already, the most that the configuration allows")]
    TooMany(usize),
    /// There are as many vouched DIDs as the configuration allows, each counted once for each vouch.
    #[error("more than {0} vouched senders, the most that the configuration allows")]
    TooManyVouched(usize),
    /// One DID has as many vouches as the configuration allows.
    #[error("one sender has {0} vouches already, the most that the configuration allows")]
    TooManyForOne(usize),
    /// It would pass the bytes that the configuration allows.
    #[error("the vouches take the {0} bytes that the configuration allows")]
    TooLarge(usize),
}

/// Longest id of a vouch in bytes.
pub const MAX_VOUCH_ID: usize = 64;

/// How much a [`VouchRegistry`] may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VouchConfig {
    /// How many vouches. Default 4,096.
    pub max_vouches: usize,
    /// How many vouched DIDs over all vouches. Default 65,536.
    pub max_vouched: usize,
    /// How many vouches for one DID. Default 64: this bounds what a look-up does.
    pub max_for_one: usize,
    /// How many bytes of heap; below 64 KiB nothing fits. Default 64 MiB.
    pub max_bytes: usize,
}

impl Default for VouchConfig {
    fn default() -> Self {
        Self { max_vouches: 4096, max_vouched: 65_536, max_for_one: 64, max_bytes: 64 << 20 }
    }
}

/// Names one vouch of a registry.
pub type VouchId = SlotId;

/// Counts of a [`VouchRegistry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct VouchStats {
    /// Vouches held, expired ones that have not been swept yet included.
    pub total: usize,
    /// Of these, the ones that count now.
    pub active: usize,
    /// DIDs with at least one vouch held.
    pub devices: usize,
}

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
    pub fn heap_bytes(&self) -> usize {
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
            if self.vouches.at(slot).is_some_and(|r| r.expires.is_over(wall)) {
                self.drop_vouch(slot);
                return;
            }
        }
    }
}

/// Check what is wrong with a vouch whatever the registry holds.
fn check(vouch: &Vouch<'_>) -> Result<(), VouchError> {
    for (name, value) in [("voucher_trust", vouch.voucher_trust), ("factor", vouch.factor)] {
        if !(0.0..=1.0).contains(&value) {
            return Err(VouchError::OutOfRange(name));
        }
    }
    if vouch.id.is_empty() || vouch.id.len() > MAX_VOUCH_ID {
        return Err(VouchError::Id(vouch.id.len()));
    }
    check_did(vouch.voucher_did)?;
    vouch.vouched.iter().try_for_each(|did| check_did(did))?;
    Ok(())
}

impl core::fmt::Debug for VouchRegistry {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VouchRegistry").field("vouches", &self.vouches.len()).finish_non_exhaustive()
    }
}
