//! The loop.

use core::future::Future;
use core::ops::ControlFlow;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use super::{App, Io, Lend, MachineAccess, Own, RecvBatch, SendBatch};
use crate::time::{Duration, Instant, Now};
use crate::{Datagrams, Machine as _, Wants};

/// Datagrams handed in before the app and the sends get their turn. Few enough that the other end is at work on the first
/// answers while we are at work on the rest (with 64 in flight that doubles the round trips), and enough for a batch.
const CHUNK: usize = 16;
/// Turns in one poll before other tasks get theirs.
const TURNS: usize = 16;
/// `handle_timeout` calls in one turn.
const TIMEOUTS: usize = 64;
/// How long a machine (or app) that still wants to be called right after it was called is left alone.
const STALL: Duration = Duration::from_millis(10);

/// Sizes of a driver's buffers and its patience.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverConfig {
    /// Receive buffers.
    pub recv_slots: usize,
    /// Bytes of a receive buffer. At least 65,535 where the kernel may coalesce datagrams.
    pub recv_slot_len: usize,
    /// Datagrams that may wait for the socket.
    pub send_entries: usize,
    /// Bytes that may wait for the socket, beside room for one largest datagram.
    pub send_bytes: usize,
    /// How long the driver flushes what is queued once it was told to stop.
    pub grace: Duration,
}

impl Default for DriverConfig {
    /// 16 slots of 64 KiB in; 256 datagrams and 256 KiB out; one second of grace.
    fn default() -> Self {
        Self {
            recv_slots: 16,
            recv_slot_len: 65_536,
            send_entries: 256,
            send_bytes: 256 * 1024,
            grace: Duration::from_secs(1),
        }
    }
}

/// What a driver did so far. Counters stop at `u64::MAX` only in theory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DriverStats {
    /// Times the driver's task ran.
    pub wakes: u64,
    /// Receive batches.
    pub batches: u64,
    /// Datagrams handed to the machine, whatever it made of them.
    pub received: u64,
    /// Datagrams that the socket took.
    pub sent: u64,
    /// Datagrams that could not be sent: too large for the path, nobody there, not allowed, or still queued when the
    /// grace time of a shutdown was over.
    pub discarded: u64,
    /// Receive errors that concerned a single peer and were ignored.
    pub recv_errors: u64,
}

/// Feeds a machine from an [`Io`] until its [`App`] says stop or the io fails: a future for any executor.
///
/// Its result is what it did, or the io's error. Dropping it stops at once, without a flush.
#[derive(Debug)]
#[must_use = "a driver does nothing unless it is polled"]
pub struct Driver<H, I> {
    hold: H,
    io: I,
    rx: RecvBatch,
    tx: SendBatch,
    stats: DriverStats,
    grace: Duration,
    /// When the machine has to be called at the latest.
    due: Option<Instant>,
    /// When the app wants to be called at the latest.
    app_due: Option<Instant>,
    /// What the runtime's timer is set to, and the task it wakes.
    armed: Option<(Instant, Waker)>,
    /// Since the app said stop: flush until then.
    flush_until: Option<Instant>,
    /// The last turn left something that can move on without a wake.
    more: bool,
}

impl<M: Datagrams, A: App<M>, I: Io> Driver<Own<M, A>, I> {
    /// Drive a machine of its own.
    pub fn new(io: I, machine: M, app: A, config: DriverConfig) -> Self {
        Self::with_hold(io, Own { machine, app }, config)
    }
}

impl<'a, M: Datagrams, A: App<M>, I: Io> Driver<Lend<'a, M, A>, I> {
    /// Drive a machine that is used again afterwards.
    pub fn lend(io: I, machine: &'a mut M, app: &'a mut A, config: DriverConfig) -> Self {
        Self::with_hold(io, Lend { machine, app }, config)
    }
}

impl<H: MachineAccess, I: Io> Driver<H, I> {
    /// Drive whatever `hold` gives access to.
    pub(crate) fn with_hold(io: I, hold: H, config: DriverConfig) -> Self {
        Self {
            hold,
            io,
            rx: RecvBatch::new(config.recv_slots, config.recv_slot_len),
            tx: SendBatch::new(config.send_entries, config.send_bytes),
            stats: DriverStats::default(),
            grace: config.grace,
            due: None,
            app_due: None,
            armed: None,
            flush_until: None,
            more: false,
        }
    }

    /// What it did so far.
    #[must_use]
    pub fn stats(&self) -> DriverStats {
        self.stats
    }

    /// Take it apart: access to the machine, and the io. What waits to be sent is dropped.
    pub fn into_parts(self) -> (H, I) {
        (self.hold, self.io)
    }

    /// Run until nothing moves or the budget of one poll is spent.
    fn run(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        let mut woken = true;
        let mut moved = false;
        for _ in 0..TURNS {
            let received = self.receive(cx)?;
            if (woken || received || self.more) && self.turn(cx, woken || self.more).is_break() {
                return Poll::Ready(Ok(()));
            }
            woken = false;
            let sent = self.send(cx)?;
            if self.flush_until.is_some() && self.tx.is_empty() && !self.more {
                return Poll::Ready(Ok(()));
            }
            if received || sent || self.more {
                moved = true;
                continue;
            }
            match self.arm(cx, moved) {
                Poll::Ready(()) => woken = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// See to it that the receive batch holds something; `false` if nothing arrived, or nothing is to be read now.
    fn receive(&mut self, cx: &mut Context<'_>) -> Result<bool, I::Error> {
        if self.flush_until.is_some() {
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
        self.stats.recv_errors += self.rx.take_errors();
        match polled {
            Poll::Ready(Ok(())) => {
                self.stats.batches += 1;
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(false),
        }
    }

    /// One turn at the machine: inputs, timers, app (if there were any, or if `ask`), output. Breaks when the grace time
    /// is over.
    fn turn(&mut self, cx: &mut Context<'_>, ask: bool) -> ControlFlow<()> {
        let Self { hold, io, rx, tx, stats, due, app_due, armed, flush_until, grace, more, .. } = self;
        hold.with(|machine, app| {
            let now = io.now();
            armed.take_if(|(at, _)| *at <= now.mono);
            tx.tell_unsent(now, machine);
            if let Some(until) = *flush_until {
                *more = false;
                tx.fill(now, machine);
                if now.mono < until || tx.is_empty() {
                    return ControlFlow::Continue(());
                }
                // Whatever is left is counted, in the machine as well as in the batch.
                loop {
                    tx.discard(tx.len());
                    stats.discarded += tx.take_counts().1;
                    tx.fill(now, machine);
                    if tx.is_empty() {
                        break;
                    }
                }
                return ControlFlow::Break(());
            }
            let mut acted = hand_in(rx, machine, now, &mut stats.received);
            let calls = serve_timers(machine, now, *due);
            acted |= calls > 0;
            if (acted || ask || is_due(*app_due, now)) && app.poll(cx, now, machine).is_ready() {
                *flush_until = Some(now.mono + *grace);
            }
            *app_due = app.deadline().map(|at| if at > now.mono { at } else { now.mono + STALL });
            let queued = tx.len();
            tx.fill(now, machine);
            acted |= tx.len() > queued;
            // Output that is left although everybody had a turn may come from this turn's work: look once more. Otherwise
            // nobody takes it, or the machine never has enough, and it is left alone for a moment.
            let wants = machine.wants();
            *more = wants.is_pending() && acted && !tx.is_full() || wants.is_due(now.mono) && calls < TIMEOUTS;
            *due = next_call(&wants, now);
            ControlFlow::Continue(())
        })
    }

    /// Send what waits; `true` if the socket took something.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<bool, I::Error> {
        let before = self.tx.len();
        let full = self.tx.is_full();
        while !self.tx.is_empty() {
            let polled = self.io.poll_send(cx, &mut self.tx);
            let (sent, discarded) = self.tx.take_counts();
            self.stats.sent += sent;
            self.stats.discarded += discarded;
            // An io that takes nothing and does not wait either would keep us here for ever.
            if polled?.is_pending() || sent + discarded == 0 {
                break;
            }
        }
        // The machine may have had to stop writing for lack of room.
        // So is there something to tell of what did not leave.
        self.more |= full && !self.tx.is_full() || self.tx.has_unsent();
        Ok(self.tx.len() < before)
    }

    /// Set the timer, unless it will fire early enough as it is; `Ready` if it is time already.
    ///
    /// A wake that `moved` datagrams leaves a good timer untouched; one that brought nothing may have been the timer's.
    fn arm(&mut self, cx: &mut Context<'_>, moved: bool) -> Poll<()> {
        let at = match self.flush_until {
            Some(until) => Some(until),
            None => [self.due, self.app_due].into_iter().flatten().min(),
        };
        let Some(at) = at else { return Poll::Pending };
        let good = self.armed.as_ref().is_some_and(|(armed, waker)| *armed <= at && waker.will_wake(cx.waker()));
        if good && moved {
            return Poll::Pending;
        }
        let at = self.armed.take().filter(|_| good).map_or(at, |(armed, _)| armed);
        let polled = self.io.poll_timer(cx, Some(at));
        self.armed = polled.is_pending().then(|| (at, cx.waker().clone()));
        polled
    }
}

impl<H, I> Unpin for Driver<H, I> {}

impl<H: MachineAccess, I: Io> Future for Driver<H, I> {
    type Output = Result<DriverStats, I::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.stats.wakes += 1;
        let end = this.run(cx);
        this.hold.publish(&this.stats);
        end.map_ok(|()| this.stats)
    }
}

/// Hand in at most a chunk of what was received; whether there was any.
fn hand_in<M: Datagrams>(rx: &mut RecvBatch, machine: &mut M, now: Now, received: &mut u64) -> bool {
    let before = *received;
    for _ in 0..CHUNK {
        let Some((path, bytes)) = rx.next() else { break };
        *received += 1;
        // The machine has counted a reject; there is nothing to do about it here.
        let _ = machine.handle_datagram(now, path, bytes);
    }
    *received > before
}

/// Call the machine for as long as it is due, within bounds; how often it was.
fn serve_timers<M: Datagrams>(machine: &mut M, now: Now, due: Option<Instant>) -> usize {
    let mut calls = 0;
    while calls < TIMEOUTS {
        if !machine.wants().is_due(now.mono) && (calls > 0 || !is_due(due, now)) {
            break;
        }
        machine.handle_timeout(now);
        calls += 1;
    }
    calls
}

fn is_due(at: Option<Instant>, now: Now) -> bool {
    at.is_some_and(|at| at <= now.mono)
}

/// When the machine has to be called again. One that is still due right after it was called, or whose output nobody takes, is
/// called after a [`STALL`].
fn next_call(wants: &Wants, now: Now) -> Option<Instant> {
    let soon = now.mono + STALL;
    let at = wants.at.map(|(at, _)| if at > now.mono { at } else { soon });
    if wants.is_pending() { Some(at.map_or(soon, |at| at.min(soon))) } else { at }
}
