//! What goes in and out of a queue.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Waker;

use crate::chain::Leaf;
use crate::fail::Failure;

/// What became of all appends between one failure and the next. A ticket holds it, so that it can be asked at any later time.
#[derive(Debug, Default)]
pub(super) struct Fate {
    /// Positions below are durable.
    pub(super) settled: AtomicU64,
    /// The others are not, and will not be.
    pub(super) failure: OnceLock<Failure>,
}

/// A place in the queue.
#[derive(Clone, Debug)]
pub struct Place {
    pub(super) fate: Arc<Fate>,
    pub(super) position: u64,
}

impl Place {
    /// What became of it, if that is known.
    #[must_use]
    pub fn outcome(&self) -> Option<Result<(), Failure>> {
        let failure = self.fate.failure.get();
        if self.fate.settled.load(Ordering::Acquire) > self.position { Some(Ok(())) } else { failure.map(|f| Err(*f)) }
    }
}

/// Lines that go to the disk together.
#[derive(Debug)]
pub struct Batch<M> {
    /// Before the first line, a new segment begins.
    pub turn: bool,
    /// The lines, each with its line feed.
    pub bytes: Vec<u8>,
    /// Their hashes, if the chain has any.
    pub leaves: Vec<Leaf>,
    /// How many lines.
    pub entries: u64,
    pub(super) positions: u64,
    /// The chain as the new segment begins.
    pub(super) turned: Option<M>,
    /// The chain after the last line, once nothing is added any more.
    pub(super) end: Option<M>,
}

impl<M> Default for Batch<M> {
    fn default() -> Self {
        Self { turn: false, bytes: Vec::new(), leaves: Vec::new(), entries: 0, positions: 0, turned: None, end: None }
    }
}

/// How full a segment is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    /// Bytes.
    pub bytes: u64,
    /// Lines.
    pub entries: u64,
}

/// A failure, as the writer reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// What happened.
    pub failure: Failure,
    /// The new segment had begun before it happened.
    pub turned: bool,
}

/// Who is to be woken, once no lock is held.
#[must_use]
#[derive(Debug, Default)]
pub struct Wakers(pub(super) Vec<Waker>);

impl Wakers {
    /// Wake them.
    pub fn wake(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}
