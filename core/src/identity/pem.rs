//! PEM, as `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write it.

use alloc::string::String;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
    PublicKeyBytes,
};
use zeroize::{Zeroize as _, Zeroizing};

use super::{KeyError, PublicKey, SecretKey};

/// A text is not the PEM of an Ed25519 key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Not PEM, or of another kind, or with more in it than a key.
    #[error("this is not the PEM of an Ed25519 key (PKCS#8 for a secret key, SPKI for a public one)")]
    Form,
    /// It holds a public key that is refused.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It holds a secret key together with a public key of another.
    #[error("the public key in it is not that of the secret key")]
    Mismatch,
}

impl SecretKey {
    /// PKCS#8 v1 in PEM (`BEGIN PRIVATE KEY`, RFC 8410 7), without the public key: OpenSSL reads no more than that before
    /// its 3.5. The text wipes itself.
    ///
    /// # Errors
    /// [`PemError`]: none that is known of.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, PemError> {
        let mut pair = KeypairBytes { secret_key: *self.to_seed(), public_key: None };
        let pem = pair.to_pkcs8_pem(LineEnding::LF).map_err(|_| PemError::Form);
        pair.secret_key.zeroize();
        pem
    }

    /// Read PKCS#8 in PEM, v1 or v2.
    ///
    /// # Errors
    /// [`PemError`].
    pub fn from_pem(text: &str) -> Result<Self, PemError> {
        let mut pair = KeypairBytes::from_pkcs8_pem(text).map_err(|_| PemError::Form)?;
        let key = Self::from_seed(&pair.secret_key);
        pair.secret_key.zeroize();
        match &pair.public_key {
            Some(public) if public.0 != key.public().to_bytes() => Err(PemError::Mismatch),
            _ => Ok(key),
        }
    }
}

impl PublicKey {
    /// SPKI in PEM (`BEGIN PUBLIC KEY`, RFC 8410 4).
    ///
    /// # Errors
    /// [`PemError`]: none that is known of.
    pub fn to_pem(&self) -> Result<String, PemError> {
        PublicKeyBytes(self.to_bytes()).to_public_key_pem(LineEnding::LF).map_err(|_| PemError::Form)
    }

    /// Read SPKI in PEM.
    ///
    /// # Errors
    /// [`PemError`].
    pub fn from_pem(text: &str) -> Result<Self, PemError> {
        let bytes = PublicKeyBytes::from_public_key_pem(text).map_err(|_| PemError::Form)?;
        Ok(Self::from_bytes(bytes.0)?)
    }
}
