//! What nodes keep, on its way to their stores.

use super::World;
use super::member::{Doing, Member, Role};
use crate::driver::StoreBatch;
use crate::sim::store::MemoryStore;
use crate::time::Now;
use crate::{Durable as _, Wants};

/// How long a medium takes at most, in nanoseconds.
const COMMIT: u64 = 30_000_000;

/// What a node wants that can be done while its medium, if it has one, is at work.
pub(super) fn wants_beside(store: Option<&MemoryStore>, wants: Wants) -> Wants {
    let busy = store.is_some_and(MemoryStore::is_busy);
    Wants { store: wants.store && !busy, ..wants }
}

impl World {
    /// Begin to bring to its medium what a node has to keep, unless something is on its way there.
    pub(super) fn keep(&mut self, n: u32) {
        let Member { role: Role::Node(node), store: Some(store), .. } = &mut self.members[n as usize] else { return };
        if store.is_busy() {
            return;
        }
        let mut batch = StoreBatch::new();
        while batch.has_room() {
            let Some(op) = node.poll_store() else { break };
            batch.push(&op);
        }
        if !batch.is_empty() {
            store.begin(batch);
            let after = self.rng.below(COMMIT);
            self.later(n, after, Doing::Commit);
        }
    }

    /// What a node had to keep has reached its medium.
    pub(super) fn commit(&mut self, n: u32, now: Now) {
        let Member { role: Role::Node(node), store: Some(store), .. } = &mut self.members[n as usize] else { return };
        if let Some(upto) = store.confirm().and_then(|batch| batch.upto()) {
            node.handle_stored(now, upto, Ok(()));
        }
    }
}
