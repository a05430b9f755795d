//! How far something is, for a terminal that has waited for a second.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::output::escape;

/// After this a terminal is told.
const SECOND: Duration = Duration::from_secs(1);

/// A file that is read, and how far that is.
pub(super) struct Progress {
    name: String,
    done: u64,
    size: u64,
    next: Option<Instant>,
    said: bool,
}

impl Progress {
    pub(super) fn new(path: &Path, file: &File) -> Self {
        let size = file.metadata().map_or(0, |stat| stat.len());
        let next = io::stderr().is_terminal().then(|| Instant::now() + SECOND);
        Self { name: path.display().to_string(), done: 0, size, next, said: false }
    }

    pub(super) fn more(&mut self, bytes: usize) {
        self.done += bytes as u64;
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now < next {
            return;
        }
        self.next = Some(now + SECOND / 5);
        self.said = true;
        let percent = (self.done * 100).checked_div(self.size).unwrap_or(0).min(100);
        say(&format!("{}: {percent} % of {} MB", self.name, self.size / 1_000_000));
    }

    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.said) {
            clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn say(what: &str) {
    // Nobody is left to hear of a failure.
    let _ = write!(io::stderr().lock(), "\r\x1b[K{}", escape::safe(what));
}

fn clear() {
    let _ = write!(io::stderr().lock(), "\r\x1b[K");
}

/// Says what is waited for, once that takes more than a second.
pub(super) struct Waiting(Option<(Sender<()>, JoinHandle<()>)>);

impl Waiting {
    pub(super) fn new(what: String) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let (done, waits) = channel::<()>();
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
            // It ends with the sender.
            if waits.recv_timeout(SECOND) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                say(&what);
                let _ = waits.recv();
                clear();
            }
        });
        Self(thread.ok().map(|thread| (done, thread)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.0.take() {
            drop(done);
            let _ = thread.join();
        }
    }
}
