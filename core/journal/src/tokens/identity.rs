//! Which log a file is, and who signs its checkpoints.

use std::sync::{Arc, OnceLock};

use sluis_chain::log::note::{Checkpoint, NoteSignError};
use sluis_core::identity::note::NoteKey;
use sluis_core::identity::{PublicKey, Signer};

use super::entries::{Entries, EntriesMark, Header};
use crate::entry::read;
use crate::journal::CheckpointError;

/// Which log it is, and who may sign for it.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) header: Header,
    /// Its first token says so.
    pub(super) stated: bool,
    /// The checkpoint that was there when it was opened.
    pub(super) note: Vec<u8>,
}

impl Identity {
    /// What a log is that was opened: what its first token says, what its checkpoint says, or, of one that begins, what it is to be.
    pub(super) fn of(entries: &mut Entries, named: Header) -> Self {
        let note = std::mem::take(&mut entries.note);
        if let Some(header) = entries.header.clone() {
            return Self { header, stated: true, note };
        }
        match read(&note) {
            // A checkpoint over nothing says of which log the file was to be, not of which it is.
            Ok(head) if head.size == 0 && entries.log.size() == 0 => {
                Self { header: named, stated: true, note: Vec::new() }
            }
            Ok(head) => Self { header: Header { origin: head.origin.into(), key: None }, stated: false, note },
            Err(_) => Self { header: named, stated: entries.log.size() == 0, note },
        }
    }

    /// Whether this key signs the checkpoints of the log: the one that its first token names. Where that names none, whoever signed
    /// the last one, or anybody who is the first.
    pub(super) fn admits(&self, key: &PublicKey) -> Result<(), HeadError> {
        match &self.header.key {
            Some(named) if named == key => Ok(()),
            Some(named) if self.stated => Err(HeadError::OtherKey(Some(*named))),
            _ if self.note.is_empty() => Ok(()),
            _ => {
                let key = NoteKey::new(&self.header.origin, *key).map_err(|_| HeadError::OtherKey(None))?;
                let opened = Checkpoint::open(&self.note, &self.header.origin, &[key]);
                opened.map(drop).map_err(|_| HeadError::OtherKey(None))
            }
        }
    }

    pub(super) fn sign(
        &self,
        signer: &(impl Signer + ?Sized),
        mark: &EntriesMark,
        note: &mut Vec<u8>,
    ) -> Result<u64, HeadError> {
        self.admits(&signer.public())?;
        let size = mark.tree().size();
        let checkpoint = Checkpoint::new(&self.header.origin, size, mark.tree().root()).map_err(HeadError::Sign)?;
        checkpoint.sign(signer, note).map_err(HeadError::Sign)?;
        Ok(size)
    }
}

/// Who signs for the log.
pub(super) struct Head {
    pub(super) origin: String,
    pub(super) signer: Box<dyn Signer + Send + Sync>,
    /// Known once the log is opened.
    pub(super) log: OnceLock<Arc<Identity>>,
}

impl Head {
    pub(super) fn sign(&self, mark: &EntriesMark, note: &mut Vec<u8>) -> Result<u64, HeadError> {
        self.log.get().ok_or(HeadError::NoSigner)?.sign(&*self.signer, mark, note)
    }
}

/// Why there is no new checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The journal was opened without [`checkpoints`](super::TokenSetup::checkpoints).
    #[error("the journal was opened without a key for checkpoints")]
    NoSigner,
    /// Another key signs the checkpoints of this log: the one that its first token names, or, where that names none, whichever signed
    /// the last of them.
    #[error("another key signs the checkpoints of this log")]
    OtherKey(Option<PublicKey>),
    /// It could not be signed.
    #[error(transparent)]
    Sign(NoteSignError),
    /// It could not be written.
    #[error("writing the checkpoint: {0}")]
    Io(std::io::Error),
}

impl From<CheckpointError<Self>> for HeadError {
    fn from(error: CheckpointError<Self>) -> Self {
        match error {
            CheckpointError::Make(error) => error,
            CheckpointError::Io(error) => Self::Io(error),
        }
    }
}
