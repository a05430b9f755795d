//! Two driver loops joined in memory: everything of the real thing except sockets and a runtime.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use sluis_core::driver::{App, DatagramTransport, Driver, DriverConfig, Io, Own, RecvBatch, RunLimits, SendBatch};
use sluis_core::framing::{Decision, Encoding};
use sluis_core::node::{Event, Node};
use sluis_core::time::{Duration, Instant, Now};
use sluis_core::{Machine, Path};

use crate::nodes::{Clock, Packets, STEP, ask, hub, hub_addr, sensor, sensor_addr};

/// One end of a line: what it receives comes from `remote`.
#[derive(Debug)]
pub struct Line {
    clock: Rc<Cell<Clock>>,
    inbox: Rc<RefCell<Packets>>,
    outbox: Rc<RefCell<Packets>>,
    /// How much of the inbox was read.
    at: usize,
    remote: Path,
}

impl Io for Line {
    type Error = Infallible;

    fn now(&self) -> Now {
        self.clock.get().now()
    }

    fn poll_recv(&mut self, _: &mut Context<'_>, rx: &mut RecvBatch) -> Poll<Result<(), Infallible>> {
        let mut inbox = self.inbox.borrow_mut();
        for _ in 0..rx.slots() {
            if self.at == inbox.len() {
                inbox.clear();
                self.at = 0;
                break;
            }
            rx.push(self.remote, inbox.get(self.at));
            self.at += 1;
        }
        if rx.is_empty() { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_send(&mut self, _: &mut Context<'_>, tx: &mut SendBatch) -> Poll<Result<(), Infallible>> {
        while let Some(run) = tx.front(RunLimits::ONE) {
            self.outbox.borrow_mut().push(run.bytes);
            tx.advance(1);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_timer(&mut self, _: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        if at.is_some_and(|at| at <= self.now().mono) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The application of a hub: hears everything and says nothing. The hub answers by itself.
#[derive(Debug, Default)]
pub struct Listen {
    /// Pings that it heard of.
    pub heard: u64,
}

impl App<Node> for Listen {
    fn poll(&mut self, _: &mut Context<'_>, _: Now, hub: &mut Node) -> Poll<()> {
        while let Some(event) = hub.poll_event() {
            self.heard += u64::from(matches!(event, Event::Ping(_)));
        }
        Poll::Pending
    }
}

/// The application of a sensor: keeps so many pings in flight, until it has made them all.
#[derive(Debug)]
pub struct Asker {
    /// How it writes.
    pub encoding: Encoding,
    /// How many at once.
    pub in_flight: u64,
    /// How many are still to be made.
    pub left: u64,
    /// How many wait for their answer.
    pub open: u64,
    /// How many were accepted and answered.
    pub answered: u64,
    /// How many were not.
    pub lost: u64,
    /// Stop once all is done.
    pub stop: bool,
    /// Where to ask.
    pub to: Path,
    /// How long an answer may take; `None` is the node's default.
    pub timeout: Option<Duration>,
    /// Where to note nanoseconds from ping to answer; not beyond its capacity.
    pub rtts: Vec<u64>,
}

impl Asker {
    /// Nothing to do yet.
    #[must_use]
    pub fn new(encoding: Encoding, in_flight: u64, to: Path) -> Self {
        Self {
            encoding,
            in_flight,
            left: 0,
            open: 0,
            answered: 0,
            lost: 0,
            stop: false,
            to,
            timeout: None,
            rtts: Vec::new(),
        }
    }

    /// Whether all pings were made and ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.left == 0 && self.open == 0
    }
}

impl App<Node> for Asker {
    fn poll(&mut self, _: &mut Context<'_>, now: Now, sensor: &mut Node) -> Poll<()> {
        while let Some(event) = sensor.poll_event() {
            match event {
                Event::Response(answer) if answer.last => {
                    self.open -= 1;
                    self.answered += u64::from(answer.decision == Decision::Accept);
                    if self.rtts.len() < self.rtts.capacity() {
                        self.rtts.push(u64::try_from(answer.rtt.as_nanos()).unwrap_or(u64::MAX));
                    }
                }
                Event::Timeout { .. } => {
                    self.open -= 1;
                    self.lost += 1;
                }
                _ => {}
            }
        }
        let mut ping = ask(self.encoding);
        ping.path = self.to;
        ping.timeout = self.timeout;
        while self.left > 0 && self.open < self.in_flight && sensor.ping(now, &ping).is_ok() {
            self.left -= 1;
            self.open += 1;
        }
        if self.stop && self.is_done() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// A hub and a sensor, each with a driver, and the line between them.
#[derive(Debug)]
pub struct World {
    clock: Rc<Cell<Clock>>,
    hub: Driver<Own<Node, Listen>, DatagramTransport<Line>>,
    sensor: Driver<Own<Node, Shared>, DatagramTransport<Line>>,
    asker: Rc<RefCell<Asker>>,
}

/// An app that the test looks at between polls.
#[derive(Debug)]
pub struct Shared(Rc<RefCell<Asker>>);

impl App<Node> for Shared {
    fn poll(&mut self, cx: &mut Context<'_>, now: Now, sensor: &mut Node) -> Poll<()> {
        self.0.borrow_mut().poll(cx, now, sensor)
    }
}

impl World {
    /// With so many pings in flight.
    #[must_use]
    pub fn new(encoding: Encoding, in_flight: u64) -> Self {
        let clock = Rc::new(Cell::new(Clock::default()));
        let (there, back) = (Rc::<RefCell<Packets>>::default(), Rc::<RefCell<Packets>>::default());
        let line = |inbox: &Rc<_>, outbox: &Rc<_>, remote| Line {
            clock: Rc::clone(&clock),
            inbox: Rc::clone(inbox),
            outbox: Rc::clone(outbox),
            at: 0,
            remote: Path::to(remote),
        };
        let config = DriverConfig { recv_slots: 64, recv_slot_len: 2048, ..DriverConfig::default() };
        let asker = Rc::new(RefCell::new(Asker::new(encoding, in_flight, hub_addr().into())));
        Self {
            hub: Driver::new(line(&there, &back, sensor_addr()), hub(0.9), Listen::default(), config),
            sensor: Driver::new(line(&back, &there, hub_addr()), sensor(), Shared(Rc::clone(&asker)), config),
            clock,
            asker,
        }
    }

    /// Make so many pings and wait for all answers; how many came.
    ///
    /// # Panics
    /// A driver ended, or nothing moves any more.
    pub fn run(&mut self, pings: u64) -> u64 {
        let before = {
            let mut asker = self.asker.borrow_mut();
            asker.left = pings;
            asker.answered
        };
        let mut cx = Context::from_waker(Waker::noop());
        let mut rounds = 0;
        while !self.asker.borrow().is_done() {
            let mut clock = self.clock.get();
            clock.advance(STEP);
            self.clock.set(clock);
            assert!(pin!(&mut self.sensor).poll(&mut cx).is_pending(), "the sensor's driver ended");
            assert!(pin!(&mut self.hub).poll(&mut cx).is_pending(), "the hub's driver ended");
            rounds += 1;
            assert!(rounds <= 10 * pings + 1000, "nothing moves any more: {:?}", self.asker);
        }
        self.asker.borrow().answered - before
    }
}
