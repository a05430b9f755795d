//! Verification of proofs, in the words and steps of RFC 9162.

use super::{NodeHash, empty_root, node_hash};

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf, or the older tree, cannot be in a tree of that size.
    #[error("there is no such entry in a tree of that size")]
    OutOfRange,
    /// More or fewer hashes than a proof of these sizes has.
    #[error("the proof has the wrong length")]
    Length,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
    /// The hashes lead to another root of the older tree.
    #[error("the proof leads to another root of the older tree")]
    OldRoot,
}

/// Whether the leaf with this hash and index is in the tree with this size and root (RFC 9162, 2.1.3.2).
///
/// # Errors
/// It is not, by this proof.
pub fn verify_inclusion(
    leaf: &NodeHash,
    index: u64,
    size: u64,
    path: &[NodeHash],
    root: &NodeHash,
) -> Result<(), ProofError> {
    // 1. If leaf_index is greater than or equal to tree_size, fail.
    if index >= size {
        return Err(ProofError::OutOfRange);
    }
    // 2. and 3. Set fn to leaf_index, sn to tree_size - 1, and r to hash.
    let (mut f, mut s, mut r) = (index, size - 1, *leaf);
    // 4. For each value p in the inclusion_path array:
    for p in path {
        // a. If sn is 0, stop the iteration and fail the proof verification.
        if s == 0 {
            return Err(ProofError::Length);
        }
        if f & 1 == 1 || f == s {
            // b. Set r to HASH(0x01 || p || r), and shift until LSB(fn) is set or fn is 0.
            r = node_hash(p, &r);
            while f & 1 == 0 && f != 0 {
                (f, s) = (f >> 1, s >> 1);
            }
        } else {
            r = node_hash(&r, p);
        }
        // c. Finally, right-shift both fn and sn one time.
        (f, s) = (f >> 1, s >> 1);
    }
    // 5. Compare sn to 0, and r to the root_hash.
    match (s == 0, r == *root) {
        (false, _) => Err(ProofError::Length),
        (true, false) => Err(ProofError::Root),
        (true, true) => Ok(()),
    }
}

/// Whether the tree of `new` leaves with `new_root` begins with that of `old` leaves with `old_root` (RFC 9162, 2.1.4.2).
///
/// Every tree begins with the empty one; of that there is an empty proof, and `old_root` must be
/// [`empty_root`](super::empty_root).
///
/// # Errors
/// It does not, by this proof.
pub fn verify_consistency(
    old: u64,
    new: u64,
    path: &[NodeHash],
    old_root: &NodeHash,
    new_root: &NodeHash,
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::OutOfRange);
    }
    if old == new || old == 0 {
        return match () {
            () if !path.is_empty() => Err(ProofError::Length),
            () if old == 0 && *old_root != empty_root() => Err(ProofError::OldRoot),
            () if old == new && old_root != new_root => Err(ProofError::Root),
            () => Ok(()),
        };
    }
    // 1. If consistency_path is an empty array, stop and fail.
    // 2. If first is an exact power of 2, then prepend first_hash to the consistency_path array.
    let (start, rest) = match path.split_first() {
        None => return Err(ProofError::Length),
        Some(_) if old.is_power_of_two() => (old_root, path),
        Some((first, rest)) => (first, rest),
    };
    // 3. and 4. Set fn to first - 1 and sn to second - 1; if LSB(fn) is set, right-shift both until it is not.
    let (mut f, mut s) = (old - 1, new - 1);
    let ones = f.trailing_ones();
    (f, s) = (f.checked_shr(ones).unwrap_or(0), s.checked_shr(ones).unwrap_or(0));
    // 5. Set both fr and sr to the first value.
    let (mut fr, mut sr) = (*start, *start);
    // 6. For each subsequent value c:
    for c in rest {
        // a. If sn is 0, then stop the iteration and fail.
        if s == 0 {
            return Err(ProofError::Length);
        }
        if f & 1 == 1 || f == s {
            // b. Set fr and sr to HASH(0x01 || c || …), and shift until LSB(fn) is set or fn is 0.
            fr = node_hash(c, &fr);
            sr = node_hash(c, &sr);
            while f & 1 == 0 && f != 0 {
                (f, s) = (f >> 1, s >> 1);
            }
        } else {
            sr = node_hash(&sr, c);
        }
        // c. Finally, right-shift both fn and sn one time.
        (f, s) = (f >> 1, s >> 1);
    }
    // 7. fr is first_hash, sr is second_hash, and sn is 0.
    match () {
        () if s != 0 => Err(ProofError::Length),
        () if fr != *old_root => Err(ProofError::OldRoot),
        () if sr != *new_root => Err(ProofError::Root),
        () => Ok(()),
    }
}
