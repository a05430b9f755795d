//! Provenance: tokens, and what is built from them.
//!
//! A *token* says what happened (ERIN), what it is linked to (ERAAN), what was around it (EROMHEEN) and why it happened
//! (ERACHTER). Its bytes are `tibet-core`'s, so a file written by one side verifies on the other; what ours adds lives
//! inside the twelve members that the reference has.
//!
//! | room | what it is |
//! |---|---|
//! | [`token`] | one token: read, write, hash, verify, seal |
//! | [`log`] | an append-only file: linked entries, a Merkle tree over them, signed checkpoints |
//! | `verify` (with `alloc`) | what is wrong with a file of tokens, and with which |
//! | [`workload`] | pipelines whose every step is a token, signed by whoever ran it |
//! | `store` (with `alloc`) | tokens in memory: found, and followed along their parents |
//! | `events` (with `alloc`) | what happens to a node, as tokens |

#[cfg(feature = "alloc")]
pub mod events;
pub mod log;
#[cfg(feature = "alloc")]
pub mod store;
pub mod token;
#[cfg(feature = "alloc")]
pub mod verify;
pub mod workload;
