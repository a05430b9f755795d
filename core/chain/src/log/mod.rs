//! The log: a file of tokens that cannot be rewritten unseen.
//!
//! What this room promises:
//!
//! - [`merkle`]: the tree of RFC 9162 over the lines of the file, growing in constant memory, with its two kinds of proofs.
//! - [`note`]: signed notes and checkpoints in the formats of C2SP, so that other tools read what a log says of itself.
//! - `Bundle` (with `alloc`): an entry, its proof and the checkpoint in one JSON object, to be verified without the log.
//! - [`Log`] makes the entries: it fills in id, time, link, hash and seal of a token, writes the line into the caller's
//!   buffer and grows the tree. It allocates nothing; where the bytes go is the caller's.
//!
//! # The file
//!
//! A log is the reference's JSON-lines and nothing else:
//!
//! - *Entry i* is the i-th line that is not blank: its exact bytes, without the line feed. *Leaf i* is SHA-256(0x00 ‖ entry).
//! - An entry's *link* is the last text of its `eraan`, `prev:sha256:` and the leaf hash of the entry before it in 64 hex
//!   digits. The content hash covers it, and so does the seal. The first entry of a log has none; the first of a new
//!   segment of a rotated log has one to the last of the segment before. An entry that was sealed elsewhere and taken as it
//!   is ([`Log::adopt`]) has none either.
//! - The first entry of a file also says, in a reference before its link, what the log is called, which key signs its checkpoints
//!   and which segment it continues: its [header](LogHeader). No other entry has one.
//! - `FILE.checkpoint` holds signed [checkpoints](note::Checkpoint), the newest last. `FILE.tree` holds the leaf hashes, 32
//!   bytes each; it is believed only as far as its root is the checkpoint's, and can be made anew from the file.

#[cfg(feature = "alloc")]
mod bundle;
mod header;
mod machine;
pub mod merkle;
pub mod note;
pub(crate) mod slice_writer;
#[cfg(test)]
mod tests;

pub use crate::token::Protection;
#[cfg(feature = "alloc")]
pub use bundle::{BUNDLE_TYPE, Bundle, BundleError, MAX_BUNDLE, MakeBundleError};
#[cfg(feature = "alloc")]
pub use header::fit_origin;
pub use header::{Continues, LogHeader};
pub use machine::{AppendError, Appended, Log, MAX_ENTRY, Mark};

/// Whether a line is blank, and so no entry: nothing but white space, as Unicode has it and as Python's `str.strip` does, which
/// also takes the information separators U+001C to U+001F.
#[must_use]
pub fn is_blank(line: &[u8]) -> bool {
    match line.first() {
        None => true,
        Some(b'{') => false,
        Some(_) => core::str::from_utf8(line)
            .is_ok_and(|text| text.chars().all(|c| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}'))),
    }
}
