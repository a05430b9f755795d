//! The directory: who may use it, and that one process does.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::OpenError;

/// The state.
const FILE: &str = "state.redb";
/// The state while it is made, or made anew.
const NEW: &str = "state.redb.new";
/// Locked as long as the store is open.
const LOCK: &str = "lock";

/// Permissions of the directory, and of the files in it.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A directory that nobody else uses.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    /// None where there was nothing to lock, and nothing is to be made.
    _lock: Option<File>,
}

impl Folder {
    /// Take the directory, which is made if it is not there.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        make(dir).map_err(OpenError::io(dir, "making the directory"))?;
        let about = fs::metadata(dir).map_err(OpenError::io(dir, "looking at it"))?;
        Self::lock(dir, &about, true)
    }

    /// Take a directory as it is, and make nothing. `None`: it is not there.
    pub(crate) fn existing(dir: &Path) -> Result<Option<Self>, OpenError> {
        match fs::metadata(dir) {
            Ok(about) => Self::lock(dir, &about, false).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OpenError::io(dir, "looking at it")(error)),
        }
    }

    fn lock(dir: &Path, about: &fs::Metadata, makes: bool) -> Result<Self, OpenError> {
        if !about.is_dir() {
            return Err(OpenError::Kind { path: dir.to_owned(), wanted: "directory" });
        }
        refuse_open(dir, about, DIR_MODE)?;
        let path = dir.join(LOCK);
        if regular(&path)?.is_none() && !makes {
            return Ok(Self { dir: dir.to_owned(), _lock: None });
        }
        let lock = options().create(makes).truncate(false).open(&path).map_err(OpenError::io(&path, "opening"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: Some(lock) }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(OpenError::Io { path, doing: "locking", source }),
        }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// An empty file where the state is made. What a process that was killed left there goes.
    pub(crate) fn fresh(&self) -> io::Result<PathBuf> {
        let path = self.dir.join(NEW);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        options().create_new(true).open(&path)?;
        Ok(path)
    }

    /// Have what was made be the state: it is the old one or the new one at any time.
    pub(crate) fn put(&self, fresh: &Path) -> io::Result<()> {
        File::open(fresh)?.sync_all()?;
        fs::rename(fresh, self.file())?;
        sync(&self.dir)
    }

    /// Whether there is a state, which is what it should be.
    pub(crate) fn is_there(&self) -> Result<bool, OpenError> {
        let path = self.file();
        let Some(about) = regular(&path)? else { return Ok(false) };
        refuse_open(&path, &about, FILE_MODE).map(|()| true)
    }

    /// The state, for reading.
    pub(crate) fn reader(&self) -> io::Result<File> {
        File::open(self.file())
    }
}

/// What is known of a regular file, if there is one; a link is none.
fn regular(path: &Path) -> Result<Option<fs::Metadata>, OpenError> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_file() => Ok(Some(about)),
        Ok(_) => Err(OpenError::Kind { path: path.to_owned(), wanted: "regular file" }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::io(path, "looking at it")(error)),
    }
}

#[cfg(unix)]
fn make(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if dir.exists() {
        return Ok(());
    }
    fs::DirBuilder::new().mode(DIR_MODE).recursive(true).create(dir)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync(parent.unwrap_or(Path::new(".")))
}

#[cfg(not(unix))]
fn make(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)
}

#[cfg(unix)]
fn options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(FILE_MODE);
    options
}

#[cfg(not(unix))]
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

/// Nobody but the owner may do anything with it.
#[cfg(unix)]
fn refuse_open(path: &Path, about: &fs::Metadata, wanted: u32) -> Result<(), OpenError> {
    use std::os::unix::fs::MetadataExt as _;
    let mode = about.mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(OpenError::Open { path: path.to_owned(), mode, wanted }) }
}

/// Other systems have no such permissions.
#[cfg(not(unix))]
fn refuse_open(_: &Path, _: &fs::Metadata, _: u32) -> Result<(), OpenError> {
    let _ = (DIR_MODE, FILE_MODE);
    Ok(())
}

/// Wait until all that was done to the names in a directory is on the medium.
#[cfg(unix)]
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Other systems see to it themselves, or not at all.
#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}
