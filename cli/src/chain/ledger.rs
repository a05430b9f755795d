//! The writing side: a log that is appended to, with its workload, its tree and its checkpoint.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sluis_chain::log::merkle::NodeHash;
use sluis_chain::log::{Appended, Protection, fit_origin};
use sluis_chain::token::{Hash32, Seal, Token};
use sluis_chain::workload::{Pending, Workload};
use sluis_core::data::{EncodeError, Value};
use sluis_core::identity::{MacKey, SecretKey, Verifier};
use sluis_core::table::Heap;
use sluis_core::{Now, Rng, Wall};
use sluis_journal::{AppendError, BATCH_BYTES, EntryFault, HeadError, OpenError, Options, TokenJournal, TokenSetup};
use sluis_spiffe::{Svid, SvidFiles};

use super::args::Protect;
use super::progress::Waiting;
use super::read;
use super::running::Known;
use crate::fail::Fail;
use crate::files;
use crate::key;
use crate::output::json::Object;
use crate::output::{Out, tell};
use crate::tokens;

/// How long others that write to the file are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// After this it is said that they are.
const SILENCE: Duration = Duration::from_secs(1);

/// The longest line that is written: as long as a journal takes.
pub(super) const MAX_LINE: usize = BATCH_BYTES - 1;

/// Room for a checkpoint, for leaf hashes, and for the line that begins a workload.
const SIDECARS: usize = 16 << 10;

/// The keys of a command.
#[derive(Default)]
pub(super) struct Keys {
    pub(super) secret: Option<SecretKey>,
    pub(super) mac: Option<MacKey>,
    pub(super) svid: Option<Svid>,
    /// A checkpoint is signed whatever the log is.
    pub(super) new_checkpoint: bool,
}

impl Keys {
    pub(super) fn read(protect: &Protect) -> Result<Self, Fail> {
        Ok(Self {
            secret: protect.key.as_deref().map(key::file::secret).transpose()?,
            mac: protect.hmac_key.as_deref().map(key::file::mac).transpose()?,
            svid: protect.svid.as_deref().map(svid).transpose()?,
            new_checkpoint: protect.new_checkpoint,
        })
    }

    /// Whoever seals: the SPIFFE identity before the key.
    pub(super) fn sealing<R>(&self, now: Wall, each: impl FnOnce(Protection<'_>) -> R) -> R {
        let mac = self.mac.as_ref();
        match (&self.svid, &self.secret) {
            (Some(svid), _) => each(Protection { mac, seal: Some(&svid.seal_at(now)) }),
            (None, key) => each(Protection { mac, seal: key.as_ref().map(|key| key as &dyn Seal) }),
        }
    }

    /// The name under which tokens are sealed, where there is only one that fits.
    pub(super) fn actor(&self) -> Option<String> {
        self.svid.as_ref().map(|svid| svid.id().to_string())
    }

    /// A SPIFFE identity signs for nobody else.
    pub(super) fn refuse_another(&self, actor: Option<&str>) -> Result<(), Fail> {
        match (self.actor(), actor) {
            (Some(id), Some(actor)) if id != actor => Err(Fail::usage(format!(
                "--actor `{actor}`: the SPIFFE identity is {id} and signs for nobody else, leave --actor out"
            ))),
            _ => Ok(()),
        }
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

/// What became of the sidecars of a log after lines were added to it. The lines are on the disk either way.
pub(super) struct Sidecars {
    /// Whether a new checkpoint covers the lines; `None` when nobody asked for one.
    renewed: Option<bool>,
    /// What was not done, and why.
    behind: Option<String>,
}

impl Sidecars {
    /// Say what was not done, and have it said that the line is written should printing that fail.
    pub(super) fn tell(&self, out: &mut Out, command: &str, file: &Path, line: u64) {
        let written = format!("written as line {line} of {}", file.display());
        if let Some(why) = &self.behind {
            tell(&format!("sluis {command}: {written}, {why}"));
        }
        out.done = Some(written);
    }

    /// All that was asked for was done.
    pub(super) fn done(&self) -> Result<(), Fail> {
        self.behind.as_ref().map_or(Ok(()), |why| Err(Fail::runtime(why)))
    }

    /// The members `checkpoint` and `behind` of what is printed.
    pub(super) fn put<'l>(&self, object: Object<'l>) -> Object<'l> {
        let checkpoint = match self.renewed {
            None => None,
            Some(true) => Some("renewed"),
            Some(false) => Some("not renewed"),
        };
        object.maybe("checkpoint", checkpoint).maybe("behind", self.behind.as_deref())
    }
}

/// A log that is appended to. Nobody else writes to it as long as this is there.
pub(super) struct Ledger {
    path: PathBuf,
    journal: TokenJournal,
    /// Blank lines in it: they are no entries, and count as lines.
    blank: u64,
    /// It was not there before.
    created: bool,
    /// What its tokens say.
    pub(super) known: Known,
    /// For new ids.
    pub(super) rng: Rng,
}

impl Ledger {
    /// Open a log, or begin it; then it is called `origin`, or as its file.
    pub(super) fn open(path: &Path, keys: &Keys, origin: Option<&str>) -> Result<Self, Fail> {
        tokens::refuse_second_name(path)?;
        let start = Instant::now();
        let mut said = false;
        let waiting = Waiting::new(format!("reading {}", path.display()));
        loop {
            let seed = tokens::seed()?;
            let mut options = Options::default();
            (options.max_line, options.queue_bytes) = (MAX_LINE, 2 * BATCH_BYTES);
            let name = origin.map_or_else(|| tokens::origin_of(path), fit_origin);
            let key = keys.secret.as_ref().map(SecretKey::public);
            let mut setup = TokenSetup::default().options(options).named(name, key);
            if let Some(mac) = &keys.mac {
                setup = setup.mac(mac.clone());
            }
            if let Some(key) = key.filter(|_| !keys.new_checkpoint) {
                setup = setup.covering(Verifier::new(*key.as_bytes()).map_err(Fail::runtime)?);
            }
            let known = Known::new(&seed);
            match TokenJournal::open_reading(path, &seed, setup, known, Known::fold) {
                Ok((journal, found, known)) => {
                    drop(waiting);
                    tokens::tell_torn(path, found.torn);
                    let lines = lines_in(path).map_err(|why| read::cannot(path, &why))?;
                    let blank = lines.saturating_sub(found.entries);
                    let (path, rng) = (path.to_owned(), seed.fork("ids"));
                    let ledger = Self { path, journal, blank, created: found.created, known, rng };
                    ledger.refuse_closed()?;
                    return Ok(ledger);
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

    /// Open a log that must be there.
    pub(super) fn open_existing(path: &Path, keys: &Keys) -> Result<Self, Fail> {
        if !path.exists() {
            return Err(Fail::runtime(format!("there is no {}, name the log that is meant", path.display())));
        }
        Self::open(path, keys, None)
    }

    /// Nothing is put behind the end of a segment that another one continues.
    fn refuse_closed(&self) -> Result<(), Fail> {
        let (size, root) = self.journal.journal().durable(|mark| (mark.tree().size(), mark.tree().root()));
        match super::segments::continued_by(&self.path, size, root) {
            Some(next) => Err(Fail::runtime(format!(
                "{} is a closed segment of a log that goes on in {}: name that one",
                self.path.display(),
                next.display()
            ))),
            None => Ok(()),
        }
    }

    /// How many lines it has.
    pub(super) fn size(&self) -> u64 {
        self.journal.journal().durable(|mark| mark.tree().size())
    }

    /// See that a line of at most so many bytes has room on the disk, and that a checkpoint can be written beside it, before something is
    /// done that can be done once only. Where the file system can, the room is reserved; else others may take it in between.
    pub(super) fn ready(&self, keys: &Keys, longest: usize) -> Result<(), Fail> {
        let bytes = (longest + SIDECARS) as u64;
        let no_room = |why: io::Error| {
            let file = self.path.display();
            Fail::runtime(format!("the step could not be recorded in {file} ({why}), nothing was done"))
        };
        let reserved = reserve(&self.path, bytes).map_err(no_room)?;
        if keys.secret.is_none() && reserved {
            return Ok(());
        }
        let probe = files::beside(&self.path, &format!(".checkpoint.{}.probe", std::process::id()));
        let made = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe);
        let mut made = match made {
            // Without a key nothing need be written beside it.
            Err(_) if keys.secret.is_none() => return Ok(()),
            made => made.map_err(|why| self.no_checkpoint(&why))?,
        };
        let room = if reserved { SIDECARS } else { longest + SIDECARS };
        let written = made.write_all(&vec![1; room]).and_then(|()| made.sync_data());
        drop(made);
        std::fs::remove_file(&probe).and(written).map_err(no_room)
    }

    /// See that a log that begins has a checkpoint before it has a line: so one that has lines and none has lost it.
    fn begin(&self, keys: &Keys) -> Result<(), Fail> {
        let Some(secret) = keys.secret.as_ref().filter(|_| self.size() == 0) else { return Ok(()) };
        self.journal.checkpoint_as_blocking(secret).map(drop).map_err(|why| self.no_checkpoint(&why))
    }

    fn no_checkpoint(&self, why: &dyn std::fmt::Display) -> Fail {
        let file = self.path.display();
        Fail::runtime(format!("no checkpoint can be written beside {file} ({why}), nothing was done"))
    }

    /// Add a token. It is on the disk afterwards.
    pub(super) fn append(&mut self, keys: &Keys, now: Now, draft: &Token<'_>) -> Result<Added, Fail> {
        self.begin(keys)?;
        let made = keys.sealing(now.wall, |protection| self.journal.append_as_blocking(now, draft, protection));
        let entry = made.map_err(|why| self.refused(why))?;
        let token_id = entry.token_id.as_ref().map_or(draft.token_id, |id| id.as_text());
        let added = self.added(&entry, &token_id.to_cow(), &draft.action.to_cow());
        self.known.sealed |= keys.svid.is_some() || keys.secret.is_some();
        Ok(added)
    }

    /// Add the token of the workload that waits to be written; of a step with this metadata.
    pub(super) fn append_step(&mut self, keys: &Keys, now: Now, metadata: Option<Value<'_>>) -> Result<Added, Fail> {
        let Some(mut running) = self.known.workload.take() else { return Err(self.nothing_waits()) };
        let added = self.append_waiting(keys, now, &mut running.workload, metadata);
        self.known.workload = Some(running);
        added
    }

    /// The same, of a workload that is held elsewhere.
    pub(super) fn append_waiting(
        &mut self,
        keys: &Keys,
        now: Now,
        workload: &mut Workload<Heap>,
        metadata: Option<Value<'_>>,
    ) -> Result<Added, Fail> {
        let id = workload.id();
        let step = |sequence| workload.step(sequence).map(|step| (step.id, step.status.action().unwrap_or_default()));
        let (token_id, action) = match workload.pending() {
            Some(Pending::Created) => (format!("workload_{id}"), "workload_created"),
            Some(Pending::Step(sequence)) => {
                let (step, action) = step(sequence).ok_or_else(|| self.nothing_waits())?;
                (format!("step_{id}_{step}"), action)
            }
            Some(Pending::Closed) => (format!("closed_{id}"), workload.status().closing_action()),
            None => return Err(self.nothing_waits()),
        };
        self.begin(keys)?;
        let journal = &self.journal;
        let made =
            keys.sealing(now.wall, |protection| journal.append_workload_blocking(workload, metadata, protection));
        let entry = made.map_err(|why| self.refused(why))?;
        self.known.sealed |= keys.svid.is_some() || keys.secret.is_some();
        Ok(self.added(&entry, &token_id, action))
    }

    fn added(&self, entry: &Appended, token_id: &str, action: &str) -> Added {
        Added {
            line: entry.index + 1 + self.blank,
            token_id: token_id.to_owned(),
            action: action.to_owned(),
            content_hash: entry.content_hash.map(|hash| hash.to_string()).unwrap_or_default(),
            leaf: entry.leaf,
        }
    }

    fn nothing_waits(&self) -> Fail {
        Fail::runtime(format!("no token of a workload of {} waits", self.path.display()))
    }

    fn refused(&self, why: AppendError<EntryFault>) -> Fail {
        use sluis_chain::log::AppendError as LogError;
        match why {
            AppendError::Compose(EntryFault::Log(LogError::Encode(EncodeError::BufferFull) | LogError::TooLong))
            | AppendError::TooLong { .. } => Fail::runtime(format!(
                "nothing was added to {}: the token would be longer than {MAX_LINE} bytes, the most that a line of a log may have; \
                 put what is long into a file, and its hash into the token",
                self.path.display()
            )),
            AppendError::Compose(EntryFault::Log(why @ (LogError::Seal(_) | LogError::Encode(_)))) => {
                Fail::runtime(why)
            }
            AppendError::Compose(EntryFault::Log(why)) => Fail::usage(why),
            AppendError::Compose(why) => Fail::runtime(why),
            why => Fail::runtime(format!("nothing was added to {}: {why}", self.path.display())),
        }
    }

    /// Say, signed, how long the log is and what its root is; what became of that, and of the tree.
    pub(super) fn renew(&self, keys: &Keys) -> Sidecars {
        let file = self.path.display();
        let (renewed, mut behind) = match (&keys.secret, self.journal.checkpoint_key()) {
            (None, Some(_)) => {
                let why = "not covered by the checkpoint: this log has a key for that, name it with --key";
                (Some(false), Some(why.to_owned()))
            }
            (None, None) if self.known.sealed && keys.svid.is_none() => {
                (None, Some("not signed, as other lines of it are: name a key with --key".to_owned()))
            }
            (None, None) => (None, None),
            (Some(secret), _) => match self.journal.checkpoint_as_blocking(secret) {
                Ok(_) => (Some(true), None),
                Err(HeadError::OtherKey(Some(key))) => {
                    let key = key.fingerprint();
                    let why = format!("checkpoint not renewed: {key} signs those of this log, and this is another key");
                    (Some(false), Some(why))
                }
                Err(HeadError::OtherKey(None)) => {
                    let why = format!("checkpoint not renewed: another key than this signed {file}.checkpoint");
                    (Some(false), Some(why))
                }
                // The next one judges what this one did not cover: a SPIFFE identity is not the key of the log.
                Err(why) if keys.svid.is_some() => (
                    Some(false),
                    Some(format!("checkpoint not renewed ({why}): the next write with --new-checkpoint renews it")),
                ),
                Err(why) => (Some(false), Some(format!("checkpoint not renewed ({why}): the next write renews it"))),
            },
        };
        if behind.is_none() && self.journal.journal().tree_is_behind() {
            behind = Some(format!("{file}.tree not renewed: the next write renews it"));
        }
        Sidecars { renewed, behind }
    }
}

impl Drop for Ledger {
    /// A file that was begun for a token that was refused is gone again, with what was made beside it.
    fn drop(&mut self) {
        if self.created && self.size() == 0 {
            for sidecar in [".tree", ".checkpoint", ".checkpoint.new"] {
                let _ = std::fs::remove_file(files::beside(&self.path, sidecar));
            }
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Reserve room behind the end of a file; whether that can be done on its file system.
#[cfg(target_os = "linux")]
fn reserve(path: &Path, bytes: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    use rustix::process::{Resource, getrlimit};
    let file = std::fs::OpenOptions::new().write(true).open(path)?;
    let end = file.metadata()?.len();
    // What is reserved behind the end does not count as the length of the file, which may be limited, too.
    if getrlimit(Resource::Fsize).current.is_some_and(|limit| end + bytes > limit) {
        return Err(Errno::FBIG.into());
    }
    match fallocate(&file, FallocateFlags::KEEP_SIZE, end, bytes) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(why) => Err(why.into()),
    }
}

/// Nothing can be reserved here.
#[cfg(not(target_os = "linux"))]
fn reserve(_: &Path, _: u64) -> io::Result<bool> {
    Ok(false)
}

/// How many line feeds there are in a file.
fn lines_in(path: &Path) -> io::Result<u64> {
    let (mut file, mut buffer, mut lines) = (files::open(path)?, vec![0; 1 << 16], 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(lines),
            Ok(n) => lines += buffer.iter().take(n).filter(|byte| **byte == b'\n').count() as u64,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
}

/// A leaf in words.
pub(super) fn hex(hash: &NodeHash) -> String {
    Hash32(*hash).to_string()
}
