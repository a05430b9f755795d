//! How long a store takes.

use std::task::{Context, Poll};
use std::time::Instant;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use sluis_core::StoreError;
use sluis_core::driver::{Store, StoreBatch};

/// Upper bounds in seconds: from a disk that keeps a cache of its own to one that hangs.
const BUCKETS: [f64; 9] = [0.0005, 0.001, 0.0025, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// What is known of the commits of a store. Copies are the same.
#[derive(Clone, Debug)]
pub(crate) struct Commits {
    /// From the start of each to when the node hears how it ended.
    pub(super) seconds: Histogram,
    pub(super) failed: Counter,
}

impl Default for Commits {
    fn default() -> Self {
        Self { seconds: Histogram::new(BUCKETS), failed: Counter::default() }
    }
}

/// A store whose commits are watched.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    store: S,
    commits: Commits,
    began: Option<Instant>,
}

impl<S> Watched<S> {
    pub(crate) fn new(store: S, commits: Option<Commits>) -> Self {
        Self { store, commits: commits.unwrap_or_default(), began: None }
    }
}

impl<S: Store> Store for Watched<S> {
    fn start(&mut self, batch: StoreBatch) {
        self.began = Some(Instant::now());
        self.store.start(batch);
    }

    fn poll_commit(&mut self, cx: &mut Context<'_>) -> Poll<(StoreBatch, Result<(), StoreError>)> {
        let ended = self.store.poll_commit(cx);
        if let Poll::Ready((_, result)) = &ended {
            self.commits.seconds.observe(self.began.take().map_or(0.0, |began| began.elapsed().as_secs_f64()));
            if result.is_err() {
                self.commits.failed.inc();
            }
        }
        ended
    }
}
