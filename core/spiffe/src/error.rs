//! What can be wrong with an identity, in one sentence each.

use std::path::PathBuf;

/// Why a certificate is not an X.509-SVID, or not one that we use. Sections are those of the X509-SVID specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// Not a certificate in DER, or a part of it that is needed cannot be read.
    #[error("is not a certificate that can be read: {0}")]
    Unreadable(String),
    /// A leaf needs exactly one URI among its alternative names (section 2).
    #[error("has {0} URI names where an X.509-SVID has exactly one")]
    UriNames(usize),
    /// The URI is no SPIFFE ID.
    #[error("names {uri:?}, which is not a SPIFFE ID: {why}")]
    NotSpiffe {
        /// What stands there.
        uri: String,
        /// What is wrong with it.
        why: String,
    },
    /// The ID of a leaf needs a path (section 3.1).
    #[error("names the trust domain {0} itself, without a path, and so identifies no workload")]
    NoPath(String),
    /// The ID of a signing certificate must have none (section 3.2).
    #[error("signs other certificates but has the ID of a workload, {0}")]
    SignerWithPath(String),
    /// A leaf must not be a CA (section 4.1).
    #[error("is a CA where the certificate of a workload is needed")]
    LeafIsCa,
    /// A signing certificate must be one (section 4.1).
    #[error("is not a CA and cannot vouch for others")]
    SignerIsNoCa,
    /// Key usage must be there and critical (section 4.3).
    #[error("has no critical key usage extension")]
    NoKeyUsage,
    /// A leaf needs `digitalSignature` (section 4.3).
    #[error("lacks the key usage digitalSignature")]
    NoDigitalSignature,
    /// A leaf must not have `keyCertSign` or `cRLSign` (section 4.3).
    #[error("may sign certificates or revocation lists, which a workload must not")]
    LeafMaySign,
    /// A signing certificate needs `keyCertSign` (section 4.3).
    #[error("lacks the key usage keyCertSign")]
    NoCertSign,
    /// Where a leaf has extended key usages, client and server authentication must be among them (section 4.4).
    #[error("has extended key usages without both serverAuth and clientAuth")]
    ExtendedKeyUsage,
    /// A key of another kind than those of [`Algorithm`](crate::Algorithm).
    #[error("has a key that is not ECDSA P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits")]
    Algorithm,
}

/// Why an identity cannot be had or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpiffeError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others than its owner may read the file of a private key.
    #[error("others may read the private key {0}; mend it with: chmod 600 {0}", path.display())]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// A file is not what it should be.
    #[error("{}: {error}", path.display())]
    In {
        /// Which.
        path: PathBuf,
        /// What is wrong in it.
        error: Box<SpiffeError>,
    },
    /// The text is no PEM, or has no section of the kind that is needed.
    #[error("has no {wanted} in PEM form ({why})")]
    Pem {
        /// What was looked for.
        wanted: &'static str,
        /// What the parser says.
        why: String,
    },
    /// More certificates than a chain or a bundle may have.
    #[error("has {found} certificates, more than {most}")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A certificate does not follow the rules; 0 is the leaf, or the first of a bundle.
    #[error("certificate {index} {unfit}")]
    Certificate {
        /// Its place.
        index: usize,
        /// What is wrong with it.
        unfit: Unfit,
    },
    /// The private key is of no kind that can be used.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// The private key is not that of the leaf.
    #[error("the private key does not belong to the certificate of {id}")]
    WrongKey {
        /// Whose certificate.
        id: String,
    },
    /// No bundle for the trust domain of the ID.
    #[error("there is no trust bundle for {trust_domain:?}, the trust domain of {id}")]
    NoBundle {
        /// Its trust domain.
        trust_domain: String,
        /// Whose.
        id: String,
    },
    /// A bundle whose trust domain cannot be told from its certificates.
    #[error("the bundle does not say its trust domain; name it as TRUST-DOMAIN=FILE")]
    NamelessBundle,
    /// Not the name of a trust domain.
    #[error("{name:?} is not the name of a trust domain: {why}")]
    TrustDomain {
        /// What was given.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// No valid path from the leaf to the bundle at the time in question.
    #[error("the certificate of {id} is not trusted: {why}")]
    Untrusted {
        /// Whose.
        id: String,
        /// What the path validation says.
        why: String,
    },
    /// Nobody in the bundle of its trust domain signed the chain.
    #[error("the certificate of {id} is not trusted: no root of its trust domain's bundle signed its chain")]
    UnknownIssuer {
        /// Whose.
        id: String,
    },
    /// The ID is longer than the name of an actor may be.
    #[error("the SPIFFE ID has {0} bytes, more than the 256 that the name of an executor may have")]
    IdTooLong(usize),
    /// The Workload API did not give what was asked for.
    #[error("the Workload API at {endpoint} gave no identity: {why}")]
    WorkloadApi {
        /// Where.
        endpoint: String,
        /// Why.
        why: String,
    },
    /// There is none, or not the one that is needed.
    #[error("there is no identity{}", wanted.as_ref().map(|id| format!(" {id}")).unwrap_or_default())]
    NoIdentity {
        /// Which one, if one was named.
        wanted: Option<String>,
    },
    /// No address of the Workload API is known.
    #[error(
        "no Workload API is known: set SPIFFE_ENDPOINT_SOCKET to its address, such as unix:///run/spire/agent.sock"
    )]
    NoEndpoint,
    /// The throw-away authority could not make something.
    #[error("the throw-away authority failed: {0}")]
    Throwaway(String),
}

impl SpiffeError {
    /// Say which file it is about.
    pub(crate) fn in_file(self, path: &std::path::Path) -> Self {
        Self::In { path: path.to_owned(), error: Box::new(self) }
    }
}
