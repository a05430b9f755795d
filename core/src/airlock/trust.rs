//! How far a sender is trusted: what the operator said, else what vouches lend, else nothing.

use alloc::boxed::Box;

use super::vouch::VouchRegistry;
use crate::did::{DidError, check_did};
use crate::seed::{Name, SipKey};
use crate::table::{Chain, Chained, Heap, Index, Slab};
use crate::time::Wall;

/// Why a trust is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// It is not a number. (The reference stores 1.)
    #[error("trust must be a number")]
    NotANumber,
    /// The DID cannot be one.
    #[error(transparent)]
    Did(#[from] DidError),
    /// There are as many entries as the configuration allows.
    #[error("trust is set for {0} senders already, the most that the configuration allows")]
    TooMany(usize),
    /// The DIDs have as many bytes as the configuration allows.
    #[error("the senders with trust take the {0} bytes that the configuration allows")]
    TooLarge(usize),
    /// Too many changes wait to be kept: try again once some are.
    #[error("too many changes wait for the store")]
    Busy,
}

/// How much a [`TrustTable`] may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustConfig {
    /// How many DIDs. Default 1,000,000.
    pub max_entries: usize,
    /// How many bytes of heap. Default 256 MiB.
    pub max_bytes: usize,
}

impl Default for TrustConfig {
    fn default() -> Self {
        Self { max_entries: 1_000_000, max_bytes: 256 << 20 }
    }
}

struct ByDid;

struct Entry {
    did: Box<str>,
    trust: f64,
    chain: Chain,
}

impl Chained<ByDid> for Entry {
    fn chain(&self) -> &Chain {
        &self.chain
    }
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

/// The trust that the operator set for each DID.
pub struct TrustTable {
    key: SipKey,
    entries: Slab<Entry, Heap>,
    by_did: Index<ByDid, Heap>,
    did_bytes: usize,
    config: TrustConfig,
}

impl TrustTable {
    /// Empty.
    #[must_use]
    pub fn new(config: TrustConfig, key: SipKey) -> Self {
        Self { key, entries: Slab::new(config.max_entries), by_did: Index::new(), did_bytes: 0, config }
    }

    /// Set the trust of a DID, held within 0 to 1. Returns what was stored.
    ///
    /// # Errors
    /// When it is no number, the DID is no DID, or a new DID does not fit.
    pub fn set(&mut self, did: &str, trust: f64) -> Result<f64, TrustError> {
        if trust.is_nan() {
            return Err(TrustError::NotANumber);
        }
        // `-0.0` too becomes `0.0`.
        let trust = if trust > 0.0 { trust.min(1.0) } else { 0.0 };
        if let Some(slot) = self.find(did)
            && let Some(entry) = self.entries.at_mut(slot)
        {
            entry.trust = trust;
            return Ok(trust);
        }
        check_did(did)?;
        let more = did.len() + self.entries.growth_bytes() + self.by_did.growth_bytes();
        if self.heap_bytes() + more > self.config.max_bytes {
            return Err(TrustError::TooLarge(self.config.max_bytes));
        }
        let entry = Entry { did: did.into(), trust, chain: Chain::default() };
        let Ok(id) = self.entries.insert(entry) else { return Err(TrustError::TooMany(self.config.max_entries)) };
        self.by_did.insert(&mut self.entries, id.slot(), self.key.hash(did.as_bytes()));
        self.did_bytes += did.len();
        Ok(trust)
    }

    /// Forget a DID; false when it was not there.
    pub fn remove(&mut self, did: &str) -> bool {
        let Some(slot) = self.find(did) else { return false };
        self.by_did.remove(&mut self.entries, slot);
        self.entries.remove_at(slot);
        self.did_bytes -= did.len();
        true
    }

    /// The trust that was set for a DID.
    #[must_use]
    pub fn get(&self, did: &str) -> Option<f64> {
        if self.entries.is_empty() {
            return None;
        }
        self.get_name(self.key.name(did))
    }

    /// The same for a name that was hashed with this table's key.
    pub(crate) fn get_name(&self, name: Name<'_>) -> Option<f64> {
        let slot = self.by_did.find(&self.entries, name.hash(), |e| *e.did == *name.as_str())?;
        self.entries.at(slot).map(|e| e.trust)
    }

    /// How many DIDs have one.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of heap held, the allocator's own overhead aside.
    #[must_use]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.entries.heap_bytes() + self.by_did.heap_bytes() + self.did_bytes
    }

    /// See `Node::touch`.
    #[cfg(feature = "sim")]
    #[inline]
    pub(crate) fn touch(&self, level: u32) -> u64 {
        match level {
            0 => (self.entries.len() ^ self.by_did.len()) as u64,
            1 => self.entries.touch(8) ^ self.by_did.touch(),
            2 => 0,
            _ => self.entries.touch_entries(8, |entry| entry.did.as_bytes().first().copied().unwrap_or(0).into()),
        }
    }

    fn find(&self, did: &str) -> Option<u32> {
        self.by_did.find(&self.entries, self.key.hash(did.as_bytes()), |e| &*e.did == did)
    }
}

impl core::fmt::Debug for TrustTable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("TrustTable").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Where a trust comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The operator set it.
    Known,
    /// Vouches lend it.
    Vouched {
        /// How many count for this DID now.
        count: u32,
    },
    /// It is the score of a registered device: what its key has proven here.
    Score,
    /// Nowhere: it is 0.
    Unknown,
}

impl Source {
    /// The word for it in a response's `fira_breakdown`, as the reference writes it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Vouched { .. } => "vouched",
            Self::Score => "score",
            Self::Unknown => "unknown",
        }
    }
}

/// How far a sender is trusted, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// 0 to 1.
    pub trust: f64,
    /// Where it comes from.
    pub source: Source,
}

impl Standing {
    /// The same for a name that was hashed with the key of the trust table.
    /// Where nobody ever vouched, there need be no registry.
    pub(crate) fn of_name(name: Name<'_>, known: &TrustTable, vouches: Option<&VouchRegistry>, wall: Wall) -> Self {
        Self::from(known.get_name(name), name.as_str(), vouches, wall)
    }

    fn from(known: Option<f64>, did: &str, vouches: Option<&VouchRegistry>, wall: Wall) -> Self {
        if let Some(trust) = known {
            return Self { trust, source: Source::Known };
        }
        match vouches.and_then(|vouches| vouches.trust_for(did, wall)) {
            Some((trust, count)) => Self { trust, source: Source::Vouched { count } },
            None => Self { trust: 0.0, source: Source::Unknown },
        }
    }
}
