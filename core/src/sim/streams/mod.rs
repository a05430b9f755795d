//! Byte streams between machines on virtual time.
//!
//! A [`StreamWorld`] holds hosts, each with a [`Streams`] machine and its own [`Driver`] (the real one), and the network between them: latency,
//! bandwidth, socket buffers of a limited size, reads and writes cut anywhere, streams reset at any byte, hosts that refuse, fall silent,
//! stall or crash. The same seed gives the same run.
//!
//! ```
//! use sluis_core::sim::machines::StreamEcho;
//! use sluis_core::sim::streams::{StreamLink, StreamWorld};
//! use sluis_core::time::Duration;
//! use sluis_core::{Now, Seed};
//!
//! let mut world = StreamWorld::new(StreamLink::default(), &Seed::from_u64(7));
//! let echo = world.listen("echo", StreamEcho::new(8), |_: Now, _: &mut StreamEcho| sluis_core::driver::Flow::Continue);
//! assert!(world.run_for(Duration::from_secs(1)));
//! assert_eq!(world.streams(echo), 0);
//! ```

mod net;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll, Waker};

use crate::driver::{App, Driver, Own, StreamTransport};
use crate::time::{Duration, Instant, Now};
use crate::{Seed, Streams};

use net::Net;
pub use net::{Reach, SimStreams, StreamLink};

/// One of the hosts of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(usize);

/// Hosts, the network between them, and time.
pub struct StreamWorld {
    net: Rc<RefCell<Net>>,
    tasks: Vec<Task>,
}

struct Task {
    /// `None` once it has ended or crashed.
    driver: Option<Pin<Box<dyn Future<Output = ()>>>>,
    woken: Arc<Flag>,
    waker: Waker,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Polls of all hosts at one instant; more is a driver or machine that spins.
const POLLS: usize = 100_000;

impl StreamWorld {
    /// Without hosts, at the monotonic time of 1,000 s. Every stream goes over a link like this.
    #[must_use]
    pub fn new(link: StreamLink, seed: &Seed) -> Self {
        Self { net: Rc::new(RefCell::new(Net::new(link, seed.fork("streams")))), tasks: Vec::new() }
    }

    /// A host that dials and is not dialled.
    pub fn add<M, A>(&mut self, name: &str, machine: M, app: A) -> HostId
    where
        M: Streams + 'static,
        A: App<M> + 'static,
    {
        self.host(name, Reach::Refusing, machine, app)
    }

    /// A host that listens, on every port; others reach it by its name.
    pub fn listen<M, A>(&mut self, name: &str, machine: M, app: A) -> HostId
    where
        M: Streams + 'static,
        A: App<M> + 'static,
    {
        self.host(name, Reach::Listening, machine, app)
    }

    fn host<M, A>(&mut self, name: &str, reach: Reach, machine: M, app: A) -> HostId
    where
        M: Streams + 'static,
        A: App<M> + 'static,
    {
        let host = self.net.borrow_mut().add(name, reach);
        let task = self.task(host, machine, app);
        self.tasks.push(task);
        HostId(host)
    }

    fn task<M, A>(&self, host: usize, machine: M, app: A) -> Task
    where
        M: Streams + 'static,
        A: App<M> + 'static,
    {
        let io = SimStreams::new(Rc::clone(&self.net), host);
        let driver = Driver::over(StreamTransport::new(io), Own { machine, app }, Duration::from_secs(1));
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        // The network never fails as a whole.
        let driver = Box::pin(async move {
            let _ = driver.await;
        });
        Task { driver: Some(driver), woken, waker }
    }

    /// The io of a host that is driven from outside.
    #[cfg(test)]
    pub(crate) fn io(&mut self, name: &str) -> SimStreams {
        let host = self.net.borrow_mut().add(name, Reach::Refusing);
        let woken = Arc::new(Flag::default());
        self.tasks.push(Task { driver: None, waker: Waker::from(Arc::clone(&woken)), woken });
        SimStreams::new(Rc::clone(&self.net), host)
    }

    /// Crash a host, and start it anew with this machine: its streams break, nothing of it is flushed.
    pub fn restart<M, A>(&mut self, host: HostId, reach: Reach, machine: M, app: A)
    where
        M: Streams + 'static,
        A: App<M> + 'static,
    {
        self.crash(host);
        self.set_reach(host, reach);
        let task = self.task(host.0, machine, app);
        if let Some(place) = self.tasks.get_mut(host.0) {
            *place = task;
        }
    }

    /// Crash a host: its streams break. It comes back with [`restart`](Self::restart).
    pub fn crash(&mut self, host: HostId) {
        self.cut(host);
        if let Some(task) = self.tasks.get_mut(host.0) {
            task.driver = None;
        }
    }

    /// How a host answers those who dial it from now on. What is up stays.
    pub fn set_reach(&mut self, host: HostId, reach: Reach) {
        self.net.borrow_mut().set_reach(host.0, reach);
    }

    /// Break all streams of a host, now.
    pub fn cut(&mut self, host: HostId) {
        self.net.borrow_mut().cut(host.0);
    }

    /// Let nothing that is sent to a host arrive (as a cable that is pulled), or let it go on, late and in order.
    pub fn stall(&mut self, host: HostId, stalled: bool) {
        self.net.borrow_mut().stall(host.0, stalled);
    }

    /// Set the wall clock of a host off by so many seconds.
    pub fn set_clock(&mut self, host: HostId, off_s: i64) {
        self.net.borrow_mut().set_clock(host.0, off_s);
    }

    /// Run a host once more: something was put where its app finds it.
    pub fn wake(&mut self, host: HostId) {
        if let Some(task) = self.tasks.get(host.0) {
            task.waker.wake_by_ref();
        }
    }

    /// Both clocks, that of the wall as a host without skew has it.
    #[must_use]
    pub fn now(&self) -> Now {
        self.net.borrow().now(None)
    }

    /// Streams that a host has, those that wait to be accepted aside.
    #[must_use]
    pub fn streams(&self, host: HostId) -> usize {
        self.net.borrow().streams(host.0)
    }

    /// The most bytes that were under way in one direction of one stream, both socket buffers included.
    #[must_use]
    pub fn most_held(&self) -> usize {
        self.net.borrow().most_held
    }

    /// Let time pass; `false` when a host spins: the world has stopped there.
    pub fn run_for(&mut self, time: Duration) -> bool {
        let end = self.now().mono + time;
        loop {
            if !self.settle() {
                return false;
            }
            let next = self.net.borrow().next().filter(|at| *at <= end);
            match next {
                Some(at) => self.turn_to(at),
                None => break,
            }
        }
        self.turn_to(end);
        self.settle()
    }

    fn turn_to(&mut self, at: Instant) {
        self.net.borrow_mut().turn_to(at);
    }

    /// Poll whoever is woken until nobody is.
    fn settle(&mut self) -> bool {
        for _ in 0..POLLS {
            let mut any = false;
            for task in &mut self.tasks {
                let Some(driver) = &mut task.driver else { continue };
                if task.woken.0.swap(false, Ordering::Relaxed) {
                    any = true;
                    if driver.as_mut().poll(&mut Context::from_waker(&task.waker)) == Poll::Ready(()) {
                        task.driver = None;
                    }
                }
            }
            if !any {
                return true;
            }
        }
        false
    }
}

impl core::fmt::Debug for StreamWorld {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StreamWorld").field("hosts", &self.tasks.len()).finish_non_exhaustive()
    }
}
