//! How a key is called in an envelope.

use core::fmt;

use sha2::{Digest as _, Sha256};

use sluis_core::data::hex;
use sluis_core::identity::PublicKey;

/// The name that `securesystemslib` gives to an Ed25519 key: SHA-256 over the canonical JSON
/// `{"keytype":"ed25519","keyval":{"public":"<64 hex>"},"scheme":"ed25519"}`.
///
/// It is a hint about which key to try, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 64]);

impl KeyId {
    /// Of this key.
    #[must_use]
    pub fn of(key: &PublicKey) -> Self {
        let mut hash = Sha256::new();
        hash.update(br#"{"keytype":"ed25519","keyval":{"public":""#);
        for byte in key.as_bytes() {
            hash.update(hex::pair(*byte));
        }
        hash.update(br#""},"scheme":"ed25519"}"#);
        let mut digits = [b'0'; 64];
        for (two, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(hash.finalize()) {
            *two = hex::pair(byte);
        }
        Self(digits)
    }

    /// Its 64 lower-case hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}
