//! The orders of machines on byte streams.

use std::collections::{BTreeSet, VecDeque};

use crate::Conn;

/// The orders of a machine that wait to be taken: first in, first out, and at most one of a kind for each stream.
#[derive(Clone, Debug, Default)]
pub(super) struct OrderQueue {
    queue: VecDeque<(Conn, OrderKind)>,
    /// The same, to be looked up.
    valid: BTreeSet<(Conn, OrderKind)>,
}

/// An [`Order`](crate::Order) without what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum OrderKind {
    /// [`crate::Order::Dial`].
    Dial,
    /// [`crate::Order::Write`].
    Write,
    /// [`crate::Order::Read`].
    Read,
    /// [`crate::Order::Finish`].
    Finish,
    /// [`crate::Order::Abort`].
    Abort,
}

impl OrderQueue {
    /// Empty.
    #[must_use]
    pub(super) const fn new() -> Self {
        Self { queue: VecDeque::new(), valid: BTreeSet::new() }
    }

    /// Add an order, unless it waits already. An [`OrderKind::Abort`] takes the place of all other orders of its stream, and of a dial
    /// that nobody has taken yet nothing is left at all.
    pub(super) fn push(&mut self, conn: Conn, kind: OrderKind) {
        if kind == OrderKind::Abort {
            let never_dialled = self.valid.contains(&(conn, OrderKind::Dial));
            self.withdraw(conn);
            if never_dialled {
                return;
            }
        }
        if self.valid.insert((conn, kind)) {
            self.queue.push_back((conn, kind));
        }
    }

    /// Forget the orders of a stream that is no more.
    pub(super) fn withdraw(&mut self, conn: Conn) {
        for kind in [OrderKind::Dial, OrderKind::Write, OrderKind::Read, OrderKind::Finish, OrderKind::Abort] {
            if self.valid.remove(&(conn, kind)) {
                self.queue.retain(|waiting| *waiting != (conn, kind));
            }
        }
    }

    /// Whether none waits.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Take the oldest.
    pub(super) fn pop(&mut self) -> Option<(Conn, OrderKind)> {
        let order = self.queue.pop_front()?;
        self.valid.remove(&order);
        Some(order)
    }
}

#[cfg(test)]
mod tests {
    use super::{OrderKind, OrderQueue};
    use crate::Conn;

    #[test]
    fn an_order_waits_once_and_an_abort_replaces_the_others() {
        let (one, two) = (Conn::new(0, 0), Conn::new(1, 0));
        let mut orders = OrderQueue::new();
        for conn in [one, two, one] {
            orders.push(conn, OrderKind::Write);
        }
        orders.push(one, OrderKind::Read);
        orders.push(one, OrderKind::Abort);
        assert_eq!(
            [orders.pop(), orders.pop(), orders.pop()],
            [Some((two, OrderKind::Write)), Some((one, OrderKind::Abort)), None]
        );
        // A dial that nobody has taken is simply not made.
        orders.push(two, OrderKind::Dial);
        orders.push(two, OrderKind::Abort);
        assert_eq!((orders.pop(), orders.is_empty()), (None, true));
    }
}
