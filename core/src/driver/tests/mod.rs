//! The driver on a fake io: no runtime, no socket, no clock.

mod batches;
mod drive;
#[cfg(feature = "std")]
mod handle;
mod patience;
#[cfg(feature = "std")]
mod stored;
#[cfg(feature = "std")]
mod streams;

use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Wake;
use std::vec::Vec;

use super::{Io, RecvBatch, SendBatch};
use crate::time::{Instant, Now, Reason, Wall};
use crate::{Datagrams, Machine, Path, Reject, Transmit, Unsent, Wants};

/// One thing that happened, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Recv,
    Datagram,
    Timeout,
    App,
    Send,
    Timer,
}

/// What the fake io and the tests share.
#[derive(Debug, Default)]
struct World {
    calls: Vec<Call>,
    now: u64,
    /// Clock readings.
    reads: usize,
    /// Batches to be received; an empty one is an ignored error.
    inbox: VecDeque<Vec<Vec<u8>>>,
    /// Every receive call brings one datagram, for ever.
    flood: bool,
    outbox: Vec<Vec<u8>>,
    /// Datagrams that the socket takes before it blocks.
    room: usize,
    /// Datagrams that one send call takes at most (0: any number).
    prefix: usize,
    /// Every datagram this long is refused by the socket.
    refuse: Option<usize>,
    /// What the machine was told that did not leave.
    unsent: Vec<(Vec<u8>, Unsent)>,
    broken: bool,
    timer: Option<Instant>,
}

type Shared = Rc<RefCell<World>>;

fn world() -> Shared {
    Rc::new(RefCell::new(World { room: usize::MAX, ..World::default() }))
}

fn path() -> Path {
    Path::to(([192, 0, 2, 1], 7150).into())
}

struct FakeIo(Shared);

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("broken")]
struct Broken;

impl Io for FakeIo {
    type Error = Broken;

    fn now(&self) -> Now {
        let mut world = self.0.borrow_mut();
        world.reads += 1;
        Now::new(Instant::from_nanos(world.now), Wall::from_micros(0))
    }

    fn poll_recv(&mut self, _: &mut Context<'_>, rx: &mut RecvBatch) -> Poll<Result<(), Broken>> {
        assert!(rx.is_empty(), "unread datagrams would be lost");
        let mut world = self.0.borrow_mut();
        world.calls.push(Call::Recv);
        if world.broken {
            return Poll::Ready(Err(Broken));
        }
        let batch = if world.flood { Some([[0; 8].to_vec()].to_vec()) } else { world.inbox.pop_front() };
        let Some(batch) = batch else { return Poll::Pending };
        if batch.is_empty() {
            rx.note_error();
        }
        for datagram in batch {
            assert!(rx.push(path(), &datagram));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, tx: &mut SendBatch) -> Poll<Result<(), Broken>> {
        assert!(!tx.is_empty());
        let mut world = self.0.borrow_mut();
        world.calls.push(Call::Send);
        for _ in 0..if world.prefix == 0 { usize::MAX } else { world.prefix } {
            let Some(run) = tx.front(super::RunLimits::ONE) else { break };
            if Some(run.bytes.len()) == world.refuse {
                tx.refuse(1, Unsent::TooLarge);
                continue;
            }
            if world.room == 0 {
                return Poll::Pending;
            }
            world.room -= 1;
            world.outbox.push(run.bytes.to_vec());
            tx.advance(1);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_timer(&mut self, _: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        let mut world = self.0.borrow_mut();
        world.calls.push(Call::Timer);
        world.timer = at;
        if at.is_some_and(|at| at.as_nanos() <= world.now) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Sends back what it gets; tells about it in events if `talkative`.
struct Echo {
    world: Shared,
    queue: VecDeque<(Path, Vec<u8>)>,
    cap: usize,
    talkative: bool,
    events: usize,
    at: Option<Instant>,
    /// `handle_timeout` leaves the deadline as it is.
    stubborn: bool,
}

impl Echo {
    fn new(world: &Shared) -> Self {
        Self {
            world: Rc::clone(world),
            queue: VecDeque::new(),
            cap: 100_000,
            talkative: false,
            events: 0,
            at: None,
            stubborn: false,
        }
    }
}

impl Machine for Echo {
    type Event<'a> = ();

    fn handle_timeout(&mut self, now: Now) {
        self.world.borrow_mut().calls.push(Call::Timeout);
        if !self.stubborn && self.at.is_some_and(|at| at <= now.mono) {
            self.at = None;
            self.queue.push_back((path(), b"timer".to_vec()));
        }
    }

    fn poll_event(&mut self) -> Option<()> {
        self.events = self.events.checked_sub(1)?;
        Some(())
    }

    fn wants(&self) -> Wants {
        let at = self.at.map(|at| (at, Reason::Application));
        Wants { events: self.events > 0, output: !self.queue.is_empty(), at, ..Wants::NOTHING }
    }
}

impl Datagrams for Echo {
    fn handle_unsent(&mut self, _: Now, _: Path, bytes: &[u8], why: Unsent) {
        self.world.borrow_mut().unsent.push((bytes.to_vec(), why));
    }

    fn handle_datagram(&mut self, _: Now, path: Path, bytes: &mut [u8]) -> Result<(), Reject> {
        self.world.borrow_mut().calls.push(Call::Datagram);
        if self.queue.len() >= self.cap {
            return Err(Reject::Busy);
        }
        self.events += usize::from(self.talkative);
        self.queue.push_back((path, bytes.to_vec()));
        Ok(())
    }

    fn poll_transmit(&mut self, _: Now, out: &mut [u8]) -> Option<Transmit> {
        let (path, bytes) = self.queue.pop_front()?;
        out[..bytes.len()].copy_from_slice(&bytes);
        Some(Transmit { path, len: bytes.len() })
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rung(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A task: polls once, and says whether it was woken.
struct Task<F> {
    future: F,
    bell: Arc<Bell>,
    waker: Waker,
}

impl<F: Future + Unpin> Task<F> {
    fn new(future: F) -> Self {
        let bell = Arc::new(Bell::default());
        Self { future, waker: Waker::from(Arc::clone(&bell)), bell }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        Pin::new(&mut self.future).poll(&mut Context::from_waker(&self.waker))
    }

    /// Poll for as long as it wakes itself.
    fn settle(&mut self) -> Poll<F::Output> {
        for _ in 0..10_000 {
            let before = self.bell.rung();
            let polled = self.poll();
            if polled.is_ready() || self.bell.rung() == before {
                return polled;
            }
        }
        panic!("it spins");
    }
}
