//! What a machine keeps, on its way to a store.

use alloc::vec::Vec;
use core::task::{Context, Poll};

use crate::limits::{MAX_STORE_KEY, MAX_STORE_VALUE};
use crate::time::Now;
use crate::{Durable, Machine, StoreError, StoreOp, StoreSeq};

/// Changes in a batch.
const MAX_OPS: usize = 1024;
/// Bytes of keys and values in a batch.
const MAX_BYTES: usize = 1 << 20;
/// Commits that are told of in one turn, where they end at once.
const ROUNDS: u32 = 4;

/// Where what a machine keeps is kept: any medium that takes a batch as a whole or not at all, on any runtime.
///
/// One batch is under way at a time; while it is, the next one forms in the machine.
pub trait Store {
    /// Begin to commit a batch, which is not empty. Called again only after [`poll_commit`](Self::poll_commit) has said how that ended.
    /// It must not block: the same task carries the datagrams.
    fn start(&mut self, batch: StoreBatch);

    /// How the commit ended, and the batch, to be used again. `Ok`: everything in it is on the medium. `Err`: all of it may be or
    /// nothing. `Pending` has arranged for the task to be woken.
    fn poll_commit(&mut self, cx: &mut Context<'_>) -> Poll<(StoreBatch, Result<(), StoreError>)>;
}

/// Changes that are committed together: at most 1,024, and 1 MiB of keys and values.
#[derive(Clone, Debug, Default)]
pub struct StoreBatch {
    arena: Vec<u8>,
    ops: Vec<Op>,
}

#[derive(Clone, Copy, Debug)]
struct Op {
    seq: StoreSeq,
    /// Where its key ends, which begins where the op before it ends.
    key: usize,
    /// Where its value ends. `None`: it is removed.
    value: Option<usize>,
}

impl Op {
    const fn end(&self) -> usize {
        match self.value {
            Some(end) => end,
            None => self.key,
        }
    }
}

impl StoreBatch {
    /// Without changes.
    #[must_use]
    pub const fn new() -> Self {
        Self { arena: Vec::new(), ops: Vec::new() }
    }

    /// There is room for any change.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.ops.len() < MAX_OPS && self.arena.len() + MAX_STORE_KEY + MAX_STORE_VALUE <= MAX_BYTES
    }

    /// Copy a change in; `false` if there is no room.
    pub fn push(&mut self, op: &StoreOp<'_>) -> bool {
        if !self.has_room() {
            return false;
        }
        self.arena.extend_from_slice(op.key());
        let key = self.arena.len();
        let value = op.value().map(|value| {
            self.arena.extend_from_slice(value);
            self.arena.len()
        });
        self.ops.push(Op { seq: op.seq(), key, value });
        true
    }

    /// How many changes it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// It holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The changes, oldest first: of several to one key the last counts.
    pub fn ops(&self) -> impl ExactSizeIterator<Item = StoreOp<'_>> {
        let mut from = 0;
        self.ops.iter().map(move |op| {
            let key = self.arena.get(from..op.key).unwrap_or_default();
            let value = op.value.map(|end| self.arena.get(op.key..end).unwrap_or_default());
            from = op.end();
            StoreOp::copied(op.seq, key, value)
        })
    }

    /// The number of the last change.
    #[must_use]
    pub fn upto(&self) -> Option<StoreSeq> {
        self.ops.last().map(|op| op.seq)
    }

    /// Forget all changes, and keep the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.ops.clear();
    }
}

/// What of a machine's changes a driver brings to a medium: [`NoStore`] of one that keeps nothing, [`Stored`] of one that does.
pub trait Storage<M: Machine> {
    /// Say how a commit ended, and begin the next; whether there was any of that.
    fn serve(&mut self, cx: &mut Context<'_>, now: Now, machine: &mut M) -> bool;

    /// A commit is under way.
    fn is_busy(&self) -> bool;
}

/// Nothing is kept. Of a machine that has something to be kept, nothing is ever acknowledged then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoStore;

impl<M: Machine> Storage<M> for NoStore {
    fn serve(&mut self, _: &mut Context<'_>, _: Now, _: &mut M) -> bool {
        false
    }

    fn is_busy(&self) -> bool {
        false
    }
}

/// What a [`Durable`] machine keeps goes to a [`Store`].
#[derive(Debug)]
pub struct Stored<S> {
    store: S,
    batch: StoreBatch,
    /// What is under way.
    upto: Option<StoreSeq>,
}

impl<S: Store> Stored<S> {
    /// In this store.
    pub const fn new(store: S) -> Self {
        Self { store, batch: StoreBatch::new(), upto: None }
    }
}

impl<M: Durable, S: Store> Storage<M> for Stored<S> {
    fn serve(&mut self, cx: &mut Context<'_>, now: Now, machine: &mut M) -> bool {
        let (mut moved, mut ended) = (false, 0);
        loop {
            if let Some(upto) = self.upto {
                let Poll::Ready((batch, result)) = self.store.poll_commit(cx) else { return moved };
                (self.batch, self.upto, moved, ended) = (batch, None, true, ended + 1);
                machine.handle_stored(now, upto, result);
            }
            if ended == ROUNDS {
                return moved;
            }
            self.batch.clear();
            while self.batch.has_room() {
                let Some(op) = machine.poll_store() else { break };
                self.batch.push(&op);
            }
            self.upto = self.batch.upto();
            if self.upto.is_none() {
                return moved;
            }
            self.store.start(core::mem::take(&mut self.batch));
            moved = true;
        }
    }

    fn is_busy(&self) -> bool {
        self.upto.is_some()
    }
}
