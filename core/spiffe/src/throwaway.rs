//! An authority for tests and demos: made on the spot, forgotten with the process.

use core::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, string::Ia5String,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sluis_core::Wall;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::bundle::TrustBundles;
use crate::error::SpiffeError;
use crate::svid::Svid;

/// A root and one intermediate authority of a trust domain, whose keys exist only in memory.
///
/// It issues to whoever asks. Nobody should trust it beyond the demo or test that made it.
pub struct ThrowawayCa {
    trust_domain: String,
    root: CertificateDer<'static>,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What an authority gave out: as DER, and as the PEM texts that spire-agent would write.
pub struct Issued {
    chain: Vec<CertificateDer<'static>>,
    key: Zeroizing<Vec<u8>>,
}

impl ThrowawayCa {
    /// Make one for a trust domain, valid for this long.
    ///
    /// # Errors
    /// [`SpiffeError::Throwaway`]: not a trust domain, a time beyond the year 9999, or no randomness.
    pub fn new(trust_domain: &str, now: Wall, valid: Duration) -> Result<Self, SpiffeError> {
        let (from, until) = (moment(now)?, moment(now.saturating_add(valid))?);
        let params = |name: &str| -> Result<CertificateParams, SpiffeError> {
            let mut params = named(name, &format!("spiffe://{trust_domain}"))?;
            (params.not_before, params.not_after) = (from, until);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            Ok(params)
        };
        let root = CertifiedIssuer::self_signed(params("Throw-away root")?, new_key()?).map_err(failed)?;
        let issuer =
            CertifiedIssuer::signed_by(params("Throw-away intermediate")?, new_key()?, &root).map_err(failed)?;
        Ok(Self { trust_domain: trust_domain.to_owned(), root: root.der().clone(), issuer })
    }

    /// An SVID for `spiffe://<trust domain>/<path>`, valid between two times, with a new P-256 key.
    ///
    /// # Errors
    /// [`SpiffeError::Throwaway`].
    pub fn issue(&self, path: &str, from: Wall, until: Wall) -> Result<Issued, SpiffeError> {
        let mut params = named("Throw-away workload", &format!("spiffe://{}/{path}", self.trust_domain))?;
        (params.not_before, params.not_after) = (moment(from)?, moment(until)?);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = new_key()?;
        let leaf = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let chain = vec![leaf.der().clone(), self.issuer.der().clone()];
        Ok(Issued { chain, key: Zeroizing::new(key.serialize_der()) })
    }

    /// The bundle that vouches for what it issued.
    ///
    /// # Errors
    /// None that a throw-away root could cause.
    pub fn bundles(&self) -> Result<TrustBundles, SpiffeError> {
        let mut bundles = TrustBundles::new();
        bundles.add(Some(&self.trust_domain), core::slice::from_ref(&self.root))?;
        Ok(bundles)
    }

    /// [`bundles`](Self::bundles) as the text of `bundle.0.pem`.
    #[must_use]
    pub fn bundle_pem(&self) -> String {
        pem("CERTIFICATE", &self.root)
    }

    /// The root in DER.
    #[must_use]
    pub const fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }
}

impl Issued {
    /// The SVID.
    ///
    /// # Errors
    /// None for what was asked for with a sensible path; otherwise what the rules say.
    pub fn svid(&self) -> Result<Svid, SpiffeError> {
        Svid::from_der(self.chain.clone(), &PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.as_slice())))
    }

    /// The text of `svid.0.pem`.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    /// The text of `svid.0.key`.
    #[must_use]
    pub fn key_pem(&self) -> Zeroizing<String> {
        Zeroizing::new(pem("PRIVATE KEY", &self.key))
    }

    /// The certificates in DER, the leaf first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The private key in DER (PKCS#8).
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

impl core::fmt::Debug for ThrowawayCa {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ThrowawayCa").field("trust_domain", &self.trust_domain).finish_non_exhaustive()
    }
}

impl core::fmt::Debug for Issued {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Issued").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

fn named(name: &str, uri: &str) -> Result<CertificateParams, SpiffeError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Sluis demo");
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(uri).map_err(failed)?)];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn new_key() -> Result<KeyPair, SpiffeError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)
}

fn moment(at: Wall) -> Result<OffsetDateTime, SpiffeError> {
    OffsetDateTime::from_unix_timestamp(at.as_micros().div_euclid(1_000_000)).map_err(failed)
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64ct::{Base64, Encoding as _};
    let text = Zeroizing::new(Base64::encode_string(der));
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.extend(line.iter().map(|byte| char::from(*byte)));
        out.push('\n');
    }
    out + "-----END " + label + "-----\n"
}

fn failed(why: impl core::fmt::Display) -> SpiffeError {
    SpiffeError::Throwaway(why.to_string())
}
