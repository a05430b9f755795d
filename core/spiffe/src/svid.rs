//! An X.509-SVID: the certificates that say who a workload is, and the key that proves it.

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sluis_core::Wall;
use sluis_core::limits::MAX_DID;
use spiffe::SpiffeId;

use crate::bundle::{TrustBundles, certificates};
use crate::error::SpiffeError;
use crate::key::{Algorithm, SigningKey};
use crate::rules::{self, Leaf};

/// Most certificates of a chain, the leaf included.
pub const MAX_CHAIN: usize = 8;

/// Who we are, and the key to sign as that.
///
/// Made only from a leaf that follows the X509-SVID rules and the private key that belongs to it. Whether anybody
/// trusts it is for [`check`](Self::check) to say.
#[derive(Debug)]
pub struct Svid {
    chain: Vec<CertificateDer<'static>>,
    leaf: Leaf,
    id: String,
    key: SigningKey,
}

impl Svid {
    /// From two PEM texts, as spire-agent writes `svid.0.pem` (leaf first, then intermediates) and `svid.0.key`
    /// (PKCS#8; PKCS#1 for RSA too).
    ///
    /// # Errors
    /// What is wrong with them: no PEM, no SVID, a key of another certificate.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, SpiffeError> {
        let chain = certificates(chain, MAX_CHAIN)?;
        Self::from_der(chain, &key_from_pem(key)?)
    }

    /// The same from DER: the leaf first, then intermediates.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem).
    pub fn from_der(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Result<Self, SpiffeError> {
        let leaf = read_chain(&chain)?;
        let id = leaf.id.to_string();
        if id.len() > MAX_DID {
            return Err(SpiffeError::IdTooLong(id.len()));
        }
        let key = SigningKey::read(key, leaf.algorithm)?;
        if key.public() != leaf.key {
            return Err(SpiffeError::WrongKey { id });
        }
        Ok(Self { chain, leaf, id, key })
    }

    /// Who this is.
    #[must_use]
    pub const fn id(&self) -> &SpiffeId {
        &self.leaf.id
    }

    /// Who this is, as a text: the name of the executor in a step.
    #[must_use]
    pub fn id_text(&self) -> &str {
        &self.id
    }

    /// From when on it is valid.
    #[must_use]
    pub const fn not_before(&self) -> Wall {
        self.leaf.not_before
    }

    /// Until when it is valid. (Whole seconds; a signing certificate may end sooner.)
    #[must_use]
    pub const fn expires_at(&self) -> Wall {
        self.leaf.not_after
    }

    /// SHA-256 of the leaf certificate in DER.
    #[must_use]
    pub const fn certificate_sha256(&self) -> [u8; 32] {
        self.leaf.sha256
    }

    /// How its key signs.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.leaf.algorithm
    }

    /// The certificates in DER, the leaf first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// Whether the bundle of its trust domain vouches for it at this time.
    ///
    /// # Errors
    /// [`SpiffeError::NoBundle`] or [`SpiffeError::Untrusted`], with the reason: expired, not valid yet, no root of the
    /// domain's.
    pub fn check(&self, bundles: &TrustBundles, at: Wall) -> Result<(), SpiffeError> {
        bundles.check_path(&self.leaf.id, &self.chain, at).map(drop)
    }

    pub(crate) const fn key(&self) -> &SigningKey {
        &self.key
    }
}

/// Read a chain that a stranger may have made: its leaf. Who signed it is not looked at.
pub(crate) fn read_chain(chain: &[CertificateDer<'_>]) -> Result<Leaf, SpiffeError> {
    if chain.len() > MAX_CHAIN {
        return Err(SpiffeError::TooMany { found: chain.len(), most: MAX_CHAIN });
    }
    let none = || SpiffeError::Pem { wanted: "certificate", why: "the chain is empty".to_owned() };
    let (leaf, signers) = chain.split_first().ok_or_else(none)?;
    let leaf = Leaf::read(leaf).map_err(|unfit| SpiffeError::Certificate { index: 0, unfit })?;
    // Also those that no path will need: nothing travels in a seal but certificates of authorities.
    for (index, der) in (1..).zip(signers) {
        rules::check_signer(der).map_err(|unfit| SpiffeError::Certificate { index, unfit })?;
    }
    Ok(leaf)
}

fn key_from_pem(pem: &[u8]) -> Result<PrivateKeyDer<'static>, SpiffeError> {
    // The parser's reasons may quote what it read, and this is a secret.
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| SpiffeError::Pem {
        wanted: "private key",
        why: match error {
            rustls_pki_types::pem::Error::NoItemsFound => "no such section",
            _ => "it is damaged",
        }
        .to_owned(),
    })
}
