//! The keys of SVIDs: the four kinds that are issued, each with the one way of signing that goes with it.

use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair, UnparsedPublicKey};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, PrivateKeyDer, SignatureVerificationAlgorithm, alg_id};
use sluis_core::identity;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::error::SpiffeError;

/// How a key signs. The key alone decides: nothing in a step can choose another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA over P-256 with SHA-256; the signature is r and s, 32 bytes each.
    EcdsaP256,
    /// ECDSA over P-384 with SHA-384; the signature is r and s, 48 bytes each.
    EcdsaP384,
    /// Ed25519, 64 bytes, accepted by the one rule of the whole project
    /// ([`identity::PublicKey::verify`](sluis_core::identity::PublicKey::verify)).
    Ed25519,
    /// RSA-PSS with SHA-256 and a modulus of 2048 to 8192 bits (to sign with: at most 4096); as long as the modulus.
    RsaPss,
}

/// Object identifiers of keys and curves (RFC 5480, RFC 8410, RFC 8017).
const EC: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const P384: &str = "1.3.132.0.34";
const ED25519: &str = "1.3.101.112";
const RSA: &str = "1.2.840.113549.1.1.1";

impl Algorithm {
    /// The kind of key that a certificate names.
    pub(crate) fn of(algorithm: &AlgorithmIdentifierOwned, key: &[u8]) -> Option<Self> {
        let curve = || {
            let oid: x509_cert::der::oid::ObjectIdentifier = algorithm.parameters.as_ref()?.decode_as().ok()?;
            Some(oid.to_string())
        };
        match algorithm.oid.to_string().as_str() {
            EC => match curve()?.as_str() {
                P256 => Some(Self::EcdsaP256),
                P384 => Some(Self::EcdsaP384),
                _ => None,
            },
            ED25519 if key.len() == 32 => Some(Self::Ed25519),
            RSA => Some(Self::RsaPss),
            _ => None,
        }
    }

    /// Whether `signature` is that of `message` by this public key.
    pub(crate) fn verify(self, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        let by: &dyn signature::VerificationAlgorithm = match self {
            Self::EcdsaP256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::EcdsaP384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::RsaPss => &signature::RSA_PSS_2048_8192_SHA256,
            Self::Ed25519 => return verify_ed25519(key, message, signature),
        };
        UnparsedPublicKey::new(by, key).verify(message, signature).is_ok()
    }
}

fn verify_ed25519(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (key.try_into(), signature.try_into()) else { return false };
    identity::PublicKey::from_bytes(key).is_ok_and(|key| key.verify(message, &signature).is_ok())
}

/// How certificates may be signed: as everywhere on the web, but Ed25519 by the project's own rule.
pub(crate) static CERTIFICATE_ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = {
    use webpki::ring as by;
    &[
        by::ECDSA_P256_SHA256,
        by::ECDSA_P256_SHA384,
        by::ECDSA_P384_SHA256,
        by::ECDSA_P384_SHA384,
        &StrictEd25519,
        by::RSA_PKCS1_2048_8192_SHA256,
        by::RSA_PKCS1_2048_8192_SHA384,
        by::RSA_PKCS1_2048_8192_SHA512,
        by::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        by::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        by::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
    ]
};

#[derive(Debug)]
struct StrictEd25519;

impl SignatureVerificationAlgorithm for StrictEd25519 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        if verify_ed25519(key, message, signature) { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }
}

/// The private key of an SVID. It never shows itself.
///
/// The bytes it was read from are wiped; the copy that `ring` works with is not, which is a limit of that library.
pub(crate) enum SigningKey {
    Ecdsa(EcdsaKeyPair, Algorithm),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

impl SigningKey {
    /// Take the private key that goes with a certificate's key.
    ///
    /// # Errors
    /// [`SpiffeError::Key`]: another kind or form of key.
    pub(crate) fn read(der: &PrivateKeyDer<'_>, algorithm: Algorithm) -> Result<Self, SpiffeError> {
        let refused = |why: ring::error::KeyRejected| SpiffeError::Key(format!("{why} for {algorithm:?}"));
        match (der, algorithm) {
            (PrivateKeyDer::Pkcs1(der), Algorithm::RsaPss) => {
                RsaKeyPair::from_der(der.secret_pkcs1_der()).map(|pair| Self::Rsa(Box::new(pair))).map_err(refused)
            }
            (PrivateKeyDer::Pkcs8(der), _) => Self::from_pkcs8(der.secret_pkcs8_der(), algorithm).map_err(refused),
            _ => Err(SpiffeError::Key(
                "it is not in PKCS#8 form; mend it with: openssl pkcs8 -topk8 -nocrypt -in KEY -out NEW-KEY".to_owned(),
            )),
        }
    }

    fn from_pkcs8(der: &[u8], algorithm: Algorithm) -> Result<Self, ring::error::KeyRejected> {
        let ecdsa = |by| EcdsaKeyPair::from_pkcs8(by, der, &SystemRandom::new()).map(|p| Self::Ecdsa(p, algorithm));
        match algorithm {
            Algorithm::EcdsaP256 => ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::EcdsaP384 => ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            // Go writes version 1, without the public half: that half is compared with the certificate anyway.
            Algorithm::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Self::Ed25519),
            Algorithm::RsaPss => RsaKeyPair::from_pkcs8(der).map(|pair| Self::Rsa(Box::new(pair))),
        }
    }

    /// The public half, as it stands in a certificate.
    pub(crate) fn public(&self) -> &[u8] {
        match self {
            Self::Ecdsa(pair, _) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
            Self::Rsa(pair) => pair.public().as_ref(),
        }
    }

    /// Bytes of every signature.
    pub(crate) fn signature_len(&self) -> usize {
        match self {
            Self::Ecdsa(_, Algorithm::EcdsaP384) => 96,
            Self::Ecdsa(..) | Self::Ed25519(_) => 64,
            Self::Rsa(pair) => pair.public().modulus_len(),
        }
    }

    /// Sign; `None` when the system has no randomness to give.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Ecdsa(pair, _) => pair.sign(&SystemRandom::new(), message).ok().map(|s| s.as_ref().to_vec()),
            Self::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut out = vec![0; self.signature_len()];
                pair.sign(&signature::RSA_PSS_SHA256, &SystemRandom::new(), message, &mut out).ok()?;
                Some(out)
            }
        }
    }
}

impl core::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}
