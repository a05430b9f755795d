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
    turned: Arc<Tell>,
    /// How the last commit failed, if it did.
    failing: Option<StoreError>,
    state: State,
}

type Tell = dyn Fn(Result<(), &CommitError>) + Send + Sync;
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
        Self { spawn: Arc::new(spawn), turned: Arc::new(|_| ()), failing: None, state: State::Idle(Box::new(store)) }
    }

    /// Have the operator told, too: the machine knows the kind of a failure only, and tries again for as long as it lasts. Called on one of the threads
    /// when a commit fails, unless the one before failed in the same way, and when one succeeds again.
    #[must_use]
    pub fn on_turn(mut self, tell: impl Fn(Result<(), &CommitError>) + Send + Sync + 'static) -> Self {
        self.turned = Arc::new(tell);
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
        let (turned, before) = (self.turned.clone(), self.failing);
        let work = move || {
            let committed = commit(&mut store, &batch);
            let result = committed.as_ref().copied().map_err(StoreError::from);
            if result.err() != before {
                turned(committed.as_ref().copied());
            }
            (*store, batch, result)
        };
        self.state = State::Committing(Box::pin(run(&*self.spawn, work)));
    }

    fn poll_commit(&mut self, cx: &mut Context<'_>) -> Poll<(StoreBatch, Result<(), StoreError>)> {
        let State::Committing(future) = &mut self.state else { return Poll::Pending };
        let Poll::Ready((store, batch, result)) = future.as_mut().poll(cx) else { return Poll::Pending };
        self.state = State::Idle(Box::new(store));
        self.failing = result.err();
        Poll::Ready((batch, result))
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").finish_non_exhaustive()
    }
}
