//! What a machine keeps, on its way to a store.

use alloc::vec::Vec;
use core::task::{Context, Poll};

use super::{DriverStats, Sent, Transport};
use crate::limits::{MAX_STORE_KEY, MAX_STORE_VALUE};
use crate::time::{Instant, Now};
use crate::{Durable, StoreError, StoreOp, StoreSeq, Wants};

/// Changes in a batch.
const MAX_OPS: usize = 1024;
/// Bytes of keys and values in a batch.
const MAX_BYTES: usize = 1 << 20;

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
    pub(crate) fn has_room(&self) -> bool {
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
    pub(crate) fn clear(&mut self) {
        self.arena.clear();
        self.ops.clear();
    }
}

/// A [`Transport`] of a [`Durable`] machine, what it keeps included: that goes to a [`Store`], one batch at a time, while datagrams and
/// streams come and go. Without it nothing that a machine keeps is ever acknowledged.
#[derive(Debug)]
pub struct Stored<T, S> {
    transport: T,
    store: S,
    batch: StoreBatch,
    /// What is under way.
    upto: Option<StoreSeq>,
    /// How that ended, as long as the machine was not told.
    ended: Option<Result<(), StoreError>>,
}

impl<T, S: Store> Stored<T, S> {
    /// What is kept goes to this store, everything else through this transport.
    pub const fn new(transport: T, store: S) -> Self {
        Self { transport, store, batch: StoreBatch::new(), upto: None, ended: None }
    }

    /// Look whether a commit has ended; whether there is one to be told of.
    fn look(&mut self, cx: &mut Context<'_>) -> bool {
        if self.upto.is_some()
            && self.ended.is_none()
            && let Poll::Ready((batch, result)) = self.store.poll_commit(cx)
        {
            self.batch = batch;
            self.ended = Some(result);
        }
        self.ended.is_some()
    }

    /// Say how a commit ended; whether one had.
    fn tell<M: Durable>(&mut self, now: Now, machine: &mut M) -> bool {
        let (Some(upto), Some(result)) = (self.upto, self.ended.take()) else { return false };
        self.upto = None;
        machine.handle_stored(now, upto, result);
        true
    }

    /// Begin the next commit, unless one is under way; whether there was something to be kept.
    fn begin<M: Durable>(&mut self, machine: &mut M) -> bool {
        if self.upto.is_some() {
            return false;
        }
        self.batch.clear();
        while self.batch.has_room() {
            let Some(op) = machine.poll_store() else { break };
            self.batch.push(&op);
        }
        self.upto = self.batch.upto();
        if self.upto.is_some() {
            self.store.start(core::mem::take(&mut self.batch));
        }
        self.upto.is_some()
    }
}

impl<M: Durable, T: Transport<M>, S: Store> Transport<M> for Stored<T, S> {
    type Error = T::Error;

    fn now(&self) -> Now {
        self.transport.now()
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        self.transport.poll_timer(cx, at)
    }

    fn receive(&mut self, cx: &mut Context<'_>, stats: &mut DriverStats, flushing: bool) -> Result<bool, T::Error> {
        let ended = self.look(cx);
        Ok(self.transport.receive(cx, stats, flushing)? || ended)
    }

    fn hand_in(&mut self, now: Now, machine: &mut M, stats: &mut DriverStats) -> bool {
        let told = self.tell(now, machine);
        self.transport.hand_in(now, machine, stats) || told
    }

    fn fill(&mut self, now: Now, machine: &mut M) -> bool {
        // Answers that waited for a commit are among what is to be sent.
        let told = self.tell(now, machine);
        let begun = self.begin(machine);
        self.transport.fill(now, machine) || told || begun
    }

    fn send(&mut self, cx: &mut Context<'_>, stats: &mut DriverStats) -> Result<Sent, T::Error> {
        let sent = self.transport.send(cx, stats)?;
        Ok(Sent { more: self.look(cx) || sent.more, ..sent })
    }

    fn can_take(&self, wants: Wants) -> Wants {
        let wants = self.transport.can_take(wants);
        Wants { store: wants.store && self.upto.is_none(), ..wants }
    }

    fn is_full(&self) -> bool {
        self.transport.is_full()
    }

    fn is_empty(&self) -> bool {
        self.transport.is_empty() && self.upto.is_none()
    }

    fn discard(&mut self, now: Now, machine: &mut M, stats: &mut DriverStats) {
        self.transport.discard(now, machine, stats);
    }
}
