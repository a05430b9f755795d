//! Socket, clock and timer together.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use sluis_core::driver::{Io, RecvBatch, RunLimits, SendBatch};
use sluis_core::{Instant, Now, SocketId};

use crate::{Readiness, Refusals, SystemClock, Udp};

/// One timer of a runtime.
pub trait Timer {
    /// Set it to `at` (`None` unsets it), if it is not set so already, and wait for it.
    fn poll_at(&mut self, cx: &mut Context<'_>, at: Option<std::time::Instant>) -> Poll<()>;
}

/// The io of a runtime whose sockets have [`Readiness`] and whose [`Timer`] this is.
///
/// It has one socket, [`SocketId::MAIN`], and more if any are [added](Self::add): one machine is served by all of them.
#[derive(Debug)]
pub struct UdpIo<S, T> {
    main: Udp<S>,
    /// Those beside the main one; their numbers begin with 1.
    more: Vec<Udp<S>>,
    /// Which socket is asked first for what came in: each gets its turn.
    next: usize,
    timer: T,
    clock: SystemClock,
}

impl<S: Readiness, T: Timer> UdpIo<S, T> {
    /// Take over a non-blocking socket that `runtime` has registered. The timer and the clock go by the same time.
    ///
    /// # Errors
    /// The socket cannot be prepared.
    pub fn new(runtime: S, timer: T, clock: SystemClock) -> io::Result<Self> {
        Ok(Self { main: Udp::new(SocketId::MAIN, runtime)?, more: Vec::new(), next: 0, timer, clock })
    }

    /// Serve the machine through another socket, too: one that another `UdpIo` of the same runtime was made of. The number is
    /// what the [paths](sluis_core::Path) of its datagrams bear.
    ///
    /// # Errors
    /// It has other sockets added itself, or there are 65,535 already.
    pub fn add(&mut self, other: Self) -> io::Result<SocketId> {
        let number = u16::try_from(self.more.len() + 1).ok().filter(|_| other.more.is_empty());
        let id = SocketId::new(number.ok_or(io::ErrorKind::InvalidInput)?);
        let mut socket = other.main;
        socket.id = id;
        self.more.push(socket);
        Ok(id)
    }

    /// What the network says of ports that nobody listens on, as far as the main socket hears of it.
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        self.main.refusals()
    }

    fn at_mut(&mut self, place: usize) -> Option<&mut Udp<S>> {
        if place == 0 { Some(&mut self.main) } else { self.more.get_mut(place - 1) }
    }

    /// Where its main socket listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.main.local_addr()
    }

    /// Its clock, for whoever shares the machine.
    #[must_use]
    pub(crate) fn clock(&self) -> SystemClock {
        self.clock
    }
}

impl<S: Readiness, T: Timer> Io for UdpIo<S, T> {
    type Error = io::Error;

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>, rx: &mut RecvBatch) -> Poll<io::Result<()>> {
        let sockets = self.more.len() + 1;
        for _ in 0..sockets {
            let place = self.next;
            self.next = (place + 1) % sockets;
            let Some(udp) = self.at_mut(place) else { continue };
            if let ready @ Poll::Ready(_) = udp.poll_recv(cx, rx) {
                return ready;
            }
        }
        Poll::Pending
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, tx: &mut SendBatch) -> Poll<io::Result<()>> {
        // In order, whichever socket a datagram leaves through: one that is blocked holds those behind it up, shortly.
        while let Some(run) = tx.front(RunLimits::ONE) {
            match self.at_mut(usize::from(run.path.socket.number())) {
                Some(udp) => ready!(udp.poll_send(cx, tx))?,
                None => tx.discard(1),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        self.timer.poll_at(cx, at.map(|at| self.clock.to_std(at)))
    }
}
