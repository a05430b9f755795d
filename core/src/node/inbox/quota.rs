//! How much of a table each sender, and each address that has proven nothing, holds.

use core::hash::BuildHasherDefault;
use core::net::{IpAddr, SocketAddr};

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

use crate::SipKey;
use crate::airlock::Rank;

/// Who is charged for an entry. All are keyed hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) struct Charged {
    /// A name together with the address that it came from.
    pub(super) sender: u64,
    /// What only an address that has not proven to be its sender's is charged for.
    pub(super) unproven: Option<Unproven>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unproven {
    /// The name alone, whatever addresses it comes from.
    pub(super) name: u64,
    /// The address alone, whatever names come from it.
    pub(super) address: u64,
}

/// Sets the hashes of addresses apart from those of names in the scope of a name.
const ADDRESSES: u64 = 0x0061_6464_7265_7373;

/// The keyed hash of an address without its port: of an IPv6 address its network of 64 bits, all of which one host may use.
pub(super) fn address_hash(key: &SipKey, scope: u64, remote: SocketAddr) -> u64 {
    match remote.ip().to_canonical() {
        IpAddr::V4(ip) => key.hash_in(scope, &ip.octets()),
        IpAddr::V6(ip) => key.hash_in(scope, &ip.octets()[..8]),
    }
}

/// The keyed hash of an address in no scope.
pub(in crate::node) fn address(key: &SipKey, remote: SocketAddr) -> u64 {
    address_hash(key, ADDRESSES, remote)
}

impl Charged {
    /// Who is charged for what came from a sender (its hash) of this rank at this address.
    pub(in crate::node) fn new(key: &SipKey, sender: u64, rank: Rank, remote: SocketAddr) -> Self {
        let unproven = (rank < Rank::Proven).then(|| Unproven { name: sender, address: address(key, remote) });
        Self { sender: address_hash(key, sender, remote), unproven }
    }

    fn keys(self) -> impl Iterator<Item = u64> {
        [Some(self.sender), self.unproven.map(|who| who.address)].into_iter().flatten()
    }
}

/// Counts by sender and by unproven address; only who holds anything takes memory.
#[derive(Debug)]
pub(super) struct Quota {
    /// The keys are keyed hashes already.
    held: HashMap<u64, u32, BuildHasherDefault<SipHasher13>>,
    most: Most,
}

/// Most that each may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Most {
    /// A sender at one address.
    pub(super) per_sender: u32,
    /// An unproven address, whatever names it gives.
    pub(super) per_address: u32,
}

impl Quota {
    /// Nobody holds anything.
    pub(super) fn new(most: Most) -> Self {
        Self { held: HashMap::default(), most }
    }

    /// How many entries a sender (its hash), or an address, is charged for.
    pub(super) fn has(&self, who: u64) -> u32 {
        self.held.get(&who).copied().unwrap_or(0)
    }

    /// Whether there may be one more.
    pub(super) fn allows(&self, who: Charged) -> bool {
        let Most { per_sender, per_address } = self.most;
        self.has(who.sender) < per_sender && who.unproven.is_none_or(|who| self.has(who.address) < per_address)
    }

    /// Most that one of them has.
    #[cfg(feature = "sim")]
    pub(super) fn most(&self) -> u32 {
        self.held.values().copied().max().unwrap_or(0)
    }

    pub(super) fn add(&mut self, who: Charged) {
        for key in who.keys() {
            *self.held.entry(key).or_insert(0) += 1;
        }
    }

    pub(super) fn remove(&mut self, who: Charged) {
        for key in who.keys() {
            let Some(n) = self.held.get_mut(&key) else { continue };
            *n = n.saturating_sub(1);
            if *n == 0 {
                self.held.remove(&key);
            }
        }
    }
}
