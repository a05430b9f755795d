//! The chain of a file of tokens, for whoever makes its lines without the log's machine or keeps more of them than their hashes.

use sluis_chain::log::AppendError;
use sluis_chain::log::merkle::{Frontier, NodeHash, leaf_hash};
use sluis_chain::log::note::{Checkpoint, Note, last_note};
use sluis_chain::token::{Hash32, Token, TokenError};

use crate::chain::{Chain, Leaf};

/// Why a line is no entry here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryFault {
    /// It is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It links to another line than the one before it.
    #[error("it does not link to the line before it")]
    Link,
    /// It cannot be taken as it is.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// It is no checkpoint.
    #[error("it is no checkpoint")]
    NoCheckpoint,
    /// The lines are not those that the checkpoint was made of.
    #[error("the lines have another root than the checkpoint says")]
    Root,
}

/// Whether a line is a token and, where it links to a line, follows the one before. The first line that is here may follow
/// one of a segment that is kept elsewhere by now.
pub(crate) fn joins(line: &[u8], last: Option<NodeHash>) -> Result<(), EntryFault> {
    match (Token::parse_bytes(line)?.prev(), last) {
        (Some(link), Some(last)) if link.0 != last => Err(EntryFault::Link),
        _ => Ok(()),
    }
}

/// What the newest checkpoint says, whoever signed it.
pub(crate) fn read(file: &[u8]) -> Result<Checkpoint<'_>, EntryFault> {
    let note = Note::parse(last_note(file)).map_err(|_| EntryFault::NoCheckpoint)?;
    Checkpoint::parse(note.text()).map_err(|_| EntryFault::NoCheckpoint)
}

/// What is kept of the tokens of a file besides their hashes. It is cloned once a batch: keep it small, or shared.
pub trait Fold: Clone + Send + 'static {
    /// Take note of the next token, read or just made.
    fn fold(&mut self, token: &Token<'_>);
}

impl Fold for () {
    fn fold(&mut self, _: &Token<'_>) {}
}

/// The lines of a file of tokens: their tree, the last of them, and what is [kept](Fold) of them.
#[derive(Clone, Debug, Default)]
pub struct Trail<T> {
    /// The tree of the lines of this file.
    pub tree: Frontier,
    /// The leaf hash of the last line; in a new segment, of the last one before it.
    pub last: Option<NodeHash>,
    /// What is kept of the tokens, those of earlier segments included as far as they were seen.
    pub kept: T,
}

impl<T> Trail<T> {
    /// The link that the next line bears.
    #[must_use]
    pub fn link(&self) -> Option<Hash32> {
        self.last.map(Hash32)
    }
}

impl<T: Fold> Chain for Trail<T> {
    type Fault = EntryFault;
    type Mark = Self;
    const TREE: bool = true;

    fn check(&self, line: &[u8]) -> Result<(), EntryFault> {
        joins(line, self.last)
    }

    fn push(&mut self, line: &[u8]) -> Option<Leaf> {
        let leaf = leaf_hash(line);
        self.tree.push(leaf);
        self.last = Some(leaf);
        if let Ok(token) = Token::parse_bytes(line) {
            self.kept.fold(&token);
        }
        Some(leaf)
    }

    fn turn(&mut self) {
        self.tree = Frontier::new();
    }

    fn mark(&self) -> Self {
        self.clone()
    }

    fn rewind(&mut self, mark: &Self) {
        self.clone_from(mark);
    }

    fn covered(checkpoint: &[u8]) -> Result<u64, EntryFault> {
        read(checkpoint).map(|head| head.size)
    }

    fn agrees(&self, checkpoint: &[u8]) -> Result<(), EntryFault> {
        if read(checkpoint)?.root == self.tree.root() { Ok(()) } else { Err(EntryFault::Root) }
    }
}
