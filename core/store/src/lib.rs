//! State of a machine that survives: keys and values in one file, changed by batches that are on the medium as a whole or not at all.
//!
//! ```
//! use sluis_core::driver::StoreBatch;
//! use sluis_core::{StoreOp, StoreSeq};
//! use sluis_store::Store;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = std::env::temp_dir().join(format!("sluis-store-{}", std::process::id()));
//! let node = b"the public key of this node";
//! let mut store = Store::open(&dir, node)?;
//! let mut batch = StoreBatch::new();
//! batch.push(&StoreOp::put(StoreSeq(1), b"pin/jis:home:sensor", b"its key")?);
//! batch.push(&StoreOp::remove(StoreSeq(2), b"pin/jis:home:lamp")?);
//! store.commit(&batch)?; // on the medium now, both
//! drop(store);
//!
//! // After a restart, or a crash, this is what a machine is made anew from.
//! let mut store = Store::open(&dir, node)?;
//! let kept: Vec<_> = store.entries()?.collect::<Result<_, _>>()?;
//! assert_eq!(kept, [(b"pin/jis:home:sensor".to_vec(), b"its key".to_vec())]);
//! # drop(store);
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok(())
//! # }
//! ```
//!
//! A [`Durable`](sluis_core::Durable) machine is given what [`Store::entries`] has when it is made, and its driver a [`Background`], which
//! commits on a runtime's blocking threads: [`Driver::with_store`](sluis_core::driver::Driver::with_store), or `spawn_stored` of an adapter.
//!
//! # What it promises
//!
//! * **A commit that has succeeded is on the medium** (`fdatasync`), and stays. One that was cut short by a crash or failed is there as a
//!   whole or not at all. Batches stand in the order in which they were committed.
//! * **Nothing rests on what a medium may have lost.** What a process that was killed has written may be in the system's memory only; and where a system has once
//!   failed to bring something to the medium, it may hold it for written all the same and never try again, also in the eyes of the next process. So opening,
//!   and the first commit after a failure, write all that is kept to a new file, sync it, and put it in place of the old one, which is only ever read. There
//!   must be room for a second copy; until there is, a store does not open, and one that is open fails its commits and loses nothing.
//! * **One process at a time**, and one node: the file says whose state it is.
//! * **Nothing is guessed.** A file that cannot be read down to its last value, or that others may read, is refused with what to do, and is not
//!   changed: what a crash calls for is done to a copy in memory first.
//! * **Bounded**: keys of at most [`MAX_STORE_KEY`](sluis_core::limits::MAX_STORE_KEY) bytes, values of at most
//!   [`MAX_STORE_VALUE`](sluis_core::limits::MAX_STORE_VALUE), 8 MiB of cache. How much is kept is for the machine to bound.
//!
//! # Files
//!
//! | in the directory (mode 0700) | what it is |
//! |---|---|
//! | `state.redb` (0600) | a [redb](https://docs.rs/redb) database: table `meta` (`version`, `node`), table `state` |
//! | `state.redb.new` | it, while it is made; what a killed process left of it goes |
//! | `lock` | locked while a process has the store open |
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod background;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod folder;
mod store;
#[cfg(test)]
mod tests;
mod trial;

pub use background::Background;
pub use error::{CommitError, OpenError};
pub use store::{Entries, MAX_NODE, Store};
