//! Files of the operating system.

use std::fs::{self, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use crate::disk::{File, Folder, How};
use crate::sys;

/// How often, and how long apart, a lock is asked for. The reference holds one for microseconds.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A folder of the operating system.
#[derive(Clone, Debug)]
pub struct OsFolder {
    path: PathBuf,
}

impl OsFolder {
    /// The folder at a path; an empty one is the working folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self { path: if path.as_os_str().is_empty() { PathBuf::from(".") } else { path } }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// A file of the operating system.
#[derive(Debug)]
pub struct OsFile(fs::File);

impl File for OsFile {
    fn len(&mut self) -> io::Result<u64> {
        // Whoever removes a journal's file under it would have every later line acknowledged into nothing.
        if sys::names(&self.0)? == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "removed"));
        }
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&mut self, at: u64, out: &mut [u8]) -> io::Result<usize> {
        sys::read_at(&self.0, at, out)
    }

    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<usize> {
        sys::write_at(&self.0, at, bytes)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// A pipe, a socket or a device has no end that could be appended to, nor one that could be read to.
fn regular(about: &fs::Metadata) -> io::Result<()> {
    if about.is_file() { Ok(()) } else { Err(io::Error::other("it is no regular file")) }
}

impl Folder for OsFolder {
    type File = OsFile;

    fn display(&self) -> String {
        self.path.display().to_string()
    }

    fn names(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is no text is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn open(&mut self, name: &str, how: How) -> io::Result<Option<OsFile>> {
        let path = self.at(name);
        // What is no file is not even opened, since that alone may have an effect; nor is anything waited for, as a pipe that is
        // opened for reading and writing is at once.
        if let Ok(about) = fs::metadata(&path) {
            regular(&about)?;
        }
        let mut options = OpenOptions::new();
        let is_there = matches!(how, How::Existing | How::Read);
        options.read(true).write(how != How::Read).create(!is_there).truncate(how == How::Empty);
        // Whatever the umask says: nobody else writes to it.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o644);
        match options.open(&path) {
            // By now the name may stand for something else.
            Ok(file) => regular(&file.metadata()?).map(|()| Some(OsFile(file))),
            Err(error) if is_there && error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn lock(&mut self, name: &str, file: &mut OsFile) -> io::Result<bool> {
        for attempt in 0..LOCK_TRIES {
            match file.0.try_lock() {
                Ok(()) => return Ok(sys::identity_at(&self.at(name))? == Some(sys::identity(&file.0)?)),
                Err(TryLockError::WouldBlock) if attempt + 1 < LOCK_TRIES => thread::sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(false)
    }

    fn same(&mut self, a: &str, b: &str) -> io::Result<bool> {
        let first = sys::identity_at(&self.at(a))?;
        Ok(first.is_some() && first == sys::identity_at(&self.at(b))?)
    }

    fn link(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::hard_link(self.at(from), self.at(to))
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.at(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        sys::sync_folder(&self.path)
    }
}
