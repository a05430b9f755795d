//! The lock around machine and dispatcher, and the handle.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::boxed::Box;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::dispatcher::{DeferredWakers, Dispatcher};
use super::{Clock, Events, Failure, HandleConfig, Request, Requests};
use crate::Datagrams;
use crate::driver::{DatagramTransport, Driver, DriverStats, Io, MachineAccess, Transport};
use crate::time::Now;

/// Put a machine that speaks datagrams behind a lock: the task that drives it on `io`, a handle, and its events. See
/// [`Handle`] for an overview.
///
/// `clock` must read the same clocks as `io`, or time jumps in the machine.
pub fn share<M, I>(
    io: I,
    machine: M,
    clock: impl Clock + 'static,
    config: HandleConfig,
) -> (Task<M, DatagramTransport<I>>, Handle<M>, Events<M>)
where
    M: Requests + Datagrams,
    I: Io,
{
    share_over(DatagramTransport::new(io, &config.driver), machine, clock, config)
}

/// As [`share`], whatever the machine speaks.
pub fn share_over<M, T>(
    transport: T,
    machine: M,
    clock: impl Clock + 'static,
    config: HandleConfig,
) -> (Task<M, T>, Handle<M>, Events<M>)
where
    M: Requests,
    T: Transport<M>,
{
    let dispatcher = Dispatcher::new(config.notices);
    let inner = Arc::new(Inner {
        state: Mutex::new(State { machine, dispatcher }),
        stats: Mutex::default(),
        clock: Box::new(clock),
    });
    let handle = Handle { user: User::new(&inner) };
    let events = Events::new(handle.user.clone());
    let access = Shared { inner: Arc::clone(&inner), deferred: DeferredWakers::default() };
    (Task { driver: Some(Driver::over(transport, access, config.driver.grace)), inner }, handle, events)
}

/// The future that drives a shared machine, for any executor: see [`share`].
///
/// It ends once the machine was shut down or the io failed; handles say which. Dropping it is a failure to them, too.
#[must_use = "nothing happens unless the task is spawned or polled"]
pub struct Task<M: Requests, T> {
    /// `None` once it has ended.
    driver: Option<Driver<Shared<M>, T>>,
    inner: Arc<Inner<M>>,
}

impl<M: Requests, T> Unpin for Task<M, T> {}

impl<M, T> Future for Task<M, T>
where
    M: Requests,
    T: Transport<M>,
    T::Error: core::error::Error + Send + Sync + 'static,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let Some(driver) = &mut this.driver else { return Poll::Ready(()) };
        let end = ready!(Pin::new(driver).poll(cx));
        // Whoever waits for the end may use the port and the store again.
        let _hold = this.driver.take().map(|driver| driver.into_parts().0);
        this.inner.look(|state| state.dispatcher.finish(end.map_err(|error| Failure(Arc::new(error)))));
        Poll::Ready(())
    }
}

pub(super) struct State<M: Requests> {
    pub(super) machine: M,
    pub(super) dispatcher: Dispatcher<M>,
}

pub(super) struct Inner<M: Requests> {
    state: Mutex<State<M>>,
    /// As of when the driver last went to wait.
    stats: Mutex<DriverStats>,
    clock: Box<dyn Clock>,
}

impl<M: Requests> Inner<M> {
    /// A panic inside the machine leaves it as it is: the driver's task has died with it and says so.
    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Look at the state, then wake whom that concerns, with the lock released.
    pub(super) fn look<R>(&self, f: impl FnOnce(&mut State<M>) -> R) -> R {
        let mut deferred = DeferredWakers::default();
        let (out, driver) = {
            let mut state = self.lock();
            let out = f(&mut state);
            state.dispatcher.swap_deferred(&mut deferred);
            (out, state.dispatcher.take_driver())
        };
        driver.into_iter().for_each(Waker::wake);
        deferred.release();
        out
    }

    /// Call the machine, and wake the driver if it wants to be called sooner than before.
    pub(super) fn command<R>(&self, f: impl FnOnce(&mut State<M>, Now) -> R) -> R {
        self.look(|state| {
            let now = self.clock.now();
            let before = state.machine.wants();
            let out = f(state, now);
            if state.machine.wants().is_sooner_than(&before) {
                state.dispatcher.wake_driver();
            }
            out
        })
    }
}

/// The driver's side of a shared machine. When it is dropped, everybody who waits is told that the driver has ended.
pub struct Shared<M: Requests> {
    inner: Arc<Inner<M>>,
    deferred: DeferredWakers,
}

impl<M: Requests> MachineAccess for Shared<M> {
    type Machine = M;
    type App = Dispatcher<M>;

    fn with<R>(&mut self, turn: impl FnOnce(&mut M, &mut Dispatcher<M>) -> R) -> R {
        let out = {
            let mut state = self.inner.lock();
            let State { machine, dispatcher } = &mut *state;
            let out = turn(machine, dispatcher);
            dispatcher.swap_deferred(&mut self.deferred);
            out
        };
        self.deferred.release();
        out
    }

    fn publish(&mut self, stats: &DriverStats) {
        *self.inner.stats.lock().unwrap_or_else(PoisonError::into_inner) = *stats;
    }
}

impl<M: Requests> Drop for Shared<M> {
    fn drop(&mut self) {
        // A task that came to its end has said how before this.
        self.inner.look(|state| state.dispatcher.finish(Err(Failure(Arc::new(Dropped)))));
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the driver's task was dropped or panicked")]
struct Dropped;

/// One of those for whom the driver runs: a handle, an event stream, a request. The last one out ends it.
pub(super) struct User<M: Requests> {
    pub(super) inner: Arc<Inner<M>>,
}

impl<M: Requests> User<M> {
    fn new(inner: &Arc<Inner<M>>) -> Self {
        inner.look(|state| state.dispatcher.users += 1);
        Self { inner: Arc::clone(inner) }
    }
}

impl<M: Requests> Clone for User<M> {
    fn clone(&self) -> Self {
        Self::new(&self.inner)
    }
}

impl<M: Requests> Drop for User<M> {
    fn drop(&mut self) {
        self.inner.look(|state| {
            state.dispatcher.users -= 1;
            if state.dispatcher.users == 0 {
                state.dispatcher.wake_driver();
            }
        });
    }
}

/// A machine that a driver runs in the background: cloneable, usable from any thread and any executor.
///
/// Made by [`share`], or by the `spawn` of a runtime's adapter.
pub struct Handle<M: Requests> {
    user: User<M>,
}

impl<M: Requests> Handle<M> {
    /// Lock the machine and call it; the driver is woken if that leaves something to send or an earlier deadline.
    ///
    /// Keep it short: the driver waits meanwhile. Calling any other handle, request or event stream of the same machine
    /// in `f` (or dropping one) deadlocks. After the driver has ended the machine can still be looked at, but nothing
    /// more is sent.
    pub fn with<R>(&self, f: impl FnOnce(&mut M, Now) -> R) -> R {
        self.user.inner.command(|state, now| f(&mut state.machine, now))
    }

    /// Call the machine so that it makes a request, and get the future of the answer.
    ///
    /// # Errors
    /// Whatever `f` says; then there is no request.
    pub fn request<E>(&self, f: impl FnOnce(&mut M, Now) -> Result<M::Id, E>) -> Result<Request<M>, E> {
        self.request_for(f)
    }

    /// As [`request`](Self::request), for a kind of request that is answered with a type of its own.
    ///
    /// # Errors
    /// As there.
    pub fn request_for<R, E>(&self, f: impl FnOnce(&mut M, Now) -> Result<M::Id, E>) -> Result<Request<M, R>, E>
    where
        R: From<M::Reply>,
    {
        let id = self.user.inner.command(|state, now| {
            let id = f(&mut state.machine, now)?;
            state.dispatcher.open(id);
            Ok(id)
        })?;
        Ok(Request::new(self.user.clone(), id))
    }

    /// What the driver did so far.
    #[must_use]
    pub fn stats(&self) -> DriverStats {
        *self.user.inner.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers and notices that nobody was there to take: answers to requests made without
    /// [`request`](Self::request) or whose future was dropped, and notices after the event stream was.
    #[must_use]
    pub fn untaken(&self) -> u64 {
        self.user.inner.look(|state| state.dispatcher.untaken)
    }

    /// Ask the driver to flush what is queued and end, whether or not the result is awaited. The result says how it
    /// ended and what it did. Requests that are still open get their [`ended`](Requests::ended) answer.
    pub fn shutdown(&self) -> Ended<M> {
        self.user.inner.look(|state| {
            state.dispatcher.stop = true;
            state.dispatcher.wake_driver();
        });
        self.ended()
    }

    /// Wait for the driver's end without asking for it.
    pub fn ended(&self) -> Ended<M> {
        Ended { inner: Arc::clone(&self.user.inner) }
    }
}

impl<M: Requests> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { user: self.user.clone() }
    }
}

impl<M: Requests> fmt::Debug for Handle<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// The future of a driver's end: what it did, or why it failed. See [`Handle::shutdown`] and [`Handle::ended`].
///
/// It does not keep the driver running.
#[must_use = "a future does nothing unless it is awaited"]
pub struct Ended<M: Requests> {
    inner: Arc<Inner<M>>,
}

impl<M: Requests> Future for Ended<M> {
    type Output = Result<DriverStats, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.look(|state| match &state.dispatcher.end {
            Some(end) => Poll::Ready(end.clone()),
            None => {
                if !state.dispatcher.enders.iter().any(|waker| waker.will_wake(cx.waker())) {
                    state.dispatcher.enders.push(cx.waker().clone());
                }
                Poll::Pending
            }
        })
    }
}
