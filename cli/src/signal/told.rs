//! What is done once a line is written.

use std::collections::VecDeque;
use std::time::Duration;

use sluis_core::Instant;

use crate::output::{Out, Patience, tell};

/// At the end a reader gets so long to take the last lines before what hangs on them is left undone, where a signal asked for the end.
const LINGER: Duration = Duration::from_millis(50);
/// And then so long to take the summary.
const READER: Duration = Duration::from_millis(200);

/// What waits until whoever reads standard output can have a line: the acknowledgement of a message says that he has.
#[derive(Debug)]
pub(super) struct Told<T> {
    waiting: VecDeque<(u64, T)>,
    /// Until when is lingered.
    until: Option<Instant>,
    said_full: bool,
}

impl<T> Default for Told<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), until: None, said_full: false }
    }
}

impl<T> Told<T> {
    /// To be done once all is written that there is so far.
    pub(super) fn put(&mut self, out: &mut Out, what: T) {
        out.flush();
        self.waiting.push_back((out.mark(), what));
    }

    /// The next thing to be done. The task is woken when there is one again.
    pub(super) fn next(&mut self, out: &Out) -> Option<T> {
        self.waiting.pop_front_if(|(mark, _)| out.is_written(*mark)).map(|(_, what)| what)
    }

    /// Say once that standard output has no room, and again only after it had some.
    pub(super) fn tell_full(&mut self, out: &Out) {
        let full = out.full();
        if let Some(why) = full.as_ref().filter(|_| !self.said_full) {
            tell(&format!(
                "Cannot write to standard output ({why}), make room: what is not written is not acknowledged."
            ));
        }
        self.said_full = full.is_some();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// It is to end: whether something still waits for a reader who may be about to take it.
    pub(super) fn lingers(&mut self, now: Instant, out: &Out) -> bool {
        !self.is_empty() && !out.is_broken() && now < *self.until.get_or_insert(now + LINGER)
    }

    /// When lingering ends.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.until
    }
}

/// How long the end waits for the reader of the last lines.
pub(super) const fn patience(is_stopped: bool) -> Patience {
    if is_stopped { Patience::AtMost(READER) } else { Patience::Forever }
}
