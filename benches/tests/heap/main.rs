//! What a whole process holds on the heap: one test at a time, so that none counts what another holds.
#![allow(missing_docs)]

mod flat;
mod hub;
mod logs;
mod nodes;
mod sessions;
mod signal;

use std::sync::{Mutex, MutexGuard, PoisonError};

use sluis_benches::alloc::Counting;

#[global_allocator]
static ALLOC: Counting = Counting;

/// Held by whoever measures.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
