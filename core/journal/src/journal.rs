//! The journal as its users hold it.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::sync::Arc;

use crate::chain::{Chain, Composed};
use crate::disk::Folder;
use crate::fail::{AppendError, Failure, OpenError, Step};
use crate::names::Names;
use crate::options::Options;
use crate::os::OsFolder;
use crate::queue::{Place, Queue, Wakers};
use crate::recover::{self, Recovered};
use crate::shared::{Closing, Shared};
use crate::spawn::{self, Spawn, Threads};
use crate::ticket::Ticket;

/// How a journal is opened: its bounds, where its blocking work runs, and what is done when a segment is closed.
pub struct Setup<C: Chain> {
    options: Options,
    spawn: Arc<dyn Spawn>,
    closing: Option<Closing<C::Mark>>,
}

impl<C: Chain> Default for Setup<C> {
    /// Default bounds, [threads of its own](Threads), no checkpoint at the end of a segment.
    fn default() -> Self {
        Self { options: Options::default(), spawn: Arc::new(Threads), closing: None }
    }
}

impl<C: Chain> Setup<C> {
    /// With these bounds.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// With a runtime's blocking threads; the adapters have one.
    #[must_use]
    pub fn spawn(mut self, spawn: impl Spawn) -> Self {
        self.spawn = Arc::new(spawn);
        self
    }

    /// With a last checkpoint for every segment that is closed, made of the chain as it stands there. `None` keeps the one that
    /// the segment has.
    #[must_use]
    pub fn closing(mut self, note: impl Fn(&C::Mark) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        self.closing = Some(Box::new(note));
        self
    }
}

impl<C: Chain> fmt::Debug for Setup<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A journal: lines in a file, each durable when its append resolves. Handles are clones of each other.
///
/// Every operation has two faces: a future, which needs no runtime of its own, and one that blocks the thread. Both may be used
/// side by side.
pub struct Journal<C: Chain, D: Folder = OsFolder> {
    shared: Arc<Shared<C, D>>,
}

impl<C: Chain, D: Folder> Clone for Journal<C, D> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<C: Chain> Journal<C> {
    /// Open a file, or make it, and take in the lines that are there. The chain has seen none yet.
    ///
    /// # Errors
    /// The file is in use, damaged, or the system refuses; see [`OpenError`].
    pub fn open(path: impl AsRef<Path>, chain: C, setup: Setup<C>) -> Result<(Self, Recovered), OpenError> {
        let (folder, name) = split(path.as_ref())?;
        Self::open_in(folder, Names::new(name), chain, setup)
    }

    /// As [`open`](Self::open), on the setup's blocking threads.
    pub fn open_async(
        path: impl AsRef<Path>,
        chain: C,
        setup: Setup<C>,
    ) -> impl Future<Output = Result<(Self, Recovered), OpenError>> + Send + 'static {
        let (path, on) = (path.as_ref().to_owned(), setup.spawn.clone());
        spawn::run(&*on, move || Self::open(path, chain, setup))
    }
}

/// A path's folder and file name. A link is followed, since a rotation would replace it.
fn split(path: &Path) -> Result<(OsFolder, String), OpenError> {
    let path = match path.canonicalize() {
        Ok(path) => path,
        // The file would be made where the link leads to, and its sidecars beside the link.
        Err(source) if path.is_symlink() => {
            return Err(OpenError::Io { path: path.display().to_string(), doing: "following the link", source });
        }
        Err(_) => path.to_owned(),
    };
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or(OpenError::Options("the path must end in a file name that is text"))?.to_owned();
    Ok((OsFolder::new(path.parent().unwrap_or(Path::new(""))), name))
}

impl<C: Chain, D: Folder> Journal<C, D> {
    /// As [`open`](Journal::open), in any kind of folder.
    ///
    /// # Errors
    /// As [`open`](Journal::open).
    pub fn open_in(folder: D, names: Names, chain: C, setup: Setup<C>) -> Result<(Self, Recovered), OpenError> {
        let Setup { options, spawn, closing } = setup;
        let (writer, chain, fill, recovered) = recover::open(folder, names, &options, chain)?;
        let queue = Queue::new(options, chain, fill);
        Ok((Self { shared: Arc::new(Shared::new(queue, writer, spawn, closing)) }, recovered))
    }

    fn ticket(&self, place: Place) -> Ticket {
        Ticket::new(place, self.shared.clone())
    }

    /// Append a line: `compose` writes it to the front of a buffer, which has room for the longest line and a line feed, and has the
    /// chain take it in; if it gives an error it leaves the chain as it was. It runs under the journal's lock, so it should do no
    /// more than that. Waits while the queue is full; resolves when the line is on the medium.
    ///
    /// What it composes must be one line: otherwise the chain cannot be trusted any more, and the journal fails.
    ///
    /// Dropping the future once the line is composed does not take it back.
    ///
    /// # Errors
    /// The line is not written.
    pub async fn append<T, E>(
        &self,
        compose: impl FnOnce(&mut C, &mut [u8]) -> Result<Composed<T>, E>,
    ) -> Result<T, AppendError<E>> {
        let (place, value) = self.enqueue(|queue, wakers| queue.append(compose, wakers)).await?;
        self.ticket(place).await.map_err(AppendError::Failed)?;
        Ok(value)
    }

    /// As [`append`](Self::append), blocking this thread, which may become the one that writes.
    ///
    /// # Errors
    /// The line is not written.
    pub fn append_blocking<T, E>(
        &self,
        compose: impl FnOnce(&mut C, &mut [u8]) -> Result<Composed<T>, E>,
    ) -> Result<T, AppendError<E>> {
        let (place, value) = spawn::block_on(self.enqueue(|queue, wakers| queue.append(compose, wakers)))?;
        self.ticket(place).wait().map_err(AppendError::Failed)?;
        Ok(value)
    }

    /// Queue a line and wait for nothing. Many lines queued before the first ticket is waited for go to the disk together.
    ///
    /// # Errors
    /// The line is not queued; [`AppendError::Busy`] if there is no room.
    pub fn try_append<T, E>(
        &self,
        compose: impl FnOnce(&mut C, &mut [u8]) -> Result<Composed<T>, E>,
    ) -> Result<(Ticket, T), AppendError<E>> {
        let mut wakers = Wakers::default();
        let appended = self.shared.line().queue.append(compose, &mut wakers);
        wakers.wake();
        let (place, value) = appended?;
        Ok((self.ticket(place), value))
    }

    /// Append a line as it is, without a line feed, if the chain accepts it.
    ///
    /// # Errors
    /// The line is not written.
    pub async fn append_line(&self, line: &[u8]) -> Result<(), AppendError<C::Fault>> {
        let place = self.enqueue(|queue, wakers| queue.append_line(line, wakers)).await?;
        self.ticket(place).await.map_err(AppendError::Failed)
    }

    /// As [`append_line`](Self::append_line), blocking this thread.
    ///
    /// # Errors
    /// The line is not written.
    pub fn append_line_blocking(&self, line: &[u8]) -> Result<(), AppendError<C::Fault>> {
        let place = spawn::block_on(self.enqueue(|queue, wakers| queue.append_line(line, wakers)))?;
        self.ticket(place).wait().map_err(AppendError::Failed)
    }

    /// As [`try_append`](Self::try_append), of a line as it is.
    ///
    /// # Errors
    /// The line is not queued.
    #[cfg(feature = "conformance")]
    pub(crate) fn try_append_line(&self, line: &[u8]) -> Result<Ticket, AppendError<C::Fault>> {
        let mut wakers = Wakers::default();
        let appended = self.shared.line().queue.append_line(line, &mut wakers);
        wakers.wake();
        Ok(self.ticket(appended?))
    }

    /// Do something to the queue once there is room.
    async fn enqueue<R>(&self, op: impl FnOnce(&mut Queue<C>, &mut Wakers) -> R) -> R {
        let mut waiting = Waiting { shared: &self.shared, id: None };
        let mut op = Some(op);
        poll_fn(|cx| self.shared.poll_queue(&mut op, &mut waiting.id, cx)).await
    }

    /// Wait until everything queued by now is on the medium.
    ///
    /// # Errors
    /// Some of it is not written.
    pub async fn flush(&self) -> Result<(), Failure> {
        match self.last() {
            Some(ticket) => ticket.await,
            None => Ok(()),
        }
    }

    /// As [`flush`](Self::flush), blocking this thread.
    ///
    /// # Errors
    /// Some of it is not written.
    pub fn flush_blocking(&self) -> Result<(), Failure> {
        self.last().map_or(Ok(()), Ticket::wait)
    }

    fn last(&self) -> Option<Ticket> {
        let place = self.shared.line().queue.last();
        place.map(|place| self.ticket(place))
    }

    /// Close the segment and go on in a new one, unless it has no lines yet.
    ///
    /// # Errors
    /// Lines before the end of the segment are not written, or it cannot be closed.
    pub async fn rotate(&self) -> Result<(), Failure> {
        match self.enqueue(|queue, _| queue.rotate()).await.map_err(only_failed)? {
            Some(place) => self.ticket(place).await,
            None => Ok(()),
        }
    }

    /// As [`rotate`](Self::rotate), blocking this thread.
    ///
    /// # Errors
    /// As [`rotate`](Self::rotate).
    pub fn rotate_blocking(&self) -> Result<(), Failure> {
        let place = spawn::block_on(self.enqueue(|queue, _| queue.rotate())).map_err(only_failed)?;
        place.map_or(Ok(()), |place| self.ticket(place).wait())
    }

    /// Write `FILE.checkpoint`, made of the chain after the last line that is on the medium; it is on the medium itself when this
    /// resolves, and at any time either the old or the new one is there, whole. Empty text writes none.
    ///
    /// # Errors
    /// Whatever `make` says, or the system refuses.
    pub fn checkpoint<T, E>(
        &self,
        make: impl FnOnce(&C::Mark, &mut Vec<u8>) -> Result<T, E> + Send + 'static,
    ) -> impl Future<Output = Result<T, CheckpointError<E>>> + Send + 'static
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let journal = self.clone();
        spawn::run(&**self.shared.spawner(), move || journal.checkpoint_blocking(make))
    }

    /// As [`checkpoint`](Self::checkpoint), blocking this thread.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint).
    pub fn checkpoint_blocking<T, E>(
        &self,
        make: impl FnOnce(&C::Mark, &mut Vec<u8>) -> Result<T, E>,
    ) -> Result<T, CheckpointError<E>> {
        // While the writer is held, no line becomes durable and no segment is closed.
        let mut writer = self.shared.writer();
        let durable = self.shared.line().queue.durable().clone();
        let mut note = Vec::new();
        let value = make(&durable, &mut note).map_err(CheckpointError::Make)?;
        if !note.is_empty() {
            writer.checkpoint(&note).map_err(CheckpointError::Io)?;
        }
        Ok(value)
    }

    /// Run something on the setup's blocking threads.
    pub(crate) fn elsewhere<R, W>(&self, work: W) -> impl Future<Output = R> + Send + use<R, W, C, D>
    where
        R: Send + 'static,
        W: FnOnce() -> R + Send + 'static,
    {
        spawn::run(&**self.shared.spawner(), work)
    }

    /// Take appends again after a failure that was no full disk: the file is cut back to its last acknowledged line, and that this
    /// is on the medium is made sure of.
    ///
    /// # Errors
    /// It still cannot be trusted. With [`Step::Look`] only opening it anew helps.
    pub fn recover(&self) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let journal = self.clone();
        spawn::run(&**self.shared.spawner(), move || journal.recover_blocking())
    }

    /// As [`recover`](Self::recover), blocking this thread.
    ///
    /// # Errors
    /// As [`recover`](Self::recover).
    pub fn recover_blocking(&self) -> Result<(), Failure> {
        self.shared.recover()
    }

    /// Look at the chain as it is after the last line that is on the medium.
    pub fn durable<R>(&self, look: impl FnOnce(&C::Mark) -> R) -> R {
        look(self.shared.line().queue.durable())
    }

    /// Change what the chain keeps besides its lines.
    pub(crate) fn chain<R>(&self, change: impl FnOnce(&mut C) -> R) -> R {
        change(self.shared.line().queue.chain_mut())
    }

    /// Whether `FILE.tree` could not be written: it lacks lines until the file is opened again.
    #[must_use]
    pub fn tree_is_behind(&self) -> bool {
        self.shared.writer().tree_is_behind()
    }

    /// How much waits for the disk, in bytes and in lines.
    #[must_use]
    pub fn held(&self) -> (usize, usize) {
        self.shared.line().queue.held()
    }

    /// The failure that has closed the journal until [`recover`](Self::recover).
    #[must_use]
    pub fn closed(&self) -> Option<Failure> {
        self.shared.line().queue.closed()
    }

    /// How many segments have been closed. Waits for a batch that is on its way.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.shared.writer().segments()
    }
}

impl<C: Chain, D: Folder> fmt::Debug for Journal<C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("held", &self.held()).field("closed", &self.closed()).finish_non_exhaustive()
    }
}

/// A rotation composes nothing, and waits for room.
fn only_failed(error: AppendError<Infallible>) -> Failure {
    match error {
        AppendError::Failed(failure) => failure,
        AppendError::Compose(never) => match never {},
        _ => Failure { step: Step::Rotate, kind: std::io::ErrorKind::WouldBlock, os: None },
    }
}

/// Why there is no new checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError<E> {
    /// It could not be made.
    #[error(transparent)]
    Make(E),
    /// It could not be written.
    #[error("writing the checkpoint: {0}")]
    Io(std::io::Error),
}

/// A wait for room, given up when dropped.
struct Waiting<'a, C: Chain, D: Folder> {
    shared: &'a Shared<C, D>,
    id: Option<u64>,
}

impl<C: Chain, D: Folder> Drop for Waiting<'_, C, D> {
    fn drop(&mut self) {
        self.shared.forget_room(&mut self.id);
    }
}
