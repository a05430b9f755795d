//! The server's side of TLS.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use rustls::{Connection, ServerConnection};

use crate::certs::{CertError, certified, provider, read_files, self_signed};
use crate::client::Fingerprint;

/// Certificate and settings of a server. Copies are the same server.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    current: Arc<Current>,
}

#[derive(Debug)]
struct Current(Mutex<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl ServerTls {
    /// With a certificate chain and its key, both in PEM. `alpn` are the protocols that are served, the preferred first.
    ///
    /// # Errors
    /// They cannot be read, do not belong together, or are not valid now.
    pub fn from_pem(chain: &[u8], key: &[u8], alpn: &[&str]) -> Result<Self, CertError> {
        let certified = certified(chain, key, SystemTime::now())?;
        let current = Arc::new(Current(Mutex::new(Arc::new(certified))));
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = builder
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| CertError::Make(error.to_string()))?;
        let resolver: Arc<dyn ResolvesServerCert> = current.clone();
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(Self { config: Arc::new(config), current })
    }

    /// As [`from_pem`](Self::from_pem), from files.
    ///
    /// # Errors
    /// As there, or a file cannot be read.
    pub fn from_files(chain: &Path, key: &Path, alpn: &[&str]) -> Result<Self, CertError> {
        let (chain, key) = read_files(chain, key)?;
        Self::from_pem(&chain, &key, alpn)
    }

    /// With the certificate in this folder (`cert.pem`, `key.pem`), which is made where there is none: for these names, signed by
    /// itself, valid for 397 days. Clients need its [fingerprint](Self::fingerprint).
    ///
    /// # Errors
    /// It cannot be read or made, or is not valid now.
    pub fn self_signed(dir: &Path, names: Vec<String>, alpn: &[&str]) -> Result<Self, CertError> {
        let (chain, key) = self_signed(dir, names)?;
        Self::from_files(&chain, &key, alpn)
    }

    /// Serve another certificate from now on; what is connected stays so. When it cannot be used the old one stays.
    ///
    /// # Errors
    /// As [`from_files`](Self::from_files).
    pub fn replace(&self, chain: &Path, key: &Path) -> Result<(), CertError> {
        let (chain, key) = read_files(chain, key)?;
        let certified = certified(&chain, &key, SystemTime::now())?;
        *self.current.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(certified);
        Ok(())
    }

    /// What a client can pin.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let current = self.current.0.lock().unwrap_or_else(PoisonError::into_inner);
        Fingerprint::of(current.cert.first().map_or(&[], |own| own))
    }

    /// The state of a new connection.
    ///
    /// # Errors
    /// rustls refuses the settings, which it has not done when they were made.
    pub fn accept(&self) -> Result<Connection, rustls::Error> {
        ServerConnection::new(Arc::clone(&self.config)).map(Connection::from)
    }
}
