//! One file that proves one entry, without the log.

use alloc::format;
use alloc::string::{String, ToString};

use super::merkle::{Leaves, MAX_PATH, Path, ProofError, ProveError, leaf_hash, prove_inclusion, verify_inclusion};
use super::note::{Checkpoint, CheckpointError, Note};
use crate::token::{Hash32, Token, TokenError};
use sluis_core::data::{
    EncodeError, Member, Number, Separators, Sink, Style, Text, Value, ValueError, ValueToken as Piece, hex,
};
use sluis_core::identity::note::{NoteKey, NoteKeyError};

/// What kind of object a bundle is: its `type`.
pub const BUNDLE_TYPE: &str = "sluis.bundle/v1";

/// Longest bundle that is read, in bytes.
pub const MAX_BUNDLE: usize = 16 << 20;

/// A bundle cannot be read, or does not prove what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Longer than [`MAX_BUNDLE`].
    #[error("the bundle is longer than {MAX_BUNDLE} bytes")]
    TooLong,
    /// Not JSON.
    #[error("the bundle is not JSON: {0}")]
    Json(#[from] ValueError),
    /// Not an object with the members of a bundle, each of its type.
    #[error("the bundle has no {0} of the right form")]
    Member(&'static str),
    /// The key in it is none.
    #[error(transparent)]
    Key(#[from] NoteKeyError),
    /// The checkpoint cannot be believed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The proof does not lead from the entry to the checkpoint.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The entry is no token.
    #[error("the entry is no token: {0}")]
    Token(#[from] TokenError),
}

/// Why a bundle was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakeBundleError<E> {
    /// There is no proof.
    #[error(transparent)]
    Prove(ProveError<E>),
    /// The proof does not lead from this entry to this checkpoint: one of them, or the tree, is not of this log.
    #[error(transparent)]
    Proof(ProofError),
    /// The entry is not UTF-8.
    #[error("the entry is not UTF-8")]
    NotUtf8,
    /// The note is no checkpoint.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// The sink is full.
    #[error(transparent)]
    Encode(EncodeError),
}

/// Everything that is needed to see that an entry is in a log: the entry, where it is, the way from it to the root, and the
/// checkpoint that the log signed.
///
/// As JSON it is one object: `type`, `entry` (the line), `index`, `size`, `proof` (hashes in hex, from the leaf up),
/// `checkpoint` (the note), `key` (`NAME+ID+BASE64`). The key is there for convenience. Whether it is the log's, only somebody
/// who knows the log can say: [`verify`](Self::verify) asks for the keys that are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The line, without its line feed.
    pub entry: String,
    /// Its place in the log, from 0.
    pub index: u64,
    /// How many entries the tree of the proof has: as many as the checkpoint says.
    pub size: u64,
    /// From the leaf's sibling up.
    pub proof: Path,
    /// The signed note.
    pub checkpoint: String,
    /// Who signed it, as whoever made the bundle says.
    pub key: String,
}

impl Bundle {
    /// Prove the entry with this index, out of the leaf hashes of its log, under a signed checkpoint of it.
    ///
    /// # Errors
    /// [`MakeBundleError`]; nothing is made that would not verify, the signature of the checkpoint aside.
    pub fn new<L: Leaves>(
        entry: &[u8],
        index: u64,
        leaves: &mut L,
        checkpoint: &str,
        key: NoteKey<'_>,
    ) -> Result<Self, MakeBundleError<L::Error>> {
        let bad = |error| MakeBundleError::Checkpoint(error);
        let note = Note::parse(checkpoint.as_bytes()).map_err(|e| bad(e.into()))?;
        let Checkpoint { size, root, .. } = Checkpoint::parse(note.text()).map_err(bad)?;
        let proof = prove_inclusion(leaves, index, size).map_err(MakeBundleError::Prove)?;
        verify_inclusion(&leaf_hash(entry), index, size, &proof, &root).map_err(MakeBundleError::Proof)?;
        let entry = core::str::from_utf8(entry).map_err(|_| MakeBundleError::NotUtf8)?.into();
        Ok(Self { entry, index, size, proof, checkpoint: checkpoint.into(), key: key.to_string() })
    }

    /// Read one.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, BundleError> {
        if text.len() > MAX_BUNDLE {
            return Err(BundleError::TooLong);
        }
        let value = Value::from_json(text)?;
        let text = |key: &'static str| {
            let text = value.get(key).and_then(Value::as_text).ok_or(BundleError::Member(key))?;
            // Half a surrogate pair would come out as something else than it went in.
            text.chars().collect::<Result<String, _>>().map_err(|_| BundleError::Member(key))
        };
        let number = |key: &'static str| match value.get(key).and_then(Value::as_number) {
            Some(Number::Int(n)) => u64::try_from(n).map_err(|_| BundleError::Member(key)),
            Some(Number::Uint(n)) => Ok(n),
            _ => Err(BundleError::Member(key)),
        };
        if text("type")? != BUNDLE_TYPE {
            return Err(BundleError::Member("type"));
        }
        Ok(Self {
            entry: text("entry")?,
            index: number("index")?,
            size: number("size")?,
            proof: value.get("proof").and_then(path).ok_or(BundleError::Member("proof"))?,
            checkpoint: text("checkpoint")?,
            key: text("key")?,
        })
    }

    /// Write it as one JSON object, without a line feed.
    ///
    /// # Errors
    /// The sink is full.
    pub fn write_json(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let mut hashes = String::new();
        for hash in &self.proof {
            let comma = if hashes.is_empty() { "" } else { "," };
            hashes.push_str(&format!("{comma}\"{}\"", Hash32(*hash)));
        }
        let hashes = format!("[{hashes}]");
        // It was put together just now.
        let proof = Value::from_json(&hashes).unwrap_or(Value::EMPTY_ARRAY);
        let style = Style { separators: Separators::Spaced, ..Style::WIRE };
        sluis_core::data::canonical::write_object(
            sink,
            &[
                ("type", BUNDLE_TYPE.into()),
                ("entry", Member::Text(Text::new(&self.entry))),
                ("index", Number::from(self.index).into()),
                ("size", Number::from(self.size).into()),
                ("proof", proof.into()),
                ("checkpoint", Member::Text(Text::new(&self.checkpoint))),
                ("key", Member::Text(Text::new(&self.key))),
            ],
            style,
        )
    }

    /// The key that the bundle names.
    ///
    /// # Errors
    /// It is none.
    pub fn key(&self) -> Result<NoteKey<'_>, BundleError> {
        Ok(NoteKey::parse(&self.key)?)
    }

    /// Verify, offline: the checkpoint is of the log `origin` and signed by one of `keys`, and the entry is in its tree at its
    /// place. The token in the entry comes back; its own hash and seal are the next question.
    ///
    /// # Errors
    /// What does not hold.
    pub fn verify(&self, origin: &str, keys: &[NoteKey<'_>]) -> Result<Token<'_>, BundleError> {
        let checkpoint = Checkpoint::open(self.checkpoint.as_bytes(), origin, keys)?;
        if checkpoint.size != self.size {
            return Err(BundleError::Member("size"));
        }
        let leaf = leaf_hash(self.entry.as_bytes());
        verify_inclusion(&leaf, self.index, self.size, &self.proof, &checkpoint.root)?;
        Ok(Token::parse(&self.entry)?)
    }
}

/// Hashes in hex.
fn path(value: Value<'_>) -> Option<Path> {
    let mut path = Path::new();
    let mut pieces = value.tokens();
    if pieces.next()? != Piece::ArrayStart {
        return None;
    }
    for piece in pieces.take(MAX_PATH + 1) {
        match piece {
            Piece::Str(text) => {
                let mut hash = [0; 32];
                hex::parse(text.resolve(&mut [0; 64]).ok()?.as_bytes(), &mut hash)?;
                path.push(hash).ok()?;
            }
            Piece::ArrayEnd => return Some(path),
            _ => return None,
        }
    }
    None
}
