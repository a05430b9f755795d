//! Waiting for room: whoever waits longest gets it first.

use std::task::{Context, Poll};

use super::{Queue, Wakers};
use crate::chain::Chain;

impl<C: Chain> Queue<C> {
    /// Ready when there is room, for as long as nobody else takes it; those who asked earlier get it first. `id` names who waits
    /// from one call to the next.
    pub fn poll_room(&mut self, id: &mut Option<u64>, cx: &mut Context<'_>) -> Poll<()> {
        let known = id.and_then(|id| self.room.iter().position(|(other, _)| *other == id));
        // One that was woken is not in the list any more, and need not stand behind those that are.
        let may_go = id.is_some() && known.is_none() || self.room.is_empty();
        if self.closed.is_some() || may_go && self.has_room() {
            self.leave(id);
            return Poll::Ready(());
        }
        match known.and_then(|at| self.room.get_mut(at)) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => {
                let fresh = self.next_room;
                self.next_room += 1;
                // Who was woken in vain keeps its turn.
                if id.replace(fresh).is_some() {
                    self.room.push_front((fresh, cx.waker().clone()));
                } else {
                    self.room.push_back((fresh, cx.waker().clone()));
                }
            }
        }
        Poll::Pending
    }

    fn leave(&mut self, id: &mut Option<u64>) {
        if let Some(id) = id.take() {
            self.room.retain(|(other, _)| *other != id);
        }
    }

    /// Somebody waits for room no longer. If he had been woken for it, the next one is.
    pub fn forget_room(&mut self, id: &mut Option<u64>, wakers: &mut Wakers) {
        if id.is_some() {
            self.leave(id);
            self.wake_for_room(wakers);
        }
    }

    pub(super) fn wake_for_room(&mut self, wakers: &mut Wakers) {
        let free = self.options.queue_entries.saturating_sub(self.held.1);
        let mut free = if self.has_room() { free } else { 0 };
        if self.closed.is_some() {
            free = usize::MAX;
        }
        let free = free.min(self.room.len());
        wakers.0.extend(self.room.drain(..free).map(|(_, waker)| waker));
    }
}
