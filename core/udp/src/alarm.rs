//! A timer that costs nothing while it is not due.
//!
//! A runtime's own timers shorten the time-out of every single wait of its reactor, which means clock readings and a kernel timer
//! set and unset around each datagram, although the deadline of a machine seldom moves. A `timerfd` is set once and then is just
//! another descriptor that the reactor watches.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::Timer;

/// A descriptor that a runtime's reactor watches.
pub trait Watched: Sized {
    /// Have the reactor watch it for reading.
    ///
    /// # Errors
    /// The runtime or the system refuse it.
    fn watch(fd: OwnedFd) -> io::Result<Self>;

    /// The descriptor.
    fn fd(&self) -> &OwnedFd;

    /// Wait until it may be readable.
    ///
    /// # Errors
    /// The runtime no longer watches it.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Call `read`; after [`WouldBlock`](io::ErrorKind::WouldBlock) the next [`poll_readable`](Self::poll_readable)
    /// waits for what comes later than this call.
    ///
    /// # Errors
    /// What `read` says.
    fn try_read<R>(&self, read: impl FnOnce(&OwnedFd) -> io::Result<R>) -> io::Result<R>;
}

/// A [`Timer`] on a `timerfd` that `W` watches, and on the runtime's own timer where there is none to be had.
pub struct Alarm<W, T> {
    kind: Option<Kind<W, T>>,
    at: Option<Instant>,
}

enum Kind<W, T> {
    Kernel(W),
    Runtime(T),
}

impl<W, T> Default for Alarm<W, T> {
    fn default() -> Self {
        Self { kind: None, at: None }
    }
}

impl<W, T: Default> Alarm<W, T> {
    /// On the runtime's own timer from the start: its time is not the system's.
    #[must_use]
    pub fn of_runtime() -> Self {
        Self { kind: Some(Kind::Runtime(T::default())), at: None }
    }
}

impl<W, T> fmt::Debug for Alarm<W, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("at", &self.at).finish_non_exhaustive()
    }
}

impl<W: Watched, T: Timer + Default> Timer for Alarm<W, T> {
    fn another(&self) -> Self {
        match &self.kind {
            Some(Kind::Runtime(_)) => Self::of_runtime(),
            _ => Self::default(),
        }
    }

    fn poll_at(&mut self, cx: &mut Context<'_>, at: Option<Instant>) -> Poll<()> {
        let kind = self.kind.get_or_insert_with(|| match create().and_then(W::watch) {
            Ok(watched) => Kind::Kernel(watched),
            Err(_) => Kind::Runtime(T::default()),
        });
        let watched = match kind {
            Kind::Runtime(timer) => return timer.poll_at(cx, at),
            Kind::Kernel(watched) => watched,
        };
        let expired = poll_kernel(watched, cx, at, &mut self.at);
        expired.map(|result| {
            self.at = None;
            if result.is_err() {
                // The descriptor cannot be used any more; being called too early does no harm.
                self.kind = Some(Kind::Runtime(T::default()));
            }
        })
    }
}

/// Set the timer if it is not set so already, and wait for it.
fn poll_kernel<W: Watched>(
    watched: &mut W,
    cx: &mut Context<'_>,
    at: Option<Instant>,
    set_to: &mut Option<Instant>,
) -> Poll<io::Result<()>> {
    if *set_to != at {
        set(watched.fd(), at)?;
        *set_to = at;
    }
    if at.is_none() {
        return Poll::Pending;
    }
    loop {
        ready!(watched.poll_readable(cx))?;
        // How often it expired; reading that makes it unreadable again.
        match watched.try_read(|fd| Ok(rustix::io::read(fd, &mut [0_u8; 8])?)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result.map(drop)),
        }
    }
}

fn create() -> io::Result<OwnedFd> {
    Ok(timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?)
}

/// Let it expire once at this time, or never.
fn set(fd: &OwnedFd, at: Option<Instant>) -> io::Result<()> {
    // All zero would mean never.
    let left = at.map(|at| at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1)));
    let left = left.unwrap_or_default();
    let value =
        Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
    timerfd_settime(fd, TimerfdTimerFlags::empty(), &once)?;
    Ok(())
}
