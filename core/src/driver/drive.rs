//! The loop.

use core::future::Future;
use core::ops::ControlFlow;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

use super::{App, DatagramTransport, Io, Lend, MachineAccess, Own, Store, Stored, Transport};
use crate::time::{Duration, Instant, Now};
use crate::{Datagrams, Durable, Machine, Wants};

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
    /// Streams that came up.
    pub streams: u64,
    /// Streams that came in and that the machine did not want.
    pub streams_refused: u64,
    /// Bytes that came on streams and were taken.
    pub stream_bytes_in: u64,
    /// Bytes of streams that the io took.
    pub stream_bytes_out: u64,
}

/// Feeds a machine through a [`Transport`] until its [`App`] says stop or the io fails: a future for any executor.
///
/// Its result is what it did, or the io's error. Dropping it stops at once, without a flush.
#[derive(Debug)]
#[must_use = "a driver does nothing unless it is polled"]
pub struct Driver<H, T> {
    access: H,
    transport: T,
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

impl<M: Datagrams, A: App<M>, I: Io> Driver<Own<M, A>, DatagramTransport<I>> {
    /// Drive a machine of its own on datagrams.
    pub fn new(io: I, machine: M, app: A, config: DriverConfig) -> Self {
        Self::over(DatagramTransport::new(io, &config), Own { machine, app }, config.grace)
    }
}

impl<'a, M: Datagrams, A: App<M>, I: Io> Driver<Lend<'a, M, A>, DatagramTransport<I>> {
    /// Drive a machine on datagrams that is used again afterwards.
    pub fn lend(io: I, machine: &'a mut M, app: &'a mut A, config: DriverConfig) -> Self {
        Self::over(DatagramTransport::new(io, &config), Lend { machine, app }, config.grace)
    }
}

impl<H: MachineAccess, T: Transport<H::Machine>> Driver<H, T> {
    /// Drive whatever `access` gives access to. Once it is told to stop, it flushes what is queued for at most `grace`.
    pub fn over(transport: T, access: H, grace: Duration) -> Self {
        Self {
            access,
            transport,
            stats: DriverStats::default(),
            grace,
            due: None,
            app_due: None,
            armed: None,
            flush_until: None,
            more: false,
        }
    }

    /// Have what the machine keeps committed to a store. One without never acknowledges what it keeps.
    pub fn with_store<S: Store>(self, store: S) -> Driver<H, Stored<T, S>>
    where
        H::Machine: Durable,
    {
        let Self { access, transport, grace, .. } = self;
        Driver::over(Stored::new(transport, store), access, grace)
    }

    /// What it did so far.
    #[must_use]
    pub fn stats(&self) -> DriverStats {
        self.stats
    }

    /// Take it apart: access to the machine, and the transport. What waits to be sent is dropped.
    #[cfg(feature = "std")]
    pub(crate) fn into_parts(self) -> (H, T) {
        (self.access, self.transport)
    }

    /// Run until nothing moves or the budget of one poll is spent.
    fn run(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), T::Error>> {
        let mut woken = true;
        let mut moved = false;
        for _ in 0..TURNS {
            let received = self.transport.receive(cx, &mut self.stats, self.flush_until.is_some())?;
            if (woken || received || self.more) && self.turn(cx, woken || self.more).is_break() {
                return Poll::Ready(Ok(()));
            }
            woken = false;
            let sent = self.transport.send(cx, &mut self.stats)?;
            self.more |= sent.more;
            if self.flush_until.is_some() && self.transport.is_empty() && !self.more {
                return Poll::Ready(Ok(()));
            }
            if received || sent.moved || self.more {
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

    /// One turn at the machine: inputs, timers, app (if there were any, or if `ask`), output. Breaks when the grace time
    /// is over.
    fn turn(&mut self, cx: &mut Context<'_>, ask: bool) -> ControlFlow<()> {
        let Self { access, transport, stats, due, app_due, armed, flush_until, grace, more } = self;
        access.with(|machine, app| {
            let now = transport.now();
            armed.take_if(|(at, _)| *at <= now.mono);
            if let Some(until) = *flush_until {
                *more = false;
                transport.fill(now, machine);
                if now.mono < until || transport.is_empty() {
                    return ControlFlow::Continue(());
                }
                // Whatever is left is counted, in the machine as well as here.
                transport.discard(now, machine, stats);
                return ControlFlow::Break(());
            }
            let mut acted = transport.hand_in(now, machine, stats);
            let calls = serve_timers(machine, now, *due);
            acted |= calls > 0;
            if (acted || ask || is_due(*app_due, now)) && app.poll(cx, now, machine).is_ready() {
                machine.handle_stop(now);
                *flush_until = Some(now.mono + *grace);
            }
            *app_due = app.deadline().map(|at| if at > now.mono { at } else { now.mono + STALL });
            acted |= transport.fill(now, machine);
            // Output that is left although everybody had a turn may come from this turn's work: look once more. Otherwise
            // nobody takes it, or the machine never has enough, and it is left alone for a moment.
            let wants = transport.can_take(machine.wants());
            *more = wants.is_pending() && acted && !transport.is_full() || wants.is_due(now.mono) && calls < TIMEOUTS;
            *due = next_call(&wants, now);
            ControlFlow::Continue(())
        })
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
        let polled = self.transport.poll_timer(cx, Some(at));
        self.armed = polled.is_pending().then(|| (at, cx.waker().clone()));
        polled
    }
}

impl<H, T> Unpin for Driver<H, T> {}

impl<H: MachineAccess, T: Transport<H::Machine>> Future for Driver<H, T> {
    type Output = Result<DriverStats, T::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.stats.wakes += 1;
        let end = this.run(cx);
        this.access.publish(&this.stats);
        end.map_ok(|()| this.stats)
    }
}

/// Call the machine for as long as it is due, within bounds; how often it was.
fn serve_timers<M: Machine>(machine: &mut M, now: Now, due: Option<Instant>) -> usize {
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
