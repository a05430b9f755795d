//! Socket, clock and timer together.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use sluis_core::driver::{Io, RecvBatch, SendBatch};
use sluis_core::{Instant, Now};

use crate::{Readiness, SystemClock, Udp};

/// One timer of a runtime.
pub trait Timer {
    /// Set it to `at` (`None` unsets it), if it is not set so already, and wait for it.
    fn poll_at(&mut self, cx: &mut Context<'_>, at: Option<std::time::Instant>) -> Poll<()>;
}

/// The io of a runtime whose sockets have [`Readiness`] and whose [`Timer`] this is.
#[derive(Debug)]
pub struct UdpIo<S, T> {
    udp: Udp<S>,
    timer: T,
    clock: SystemClock,
}

impl<S: Readiness, T: Timer> UdpIo<S, T> {
    /// Take over a non-blocking socket that `runtime` has registered. The timer and the clock go by the same time.
    ///
    /// # Errors
    /// The socket cannot be prepared.
    pub fn new(runtime: S, timer: T, clock: SystemClock) -> io::Result<Self> {
        Ok(Self { udp: Udp::new(runtime)?, timer, clock })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.udp.local_addr()
    }

    /// Its clock, for whoever shares the machine.
    #[must_use]
    pub fn clock(&self) -> SystemClock {
        self.clock
    }
}

impl<S: Readiness, T: Timer> Io for UdpIo<S, T> {
    type Error = io::Error;

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, rx: &mut RecvBatch) -> Poll<io::Result<()>> {
        self.udp.poll_recv(cx, rx)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, tx: &mut SendBatch) -> Poll<io::Result<()>> {
        self.udp.poll_send(cx, tx)
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        self.timer.poll_at(cx, at.map(|at| self.clock.to_std(at)))
    }
}
