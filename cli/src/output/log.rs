//! A file that holds every event, whatever standard output shows.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use sluis_core::Wall;

use super::queue::Patience;
use super::stream::Stream;
use super::{Page, Style};

/// A file that events are added to, as JSON objects.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    stream: Stream,
    pub(super) page: Page,
    /// Lines that files lost which were open before.
    lost_before: u64,
}

impl Log {
    /// Open the file, or make it for its owner alone: what strangers say is in it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // A pipe without a reader would be waited for.
        if path.metadata().is_ok_and(|about| !about.is_file()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let stream = Stream::new("log", Style::Json, options.open(path)?)?;
        Ok(Self { path: path.to_owned(), stream, page: Page::new(Style::Json, None), lost_before: 0 })
    }

    /// Open it anew by its name: the old one may have been moved away. What waits is still written to the old one.
    pub(super) fn reopen(&mut self, time: Wall) -> io::Result<()> {
        let mut new = Self::open(&self.path)?;
        self.flush(time);
        (new.lost_before, new.page.time) = (self.lost(), self.page.time);
        *self = new;
        Ok(())
    }

    pub(super) fn flush(&mut self, time: Wall) {
        if !self.page.lines.is_empty() {
            self.stream.put(&self.page.take(), time);
        }
    }

    pub(super) fn finish(&mut self, time: Wall, patience: Patience) -> io::Result<()> {
        self.stream.finish(&self.page.take(), time, patience)
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost_before + self.stream.lost()
    }

    /// Bytes that are not written yet.
    pub(super) fn queued(&self) -> usize {
        self.stream.queue.held()
    }

    /// Why nothing can be written to it now.
    pub(super) fn trouble(&self) -> Option<String> {
        let queue = &self.stream.queue;
        queue.full().or_else(|| queue.is_gone().then(|| "it failed".to_owned()))
    }
}
