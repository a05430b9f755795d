//! Texts that carry their signatures.

use base64ct::{Base64, Decoder, Encoding as _};

use sluis_core::data::{Full, Sink};
use sluis_core::identity::note::{NoteKey, is_name, key_id};
use sluis_core::identity::{SignError, Signature, Signer};

/// Longest note in bytes, signatures included, as in the reference implementation (Go's `sumdb/note`).
pub const MAX_NOTE: usize = 1_000_000;
/// Most signatures on one note, as in the reference implementation. (The format asks for at least 16.)
pub const MAX_SIGNATURES: usize = 100;

/// What a signature line begins with.
pub(super) const DASH: &str = "— ";
/// Base64 of the key id and an Ed25519 signature.
const BLOB_TEXT: usize = 92;

/// Bytes are no note, or not one to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE`], or with more than [`MAX_SIGNATURES`].
    #[error("the note is too long or has too many signatures")]
    TooLong,
    /// Not UTF-8, or with control characters other than line feeds.
    #[error("the note is not a plain text")]
    Text,
    /// No empty line before the signatures, none of them, or a line among them that is none.
    #[error("the note is not a text, an empty line and signatures")]
    Form,
    /// A signature of a known key does not hold.
    #[error("a signature on the note does not hold")]
    BadSignature,
    /// Two different known keys have the name and the key id of a signature.
    #[error("two known keys share a name and a key id")]
    Ambiguous,
    /// No known key has signed.
    #[error("no known key has signed the note")]
    UnknownKey,
}

/// A note whose form has been checked. Do not believe its text before [`verify`](Self::verify) did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    text: &'a str,
    lines: &'a str,
}

/// A signature line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteSignature<'a> {
    /// Of the key.
    pub name: &'a str,
    /// Of the key.
    pub id: [u8; 4],
    /// The line's base64: key id and signature.
    pub base64: &'a str,
}

impl<'a> NoteSignature<'a> {
    /// One line, without its line feed.
    fn parse(line: &'a str) -> Option<Self> {
        let (name, base64) = line.strip_prefix(DASH)?.split_once(' ')?;
        if !is_name(name) {
            return None;
        }
        // All of it must be base64; what follows the id is anything, of any length but none.
        let mut decoder = Decoder::<Base64>::new(base64.as_bytes()).ok()?;
        let (mut id, mut piece) = ([0; 4], [0; 48]);
        decoder.decode(&mut id).ok()?;
        if decoder.is_finished() {
            return None;
        }
        while !decoder.is_finished() {
            let len = decoder.remaining_len().min(piece.len());
            decoder.decode(piece.get_mut(..len)?).ok()?;
        }
        Some(Self { name, id, base64 })
    }

    /// The signature, if it has the length of an Ed25519 one.
    fn ed25519(&self) -> Option<Signature> {
        let mut blob = [0; 68];
        let blob = Base64::decode(self.base64, &mut blob).ok()?;
        blob.get(4..)?.try_into().ok()
    }
}

impl<'a> Note<'a> {
    /// Check the form of a note.
    ///
    /// # Errors
    /// [`NoteError::TooLong`], [`NoteError::Text`], [`NoteError::Form`].
    pub fn parse(note: &'a [u8]) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::TooLong);
        }
        let note = core::str::from_utf8(note).map_err(|_| NoteError::Text)?;
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(NoteError::Text);
        }
        // The last empty line; the text keeps its own line feed.
        let gap = note.rfind("\n\n").ok_or(NoteError::Form)?;
        let (text, lines) = note.split_at_checked(gap + 1).ok_or(NoteError::Form)?;
        let lines = lines.strip_prefix('\n').filter(|lines| lines.ends_with('\n')).ok_or(NoteError::Form)?;
        let this = Self { text, lines };
        let (mut count, mut well_formed) = (0, true);
        for line in lines.lines() {
            count += 1;
            well_formed &= NoteSignature::parse(line).is_some();
        }
        match () {
            () if count > MAX_SIGNATURES => Err(NoteError::TooLong),
            () if well_formed => Ok(this),
            () => Err(NoteError::Form),
        }
    }

    /// The text, with its last line feed.
    #[must_use]
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The signatures in their order, of known keys or not.
    pub fn signatures(&self) -> impl Iterator<Item = NoteSignature<'a>> {
        self.lines.lines().filter_map(NoteSignature::parse)
    }

    /// Verify the signatures of known Ed25519 keys; how many of these have signed. Further signatures of one key are passed
    /// over, and so are those of others, even where they share the name or the id of a known key.
    ///
    /// # Errors
    /// [`NoteError::BadSignature`] if one of a known key does not hold, [`NoteError::UnknownKey`] if there is none,
    /// [`NoteError::Ambiguous`].
    pub fn verify(&self, keys: &[NoteKey<'_>]) -> Result<usize, NoteError> {
        let (mut signed, mut seen) = (0, 0_u128);
        for signature in self.signatures() {
            let mut fits =
                keys.iter().enumerate().filter(|(_, key)| key.name() == signature.name && key.id() == signature.id);
            let Some((at, key)) = fits.next() else { continue };
            if fits.any(|(_, other)| other != key) {
                return Err(NoteError::Ambiguous);
            }
            // Beyond 128 keys a second signature of one is verified again, and counted again.
            let bit = u32::try_from(at).ok().and_then(|at| 1_u128.checked_shl(at)).unwrap_or(0);
            if seen & bit != 0 {
                continue;
            }
            seen |= bit;
            let bytes = signature.ed25519().ok_or(NoteError::BadSignature)?;
            key.key().verify(self.text.as_bytes(), &bytes).map_err(|_| NoteError::BadSignature)?;
            signed += 1;
        }
        if signed == 0 { Err(NoteError::UnknownKey) } else { Ok(signed) }
    }
}

/// A note was not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteSignError {
    /// The text does not end with a line feed, or holds other control characters.
    #[error("the text of a note must end with a line feed and hold no other control characters")]
    Text,
    /// The name of the signer is empty, or holds spaces, control characters or a plus sign.
    #[error("the name of a signer must not be empty, nor hold spaces, control characters or a plus sign")]
    Name,
    /// The signer did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The output is full.
    #[error(transparent)]
    Full(#[from] Full),
}

/// Write a text as a note with one signature. To add one to a note, append its line: all after the empty line.
///
/// # Errors
/// The text or the name are not what a note may hold, the signer fails, or the sink is full; what was put by then is no
/// note.
pub fn sign<S: Signer + ?Sized>(text: &str, name: &str, signer: &S, sink: &mut impl Sink) -> Result<(), NoteSignError> {
    if !text.ends_with('\n') || text.bytes().any(|byte| byte < b' ' && byte != b'\n') {
        return Err(NoteSignError::Text);
    }
    if !is_name(name) {
        return Err(NoteSignError::Name);
    }
    let mut blob = [0; 68];
    let (id, signature) = blob.split_at_mut(4);
    id.copy_from_slice(&key_id(name, &signer.public()));
    signature.copy_from_slice(&signer.sign(text.as_bytes())?);
    let mut base64 = [0; BLOB_TEXT];
    let base64 = Base64::encode(&blob, &mut base64).unwrap_or_default();
    for piece in [text, "\n", DASH, name, " ", base64, "\n"] {
        sink.put(piece.as_bytes())?;
    }
    Ok(())
}
