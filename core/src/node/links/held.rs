//! Frames that wait for their session.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use crate::Path;
use crate::node::client::RequestId;
use crate::session::{SessionId, sealed_len};

/// What is to become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Fate {
    /// It waits for the keys of its session.
    Waits,
    /// It goes out through its session.
    Sealed,
    /// It goes out signed, without a session.
    Plain,
}

/// A frame that waits.
#[derive(Debug)]
pub(in crate::node) struct Waiting {
    /// Which session; nothing where none is begun as yet.
    pub(in crate::node) session: Option<SessionId>,
    pub(in crate::node) frame: Box<[u8]>,
    /// Of a ping: its request, whose end makes it void.
    pub(in crate::node) request: Option<RequestId>,
    /// Where a ping goes without a session.
    pub(in crate::node) path: Path,
    /// It rides in the first message of the handshake.
    pub(in crate::node) early: bool,
    /// It goes through a session or not at all.
    pub(in crate::node) sealed_only: bool,
    /// Should it go without one, it is to be traced.
    pub(in crate::node) trace: bool,
    pub(in crate::node) fate: Fate,
}

/// All of them, the one that came first in front.
#[derive(Debug)]
pub(in crate::node) struct Held {
    waiting: VecDeque<Waiting>,
    /// How many can go out.
    ready: usize,
    bytes: usize,
    max: usize,
    max_bytes: usize,
}

impl Held {
    pub(super) const fn new(max: usize, max_bytes: usize) -> Self {
        Self { waiting: VecDeque::new(), ready: 0, bytes: 0, max, max_bytes }
    }

    /// Whether a frame of this length can wait.
    pub(super) fn has_room(&self, len: usize) -> bool {
        self.waiting.len() < self.max && self.bytes + sealed_len(len) <= self.max_bytes
    }

    /// Whether any can go out.
    pub(super) const fn has_ready(&self) -> bool {
        self.ready > 0
    }

    /// Keep a frame; false where there is no room for it.
    pub(super) fn push(&mut self, waiting: Waiting) -> bool {
        let room = self.has_room(waiting.frame.len());
        if room {
            self.count(&waiting);
            self.waiting.push_back(waiting);
        }
        room
    }

    /// Put back what was taken out and cannot go yet.
    pub(super) fn put_back(&mut self, waiting: Waiting) {
        let waiting = Waiting { fate: Fate::Waits, early: false, ..waiting };
        self.count(&waiting);
        self.waiting.push_front(waiting);
    }

    /// Take out the first that can go out.
    pub(super) fn pop_ready(&mut self) -> Option<Waiting> {
        if self.ready == 0 {
            return None;
        }
        let at = self.waiting.iter().position(|waiting| waiting.fate != Fate::Waits)?;
        let waiting = self.waiting.remove(at)?;
        self.discount(&waiting);
        Some(waiting)
    }

    /// A session has keys: what waits for them can go, except what was `heard` in the first message.
    pub(super) fn up(&mut self, session: SessionId, heard: bool) {
        self.remove(|waiting| waiting.session == Some(session) && waiting.early && heard);
        self.set(session, |_| true, Fate::Sealed);
    }

    /// What waits for keys that are there goes on, except what rides in a first message.
    pub(super) fn release(&mut self, is_ready: impl Fn(SessionId) -> bool) {
        for waiting in &mut self.waiting {
            if waiting.fate == Fate::Waits && !waiting.early && waiting.session.is_some_and(&is_ready) {
                waiting.fate = Fate::Sealed;
                self.ready += 1;
            }
        }
    }

    /// No session comes up in time: the pings that wait for it go without, where they may.
    pub(super) fn go_plain(&mut self, session: SessionId) {
        self.set(session, |waiting| waiting.request.is_some() && !waiting.sealed_only, Fate::Plain);
    }

    /// A session is over: what waits for it is gone. How many that are.
    pub(super) fn drop_all(&mut self, session: SessionId) -> usize {
        self.remove(|waiting| waiting.session == Some(session) && waiting.fate != Fate::Plain)
    }

    /// What waits for a session that is not there any more is gone. How many that are.
    pub(super) fn drop_dead(&mut self, alive: impl Fn(SessionId) -> bool) -> usize {
        if self.waiting.is_empty() {
            return 0;
        }
        self.remove(|waiting| waiting.fate != Fate::Plain && !waiting.session.is_some_and(&alive))
    }

    /// Nothing can be sent to this address: forget the pings that wait to go there, and name their requests.
    pub(super) fn unreachable(&mut self, path: Path, mut told: impl FnMut(RequestId)) {
        self.remove(|waiting| {
            let request = waiting.request.filter(|_| waiting.path.same_remote(&path));
            request.into_iter().for_each(&mut told);
            request.is_some()
        });
    }

    fn set(&mut self, session: SessionId, which: impl Fn(&Waiting) -> bool, fate: Fate) {
        for waiting in &mut self.waiting {
            if waiting.session == Some(session) && waiting.fate == Fate::Waits && which(waiting) {
                waiting.fate = fate;
                self.ready += 1;
            }
        }
    }

    fn remove(&mut self, mut gone: impl FnMut(&Waiting) -> bool) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| !gone(waiting));
        let ready = self.waiting.iter().filter(|waiting| waiting.fate != Fate::Waits).count();
        self.ready = ready;
        self.bytes = self.waiting.iter().map(|waiting| sealed_len(waiting.frame.len())).sum();
        before - self.waiting.len()
    }

    fn count(&mut self, waiting: &Waiting) {
        self.ready += usize::from(waiting.fate != Fate::Waits);
        self.bytes += sealed_len(waiting.frame.len());
    }

    fn discount(&mut self, waiting: &Waiting) {
        self.ready -= usize::from(waiting.fate != Fate::Waits);
        self.bytes -= sealed_len(waiting.frame.len());
    }
}
