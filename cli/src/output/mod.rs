//! What is printed, and how: lines on standard output in one write per batch, words on standard error.
//!
//! A command that must not stand still for a slow reader prints through a bounded [queue](queue::Queue) for each stream; what does
//! not fit is counted and told. All others write at once and wait, as commands in a pipe do.

pub(crate) mod escape;
mod flow;
pub(crate) mod json;
mod log;
mod page;
mod paint;
mod payload;
mod queue;
mod stream;
mod words;

use std::io::{self, IsTerminal as _, Write as _};
use std::mem;
use std::path::Path;
use std::task::Context;

use sluis_core::Wall;

use crate::common::{ColorWhen, Common};
pub(crate) use flow::Flow;
use json::Object;
use log::Log;
pub(crate) use page::Page;
pub(crate) use paint::{Color, Paint};
pub(crate) use payload::{put_readable, put_value};
pub(crate) use queue::Patience;
use stream::Stream;
pub(crate) use words::{settle, tell};

/// Bytes after which lines are written out although more are coming.
const ENOUGH: usize = 64 * 1024;
/// Columns of lines for people, where no terminal says how many it has.
const COLUMNS: usize = 80;

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
    page: Page,
    way: Way,
    /// Where every event is written, too.
    log: Option<Log>,
    pub(crate) style: Style,
    /// Events are not shown, only the summary is.
    pub(crate) quiet: bool,
    verbose: u8,
    /// Objects bear the time at which they are made, and not one that is told.
    timed: bool,
    /// What is done for good, whether or not its lines can be shown.
    pub(crate) done: Option<String>,
}

/// How lines come to standard output.
#[derive(Debug)]
enum Way {
    /// Written at once. A reader that has left is no error: `| head` has seen enough.
    Direct { broken: Option<io::Error> },
    /// Never waited for. A reader that has left is an error: nobody would see what happens.
    Queued(Stream),
}

impl Out {
    /// Standard output of a command that waits for its reader.
    pub(crate) fn new(common: Common, quiet: bool) -> Self {
        Self::with(common, quiet, Way::Direct { broken: None })
    }

    /// Standard output, and from now on standard error, of a command that waits for no reader. Its JSON objects bear their time.
    pub(crate) fn queued(common: Common, quiet: bool) -> Self {
        words::never_wait();
        let way = match Stream::new("stdout", style(common), io::stdout()) {
            Ok(stream) => Way::Queued(stream),
            Err(broken) => Way::Direct { broken: Some(broken) },
        };
        let mut out = Self::with(common, quiet, way);
        out.page.time = Some(Wall::default());
        out
    }

    /// Its JSON objects bear the time at which they are made.
    pub(crate) const fn timed(mut self) -> Self {
        self.timed = true;
        self
    }

    /// Its lines for people begin with the time, too.
    pub(crate) fn stamped(mut self) -> Self {
        self.page.stamps = true;
        self
    }

    fn with(common: Common, quiet: bool, way: Way) -> Self {
        let paint = match common.color {
            ColorWhen::Always => Paint::ON,
            ColorWhen::Never => Paint::OFF,
            ColorWhen::Auto => Paint::auto(io::stdout().is_terminal()),
        };
        let style = style(common);
        let columns = columns().unwrap_or(COLUMNS);
        let page = Page { paint, columns, ..Page::new(style, None) };
        Self { page, way, log: None, style, quiet, verbose: common.verbose, timed: false, done: None }
    }

    /// What happens from now on happens at this time. Wake the task when there is something about its readers to be known.
    pub(crate) fn poll(&mut self, cx: &Context<'_>, now: Wall) {
        if let Way::Queued(stream) = &self.way {
            stream.queue.register(cx);
        }
        self.at(now);
    }

    /// What happens from now on happens at this time, where lines bear one.
    pub(crate) fn at(&mut self, now: Wall) {
        self.page.time = self.page.time.map(|_| now);
        if let Some(log) = &mut self.log {
            log.page.time = Some(now);
        }
    }

    /// Add every event to this file, too.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn log(&mut self, file: &Path) -> io::Result<()> {
        self.log = Some(Log::open(file)?);
        Ok(())
    }

    /// Open that file anew by its name, if there is one.
    ///
    /// # Errors
    /// It cannot be opened; what follows goes where it went.
    pub(crate) fn reopen_log(&mut self) -> io::Result<()> {
        let time = self.page.time.unwrap_or_default();
        self.log.as_mut().map_or(Ok(()), |log| log.reopen(time))
    }

    /// Something happened: as a JSON object, or in pieces for people. Not with `--quiet`.
    pub(crate) fn event(
        &mut self,
        name: &str,
        json: impl FnOnce(Object<'_>) -> Object<'_>,
        text: impl FnOnce(&mut Flow<'_>),
    ) {
        match &mut self.log {
            _ if !self.quiet => self.summary(name, json, text),
            Some(log) => log.page.json(name, json),
            None => {}
        }
    }

    /// The same, also with `--quiet`.
    pub(crate) fn summary(
        &mut self,
        name: &str,
        json: impl FnOnce(Object<'_>) -> Object<'_>,
        text: impl FnOnce(&mut Flow<'_>),
    ) {
        self.look_at_the_clock();
        match &mut self.log {
            None => self.page.show(name, json, text),
            Some(log) if self.style == Style::Json => {
                let start = self.page.lines.len();
                self.page.json(name, json);
                log.page.lines.extend_from_slice(&self.page.lines[start..]);
            }
            Some(log) => {
                log.page.json(name, json);
                self.page.flow("", text);
            }
        }
        self.flush_enough();
    }

    /// Lines that only people are shown, behind `head` on each of them.
    pub(crate) fn flow(&mut self, head: &str, text: impl FnOnce(&mut Flow<'_>)) {
        self.page.flow(head, text);
        self.flush_enough();
    }

    /// Add a line: whatever `write` writes, as it is.
    pub(crate) fn line(&mut self, write: impl FnOnce(&mut Vec<u8>, Paint)) {
        write(&mut self.page.lines, self.page.paint);
        self.page.lines.push(b'\n');
        self.flush_enough();
    }

    /// Add a JSON object as a line.
    pub(crate) fn json(&mut self, event: &str, write: impl FnOnce(Object<'_>) -> Object<'_>) {
        self.look_at_the_clock();
        self.page.json(event, write);
        self.flush_enough();
    }

    /// Lines are as long as the terminal is wide by now: it may have been resized.
    pub(crate) fn fit(&mut self) {
        self.page.columns = columns().unwrap_or(COLUMNS);
    }

    /// How long a line may be.
    pub(crate) const fn columns(&self) -> usize {
        self.page.columns
    }

    /// An empty page that looks like this.
    pub(crate) fn page(&self) -> Page {
        Page { lines: Vec::new(), ..self.page.clone() }
    }

    /// Add the lines of a page.
    pub(crate) fn add(&mut self, mut page: Page) {
        self.page.lines.append(&mut page.lines);
        self.flush_enough();
    }

    fn look_at_the_clock(&mut self) {
        if self.timed {
            self.page.time = Some(crate::run::wall());
        }
    }

    fn flush_enough(&mut self) {
        if self.page.lines.len() >= ENOUGH {
            self.flush();
        }
    }

    /// Hand over what has gathered. After a failure there is nobody left to write for: see [`is_broken`](Self::is_broken).
    pub(crate) fn flush(&mut self) {
        let time = self.page.time.unwrap_or_default();
        if let Some(log) = &mut self.log {
            log.flush(time);
        }
        match &mut self.way {
            _ if self.page.lines.is_empty() => {}
            Way::Direct { broken: Some(_) } => {}
            Way::Direct { broken } => {
                let mut stdout = io::stdout().lock();
                *broken = stdout.write_all(&self.page.lines).and_then(|()| stdout.flush()).err();
            }
            Way::Queued(stream) => stream.put(&self.page.lines, time),
        }
        self.page.lines.clear();
    }

    /// Lines that nobody will see, because there was no room for them.
    pub(crate) fn lost(&self) -> u64 {
        let shown = match &self.way {
            Way::Direct { .. } => 0,
            Way::Queued(stream) => stream.lost(),
        };
        shown + self.log.as_ref().map_or(0, Log::lost)
    }

    /// Bytes of lines that wait for their reader, or for the disk.
    pub(crate) fn unread(&self) -> usize {
        let shown = match &self.way {
            Way::Direct { .. } => 0,
            Way::Queued(stream) => stream.queue.held(),
        };
        shown + self.log.as_ref().map_or(0, Log::queued)
    }

    /// Why the log takes nothing for now.
    pub(crate) fn log_trouble(&self) -> Option<String> {
        self.log.as_ref()?.trouble()
    }

    /// Write out the rest of the log, and wait for that.
    ///
    /// # Errors
    /// It was not written.
    pub(crate) fn finish_log(&mut self, patience: Patience) -> io::Result<()> {
        let time = self.page.time.unwrap_or_default();
        self.log.as_mut().map_or(Ok(()), |log| log.finish(time, patience))
    }

    /// Behind all lines that were [handed over](Self::flush) so far: see [`is_written`](Self::is_written).
    pub(crate) fn mark(&self) -> u64 {
        match &self.way {
            Way::Direct { .. } => 0,
            Way::Queued(stream) => stream.queue.mark(),
        }
    }

    /// Whether all lines before a mark are where their reader can have them. The task is woken when that comes to be.
    pub(crate) fn is_written(&self, mark: u64) -> bool {
        match &self.way {
            Way::Direct { broken } => broken.is_none(),
            Way::Queued(stream) => stream.queue.is_written(mark),
        }
    }

    /// Whether lines wait for their reader in such numbers that the next may be lost.
    pub(crate) fn is_behind(&self) -> bool {
        matches!(&self.way, Way::Queued(stream) if stream.queue.is_behind())
    }

    /// Nobody reads standard output any more.
    pub(crate) fn is_broken(&self) -> bool {
        match &self.way {
            Way::Direct { broken } => broken.is_some(),
            Way::Queued(stream) => stream.queue.is_gone(),
        }
    }

    /// Why standard output takes nothing for now, where it may again.
    pub(crate) fn full(&self) -> Option<String> {
        match &self.way {
            Way::Direct { .. } => None,
            Way::Queued(stream) => stream.queue.full(),
        }
    }

    /// Write out the rest, however long that takes.
    ///
    /// # Errors
    /// As [`finish_within`](Self::finish_within).
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.finish_within(Patience::Forever)
    }

    /// Write out the rest, room or not, and wait for it.
    ///
    /// # Errors
    /// It was not written. Of a command that waits for no reader also: the reader has left.
    pub(crate) fn finish_within(&mut self, patience: Patience) -> io::Result<()> {
        if let Way::Queued(stream) = &mut self.way {
            return stream.finish(&mem::take(&mut self.page.lines), self.page.time.unwrap_or_default(), patience);
        }
        self.flush();
        match &mut self.way {
            Way::Direct { broken } => match broken.take() {
                Some(why) if why.kind() != io::ErrorKind::BrokenPipe => Err(why),
                _ => Ok(()),
            },
            Way::Queued(_) => Ok(()),
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

const fn style(common: Common) -> Style {
    if common.json { Style::Json } else { Style::Text }
}

/// Columns of the terminal behind standard output, or those that somebody wants (`COLUMNS`); none where nobody cuts lines.
pub(crate) fn columns() -> Option<usize> {
    let wanted = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
    #[cfg(unix)]
    let terminal = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    #[cfg(not(unix))]
    let terminal = || None;
    wanted.or_else(terminal).filter(|columns| *columns > 0)
}
