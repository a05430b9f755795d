//! What a log says of itself: how long it is, and its root.

use core::fmt::Write as _;

use base64ct::{Base64, Encoding as _};

use super::signed::{DASH, Note, NoteError, NoteSignError, sign};
use crate::log::merkle::NodeHash;
use sluis_core::data::Sink;
use sluis_core::identity::Signer;
use sluis_core::identity::note::{NoteKey, is_name};

/// Longest origin of a log that we sign for, in bytes.
pub const MAX_ORIGIN: usize = 256;
/// Longest checkpoint that [`Checkpoint::sign`] writes, in bytes: two names, the size, the root, the signature.
pub const MAX_CHECKPOINT: usize = 2 * MAX_ORIGIN + 192;

/// A text is no checkpoint, or not the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note around it.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not an origin, a size, a root and perhaps further lines that are not empty.
    #[error("the note is not a checkpoint: an origin, a size and a root, a line each")]
    Form,
    /// It is of another log.
    #[error("the checkpoint is of another log")]
    Origin,
}

/// A tree head. Made to be signed with [`new`](Self::new), or read with [`open`](Self::open).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint<'a> {
    /// The name of the log.
    pub origin: &'a str,
    /// How many entries it has.
    pub size: u64,
    /// The root of their Merkle tree.
    pub root: NodeHash,
    /// Further lines, each with its line feed, without a meaning here. We write none.
    pub extensions: &'a str,
}

impl<'a> Checkpoint<'a> {
    /// What a log is to sign. Its origin is a name without spaces and plus signs, `example.com/log` say, of at most
    /// [`MAX_ORIGIN`] bytes: it is also the name of the key.
    ///
    /// # Errors
    /// [`NoteSignError::Name`].
    pub fn new(origin: &'a str, size: u64, root: NodeHash) -> Result<Self, NoteSignError> {
        if !is_name(origin) || origin.len() > MAX_ORIGIN {
            return Err(NoteSignError::Name);
        }
        Ok(Self { origin, size, root, extensions: "" })
    }

    /// Write it as a note signed by the log's key, whose name is the origin.
    ///
    /// # Errors
    /// As [`sign`].
    pub fn sign<S: Signer + ?Sized>(&self, signer: &S, sink: &mut impl Sink) -> Result<(), NoteSignError> {
        let mut text = heapless::String::<{ MAX_ORIGIN + 80 }>::new();
        let mut root = [0; 44];
        let root = Base64::encode(&self.root, &mut root).map_err(|_| NoteSignError::Text)?;
        writeln!(text, "{}\n{}\n{root}", self.origin, self.size).map_err(|_| NoteSignError::Name)?;
        sign(&text, self.origin, signer, sink)
    }

    /// Read the text of a note.
    ///
    /// # Errors
    /// [`CheckpointError::Form`].
    pub fn parse(text: &'a str) -> Result<Self, CheckpointError> {
        Self::read(text).ok_or(CheckpointError::Form)
    }

    fn read(text: &'a str) -> Option<Self> {
        let (origin, rest) = text.split_once('\n')?;
        let (size, rest) = rest.split_once('\n')?;
        let (base64, extensions) = rest.split_once('\n')?;
        if origin.is_empty()
            || !size.bytes().all(|byte| byte.is_ascii_digit())
            || (size != "0" && size.starts_with('0'))
        {
            return None;
        }
        if extensions.starts_with('\n')
            || extensions.contains("\n\n")
            || !(extensions.is_empty() || extensions.ends_with('\n'))
        {
            return None;
        }
        let mut root = [0; 32];
        let whole = Base64::decode(base64, &mut root).ok()?.len() == root.len();
        whole.then_some(())?;
        Some(Self { origin, size: size.parse().ok()?, root, extensions })
    }

    /// Read a signed checkpoint of the log with this origin, signed by one of these keys at least.
    ///
    /// # Errors
    /// It is no checkpoint, of another log, or not to be believed.
    pub fn open(note: &'a [u8], origin: &str, keys: &[NoteKey<'_>]) -> Result<Self, CheckpointError> {
        let note = Note::parse(note)?;
        note.verify(keys)?;
        let this = Self::parse(note.text())?;
        if this.origin == origin { Ok(this) } else { Err(CheckpointError::Origin) }
    }
}

/// The last of several checkpoints that follow one another in a file: what comes after the last signature line that is
/// followed by something else. The file itself, if it holds only one.
#[must_use]
pub fn last_note(file: &[u8]) -> &[u8] {
    let (mut start, mut at, mut signed) = (0, 0, false);
    for line in file.split_inclusive(|byte| *byte == b'\n') {
        let signature = line.starts_with(DASH.as_bytes());
        if signed && !signature {
            start = at;
        }
        signed = signature;
        at += line.len();
    }
    file.get(start..).unwrap_or_default()
}
