//! How a token journal is opened.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use sluis_chain::log::{Protection, fit_origin};
use sluis_chain::token::Seal;
use sluis_core::identity::{MacKey, PublicKey, Signer, Verifier};

use super::TokenJournal;
use super::entries::{Entries, Header};
use super::identity::{Head, Identity};
use crate::disk::Folder;
use crate::journal::{Journal, Setup};
use crate::options::Options;
use crate::spawn::Spawn;

/// What protects the entries.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) mac: Option<MacKey>,
    pub(super) seal: Option<Box<dyn Seal + Send + Sync>>,
}

impl Keys {
    pub(super) fn protection(&self) -> Protection<'_> {
        Protection { mac: self.mac.as_ref(), seal: self.seal.as_ref().map(|seal| &**seal as &dyn Seal) }
    }
}

/// How a token journal is opened.
#[derive(Default)]
pub struct TokenSetup {
    pub(super) setup: Setup<Entries>,
    pub(super) keys: Keys,
    pub(super) head: Option<Arc<Head>>,
    pub(super) named: Option<Header>,
    pub(super) chained: bool,
    pub(super) covering: Option<Verifier>,
}

impl fmt::Debug for TokenSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSetup")
            .field("setup", &self.setup)
            .field("protection", &self.keys.protection())
            .field("covering", &self.covering.as_ref().map(Verifier::key))
            .field("origin", &self.head.as_ref().map(|head| &head.origin))
            .finish()
    }
}

impl TokenSetup {
    /// With these bounds.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.setup = self.setup.options(options);
        self
    }

    /// With a runtime's blocking threads; the adapters have one.
    #[must_use]
    pub fn spawn(mut self, spawn: impl Spawn) -> Self {
        self.setup = self.setup.spawn(spawn);
        self
    }

    /// With content hashes that are HMACs, also those of the lines that are in the file.
    #[must_use]
    pub fn mac(mut self, key: MacKey) -> Self {
        self.keys.mac = Some(key);
        self
    }

    /// With a signature in every entry. Sealing runs under the journal's lock, one entry after the other, since each covers the
    /// hash of the one before.
    #[must_use]
    pub fn seal(mut self, seal: impl Seal + Send + Sync + 'static) -> Self {
        self.keys.seal = Some(Box::new(seal));
        self
    }

    /// With the token before it as the parent of each that names none.
    #[must_use]
    pub const fn chained(mut self) -> Self {
        self.chained = true;
        self
    }

    /// What a log that begins is called, and who signs its checkpoints, if anybody does: its first token says so, and neither changes
    /// after that, whatever the file is called by then. Without it, the log is called as its file.
    #[must_use]
    pub fn named(mut self, origin: impl Into<String>, key: Option<PublicKey>) -> Self {
        self.named = Some(Header { origin: fit_origin(&origin.into()).into(), key });
        self
    }

    /// For whoever is going to sign checkpoints with this key. Where the first token of the log names it, the log is opened only if a
    /// checkpoint of that key is there, and if every token beyond it is sealed with that key:
    /// so no checkpoint is signed over a log that was cut, or on which somebody else wrote.
    ///
    /// A log that begins needs a first [checkpoint](super::TokenJournal::checkpoint_as_blocking), over no tokens, before its first
    /// token; else it cannot be opened any more if power goes between that token and the first checkpoint.
    #[must_use]
    pub fn covering(mut self, key: Verifier) -> Self {
        self.covering = Some(key);
        self
    }

    /// With checkpoints signed by this key, and of this origin if the log begins: one that is there has its own. Every segment that is
    /// closed gets its last one.
    #[must_use]
    pub fn checkpoints(mut self, origin: impl Into<String>, signer: impl Signer + Send + Sync + 'static) -> Self {
        let head = Arc::new(Head { origin: origin.into(), signer: Box::new(signer), log: OnceLock::new() });
        self.head = Some(head.clone());
        self.setup = self.setup.closing(move |mark| {
            let mut note = Vec::new();
            // A signer that is out of reach does not keep lines from being written: the segment has the checkpoint it had.
            head.sign(mark, &mut note).ok().map(|_| note)
        });
        self
    }
}

/// What of a setup is needed once the journal is open.
pub(super) struct Rest {
    pub(super) keys: Keys,
    pub(super) head: Option<Arc<Head>>,
    pub(super) named: Header,
    pub(super) chained: bool,
    pub(super) covering: Option<Verifier>,
}

impl TokenSetup {
    pub(super) fn split(self, file: &Path) -> (Setup<Entries>, Rest) {
        let Self { setup, keys, head, named, chained, covering } = self;
        let by_head =
            || head.as_ref().map(|head| Header { origin: (*head.origin).into(), key: Some(head.signer.public()) });
        let named = named.or_else(by_head).unwrap_or_else(|| Header { origin: name_of(file), key: None });
        (setup, Rest { keys, head, named, chained, covering })
    }
}

impl Rest {
    pub(super) fn of<D: Folder>(self, journal: Journal<Entries, D>) -> TokenJournal<D> {
        let Self { keys, head, named, .. } = self;
        let log = Arc::new(journal.chain(|entries| Identity::of(entries, named)));
        if let Some(head) = &head {
            // It is set once, here.
            let _ = head.log.set(log.clone());
        }
        TokenJournal { journal, keys: Arc::new(keys), head, log }
    }
}

/// The name of a file without its extension, as a log may have it.
fn name_of(file: &Path) -> Arc<str> {
    fit_origin(&file.file_stem().map_or_else(|| "log".into(), |stem| stem.to_string_lossy())).into()
}
