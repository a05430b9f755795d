//! Datagrams that passed every check and wait until what they rest on is on the medium.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::Path;

/// How many there may be, and how many bytes: what comes while a commit is under way.
const MAX: usize = 256;
const MAX_BYTES: usize = 256 << 10;

/// They wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    queue: VecDeque<(Path, Box<[u8]>)>,
    bytes: usize,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Keep one; false if there is no room.
    pub(super) fn push(&mut self, path: Path, bytes: &[u8]) -> bool {
        if self.queue.len() >= MAX || self.bytes + bytes.len() > MAX_BYTES {
            return false;
        }
        self.bytes += bytes.len();
        self.queue.push_back((path, bytes.into()));
        true
    }

    pub(super) fn pop(&mut self) -> Option<(Path, Box<[u8]>)> {
        let (path, bytes) = self.queue.pop_front()?;
        self.bytes -= bytes.len();
        Some((path, bytes))
    }
}
