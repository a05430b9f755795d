//! A journal of tokens: a log whose entries are durable.

mod entries;
mod identity;
mod setup;

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use sluis_chain::log::{self, Appended, Log, LogHeader, Protection};
use sluis_chain::token::{Hash32, SealError, Token};
use sluis_chain::workload::{self, InLog, Plan, StepStorage, Workload};
use sluis_core::data::{EncodeError, Text, Value};
use sluis_core::identity::{PublicKey, Signer};
use sluis_core::{Now, Seed};

pub use self::entries::{Entries, EntriesMark};
use self::entries::{Header, Reading};
pub use self::identity::HeadError;
use self::identity::{Head, Identity};
use self::setup::Keys;
pub use self::setup::TokenSetup;
use crate::chain::{Chain as _, Composed};
use crate::disk::Folder;
use crate::entry::EntryFault;
use crate::fail::{AppendError, Failure, OpenError};
use crate::journal::Journal;
use crate::names::Names;
use crate::os::OsFolder;
use crate::recover::Recovered;
use crate::ticket::Ticket;

/// Why a token is not in the journal.
pub type TokenAppendError = AppendError<EntryFault>;

/// A [`Log`] in a file: an append resolves when its token is on the medium, hashed, linked and sealed. Handles are clones of
/// each other. The file is the reference's JSON-lines.
///
/// ```
/// use sluis_chain::token::Token;
/// use sluis_core::data::Text;
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
        let (opening, mut rest) = setup.split(path.as_ref());
        let (journal, found) = Journal::open(path, Entries::new(seed, &mut rest, None), opening)?;
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
        let (opening, mut rest) = setup.split(path.as_ref());
        let reader = Arc::new(Mutex::new(Some(reader)));
        let held = reader.clone();
        let reading: Reading = Box::new(move |token| {
            if let Some(reader) = held.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                each(reader, token);
            }
        });
        let (journal, found) = Journal::open(path, Entries::new(seed, &mut rest, Some(reading)), opening)?;
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
        let (opening, mut rest) = setup.split(path.as_ref());
        let opening = Journal::open_async(path, Entries::new(seed, &mut rest, None), opening);
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
        let (opening, mut rest) = setup.split(Path::new(names.file()));
        let (journal, found) = Journal::open_in(folder, names, Entries::new(seed, &mut rest, None), opening)?;
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

    /// As [`try_append`](Self::try_append), with this protection in place of the journal's own, and only if the line takes no more than
    /// `room` bytes with its line feed.
    ///
    /// # Errors
    /// It is not queued; [`AppendError::Busy`] if the queue is full, [`EntryFault::NoRoom`] if the line is longer than that.
    pub fn try_append_within(
        &self,
        now: Now,
        draft: &Token<'_>,
        protection: Protection<'_>,
        room: u64,
    ) -> Result<(Ticket, Appended), TokenAppendError> {
        self.journal.try_append(|entries, out| {
            let within = usize::try_from(room).unwrap_or(usize::MAX);
            let cut = within < out.len();
            let out = out.get_mut(..if cut { within } else { out.len() }).unwrap_or_default();
            let made = self.write(entries, now, draft, protection, out);
            made.map_err(|why| match why {
                EntryFault::Log(log::AppendError::Encode(EncodeError::BufferFull)) if cut => EntryFault::NoRoom,
                EntryFault::Log(log::AppendError::Seal(SealError::NoRoom { .. })) if cut => EntryFault::NoRoom,
                why => why,
            })
        })
    }

    /// Append the token of a workload that waits to be written, linked, and protected by this; of a step with `metadata` where that is
    /// given, as [`Workload::poll_token_with`] has it.
    ///
    /// # Errors
    /// It is not in the journal. If it could not be written to the disk, the workload is ahead of its log: it is to be
    /// [resumed](Workload::resume) from that.
    pub fn append_workload_blocking<S: StepStorage>(
        &self,
        workload: &mut Workload<S>,
        metadata: Option<Value<'_>>,
        protection: Protection<'_>,
    ) -> Result<Appended, TokenAppendError> {
        self.journal.append_blocking(|entries, out| {
            let header = (entries.log.size() == 0).then(|| self.header(&entries.log).to_string());
            let link = entries.log.last().map(Hash32);
            let how = InLog { protection, link, header: header.as_deref() };
            let written = workload.poll_token_with(metadata, how, out).ok_or(EntryFault::NothingWaits)??;
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

    /// Append a token that was sealed elsewhere, byte for byte. It has no link, or the one to the line that happens to be before, and its
    /// content hash is right: an HMAC under the journal's key, if that has one.
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

/// The log writes its line feed; the journal writes its own.
fn composed(entry: Appended) -> Composed<Appended> {
    Composed { len: entry.len.saturating_sub(1), leaf: Some(entry.leaf), value: entry }
}

fn as_it_is(line: &[u8]) -> impl FnOnce(&mut Entries, &mut [u8]) -> Result<Composed<Appended>, EntryFault> {
    move |entries, out| {
        // What would not be opened again must not get in.
        entries.check(line)?;
        entries.intact(line)?;
        let room = out.len().saturating_sub(1);
        let Some(out) = out.get_mut(..line.len()).filter(|_| line.len() <= room) else {
            return Err(log::AppendError::TooLong.into());
        };
        out.copy_from_slice(line);
        Ok(composed(entries.log.adopt(line)?))
    }
}
