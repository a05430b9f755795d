//! What all handles and tickets of a journal share: the queue, the writer, and who of them leads.
//!
//! Somebody leads whenever lines are queued and somebody waits for them: a thread that waits anyway, or a job on the runtime's
//! blocking threads. The leader takes batches to the disk until none is left, or until its own line is durable; then it
//! hands over to a job.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use crate::chain::Chain;
use crate::disk::Folder;
use crate::fail::Failure;
use crate::queue::{Place, Queue, Wakers};
use crate::spawn::{Job, Spawn};
use crate::writer::Writer;

/// Makes the last checkpoint of a segment that is closed.
pub(crate) type Closing<M> = Box<dyn Fn(&M) -> Option<Vec<u8>> + Send + Sync>;

/// The queue, and whether somebody leads.
pub(crate) struct Line<C: Chain> {
    pub(crate) queue: Queue<C>,
    led: bool,
}

pub(crate) struct Shared<C: Chain, D: Folder> {
    line: Mutex<Line<C>>,
    /// Locked before `line`, where both are.
    writer: Mutex<Writer<D>>,
    spawn: Arc<dyn Spawn>,
    closing: Option<Closing<C::Mark>>,
}

/// What a ticket needs of its journal.
pub(crate) trait Leads: Send + Sync {
    fn poll_place(self: Arc<Self>, place: &Place, cx: &mut Context<'_>) -> Poll<Result<(), Failure>>;
    fn wait_place(self: Arc<Self>, place: &Place) -> Result<(), Failure>;
    /// See that everything queued goes to the disk, though nobody may be waiting.
    fn start(self: Arc<Self>);
}

impl<C: Chain, D: Folder> Shared<C, D> {
    pub(crate) fn new(
        queue: Queue<C>,
        writer: Writer<D>,
        spawn: Arc<dyn Spawn>,
        closing: Option<Closing<C::Mark>>,
    ) -> Self {
        Self { line: Mutex::new(Line { queue, led: false }), writer: Mutex::new(writer), spawn, closing }
    }

    /// Nothing in here panics half way; a caller's own code that does (composing a line) has changed nothing.
    pub(crate) fn line(&self) -> MutexGuard<'_, Line<C>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn writer(&self) -> MutexGuard<'_, Writer<D>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn spawner(&self) -> &Arc<dyn Spawn> {
        &self.spawn
    }

    /// Become the leader, unless there is one.
    fn take_lead(line: &mut Line<C>) -> bool {
        let free = !line.led && !line.queue.is_empty();
        line.led |= free;
        free
    }

    /// Lead until nothing is queued, or until a place is settled; then a job leads on.
    fn lead(self: &Arc<Self>, until: Option<&Place>) {
        let mut wakers = Wakers::default();
        let panicking = Abandon(&self.line);
        loop {
            let (more, done) = self.write_batch(&mut wakers);
            wakers.wake();
            if done {
                break;
            }
            if more && until.is_some_and(|place| place.outcome().is_some()) {
                self.lead_elsewhere();
                break;
            }
        }
        std::mem::forget(panicking);
    }

    /// Take one batch to the disk. Whether there is another one, and whether the lead was given up because there is not.
    fn write_batch(&self, wakers: &mut Wakers) -> (bool, bool) {
        let mut writer = self.writer();
        let mut line = self.line();
        let Some(batch) = line.queue.take() else {
            line.led = false;
            return (false, true);
        };
        let note = match &self.closing {
            Some(closing) if batch.turn => {
                let durable = line.queue.durable().clone();
                drop(line);
                closing(&durable)
            }
            _ => {
                drop(line);
                None
            }
        };
        let outcome = writer.commit(&batch, note.as_deref());
        let mut line = self.line();
        line.queue.settle(batch, outcome, wakers);
        let more = !line.queue.is_empty();
        line.led = more;
        (more, !more)
    }

    /// Do something to the queue when there is room for it, and see that there will be.
    pub(crate) fn poll_queue<R, F>(
        self: &Arc<Self>,
        op: &mut Option<F>,
        id: &mut Option<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<R>
    where
        F: FnOnce(&mut Queue<C>, &mut Wakers) -> R,
    {
        let mut line = self.line();
        if line.queue.poll_room(id, cx).is_ready() {
            // Polled again after it was ready, there is nothing to do.
            let Some(op) = op.take() else { return Poll::Pending };
            let mut wakers = Wakers::default();
            let result = op(&mut line.queue, &mut wakers);
            drop(line);
            wakers.wake();
            return Poll::Ready(result);
        }
        let lead = Self::take_lead(&mut line);
        drop(line);
        if lead {
            self.lead_elsewhere();
        }
        Poll::Pending
    }

    fn lead_elsewhere(self: &Arc<Self>) {
        let shared = self.clone();
        self.spawn.spawn(Job::new(move || shared.lead(None)));
    }

    pub(crate) fn forget_room(&self, id: &mut Option<u64>) {
        let mut wakers = Wakers::default();
        self.line().queue.forget_room(id, &mut wakers);
        wakers.wake();
    }

    /// After a failure: make the file trustworthy again and take appends.
    pub(crate) fn recover(&self) -> Result<(), Failure> {
        let mut writer = self.writer();
        writer.repair()?;
        self.line().queue.set_closed(None);
        Ok(())
    }
}

impl<C: Chain, D: Folder> Leads for Shared<C, D> {
    fn poll_place(self: Arc<Self>, place: &Place, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let mut line = self.line();
        if let Poll::Ready(outcome) = line.queue.poll(place, cx) {
            return Poll::Ready(outcome);
        }
        let lead = Self::take_lead(&mut line);
        drop(line);
        if lead {
            self.lead_elsewhere();
        }
        Poll::Pending
    }

    fn wait_place(self: Arc<Self>, place: &Place) -> Result<(), Failure> {
        crate::spawn::wait(|cx| {
            let mut line = self.line();
            if let Poll::Ready(outcome) = line.queue.poll(place, cx) {
                return Poll::Ready(outcome);
            }
            if !Self::take_lead(&mut line) {
                return Poll::Pending;
            }
            drop(line);
            self.lead(Some(place));
            match place.outcome() {
                Some(outcome) => Poll::Ready(outcome),
                None => Poll::Pending,
            }
        })
    }

    fn start(self: Arc<Self>) {
        let lead = Self::take_lead(&mut self.line());
        if lead {
            self.lead_elsewhere();
        }
    }
}

/// A caller's code (the note of a closing segment) that panics must not leave a journal that nobody leads.
struct Abandon<'a, C: Chain>(&'a Mutex<Line<C>>);

impl<C: Chain> Drop for Abandon<'_, C> {
    fn drop(&mut self) {
        let mut wakers = Wakers::default();
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        line.led = false;
        line.queue.abandon(&mut wakers);
        drop(line);
        wakers.wake();
    }
}
