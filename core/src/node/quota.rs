//! How many entries of a table each sender holds.

use core::hash::BuildHasherDefault;

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

/// Counts by sender; only senders that hold anything take memory. The keys are keyed hashes already.
#[derive(Debug)]
pub(super) struct Quota {
    held: HashMap<u64, u32, BuildHasherDefault<SipHasher13>>,
    max: u32,
}

impl Quota {
    pub(super) fn new(max: u32) -> Self {
        Self { held: HashMap::default(), max }
    }

    /// Whether this sender may have one more.
    pub(super) fn allows(&self, sender: u64) -> bool {
        self.held.get(&sender).is_none_or(|n| *n < self.max)
    }

    /// Most that one sender has.
    #[cfg(feature = "sim")]
    pub(super) fn most(&self) -> u32 {
        self.held.values().copied().max().unwrap_or(0)
    }

    pub(super) fn add(&mut self, sender: u64) {
        *self.held.entry(sender).or_insert(0) += 1;
    }

    pub(super) fn remove(&mut self, sender: u64) {
        if let Some(n) = self.held.get_mut(&sender) {
            *n -= 1;
            if *n == 0 {
                self.held.remove(&sender);
            }
        }
    }
}
