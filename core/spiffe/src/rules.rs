//! What the X509-SVID specification asks of one certificate, seen for itself. Who signed it is the bundle's question.

use ring::digest::{SHA256, digest};
use sluis_core::Wall;
use spiffe::SpiffeId;
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

use crate::error::Unfit;
use crate::key::Algorithm;

/// `id-kp-serverAuth` and `id-kp-clientAuth`.
const BOTH_ENDS: [&str; 2] = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];

/// What a step needs to know of a leaf that follows the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) id: SpiffeId,
    pub(crate) not_before: Wall,
    pub(crate) not_after: Wall,
    pub(crate) algorithm: Algorithm,
    /// The subject public key: a point, 32 bytes, or an RSA key in DER.
    pub(crate) key: Vec<u8>,
    /// SHA-256 of the whole certificate.
    pub(crate) sha256: [u8; 32],
}

impl Leaf {
    /// Read a leaf and hold it against the rules for leaves.
    pub(crate) fn read(der: &[u8]) -> Result<Self, Unfit> {
        let certificate = read(der)?;
        let tbs = certificate.tbs_certificate();
        let id = workload_id(&certificate)?;
        if extension::<BasicConstraints>(&certificate)?.is_some_and(|(_, basic)| basic.ca) {
            return Err(Unfit::LeafIsCa);
        }
        let Some((true, usage)) = extension::<KeyUsage>(&certificate)? else { return Err(Unfit::NoKeyUsage) };
        if usage.key_cert_sign() || usage.crl_sign() {
            return Err(Unfit::LeafMaySign);
        }
        if !usage.digital_signature() {
            return Err(Unfit::NoDigitalSignature);
        }
        if let Some((_, ExtendedKeyUsage(purposes))) = extension(&certificate)? {
            let has = |wanted: &str| purposes.iter().any(|purpose| purpose.to_string() == wanted);
            if !BOTH_ENDS.into_iter().all(has) {
                return Err(Unfit::ExtendedKeyUsage);
            }
        }
        let spki = tbs.subject_public_key_info();
        let key = spki.subject_public_key.as_bytes().ok_or(Unfit::Algorithm)?.to_vec();
        let (not_before, not_after) = period(&certificate);
        Ok(Self {
            id,
            not_before,
            not_after,
            algorithm: Algorithm::of(&spki.algorithm, &key).ok_or(Unfit::Algorithm)?,
            key,
            sha256: sha256(der),
        })
    }
}

/// Whether a certificate is that of an authority at all.
pub(crate) fn check_signer(der: &[u8]) -> Result<(), Unfit> {
    check_ca(&read(der)?)
}

/// Whether a signing certificate of a path follows the rules for those.
pub(crate) fn check_intermediate(der: &[u8]) -> Result<(), Unfit> {
    let certificate = read(der)?;
    check_ca(&certificate)?;
    match extension::<KeyUsage>(&certificate)? {
        Some((true, usage)) if usage.key_cert_sign() => {}
        Some((true, _)) => return Err(Unfit::NoCertSign),
        _ => return Err(Unfit::NoKeyUsage),
    }
    signer_id(&certificate).map(drop)
}

/// Whether a certificate can be a root of a bundle, and the ID of its trust domain where it has one.
///
/// A root is trusted because the operator says so; it need not be an SVID itself, and many are not. Key usage therefore
/// counts only where it is there.
pub(crate) fn check_root(der: &[u8]) -> Result<Option<SpiffeId>, Unfit> {
    let certificate = read(der)?;
    check_ca(&certificate)?;
    if extension::<KeyUsage>(&certificate)?.is_some_and(|(_, usage)| !usage.key_cert_sign()) {
        return Err(Unfit::NoCertSign);
    }
    signer_id(&certificate)
}

/// From when until when a certificate is valid.
pub(crate) fn validity(der: &[u8]) -> Result<(Wall, Wall), Unfit> {
    read(der).map(|certificate| period(&certificate))
}

fn period(certificate: &Certificate) -> (Wall, Wall) {
    let validity = certificate.tbs_certificate().validity();
    (wall(validity.not_before.to_unix_duration()), wall(validity.not_after.to_unix_duration()))
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    out
}

fn read(der: &[u8]) -> Result<Certificate, Unfit> {
    let certificate = Certificate::from_der(der).map_err(|e| unreadable(&e))?;
    // Hashes are taken over these bytes: they must be the one way to write this certificate.
    if certificate.to_der().map_err(|e| unreadable(&e))? == der {
        Ok(certificate)
    } else {
        Err(Unfit::Unreadable("its encoding is not DER".to_owned()))
    }
}

fn unreadable(error: &impl ToString) -> Unfit {
    Unfit::Unreadable(error.to_string())
}

/// The extension of this type and whether it is critical; an unreadable or repeated one is an error.
fn extension<'a, T>(certificate: &'a Certificate) -> Result<Option<(bool, T)>, Unfit>
where
    T: x509_cert::der::Decode<'a> + x509_cert::der::oid::AssociatedOid,
    <T as x509_cert::der::Decode<'a>>::Error: ToString,
{
    certificate.tbs_certificate().get_extension().map_err(|e| unreadable(&e))
}

fn uri_names(certificate: &Certificate) -> Result<Vec<String>, Unfit> {
    let Some((_, SubjectAltName(names))) = extension(certificate)? else { return Ok(Vec::new()) };
    let uri = |name: &GeneralName| match name {
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().to_owned()),
        _ => None,
    };
    Ok(names.iter().filter_map(uri).collect())
}

fn workload_id(certificate: &Certificate) -> Result<SpiffeId, Unfit> {
    let names = uri_names(certificate)?;
    let [uri] = names.as_slice() else { return Err(Unfit::UriNames(names.len())) };
    let id = spiffe_id(uri)?;
    if id.path().is_empty() { Err(Unfit::NoPath(id.to_string())) } else { Ok(id) }
}

/// The ID of a certificate that signs others: it may have none, but not that of a workload.
fn signer_id(certificate: &Certificate) -> Result<Option<SpiffeId>, Unfit> {
    let names = uri_names(certificate)?;
    let uri = match names.as_slice() {
        [] => return Ok(None),
        [uri] => uri,
        several => return Err(Unfit::UriNames(several.len())),
    };
    let id = spiffe_id(uri)?;
    if id.path().is_empty() { Ok(Some(id)) } else { Err(Unfit::SignerWithPath(id.to_string())) }
}

fn spiffe_id(uri: &str) -> Result<SpiffeId, Unfit> {
    SpiffeId::new(uri).map_err(|why| Unfit::NotSpiffe { uri: uri.to_owned(), why: why.to_string() })
}

fn check_ca(certificate: &Certificate) -> Result<(), Unfit> {
    match extension::<BasicConstraints>(certificate)? {
        Some((_, basic)) if basic.ca => Ok(()),
        _ => Err(Unfit::SignerIsNoCa),
    }
}

fn wall(since_epoch: core::time::Duration) -> Wall {
    Wall::from_micros(0).saturating_add(since_epoch)
}
