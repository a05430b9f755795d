//! Datagrams that passed every check and wait until what they rest on is on the medium.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::Path;
use crate::node::identity::FromSession;

/// How many there may be, and how many bytes: what comes while a commit is under way.
const MAX: usize = 256;
const MAX_BYTES: usize = 256 << 10;

/// How one came: what is decrypted cannot come the same way again.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) enum Via {
    /// As it is.
    Path(Path),
    /// Through a session.
    Session(FromSession),
}

/// They wait, oldest first.
#[derive(Debug, Default)]
pub(super) struct Held {
    queue: VecDeque<(Via, Box<[u8]>)>,
    bytes: usize,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Keep one; false if there is no room.
    pub(super) fn push(&mut self, via: Via, bytes: &[u8]) -> bool {
        if self.queue.len() >= MAX || self.bytes + bytes.len() > MAX_BYTES {
            return false;
        }
        self.bytes += bytes.len();
        self.queue.push_back((via, bytes.into()));
        true
    }

    pub(super) fn pop(&mut self) -> Option<(Via, Box<[u8]>)> {
        let (via, bytes) = self.queue.pop_front()?;
        self.bytes -= bytes.len();
        Some((via, bytes))
    }
}
