//! Time as a value: it comes in with every call and is never read here.
//!
//! Two clocks exist. [`Instant`] is monotonic and drives every timer; [`Wall`] is the calendar clock and is used only
//! where the wire carries calendar time (packet timestamps, vouch expiry). A [`Now`] holds both, read once by the
//! driver each time it wakes.

pub mod iso;

use core::fmt;
use core::ops::{Add, Sub};
pub use core::time::Duration;

/// A point on the monotonic clock: nanoseconds since an origin that the driver picks (process start, say).
///
/// Covers 584 years. Arithmetic saturates; it never wraps and never panics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// From nanoseconds since the origin.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time that passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos_u64(by)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanos_u64(by)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t+{:?}", Duration::from_nanos(self.0))
    }
}

/// A duration in whole nanoseconds, held at `u64::MAX` where it is longer (584 years).
fn nanos_u64(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

/// A point on the wall clock: microseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Microseconds because that is what the timestamps of the wire carry. It may step in either direction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Wall(i64);

impl Wall {
    /// The earliest representable wall time; older than any timestamp.
    pub const MIN: Self = Self(i64::MIN);

    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From whole seconds since the Unix epoch, as statements bear them; held at the latest time there is.
    #[must_use]
    pub fn from_secs(seconds: u64) -> Self {
        Self(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// `self - other` in microseconds, saturating; negative if `other` is later.
    #[must_use]
    pub const fn micros_since(self, other: Self) -> i64 {
        self.0.saturating_sub(other.0)
    }

    /// This much later, saturating.
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros_i64(by)))
    }

    /// This much earlier, saturating.
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros_i64(by)))
    }
}

impl fmt::Debug for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix+{}us", self.0)
    }
}

/// A duration in whole microseconds, held at `i64::MAX` where it is longer.
pub(crate) fn micros_i64(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

/// Both clocks, read together once per wake of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// The monotonic clock: timers.
    pub mono: Instant,
    /// The wall clock: timestamps on the wire.
    pub wall: Wall,
}

impl Now {
    /// Both readings.
    #[must_use]
    pub const fn new(mono: Instant, wall: Wall) -> Self {
        Self { mono, wall }
    }
}

/// Why a machine wants to be woken; for logs and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A request of ours runs out of time.
    RequestTimeout,
    /// An accepted ping that the application has not answered runs out of time.
    AnswerTimeout,
    /// An entry of the waiting room expires.
    WaitingExpiry,
    /// Heartbeats are due.
    Heartbeat,
    /// Stale peers are due for removal.
    PeerCleanup,
    /// A session has something to repeat, to renew or to give up.
    Session,
    /// On the local network somebody is to be called or answered, or has not been heard for too long.
    Discovery,
    /// Something of the overlay is to be asked again, to be renewed, or over.
    Overlay,
    /// A relay has something to forget, or somebody to avoid.
    Relay,
    /// The application asked for it.
    Application,
}
