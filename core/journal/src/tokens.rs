//! A journal of tokens: a log whose entries are durable.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use sluis_chain::log::note::{Checkpoint, NoteSignError};
use sluis_chain::log::{self, Appended, Log, Mark, Protection};
use sluis_chain::token::{Seal, Token};
use sluis_core::identity::{MacKey, Signer};
use sluis_core::{Now, Seed};

use crate::chain::{Chain, Composed, Leaf};
use crate::disk::Folder;
use crate::fail::{AppendError, Failure, OpenError};
use crate::journal::{CheckpointError, Journal, Setup};
use crate::names::Names;
use crate::options::Options;
use crate::os::OsFolder;
use crate::recover::Recovered;
use crate::spawn::Spawn;
use crate::ticket::Ticket;
use crate::trail::{EntryFault, joins, read};

/// The chain of a token journal: the log's machine. Lines that are read must be tokens, and where they link to a line, that must be
/// the one before; that they are also what they say they are is for `verify` to find out.
#[derive(Debug)]
pub struct Entries(Log);

impl Chain for Entries {
    type Fault = EntryFault;
    type Mark = Mark;
    const TREE: bool = true;

    fn check(&self, line: &[u8]) -> Result<(), EntryFault> {
        joins(line, self.0.last())
    }

    fn push(&mut self, line: &[u8]) -> Option<Leaf> {
        self.0.adopt(line).ok().map(|entry| entry.leaf)
    }

    fn turn(&mut self) {
        self.0.turn();
    }

    fn mark(&self) -> Mark {
        self.0.mark()
    }

    fn rewind(&mut self, mark: &Mark) {
        self.0.rewind(mark);
    }

    fn covered(checkpoint: &[u8]) -> Result<u64, EntryFault> {
        read(checkpoint).map(|head| head.size)
    }

    fn agrees(&self, checkpoint: &[u8]) -> Result<(), EntryFault> {
        if read(checkpoint)?.root == self.0.tree().root() { Ok(()) } else { Err(EntryFault::Root) }
    }
}

/// Who signs for the log, and under what name.
struct Head {
    origin: String,
    signer: Box<dyn Signer + Send + Sync>,
}

impl Head {
    fn sign(&self, mark: &Mark, note: &mut Vec<u8>) -> Result<u64, NoteSignError> {
        let size = mark.tree().size();
        Checkpoint::new(&self.origin, size, mark.tree().root())?.sign(&*self.signer, note)?;
        Ok(size)
    }
}

/// What protects the entries.
#[derive(Default)]
struct Keys {
    mac: Option<MacKey>,
    seal: Option<Box<dyn Seal + Send + Sync>>,
}

impl Keys {
    fn protection(&self) -> Protection<'_> {
        Protection { mac: self.mac.as_ref(), seal: self.seal.as_ref().map(|seal| &**seal as &dyn Seal) }
    }
}

/// How a token journal is opened.
#[derive(Default)]
pub struct TokenSetup {
    setup: Setup<Entries>,
    keys: Keys,
    head: Option<Arc<Head>>,
}

impl fmt::Debug for TokenSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSetup")
            .field("setup", &self.setup)
            .field("protection", &self.keys.protection())
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

    /// With content hashes that are HMACs.
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

    /// With checkpoints of this origin, signed by this key. Every segment that is closed gets its last one.
    #[must_use]
    pub fn checkpoints(mut self, origin: impl Into<String>, signer: impl Signer + Send + Sync + 'static) -> Self {
        let head = Arc::new(Head { origin: origin.into(), signer: Box::new(signer) });
        self.head = Some(head.clone());
        self.setup = self.setup.closing(move |mark| {
            let mut note = Vec::new();
            // A signer that is out of reach does not keep lines from being written: the segment has the checkpoint it had.
            head.sign(mark, &mut note).ok().map(|_| note)
        });
        self
    }
}

/// Why there is no new checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The journal was opened without [`checkpoints`](TokenSetup::checkpoints).
    #[error("the journal was opened without a key for checkpoints")]
    NoSigner,
    /// It could not be signed.
    #[error(transparent)]
    Sign(NoteSignError),
    /// It could not be written.
    #[error("writing the checkpoint: {0}")]
    Io(std::io::Error),
}

impl From<CheckpointError<NoteSignError>> for HeadError {
    fn from(error: CheckpointError<NoteSignError>) -> Self {
        match error {
            CheckpointError::Make(error) => Self::Sign(error),
            CheckpointError::Io(error) => Self::Io(error),
        }
    }
}

/// Why a token is not in the journal.
pub type TokenAppendError = AppendError<EntryFault>;

/// A [`Log`] in a file: an append resolves when its token is on the medium, hashed, linked and sealed. Handles are clones of
/// each other. The file is the reference's JSON-lines.
///
/// ```
/// use sluis_chain::token::Token;
/// use sluis_core::framing::Text;
/// use sluis_core::identity::SecretKey;
/// use sluis_core::{Instant, Now, Seed, Wall};
/// use sluis_journal::{TokenJournal, TokenSetup};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("sluis-token-journal-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// let setup = TokenSetup::default()
///     .seal(SecretKey::from_seed(&[1; 32]))
///     .checkpoints("example.com/door", SecretKey::from_seed(&[1; 32]));
/// let seed = Seed::from_u64(1); // in production: the system's, never one twice
/// let (journal, found) = TokenJournal::open(folder.join("door.jsonl"), &seed, setup)?;
/// assert_eq!(found.entries, 0);
///
/// let now = Now::new(Instant::ZERO, Wall::from_micros(1_736_942_400_000_000));
/// let draft = Token { action: Text::new("door_opened"), actor: Text::new("jis:home:door"), ..Token::default() };
/// let entry = journal.append_blocking(now, &draft)?; // on the medium now
/// assert_eq!(entry.index, 0);
/// assert_eq!(journal.checkpoint_blocking()?, 1);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok(())
/// # }
/// ```
pub struct TokenJournal<D: Folder = OsFolder> {
    journal: Journal<Entries, D>,
    keys: Arc<Keys>,
    head: Option<Arc<Head>>,
}

impl<D: Folder> Clone for TokenJournal<D> {
    fn clone(&self) -> Self {
        Self { journal: self.journal.clone(), keys: self.keys.clone(), head: self.head.clone() }
    }
}

impl<D: Folder> fmt::Debug for TokenJournal<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.journal.fmt(f)
    }
}

impl TokenJournal {
    /// Open a file, or make it, and build the tree of the tokens that are there. The seed is for new token ids.
    ///
    /// # Errors
    /// The file is in use, damaged, not what its checkpoint says, or the system refuses.
    pub fn open(path: impl AsRef<Path>, seed: &Seed, setup: TokenSetup) -> Result<(Self, Recovered), OpenError> {
        let TokenSetup { setup, keys, head } = setup;
        let (journal, found) = Journal::open(path, Entries(Log::new(seed)), setup)?;
        Ok((Self { journal, keys: Arc::new(keys), head }, found))
    }

    /// As [`open`](Self::open), on the setup's blocking threads.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_async(
        path: impl AsRef<Path>,
        seed: &Seed,
        setup: TokenSetup,
    ) -> Result<(Self, Recovered), OpenError> {
        let TokenSetup { setup, keys, head } = setup;
        let opening = Journal::open_async(path, Entries(Log::new(seed)), setup);
        let (journal, found) = opening.await?;
        Ok((Self { journal, keys: Arc::new(keys), head }, found))
    }
}

impl<D: Folder> TokenJournal<D> {
    /// As [`open`](TokenJournal::open), in any kind of folder.
    ///
    /// # Errors
    /// As [`open`](TokenJournal::open).
    pub fn open_in(folder: D, names: Names, seed: &Seed, setup: TokenSetup) -> Result<(Self, Recovered), OpenError> {
        let TokenSetup { setup, keys, head } = setup;
        let (journal, found) = Journal::open_in(folder, names, Entries(Log::new(seed)), setup)?;
        Ok((Self { journal, keys: Arc::new(keys), head }, found))
    }

    /// The journal underneath: flushing, rotating, recovering from a failure, and what waits for the disk.
    pub fn journal(&self) -> &Journal<Entries, D> {
        &self.journal
    }

    /// Append a token. Its id and its time are filled in where they are empty, its link, its hash and its seal always. What
    /// comes back says where it is, in its segment, and what its id is.
    ///
    /// # Errors
    /// It is not in the journal.
    pub async fn append(&self, now: Now, draft: &Token<'_>) -> Result<Appended, TokenAppendError> {
        self.journal.append(self.compose(now, draft)).await
    }

    /// As [`append`](Self::append), blocking this thread.
    ///
    /// # Errors
    /// It is not in the journal.
    pub fn append_blocking(&self, now: Now, draft: &Token<'_>) -> Result<Appended, TokenAppendError> {
        self.journal.append_blocking(self.compose(now, draft))
    }

    /// Queue a token and wait for nothing; many of them go to the disk together once a ticket is waited for.
    ///
    /// # Errors
    /// It is not queued; [`AppendError::Busy`] if there is no room.
    pub fn try_append(&self, now: Now, draft: &Token<'_>) -> Result<(Ticket, Appended), TokenAppendError> {
        self.journal.try_append(self.compose(now, draft))
    }

    fn compose(
        &self,
        now: Now,
        draft: &Token<'_>,
    ) -> impl FnOnce(&mut Entries, &mut [u8]) -> Result<Composed<Appended>, EntryFault> {
        move |entries, out| Ok(composed(entries.0.append(now, draft, self.keys.protection(), out)?))
    }

    /// Append a token that was sealed elsewhere, byte for byte. It has no link, or the one to the line that happens to be before.
    ///
    /// # Errors
    /// It is not in the journal.
    pub async fn adopt(&self, line: &[u8]) -> Result<Appended, TokenAppendError> {
        self.journal.append(as_it_is(line)).await
    }

    /// As [`adopt`](Self::adopt), blocking this thread.
    ///
    /// # Errors
    /// It is not in the journal.
    pub fn adopt_blocking(&self, line: &[u8]) -> Result<Appended, TokenAppendError> {
        self.journal.append_blocking(as_it_is(line))
    }

    /// Sign and write `FILE.checkpoint` over all tokens of the segment that are on the medium; how many these are.
    ///
    /// # Errors
    /// The checkpoint there was is still there.
    pub fn checkpoint(&self) -> impl Future<Output = Result<u64, HeadError>> + Send + 'static {
        let journal = self.clone();
        self.journal.elsewhere(move || journal.checkpoint_blocking())
    }

    /// As [`checkpoint`](Self::checkpoint), blocking this thread.
    ///
    /// # Errors
    /// The checkpoint there was is still there.
    pub fn checkpoint_blocking(&self) -> Result<u64, HeadError> {
        let head = self.head.as_ref().ok_or(HeadError::NoSigner)?;
        Ok(self.journal.checkpoint_blocking(|mark, note| head.sign(mark, note))?)
    }

    /// Close the segment, with its last checkpoint, and go on in a new one.
    ///
    /// # Errors
    /// The segment cannot be closed, or tokens before its end are not written.
    pub async fn rotate(&self) -> Result<(), Failure> {
        self.journal.rotate().await
    }

    /// Wait until everything queued by now is on the medium.
    ///
    /// # Errors
    /// Some of it is not written.
    pub async fn flush(&self) -> Result<(), Failure> {
        self.journal.flush().await
    }
}

/// The log writes its line feed; the journal writes its own.
fn composed(entry: Appended) -> Composed<Appended> {
    Composed { len: entry.len.saturating_sub(1), leaf: Some(entry.leaf), value: entry }
}

fn as_it_is(line: &[u8]) -> impl FnOnce(&mut Entries, &mut [u8]) -> Result<Composed<Appended>, EntryFault> {
    move |entries, out| {
        // What would not be opened again must not get in.
        entries.check(line)?;
        let room = out.len().saturating_sub(1);
        let Some(out) = out.get_mut(..line.len()).filter(|_| line.len() <= room) else {
            return Err(log::AppendError::TooLong.into());
        };
        out.copy_from_slice(line);
        Ok(composed(entries.0.adopt(line)?))
    }
}
