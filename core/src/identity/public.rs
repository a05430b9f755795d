//! Public keys, and the one rule by which a signature is accepted.

use core::fmt;

use ed25519_dalek::VerifyingKey;

use super::Fingerprint;
use crate::data::{Full, Sink, hex};

/// An Ed25519 signature: R and s, 64 bytes.
pub type Signature = [u8; 64];

/// 32 bytes are not a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not written as exactly 64 lower-case hex digits.
    #[error("a public key is 64 lower-case hex digits")]
    Hex,
    /// Not a line as `ssh-ed25519 AAAA…`.
    #[error("an OpenSSH key is written ssh-ed25519 AAAA...")]
    OpenSsh,
    /// No point of the curve has this encoding.
    #[error("these bytes are no Ed25519 public key")]
    NotAPoint,
    /// The encoding is not the one spelling of its point (y is not below 2^255 - 19).
    #[error("this is not the canonical spelling of an Ed25519 public key")]
    NotCanonical,
    /// A point of small order: signatures of it that fit any message can be made by everybody.
    #[error("this Ed25519 public key is weak: anybody can sign for it")]
    Weak,
}

/// A signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct BadSignature;

/// An Ed25519 public key, 32 bytes: a canonical encoding of a point that is not of small order.
///
/// `Display` is its one spelling in text, 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Check 32 bytes. This decodes a point, which is about a tenth of the work of verifying a signature.
    ///
    /// # Errors
    /// [`KeyError`] for what is no key, and for keys that the acceptance rule (see [`verify`](Self::verify)) refuses
    /// whatever is signed.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        Verifier::new(bytes).map(|verifier| verifier.key)
    }

    /// Read 64 lower-case hex digits.
    ///
    /// # Errors
    /// [`KeyError`], see [`from_bytes`](Self::from_bytes).
    pub fn from_hex(text: &[u8]) -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        hex::parse(text, &mut bytes).ok_or(KeyError::Hex)?;
        Self::from_bytes(bytes)
    }

    /// The bytes of a key that was made before.
    #[cfg(feature = "alloc")]
    pub(crate) const fn checked(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(super) fn of(key: &VerifyingKey) -> Self {
        Self(key.to_bytes())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Write the 64 hex digits.
    ///
    /// # Errors
    /// [`Full`] when the sink is full.
    pub(crate) fn write_hex(&self, sink: &mut impl Sink) -> Result<(), Full> {
        hex::write(sink, &self.0)
    }

    /// What people compare.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self)
    }

    /// This key made ready to verify many signatures: its point is decoded once.
    ///
    /// # Errors
    /// None in practice: a key was checked when it was made.
    pub fn verifier(&self) -> Result<Verifier, KeyError> {
        Verifier::new(self.0)
    }

    /// Verify a signature: the one acceptance rule.
    ///
    /// It is `verify_strict` of ed25519-dalek on top of what [`from_bytes`](Self::from_bytes) lets in, without a cofactor:
    /// `[s]B = R + [k]A` must hold exactly. Refused are: s not below the order of the group (RFC 8032 5.1.7), R that is not
    /// canonical or of small order, keys that are not canonical or of small order. Plain and batched verification elsewhere
    /// accept some of these.
    ///
    /// # Errors
    /// [`BadSignature`], without a reason: whoever made it learns nothing.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        Verifier::new(self.0).map_err(|_| BadSignature)?.verify(message, signature)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl core::str::FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_hex(text.as_bytes())
    }
}

/// A public key with its point decoded: what verifies many signatures of one signer. About 200 bytes.
#[derive(Clone)]
pub struct Verifier {
    key: PublicKey,
    point: VerifyingKey,
}

impl Verifier {
    /// Check and decode 32 bytes.
    ///
    /// # Errors
    /// As [`PublicKey::from_bytes`].
    pub fn new(bytes: [u8; 32]) -> Result<Self, KeyError> {
        if !is_canonical(&bytes) {
            return Err(KeyError::NotCanonical);
        }
        let point = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAPoint)?;
        if point.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Self { key: PublicKey(bytes), point })
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Verify a signature, by the rule of [`PublicKey::verify`].
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.point.verify_strict(message, &signature).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({})", self.key)
    }
}

/// Whether y, the low 255 bits, is below 2^255 - 19: every point has then one spelling (the sign of x = 0 aside; those
/// points are of small order). ed25519-dalek decodes the other spellings too.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    *low < 0xed || high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}
