//! The suite that the journal passes on every runtime.

use std::future::Future;

use sluis_journal::conformance::Runtime;
use sluis_journal::spawn::Spawn;

struct Tokio;

impl Runtime for Tokio {
    fn blocking() -> impl Spawn {
        sluis_tokio::blocking()
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        sluis_tokio::block_on(future)
    }
}

sluis_journal::conformance!(Tokio);
