//! Durable append of lines: a file that many write to and that a crash does not harm.
//!
//! ```
//! use sluis_journal::{Journal, Plain, Setup};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("sluis-journal-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let (journal, found) = Journal::open(folder.join("events.jsonl"), Plain, Setup::default())?;
//! assert_eq!(found.entries, 0);
//! journal.append_line_blocking(br#"{"event":"started"}"#)?; // on the medium now
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! [`TokenJournal`] is a log of tokens on top of it.
//!
//! # What it promises
//!
//! * **An append resolves when its line is on the medium**: after write and `fdatasync`, the file's name in its folder included.
//!   Lines stand in the order in which they were composed.
//! * **Group commit.** While one batch is synced, the next one forms; one sync serves as many lines as have come by then.
//! * **Bounded.** What waits for the disk never passes [`Options::queue_bytes`] and [`Options::queue_entries`]; at the cap the
//!   appender waits, or gets [`AppendError::Busy`].
//! * **Nothing half-written counts.** After a failed write or sync the file is cut back to its last acknowledged line, every line
//!   that is not acknowledged fails, and the chain goes back there too. When the disk was full, appends go on once there is room;
//!   after any other failure they are refused until [`Journal::recover`], since a later sync that succeeds says nothing about
//!   what an earlier one has lost.
//! * **One writer.** The file is locked (`flock`) while the journal is open.
//!
//! # Recovery
//!
//! Opening takes in the longest prefix of whole lines that the [`Chain`] accepts (blank ones are no lines). What comes after it may have been
//! torn by a crash: it lies within the last [`BATCH_BYTES`] (no batch is larger, and only one is under way at a time), no sidecar knows of
//! its lines, and it ends in the middle of a line or begins with a line in which whole sectors are missing (they read as zeros). Then it is
//! appended to `FILE.torn` and cut off. Of a last line that only lacks its line feed, this is written. Anything else is damage, above all a line that
//! is there with its line feed and is not what it should be: an [`OpenError`] that names the line, and nothing is changed. Lines that were
//! written but not acknowledged yet may survive a crash.
//!
//! # Files
//!
//! | file | what it is |
//! |---|---|
//! | `NAME.jsonl` | the lines, each with a line feed: whatever reads JSON-lines reads it |
//! | `NAME.<n>.jsonl` | closed segments, 1 the oldest, each with its sidecars |
//! | `FILE.tree` | 32 bytes of hash a line, written after the line is acknowledged, not synced, mended on opening |
//! | `FILE.checkpoint` | replaced as a whole, and synced |
//! | `FILE.torn` | what torn last writes left; never read again |
//!
//! A rotation links the file to its segment's name and renames an empty one over it, which was locked before it had the name: at
//! any moment there is a `NAME.jsonl`, and it is either the old or the new one. A rotation cut short is taken back on opening. The
//! file system must know hard links. Closed segments may be moved away; while the newest one stays, numbers go on and the file's
//! first line is held to it.
//!
//! # Beside the reference
//!
//! `tibet-core`'s `FileStore` takes the same lock (`LOCK_EX`) for each single append, and waits for it. While a journal has the file
//! open, a reference process can read it, and its appends wait until the journal is closed; they then follow the journal's last line,
//! and the next open judges them as it does any other line (one that was opened before a rotation goes to the closed segment). Its
//! `clear` and `rotate` rewrite the file without waiting: the journal notices with its next batch ([`Step::Look`]) and refuses
//! to go on.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod chain;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod disk;
mod entry;
mod fail;
mod journal;
mod names;
mod options;
mod os;
pub mod queue;
mod recover;
mod scan;
mod segments;
mod shared;
pub mod spawn;
mod sys;
mod ticket;
mod tokens;
mod writer;

pub use chain::{Chain, Composed, Leaf, NoText, Plain};
pub use entry::EntryFault;
pub use fail::{AppendError, Failure, OpenError, Step};
pub use journal::{CheckpointError, Journal, Setup};
pub use names::Names;
pub use options::{BATCH_BYTES, Options};
pub use os::{OsFile, OsFolder};
pub use recover::Recovered;
pub use ticket::Ticket;
pub use tokens::{Entries, EntriesMark, HeadError, TokenAppendError, TokenJournal, TokenSetup};
