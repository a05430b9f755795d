//! The stream of notices.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::collections::VecDeque;
use std::fmt;

use super::Requests;
use super::shared::User;

/// Everything that a shared machine tells, answers to requests aside; also a [`Stream`](futures_core::Stream).
///
/// It is bounded: read too slowly, it makes the machine turn work away ([`Reject::Busy`](crate::Reject::Busy)); dropped,
/// notices are thrown away and counted. It ends after the driver has ended and everything was read.
pub struct Events<M: Requests> {
    user: User<M>,
    /// Taken from the dispatcher under one lock, and not read yet.
    taken: VecDeque<M::Notice>,
}

impl<M: Requests> Events<M> {
    pub(super) fn new(user: User<M>) -> Self {
        Self { user, taken: VecDeque::new() }
    }

    /// The next notice; `None` when there will be no more. Can be dropped and called again without losing anything.
    pub async fn next(&mut self) -> Option<M::Notice> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), for those who poll by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<M::Notice>> {
        if let Some(notice) = self.taken.pop_front() {
            return Poll::Ready(Some(notice));
        }
        let taken = &mut self.taken;
        self.user.inner.look(|state| {
            let dispatcher = &mut state.dispatcher;
            core::mem::swap(taken, &mut dispatcher.notices);
            if core::mem::take(&mut dispatcher.full) {
                dispatcher.wake_driver();
            }
            if let Some(notice) = taken.pop_front() {
                return Poll::Ready(Some(notice));
            }
            if dispatcher.end.is_some() {
                // No driver fetches what the machine still holds: do it here.
                return Poll::Ready(state.machine.poll_notice());
            }
            dispatcher.set_reader(cx);
            Poll::Pending
        })
    }
}

impl<M: Requests> Unpin for Events<M> {}

impl<M: Requests> futures_core::Stream for Events<M> {
    type Item = M::Notice;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<M::Notice>> {
        Self::poll_next(self.get_mut(), cx)
    }
}

impl<M: Requests> Drop for Events<M> {
    fn drop(&mut self) {
        // What is discarded is dropped with the lock released.
        let _discarded = self.user.inner.look(|state| {
            let dispatcher = &mut state.dispatcher;
            dispatcher.unread = true;
            dispatcher.untaken += dispatcher.notices.len() as u64;
            dispatcher.full = false;
            // The machine may hold some that there was no room for.
            dispatcher.wake_driver();
            core::mem::take(&mut dispatcher.notices)
        });
    }
}

impl<M: Requests> fmt::Debug for Events<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
