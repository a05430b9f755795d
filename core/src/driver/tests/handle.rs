//! The shared machine: wakes, requests, events, the end.

use core::task::{Context, Poll, Waker};
use std::rc::Rc;
use std::vec;
use std::vec::Vec;

use super::{Bell, FakeIo, Shared, Task, path, world};
use crate::driver::Requests as _;
use crate::driver::{DatagramTransport, Events, Handle, HandleConfig, Task as Drive, share};
use crate::sim::machines::{Reply, Talker};
use crate::time::{Duration, Instant, Now, Wall};

type Parts = (Task<Drive<Talker, DatagramTransport<FakeIo>>>, Handle<Talker>, Events<Talker>);

fn start(world: &Shared, talker: Talker, notices: usize) -> Parts {
    let clock = || Now::new(Instant::ZERO, Wall::from_micros(0));
    let config = HandleConfig { notices, ..HandleConfig::default() };
    let (task, handle, events) = share(FakeIo(Rc::clone(world)), talker, clock, config);
    let mut task = Task::new(task);
    assert!(task.settle().is_pending());
    (task, handle, events)
}

fn talker() -> Talker {
    Talker::new(Duration::from_secs(1))
}

/// A datagram as a talker at the other end would send it.
fn said(kind: u8, id: u8) -> Vec<u8> {
    vec![kind, 0, 0, 0, 0, 0, 0, 0, id, b'!']
}

fn deliver(world: &Shared, datagrams: &[Vec<u8>]) {
    world.borrow_mut().inbox.extend(datagrams.chunks(8).map(<[_]>::to_vec));
}

fn now<T>(polled: Poll<T>) -> T {
    match polled {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("still pending"),
    }
}

fn next(events: &mut Events<Talker>) -> Poll<Option<u64>> {
    events.poll_next(&mut Context::from_waker(Waker::noop())).map(|told| told.map(|told| told.id))
}

#[test]
fn a_command_wakes_the_driver_once_and_only_if_it_matters() {
    let world = world();
    let (mut task, handle, _events) = start(&world, talker(), 8);
    handle.with(|talker, _| talker.open());
    assert_eq!(task.bell.rung(), 0, "nothing to do");
    handle.with(|talker, now| talker.ask(now, path(), b"a"));
    handle.with(|talker, now| talker.ask(now, path(), b"b"));
    assert_eq!(task.bell.rung(), 1);
    assert!(task.settle().is_pending());
    assert_eq!(world.borrow().outbox.len(), 2);
    let later = Now::new(Instant::ZERO + Duration::from_secs(9), Wall::MIN);
    handle.with(|talker, _| talker.ask(later, path(), b"c"));
    assert_eq!(task.bell.rung(), 2);
    assert!(task.settle().is_pending());
    handle.with(|talker, _| (talker.cancel(0), talker.cancel(1)));
    assert_eq!(task.bell.rung(), 2, "the next deadline is later than before");
}

#[test]
fn a_request_gets_its_answers_in_order_and_then_no_more() {
    let world = world();
    let (mut task, handle, _events) = start(&world, talker(), 8);
    let ask = || handle.request(|talker, now| Ok::<_, ()>(talker.ask(now, path(), b"?"))).unwrap();
    let (mut one, mut two) = (Task::new(ask()), Task::new(ask()));
    assert!(one.poll().is_pending() && two.poll().is_pending());
    deliver(&world, &[said(2, 1), said(2, 0), said(1, 0)]);
    assert!(task.settle().is_pending());
    assert_eq!((one.bell.rung(), two.bell.rung()), (1, 1));
    assert_eq!(now(two.poll()), Reply::Pending(b"!".to_vec()));
    assert!(two.poll().is_pending());
    assert_eq!(now(one.poll()), Reply::Pending(b"!".to_vec()));
    assert_eq!(now(one.poll()), Reply::Answer(b"!".to_vec()));
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(one.future.poll_next(&mut cx), Poll::Ready(None));
    assert_eq!(now(one.poll()), Reply::Ended, "a future has to give something");
    drop(one);
    assert_eq!(handle.with(|talker, _| (talker.cancelled, talker.open())), (0, 1), "it was answered in full");
    drop(two);
    assert_eq!(handle.with(|talker, _| (talker.cancelled, talker.open())), (1, 0));
    deliver(&world, &[said(1, 1)]);
    assert!(task.settle().is_pending());
    assert_eq!(handle.with(|talker, _| talker.rejects.get(crate::Reject::Unrequested)), 1);
}

#[test]
fn a_request_times_out_and_a_refused_one_leaves_nothing() {
    let world = world();
    let (mut task, handle, _events) = start(&world, talker(), 8);
    assert_eq!(handle.request(|_, _| Err::<u64, _>("full")).unwrap_err(), "full");
    let request = handle.request(|talker, now| Ok::<_, ()>(talker.ask(now, path(), b"?"))).unwrap();
    assert!(task.settle().is_pending());
    let at = world.borrow().timer.expect("armed for the timeout");
    world.borrow_mut().now = at.as_nanos();
    assert!(task.settle().is_pending());
    assert_eq!(now(Task::new(request).poll()), Reply::Timeout);
}

#[test]
fn a_full_event_stream_holds_up_the_machine_but_no_request() {
    let world = world();
    let mut talker = talker();
    talker.max_notices = 5;
    let (mut task, handle, mut events) = start(&world, talker, 3);
    let mut request = Task::new(handle.request(|talker, now| Ok::<_, ()>(talker.ask(now, path(), b"?"))).unwrap());
    for id in 0..20 {
        deliver(&world, &[said(0, id)]);
    }
    deliver(&world, &[said(1, 0)]);
    assert!(task.settle().is_pending());
    let busy = |handle: &Handle<Talker>| handle.with(|talker, _| talker.rejects.get(crate::Reject::Busy));
    assert_eq!(busy(&handle), 20 - 3 - 5, "three on the stream, five in the machine");
    assert_eq!(now(request.poll()), Reply::Answer(b"!".to_vec()));
    assert!(world.borrow().timer.is_some(), "looks after the machine's timers now and then");
    assert!(task.settle().is_pending());
    let before = task.bell.rung();
    assert_eq!(next(&mut events), Poll::Ready(Some(0)));
    assert!(task.bell.rung() > before, "room again: the driver is woken");
    for id in 1..8 {
        assert!(task.settle().is_pending());
        assert_eq!(next(&mut events), Poll::Ready(Some(id)), "in order, none lost");
    }
    assert_eq!(next(&mut events), Poll::Pending);
    deliver(&world, &[said(0, 77)]);
    assert!(task.settle().is_pending());
    assert_eq!(next(&mut events), Poll::Ready(Some(77)));
}

#[test]
fn the_reader_is_woken_by_a_notice() {
    let world = world();
    let (mut task, _handle, mut events) = start(&world, talker(), 3);
    let bell = std::sync::Arc::new(Bell::default());
    let waker = Waker::from(std::sync::Arc::clone(&bell));
    assert!(events.poll_next(&mut Context::from_waker(&waker)).is_pending());
    deliver(&world, &[said(0, 1), said(0, 2)]);
    assert!(task.settle().is_pending());
    assert_eq!(bell.rung(), 1);
}

#[test]
fn notices_nobody_reads_are_thrown_away_and_counted() {
    let world = world();
    let mut talker = talker();
    talker.max_notices = 5;
    let (mut task, handle, events) = start(&world, talker, 3);
    deliver(&world, &(0..5).map(|id| said(0, id)).collect::<Vec<_>>());
    assert!(task.settle().is_pending());
    let before = task.bell.rung();
    drop(events);
    assert!(task.bell.rung() > before, "there is room for what the machine still holds");
    assert!(task.settle().is_pending());
    deliver(&world, &(0..5).map(|id| said(0, id)).collect::<Vec<_>>());
    assert!(task.settle().is_pending());
    assert_eq!(handle.untaken(), 10);
    assert_eq!(handle.with(|talker, _| talker.rejects.total()), 0);
}

#[test]
fn shutting_down_flushes_and_tells_everybody() {
    let world = world();
    let (mut task, handle, mut events) = start(&world, talker(), 2);
    let mut open = Task::new(handle.request(|talker, now| Ok::<_, ()>(talker.ask(now, path(), b"?"))).unwrap());
    deliver(&world, &(0..4).map(|id| said(0, id)).collect::<Vec<_>>());
    assert!(task.settle().is_pending());
    let (mut end, mut other) = (Task::new(handle.shutdown()), Task::new(handle.ended()));
    assert!(open.poll().is_pending() && end.poll().is_pending() && other.poll().is_pending());
    handle.with(|talker, now| talker.ask(now, path(), b"last words"));
    assert!(task.settle().is_ready());
    drop(task);
    assert_eq!((open.bell.rung(), end.bell.rung(), other.bell.rung()), (1, 1, 1));
    assert_eq!(now(end.poll()).unwrap().sent, 6, "a question, four answers, and the last words");
    assert_eq!(now(other.poll()).unwrap(), handle.stats());
    assert_eq!(now(open.poll()), Reply::Ended);
    let told: Vec<_> = core::iter::from_fn(|| now(next(&mut events))).collect();
    assert_eq!(told, [0, 1, 2, 3], "nothing acknowledged is lost");
    let late = handle.request(|talker, now| Ok::<_, ()>(talker.ask(now, path(), b"?"))).unwrap();
    assert_eq!(now(Task::new(late).poll()), Reply::Ended);
}

#[test]
fn the_last_user_ends_it() {
    let world = world();
    let (mut task, handle, events) = start(&world, talker(), 2);
    let request = handle.request(|talker, now| Ok::<_, ()>(talker.ask(now, path(), b"?"))).unwrap();
    let mut end = Task::new(handle.clone().ended());
    drop((handle, events));
    assert!(task.settle().is_pending(), "a request still waits");
    let rung = task.bell.rung();
    drop(request);
    assert_eq!(task.bell.rung(), rung + 1);
    assert!(task.settle().is_ready());
    assert_eq!(now(end.poll()).unwrap().sent, 1);
}

#[test]
fn failures_are_told_and_so_is_a_dropped_task() {
    let world = world();
    let (mut task, handle, _events) = start(&world, talker(), 2);
    world.borrow_mut().broken = true;
    assert!(task.settle().is_ready());
    drop(task);
    assert_eq!(std::format!("{}", now(Task::new(handle.ended()).poll()).unwrap_err()), "broken");
    world.borrow_mut().broken = false;
    let (task, handle, mut events) = start(&world, talker(), 2);
    let mut open = Task::new(handle.request(|talker, now| Ok::<_, ()>(talker.ask(now, path(), b"?"))).unwrap());
    assert!(open.poll().is_pending());
    drop(task);
    assert_eq!((open.bell.rung(), now(open.poll())), (1, Reply::Ended));
    assert_eq!(next(&mut events), Poll::Ready(None));
    let end = now(Task::new(handle.shutdown()).poll()).unwrap_err();
    assert_eq!(std::format!("{end}"), "the driver's task was dropped or panicked");
}

#[test]
fn everything_can_be_sent_to_other_threads() {
    fn is_send<T: Send>(_: &T) {}
    fn is_sync<T: Sync>(_: &T) {}
    struct Nowhere;
    impl crate::driver::Io for Nowhere {
        type Error = core::fmt::Error;
        fn now(&self) -> Now {
            Now::default()
        }
        fn poll_recv(
            &mut self,
            _: &mut Context<'_>,
            _: &mut crate::driver::RecvBatch,
        ) -> Poll<Result<(), Self::Error>> {
            Poll::Pending
        }
        fn poll_send(
            &mut self,
            _: &mut Context<'_>,
            _: &mut crate::driver::SendBatch,
        ) -> Poll<Result<(), Self::Error>> {
            Poll::Pending
        }
        fn poll_timer(&mut self, _: &mut Context<'_>, _: Option<Instant>) -> Poll<()> {
            Poll::Pending
        }
    }
    let (task, handle, events) = share(Nowhere, talker(), Now::default, HandleConfig::default());
    is_send(&task);
    is_send(&events);
    is_send(&handle.request(|_, _| Ok::<_, ()>(1)).unwrap());
    is_sync(&handle);
    is_send(&handle.shutdown());
}
