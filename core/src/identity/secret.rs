//! Secret keys, and signing as a trait.

use core::fmt;

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{SigningKey, VerifyingKey};
use sha2::Sha512;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{PublicKey, Signature};
use crate::Rng;

/// A signer could not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The device or service that holds the key did not answer.
    #[error("the signer that holds the key does not answer")]
    Unavailable,
    /// It does not sign this.
    #[error("the signer that holds the key refuses to sign")]
    Refused,
}

/// Something that signs: a key in memory, a chip, a service. Object safe, so that `&dyn Signer` can be handed around.
///
/// A machine calls it where the signature is needed and waits for it: a signer that has to ask somebody far away should be
/// used from a thread that may wait.
pub trait Signer {
    /// The key by which its signatures verify.
    fn public(&self) -> PublicKey;

    /// Sign a message with Ed25519 (RFC 8032, pure).
    ///
    /// # Errors
    /// [`SignError`]; a [`SecretKey`] never fails.
    fn sign(&self, message: &[u8]) -> Result<Signature, SignError>;
}

impl<S: Signer + ?Sized> Signer for &S {
    fn public(&self) -> PublicKey {
        (**self).public()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        (**self).sign(message)
    }
}

/// An Ed25519 secret key. Wiped when dropped, never printed, not `Clone`.
pub struct SecretKey {
    key: SigningKey,
    /// What the seed is hashed to, once and not for every signature (RFC 8032 5.1.5). Wipes itself.
    expanded: ExpandedSecretKey,
    /// Of the same seed: signing under another public key would give the secret away.
    public: VerifyingKey,
}

impl SecretKey {
    /// The key of a 32-byte seed (RFC 8032 5.1.5). The caller wipes its own copy.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        Self { expanded: ExpandedSecretKey::from(seed), public: key.verifying_key(), key }
    }

    /// A new key, as random as the generator is: in production its [`Seed`](crate::Seed) comes from the system.
    #[must_use]
    pub fn generate(rng: &mut Rng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill(seed.as_mut_slice());
        Self::from_seed(&seed)
    }

    /// The 32-byte seed, to be stored. It is the secret; the copy that is handed out wipes itself.
    #[must_use]
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.key.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::of(&self.public)
    }

    /// Sign a message. Same message, same signature.
    #[must_use]
    pub fn sign_now(&self, message: &[u8]) -> Signature {
        raw_sign::<Sha512>(&self.expanded, message, &self.public).to_bytes()
    }
}

impl Signer for SecretKey {
    fn public(&self) -> PublicKey {
        self.public()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        Ok(self.sign_now(message))
    }
}

/// In constant time.
impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.key.as_bytes().ct_eq(other.key.as_bytes()).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(<redacted>, public {})", self.public())
    }
}
