//! The store: one database in one directory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, Durability, ReadOnlyTable, ReadableDatabase as _, TableDefinition, TableError,
};
use sluis_core::driver::StoreBatch;
use sluis_core::limits::{MAX_STORE_KEY, MAX_STORE_VALUE};

use crate::error::{CommitError, OpenError};
use crate::folder::Folder;
use crate::trial::Trial;

/// The longest name of a node, in bytes.
pub const MAX_NODE: usize = 256;

/// What is in the file, and how it is to be read.
const VERSION: u32 = 1;
/// Bytes of the file that are held in memory.
const CACHE: usize = 8 << 20;

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const STATE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("state");

/// Keys and values in a directory of their own: see the [crate](crate).
#[derive(Debug)]
pub struct Store {
    medium: Box<dyn Medium>,
    /// A file that was made by this store, so that all of it is known to be on the medium. `None` when something has failed since.
    own: Option<Database>,
    node: Vec<u8>,
}

/// What a database lies on.
pub(crate) trait Medium: std::fmt::Debug + Send {
    /// The file, for messages.
    fn path(&self) -> PathBuf;

    /// Open what is there, repaired if it needs to be, without changing it.
    fn peek(&self) -> Result<Database, DatabaseError>;

    /// Put a database that `fill` makes in place of what is there, so that it is the one or the other at any time, and open it.
    fn replace(&self, fill: &mut dyn FnMut(&Database) -> Result<(), redb::Error>) -> Result<Database, redb::Error>;
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
    builder
}

impl Medium for Folder {
    fn path(&self) -> PathBuf {
        self.file()
    }

    fn peek(&self) -> Result<Database, DatabaseError> {
        builder().create_with_backend(Trial::new(self.reader()?)?)
    }

    fn replace(&self, fill: &mut dyn FnMut(&Database) -> Result<(), redb::Error>) -> Result<Database, redb::Error> {
        let path = self.fresh()?;
        let database = builder().create(&path)?;
        fill(&database)?;
        // Dropping it would not say that something of it has not reached the medium.
        database.close()?;
        self.put(&path)?;
        Ok(builder().open(self.file())?)
    }
}

impl Store {
    /// Open the state of a node in a directory, or begin it there. The directory is made if it is not there; only its owner may use it
    /// (mode 0700), and one process at a time. `node` says whose state it is: its public key, say. All that is kept is written to a new file.
    ///
    /// # Errors
    /// [`OpenError`], each with its mend. What is there is as it was.
    pub fn open(dir: impl AsRef<Path>, node: &[u8]) -> Result<Self, OpenError> {
        if node.len() > MAX_NODE {
            return Err(OpenError::NodeTooLong);
        }
        let folder = Folder::take(dir.as_ref())?;
        let path = folder.file();
        if folder.is_there()? {
            return Self::on(Box::new(folder), node);
        }
        let made = folder.replace(&mut |database| begin(database, node, std::iter::empty()));
        let own = Some(made.map_err(|error| OpenError::of(&path, error))?);
        Ok(Self { medium: Box::new(folder), own, node: node.to_owned() })
    }

    /// Look at the state of a node in a directory and change nothing: `each` is given every key and value, in the order of keys. Whether there is
    /// a state. No process may have it open, and none can open it meanwhile.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn look(dir: impl AsRef<Path>, node: &[u8], mut each: impl FnMut(&[u8], &[u8])) -> Result<bool, OpenError> {
        let Some(folder) = Folder::existing(dir.as_ref())? else { return Ok(false) };
        if !folder.is_there()? {
            return Ok(false);
        }
        let path = folder.file();
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let database = folder.peek().map_err(|error| OpenError::of(&path, error))?;
            examine(&database, &path, node)?;
            let mut read = || -> Result<(), redb::Error> {
                for entry in table(&database)?.range::<&[u8]>(..)? {
                    let (key, value) = entry?;
                    each(key.value(), value.value());
                }
                Ok(())
            };
            read().map_err(|error| OpenError::of(&path, error))
        }));
        looked.unwrap_or_else(|_| Err(OpenError::corrupt(&path, "it cannot be read")))?;
        Ok(true)
    }

    /// The state of a node that is on a medium.
    pub(crate) fn on(medium: Box<dyn Medium>, node: &[u8]) -> Result<Self, OpenError> {
        let path = medium.path();
        // A file that somebody has changed with care may make the database panic.
        let peeked = catch_unwind(AssertUnwindSafe(|| {
            let old = medium.peek().map_err(|error| OpenError::of(&path, error))?;
            examine(&old, &path, node)?;
            Ok(old)
        }));
        let old = peeked.unwrap_or_else(|_| Err(OpenError::corrupt(&path, "it cannot be read")))?;
        let mut store = Self { medium, own: None, node: node.to_owned() };
        store.own = Some(store.copy(&old).map_err(|error| OpenError::of(&path, error))?);
        Ok(store)
    }

    /// The file, for messages.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.medium.path()
    }

    /// Everything that is kept, in the order of keys, as it is when this is called. All of it is on the medium.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn entries(&mut self) -> Result<Entries, CommitError> {
        let path = self.path();
        let range = self.database().and_then(|database| Ok(table(database)?.range::<&[u8]>(..)?));
        Ok(Entries { range: range.map_err(|error| CommitError::new(&path, error))?, path })
    }

    /// Bring a batch to the medium, as a whole or not at all. Blocks until it is there. The first one after a failure first writes all
    /// that is kept to a new file.
    ///
    /// # Errors
    /// It is not known to be there: after a restart all of it may be found or nothing. The store can be used again.
    pub fn commit(&mut self, batch: &StoreBatch) -> Result<(), CommitError> {
        let written = self.database().and_then(|database| write(database, batch));
        written.map_err(|error| {
            self.own = None;
            CommitError::new(&self.path(), error)
        })
    }

    /// Something broke off in the middle.
    pub(crate) fn distrust(&mut self) {
        self.own = None;
    }

    /// What is kept, of which nothing rests on what the medium may have lost.
    fn database(&mut self) -> Result<&Database, redb::Error> {
        let database = match self.own.take() {
            Some(database) => database,
            None => self.copy(&self.medium.peek()?)?,
        };
        Ok(self.own.insert(database))
    }

    /// Write all that is kept to a new file, in place of the old one.
    fn copy(&self, old: &Database) -> Result<Database, redb::Error> {
        let old = table(old)?;
        self.medium.replace(&mut |database| {
            let entries = old.range::<&[u8]>(..)?.map(|entry| {
                let (key, value) = entry?;
                Ok((key.value().to_owned(), value.value().to_owned()))
            });
            begin(database, &self.node, entries)
        })
    }
}

fn table(database: &Database) -> Result<ReadOnlyTable<&'static [u8], &'static [u8]>, redb::Error> {
    Ok(database.begin_read()?.open_table(STATE)?)
}

/// What a store holds: see [`Store::entries`].
pub struct Entries {
    range: redb::Range<'static, &'static [u8], &'static [u8]>,
    path: PathBuf,
}

impl Iterator for Entries {
    type Item = Result<(Vec<u8>, Vec<u8>), CommitError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.range.next()?;
        let entry = entry.map(|(key, value)| (key.value().to_owned(), value.value().to_owned()));
        Some(entry.map_err(|error| CommitError::new(&self.path, error)))
    }
}

impl std::fmt::Debug for Entries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Make a new database the state of a node.
pub(crate) fn begin(
    database: &Database,
    node: &[u8],
    entries: impl Iterator<Item = Result<(Vec<u8>, Vec<u8>), redb::Error>>,
) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert("version", &VERSION.to_le_bytes()[..])?;
        meta.insert("node", node)?;
        let mut state = transaction.open_table(STATE)?;
        for entry in entries {
            let (key, value) = entry?;
            state.insert(key.as_slice(), value.as_slice())?;
        }
    }
    Ok(transaction.commit()?)
}

fn write(database: &Database, batch: &StoreBatch) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        let mut state = transaction.open_table(STATE)?;
        for op in batch.ops() {
            match op.value() {
                Some(value) => drop(state.insert(op.key(), value)?),
                None => drop(state.remove(op.key())?),
            }
        }
    }
    Ok(transaction.commit()?)
}

/// Whether a database is the state of a node, down to the last value.
fn examine(database: &Database, path: &Path, node: &[u8]) -> Result<(), OpenError> {
    let broken = |error: redb::Error| OpenError::of(path, error);
    let transaction = database.begin_read().map_err(|error| broken(error.into()))?;
    let meta = transaction.open_table(META).map_err(|error| missing(path, error))?;
    let known = |key| -> Result<Vec<u8>, OpenError> {
        let value = meta.get(key).map_err(|error| broken(error.into()))?;
        let value = value.ok_or_else(|| OpenError::corrupt(path, format!("it does not say its {key}")))?;
        Ok(value.value().to_owned())
    };
    let version =
        <[u8; 4]>::try_from(known("version")?).map_err(|_| OpenError::corrupt(path, "its version is none"))?;
    match u32::from_le_bytes(version) {
        VERSION => {}
        version => return Err(OpenError::Version { path: path.to_owned(), version }),
    }
    if known("node")? != node {
        return Err(OpenError::OtherNode { path: path.to_owned() });
    }
    let state = transaction.open_table(STATE).map_err(|error| missing(path, error))?;
    for entry in state.range::<&[u8]>(..).map_err(|error| broken(error.into()))? {
        let (key, value) = entry.map_err(|error| broken(error.into()))?;
        if key.value().len() > MAX_STORE_KEY || value.value().len() > MAX_STORE_VALUE {
            return Err(OpenError::corrupt(path, "a key or a value in it is longer than may be"));
        }
    }
    Ok(())
}

/// A database without the tables that every state has is somebody else's.
fn missing(path: &Path, error: TableError) -> OpenError {
    match error {
        TableError::Storage(error) => OpenError::of(path, error),
        error => OpenError::corrupt(path, error.to_string()),
    }
}
