//! The file of `listen --capture`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sluis_tokio::{FileTape, TapeEnd};

use crate::fail::Fail;

/// A recording that is being made. Its file is removed again when the node never listened: the next try needs the name.
#[derive(Debug)]
pub(crate) struct Capture {
    path: PathBuf,
    end: TapeEnd,
    max_bytes: Option<u64>,
    kept: bool,
    told: bool,
}

impl Capture {
    /// Make the file, which grows to so many bytes at most.
    pub(crate) fn begin(path: PathBuf, max_bytes: Option<u64>) -> Result<(Self, FileTape), Fail> {
        let mut tape = FileTape::create(&path).map_err(|why| cannot_make("record in", &path, &why))?;
        if let Some(max_bytes) = max_bytes {
            tape = tape.max_bytes(max_bytes);
        }
        Ok((Self { path, end: tape.end(), max_bytes, kept: false, told: false }, tape))
    }

    /// From now on it is worth something.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }

    /// Why it is not complete, if so.
    pub(crate) fn failed(&self) -> Option<String> {
        let why = self.end.why()?;
        if let Some(max_bytes) = self.max_bytes.filter(|_| why.kind() == io::ErrorKind::QuotaExceeded) {
            let file = self.path.display();
            return Some(format!("{file} has grown to --max-bytes {max_bytes}, what follows is not recorded in it"));
        }
        Some(format!("cannot go on recording in {} ({why}), make room and start again", self.path.display()))
    }

    /// The same, once.
    pub(crate) fn fails(&mut self) -> Option<String> {
        let why = if self.told { None } else { self.failed() };
        self.told |= why.is_some();
        why
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What to say about a new file that cannot be made: the command line is wrong where it names what cannot be.
pub(crate) fn cannot_make(what: &str, path: &Path, why: &io::Error) -> Fail {
    let path = path.display();
    match why.kind() {
        io::ErrorKind::AlreadyExists => Fail::usage(format!("{path} is there already, name a new file or remove it")),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Fail::usage(format!("cannot {what} {path}: there is no such folder, make it or name another"))
        }
        _ => Fail::runtime(format!("cannot {what} {path} ({why}), name a file in another place")),
    }
}
