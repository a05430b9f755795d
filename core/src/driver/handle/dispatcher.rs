//! The dispatcher beside a shared machine: who waits for what.

use core::hash::BuildHasherDefault;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::vec::Vec;

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

use super::{Answer, Failure, Requests};
use crate::driver::{App, DriverStats};
use crate::time::Now;

/// The app of a shared machine: hands answers to their requests and notices to the event stream.
pub struct Dispatcher<M: Requests> {
    // The ids are our own machine's, so no stranger chooses them: a fixed hash key will do.
    places: HashMap<M::Id, Place<M::Reply>, BuildHasherDefault<SipHasher13>>,
    /// Waiting for the event stream, at most `max_notices`.
    pub(super) notices: VecDeque<M::Notice>,
    max_notices: usize,
    /// The machine may hold more notices than there was room for.
    pub(super) full: bool,
    /// Nobody reads notices any more.
    pub(super) unread: bool,
    pub(super) reader: Option<Waker>,
    driver: Option<Waker>,
    /// The driver is to be woken once the lock is released.
    kick: bool,
    /// The driver was woken and has not run since.
    woken: bool,
    pub(super) enders: Vec<Waker>,
    /// For once the lock is released: a waker runs code of its own when it is woken, and when it is dropped.
    deferred: DeferredWakers,
    pub(super) users: usize,
    pub(super) stop: bool,
    pub(super) end: Option<Result<DriverStats, Failure>>,
    pub(super) untaken: u64,
}

/// Wakers that are let go of, to be dealt with once the lock is released.
#[derive(Default)]
pub(super) struct DeferredWakers {
    wake: Vec<Waker>,
    drop: Vec<Waker>,
}

impl DeferredWakers {
    /// Wake those that are to be woken, and drop the others.
    pub(super) fn release(&mut self) {
        self.wake.drain(..).for_each(Waker::wake);
        self.drop.clear();
    }
}

/// One awaited request.
pub(super) struct Place<R> {
    first: Option<R>,
    later: VecDeque<R>,
    /// No further answer follows.
    pub(super) last: bool,
    waker: Option<Waker>,
}

impl<M: Requests> Dispatcher<M> {
    pub(super) fn new(max_notices: usize) -> Self {
        Self {
            places: HashMap::default(),
            notices: VecDeque::new(),
            max_notices: max_notices.max(1),
            full: false,
            unread: false,
            reader: None,
            driver: None,
            kick: false,
            woken: false,
            enders: Vec::new(),
            deferred: DeferredWakers::default(),
            users: 0,
            stop: false,
            end: None,
            untaken: 0,
        }
    }

    /// Have the driver run.
    pub(super) fn wake_driver(&mut self) {
        if !self.woken {
            self.woken = true;
            self.kick = true;
        }
    }

    /// The driver's waker, if it is to be woken.
    pub(super) fn take_driver(&mut self) -> Option<Waker> {
        core::mem::take(&mut self.kick).then(|| self.driver.clone()).flatten()
    }

    /// Swap the wakers that are to be let go for an empty list.
    pub(super) fn swap_deferred(&mut self, list: &mut DeferredWakers) {
        core::mem::swap(&mut self.deferred, list);
    }

    /// Note who reads notices.
    pub(super) fn set_reader(&mut self, cx: &Context<'_>) {
        self.deferred.drop.extend(set(&mut self.reader, cx));
    }

    /// Make a place for a request.
    pub(super) fn open(&mut self, id: M::Id) {
        self.places.insert(id, Place { first: None, later: VecDeque::new(), last: false, waker: None });
    }

    /// Give up a place. It is to be dropped with the lock released: replies and wakers run code of their own then.
    pub(super) fn close(&mut self, id: M::Id) -> Option<Place<M::Reply>> {
        self.places.remove(&id)
    }

    /// The next answer to a request, `None` after the last.
    pub(super) fn poll_answer(&mut self, id: M::Id, cx: &mut Context<'_>) -> Poll<Option<M::Reply>> {
        let ended = self.end.is_some();
        let Some(place) = self.places.get_mut(&id) else { return Poll::Ready(None) };
        if let Some(reply) = place.first.take().or_else(|| place.later.pop_front()) {
            return Poll::Ready(Some(reply));
        }
        if place.last {
            return Poll::Ready(None);
        }
        if ended {
            place.last = true;
            return Poll::Ready(Some(M::ended(id)));
        }
        self.deferred.drop.extend(set(&mut place.waker, cx));
        Poll::Pending
    }

    fn deliver(&mut self, answer: Answer<M::Id, M::Reply>) {
        let Some(place) = self.places.get_mut(&answer.id) else {
            self.untaken += 1;
            return;
        };
        // The order is `first`, then `later`.
        if place.first.is_none() && place.later.is_empty() {
            place.first = Some(answer.reply);
        } else {
            place.later.push_back(answer.reply);
        }
        place.last |= answer.last;
        self.deferred.wake.extend(place.waker.take());
    }

    fn take_notices(&mut self, machine: &mut M) {
        let room = if self.unread { usize::MAX } else { self.max_notices };
        self.full = self.notices.len() >= room;
        let before = self.notices.len();
        while self.notices.len() < room {
            let Some(notice) = machine.poll_notice() else { break };
            if self.unread {
                self.untaken += 1;
                continue;
            }
            self.notices.push_back(notice);
            self.full = self.notices.len() >= room;
        }
        if self.notices.len() > before {
            self.deferred.wake.extend(self.reader.take());
        }
    }

    /// The driver is gone: everybody who waits is told.
    pub(super) fn finish(&mut self, end: Result<DriverStats, Failure>) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(end);
        self.deferred.drop.extend(self.driver.take());
        for place in self.places.values_mut() {
            self.deferred.wake.extend(place.waker.take());
        }
        self.deferred.wake.extend(self.reader.take());
        self.deferred.wake.append(&mut self.enders);
    }
}

impl<M: Requests> App<M> for Dispatcher<M> {
    fn poll(&mut self, cx: &mut Context<'_>, _: Now, machine: &mut M) -> Poll<()> {
        self.woken = false;
        self.deferred.drop.extend(set(&mut self.driver, cx));
        while let Some(answer) = machine.poll_reply() {
            self.deliver(answer);
        }
        self.take_notices(machine);
        if self.stop || self.users == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Remember whom to wake, cloning only if it is somebody new; the one it replaces is to be dropped without the lock.
fn set(waker: &mut Option<Waker>, cx: &Context<'_>) -> Option<Waker> {
    match waker {
        Some(old) if old.will_wake(cx.waker()) => None,
        _ => waker.replace(cx.waker().clone()),
    }
}
