//! Where blocking work runs, and waiting for it on a thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

pub use sluis_core::driver::blocking::{Job, Spawn, run};

/// A thread of its own for every job: for programs without a runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Spawn for Threads {
    fn spawn(&self, job: Job) {
        // Where no thread can be had, the job is dropped with the closure, and so runs here.
        let _ = thread::Builder::new().name("sluis-journal".into()).spawn(move || job.run());
    }
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
