//! What nodes keep, on its way to their stores.

use super::World;
use super::member::{Doing, Member, Role};
use crate::driver::StoreBatch;
use crate::time::Now;
use crate::{Durable as _, Machine as _};

/// How long a commit takes at most, in nanoseconds.
const COMMIT: u64 = 20_000_000;

impl World {
    /// Begin to write what a node wants to be kept, unless something is being written.
    pub(super) fn write(&mut self, n: u32) {
        let Member { role: Role::Node(node), store: Some(store), .. } = &mut self.members[n as usize] else { return };
        if store.is_busy() || !node.wants().store {
            return;
        }
        let mut batch = StoreBatch::new();
        while batch.has_room()
            && let Some(op) = node.poll_store()
        {
            batch.push(&op);
        }
        if !batch.is_empty() {
            store.begin(batch);
            let after = self.rng.below(COMMIT);
            self.later(n, after, Doing::Commit);
        }
    }

    /// A commit ends: what was written is there. None fails, because a node goes on then without what it could not keep.
    pub(super) fn commit(&mut self, n: u32, now: Now) {
        let Member { role: Role::Node(node), store: Some(store), .. } = &mut self.members[n as usize] else { return };
        if let Some(upto) = store.confirm().and_then(|batch| batch.upto()) {
            node.handle_stored(now, upto, Ok(()));
        }
    }
}
