//! What people compare instead of a key.

use core::fmt;

use base64ct::{Base64Unpadded, Encoding as _};
use sha2::{Digest as _, Sha256};

use super::{KeyError, PublicKey};

/// The fingerprint of a public key: the one that OpenSSH shows, so that `ssh-keygen -lf` of the exported key prints the
/// same text.
///
/// It is SHA-256 over the key in SSH's wire form (RFC 4253 6.6, RFC 8709 4: `string "ssh-ed25519"`, `string key`).
/// `Display` is `SHA256:` and base64 without padding, as `ssh-keygen -l` writes it. `{:#}` is for reading aloud: the first
/// 128 bits as eight groups of four hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// The public key in SSH's wire form, before the key itself.
const SSH_PREFIX: [u8; 19] = *b"\0\0\0\x0bssh-ed25519\0\0\0\x20";

impl Fingerprint {
    pub(super) fn of(key: &PublicKey) -> Self {
        Self(Sha256::digest(ssh_blob(key)).into())
    }

    /// The whole SHA-256.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The key in SSH's wire form, 51 bytes.
fn ssh_blob(key: &PublicKey) -> [u8; 51] {
    let mut blob = [0; 51];
    let (prefix, rest) = blob.split_at_mut(SSH_PREFIX.len());
    prefix.copy_from_slice(&SSH_PREFIX);
    rest.copy_from_slice(key.as_bytes());
    blob
}

impl PublicKey {
    /// This key as a line of `authorized_keys` without a comment, for `Display`: `ssh-ed25519 AAAA…`.
    #[must_use]
    pub fn openssh(&self) -> impl fmt::Display {
        OpenSsh(ssh_blob(self))
    }

    /// Read a line of `authorized_keys` or of a `.pub` file: `ssh-ed25519 AAAA…`, and perhaps a comment.
    ///
    /// # Errors
    /// [`KeyError::OpenSsh`], or what [`from_bytes`](Self::from_bytes) says of the key.
    pub fn from_openssh(line: &str) -> Result<Self, KeyError> {
        let mut words = line.split_ascii_whitespace();
        let (Some("ssh-ed25519"), Some(base64)) = (words.next(), words.next()) else { return Err(KeyError::OpenSsh) };
        let mut blob = [0; 51];
        let blob = Base64Unpadded::decode(base64, &mut blob).map_err(|_| KeyError::OpenSsh)?;
        let key = blob.strip_prefix(&SSH_PREFIX).and_then(|key| key.try_into().ok()).ok_or(KeyError::OpenSsh)?;
        Self::from_bytes(key)
    }
}

struct OpenSsh([u8; 51]);

impl fmt::Display for OpenSsh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 51 bytes need no padding, and are 68 characters.
        let mut text = [0; 68];
        write!(f, "ssh-ed25519 {}", Base64Unpadded::encode(&self.0, &mut text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            for (i, [high, low]) in self.0.as_chunks::<2>().0.iter().take(8).enumerate() {
                let space = if i == 0 { "" } else { " " };
                write!(f, "{space}{high:02x}{low:02x}")?;
            }
            return Ok(());
        }
        let mut text = [0; 43];
        write!(f, "SHA256:{}", Base64Unpadded::encode(&self.0, &mut text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
