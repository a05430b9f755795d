//! What a line must be to stand in a file of tokens.

use sluis_chain::log::AppendError;
use sluis_chain::log::merkle::NodeHash;
use sluis_chain::log::note::{Checkpoint, Note, last_note};
use sluis_chain::token::{Fault, Token, TokenError};
use sluis_chain::workload::WriteError;

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
    /// Its content is not what its content hash says, or that was made under a key that the journal was not given.
    #[error("{0}; it was changed, or another HMAC key is needed")]
    Content(Fault),
    /// It cannot be taken as it is.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// It is no checkpoint.
    #[error("it is no checkpoint")]
    NoCheckpoint,
    /// The lines are not those that the checkpoint was made of.
    #[error("the lines have another root than the checkpoint says")]
    Root,
    /// The checkpoint is that of another log: it bears another name than the first token says.
    #[error("it is the checkpoint of another log")]
    Origin,
    /// The checkpoint bears no valid signature of the key that the first token names for checkpoints.
    #[error("it is not signed by the key that the first token names for checkpoints")]
    Unsigned,
    /// There is none, although the first token says that the log has a key for checkpoints.
    #[error("there is none, and the first line says that the log has one")]
    CheckpointMissing,
    /// No checkpoint covers the token, and it bears no valid signature of the key that the first token names for checkpoints.
    #[error("no checkpoint covers it, and the key of the log has not signed it")]
    Unsealed,
    /// It is longer than the room that was given.
    #[error("it is longer than there is room")]
    NoRoom,
    /// Only a workload writes tokens of this action.
    #[error("only a workload writes tokens of this action")]
    Reserved,
    /// A token of a workload cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// No token of the workload waits to be written.
    #[error("no token of the workload waits to be written")]
    NothingWaits,
}

/// Whether a line is a token that a log takes and, where it links to a line, follows the one before. The first line that is here may
/// follow one of a segment that is kept elsewhere by now.
pub(crate) fn joins(line: &[u8], first: bool, last: Option<NodeHash>) -> Result<(), EntryFault> {
    let token = Token::parse_bytes(line)?;
    if line.ends_with(b"\r") {
        return Err(AppendError::NotALine.into());
    }
    if !first && token.log_header().is_some() {
        return Err(AppendError::NotFirst.into());
    }
    match (token.prev(), last) {
        (Some(link), Some(last)) if link.0 != last => Err(EntryFault::Link),
        _ => Ok(()),
    }
}

/// Whether a line links to another.
pub(crate) fn links(line: &[u8]) -> bool {
    Token::parse_bytes(line).is_ok_and(|token| token.prev().is_some())
}

/// What the newest checkpoint says, whoever signed it.
pub(crate) fn read(file: &[u8]) -> Result<Checkpoint<'_>, EntryFault> {
    let note = Note::parse(last_note(file)).map_err(|_| EntryFault::NoCheckpoint)?;
    Checkpoint::parse(note.text()).map_err(|_| EntryFault::NoCheckpoint)
}
