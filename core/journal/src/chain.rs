//! What gives lines their order: the caller's side of a journal.

use std::fmt;

/// The hash of a line, as it stands in `FILE.tree`.
pub type Leaf = [u8; 32];

/// What is known of the lines so far, from which the next one is composed and by which lines that are read are judged: a
/// hash chain, a Merkle frontier, a counter, or [nothing](Plain).
///
/// It is cloned once a batch, and put back to the last acknowledged line when a batch fails, so it should be small.
pub trait Chain: Clone + Send + 'static {
    /// Why a line does not belong here.
    type Fault: fmt::Display;

    /// [`push`](Self::push) gives leaves, and `FILE.tree` is to be kept.
    const TREE: bool;

    /// Whether a line, without its line feed, is whole and belongs after those pushed so far. Called for lines read from the
    /// file, before they are pushed.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(&self, line: &[u8]) -> Result<(), Self::Fault>;

    /// Take a line in: one just composed, or one that was checked.
    fn push(&mut self, line: &[u8]) -> Option<Leaf>;

    /// The lines from here on go to a new segment. Also called on opening, when a closed segment comes before the file; of that
    /// segment only the last line was pushed then, unchecked.
    fn turn(&mut self);

    /// How many lines `FILE.checkpoint` speaks of.
    ///
    /// # Errors
    /// It cannot be read.
    fn covered(_checkpoint: &[u8]) -> Result<u64, Self::Fault> {
        Ok(0)
    }

    /// Whether `FILE.checkpoint` is one of the lines pushed so far; called when these are as many as it
    /// [covers](Self::covered).
    ///
    /// # Errors
    /// It is not.
    fn agrees(&self, _checkpoint: &[u8]) -> Result<(), Self::Fault> {
        Ok(())
    }
}

/// Lines that do not depend on each other: any text but the empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plain;

/// A line that is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoText;

impl fmt::Display for NoText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("empty, or not text")
    }
}

impl Chain for Plain {
    type Fault = NoText;
    const TREE: bool = false;

    fn check(&self, line: &[u8]) -> Result<(), NoText> {
        let text = std::str::from_utf8(line).map_err(|_| NoText)?;
        // A hole that a lost page leaves reads as zeros.
        if text.is_empty() || text.contains('\0') { Err(NoText) } else { Ok(()) }
    }

    fn push(&mut self, _: &[u8]) -> Option<Leaf> {
        None
    }

    fn turn(&mut self) {}
}
