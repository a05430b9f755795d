//! Public keys as C2SP signed notes name them (<https://c2sp.org/signed-note>).
//!
//! A verifier key is one line, `NAME+KEYID+BASE64`: the name of the signer, eight hex digits, and the base64 of the
//! algorithm byte and the key. The key id binds name and key: it is the start of
//! SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key), where 0x01 stands for Ed25519.

use core::fmt;

use base64ct::{Base64, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::{KeyError, PublicKey};
use crate::data::hex;

/// The algorithm byte of Ed25519.
pub const ED25519: u8 = 1;

/// A line is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteKeyError {
    /// A name is empty, or holds a space, a control character or a plus sign.
    #[error("the name of a note key must not be empty, nor hold spaces, control characters or a plus sign")]
    Name,
    /// Not `NAME+KEYID+BASE64` with an Ed25519 key in it.
    #[error("a note key is written NAME+KEYID+BASE64 and holds an Ed25519 key")]
    Form,
    /// The key id is not that of this name and key.
    #[error("the key id does not belong to this name and key")]
    Id,
    /// The key itself is refused.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A named public key: who may sign a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NoteKey<'a> {
    name: &'a str,
    key: PublicKey,
}

/// Whether a signer may have this name: not empty, no white space (as Unicode has it), no control characters, no `+`.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c.is_whitespace() || c.is_control())
}

/// The key id of an Ed25519 key under a name.
#[must_use]
pub fn key_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(key.as_bytes()).finalize();
    let hash: [u8; 32] = hash.into();
    [hash[0], hash[1], hash[2], hash[3]]
}

impl<'a> NoteKey<'a> {
    /// A key under a name.
    ///
    /// # Errors
    /// [`NoteKeyError::Name`].
    pub fn new(name: &'a str, key: PublicKey) -> Result<Self, NoteKeyError> {
        if is_name(name) { Ok(Self { name, key }) } else { Err(NoteKeyError::Name) }
    }

    /// Read `NAME+KEYID+BASE64`.
    ///
    /// # Errors
    /// [`NoteKeyError`].
    pub fn parse(line: &'a str) -> Result<Self, NoteKeyError> {
        let (name, rest) = line.split_once('+').ok_or(NoteKeyError::Form)?;
        // The base64 may hold plus signs of its own.
        let (id, base64) = rest.split_once('+').ok_or(NoteKeyError::Form)?;
        let mut claimed = [0; 4];
        hex::parse(id.as_bytes(), &mut claimed).ok_or(NoteKeyError::Form)?;
        let mut blob = [0; 33];
        match Base64::decode(base64, &mut blob) {
            Ok([ED25519, key @ ..]) => {
                let key = PublicKey::from_bytes(key.try_into().map_err(|_| NoteKeyError::Form)?)?;
                let this = Self::new(name, key)?;
                if this.id() == claimed { Ok(this) } else { Err(NoteKeyError::Id) }
            }
            _ => Err(NoteKeyError::Form),
        }
    }

    /// The name of the signer.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// Its key.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Its key id.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        key_id(self.name, &self.key)
    }
}

impl fmt::Display for NoteKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blob = [ED25519; 33];
        blob[1..].copy_from_slice(self.key.as_bytes());
        let mut text = [0; 44];
        let base64 = Base64::encode(&blob, &mut text).map_err(|_| fmt::Error)?;
        write!(f, "{}+{:08x}+{base64}", self.name, u32::from_be_bytes(self.id()))
    }
}
