//! Recordings in files (feature `record`).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use sluis_core::record::Tape;

/// A tape that is a file: [`Node::recorded`](sluis_core::node::Node::recorded) takes it, and
/// [`replay`](sluis_core::record::replay) its contents.
///
/// The file holds the node's seed and every datagram, so only its owner may read it (mode 0600 on Unix); see
/// [`record`](sluis_core::record). Every line is written at once, so that a crash loses none. When the disk is full the recording
/// ends there, and the node goes on.
#[derive(Debug)]
pub struct FileTape {
    file: Option<File>,
    line: Vec<u8>,
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
        Ok(Self { file: Some(options.open(path)?), line: Vec::new() })
    }
}

impl Tape for FileTape {
    fn line(&mut self, line: &str) {
        self.line.clear();
        self.line.extend_from_slice(line.as_bytes());
        self.line.push(b'\n');
        if let Some(file) = &mut self.file
            && file.write_all(&self.line).is_err()
        {
            self.file = None;
        }
    }
}
