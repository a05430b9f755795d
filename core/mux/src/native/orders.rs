//! What a machine wants done with its connections.

use alloc::collections::{BTreeSet, VecDeque};

use sluis_core::Conn;

/// An [`Order`](sluis_core::Order) without what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Dial,
    Write,
    Finish,
    Abort,
}

/// The orders that wait: first in, first out, each once for a connection.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    queue: VecDeque<(Conn, Kind)>,
    waiting: BTreeSet<(Conn, Kind)>,
}

impl Orders {
    /// Add one. An abort takes the place of all others.
    pub(crate) fn push(&mut self, conn: Conn, kind: Kind) {
        if kind == Kind::Abort {
            self.withdraw(conn);
        }
        if self.waiting.insert((conn, kind)) {
            self.queue.push_back((conn, kind));
        }
    }

    /// Forget those of a connection that is no more.
    pub(crate) fn withdraw(&mut self, conn: Conn) {
        for kind in [Kind::Dial, Kind::Write, Kind::Finish, Kind::Abort] {
            self.waiting.remove(&(conn, kind));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<(Conn, Kind)> {
        while let Some(order) = self.queue.pop_front() {
            if self.waiting.remove(&order) {
                return Some(order);
            }
        }
        None
    }
}
