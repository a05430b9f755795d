//! A million peers, and what they take.

use sluis_core::airlock::Rank;
use sluis_core::node::{Peers, Recorded};
use sluis_core::time::{Duration, Instant};
use sluis_core::{Path, Seed};

use crate::alloc::{Heap, heap};

/// How many peers the project's promise is about.
pub const MILLION: u32 = 1_000_000;

/// Heap of a peer table with so many peers, each with a DID of 32 bytes, all of it counted by
/// [`Counting`](crate::alloc::Counting), which must be the global allocator.
///
/// # Panics
/// The table does not take them.
#[must_use]
pub fn heap_of(count: u32) -> Heap {
    use std::fmt::Write as _;
    let key = Seed::from_u64(1).fork("peers").sip_key();
    let before = heap();
    let mut peers = Peers::new(count, usize::MAX, Duration::from_secs(90), key);
    let mut did = String::with_capacity(32);
    for i in 0..count {
        did.clear();
        let _ = write!(did, "jis:fleet:sensor-{i:015}");
        let [a, b, c, d] = i.to_be_bytes();
        let path = Path::to(([10, b, c, d], 7150 + u16::from(a)).into());
        let seat = peers.look_up(&did);
        assert_eq!((did.len(), peers.record(Instant::ZERO, seat, path, Rank::Proven)), (32, Recorded::New));
    }
    let after = heap();
    assert_eq!(peers.len(), count as usize);
    Heap { live: after.live - before.live - did.capacity(), held: after.held - before.held - 48 }
}
