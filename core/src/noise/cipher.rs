//! One key of ChaCha20-Poly1305, with the counter in the caller's hands.

use core::fmt;

use zeroize::Zeroizing;

use super::NoiseError;

/// Length of a tag, in bytes.
pub const TAG_LEN: usize = 16;

/// A key for one direction. Wiped when dropped, never printed.
///
/// With the feature `ring` the work is done by that crate, several times as fast; what comes out is the same.
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
        aead::seal(&self.0, nonce(counter), ad, bytes).ok_or(NoiseError::TooLong)
    }

    /// Check the tag and decrypt in place.
    ///
    /// # Errors
    /// [`NoiseError::Unverified`]; the bytes are then worth nothing any more.
    pub fn open(&self, counter: u64, ad: &[u8], bytes: &mut [u8], tag: &[u8; TAG_LEN]) -> Result<(), NoiseError> {
        aead::open(&self.0, nonce(counter), ad, bytes, tag).ok_or(NoiseError::Unverified)
    }
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

/// By the crates that run everywhere.
#[cfg(any(not(feature = "ring"), test))]
mod portable {
    use chacha20poly1305::aead::AeadInOut as _;
    use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Tag};

    use super::TAG_LEN;

    pub(super) fn seal(key: &[u8; 32], nonce: [u8; 12], ad: &[u8], bytes: &mut [u8]) -> Option<[u8; TAG_LEN]> {
        let cipher = ChaCha20Poly1305::new(key.into());
        cipher.encrypt_inout_detached(&nonce.into(), ad, bytes.into()).map(Into::into).ok()
    }

    pub(super) fn open(
        key: &[u8; 32],
        nonce: [u8; 12],
        ad: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Option<()> {
        let cipher = ChaCha20Poly1305::new(key.into());
        cipher.decrypt_inout_detached(&nonce.into(), ad, bytes.into(), &Tag::from(*tag)).ok()
    }
}
#[cfg(not(feature = "ring"))]
use portable as aead;

/// By what is written for the processors of hosts.
#[cfg(feature = "ring")]
mod host {
    use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, Tag, UnboundKey};

    use super::TAG_LEN;

    // To make one costs little more than the copy of the bytes; what is kept of it for long is not as small.
    fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
        UnboundKey::new(&CHACHA20_POLY1305, key).ok().map(LessSafeKey::new)
    }

    pub(super) fn seal(key: &[u8; 32], nonce: [u8; 12], ad: &[u8], bytes: &mut [u8]) -> Option<[u8; TAG_LEN]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = cipher(key)?.seal_in_place_separate_tag(nonce, Aad::from(ad), bytes).ok()?;
        tag.as_ref().first_chunk().copied()
    }

    pub(super) fn open(
        key: &[u8; 32],
        nonce: [u8; 12],
        ad: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Option<()> {
        let (nonce, tag) = (Nonce::assume_unique_for_key(nonce), Tag::from(*tag));
        cipher(key)?.open_in_place_separate_tag(nonce, Aad::from(ad), tag, bytes, 0..).ok().map(drop)
    }
}
#[cfg(feature = "ring")]
use host as aead;

impl fmt::Debug for CipherKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CipherKey(<redacted>)")
    }
}

#[cfg(all(test, feature = "ring"))]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::{host, nonce, portable};

    proptest! {
        /// Which of the two sealed cannot be told, and each opens what the other one sealed and nothing else.
        #[test]
        fn both_make_the_same(
            key: [u8; 32],
            counter: u64,
            ad in prop::collection::vec(any::<u8>(), 0..64),
            text in prop::collection::vec(any::<u8>(), 0..1500),
            flip: prop::sample::Index,
        ) {
            let nonce = nonce(counter);
            let (mut one, mut two) = (text.clone(), text.clone());
            let tag = portable::seal(&key, nonce, &ad, &mut one).unwrap();
            prop_assert_eq!(host::seal(&key, nonce, &ad, &mut two), Some(tag));
            prop_assert_eq!(&one, &two);
            let sealed: Vec<u8> = one.iter().chain(&tag).copied().collect();
            let mut altered = sealed.clone();
            altered[flip.index(sealed.len())] ^= 1;
            for open in [portable::open, host::open] {
                let (bytes, tag) = sealed.split_last_chunk().unwrap();
                let mut bytes = bytes.to_vec();
                prop_assert_eq!(open(&key, nonce, &ad, &mut bytes, tag), Some(()));
                prop_assert_eq!(&bytes, &text);
                let (bytes, tag) = altered.split_last_chunk().unwrap();
                prop_assert_eq!(open(&key, nonce, &ad, &mut bytes.to_vec(), tag), None);
            }
        }
    }
}
