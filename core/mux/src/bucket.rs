//! The token bucket that holds an agent's frames of one intent to their policy.

use core::time::Duration;

use sluis_core::Instant;

use crate::intents::Policy;

/// Billionths of a byte in a byte: what a rate of one byte a second adds in a nanosecond.
const UNITS: u64 = 1_000_000_000;

/// What is not preemptible passes at once up to this many bursts above its budget ...
const FREE_BURSTS: u64 = 8;
/// ... and delayed up to this many.
const MOST_BURSTS: u64 = 16;

/// Whether a frame passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Now. `over`: above the budget, which this policy lets pass for a while.
    Pass {
        /// Above the budget.
        over: bool,
    },
    /// Accepted, to be handed on only after this time: far above a budget that is not preemptible.
    Paced(Duration),
    /// Refused; the same frame passes after this time.
    Wait(Duration),
    /// Refused; no frame of more bytes than this can ever pass at once.
    TooLarge {
        /// Bytes.
        max: u64,
    },
}

/// Two buckets that fill at the policy's rate: one of the policy's burst, which says what is above the budget, and one of
/// seventeen, which ends the patience with what is not preemptible.
///
/// It counts in billionths of a byte, so that nothing is lost to rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    level: u64,
    patience: u64,
    filled: Instant,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub const fn new(policy: &Policy, now: Instant) -> Self {
        let level = policy.capacity().saturating_mul(UNITS);
        Self { level, patience: level.saturating_mul(1 + MOST_BURSTS), filled: now }
    }

    /// Bytes that would pass at once at the time of the last check, rounded down.
    #[must_use]
    pub const fn tokens(&self) -> u64 {
        self.level / UNITS
    }

    /// The same in billionths of a byte.
    #[must_use]
    pub const fn units(&self) -> u64 {
        self.level
    }

    /// Take a frame of `size` bytes out, if it passes. What is refused takes nothing.
    pub fn check(&mut self, policy: &Policy, now: Instant, size: u64) -> Verdict {
        if policy.is_unlimited() {
            return Verdict::Pass { over: false };
        }
        self.fill(policy, now);
        let (full, cost) = (policy.capacity().saturating_mul(UNITS), size.saturating_mul(UNITS));
        if !policy.preemptible {
            return self.check_patience(policy, full, cost);
        }
        if cost > full {
            return Verdict::TooLarge { max: policy.capacity() };
        }
        match self.level.checked_sub(cost) {
            Some(rest) => {
                self.level = rest;
                Verdict::Pass { over: false }
            }
            None => Verdict::Wait(time_for(cost - self.level, policy)),
        }
    }

    fn check_patience(&mut self, policy: &Policy, full: u64, cost: u64) -> Verdict {
        let most = full.saturating_mul(1 + MOST_BURSTS);
        if cost > most {
            return Verdict::TooLarge { max: most / UNITS };
        }
        let Some(rest) = self.patience.checked_sub(cost) else {
            return Verdict::Wait(time_for(cost - self.patience, policy));
        };
        let over = cost > self.level;
        self.level = self.level.saturating_sub(cost);
        self.patience = rest;
        match full.saturating_mul(MOST_BURSTS - FREE_BURSTS).checked_sub(rest) {
            Some(missing @ 1..) => Verdict::Paced(time_for(missing, policy)),
            _ => Verdict::Pass { over },
        }
    }

    fn fill(&mut self, policy: &Policy, now: Instant) {
        let passed = now.saturating_since(self.filled).as_nanos();
        self.filled = self.filled.max(now);
        let more = u64::try_from(passed.saturating_mul(u128::from(policy.max_bytes_per_sec))).unwrap_or(u64::MAX);
        let full = policy.capacity().saturating_mul(UNITS);
        self.level = self.level.saturating_add(more).min(full);
        self.patience = self.patience.saturating_add(more).min(full.saturating_mul(1 + MOST_BURSTS));
    }
}

/// How long a policy's rate takes for this much, rounded up.
fn time_for(units: u64, policy: &Policy) -> Duration {
    Duration::from_nanos(units.div_ceil(policy.max_bytes_per_sec.max(1)))
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Verdict};
    use crate::intents::Policy;
    use core::time::Duration;
    use proptest::prelude::*;
    use sluis_core::Instant;

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn what_is_not_preemptible_passes_then_is_paced_then_refused() {
        let policy = Policy::new(3, 1_000, 100, false);
        let mut bucket = Bucket::new(&policy, at(0));
        assert_eq!(bucket.check(&policy, at(0), 100), Verdict::Pass { over: false });
        for _ in 0..8 {
            assert_eq!(bucket.check(&policy, at(0), 100), Verdict::Pass { over: true });
        }
        // A hundred bytes beyond eight bursts take a tenth of a second at 1,000 bytes a second, the next hundred another.
        for n in 1..=8 {
            assert_eq!(bucket.check(&policy, at(0), 100), Verdict::Paced(Duration::from_millis(100 * n)));
        }
        assert_eq!(bucket.check(&policy, at(0), 100), Verdict::Wait(Duration::from_millis(100)));
        assert_eq!(bucket.check(&policy, at(99), 100), Verdict::Wait(Duration::from_millis(1)));
        assert_eq!(bucket.check(&policy, at(100), 100), Verdict::Paced(Duration::from_millis(800)));
        assert_eq!(bucket.check(&policy, at(100_000), 1_701), Verdict::TooLarge { max: 1_700 });
        assert_eq!(bucket.check(&policy, at(100_000), 1_700), Verdict::Paced(Duration::from_millis(800)));
    }

    #[test]
    fn a_clock_that_goes_backwards_gives_and_takes_nothing() {
        let policy = Policy::new(5, 100, 100, true);
        let mut bucket = Bucket::new(&policy, at(1_000));
        assert_eq!(bucket.check(&policy, at(1_000), 50), Verdict::Pass { over: false });
        assert_eq!(bucket.check(&policy, at(0), 0), Verdict::Pass { over: false });
        assert_eq!(bucket.tokens(), 50);
        // The same half second is not paid out twice either.
        assert_eq!(bucket.check(&policy, at(1_000), 51), Verdict::Wait(Duration::from_millis(10)));
    }

    proptest! {
        /// Over any time, no more passes than the rate and what the policy lets pass above it; what is told to wait passes then.
        #[test]
        fn never_more_than_promised(preemptible: bool, frames in prop::collection::vec((0_u64..50, 0_u64..400), 1..200)) {
            let policy = Policy::new(5, 1_000, 100, preemptible);
            let (mut bucket, mut clock, mut passed) = (Bucket::new(&policy, at(0)), 0, 0);
            for (wait, size) in frames {
                clock += wait;
                match bucket.check(&policy, at(clock), size) {
                    Verdict::Pass { .. } | Verdict::Paced(_) => passed += size,
                    Verdict::Wait(time) => {
                        let then = at(clock) + time;
                        let mut later = bucket;
                        let passes = matches!(later.check(&policy, then, size), Verdict::Pass { .. } | Verdict::Paced(_));
                        prop_assert!(passes, "told to wait in vain");
                    }
                    Verdict::TooLarge { max } => prop_assert!(size > max),
                }
                let most = clock + if preemptible { 100 } else { 1_700 };
                prop_assert!(passed <= most, "{passed} bytes of {most}");
            }
        }
    }
}
