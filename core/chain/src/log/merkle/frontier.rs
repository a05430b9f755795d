//! A tree that only grows, by the roots of its complete subtrees.

use super::{NodeHash, empty_root, node_hash};

/// The right edge of a tree: one hash for every one in the binary form of its size.
///
/// Takes leaves one by one, knows the root at any time, and needs no heap: 64 hashes (2 KiB) serve any tree. A leaf costs
/// one hash of an inner node on average, 63 at worst.
///
/// ```
/// use sluis_chain::log::merkle::{Frontier, leaf_hash, node_hash};
///
/// let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
/// let mut tree = Frontier::new();
/// tree.push(a);
/// tree.push(b);
/// assert_eq!((tree.size(), tree.root()), (2, node_hash(&a, &b)));
/// ```
#[derive(Clone)]
pub struct Frontier {
    size: u64,
    /// At `level`, where that bit of `size` is set: the root of the complete subtree of `2^level` leaves. Left over
    /// elsewhere.
    nodes: [NodeHash; 64],
}

impl Frontier {
    /// The tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, nodes: [[0; 32]; 64] }
    }

    /// The tree of all these leaf hashes.
    #[must_use]
    pub fn from_leaves(leaves: impl IntoIterator<Item = NodeHash>) -> Self {
        let mut tree = Self::new();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }

    /// The edge of a tree of `size` leaves from the roots of its complete subtrees, largest first: what
    /// [`subtrees`](Self::subtrees) gave. `None` if their number does not fit the size.
    #[must_use]
    pub fn from_subtrees(size: u64, roots: &[NodeHash]) -> Option<Self> {
        if usize::try_from(size.count_ones()) != Ok(roots.len()) {
            return None;
        }
        let mut tree = Self { size, ..Self::new() };
        let mut roots = roots.iter().rev();
        for (_, node) in tree.nodes.iter_mut().enumerate().filter(|(level, _)| size >> level & 1 == 1) {
            *node = *roots.next()?;
        }
        Some(tree)
    }

    /// The roots of the complete subtrees, largest first.
    pub fn subtrees(&self) -> impl Iterator<Item = &NodeHash> {
        let size = self.size;
        self.nodes.iter().enumerate().rev().filter(move |(level, _)| size >> level & 1 == 1).map(|(_, node)| node)
    }

    /// How many leaves there are.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Append the hash of a leaf. (At 2^64 - 1 leaves, after some 300,000 years of one a microsecond, it stays as it is.)
    pub fn push(&mut self, leaf: NodeHash) {
        let Some(size) = self.size.checked_add(1) else { return };
        // The trailing ones of the old size are complete subtrees that grow together.
        let mut grown = leaf;
        let level = self.size.trailing_ones() as usize;
        for left in self.nodes.iter().take(level) {
            grown = node_hash(left, &grown);
        }
        if let Some(node) = self.nodes.get_mut(level) {
            *node = grown;
        }
        self.size = size;
    }

    /// The root of the tree as it is now.
    #[must_use]
    pub fn root(&self) -> NodeHash {
        let mut complete = self.nodes.iter().enumerate().filter(|(level, _)| self.size >> level & 1 == 1);
        let Some((_, smallest)) = complete.next() else { return empty_root() };
        complete.fold(*smallest, |right, (_, left)| node_hash(left, &right))
    }
}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

/// By size and root: what is left over from smaller trees does not count.
impl PartialEq for Frontier {
    fn eq(&self, other: &Self) -> bool {
        self.size == other.size && self.subtrees().eq(other.subtrees())
    }
}

impl Eq for Frontier {}

impl core::fmt::Debug for Frontier {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Frontier").field("size", &self.size).finish_non_exhaustive()
    }
}
