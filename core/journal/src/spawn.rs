//! Where blocking work runs: all that a runtime has to supply.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Runs blocking work somewhere else.
pub trait Spawn: Send + Sync + 'static {
    /// Run the job on a thread that may block, soon. One that is dropped instead (its runtime shuts down, say) runs right there,
    /// so that no line is left behind.
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

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job")
    }
}

/// A thread of its own for every job: for programs without a runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Spawn for Threads {
    fn spawn(&self, job: Job) {
        // Where no thread can be had, the job is dropped with the closure, and so runs here.
        let _ = thread::Builder::new().name("sluis-journal".into()).spawn(move || job.run());
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
    std::future::poll_fn(move |cx| {
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

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Wait on this thread.
pub(crate) fn wait<R>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> R {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = poll(&mut cx) {
            return value;
        }
        thread::park();
    }
}

/// Wait for a future on this thread. It needs nothing of a runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    wait(|cx| Pin::as_mut(&mut future).poll(cx))
}
