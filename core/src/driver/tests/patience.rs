//! The loop under floods, forgetful machines and odd timers: fair, and never spinning.

use core::task::{Context, Poll};
use std::rc::Rc;

use super::{Call, Echo, FakeIo, Shared, Task, world};
use crate::driver::{App, Driver, DriverConfig, Flow};
use crate::time::{Duration, Instant, Now, Reason};
use crate::{Datagrams, Machine, Path, Reject, Transmit, Wants};

fn count(world: &Shared, call: Call) -> usize {
    world.borrow().calls.iter().filter(|c| **c == call).count()
}

/// Never takes an event.
fn ignore(_: Now, echo: &mut Echo) -> Flow {
    echo.world.borrow_mut().calls.push(Call::App);
    Flow::Continue
}

#[test]
fn a_flood_starves_neither_timers_nor_app_nor_sends_nor_other_tasks() {
    let world = world();
    world.borrow_mut().flood = true;
    let mut echo = Echo::new(&world);
    echo.at = Some(Instant::from_nanos(5));
    let mut task = Task::new(Driver::new(FakeIo(Rc::clone(&world)), echo, ignore, DriverConfig::default()));
    assert!(task.poll().is_pending());
    assert_eq!(task.bell.rung(), 1, "yields and comes back");
    let (read, sent) = (count(&world, Call::Recv), world.borrow().outbox.len());
    assert!(read <= 32, "a poll is bounded, it read {read}");
    assert_eq!(sent, read, "everything is answered on the way");
    assert_eq!(count(&world, Call::App), read);
    assert_eq!(count(&world, Call::Timeout), 0);
    world.borrow_mut().now = 5;
    assert!(task.poll().is_pending());
    assert_eq!(count(&world, Call::Timeout), 1, "a due timer is served in the midst of it");
}

#[test]
fn a_large_batch_is_handed_in_by_chunks() {
    let world = world();
    let slots = DriverConfig { recv_slots: 1000, recv_slot_len: 64, ..DriverConfig::default() };
    world.borrow_mut().inbox.push_back((0..1000).map(|_| [0; 8].to_vec()).collect());
    let mut task = Task::new(Driver::new(FakeIo(Rc::clone(&world)), Echo::new(&world), ignore, slots));
    assert!(task.settle().is_pending());
    let world = world.borrow();
    let longest =
        world.calls.split(|c| *c == Call::Send).map(|part| part.iter().filter(|c| **c == Call::Datagram).count());
    assert_eq!(longest.max(), Some(16));
    assert_eq!(world.outbox.len(), 1000);
}

#[test]
fn events_that_nobody_takes_do_not_make_it_spin_nor_stop_the_timers() {
    let world = world();
    world.borrow_mut().inbox.push_back([b"x".to_vec()].into());
    let mut echo = Echo::new(&world);
    echo.talkative = true;
    echo.at = Some(Instant::from_nanos(5_000_000));
    let mut task = Task::new(Driver::new(FakeIo(Rc::clone(&world)), echo, ignore, DriverConfig::default()));
    assert!(task.settle().is_pending());
    assert_eq!(task.bell.rung(), 0);
    assert!(world.borrow().calls.len() < 12, "{:?}", world.borrow().calls);
    // The deadline is hidden behind `Now`: it looks again soon.
    let wake = world.borrow().timer.expect("armed");
    world.borrow_mut().now = wake.as_nanos();
    assert!(task.settle().is_pending());
    assert_eq!(world.borrow().outbox, [b"x".to_vec(), b"timer".to_vec()]);
}

#[test]
fn a_deadline_that_stays_in_the_past_does_not_make_it_spin() {
    let world = world();
    let mut echo = Echo::new(&world);
    (echo.at, echo.stubborn) = (Some(Instant::ZERO), true);
    let mut task = Task::new(Driver::new(FakeIo(Rc::clone(&world)), echo, ignore, DriverConfig::default()));
    for round in 1..=3 {
        assert!(task.settle().is_pending());
        assert_eq!(task.bell.rung(), 0);
        assert!(count(&world, Call::Timeout) <= round * 64);
        let wake = world.borrow().timer.expect("armed");
        assert!(wake.as_nanos() > world.borrow().now, "later, not at once");
        world.borrow_mut().now = wake.as_nanos();
    }
}

struct Alarm(Instant);

impl App<Echo> for Alarm {
    fn poll(&mut self, _: &mut Context<'_>, _: Now, echo: &mut Echo) -> Poll<()> {
        echo.world.borrow_mut().calls.push(Call::App);
        Poll::Pending
    }
    fn deadline(&self) -> Option<Instant> {
        Some(self.0)
    }
}

#[test]
fn the_apps_deadline_wakes_it_and_a_stale_one_does_not_spin() {
    let world = world();
    let mut echo = Echo::new(&world);
    echo.at = Some(Instant::from_nanos(100));
    let app = Alarm(Instant::from_nanos(60));
    let mut task = Task::new(Driver::new(FakeIo(Rc::clone(&world)), echo, app, DriverConfig::default()));
    assert!(task.settle().is_pending());
    assert_eq!(world.borrow().timer, Some(Instant::from_nanos(60)), "the earlier of the two");
    world.borrow_mut().now = 60;
    assert!(task.settle().is_pending());
    assert_eq!(count(&world, Call::App), 2);
    assert_eq!(world.borrow().timer, Some(Instant::from_nanos(100)));
    world.borrow_mut().now = 100;
    assert!(task.settle().is_pending());
    assert_eq!(task.bell.rung(), 0);
    assert_eq!(world.borrow().timer, Some(Instant::from_nanos(100) + Duration::from_millis(10)));
}

#[test]
fn the_timer_is_set_anew_only_when_it_would_fire_too_late() {
    let world = world();
    let mut echo = Echo::new(&world);
    echo.at = Some(Instant::from_nanos(50));
    let mut task = Task::new(Driver::new(FakeIo(Rc::clone(&world)), echo, later, DriverConfig::default()));
    assert!(task.settle().is_pending());
    assert_eq!(count(&world, Call::Timer), 1);
    // Every datagram moves the deadline away: the timer stays as it is.
    for _ in 0..10 {
        world.borrow_mut().inbox.push_back([b"x".to_vec()].into());
        assert!(task.settle().is_pending());
    }
    assert_eq!(count(&world, Call::Timer), 1);
    // It fires early once, and is then set to what is needed.
    world.borrow_mut().now = 50;
    assert!(task.settle().is_pending());
    assert_eq!((count(&world, Call::Timer), count(&world, Call::Timeout)), (2, 0));
    assert_eq!(world.borrow().timer, Some(Instant::from_nanos(1000)));
    assert!(task.settle().is_pending());
    assert_eq!(world.borrow().timer, Some(Instant::from_nanos(1000)));
}

fn later(_: Now, echo: &mut Echo) -> Flow {
    if !echo.queue.is_empty() {
        echo.at = Some(Instant::from_nanos(1000));
    }
    Flow::Continue
}

/// Tells of what it transmitted only once it has: its events come after the app's turn.
#[derive(Default)]
struct Late {
    queued: usize,
    told: usize,
    seen: usize,
}

impl Machine for Late {
    type Event<'a> = ();
    fn handle_timeout(&mut self, _: Now) {}
    fn poll_event(&mut self) -> Option<()> {
        self.told = self.told.checked_sub(1)?;
        Some(())
    }
    fn wants(&self) -> Wants {
        let at = Some((Instant::from_nanos(7), Reason::Heartbeat));
        Wants { events: self.told > 0, output: self.queued > 0, at, ..Wants::NOTHING }
    }
}

impl Datagrams for Late {
    fn handle_datagram(&mut self, _: Now, _: Path, _: &mut [u8]) -> Result<(), Reject> {
        self.queued += 1;
        Ok(())
    }
    fn poll_transmit(&mut self, _: Now, _: &mut [u8]) -> Option<Transmit> {
        self.queued = self.queued.checked_sub(1)?;
        self.told += 1;
        Some(Transmit { path: super::path(), len: 1 })
    }
}

#[test]
fn events_that_come_of_sending_are_taken_in_the_same_wake() {
    let world = world();
    world.borrow_mut().inbox.push_back([b"x".to_vec()].into());
    let mut late = Late::default();
    let mut app = |_: Now, late: &mut Late| {
        while late.poll_event().is_some() {
            late.seen += 1;
        }
        Flow::Continue
    };
    let mut task = Task::new(Driver::lend(FakeIo(Rc::clone(&world)), &mut late, &mut app, DriverConfig::default()));
    assert!(task.settle().is_pending());
    drop(task);
    assert_eq!(late.seen, 1);
    assert_eq!(world.borrow().timer, Some(Instant::from_nanos(7)));
}
