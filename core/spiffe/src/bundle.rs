//! Trust bundles: the roots of trust domains, and the path from a leaf to one of them.

use std::collections::BTreeMap;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sluis_core::Wall;
use spiffe::{SpiffeId, TrustDomain};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath, anchor_from_trusted_cert};

use crate::error::SpiffeError;
use crate::key::CERTIFICATE_ALGORITHMS;
use crate::rules;

/// Most roots of one trust domain.
pub const MAX_ROOTS: usize = 64;

/// The roots that may vouch for the workloads of each trust domain, and for no other's.
///
/// ```
/// use sluis_spiffe::TrustBundles;
///
/// let bundles = TrustBundles::new();
/// assert!(bundles.is_empty());
/// ```
#[derive(Clone, Debug, Default)]
pub struct TrustBundles {
    domains: BTreeMap<String, Vec<Root>>,
}

#[derive(Clone, Debug)]
struct Root {
    sha256: [u8; 32],
    anchor: TrustAnchor<'static>,
}

impl TrustBundles {
    /// None yet: nobody is trusted.
    #[must_use]
    pub const fn new() -> Self {
        Self { domains: BTreeMap::new() }
    }

    /// Trust the roots in a PEM text, as spire-agent writes `bundle.0.pem`, for one trust domain. Without a name it is
    /// the one that the roots name, all the same. Roots that are there already stay: a domain whose root is being
    /// rotated has both.
    ///
    /// # Errors
    /// No certificates, more than [`MAX_ROOTS`], one that cannot be a root, or no name of a trust domain.
    pub fn add_pem(&mut self, trust_domain: Option<&str>, pem: &[u8]) -> Result<(), SpiffeError> {
        self.add(trust_domain, &certificates(pem, MAX_ROOTS)?)
    }

    /// The same from certificates in DER.
    ///
    /// # Errors
    /// As [`add_pem`](Self::add_pem).
    pub fn add(&mut self, trust_domain: Option<&str>, roots: &[CertificateDer<'_>]) -> Result<(), SpiffeError> {
        let mut named = trust_domain.map(domain_name).transpose()?;
        let mut fresh = Vec::new();
        for (index, der) in roots.iter().enumerate() {
            let unfit = |unfit| SpiffeError::Certificate { index, unfit };
            let id = rules::check_root(der).map_err(unfit)?;
            if let (None, Some(id)) = (trust_domain, id) {
                let name = id.trust_domain_name().to_owned();
                if named.get_or_insert_with(|| name.clone()) != &name {
                    return Err(SpiffeError::NamelessBundle);
                }
            }
            let anchor = anchor_from_trusted_cert(der)
                .map_err(|e| unfit(crate::error::Unfit::Unreadable(e.to_string())))?
                .to_owned();
            fresh.push(Root { sha256: rules::sha256(der), anchor });
        }
        let known = self.domains.entry(named.ok_or(SpiffeError::NamelessBundle)?).or_default();
        fresh.retain(|root| known.iter().all(|old| old.sha256 != root.sha256));
        let found = known.len() + fresh.len();
        if found > MAX_ROOTS {
            return Err(SpiffeError::TooMany { found, most: MAX_ROOTS });
        }
        known.extend(fresh);
        Ok(())
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.domains.values().all(Vec::is_empty)
    }

    /// The trust domains and how many roots each has, by name.
    pub fn domains(&self) -> impl Iterator<Item = (&str, usize)> {
        self.domains.iter().map(|(name, roots)| (name.as_str(), roots.len()))
    }

    /// Find a path from a leaf to a root of its own trust domain that is valid at `at`, by the rules of RFC 5280
    /// (signatures, validity, CA flags, path lengths and name constraints of all its certificates; a path with
    /// constraints on URI names is refused, because they are not understood), with signers that follow X509-SVID; when
    /// this path is valid.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn check_path(
        &self,
        id: &SpiffeId,
        chain: &[CertificateDer<'_>],
        at: Wall,
    ) -> Result<Window, SpiffeError> {
        let name = id.trust_domain_name();
        let roots = self.domains.get(name).filter(|roots| !roots.is_empty());
        let no_bundle = || SpiffeError::NoBundle { trust_domain: name.to_owned(), id: id.to_string() };
        let anchors: Vec<_> = roots.ok_or_else(no_bundle)?.iter().map(|root| root.anchor.clone()).collect();
        find_path(&anchors, chain, at).map_err(|why| match why {
            webpki::Error::UnknownIssuer => SpiffeError::UnknownIssuer { id: id.to_string() },
            why => SpiffeError::Untrusted { id: id.to_string(), why: plainly(&why) },
        })
    }
}

/// When a path is valid: from the latest beginning to the earliest end of its certificates, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    from: Wall,
    until: Wall,
}

impl Window {
    pub(crate) fn holds(self, at: Wall) -> bool {
        (self.from..=self.until).contains(&at)
    }
}

fn find_path(anchors: &[TrustAnchor<'_>], chain: &[CertificateDer<'_>], at: Wall) -> Result<Window, webpki::Error> {
    let (leaf, intermediates) = chain.split_first().ok_or(webpki::Error::UnknownIssuer)?;
    let seconds = u64::try_from(at.as_micros().div_euclid(1_000_000)).unwrap_or(0);
    let at = UnixTime::since_unix_epoch(core::time::Duration::from_secs(seconds));
    // The rules for those who sign, on the certificates that the path really has.
    let signers = |path: &VerifiedPath<'_>| {
        let fit = path.intermediate_certificates().all(|signer| rules::check_intermediate(&signer.der()).is_ok());
        if fit { Ok(()) } else { Err(webpki::Error::EndEntityUsedAsCa) }
    };
    let usage = KeyUsage::client_auth();
    let entity = EndEntityCert::try_from(leaf)?;
    let path =
        entity.verify_for_usage(CERTIFICATE_ALGORITHMS, anchors, intermediates, at, usage, None, Some(&signers))?;
    let mut window = Window { from: Wall::MIN, until: Wall::from_micros(i64::MAX) };
    let signers = path.intermediate_certificates().map(|signer| signer.der());
    for der in core::iter::once(leaf.clone()).chain(signers) {
        let (from, until) = rules::validity(&der).map_err(|_| webpki::Error::BadDer)?;
        window = Window { from: window.from.max(from), until: window.until.min(until) };
    }
    Ok(window)
}

fn plainly(error: &webpki::Error) -> String {
    use webpki::Error::{CertExpired, CertNotValidYet, EndEntityUsedAsCa, InvalidSignatureForPublicKey};
    match error {
        CertExpired { .. } => "a certificate of its chain had expired".to_owned(),
        CertNotValidYet { .. } => "a certificate of its chain was not valid yet".to_owned(),
        InvalidSignatureForPublicKey => "a signature in its chain is wrong".to_owned(),
        EndEntityUsedAsCa => "a certificate of its chain may not sign others".to_owned(),
        other => other.to_string(),
    }
}

/// The certificates of a PEM text.
pub(crate) fn certificates(pem: &[u8], most: usize) -> Result<Vec<CertificateDer<'static>>, SpiffeError> {
    let wrong = |why: String| SpiffeError::Pem { wanted: "certificate", why };
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|e| wrong(e.to_string()))?;
    match found.len() {
        0 => Err(wrong("no such section".to_owned())),
        n if n > most => Err(SpiffeError::TooMany { found: n, most }),
        _ => Ok(found),
    }
}

/// The canonical name of a trust domain, from `example.org` or `spiffe://example.org`.
fn domain_name(name: &str) -> Result<String, SpiffeError> {
    TrustDomain::new(name)
        .map(|domain| domain.as_str().to_owned())
        .map_err(|why| SpiffeError::TrustDomain { name: name.to_owned(), why: why.to_string() })
}
