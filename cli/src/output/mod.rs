//! What is printed, and how: lines on standard output in one write per batch, words on standard error.
//!
//! A command that must not stand still for a slow reader prints through a bounded [queue](queue::Queue) for each stream; what does
//! not fit is counted and told. All others write at once and wait, as commands in a pipe do.

pub(crate) mod escape;
pub(crate) mod json;
mod paint;
mod queue;

use std::io::{self, IsTerminal as _, Write as _};
use std::mem;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use sluis_core::Wall;
use sluis_core::time::iso;

pub(crate) use paint::{Color, Paint};
pub(crate) use queue::Patience;
use queue::Queue;

use crate::common::{ColorWhen, Common};

/// Bytes after which lines are written out although more are coming.
const ENOUGH: usize = 64 * 1024;
/// Bytes of lines, and of words on standard error, that may wait for a reader who does not keep up.
const LINES: usize = 8 << 20;
const WORDS: usize = 64 * 1024;
/// How long words on standard error are waited for at the end, while their reader takes nothing.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Words on standard error, where nobody may wait for their reader.
static STDERR: OnceLock<Words> = OnceLock::new();

/// Standard error behind a queue.
#[derive(Debug)]
struct Words {
    queue: Queue,
    /// Lines that did not fit, and were not told of yet.
    lost: AtomicU64,
}

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
    way: Way,
    pub(crate) style: Style,
    /// Events are not shown, only the summary is.
    pub(crate) quiet: bool,
    pub(crate) paint: Paint,
    verbose: u8,
    /// The time that every JSON object bears, where it bears one.
    time: Option<Wall>,
}

/// How lines come to standard output.
#[derive(Debug)]
enum Way {
    /// Written at once. A reader that has left is no error: `| head` has seen enough.
    Direct { broken: Option<io::Error> },
    /// Through a queue. A reader that has left is an error: nobody would see what happens.
    Queued { queue: Queue, lost: Lost },
}

/// Lines that there was no room for.
#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    total: u64,
    told: u64,
}

impl Out {
    /// Standard output of a command that waits for its reader.
    pub(crate) fn new(common: Common, quiet: bool) -> Self {
        Self::with(common, quiet, Way::Direct { broken: None })
    }

    /// Standard output, and from now on standard error, of a command that waits for no reader. Its JSON objects bear their time.
    pub(crate) fn queued(common: Common, quiet: bool) -> Self {
        if let Ok(queue) = Queue::new("stderr", WORDS, io::stderr()) {
            let _ = STDERR.set(Words { queue, lost: AtomicU64::new(0) });
        }
        let way = match Queue::new("stdout", LINES, io::stdout()) {
            Ok(queue) => Way::Queued { queue, lost: Lost::default() },
            Err(broken) => Way::Direct { broken: Some(broken) },
        };
        Self { time: Some(Wall::default()), ..Self::with(common, quiet, way) }
    }

    fn with(common: Common, quiet: bool, way: Way) -> Self {
        let style = if common.json { Style::Json } else { Style::Text };
        let paint = match common.color {
            ColorWhen::Always => Paint::ON,
            ColorWhen::Never => Paint::OFF,
            ColorWhen::Auto => Paint::auto(io::stdout().is_terminal()),
        };
        Self { lines: Vec::new(), way, style, quiet, paint, verbose: common.verbose, time: None }
    }

    /// What happens from now on happens at this time. Wake the task when there is something about its readers to be known.
    pub(crate) fn poll(&mut self, cx: &Context<'_>, now: Wall) {
        if let Way::Queued { queue, .. } = &self.way {
            queue.register(cx);
            self.time = Some(now);
        }
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
        let time = self.time;
        self.line(|line, _| {
            let object = write(json::Object::event(line, event));
            match time {
                Some(time) => object.str("t", iso::format(time, &mut [0; iso::FORMAT_LEN])).end(),
                None => object.end(),
            }
        });
    }

    /// Hand over what has gathered. After a failure there is nobody left to write for: see [`is_broken`](Self::is_broken).
    pub(crate) fn flush(&mut self) {
        match &mut self.way {
            _ if self.lines.is_empty() => return,
            Way::Direct { broken: Some(_) } => {}
            Way::Direct { broken } => {
                let mut stdout = io::stdout().lock();
                *broken = stdout.write_all(&self.lines).and_then(|()| stdout.flush()).err();
            }
            Way::Queued { queue, lost } => {
                // Once lines were lost, none goes out until half of the room is free and it was said how many are missing.
                if lost.total == lost.told || !queue.is_behind() {
                    tell_lost(queue, lost, self.style, self.time);
                    lost.total += queue.put(&self.lines);
                } else {
                    lost.total += self.lines.iter().filter(|byte| **byte == b'\n').count() as u64;
                }
            }
        }
        self.lines.clear();
    }

    /// Lines that nobody will see, because there was no room for them.
    pub(crate) const fn lost(&self) -> u64 {
        match &self.way {
            Way::Direct { .. } => 0,
            Way::Queued { lost, .. } => lost.total,
        }
    }

    /// Whether lines wait for their reader in such numbers that the next may be lost.
    pub(crate) fn is_behind(&self) -> bool {
        matches!(&self.way, Way::Queued { queue, .. } if queue.is_behind())
    }

    /// Nobody reads standard output any more.
    pub(crate) fn is_broken(&self) -> bool {
        match &self.way {
            Way::Direct { broken } => broken.is_some(),
            Way::Queued { queue, .. } => queue.is_gone(),
        }
    }

    /// Why standard output takes nothing for now, where it may again.
    pub(crate) fn full(&self) -> Option<String> {
        match &self.way {
            Way::Direct { .. } => None,
            Way::Queued { queue, .. } => queue.full(),
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
    /// It was not written. Behind a queue it is also one that the reader has left.
    pub(crate) fn finish_within(&mut self, patience: Patience) -> io::Result<()> {
        if let Way::Queued { queue, lost } = &mut self.way {
            tell_lost(queue, lost, self.style, self.time);
            queue.put_always(&mem::take(&mut self.lines));
            return queue.finish(patience);
        }
        self.flush();
        match &mut self.way {
            Way::Direct { broken } => match broken.take() {
                Some(why) if why.kind() != io::ErrorKind::BrokenPipe => Err(why),
                _ => Ok(()),
            },
            Way::Queued { .. } => Ok(()),
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

/// Say how many lines are missing here, if any are.
fn tell_lost(queue: &Queue, lost: &mut Lost, style: Style, time: Option<Wall>) {
    let count = lost.total - lost.told;
    if count == 0 {
        return;
    }
    lost.told = lost.total;
    let mut line = Vec::new();
    match style {
        Style::Json => {
            let object = json::Object::event(&mut line, "lost_output").raw("count", count);
            let time = time.unwrap_or_default();
            object.str("t", iso::format(time, &mut [0; iso::FORMAT_LEN])).end();
        }
        Style::Text => {
            let _ = write!(line, "{count} lines are missing here: they came faster than they were read");
        }
    }
    line.push(b'\n');
    queue.put_always(&line);
}

/// A line on standard error; what is in it is made safe for a terminal. Nobody is left to hear of a failure.
pub(crate) fn tell(what: &str) {
    let line = format!("{}\n", escape::safe(what));
    let Some(words) = STDERR.get() else {
        let _ = io::stderr().lock().write_all(line.as_bytes());
        return;
    };
    // As on standard output: no more until half of the room is free, and then first how many are missing.
    let lost = if words.lost.load(Ordering::Relaxed) > 0 && words.queue.is_behind() {
        1
    } else {
        words.tell_lost();
        words.queue.put(line.as_bytes())
    };
    words.lost.fetch_add(lost, Ordering::Relaxed);
}

impl Words {
    /// Say how many lines are missing here, if any are.
    fn tell_lost(&self) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let line = format!("sluis: {lost} lines are missing here: they came faster than they were read\n");
            self.queue.put_always(line.as_bytes());
        }
    }
}

/// Wait a moment for words on standard error that nobody has read yet.
pub(crate) fn settle() {
    if let Some(words) = STDERR.get() {
        words.tell_lost();
        // Nobody is left to hear that nobody heard.
        let _ = words.queue.finish(Patience::WhileItMoves(LAST_WORDS));
    }
}
