//! Who a workload is and whom it may trust, wherever that came from.

use sluis_core::Wall;

use crate::bundle::TrustBundles;
use crate::error::SpiffeError;
use crate::files::SvidFiles;
use crate::svid::Svid;

/// One or more identities, and the bundles that vouch for them and for others.
#[derive(Debug)]
pub struct Identities {
    svids: Vec<Svid>,
    bundles: TrustBundles,
}

impl Identities {
    /// Put them together. The bundles must vouch for every one of them at this time.
    ///
    /// # Errors
    /// The first that they do not vouch for, and why.
    pub(crate) fn new(svids: Vec<Svid>, bundles: TrustBundles, now: Wall) -> Result<Self, SpiffeError> {
        svids.iter().try_for_each(|svid| svid.check(&bundles, now))?;
        Ok(Self { svids, bundles })
    }

    /// From files: an SVID with its key, and bundles as on a command line (`FILE`, or `TRUST-DOMAIN=FILE`).
    ///
    /// # Errors
    /// Which file cannot be read or used and why, or why the bundles do not vouch for the SVID now.
    pub fn from_files(files: &SvidFiles, bundles: &[impl AsRef<str>], now: Wall) -> Result<Self, SpiffeError> {
        Self::new(vec![Svid::from_files(files)?], TrustBundles::from_arguments(bundles)?, now)
    }

    /// The identity to use unless one is named: the first.
    ///
    /// # Errors
    /// There is none.
    pub fn default_svid(&self) -> Result<&Svid, SpiffeError> {
        self.svids.first().ok_or(SpiffeError::NoIdentity { wanted: None })
    }

    /// The same, without the others and the bundles.
    ///
    /// # Errors
    /// There is none.
    pub fn into_default_svid(self) -> Result<Svid, SpiffeError> {
        self.svids.into_iter().next().ok_or(SpiffeError::NoIdentity { wanted: None })
    }

    /// The identity with this SPIFFE ID.
    ///
    /// # Errors
    /// It is not among them.
    pub fn find(&self, id: &str) -> Result<&Svid, SpiffeError> {
        let found = self.svids.iter().find(|svid| svid.id_text() == id);
        found.ok_or_else(|| SpiffeError::NoIdentity { wanted: Some(id.to_owned()) })
    }

    /// All of them.
    #[must_use]
    pub fn svids(&self) -> &[Svid] {
        &self.svids
    }

    /// The bundles of their own trust domains and of those that are federated with them.
    #[must_use]
    pub const fn bundles(&self) -> &TrustBundles {
        &self.bundles
    }
}
