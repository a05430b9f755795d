//! The two clocks of one node, as functions of virtual time.

use crate::time::{Instant, Now, Wall};

/// What the wall clocks of a world show at its beginning: 2025-01-15T12:00:00Z.
pub const EPOCH: Wall = Wall::from_micros(1_736_942_400_000_000);

/// The monotonic and the wall clock of one node: each runs a little too fast or slow, the wall clock is off by some and may
/// step.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Virtual time at which the monotonic clock showed zero.
    origin: u64,
    /// Drift as a fraction of 2^40.
    drift: i64,
    /// What the wall clock shows when the monotonic clock shows zero, in microseconds.
    wall: i64,
}

impl Clock {
    /// A clock that starts at a virtual time (in nanoseconds), off by `offset` microseconds and fast by `ppm` parts in a
    /// million (slow, if negative).
    #[must_use]
    pub fn new(start: u64, offset: i64, ppm: i32) -> Self {
        let wall = EPOCH.as_micros() + i64::try_from(start / 1000).unwrap_or(i64::MAX / 2);
        Self { origin: start, drift: (i64::from(ppm) << 40) / 1_000_000, wall: wall.saturating_add(offset) }
    }

    /// What the clocks show at a virtual time.
    #[must_use]
    pub fn now(&self, at: u64) -> Now {
        let mono = self.mono(at.saturating_sub(self.origin));
        let wall = self.wall.saturating_add((mono / 1000) as i64);
        Now::new(Instant::from_nanos(mono), Wall::from_micros(wall))
    }

    /// The first virtual time at which the monotonic clock shows this or later.
    #[must_use]
    pub fn when(&self, shown: Instant) -> u64 {
        let shown = shown.as_nanos();
        let mut elapsed = shown;
        for _ in 0..8 {
            let late = i128::from(self.mono(elapsed)) - i128::from(shown);
            if late == 0 {
                break;
            }
            let next = (i128::from(elapsed) - late).clamp(0, i128::from(u64::MAX)) as u64;
            if next == elapsed {
                break;
            }
            elapsed = next;
        }
        while self.mono(elapsed) < shown && elapsed < u64::MAX {
            elapsed += 1;
        }
        self.origin.saturating_add(elapsed)
    }

    pub(super) const fn origin(&self) -> u64 {
        self.origin
    }

    /// Move the wall clock, as an operator or a time server does; the monotonic clock does not notice.
    pub(crate) fn step_wall(&mut self, micros: i64) {
        self.wall = self.wall.saturating_add(micros);
    }

    /// The process was started again at this virtual time: the monotonic clock begins anew, the wall clock goes on.
    pub(crate) fn restart(&mut self, at: u64) {
        self.wall = self.now(at).wall.as_micros();
        self.origin = at;
    }

    fn mono(&self, elapsed: u64) -> u64 {
        let off = (i128::from(elapsed) * i128::from(self.drift)) >> 40;
        (i128::from(elapsed) + off).clamp(0, i128::from(u64::MAX)) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Clock;
    use crate::time::Instant;

    proptest! {
        #[test]
        fn a_wake_up_comes_neither_early_nor_a_microsecond_late(
            start in 0u64..1 << 50, shown in 0u64..1 << 55, ppm in -500i32..500,
        ) {
            let clock = Clock::new(start, 0, ppm);
            let at = clock.when(Instant::from_nanos(shown));
            let now = clock.now(at).mono.as_nanos();
            prop_assert!(now >= shown && now - shown < 1000, "{now} {shown}");
        }
    }

    #[test]
    fn drift_steps_and_restarts_show() {
        let mut clock = Clock::new(0, 5, 100);
        let second = 1_000_000_000;
        let (early, late) = (clock.now(second), clock.now(11 * second));
        assert_eq!(late.wall.micros_since(early.wall), 10_001_000);
        clock.step_wall(-3_000_000);
        assert_eq!(clock.now(11 * second).wall.micros_since(late.wall), -3_000_000);
        clock.restart(11 * second);
        assert_eq!(clock.now(11 * second).mono, Instant::ZERO);
        assert_eq!(clock.now(11 * second).wall.micros_since(late.wall), -3_000_000);
    }
}
