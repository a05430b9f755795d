//! A journal of tokens: a log whose entries are durable.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sluis_chain::log::merkle::{Frontier, NodeHash};
use sluis_chain::log::note::{Checkpoint, NoteSignError, last_note};
use sluis_chain::log::{self, Appended, Log, LogHeader, Mark, Protection, fit_origin};
use sluis_chain::token::{Hash32, Seal, Token};
use sluis_chain::workload::{self, Plan, Room, Workload};
use sluis_core::framing::{Text, Value};
use sluis_core::identity::note::NoteKey;
use sluis_core::identity::{MacKey, PublicKey, Signer};
use sluis_core::{Now, Seed};

use crate::chain::{Chain, Composed, Leaf};
use crate::disk::Folder;
use crate::entry::{EntryFault, joins, links, read};
use crate::fail::{AppendError, Failure, OpenError};
use crate::journal::{CheckpointError, Journal, Setup};
use crate::names::Names;
use crate::options::Options;
use crate::os::OsFolder;
use crate::recover::Recovered;
use crate::spawn::Spawn;
use crate::ticket::Ticket;

/// The chain of a token journal: the log's machine. Lines that are read must be tokens, and where they link to a line, that must be
/// the one before; that they are also what they say they are is for `verify` to find out.
pub struct Entries {
    log: Log,
    /// Of the first token of the file, or of the segment before it: which log it is.
    header: Option<Header>,
    /// The checkpoint that was found beside it.
    note: Vec<u8>,
    /// Sees every token of the file while it is opened.
    reading: Option<Reading>,
    /// Every token that names no parent follows from the one before it.
    chained: bool,
    /// The id of the last token, where that is needed.
    last_id: Option<Arc<str>>,
}

type Reading = Box<dyn FnMut(&Token<'_>) + Send>;

/// A [`LogHeader`] that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Header {
    origin: Arc<str>,
    key: Option<PublicKey>,
}

impl Header {
    fn of(token: &Token<'_>) -> Option<Self> {
        let text = token.log_header()?.to_cow();
        LogHeader::parse(&text).map(|header| Self { origin: header.origin.into(), key: header.key })
    }
}

impl Entries {
    fn new(seed: &Seed, chained: bool, reading: Option<Reading>) -> Self {
        Self { log: Log::new(seed), header: None, note: Vec::new(), reading, chained, last_id: None }
    }

    /// Add a token. Its parent, where it names none and tokens are chained, is the one before it.
    fn append(
        &mut self,
        now: Now,
        draft: &Token<'_>,
        protection: Protection<'_>,
        out: &mut [u8],
    ) -> Result<Appended, log::AppendError> {
        let parent = if self.chained && draft.parent_id.is_none() { self.last_id.clone() } else { None };
        let parent_id = draft.parent_id.or(parent.as_deref().map(Text::new));
        let entry = self.log.append(now, &Token { parent_id, ..*draft }, protection, out)?;
        if self.chained {
            let id = entry.token_id.as_ref().map_or(draft.token_id, |id| id.as_text());
            self.last_id = Some((*id.to_cow()).into());
        }
        Ok(entry)
    }
}

/// Where a token journal stands.
#[derive(Clone, Debug)]
pub struct EntriesMark {
    log: Mark,
    last_id: Option<Arc<str>>,
}

impl EntriesMark {
    /// The tree over the tokens of the segment.
    #[must_use]
    pub const fn tree(&self) -> &Frontier {
        self.log.tree()
    }

    /// The leaf hash of the last of them.
    #[must_use]
    pub const fn last(&self) -> Option<NodeHash> {
        self.log.last()
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("log", &self.log).field("header", &self.header).finish_non_exhaustive()
    }
}

impl Chain for Entries {
    type Fault = EntryFault;
    type Mark = EntriesMark;
    const TREE: bool = true;

    fn check(&self, line: &[u8]) -> Result<(), EntryFault> {
        joins(line, self.log.last())
    }

    fn push(&mut self, line: &[u8]) -> Option<Leaf> {
        let first = self.log.size() == 0;
        let leaf = self.log.adopt(line).ok().map(|entry| entry.leaf);
        if first || self.chained || self.reading.is_some() {
            let token = Token::parse_bytes(line).ok();
            if first && let Some(header) = token.as_ref().and_then(Header::of) {
                self.header = Some(header);
            }
            if let Some(token) = token.as_ref().filter(|_| self.chained) {
                self.last_id = Some((*token.token_id.to_cow()).into());
            }
            if let (Some(token), Some(reading)) = (&token, &mut self.reading) {
                reading(token);
            }
        }
        leaf
    }

    fn follow(&mut self, line: &[u8]) {
        let reading = self.reading.take();
        self.push(line);
        self.reading = reading;
    }

    fn turn(&mut self) {
        self.log.turn();
    }

    fn continues(first: &[u8]) -> bool {
        links(first)
    }

    fn mark(&self) -> EntriesMark {
        EntriesMark { log: self.log.mark(), last_id: self.last_id.clone() }
    }

    fn rewind(&mut self, mark: &EntriesMark) {
        self.log.rewind(&mark.log);
        self.last_id.clone_from(&mark.last_id);
    }

    fn covered(checkpoint: &[u8]) -> Result<u64, EntryFault> {
        read(checkpoint).map(|head| head.size)
    }

    fn agrees(&mut self, checkpoint: &[u8]) -> Result<(), EntryFault> {
        let head = read(checkpoint)?;
        if head.root != self.log.tree().root() {
            return Err(EntryFault::Root);
        }
        if self.header.as_ref().is_some_and(|header| *header.origin != *head.origin) {
            return Err(EntryFault::Origin);
        }
        self.note = last_note(checkpoint).to_vec();
        Ok(())
    }
}

/// Which log it is, and who may sign for it.
#[derive(Debug)]
struct Identity {
    header: Header,
    /// Its first token says so.
    stated: bool,
    /// The checkpoint that was there when it was opened.
    note: Vec<u8>,
}

impl Identity {
    /// What a log is that was opened: what its first token says, what its checkpoint says, or, of one that begins, what it is to be.
    fn of(entries: &mut Entries, named: Header) -> Self {
        let note = std::mem::take(&mut entries.note);
        if let Some(header) = entries.header.clone() {
            return Self { header, stated: true, note };
        }
        match read(&note) {
            Ok(head) => Self { header: Header { origin: head.origin.into(), key: None }, stated: false, note },
            Err(_) => Self { header: named, stated: entries.log.size() == 0, note },
        }
    }

    /// Whether this key signs the checkpoints of the log: the one that its first token names. Where that names none, whoever signed
    /// the last one, or anybody who is the first.
    fn admits(&self, key: &PublicKey) -> Result<(), HeadError> {
        match &self.header.key {
            Some(named) if named == key => Ok(()),
            Some(named) if self.stated => Err(HeadError::OtherKey(Some(*named))),
            _ if self.note.is_empty() => Ok(()),
            _ => {
                let key = NoteKey::new(&self.header.origin, *key).map_err(|_| HeadError::OtherKey(None))?;
                let opened = Checkpoint::open(&self.note, &self.header.origin, &[key]);
                opened.map(drop).map_err(|_| HeadError::OtherKey(None))
            }
        }
    }

    fn sign(&self, signer: &(impl Signer + ?Sized), mark: &EntriesMark, note: &mut Vec<u8>) -> Result<u64, HeadError> {
        self.admits(&signer.public())?;
        let size = mark.tree().size();
        let checkpoint = Checkpoint::new(&self.header.origin, size, mark.tree().root()).map_err(HeadError::Sign)?;
        checkpoint.sign(signer, note).map_err(HeadError::Sign)?;
        Ok(size)
    }
}

/// Who signs for the log.
struct Head {
    origin: String,
    signer: Box<dyn Signer + Send + Sync>,
    /// Known once the log is opened.
    log: OnceLock<Arc<Identity>>,
}

impl Head {
    fn sign(&self, mark: &EntriesMark, note: &mut Vec<u8>) -> Result<u64, HeadError> {
        self.log.get().ok_or(HeadError::NoSigner)?.sign(&*self.signer, mark, note)
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
    named: Option<Header>,
    chained: bool,
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

/// Why there is no new checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The journal was opened without [`checkpoints`](TokenSetup::checkpoints).
    #[error("the journal was opened without a key for checkpoints")]
    NoSigner,
    /// Another key signs the checkpoints of this log: the one that its first token names, or, where that names none, whichever signed
    /// the last of them.
    #[error("another key signs the checkpoints of this log")]
    OtherKey(Option<PublicKey>),
    /// It could not be signed.
    #[error(transparent)]
    Sign(NoteSignError),
    /// It could not be written.
    #[error("writing the checkpoint: {0}")]
    Io(std::io::Error),
}

impl From<CheckpointError<Self>> for HeadError {
    fn from(error: CheckpointError<Self>) -> Self {
        match error {
            CheckpointError::Make(error) => error,
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
    log: Arc<Identity>,
}

impl<D: Folder> Clone for TokenJournal<D> {
    fn clone(&self) -> Self {
        Self { journal: self.journal.clone(), keys: self.keys.clone(), head: self.head.clone(), log: self.log.clone() }
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
        let (opening, rest) = setup.split(path.as_ref());
        let (journal, found) = Journal::open(path, Entries::new(seed, rest.chained, None), opening)?;
        Ok((rest.of(journal), found))
    }

    /// As [`open`](Self::open), and have `each` see every token that is in the file, in order; what it made of them comes back. So
    /// whoever goes on with a workload knows what came before, and nobody can write in between.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_reading<R: Send + 'static>(
        path: impl AsRef<Path>,
        seed: &Seed,
        setup: TokenSetup,
        reader: R,
        mut each: impl FnMut(&mut R, &Token<'_>) + Send + 'static,
    ) -> Result<(Self, Recovered, R), OpenError> {
        let (opening, rest) = setup.split(path.as_ref());
        let reader = Arc::new(Mutex::new(Some(reader)));
        let held = reader.clone();
        let reading: Reading = Box::new(move |token| {
            if let Some(reader) = held.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                each(reader, token);
            }
        });
        let (journal, found) = Journal::open(path, Entries::new(seed, rest.chained, Some(reading)), opening)?;
        journal.chain(|entries| entries.reading = None);
        let read = reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Nobody else takes it out.
        let read = read.ok_or(OpenError::Options("the reader of the tokens is gone"))?;
        Ok((rest.of(journal), found, read))
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
        let (opening, rest) = setup.split(path.as_ref());
        let opening = Journal::open_async(path, Entries::new(seed, rest.chained, None), opening);
        let (journal, found) = opening.await?;
        Ok((rest.of(journal), found))
    }
}

impl<D: Folder> TokenJournal<D> {
    /// As [`open`](TokenJournal::open), in any kind of folder.
    ///
    /// # Errors
    /// As [`open`](TokenJournal::open).
    pub fn open_in(folder: D, names: Names, seed: &Seed, setup: TokenSetup) -> Result<(Self, Recovered), OpenError> {
        let (opening, rest) = setup.split(Path::new(names.file()));
        let (journal, found) = Journal::open_in(folder, names, Entries::new(seed, rest.chained, None), opening)?;
        Ok((rest.of(journal), found))
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

    /// As [`append_blocking`](Self::append_blocking), with this protection in place of the journal's own.
    ///
    /// # Errors
    /// It is not in the journal.
    pub fn append_as_blocking(
        &self,
        now: Now,
        draft: &Token<'_>,
        protection: Protection<'_>,
    ) -> Result<Appended, TokenAppendError> {
        self.journal.append_blocking(|entries, out| self.write(entries, now, draft, protection, out))
    }

    /// As [`try_append`](Self::try_append), with this protection in place of the journal's own.
    ///
    /// # Errors
    /// It is not queued; [`AppendError::Busy`] if there is no room.
    pub fn try_append_as(
        &self,
        now: Now,
        draft: &Token<'_>,
        protection: Protection<'_>,
    ) -> Result<(Ticket, Appended), TokenAppendError> {
        self.journal.try_append(|entries, out| self.write(entries, now, draft, protection, out))
    }

    /// Append the token of a workload that waits to be written, linked, and protected by this; of a step with `metadata` where that is
    /// given, as [`Workload::poll_token_with`] has it.
    ///
    /// # Errors
    /// It is not in the journal. If it could not be written to the disk, the workload is ahead of its log: it is to be
    /// [resumed](Workload::resume) from that.
    pub fn append_workload_blocking<S: Room>(
        &self,
        workload: &mut Workload<S>,
        metadata: Option<Value<'_>>,
        protection: Protection<'_>,
    ) -> Result<Appended, TokenAppendError> {
        self.journal.append_blocking(|entries, out| {
            let header = (entries.log.size() == 0).then(|| self.header(&entries.log).to_string());
            let Protection { mac, seal } = protection;
            let link = entries.log.last().map(Hash32);
            let protection = workload::Protection { mac, seal, link, header: header.as_deref() };
            let written = workload.poll_token_with(metadata, &protection, out).ok_or(EntryFault::NothingWaits)??;
            let line = out.get(..written.len).unwrap_or_default();
            let entry = Appended { content_hash: Some(written.content_hash), ..entries.log.adopt(line)? };
            Ok(composed(entry))
        })
    }

    fn compose(
        &self,
        now: Now,
        draft: &Token<'_>,
    ) -> impl FnOnce(&mut Entries, &mut [u8]) -> Result<Composed<Appended>, EntryFault> {
        move |entries, out| self.write(entries, now, draft, self.keys.protection(), out)
    }

    fn write(
        &self,
        entries: &mut Entries,
        now: Now,
        draft: &Token<'_>,
        protection: Protection<'_>,
        out: &mut [u8],
    ) -> Result<Composed<Appended>, EntryFault> {
        let reserved = draft.action.as_str().is_some_and(workload::is_reserved);
        if reserved && !matches!(Plan::read(draft), Some(Ok(_))) {
            return Err(EntryFault::Reserved);
        }
        let header = (entries.log.size() == 0).then(|| self.header(&entries.log).to_string());
        let draft = Token { header: header.as_deref().map(Text::new), ..*draft };
        Ok(composed(entries.append(now, &draft, protection, out)?))
    }

    /// What the first token of the segment says of the log.
    fn header(&self, log: &Log) -> LogHeader<'_> {
        let Header { origin, key } = &self.log.header;
        LogHeader { after: log.continues(), ..LogHeader::new(origin, *key) }
    }

    /// The name of the log, under which its checkpoints are signed.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.log.header.origin
    }

    /// The key that the first token names for the checkpoints of the log, if it names one.
    #[must_use]
    pub fn checkpoint_key(&self) -> Option<PublicKey> {
        self.log.header.key
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

    /// As [`checkpoint_blocking`](Self::checkpoint_blocking), signed by this one in place of the journal's own signer.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub fn checkpoint_as_blocking(&self, signer: &(impl Signer + ?Sized)) -> Result<u64, HeadError> {
        Ok(self.journal.checkpoint_blocking(|mark, note| self.log.sign(signer, mark, note))?)
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

/// What of a setup is needed once the journal is open.
struct Rest {
    keys: Keys,
    head: Option<Arc<Head>>,
    named: Header,
    chained: bool,
}

impl TokenSetup {
    fn split(self, file: &Path) -> (Setup<Entries>, Rest) {
        let Self { setup, keys, head, named, chained } = self;
        let by_head =
            || head.as_ref().map(|head| Header { origin: (*head.origin).into(), key: Some(head.signer.public()) });
        let named = named.or_else(by_head).unwrap_or_else(|| Header { origin: name_of(file), key: None });
        (setup, Rest { keys, head, named, chained })
    }
}

impl Rest {
    fn of<D: Folder>(self, journal: Journal<Entries, D>) -> TokenJournal<D> {
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
        Ok(composed(entries.log.adopt(line)?))
    }
}
