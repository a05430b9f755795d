//! Certificates and keys of a server: reading, checking, making.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{fs, io};

use base64ct::{Base64, Encoding as _};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::der::{Decode as _, SliceReader};

/// How long a certificate that is made here is good for.
const SELF_SIGNED_DAYS: i64 = 397;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertError {
    /// A file cannot be read or written.
    #[error("cannot use {path} ({error}): look at the path, and at who may read and write there")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no certificate in it, or one that cannot be read.
    #[error("no certificate can be read: a PEM file with BEGIN CERTIFICATE, the server's own first, is needed")]
    NoCertificate,
    /// There is no key in it, or one that cannot be used.
    #[error("no private key can be read: an unencrypted PEM file with BEGIN PRIVATE KEY is needed")]
    NoKey,
    /// The key is of another certificate.
    #[error("the private key does not belong to the certificate: give the two files that were made together")]
    Mismatch,
    /// It is not valid any more.
    #[error("the certificate has expired {0} days ago: renew it")]
    Expired(u64),
    /// It is not valid yet.
    #[error("the certificate is valid only in {0} days: look at the clock, or take the one before")]
    NotYet(u64),
    /// None can be made.
    #[error("no certificate can be made: {0}")]
    Make(String),
}

/// ring, whatever else may be in the program.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Read and check a chain and its key.
pub(crate) fn certified(chain: &[u8], key: &[u8], now: SystemTime) -> Result<CertifiedKey, CertError> {
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(chain).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(CertError::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertError::NoKey)?;
    let key = provider().key_provider.load_private_key(key).map_err(|_| CertError::NoKey)?;
    let own = chain.first().ok_or(CertError::NoCertificate)?;
    check_time(own, now)?;
    let certified = CertifiedKey::new(chain, key);
    // A key whose public half cannot be had says nothing; ring's can.
    certified.keys_match().map_err(|_| CertError::Mismatch)?;
    Ok(certified)
}

fn check_time(own: &CertificateDer<'_>, now: SystemTime) -> Result<(), CertError> {
    let mut reader = SliceReader::new(own).map_err(|_| CertError::NoCertificate)?;
    let parsed = x509_cert::Certificate::decode(&mut reader).map_err(|_| CertError::NoCertificate)?;
    let validity = parsed.tbs_certificate().validity();
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let days = |time: Duration| time.as_secs() / 86_400;
    if let Some(over) = now.checked_sub(validity.not_after.to_unix_duration()).filter(|over| !over.is_zero()) {
        return Err(CertError::Expired(days(over)));
    }
    match validity.not_before.to_unix_duration().checked_sub(now) {
        Some(early) if !early.is_zero() => Err(CertError::NotYet(days(early) + 1)),
        _ => Ok(()),
    }
}

/// Chain and key from files.
pub(crate) fn read_files(chain: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), CertError> {
    let read = |path: &Path| fs::read(path).map_err(|error| CertError::File { path: path.into(), error });
    Ok((read(chain)?, read(key)?))
}

/// The files `cert.pem` and `key.pem` of a folder, which are made where there are none: a certificate for these names that nobody but
/// this server has signed.
pub(crate) fn self_signed(dir: &Path, names: Vec<String>) -> Result<(PathBuf, PathBuf), CertError> {
    let (chain, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    if chain.exists() && key.exists() {
        return Ok((chain, key));
    }
    let failed = |error: rcgen::Error| CertError::Make(error.to_string());
    let mut params = rcgen::CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name.push(rcgen::DnType::CommonName, "sluis mux");
    let today = time::OffsetDateTime::from(SystemTime::now());
    // A day back, for clocks that are late.
    params.not_before = today - time::Duration::days(1);
    params.not_after = today + time::Duration::days(SELF_SIGNED_DAYS);
    let pair = rcgen::KeyPair::generate().map_err(failed)?;
    let made = params.self_signed(&pair).map_err(failed)?;
    let at = |path: &Path, error: io::Error| CertError::File { path: path.into(), error };
    fs::create_dir_all(dir).map_err(|error| at(dir, error))?;
    write_secret(&key, pem("PRIVATE KEY", &pair.serialize_der()).as_bytes()).map_err(|error| at(&key, error))?;
    fs::write(&chain, pem("CERTIFICATE", made.der())).map_err(|error| at(&chain, error))?;
    Ok((chain, key))
}

/// The text form of something in DER (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = Base64::encode_string(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// Write a file that only its owner can read.
fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(bytes)
}
