//! The Merkle tree of RFC 9162 (section 2.1), which is that of RFC 6962, with SHA-256.
//!
//! | piece | what it is |
//! |---|---|
//! | [`leaf_hash`], [`node_hash`] | the two hashes, told apart by their first byte |
//! | [`Frontier`] | a tree that only grows: 64 hashes of memory, no heap, its root at any time |
//! | [`Leaves`] | where proofs are made from: a slice of leaf hashes, a `FILE.tree` in memory, a reader of one |
//! | [`prove_inclusion`], [`prove_consistency`] | the proofs (2.1.3.1, 2.1.4.1) |
//! | [`verify_inclusion`], [`verify_consistency`] | their verification, step by step as in 2.1.3.2 and 2.1.4.2 |

mod frontier;
mod prove;
#[cfg(test)]
mod tests;
mod verify;

use super::slice_writer::{sha256, sha256_after, sha256_node};
pub use frontier::Frontier;
pub use prove::{Leaves, ProveError, RawLeaves, prove_consistency, prove_inclusion, root_of};
pub use verify::{ProofError, verify_consistency, verify_inclusion};

/// A SHA-256 hash in the tree: of a leaf, of a node, or the root.
pub type NodeHash = [u8; 32];

/// Hashes of one proof in their order: at most 65.
///
/// An inclusion proof goes from the leaf's sibling up; a consistency proof may have one more, for the node it starts from.
pub type Path = heapless::Vec<NodeHash, MAX_PATH>;

/// Most hashes in one proof, for trees of up to 2^64 - 1 leaves.
pub const MAX_PATH: usize = 65;

/// What stands before an entry that is hashed.
pub(crate) const LEAF: u8 = 0;

/// The hash of a leaf: SHA-256 of `0x00` and the entry's bytes.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> NodeHash {
    sha256_after(LEAF, entry)
}

/// The hash of an inner node: SHA-256 of `0x01` and the hashes of its two children.
#[must_use]
pub fn node_hash(left: &NodeHash, right: &NodeHash) -> NodeHash {
    sha256_node(1, left, right)
}

/// The root of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> NodeHash {
    sha256(&[])
}
