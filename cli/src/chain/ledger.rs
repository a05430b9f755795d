//! The writing side: a file that is appended to, with its tree and its checkpoint.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sluis_chain::log::merkle::NodeHash;
use sluis_chain::token::{Hash32, Seal, Token};
use sluis_core::Wall;
use sluis_core::identity::{MacKey, SecretKey};
use sluis_journal::{AppendError, Chain as _, Composed, Journal, OpenError, Setup};
use sluis_spiffe::{Svid, SvidFiles};

use super::args::Protect;
use super::lines::Lines;
use super::progress::Waiting;
use crate::fail::Fail;
use crate::key;
use crate::output::tell;
use crate::tokens;

/// How long others that write to the file are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// After this it is said that they are.
const SILENCE: Duration = Duration::from_secs(1);

/// The keys of a command.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) secret: Option<SecretKey>,
    pub(super) mac: Option<MacKey>,
    pub(super) svid: Option<Svid>,
}

impl Keys {
    pub(super) fn read(protect: &Protect) -> Result<Self, Fail> {
        Ok(Self {
            secret: protect.key.as_deref().map(key::file::secret).transpose()?,
            mac: protect.hmac_key.as_deref().map(key::file::mac).transpose()?,
            svid: protect.svid.as_deref().map(svid).transpose()?,
        })
    }

    /// Whoever seals: the SPIFFE identity before the key.
    pub(super) fn sealing<R>(&self, now: Wall, each: impl FnOnce(Option<&dyn Seal>) -> R) -> R {
        match (&self.svid, &self.secret) {
            (Some(svid), _) => each(Some(&svid.seal_at(now))),
            (None, Some(key)) => each(Some(key)),
            (None, None) => each(None),
        }
    }

    /// The name under which tokens are sealed, where there is only one that fits.
    pub(super) fn actor(&self) -> Option<String> {
        self.svid.as_ref().map(|svid| svid.id().to_string())
    }
}

/// The SPIFFE identity in a folder, or from an agent.
fn svid(from: &Path) -> Result<Svid, Fail> {
    match from.to_str() {
        Some("agent") => from_agent(None),
        Some(endpoint) if endpoint.starts_with("unix:") => from_agent(Some(endpoint)),
        _ => Svid::from_files(&SvidFiles::in_folder(from)).map_err(Fail::runtime),
    }
}

#[cfg(feature = "workload-api")]
fn from_agent(endpoint: Option<&str>) -> Result<Svid, Fail> {
    let found = sluis_spiffe::workload_api::fetch(endpoint, Duration::from_secs(10));
    found.and_then(sluis_spiffe::Identities::into_default_svid).map_err(Fail::runtime)
}

#[cfg(not(feature = "workload-api"))]
fn from_agent(_: Option<&str>) -> Result<Svid, Fail> {
    let why = "this `sluis` cannot ask a SPIFFE agent: build it with `cargo build --features workload-api`, or let";
    Err(Fail::runtime(format!("{why} `spire-agent api fetch x509 -write FOLDER` write files for --svid FOLDER")))
}

/// A line that was added.
pub(super) struct Added {
    /// From 1.
    pub(super) line: u64,
    pub(super) token_id: String,
    pub(super) action: String,
    pub(super) content_hash: String,
    pub(super) leaf: NodeHash,
}

/// A file that is appended to. Nobody else writes to it as long as this is there.
pub(super) struct Ledger {
    path: PathBuf,
    journal: Journal<Lines>,
}

impl Ledger {
    /// Open the file, or begin it.
    pub(super) fn open(path: &Path) -> Result<Self, Fail> {
        let start = Instant::now();
        let mut said = false;
        let waiting = Waiting::new(format!("reading {}", path.display()));
        loop {
            match Journal::open(path, Lines::default(), Setup::default()) {
                Ok((journal, found)) => {
                    drop(waiting);
                    tokens::tell_torn(path, found.torn);
                    return Ok(Self { path: path.to_owned(), journal });
                }
                Err(OpenError::Locked { .. }) if start.elapsed() < PATIENCE => {
                    if !said && start.elapsed() > SILENCE {
                        said = true;
                        tell(&format!("sluis: waiting for another writer of {}", path.display()));
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(why) => return Err(tokens::opening(path, &why)),
            }
        }
    }

    /// What is in the file.
    pub(super) fn lines(&self) -> Lines {
        self.journal.durable(Lines::clone)
    }

    /// Add a line, which `compose` writes without a line feed, knowing all lines before it. It is on the disk afterwards.
    pub(super) fn append(&self, compose: impl FnOnce(&Lines, &mut [u8]) -> Result<usize, Fail>) -> Result<Added, Fail> {
        let made = self.journal.append_blocking(|lines: &mut Lines, room: &mut [u8]| {
            let len = compose(lines, room)?;
            let line = room.get(..len).unwrap_or_default();
            let value = added(lines, line)?;
            Ok(Composed { len, leaf: lines.push(line), value })
        });
        made.map_err(|why| match why {
            AppendError::Compose(fail) => fail,
            why => Fail::runtime(format!("cannot add to {}: {why}", self.path.display())),
        })
    }

    /// Say, signed, how long the file is and what its root is.
    pub(super) fn checkpoint(&self, keys: &Keys) -> Result<(), Fail> {
        let Some(secret) = &keys.secret else { return Ok(()) };
        tokens::sign(&self.journal, &self.path, secret, |kept| kept.origin(&self.path))
    }
}

/// What is said of a line.
fn added(lines: &Lines, line: &[u8]) -> Result<Added, Fail> {
    let token = Token::parse_bytes(line).map_err(Fail::runtime)?;
    Ok(Added {
        line: lines.tree.size() + 1,
        token_id: token.token_id.to_cow().into_owned(),
        action: token.action.to_cow().into_owned(),
        content_hash: token.content_hash.to_cow().into_owned(),
        leaf: sluis_chain::log::merkle::leaf_hash(line),
    })
}

/// A leaf in words.
pub(super) fn hex(hash: &NodeHash) -> String {
    Hash32(*hash).to_string()
}
