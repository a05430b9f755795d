//! The future of an answer.

use core::future::{Future, poll_fn};
use core::marker::PhantomData;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::fmt;

use super::Requests;
use super::shared::User;

/// A request on its way: a future of the next answer, which may be polled again for the one after.
///
/// `request.await` gives the first answer. Where several may come (*pending*, then the decision), borrow it instead:
/// `(&mut request).await`, or [`next`](Self::next), which also says when there will be no more. After the last answer the
/// future gives [`ended`](Requests::ended).
///
/// Dropping it gives the request up: the machine forgets it ([`cancel`](Requests::cancel)).
///
/// A machine whose requests are of several kinds has one reply for all of them; `R` is what its kind of them is answered with.
#[must_use = "dropping a request gives it up"]
pub struct Request<M: Requests, R = <M as Requests>::Reply> {
    user: User<M>,
    id: M::Id,
    reply: PhantomData<fn() -> R>,
}

impl<M: Requests, R: From<M::Reply>> Request<M, R> {
    pub(super) fn new(user: User<M>, id: M::Id) -> Self {
        Self { user, id, reply: PhantomData }
    }

    /// The machine's name for this request.
    #[must_use]
    pub fn id(&self) -> M::Id {
        self.id
    }

    /// The next answer; `None` after the last one. Can be dropped and called again without losing anything.
    pub async fn next(&mut self) -> Option<R> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), for those who poll by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let id = self.id;
        self.user.inner.look(|state| state.dispatcher.poll_answer(id, cx)).map(|reply| reply.map(R::from))
    }
}

impl<M: Requests, R> Unpin for Request<M, R> {}

impl<M: Requests, R: From<M::Reply>> Future for Request<M, R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let id = self.id;
        self.poll_next(cx).map(|answer| answer.unwrap_or_else(|| M::ended(id).into()))
    }
}

impl<M: Requests, R> Drop for Request<M, R> {
    fn drop(&mut self) {
        let id = self.id;
        // The place is dropped with the lock released.
        let _place = self.user.inner.command(|state, _| {
            let place = state.dispatcher.close(id);
            if place.as_ref().is_some_and(|place| !place.last) {
                state.machine.cancel(id);
            }
            place
        });
    }
}

impl<M: Requests, R> fmt::Debug for Request<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").finish_non_exhaustive()
    }
}
