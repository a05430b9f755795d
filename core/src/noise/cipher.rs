//! One key of ChaCha20-Poly1305, with the counter in the caller's hands.

use core::fmt;

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce, Tag};
use zeroize::Zeroizing;

use super::NoiseError;

/// Length of a tag, in bytes.
pub const TAG_LEN: usize = 16;

/// A key for one direction. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct CipherKey(Zeroizing<[u8; 32]>);

impl CipherKey {
    pub(crate) fn new(key: &Zeroizing<[u8; 32]>) -> Self {
        Self(key.clone())
    }

    /// Encrypt in place and give the tag. `counter` is the number of the message (Noise 12.3: 32 zero bits, then 64 bits little
    /// endian) and must never be used twice under one key; `ad` is authenticated with it.
    ///
    /// # Errors
    /// [`NoiseError::TooLong`] beyond 256 GiB, which is as much as one nonce is good for.
    pub fn seal(&self, counter: u64, ad: &[u8], bytes: &mut [u8]) -> Result<[u8; TAG_LEN], NoiseError> {
        let tag = self.cipher().encrypt_inout_detached(&nonce(counter), ad, bytes.into());
        tag.map(Into::into).map_err(|_| NoiseError::TooLong)
    }

    /// Check the tag and decrypt in place.
    ///
    /// # Errors
    /// [`NoiseError::Unverified`]; the bytes are then what they were.
    pub fn open(&self, counter: u64, ad: &[u8], bytes: &mut [u8], tag: &[u8; TAG_LEN]) -> Result<(), NoiseError> {
        let opened = self.cipher().decrypt_inout_detached(&nonce(counter), ad, bytes.into(), &Tag::from(*tag));
        opened.map_err(|_| NoiseError::Unverified)
    }

    /// Wipes itself when dropped.
    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new((&*self.0).into())
    }
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce.into()
}

impl fmt::Debug for CipherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CipherKey(<redacted>)")
    }
}
