//! A store in memory that loses power.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::task::{Context, Poll};

use super::SimRng;
use crate::StoreError;
use crate::driver::{Store, StoreBatch};

/// Keeps in memory what a machine keeps, and loses power.
///
/// What was [confirmed](Self::confirm) is there for ever. A batch that was begun and was not, because the power [went](Self::crash) or
/// the commit [failed](Self::fail), is kept or lost as a whole, by chance. Whoever drives it says when a commit ends; as the [`Store`] of a driver it
/// confirms at once.
///
/// ```
/// use sluis_core::driver::StoreBatch;
/// use sluis_core::sim::{MemoryStore, SimRng};
/// use sluis_core::{Seed, StoreOp, StoreSeq};
///
/// let mut store = MemoryStore::new(SimRng::new(&Seed::from_u64(7), "store"));
/// let mut batch = StoreBatch::new();
/// batch.push(&StoreOp::put(StoreSeq(1), b"pin/jis:home:hub", b"key")?);
/// store.begin(batch);
/// assert!(store.confirm().is_some());
/// store.crash();
/// assert_eq!(store.get(b"pin/jis:home:hub"), Some(&b"key"[..]));
/// # Ok::<(), sluis_core::StoreError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryStore {
    kept: BTreeMap<Vec<u8>, Vec<u8>>,
    under_way: Option<StoreBatch>,
    rng: SimRng,
}

impl MemoryStore {
    /// One that holds nothing. What chance decides comes from `rng`.
    #[must_use]
    pub const fn new(rng: SimRng) -> Self {
        Self { kept: BTreeMap::new(), under_way: None, rng }
    }

    /// Begin to commit a batch. One that was under way is lost or kept, as if its commit had failed.
    pub fn begin(&mut self, batch: StoreBatch) {
        self.crash();
        self.under_way = Some(batch);
    }

    /// A commit is under way.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// The commit that is under way succeeds: its batch, for the machine to be told. `None` if none is.
    pub fn confirm(&mut self) -> Option<StoreBatch> {
        let batch = self.under_way.take()?;
        self.keep(&batch);
        Some(batch)
    }

    /// The commit that is under way fails: its batch, for the machine to be told. It is kept nevertheless, or lost.
    pub fn fail(&mut self) -> Option<StoreBatch> {
        let batch = self.under_way.take()?;
        if self.rng.chance(0.5) {
            self.keep(&batch);
        }
        Some(batch)
    }

    /// The power goes, and comes back.
    pub fn crash(&mut self) {
        self.fail();
    }

    fn keep(&mut self, batch: &StoreBatch) {
        for op in batch.ops() {
            match op.value() {
                Some(value) => drop(self.kept.insert(op.key().to_vec(), value.to_vec())),
                None => drop(self.kept.remove(op.key())),
            }
        }
    }

    /// What is on the medium under a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.kept.get(key).map(Vec::as_slice)
    }

    /// What is on the medium, in the order of keys: what a machine is made anew from.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.kept.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }
}

impl Store for MemoryStore {
    fn start(&mut self, batch: StoreBatch) {
        self.begin(batch);
    }

    fn poll_commit(&mut self, _: &mut Context<'_>) -> Poll<(StoreBatch, Result<(), StoreError>)> {
        self.confirm().map_or(Poll::Pending, |batch| Poll::Ready((batch, Ok(()))))
    }
}
