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
//! | [`workload`] | pipelines whose every step is a token, signed by whoever ran it |
//! | `verify` (with `alloc`) | what is wrong with a file of tokens, and with which |
//! | `store` (with `alloc`) | tokens in memory: found, and followed along their parents |
//! | `audit` (with `alloc`) | what happens to a node, as tokens |
//! | `export` (with `alloc`) | a workload as an in-toto statement in a DSSE envelope |

#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(feature = "alloc")]
pub mod audit;
#[cfg(feature = "alloc")]
pub mod export;
pub mod log;
#[cfg(feature = "alloc")]
pub mod store;
pub mod token;
#[cfg(feature = "alloc")]
pub mod verify;
pub mod workload;
