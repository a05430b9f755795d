//! What is printed, and how: lines on standard output in one write per batch, words on standard error.

pub(crate) mod escape;
pub(crate) mod json;
mod paint;

use std::io::{self, IsTerminal as _, Write as _};

pub(crate) use paint::{Color, Paint};

use crate::common::{ColorWhen, Common};

/// Bytes after which lines are written out although more are coming.
const ENOUGH: usize = 64 * 1024;

/// How events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Standard output: lines gather here and leave with [`flush`](Self::flush), so that a busy node does not pay for a
/// system call each. Also knows how loud to be.
#[derive(Debug)]
pub(crate) struct Out {
    lines: Vec<u8>,
    broken: Option<io::Error>,
    pub(crate) style: Style,
    /// Events are not shown, only the summary is.
    pub(crate) quiet: bool,
    pub(crate) paint: Paint,
    verbose: u8,
}

impl Out {
    pub(crate) fn new(common: Common, quiet: bool) -> Self {
        let style = if common.json { Style::Json } else { Style::Text };
        let paint = match common.color {
            ColorWhen::Always => Paint::ON,
            ColorWhen::Never => Paint::OFF,
            ColorWhen::Auto => Paint::auto(io::stdout().is_terminal()),
        };
        Self { lines: Vec::new(), broken: None, style, quiet, paint, verbose: common.verbose }
    }

    /// Add a line: whatever `write` writes, which must not hold a line end.
    pub(crate) fn line(&mut self, write: impl FnOnce(&mut Vec<u8>, Paint)) {
        write(&mut self.lines, self.paint);
        self.lines.push(b'\n');
        if self.lines.len() >= ENOUGH {
            self.flush();
        }
    }

    /// Add a JSON object as a line.
    pub(crate) fn json(&mut self, event: &str, write: impl FnOnce(json::Object<'_>) -> json::Object<'_>) {
        self.line(|line, _| write(json::Object::event(line, event)).end());
    }

    /// Write out what has gathered. After a failure there is nobody left to write for: see [`is_broken`](Self::is_broken).
    pub(crate) fn flush(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        if self.broken.is_none() {
            let mut stdout = io::stdout().lock();
            self.broken = stdout.write_all(&self.lines).and_then(|()| stdout.flush()).err();
        }
        self.lines.clear();
    }

    /// Nobody reads standard output any more.
    pub(crate) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Write out the rest. A reader that has left is no error, a full disk is.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.flush();
        match self.broken.take() {
            Some(why) if why.kind() != io::ErrorKind::BrokenPipe => Err(why),
            _ => Ok(()),
        }
    }

    /// Whether things of this level of verbosity are said.
    pub(crate) const fn says(&self, level: u8) -> bool {
        self.verbose >= level
    }

    /// Say something on standard error, if that much is wanted.
    pub(crate) fn say(&self, level: u8, what: impl FnOnce() -> String) {
        if self.says(level) {
            tell(&what());
        }
    }
}

/// A line on standard error; what is in it is made safe for a terminal. Nobody is left to hear of a failure.
pub(crate) fn tell(what: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", escape::safe(what));
}
