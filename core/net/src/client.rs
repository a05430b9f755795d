//! The client's side of TLS: whom it believes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Connection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::certs::provider;

/// SHA-256 of a certificate, in lower-case hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = TrustError;

    /// 64 hex digits, with colons between the bytes or without, as openssl writes them.
    fn from_str(text: &str) -> Result<Self, TrustError> {
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        let mut bytes = [0; 32];
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(TrustError::Fingerprint);
        }
        for (n, byte) in bytes.iter_mut().enumerate() {
            let pair = digits.get(2 * n..2 * n + 2).ok_or(TrustError::Fingerprint)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| TrustError::Fingerprint)?;
        }
        Ok(Self(bytes))
    }
}

/// Which servers are believed.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Those that an authority of the system vouches for.
    System,
    /// Those that an authority in this PEM text vouches for, or that are in it themselves.
    Authorities(Vec<u8>),
    /// The one with this certificate, whatever its name and whoever signed it.
    Pinned(Fingerprint),
}

/// Why nobody can be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The system has no authorities.
    #[error("the system has no certificate authorities: name a file of them, or pin the server's fingerprint")]
    NoSystemRoots,
    /// There is no authority in the text.
    #[error("no certificate authority can be read: a PEM file with BEGIN CERTIFICATE is needed")]
    NoAuthority,
    /// Not a fingerprint.
    #[error("a fingerprint is 64 hex digits: SHA-256 of the certificate, as the server shows it")]
    Fingerprint,
    /// The name of the server cannot be in a certificate.
    #[error("{0:?} is no name of a server")]
    Name(String),
    /// rustls refuses it.
    #[error("{0}")]
    Tls(#[from] Error),
}

/// Settings of a client. Copies share them.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// A client that believes these, and speaks these protocols, the preferred first.
    ///
    /// # Errors
    /// There is nobody to believe.
    pub fn new(trust: Trust, alpn: &[&str]) -> Result<Self, TrustError> {
        let builder = ClientConfig::builder_with_provider(provider());
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13])?;
        let mut config = match trust {
            Trust::System => builder.with_root_certificates(system_roots()?).with_no_client_auth(),
            Trust::Authorities(pem) => builder.with_root_certificates(roots(&pem)?).with_no_client_auth(),
            Trust::Pinned(pin) => {
                let verifier = Arc::new(Pinned { pin, provider: provider() });
                builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self(Arc::new(config)))
    }

    /// The state of a new connection to a server of this name or address.
    ///
    /// # Errors
    /// The name can be in no certificate.
    pub fn connect(&self, server: &str) -> Result<Connection, TrustError> {
        let bare = server.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| TrustError::Name(server.into()))?;
        Ok(ClientConnection::new(Arc::clone(&self.0), name)?.into())
    }
}

fn system_roots() -> Result<RootCertStore, TrustError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if store.is_empty() { Err(TrustError::NoSystemRoots) } else { Ok(store) }
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TrustError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        store.add(certificate.map_err(|_| TrustError::NoAuthority)?).map_err(|_| TrustError::NoAuthority)?;
    }
    if store.is_empty() { Err(TrustError::NoAuthority) } else { Ok(store) }
}

/// Believes one certificate. That the server has its key is proven by the handshake, as always.
#[derive(Debug)]
struct Pinned {
    pin: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if Fingerprint::of(own).0.ct_eq(&self.pin.0).into() {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
