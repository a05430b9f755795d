//! Provenance: tokens, the log that holds them, and the proof of what ran.
//!
//! | room | what it is |
//! |---|---|
//! | [`log`] | an append-only file: linked entries, a Merkle tree over them, signed checkpoints |

pub mod log;
