//! The suite that the journal passes on every runtime.

use std::future::Future;

use sluis_journal::conformance::Runtime;
use sluis_journal::spawn::Spawn;

use crate::adapter;

struct Adapter;

impl Runtime for Adapter {
    fn blocking() -> impl Spawn {
        adapter::blocking()
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        adapter::block_on(future)
    }
}

sluis_journal::conformance!(Adapter);
