//! Words on standard error.

use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::escape;
use super::queue::{Patience, Queue};

/// Bytes of words that may wait for a reader who does not keep up.
const ROOM: usize = 64 * 1024;
/// How long words are waited for at the end, while their reader takes nothing.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Standard error behind a queue, where nobody may wait for its reader.
static QUEUED: OnceLock<Words> = OnceLock::new();

#[derive(Debug)]
struct Words {
    queue: Queue,
    /// Lines that did not fit, and were not told of yet.
    lost: AtomicU64,
}

/// From now on nobody waits for whoever reads standard error.
pub(super) fn never_wait() {
    // Without a thread, words are written as before.
    if let Ok(queue) = Queue::new("stderr", ROOM, io::stderr()) {
        let _ = QUEUED.set(Words { queue, lost: AtomicU64::new(0) });
    }
}

/// A line on standard error; what is in it is made safe for a terminal. Nobody is left to hear of a failure.
pub(crate) fn tell(what: &str) {
    let line = format!("{}\n", escape::safe(what));
    let Some(words) = QUEUED.get() else {
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

/// Wait a moment for words that nobody has read yet.
pub(crate) fn settle() {
    if let Some(words) = QUEUED.get() {
        words.tell_lost();
        // Nobody is left to hear that nobody heard.
        let _ = words.queue.finish(Patience::WhileItMoves(LAST_WORDS));
    }
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
