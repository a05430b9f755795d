//! A store beside a driver: its commits run where blocking work may.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sluis_core::StoreError;
use sluis_core::driver::StoreBatch;
use sluis_core::driver::blocking::{Spawn, run};

use crate::error::CommitError;
use crate::store::Store;

/// The [`Store`](sluis_core::driver::Store) of a driver: one commit at a time, on a runtime's blocking threads
/// (`sluis_tokio::blocking()`, `sluis_smol::blocking()`), while the driver's task goes on with its datagrams.
///
/// A commit that was begun runs to its end, also when this is dropped.
pub struct Background {
    spawn: Arc<dyn Spawn>,
    failed: Arc<dyn Fn(&CommitError) + Send + Sync>,
    state: State,
}

type Done = (Store, StoreBatch, Result<(), StoreError>);

enum State {
    Idle(Box<Store>),
    Committing(Pin<Box<dyn Future<Output = Done> + Send>>),
    /// Between two states.
    Gone,
}

impl Background {
    /// Commit on these threads.
    pub fn new(store: Store, spawn: impl Spawn) -> Self {
        Self { spawn: Arc::new(spawn), failed: Arc::new(|_| ()), state: State::Idle(Box::new(store)) }
    }

    /// Have a failed commit told to the operator, too: the machine knows its kind only. Called on one of the threads.
    #[must_use]
    pub fn on_failure(mut self, tell: impl Fn(&CommitError) + Send + Sync + 'static) -> Self {
        self.failed = Arc::new(tell);
        self
    }
}

fn commit(store: &mut Store, batch: &StoreBatch) -> Result<(), CommitError> {
    let committed = catch_unwind(AssertUnwindSafe(|| store.commit(batch)));
    committed.unwrap_or_else(|_| {
        store.distrust();
        Err(CommitError::failed(&store.path(), "the commit broke off"))
    })
}

impl sluis_core::driver::Store for Background {
    fn start(&mut self, batch: StoreBatch) {
        let State::Idle(mut store) = std::mem::replace(&mut self.state, State::Gone) else {
            debug_assert!(false, "one batch is under way at a time");
            return;
        };
        let failed = self.failed.clone();
        let work = move || {
            let committed = commit(&mut store, &batch);
            let result = committed.as_ref().copied().map_err(StoreError::from);
            if let Err(error) = committed {
                failed(&error);
            }
            (*store, batch, result)
        };
        self.state = State::Committing(Box::pin(run(&*self.spawn, work)));
    }

    fn poll_commit(&mut self, cx: &mut Context<'_>) -> Poll<(StoreBatch, Result<(), StoreError>)> {
        let State::Committing(future) = &mut self.state else { return Poll::Pending };
        let Poll::Ready((store, batch, result)) = future.as_mut().poll(cx) else { return Poll::Pending };
        self.state = State::Idle(Box::new(store));
        Poll::Ready((batch, result))
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").finish_non_exhaustive()
    }
}
