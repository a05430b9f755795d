//! Signed notes (<https://c2sp.org/signed-note>) and checkpoints (<https://c2sp.org/tlog-checkpoint>).
//!
//! A note is a text and, after an empty line, signatures of it, each a line `— NAME BASE64` whose first four bytes are the
//! id of the key. [`Note::parse`] takes exactly what the format allows; [`Note::verify`] ignores the signatures of keys it
//! was not given, and refuses the note if one of a given key does not hold, or if there is none.
//!
//! A [`Checkpoint`] is the note in which a log says how long it is and what its root is:
//!
//! ```
//! use sluis_core::Seed;
//! use sluis_chain::log::merkle::Frontier;
//! use sluis_chain::log::note::Checkpoint;
//! use sluis_core::data::SliceSink;
//! use sluis_core::identity::{SecretKey, note::NoteKey};
//!
//! # fn main() -> Result<(), Box<dyn core::error::Error>> {
//! let key = SecretKey::generate(&mut Seed::from_u64(1).fork("key"));
//! let tree = Frontier::new();
//! let mut out = [0; 1024];
//! let mut sink = SliceSink::new(&mut out);
//! Checkpoint::new("example.com/log", tree.size(), tree.root())?.sign(&key, &mut sink)?;
//!
//! let known = [NoteKey::new("example.com/log", key.public())?];
//! let checkpoint = Checkpoint::open(sink.written(), "example.com/log", &known)?;
//! assert_eq!((checkpoint.size, checkpoint.root), (0, tree.root()));
//! # Ok(())
//! # }
//! ```

mod checkpoint;
mod signed;
#[cfg(test)]
mod tests;

pub use checkpoint::{Checkpoint, CheckpointError, MAX_CHECKPOINT, MAX_ORIGIN, last_note};
pub use signed::{MAX_NOTE, MAX_SIGNATURES, Note, NoteError, NoteSignError, NoteSignature, sign};
