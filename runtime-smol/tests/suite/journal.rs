//! The suite that the journal passes on every runtime.

use std::future::Future;

use sluis_journal::conformance::Runtime;
use sluis_journal::spawn::Spawn;

struct Smol;

impl Runtime for Smol {
    fn blocking() -> impl Spawn {
        sluis_smol::blocking()
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        sluis_smol::block_on(future)
    }
}

sluis_journal::conformance!(Smol);
