//! The log: a file of tokens that cannot be rewritten unseen.
//!
//! What this room promises:
//!
//! - [`merkle`]: the tree of RFC 9162 over the lines of the file, growing in constant memory, with its two kinds of proofs.
//! - [`note`]: signed notes and checkpoints in the formats of C2SP, so that other tools read what a log says of itself.

pub mod merkle;
pub mod note;
