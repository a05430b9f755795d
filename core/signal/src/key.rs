//! secp256k1 keys: by which peers address each other, and which sign what they say.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use ecdsa::hazmat::{sign_prehashed_rfc6979, verify_prehashed};
use k256::ecdsa::Signature as Ecdsa;
use k256::elliptic_curve::sec1::ToSec1Point as _;
use k256::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding,
};
use k256::{ProjectivePoint, Secp256k1};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use sluis_core::Rng;
use sluis_core::data::hex;
use sluis_core::noise::Curve;
use zeroize::Zeroizing;

/// Length of a public key on the wire: SEC 1, compressed.
pub const PUBLIC_LEN: usize = 33;

/// An ECDSA signature: r and s, 64 bytes.
pub type Signature = [u8; 64];

/// What is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not written as exactly 66 lower-case hex digits.
    #[error("a public key for signalling is 66 lower-case hex digits")]
    Hex,
    /// Not a compressed point of the curve.
    #[error("these bytes are no secp256k1 public key")]
    NotAPoint,
    /// Zero, or not below the order of the group.
    #[error("these bytes are no secp256k1 secret key")]
    NotASecret,
    /// Not PEM, or of another kind.
    #[error("this is not the PEM of a secp256k1 key (PKCS#8 for a secret key, SPKI for a public one)")]
    Pem,
}

/// A signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct BadSignature;

/// A secp256k1 public key: a point of the curve, compressed.
///
/// `Display` is its one spelling in text, 66 lower-case hex digits; that text is also the topic its owner hears.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; PUBLIC_LEN]);

impl PublicKey {
    /// Check 33 bytes. This decodes a point, about a tenth of the work of verifying a signature.
    ///
    /// # Errors
    /// [`KeyError::NotAPoint`].
    pub fn from_bytes(bytes: [u8; PUBLIC_LEN]) -> Result<Self, KeyError> {
        let key = Self(bytes);
        key.point().map(|_| key)
    }

    /// Read 66 lower-case hex digits.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_hex(text: &[u8]) -> Result<Self, KeyError> {
        let mut bytes = [0; PUBLIC_LEN];
        hex::parse(text, &mut bytes).ok_or(KeyError::Hex)?;
        Self::from_bytes(bytes)
    }

    /// Read SPKI in PEM, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`KeyError::Pem`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        k256::PublicKey::from_public_key_pem(text).map(|key| Self::of(&key)).map_err(|_| KeyError::Pem)
    }

    /// SPKI in PEM (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// [`KeyError::Pem`]: none that is known of.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let key = k256::PublicKey::from_sec1_bytes(&self.0).map_err(|_| KeyError::NotAPoint)?;
        key.to_public_key_pem(LineEnding::LF).map_err(|_| KeyError::Pem)
    }

    /// The 33 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_LEN] {
        &self.0
    }

    /// The 33 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; PUBLIC_LEN] {
        self.0
    }

    /// The 66 hex digits.
    #[must_use]
    pub fn to_hex(&self) -> [u8; 2 * PUBLIC_LEN] {
        let mut out = [0; 2 * PUBLIC_LEN];
        for (two, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *two = hex::pair(byte);
        }
        out
    }

    /// Verify a signature over SHA-1 of `parts`, one after the other, as the reference makes it.
    ///
    /// SHA-1 can be made to collide, and for each signature there is another that fits as well (n - s): it says that the owner of the
    /// key, or who made him sign a prepared text, signed one of two texts. Nothing between nodes of ours rests on it, and a signature is
    /// never the name of a message.
    ///
    /// # Errors
    /// [`BadSignature`], without a reason.
    pub fn verify_sha1(&self, parts: &[&[u8]], signature: &Signature) -> Result<(), BadSignature> {
        let point = self.point().map_err(|_| BadSignature)?;
        // Every second one that the reference makes has a high s.
        let signature = Ecdsa::from_slice(signature).map_err(|_| BadSignature)?.normalize_s();
        verify_prehashed::<Secp256k1>(&point, &sha1(parts), &signature).map_err(|_| BadSignature)
    }

    fn point(&self) -> Result<ProjectivePoint, KeyError> {
        // The decoder knows more forms than the compressed one.
        if !matches!(self.0[0], 2 | 3) {
            return Err(KeyError::NotAPoint);
        }
        let key = k256::PublicKey::from_sec1_bytes(&self.0).map_err(|_| KeyError::NotAPoint)?;
        Ok(key.to_projective())
    }

    fn of(key: &k256::PublicKey) -> Self {
        let mut bytes = [0; PUBLIC_LEN];
        bytes.iter_mut().zip(key.to_sec1_point(true).as_bytes()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

impl AsRef<[u8]> for PublicKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
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

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::from_hex(text.as_bytes())
    }
}

/// A secp256k1 secret key. Wiped when dropped, never printed, compared in constant time.
#[derive(Clone)]
pub struct SecretKey {
    key: k256::SecretKey,
    public: PublicKey,
}

impl SecretKey {
    /// The key of a number, 32 bytes, big endian. The caller wipes its own copy.
    ///
    /// # Errors
    /// [`KeyError::NotASecret`]: zero, or not below the order of the group.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = k256::SecretKey::from_slice(bytes).map_err(|_| KeyError::NotASecret)?;
        Ok(Self::of(key))
    }

    /// A new key, as random as the generator is: in production its [`Seed`](sluis_core::Seed) comes from the system.
    #[must_use]
    pub fn generate(rng: &mut Rng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            rng.fill(bytes.as_mut_slice());
            // One in 2^128 is none.
            if let Ok(key) = Self::from_bytes(&bytes) {
                return key;
            }
        }
    }

    /// Read PKCS#8 in PEM, as `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1` writes it.
    ///
    /// # Errors
    /// [`KeyError::Pem`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        k256::SecretKey::from_pkcs8_pem(text).map(Self::of).map_err(|_| KeyError::Pem)
    }

    /// PKCS#8 in PEM (`BEGIN PRIVATE KEY`). The text wipes itself.
    ///
    /// # Errors
    /// [`KeyError::Pem`]: none that is known of.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        self.key.to_pkcs8_pem(LineEnding::LF).map_err(|_| KeyError::Pem)
    }

    /// The number, to be stored. The copy that is handed out wipes itself.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes().into())
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Sign SHA-1 of `parts`, one after the other, as the reference verifies it: with the nonce of RFC 6979 (same text, same signature)
    /// and a low s.
    #[must_use]
    pub fn sign_sha1(&self, parts: &[&[u8]]) -> Signature {
        let secret = Zeroizing::new(self.key.to_nonzero_scalar());
        let (signature, _) = sign_prehashed_rfc6979::<Secp256k1, Sha1>(&secret, &sha1(parts), &[]);
        signature.to_bytes().into()
    }

    fn of(key: k256::SecretKey) -> Self {
        let public = PublicKey::of(&key.public_key());
        Self { key, public }
    }
}

/// In constant time.
impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(<redacted>, public {})", self.public)
    }
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    parts.iter().fold(Sha1::new(), |hash, part| hash.chain_update(part)).finalize().into()
}

/// secp256k1 for handshakes, as BOLT 8 uses it: keys are compressed, the shared secret is SHA-256 of the compressed point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secp256k1Curve;

impl Curve for Secp256k1Curve {
    const NAME: &'static str = "secp256k1";
    const PUBLIC_LEN: usize = PUBLIC_LEN;
    type Secret = SecretKey;
    type Public = PublicKey;

    fn generate(rng: &mut Rng) -> SecretKey {
        SecretKey::generate(rng)
    }

    fn public(secret: &SecretKey) -> PublicKey {
        secret.public
    }

    fn decode(bytes: &[u8]) -> Option<PublicKey> {
        PublicKey::from_bytes(bytes.try_into().ok()?).ok()
    }

    fn dh(secret: &SecretKey, public: &PublicKey) -> Option<Zeroizing<[u8; 32]>> {
        // The group has prime order: a point times a secret is never the point at infinity.
        let secret = Zeroizing::new(secret.key.to_nonzero_scalar());
        let shared = public.point().ok()? * **secret;
        let bytes = shared.to_affine().to_sec1_point(true);
        Some(Zeroizing::new(Sha256::digest(bytes.as_bytes()).into()))
    }
}
