//! The leaf hashes beside a file: its `FILE.tree`.

use std::fs;
use std::io;
use std::path::Path;

use sluis_chain::log::merkle::{Frontier, NodeHash};
use sluis_chain::verify::Tree;

use super::judge::Held;
use crate::files;

/// A `FILE.tree`, read block by block.
pub(super) struct TreeFile {
    file: fs::File,
    size: u64,
    /// The number of the block that is held.
    block: u64,
    held: Vec<u8>,
}

/// Leaf hashes in a block.
const BLOCK: u64 = 2048;

impl TreeFile {
    /// The leaf hashes beside a file, where there are any.
    pub(super) fn beside(file: &Path) -> Option<Self> {
        let file = files::open(&files::beside(file, ".tree")).ok()?;
        let size = file.metadata().ok()?.len() / 32;
        Some(Self { file, size, block: u64::MAX, held: Vec::new() })
    }

    /// What the leaf hashes say of the file: how many lines it has, and their root. Only if a checkpoint is of a tree that
    /// these have grown from; nobody signed the rest, but whoever cut off or changed lines may not have thought of it.
    pub(super) fn grown(&mut self, from: Option<&Held>) -> Option<Held> {
        let mut tree = Frontier::new();
        let mut fits = from.is_none_or(|held| held.size == 0);
        for leaf in (0..self.size).map_while(|index| self.leaf(index)) {
            // A hole that a power cut left reads as zeros.
            if leaf == [0; 32] {
                break;
            }
            tree.push(leaf);
            fits |= from.is_some_and(|held| held.size == tree.size() && held.root == tree.root());
        }
        let held = Held { origin: String::new(), size: tree.size(), root: tree.root(), signed: false, own: false };
        fits.then_some(held).filter(|held| held.size > 0)
    }

    fn load(&mut self, block: u64) -> io::Result<()> {
        let count = BLOCK.min(self.size.saturating_sub(block * BLOCK));
        self.held.resize(usize::try_from(count * 32).unwrap_or(0), 0);
        self.block = u64::MAX;
        io::Seek::seek(&mut self.file, io::SeekFrom::Start(block * BLOCK * 32))?;
        io::Read::read_exact(&mut self.file, &mut self.held)?;
        self.block = block;
        Ok(())
    }
}

impl Tree for TreeFile {
    fn leaf(&mut self, index: u64) -> Option<NodeHash> {
        if index >= self.size {
            return None;
        }
        if self.block != index / BLOCK {
            self.load(index / BLOCK).ok()?;
        }
        self.held.as_chunks::<32>().0.get(usize::try_from(index % BLOCK).ok()?).copied()
    }
}
