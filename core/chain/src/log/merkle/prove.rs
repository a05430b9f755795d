//! Proofs, made from the hashes of leaves.

use super::{Frontier, NodeHash, Path, empty_root, node_hash};

/// Where the leaf hashes of a tree are: in memory, in a file, behind a network.
pub trait Leaves {
    /// What can go wrong when one is read.
    type Error;

    /// How many leaves there are.
    fn size(&self) -> u64;

    /// The hash of the leaf with this index, which is below [`size`](Self::size).
    ///
    /// # Errors
    /// It cannot be read.
    fn leaf(&mut self, index: u64) -> Result<NodeHash, Self::Error>;

    /// The root of the complete subtree of the leaves from `index << level` to `(index + 1) << level`, where it is kept.
    /// Without any kept nodes a proof reads every leaf of the tree once; with all of them it reads some hundred hashes.
    ///
    /// # Errors
    /// It cannot be read.
    fn node(&mut self, level: u32, index: u64) -> Result<Option<NodeHash>, Self::Error> {
        let _ = (level, index);
        Ok(None)
    }
}

impl Leaves for &[NodeHash] {
    type Error = core::convert::Infallible;

    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn leaf(&mut self, index: u64) -> Result<NodeHash, Self::Error> {
        Ok(usize::try_from(index).ok().and_then(|i| self.get(i)).copied().unwrap_or_default())
    }
}

#[cfg(feature = "alloc")]
impl Leaves for alloc::vec::Vec<NodeHash> {
    type Error = core::convert::Infallible;

    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn leaf(&mut self, index: u64) -> Result<NodeHash, Self::Error> {
        (&self[..]).leaf(index)
    }
}

/// Leaf hashes one after the other, 32 bytes each: the content of a `FILE.tree`. Bytes after the last whole hash do not
/// count.
#[derive(Clone, Copy, Debug)]
pub struct RawLeaves<'a>(pub &'a [u8]);

impl Leaves for RawLeaves<'_> {
    type Error = core::convert::Infallible;

    fn size(&self) -> u64 {
        self.0.as_chunks::<32>().0.len() as u64
    }

    fn leaf(&mut self, index: u64) -> Result<NodeHash, Self::Error> {
        self.0.as_chunks().0.leaf(index)
    }
}

/// Why there is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// The leaf, or the older tree, is not within the newer tree, or that is not within the leaves there are.
    #[error("there is no such entry in a tree of that size")]
    OutOfRange,
    /// The older tree is empty: every tree is consistent with it, and there is nothing to prove.
    #[error("a tree without entries is consistent with any")]
    Empty,
    /// A leaf could not be read.
    #[error("the tree cannot be read")]
    Source(E),
}

impl<E> From<E> for ProveError<E> {
    fn from(error: E) -> Self {
        Self::Source(error)
    }
}

/// The largest power of two below `n`, for `n` above 1: where RFC 9162 splits a tree.
const fn split(n: u64) -> u64 {
    1 << (u64::BITS - 1 - (n - 1).leading_zeros())
}

/// The root of the complete subtree at `level` and `index`.
fn complete<L: Leaves>(leaves: &mut L, level: u32, index: u64) -> Result<NodeHash, L::Error> {
    if level == 0 {
        return leaves.leaf(index);
    }
    if let Some(node) = leaves.node(level, index)? {
        return Ok(node);
    }
    let mut tree = Frontier::new();
    for leaf in index << level..(index + 1) << level {
        tree.push(leaves.leaf(leaf)?);
    }
    Ok(tree.root())
}

/// The root of the leaves from `start` to `end`, where `start` is a multiple of every complete subtree in between.
fn root_between<L: Leaves>(leaves: &mut L, start: u64, end: u64) -> Result<NodeHash, L::Error> {
    // From the smallest subtree at the right edge to the largest at the left.
    let (mut end, mut root) = (end, None);
    while end > start {
        let level = (end - start).trailing_zeros();
        let width = 1 << level;
        let left = complete(leaves, level, (end - width) >> level)?;
        root = Some(root.map_or(left, |right| node_hash(&left, &right)));
        end -= width;
    }
    Ok(root.unwrap_or_else(empty_root))
}

/// The root of the first `size` leaves.
///
/// # Errors
/// There are fewer, or one cannot be read.
pub fn root_of<L: Leaves>(leaves: &mut L, size: u64) -> Result<NodeHash, ProveError<L::Error>> {
    if size > leaves.size() {
        return Err(ProveError::OutOfRange);
    }
    Ok(root_between(leaves, 0, size)?)
}

/// Go from a subtree into the half that holds this leaf; what comes out is the root of the other half.
fn descend<L: Leaves>(
    leaves: &mut L,
    start: &mut u64,
    end: &mut u64,
    leaf: u64,
) -> Result<NodeHash, ProveError<L::Error>> {
    let middle = *start + split(*end - *start);
    if leaf < middle {
        let right = root_between(leaves, middle, *end)?;
        *end = middle;
        Ok(right)
    } else {
        let left = root_between(leaves, *start, middle)?;
        *start = middle;
        Ok(left)
    }
}

/// The proof that the leaf with this index is in the tree of the first `size` leaves (RFC 9162, 2.1.3.1).
///
/// # Errors
/// There is no such leaf or no such tree, or a leaf cannot be read.
pub fn prove_inclusion<L: Leaves>(leaves: &mut L, index: u64, size: u64) -> Result<Path, ProveError<L::Error>> {
    if index >= size || size > leaves.size() {
        return Err(ProveError::OutOfRange);
    }
    let (mut start, mut end, mut path) = (0, size, Path::new());
    while end - start > 1 {
        // At most 64 splits lead to a leaf.
        let _ = path.push(descend(leaves, &mut start, &mut end, index)?);
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of the first `new` leaves is that of the first `old` leaves and more (RFC 9162, 2.1.4.1).
/// Of a tree and itself it is empty.
///
/// # Errors
/// `old` is 0 or above `new`, there are not that many leaves, or one cannot be read.
pub fn prove_consistency<L: Leaves>(leaves: &mut L, old: u64, new: u64) -> Result<Path, ProveError<L::Error>> {
    if old > new || new > leaves.size() {
        return Err(ProveError::OutOfRange);
    }
    if old == 0 {
        return Err(ProveError::Empty);
    }
    let (mut start, mut end, mut path) = (0, new, Path::new());
    while end != old {
        // At most 64 splits lead to the older tree's edge.
        let _ = path.push(descend(leaves, &mut start, &mut end, old - 1)?);
    }
    // Where the older tree is itself a complete subtree from the left, the verifier knows its root.
    if start != 0 {
        let _ = path.push(root_between(leaves, start, end)?);
    }
    path.reverse();
    Ok(path)
}
