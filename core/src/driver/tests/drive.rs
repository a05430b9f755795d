//! The loop: order, batches, parked writes, errors, the end.

use core::task::Poll;
use std::rc::Rc;
use std::vec::Vec;

use super::{Broken, Call, Echo, FakeIo, Shared, Task, world};
use crate::driver::{App, DatagramTransport, Driver, DriverConfig, Flow, Own};
use crate::time::{Duration, Instant, Now};
use crate::{Machine as _, Unsent};

/// Drains events and goes on.
fn drain(_: Now, echo: &mut Echo) -> Flow {
    echo.world.borrow_mut().calls.push(Call::App);
    while echo.poll_event().is_some() {}
    Flow::Continue
}

type Drain = fn(Now, &mut Echo) -> Flow;

fn driver(world: &Shared, echo: Echo) -> Task<Driver<Own<Echo, Drain>, DatagramTransport<FakeIo>>> {
    Task::new(Driver::new(FakeIo(Rc::clone(world)), echo, drain, DriverConfig::default()))
}

fn calls(world: &Shared) -> Vec<Call> {
    core::mem::take(&mut world.borrow_mut().calls)
}

#[test]
fn one_turn_receives_hands_in_serves_timers_asks_the_app_and_sends() {
    let world = world();
    world.borrow_mut().inbox.push_back([b"one".to_vec(), b"two".to_vec()].into());
    let mut echo = Echo::new(&world);
    echo.talkative = true;
    echo.at = Some(Instant::ZERO);
    let mut task = driver(&world, echo);
    // Pending output hides no timer.
    assert!(task.settle().is_pending());
    use Call::{App, Datagram, Recv, Send, Timeout};
    let order = calls(&world);
    assert_eq!(order[..6], [Recv, Datagram, Datagram, Timeout, App, Send]);
    assert_eq!(order.iter().filter(|c| **c == Timeout).count(), 1);
    assert_eq!(world.borrow().outbox, [b"one".to_vec(), b"two".to_vec(), b"timer".to_vec()]);
}

#[test]
fn a_datagram_that_arrives_with_a_deadline_goes_first() {
    let world = world();
    let mut echo = Echo::new(&world);
    echo.at = Some(Instant::from_nanos(10));
    let mut task = driver(&world, echo);
    assert!(task.settle().is_pending());
    world.borrow_mut().now = 10;
    world.borrow_mut().inbox.push_back([b"x".to_vec()].into());
    calls(&world);
    assert!(task.settle().is_pending());
    use Call::{App, Datagram, Recv, Send, Timeout};
    assert_eq!(calls(&world)[..5], [Recv, Datagram, Timeout, App, Send]);
}

#[test]
fn one_datagram_costs_one_clock_reading_and_no_timer() {
    let world = world();
    let mut echo = Echo::new(&world);
    echo.at = Some(Instant::from_nanos(1000));
    let mut task = driver(&world, echo);
    assert!(task.settle().is_pending());
    assert_eq!(world.borrow().timer, Some(Instant::from_nanos(1000)));
    calls(&world);
    let reads = world.borrow().reads;
    world.borrow_mut().inbox.push_back([b"x".to_vec()].into());
    assert!(task.settle().is_pending());
    use Call::{App, Datagram, Recv, Send};
    assert_eq!(calls(&world), [Recv, Datagram, App, Send, Recv]);
    assert_eq!(world.borrow().reads, reads + 1);
}

#[test]
fn prefixes_are_sent_until_the_socket_blocks_and_then_it_waits() {
    let world = world();
    {
        let mut world = world.borrow_mut();
        world.inbox.push_back((0..10_u8).map(|i| [i].to_vec()).collect());
        (world.prefix, world.room) = (3, 7);
    }
    let mut task = driver(&world, Echo::new(&world));
    assert!(task.settle().is_pending());
    assert_eq!(world.borrow().outbox.len(), 7);
    assert_eq!(task.bell.rung(), 0, "waits for the socket, does not spin");
    calls(&world);
    world.borrow_mut().room = usize::MAX;
    assert!(task.settle().is_pending());
    assert_eq!(world.borrow().outbox, (0..10_u8).map(|i| [i].to_vec()).collect::<Vec<_>>());
    assert_eq!(calls(&world).iter().filter(|c| **c == Call::Send).count(), 1);
}

#[test]
fn while_the_socket_is_blocked_reading_is_bounded_and_nothing_is_lost() {
    let world = world();
    (world.borrow_mut().flood, world.borrow_mut().room) = (true, 0);
    let mut task = driver(&world, Echo::new(&world));
    assert!(task.settle().is_pending());
    let read = calls(&world).iter().filter(|c| **c == Call::Recv).count();
    let room = DriverConfig::default().send_entries;
    assert_eq!(read, room, "as many as can be answered");
    // Woken for another reason, it still does not read on.
    assert!(task.settle().is_pending());
    assert!(!calls(&world).contains(&Call::Recv));
    (world.borrow_mut().flood, world.borrow_mut().room) = (false, usize::MAX);
    assert!(task.settle().is_pending());
    assert_eq!(world.borrow().outbox.len(), room);
    assert!(calls(&world).contains(&Call::Recv), "reads again");
}

#[test]
fn what_cannot_be_sent_is_counted_and_ignored_errors_too() {
    let world = world();
    {
        let mut world = world.borrow_mut();
        world.inbox.extend([Vec::new(), [b"a".to_vec(), b"bad".to_vec(), b"c".to_vec()].to_vec(), Vec::new()]);
        world.refuse = Some(3);
    }
    let mut task = driver(&world, Echo::new(&world));
    assert!(task.settle().is_pending());
    let stats = task.future.stats();
    assert_eq!((stats.received, stats.sent, stats.discarded, stats.recv_errors), (3, 2, 1, 2));
    // The machine is told which, without another wake.
    assert_eq!(world.borrow().unsent, [(b"bad".to_vec(), Unsent::TooLarge)]);
    world.borrow_mut().broken = true;
    assert_eq!(task.settle(), Poll::Ready(Err(Broken)));
}

struct StopAt(usize);

impl App<Echo> for StopAt {
    fn poll(&mut self, _: &mut core::task::Context<'_>, _: Now, echo: &mut Echo) -> Poll<()> {
        if echo.queue.len() >= self.0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[test]
fn stopping_flushes_what_is_queued() {
    let world = world();
    world.borrow_mut().inbox.push_back((0..10_u8).map(|i| [i].to_vec()).collect());
    world.borrow_mut().room = 4;
    let mut echo = Echo::new(&world);
    // More than the send batch can take at once.
    echo.queue.extend((0..1000).map(|_| (super::path(), [9; 9].to_vec())));
    let mut app = StopAt(1010);
    let mut task = Task::new(Driver::lend(FakeIo(Rc::clone(&world)), &mut echo, &mut app, DriverConfig::default()));
    assert!(task.settle().is_pending());
    assert_eq!(world.borrow().timer, Some(Instant::ZERO + Duration::from_secs(1)), "the grace time runs");
    world.borrow_mut().inbox.push_back([b"too late".to_vec()].into());
    world.borrow_mut().room = usize::MAX;
    let Poll::Ready(Ok(stats)) = task.settle() else { panic!("flushed") };
    assert_eq!((stats.sent, stats.discarded, stats.received), (1010, 0, 10));
    assert_eq!(world.borrow().outbox.len(), 1010);
    assert!(echo.queue.is_empty());
}

#[test]
fn a_flush_into_a_blocked_socket_ends_with_the_grace_time() {
    let world = world();
    world.borrow_mut().inbox.push_back([b"a".to_vec(), b"b".to_vec()].into());
    world.borrow_mut().room = 0;
    let config = DriverConfig { grace: Duration::from_nanos(50), ..DriverConfig::default() };
    let mut task = Task::new(Driver::new(FakeIo(Rc::clone(&world)), Echo::new(&world), StopAt(2), config));
    assert!(task.settle().is_pending());
    world.borrow_mut().now = 49;
    assert!(task.settle().is_pending());
    assert_eq!(task.bell.rung(), 0);
    world.borrow_mut().now = 50;
    let Poll::Ready(Ok(stats)) = task.settle() else { panic!("gave up") };
    assert_eq!((stats.sent, stats.discarded), (0, 2));
}

#[test]
fn a_flush_ends_even_with_untaken_events() {
    let world = world();
    world.borrow_mut().inbox.push_back([b"a".to_vec()].into());
    let mut echo = Echo::new(&world);
    echo.talkative = true;
    let mut task = Task::new(Driver::new(FakeIo(Rc::clone(&world)), echo, StopAt(1), DriverConfig::default()));
    let Poll::Ready(Ok(stats)) = task.settle() else { panic!("ended") };
    assert_eq!(stats.sent, 1);
}
