//! The replay window: no packet is taken in twice.
//!
//! # What it promises
//!
//! 1. **Never twice.** A packet (sender, nonce, stamp) that was admitted is never admitted again: not after its entry was
//!    evicted, not when it was stamped in the future, not after the wall clock stepped, in either direction.
//! 2. **Only its own sender pays.** What one sender does never makes another's packet [`ReplayReject::Replay`] or, up to the caps,
//!    [`ReplayReject::Stale`]: nonces are remembered per sender, and so is what was forgotten.
//! 3. **Bounded.** Memory starts empty and never passes the byte cap; every call does a fixed amount of work.
//!
//! # How
//!
//! Each sender has a record with a *floor*: only stamps above it are taken. Each admitted packet has an entry, until the
//! entry is forgotten because it left the window, or for room (the sender's quota, or the cap for all). **Forgetting an entry raises
//! its sender's floor to the entry's stamp.** So of every admitted packet of a sender with a record it holds that either its entry
//! is there or its stamp is not above the floor; either way it is refused, whatever any clock says. A record that is dropped raises
//! the *common floor*, from which every new record starts, to the newest stamp it ever admitted; so the same holds of senders
//! without a record. Floors only ever rise, and only to stamps that were admitted.
//!
//! A common floor near the present would turn strangers away whose clocks are a little behind. Therefore a record is dropped
//! only when its newest stamp has left the window, where nothing would be taken anyway; if no such record is found and all
//! are taken, a newcomer is [`ReplayReject::Busy`]. A flood of accepted names can use up the records for the length of a window, and no
//! more than that; and where the caller says who is known and which address a stranger came from, as a node does, neither the
//! last eighth of the records (a sixteenth, for names that the operator trusts) nor more than a share of the second half.
//!
//! Senders and nonces are kept as 64-bit keyed hashes. Equal texts have equal hashes, so a collision (which nobody can bring about
//! without the key) could only refuse a packet, never admit one twice.
//!
//! # What it costs
//!
//! * A sender whose packets arrive out of order by more than its quota (4,096 packets), or that stamps more packets than that
//!   with one and the same microsecond, meets its own floor: `Stale`.
//! * When the cap for all is reached, a sender with a share of [`FAIR_SHARE`] entries or more evicts its own oldest; only one
//!   with fewer evicts the oldest of all.
//! * When wall clocks step back by hours, senders whose stamps step back with them are `Stale` until they pass what they had stamped
//!   before: the price of promise 1. A restart forgets everything; [`raise_floor`](ReplayTable::raise_floor) closes that gap too.
//!
//! Differences from `tibet_ping.nonce`, on purpose: there a nonce burns for everyone, packets the gate refuses burn nonces too, entries
//! go by time of arrival (a packet stamped 5 s ahead can be replayed after 31 s), and memory has no bound.

mod table;
#[cfg(test)]
mod tests;

#[cfg(feature = "alloc")]
pub(crate) use table::Origin;
pub use table::{Admission, FAIR_SHARE, ReplayTable};

use crate::reject::Reject;
use crate::seed::SipKey;
use crate::table::Fixed;
use crate::time::Duration;

/// What a replay window takes and holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayConfig {
    /// How old a stamp may be; exactly this old still passes. Default 30 s.
    pub window: Duration,
    /// How far in the future a stamp may be; exactly this far still passes. Default 5 s.
    pub skew: Duration,
    /// How many packets of one sender are remembered. Default 4,096, at least 1.
    pub per_sender: usize,
    /// How many senders are remembered. Default 65,536, at least 1.
    pub max_senders: usize,
    /// How many packets are remembered in all. Default 196,608, at least 1.
    pub max_entries: usize,
    /// How many bytes of heap it may hold: the two numbers above are cut down to what fits, of the senders to what fits in half
    /// of it. Default 16 MiB. No meaning for [`FixedReplayWindow`].
    pub max_bytes: usize,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            skew: Duration::from_secs(5),
            per_sender: 4096,
            max_senders: 65_536,
            max_entries: 196_608,
            max_bytes: 16 << 20,
        }
    }
}

/// Why a packet may not be admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayReject {
    /// Stamped longer ago than the window, or not after what was already forgotten of its sender.
    #[error("stamped before what the replay window covers")]
    Stale,
    /// Stamped further in the future than the clock skew allows.
    #[error("stamped in the future")]
    Future,
    /// The nonce is remembered from this sender.
    #[error("its nonce was seen before")]
    Replay,
    /// A new sender, and every record belongs to one that was active within the window.
    #[error("no room for another sender")]
    Busy,
}

impl From<ReplayReject> for Reject {
    fn from(why: ReplayReject) -> Self {
        match why {
            ReplayReject::Stale => Self::Stale,
            ReplayReject::Future => Self::Future,
            ReplayReject::Replay => Self::Replay,
            ReplayReject::Busy => Self::Busy,
        }
    }
}

/// A replay window on the heap.
#[cfg(feature = "alloc")]
pub type ReplayWindow = ReplayTable<crate::table::Heap, crate::table::Heap>;

/// A replay window without a heap, for at most `SENDERS` senders and `ENTRIES` packets.
pub type FixedReplayWindow<const SENDERS: usize, const ENTRIES: usize> = ReplayTable<Fixed<SENDERS>, Fixed<ENTRIES>>;

/// The hash of a sender, and of a nonce in the scope of its sender.
struct Names(SipKey);

impl Names {
    fn sender(&self, did: &str) -> u64 {
        self.0.hash(did.as_bytes())
    }

    fn nonce(&self, sender: u64, nonce: &str) -> u64 {
        self.0.hash_in(sender, nonce.as_bytes())
    }
}
