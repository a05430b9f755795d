//! Group commit as a machine: lines in, batches out, outcomes in, wakers out. No file, no thread, no lock.
//!
//! ```text
//!   append ──▶ [ line line line | line … ] ──take──▶ batch on its way to the disk
//!                    queued                              │
//!   tickets  ◀── ready or failed ───────────── settle ◀──┘
//! ```
//!
//! A batch forms while the one before is synced. An outcome counts for a whole batch; a failure also fails everything queued
//! behind it, since those lines were composed upon lines that are not there, and takes the chain back to the last
//! acknowledged one.

mod batch;
mod room;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use sluis_chain::log::is_blank;

use crate::chain::{Chain, Composed, Leaf};
use crate::fail::{AppendError, Failure};
use crate::options::{BATCH_BYTES, Options};
use batch::Fate;
pub use batch::{Batch, Broken, Fill, Place, Wakers};

/// How many segments may begin in a queue: each costs two marks of the chain, however few lines it has.
const MAX_TURNS: usize = 64;

/// The queue before the disk.
pub struct Queue<C: Chain> {
    options: Options,
    chain: C,
    fill: Fill,
    durable: C::Mark,
    durable_fill: Fill,
    batches: VecDeque<Batch<C::Mark>>,
    spare: Vec<Batch<C::Mark>>,
    /// Where lines are composed.
    line: Box<[u8]>,
    /// Bytes and positions queued or on their way.
    held: (usize, usize),
    /// Segments that begin in what is queued.
    turns: usize,
    in_flight: bool,
    fate: Arc<Fate>,
    next: u64,
    /// Whoever waits for the positions from the first unsettled one on.
    waiting: VecDeque<Option<Waker>>,
    /// Whoever waits for room, the first one first.
    room: VecDeque<(u64, Waker)>,
    next_room: u64,
    closed: Option<Failure>,
    /// What is queued fails with the batch on its way, whatever becomes of that.
    malformed: bool,
}

impl<C: Chain> Queue<C> {
    /// A queue behind a chain whose last line is durable, in a segment that is so full.
    pub fn new(options: Options, chain: C, fill: Fill) -> Self {
        Self {
            options,
            durable: chain.mark(),
            line: vec![0; options.max_line + 1].into(),
            chain,
            fill,
            durable_fill: fill,
            batches: VecDeque::new(),
            spare: Vec::new(),
            held: (0, 0),
            turns: 0,
            in_flight: false,
            fate: Arc::default(),
            next: 0,
            waiting: VecDeque::new(),
            room: VecDeque::new(),
            next_room: 0,
            closed: None,
            malformed: false,
        }
    }

    /// The chain after the last acknowledged line.
    pub fn durable(&self) -> &C::Mark {
        &self.durable
    }

    /// The same, to change what is not about lines.
    pub(crate) fn chain_mut(&mut self) -> &mut C {
        &mut self.chain
    }

    /// Bytes and lines queued or on their way to the disk.
    pub fn held(&self) -> (usize, usize) {
        self.held
    }

    /// Nothing waits to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// There is room for one more line, however long.
    pub(crate) fn has_room(&self) -> bool {
        let (bytes, positions) = self.held;
        bytes + self.options.max_line < self.options.queue_bytes
            && positions < self.options.queue_entries
            && self.turns < MAX_TURNS
    }

    /// The failure that has closed the journal.
    pub(crate) fn closed(&self) -> Option<Failure> {
        self.closed
    }

    /// Refuse appends from now on, or take them again.
    pub(crate) fn set_closed(&mut self, failure: Option<Failure>) {
        self.closed = failure;
    }

    /// Queue one line: `compose` gets the chain as it is after the line before and a buffer for the longest line and a line feed.
    /// If it gives an error, it leaves the chain as it was.
    ///
    /// # Errors
    /// Nothing was queued.
    pub fn append<T, E>(
        &mut self,
        compose: impl FnOnce(&mut C, &mut [u8]) -> Result<Composed<T>, E>,
        wakers: &mut Wakers,
    ) -> Result<(Place, T), AppendError<E>> {
        if let Some(failure) = self.closed {
            return Err(AppendError::Failed(failure));
        }
        if !self.has_room() {
            return Err(AppendError::Busy);
        }
        let full = self.options.rotate_bytes.is_some_and(|max| self.fill.bytes >= max)
            || self.options.rotate_entries.is_some_and(|max| self.fill.entries >= max);
        let turn = (full && self.fill.entries > 0).then(|| self.turn());
        self.seal();
        let composed = match compose(&mut self.chain, &mut self.line) {
            Ok(composed) => composed,
            Err(error) => {
                if let Some((before, _)) = &turn {
                    self.chain.rewind(before);
                }
                return Err(AppendError::Compose(error));
            }
        };
        let fits = composed.len <= self.options.max_line;
        let line = self.line.get(..composed.len).filter(|line| fits && is_line(line));
        if line.is_none() {
            self.closed = Some(Failure::malformed());
            self.malformed = true;
            if !self.in_flight {
                self.fail(Failure::malformed(), wakers);
            }
            return Err(AppendError::Failed(Failure::malformed()));
        }
        if let Some((before, turned)) = turn {
            self.begin_segment(before, turned);
        }
        Ok((self.queue_line(composed.len, composed.leaf), composed.value))
    }

    /// Queue one line as it is, if the chain accepts it.
    ///
    /// # Errors
    /// Nothing was queued.
    pub(crate) fn append_line(&mut self, line: &[u8], wakers: &mut Wakers) -> Result<Place, AppendError<C::Fault>> {
        let (len, max) = (line.len(), self.options.max_line);
        if len > max {
            return Err(AppendError::TooLong { len, max });
        }
        if !is_line(line) {
            return Err(AppendError::NotALine);
        }
        let copy = |chain: &mut C, out: &mut [u8]| {
            // What would not be taken in on opening must not get in.
            chain.check(line)?;
            chain.intact(line)?;
            // It has room for the longest line.
            if let Some(out) = out.get_mut(..len) {
                out.copy_from_slice(line);
            }
            Ok(Composed { len, leaf: chain.push(line), value: () })
        };
        self.append(copy, wakers).map(|(place, ())| place)
    }

    /// Queue the end of the segment; nothing if it has no lines yet.
    ///
    /// # Errors
    /// An earlier failure has closed the journal, or there is no room.
    pub(crate) fn rotate(&mut self) -> Result<Option<Place>, AppendError<std::convert::Infallible>> {
        match self.closed {
            Some(failure) => Err(AppendError::Failed(failure)),
            None if !self.has_room() => Err(AppendError::Busy),
            None if self.fill.entries == 0 => Ok(None),
            None => {
                let (before, turned) = self.turn();
                self.begin_segment(before, turned);
                Ok(Some(self.place(0)))
            }
        }
    }

    /// The last place given out, if it is not settled yet: when it is, everything queued is.
    pub(crate) fn last(&self) -> Option<Place> {
        (!self.waiting.is_empty()).then(|| Place { fate: self.fate.clone(), position: self.next - 1 })
    }

    /// The next line is the first of a segment; where the chain stood before, and where it stands now.
    fn turn(&mut self) -> (C::Mark, C::Mark) {
        let before = self.chain.mark();
        self.chain.turn();
        (before, self.chain.mark())
    }

    fn begin_segment(&mut self, before: C::Mark, turned: C::Mark) {
        if let Some(last) = self.batches.back_mut() {
            last.end.get_or_insert(before);
        }
        self.fill = Fill::default();
        self.turns += 1;
        let mut batch = self.spare.pop().unwrap_or_default();
        batch.turn = true;
        batch.turned = Some(turned);
        self.batches.push_back(batch);
    }

    /// A batch gets no more lines that has no room for the longest.
    fn seal(&mut self) {
        let most = BATCH_BYTES - self.options.max_line;
        if let Some(last) = self.batches.back_mut().filter(|last| last.end.is_none() && last.bytes.len() >= most) {
            last.end = Some(self.chain.mark());
        }
    }

    /// Put the line that was composed into the last batch, or a new one.
    fn queue_line(&mut self, len: usize, leaf: Option<Leaf>) -> Place {
        if self.batches.back().is_none_or(|last| last.end.is_some()) {
            let batch = self.spare.pop().unwrap_or_default();
            self.batches.push_back(batch);
        }
        if let Some(batch) = self.batches.back_mut() {
            batch.bytes.extend_from_slice(self.line.get(..len).unwrap_or_default());
            batch.bytes.push(b'\n');
            batch.leaves.extend(leaf);
            batch.entries += 1;
        }
        self.fill.bytes += len as u64 + 1;
        self.fill.entries += 1;
        self.place(len + 1)
    }

    fn place(&mut self, bytes: usize) -> Place {
        if let Some(batch) = self.batches.back_mut() {
            batch.positions += 1;
        }
        let position = self.next;
        self.next += 1;
        self.waiting.push_back(None);
        self.held = (self.held.0 + bytes, self.held.1 + 1);
        Place { fate: self.fate.clone(), position }
    }

    /// Take the next batch to the disk. One is under way at a time: `None` until [`settle`](Self::settle) brings it back.
    pub fn take(&mut self) -> Option<Batch<C::Mark>> {
        if self.in_flight {
            return None;
        }
        let mut batch = self.batches.pop_front()?;
        batch.end.get_or_insert_with(|| self.chain.mark());
        self.in_flight = true;
        self.turns -= usize::from(batch.turn);
        Some(batch)
    }

    /// What became of the batch taken.
    pub fn settle(&mut self, mut batch: Batch<C::Mark>, outcome: Result<(), Broken>, wakers: &mut Wakers) {
        self.in_flight = false;
        match outcome {
            Ok(()) => {
                self.settle_durable(&mut batch, wakers);
                if self.malformed {
                    self.fail(Failure::malformed(), wakers);
                }
            }
            Err(broken) => {
                if broken.turned
                    && let Some(turned) = batch.turned.take()
                {
                    self.durable = turned;
                    self.durable_fill = Fill::default();
                }
                self.fail(broken.failure, wakers);
            }
        }
        if self.spare.len() < 2 {
            batch.bytes.clear();
            batch.leaves.clear();
            let (bytes, leaves) = (batch.bytes, batch.leaves);
            self.spare.push(Batch { bytes, leaves, ..Batch::default() });
        }
        self.wake_for_room(wakers);
    }

    fn settle_durable(&mut self, batch: &mut Batch<C::Mark>, wakers: &mut Wakers) {
        if let Some(end) = batch.end.take() {
            self.durable = end;
        }
        if batch.turn {
            self.durable_fill = Fill::default();
        }
        self.durable_fill.bytes += batch.bytes.len() as u64;
        self.durable_fill.entries += batch.entries;
        let done = usize::try_from(batch.positions).unwrap_or(usize::MAX).min(self.waiting.len());
        self.held = (self.held.0.saturating_sub(batch.bytes.len()), self.held.1.saturating_sub(done));
        self.fate.settled.fetch_add(batch.positions, Ordering::Release);
        wakers.0.extend(self.waiting.drain(..done).flatten());
    }

    /// Whoever took the batch to the disk panicked, and with it nobody knows what became of it: everything that is not durable
    /// fails.
    pub(crate) fn abandon(&mut self, wakers: &mut Wakers) {
        self.in_flight = false;
        self.fail(Failure::malformed(), wakers);
    }

    /// Everything that is not durable fails.
    fn fail(&mut self, failure: Failure, wakers: &mut Wakers) {
        if !failure.is_disk_full() {
            self.closed = Some(failure);
        }
        self.malformed = false;
        self.batches.clear();
        self.turns = 0;
        self.chain.rewind(&self.durable);
        self.fill = self.durable_fill;
        self.held = (0, 0);
        // A ticket of the new fate starts at 0 again.
        let _ = self.fate.failure.set(failure);
        self.fate = Arc::default();
        self.next = 0;
        wakers.0.extend(self.waiting.drain(..).flatten());
    }

    /// Whether a place is durable, or has failed; if neither, remember whom to wake.
    pub fn poll(&mut self, place: &Place, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if let Some(outcome) = place.outcome() {
            return Poll::Ready(outcome);
        }
        let first = self.fate.settled.load(Ordering::Relaxed);
        let at = usize::try_from(place.position.saturating_sub(first)).unwrap_or(usize::MAX);
        if let Some(slot) = self.waiting.get_mut(at) {
            remember(slot, cx.waker());
        }
        Poll::Pending
    }
}

fn remember(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) => old.clone_from(waker),
        None => *slot = Some(waker.clone()),
    }
}

/// Neither blank, nor two.
/// A NUL is what a page that was never written reads as, so no line has one.
fn is_line(line: &[u8]) -> bool {
    !line.contains(&b'\n') && !line.contains(&0) && !is_blank(line)
}

impl<C: Chain> std::fmt::Debug for Queue<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("held", &self.held).field("closed", &self.closed).finish_non_exhaustive()
    }
}
