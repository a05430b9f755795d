//! What gives lines their order: the caller's side of a journal.

use std::fmt;

/// The hash of a line, as it stands in `FILE.tree`.
pub type Leaf = [u8; 32];

/// What is known of the lines so far, from which the next one is composed and by which lines that are read are judged: a
/// hash chain, a Merkle frontier, a counter, or [nothing](Plain).
///
/// Where it stands is remembered once a batch, and it is put back to the last acknowledged line when a batch fails.
pub trait Chain: Send + 'static {
    /// Why a line does not belong here.
    type Fault: fmt::Display;

    /// Where it stands. Should be small.
    type Mark: Clone + Send + 'static;

    /// [`push`](Self::push) gives leaves, and `FILE.tree` is to be kept.
    const TREE: bool;

    /// Whether a line, without its line feed, is whole and belongs after those pushed so far. Called for lines read from the
    /// file, before they are pushed.
    ///
    /// # Errors
    /// What is wrong with it.
    fn check(&self, line: &[u8]) -> Result<(), Self::Fault>;

    /// Whether the content of a line is what the line itself says that it is (by a hash in it, say). Called, after
    /// [`check`](Self::check), for lines that no checkpoint covers, and for lines that are appended as they are.
    ///
    /// # Errors
    /// What is wrong with it.
    fn intact(&self, _line: &[u8]) -> Result<(), Self::Fault> {
        Ok(())
    }

    /// Whether these bytes are a whole line, and not the beginning of a longer one. A last line whose line feed is missing, and
    /// nothing else, is then taken in, and not cut off as torn. `false` where that cannot be told.
    fn is_whole(_line: &[u8]) -> bool {
        false
    }

    /// The hash of a line, as [`push`](Self::push) gives it.
    fn leaf(line: &[u8]) -> Option<Leaf>;

    /// Take in a line that was checked, or is to be appended as it is.
    fn push(&mut self, line: &[u8]) -> Option<Leaf>;

    /// Take in a line of the closed segment that the file continues, when it is opened.
    fn follow(&mut self, line: &[u8]) {
        self.push(line);
    }

    /// The lines from here on go to a new segment. Also called on opening, when a closed segment comes before the file; of that
    /// segment only the last line was [followed](Self::follow) then, unchecked; every line of it, checked, if the file has no
    /// whole one yet.
    fn turn(&mut self);

    /// Whether the first line of a file says that it follows one of another file.
    fn continues(_first: &[u8]) -> bool {
        true
    }

    /// Where it stands now.
    fn mark(&self) -> Self::Mark;

    /// Go back: the lines since then are not there.
    fn rewind(&mut self, mark: &Self::Mark);

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
    fn agrees(&mut self, _checkpoint: &[u8]) -> Result<(), Self::Fault> {
        Ok(())
    }

    /// Whether the lines may be gone on with beside this `FILE.checkpoint`, or beside none. Called once, when every line of the file
    /// was pushed and nothing was changed yet.
    ///
    /// # Errors
    /// They may not.
    fn admits(&self, _checkpoint: Option<&[u8]>) -> Result<(), Self::Fault> {
        Ok(())
    }
}

/// A line that was composed into the front of a buffer and taken in by its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Composed<T> {
    /// Its length in bytes, without a line feed.
    pub len: usize,
    /// Its hash, if the chain has any.
    pub leaf: Option<Leaf>,
    /// What its appender gets to know.
    pub value: T,
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

impl std::error::Error for NoText {}

impl Chain for Plain {
    type Fault = NoText;
    type Mark = ();
    const TREE: bool = false;

    fn check(&self, line: &[u8]) -> Result<(), NoText> {
        let text = std::str::from_utf8(line).map_err(|_| NoText)?;
        // A hole that a lost page leaves reads as zeros.
        if text.is_empty() || text.contains('\0') { Err(NoText) } else { Ok(()) }
    }

    fn leaf(_: &[u8]) -> Option<Leaf> {
        None
    }

    fn push(&mut self, _: &[u8]) -> Option<Leaf> {
        None
    }

    fn turn(&mut self) {}

    fn mark(&self) {}

    fn rewind(&mut self, (): &()) {}
}
