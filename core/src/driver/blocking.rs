//! Where blocking work runs: all that a runtime has to supply for what waits for a disk (feature `std`).

use core::fmt;
use core::future::{Future, poll_fn};
use core::task::{Poll, Waker};
use std::boxed::Box;
use std::sync::{Arc, Mutex, PoisonError};

/// Runs blocking work somewhere else.
pub trait Spawn: Send + Sync + 'static {
    /// Run the job on a thread that may block, soon. One that is dropped instead (its runtime shuts down, say) runs right there,
    /// so that nothing is left behind.
    fn spawn(&self, job: Job);
}

/// A piece of blocking work.
#[must_use]
pub struct Job(Option<Box<dyn FnOnce() + Send>>);

impl Job {
    /// Work to be run once.
    pub fn new(work: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(work)))
    }

    /// Do it.
    pub fn run(mut self) {
        self.run_now();
    }

    fn run_now(&mut self) {
        if let Some(work) = self.0.take() {
            work();
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.run_now();
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Job")
    }
}

/// What a job gives back.
struct Reply<R>(Mutex<(Option<R>, Option<Waker>)>);

/// Run something blocking where a [`Spawn`] says, and wait for what it gives back. Once begun it runs to its end, also when
/// this future is dropped.
pub fn run<R, W>(spawn: &dyn Spawn, work: W) -> impl Future<Output = R> + Send + use<R, W>
where
    R: Send + 'static,
    W: FnOnce() -> R + Send + 'static,
{
    let reply = Arc::new(Reply(Mutex::new((None, None))));
    let sender = reply.clone();
    spawn.spawn(Job::new(move || {
        let value = work();
        let mut slot = sender.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.0 = Some(value);
        let waker = slot.1.take();
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }));
    poll_fn(move |cx| {
        let mut slot = reply.0.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.0.take() {
            Some(value) => Poll::Ready(value),
            None => {
                slot.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
}
