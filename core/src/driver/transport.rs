//! What the loop does for one kind of machine: datagrams, streams, or both.

use core::task::{Context, Poll};

use super::{DriverStats, Io, RecvBatch, SendBatch};
use crate::time::{Instant, Now};
use crate::{Datagrams, Wants};

/// The side of a [`Driver`](super::Driver) that faces the network: what came is received and handed in, what is to go is taken out and
/// sent. [`DatagramTransport`], [`StreamTransport`](super::StreamTransport), [`Both`], and [`Stored`](super::Stored) around any of them.
pub trait Transport<M> {
    /// What ends the driver.
    type Error;

    /// Read both clocks.
    fn now(&self) -> Now;

    /// Set the timer to `at` and wait for it.
    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()>;

    /// See to it that something waits to be handed in; `false` if nothing came, or nothing is to be read now. While `flushing` nothing
    /// is read.
    ///
    /// # Errors
    /// The io can no longer be used.
    fn receive(&mut self, cx: &mut Context<'_>, stats: &mut DriverStats, flushing: bool) -> Result<bool, Self::Error>;

    /// Hand in a bounded part of what came; whether there was any.
    fn hand_in(&mut self, now: Now, machine: &mut M, stats: &mut DriverStats) -> bool;

    /// Take out what the machine has to send, as far as there is room; whether that was anything.
    fn fill(&mut self, now: Now, machine: &mut M) -> bool;

    /// Send what waits.
    ///
    /// # Errors
    /// The io can no longer be used.
    fn send(&mut self, cx: &mut Context<'_>, stats: &mut DriverStats) -> Result<Sent, Self::Error>;

    /// What of what the machine wants can be taken from it now; the rest waits for something that wakes the task.
    fn can_take(&self, wants: Wants) -> Wants {
        wants
    }

    /// Whether nothing more can be taken out of the machine before something was sent.
    fn is_full(&self) -> bool;

    /// Whether nothing waits to be sent.
    fn is_empty(&self) -> bool;

    /// Drop what waits to be sent, and count it.
    fn discard(&mut self, now: Now, machine: &mut M, stats: &mut DriverStats);
}

/// What [`Transport::send`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sent {
    /// The io took something.
    pub moved: bool,
    /// There is something to do at the machine because of it, without a wake.
    pub more: bool,
}

/// Datagrams through an [`Io`].
#[derive(Debug)]
pub struct DatagramTransport<I> {
    pub(super) io: I,
    rx: RecvBatch,
    tx: SendBatch,
}

/// Datagrams handed in before the app and the sends get their turn. Few enough that the other end is at work on the first
/// answers while we are at work on the rest (with 64 in flight that doubles the round trips), and enough for a batch.
const CHUNK: usize = 16;

impl<I> DatagramTransport<I> {
    /// With buffers of the sizes that the configuration says.
    pub fn new(io: I, config: &super::DriverConfig) -> Self {
        Self {
            io,
            rx: RecvBatch::new(config.recv_slots, config.recv_slot_len),
            tx: SendBatch::new(config.send_entries, config.send_bytes),
        }
    }
}

impl<M: Datagrams, I: Io> Transport<M> for DatagramTransport<I> {
    type Error = I::Error;

    fn now(&self) -> Now {
        self.io.now()
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        self.io.poll_timer(cx, at)
    }

    fn receive(&mut self, cx: &mut Context<'_>, stats: &mut DriverStats, flushing: bool) -> Result<bool, I::Error> {
        if flushing {
            return Ok(false);
        }
        if !self.rx.is_empty() {
            return Ok(true);
        }
        // Parked writes: what comes in now could not be answered.
        if self.tx.is_full() {
            return Ok(false);
        }
        let polled = self.io.poll_recv(cx, &mut self.rx);
        stats.recv_errors += self.rx.take_errors();
        match polled {
            Poll::Ready(Ok(())) => {
                stats.batches += 1;
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(false),
        }
    }

    fn hand_in(&mut self, now: Now, machine: &mut M, stats: &mut DriverStats) -> bool {
        self.tx.tell_unsent(now, machine);
        let mut changed = false;
        for change in self.rx.take_networks() {
            machine.handle_network(now, change);
            changed = true;
        }
        let before = stats.received;
        for _ in 0..CHUNK {
            let Some((path, bytes)) = self.rx.next() else { break };
            stats.received += 1;
            // The machine has counted a reject; there is nothing to do about it here.
            let _ = machine.handle_datagram(now, path, bytes);
        }
        changed || stats.received > before
    }

    fn fill(&mut self, now: Now, machine: &mut M) -> bool {
        self.tx.tell_unsent(now, machine);
        let queued = self.tx.len();
        self.tx.fill(now, machine);
        self.tx.len() > queued
    }

    fn send(&mut self, cx: &mut Context<'_>, stats: &mut DriverStats) -> Result<Sent, I::Error> {
        let before = self.tx.len();
        let full = self.tx.is_full();
        while !self.tx.is_empty() {
            let polled = self.io.poll_send(cx, &mut self.tx);
            let (sent, discarded) = self.tx.take_counts();
            stats.sent += sent;
            stats.discarded += discarded;
            // An io that takes nothing and does not wait either would keep us here for ever.
            if polled?.is_pending() || sent + discarded == 0 {
                break;
            }
        }
        // The machine may have had to stop writing for lack of room, or there is something to tell of what did not leave.
        let more = full && !self.tx.is_full() || self.tx.has_unsent();
        Ok(Sent { moved: self.tx.len() < before, more })
    }

    fn is_full(&self) -> bool {
        self.tx.is_full()
    }

    fn is_empty(&self) -> bool {
        self.tx.is_empty()
    }

    fn discard(&mut self, now: Now, machine: &mut M, stats: &mut DriverStats) {
        // Also what there was no room for.
        loop {
            self.tx.discard(self.tx.len());
            stats.discarded += self.tx.take_counts().1;
            self.tx.fill(now, machine);
            if self.tx.is_empty() {
                break;
            }
        }
    }
}

/// Two kinds for one machine: neither waits for the other. Clock and timer are the first one's.
#[derive(Debug)]
pub struct Both<A, B>(
    /// Datagrams, say.
    pub A,
    /// Streams, say.
    pub B,
);

impl<M, A: Transport<M>, B: Transport<M, Error: Into<A::Error>>> Transport<M> for Both<A, B> {
    type Error = A::Error;

    fn now(&self) -> Now {
        self.0.now()
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        self.0.poll_timer(cx, at)
    }

    fn receive(&mut self, cx: &mut Context<'_>, stats: &mut DriverStats, flushing: bool) -> Result<bool, A::Error> {
        let first = self.0.receive(cx, stats, flushing)?;
        Ok(self.1.receive(cx, stats, flushing).map_err(Into::into)? || first)
    }

    fn hand_in(&mut self, now: Now, machine: &mut M, stats: &mut DriverStats) -> bool {
        let first = self.0.hand_in(now, machine, stats);
        self.1.hand_in(now, machine, stats) || first
    }

    fn fill(&mut self, now: Now, machine: &mut M) -> bool {
        let first = self.0.fill(now, machine);
        self.1.fill(now, machine) || first
    }

    fn send(&mut self, cx: &mut Context<'_>, stats: &mut DriverStats) -> Result<Sent, A::Error> {
        let (first, second) = (self.0.send(cx, stats)?, self.1.send(cx, stats).map_err(Into::into)?);
        Ok(Sent { moved: first.moved || second.moved, more: first.more || second.more })
    }

    fn can_take(&self, wants: Wants) -> Wants {
        self.1.can_take(self.0.can_take(wants))
    }

    fn is_full(&self) -> bool {
        self.0.is_full() && self.1.is_full()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty() && self.1.is_empty()
    }

    fn discard(&mut self, now: Now, machine: &mut M, stats: &mut DriverStats) {
        self.0.discard(now, machine, stats);
        self.1.discard(now, machine, stats);
    }
}
