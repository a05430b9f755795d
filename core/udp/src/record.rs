//! Recordings in files (feature `record`).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use sluis_core::record::Tape;

/// A tape that is a file: [`Node::recorded`](sluis_core::node::Node::recorded) takes it, and
/// [`replay`](sluis_core::record::replay) its contents.
///
/// The file holds the node's seed and every datagram, so only its owner may read it (mode 0600 on Unix); see
/// [`record`](sluis_core::record). Every line is written at once, so that a crash loses none. When the disk is full the recording
/// ends there, after its last whole line, and the node goes on; [`end`](Self::end) tells.
///
/// Its first line, `{"in":"file","ends":true}`, says that it will have a last one, `{"in":"end","lines":N}`, which is written when the
/// tape is dropped, unless it had to end before: a file without it was cut, wherever that was, and one with another number of lines
/// between the two lost some.
#[derive(Debug)]
pub struct FileTape {
    file: File,
    /// Bytes of whole lines, and how many there may be.
    len: u64,
    max: u64,
    /// Whole lines behind the first.
    lines: u64,
    line: Vec<u8>,
    end: TapeEnd,
}

/// The line that says that the file will have an end.
const ENDS: &str = r#"{"in":"file","ends":true}"#;

/// That end, which counts the lines between the two.
fn end(lines: u64) -> String {
    format!("{{\"in\":\"end\",\"lines\":{lines}}}\n")
}

/// Whether a [`FileTape`] had to end, and why. Clones know the same.
#[derive(Clone, Debug, Default)]
pub struct TapeEnd(Arc<OnceLock<io::Error>>);

impl TapeEnd {
    /// Why nothing is recorded any more, if that is so.
    #[must_use]
    pub fn why(&self) -> Option<&io::Error> {
        self.0.get()
    }
}

impl FileTape {
    /// Make a new file. One that is there already is not overwritten.
    ///
    /// # Errors
    /// The file is there, or cannot be made.
    pub fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self {
            file: options.open(path)?,
            len: 0,
            max: u64::MAX,
            lines: 0,
            line: Vec::new(),
            end: TapeEnd::default(),
        })
    }

    /// Let the file grow to so many bytes at most: the recording ends before the line that would take it beyond, as on a full disk,
    /// with [`io::ErrorKind::QuotaExceeded`].
    #[must_use]
    pub fn max_bytes(mut self, max: u64) -> Self {
        self.max = max;
        self
    }

    /// Tells, once the tape is with its node, whether it had to end.
    #[must_use]
    pub fn end(&self) -> TapeEnd {
        self.end.clone()
    }
}

impl Tape for FileTape {
    fn line(&mut self, line: &str) {
        if self.len == 0 && !self.put(ENDS) {
            return;
        }
        if self.put(line) {
            self.lines += 1;
        }
    }
}

impl FileTape {
    /// Write a line, if there will still be room for the end; whether it was written.
    fn put(&mut self, line: &str) -> bool {
        if self.end.why().is_some() {
            return false;
        }
        self.line.clear();
        self.line.extend_from_slice(line.as_bytes());
        self.line.push(b'\n');
        if self.len + (self.line.len() + end(self.lines + 1).len()) as u64 > self.max {
            let _ = self.end.0.set(io::ErrorKind::QuotaExceeded.into());
            return false;
        }
        match self.file.write_all(&self.line) {
            Ok(()) => self.len += self.line.len() as u64,
            Err(why) => {
                // Half a line would not replay.
                let _ = self.file.set_len(self.len);
                let _ = self.end.0.set(why);
                return false;
            }
        }
        true
    }
}

impl Drop for FileTape {
    fn drop(&mut self) {
        // A node that panicked did not come to an end; and what was not begun has none.
        if self.len > 0 && self.end.why().is_none() && !std::thread::panicking() {
            let _ = self.file.write_all(end(self.lines).as_bytes()).inspect_err(|_| drop(self.file.set_len(self.len)));
        }
    }
}
