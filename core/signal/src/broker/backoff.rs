//! How long to rest before the next try.

use sluis_core::time::Duration;
use sluis_core::{Instant, Rng};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// Joined for so long, a broker is one that works.
const PROVEN: Duration = Duration::from_secs(30);
/// Who has others waits so long at most after a loss.
const UNHURRIED: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The longest that the next rest may be; each failure doubles it.
    pub(super) fn most(&self) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures).and_then(|factor| FIRST.checked_mul(factor));
        doubled.unwrap_or(LONGEST).min(LONGEST)
    }

    /// A connection failed, or was lost after being joined since then. Says how long to rest.
    pub(super) fn lost(&mut self, now: Instant, joined: Option<Instant>, others_up: bool, rng: &mut Rng) -> Duration {
        if joined.is_some_and(|since| now.saturating_since(since) >= PROVEN) {
            self.failures = 0;
        }
        let mut most = self.most();
        if joined.is_some() && others_up {
            most = most.max(UNHURRIED);
        }
        self.failures = self.failures.saturating_add(1).min(31);
        jitter(rng, most)
    }
}

/// Anything from zero to this, alike.
pub(crate) fn jitter(rng: &mut Rng, most: Duration) -> Duration {
    let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
    // The upper half of the product: no division, and no bias worth the name.
    #[allow(clippy::cast_possible_truncation)]
    let nanos = ((u128::from(rng.u64()) * u128::from(nanos)) >> 64) as u64;
    Duration::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use sluis_core::Seed;

    use super::*;

    /// The upper bounds of the reference (`reconnect_backoff.jsonl`).
    #[test]
    fn the_longest_rest_doubles_up_to_a_minute() {
        let (mut backoff, mut rng) = (Backoff::default(), Seed::from_u64(1).fork("x"));
        for most in [1, 2, 4, 8, 16, 32, 60, 60, 60].map(Duration::from_secs) {
            assert_eq!(backoff.most(), most);
            assert!(backoff.lost(Instant::ZERO, None, true, &mut rng) < most);
        }
        for _ in 0..100 {
            backoff.lost(Instant::ZERO, None, true, &mut rng);
        }
        assert_eq!(backoff.most(), LONGEST);
    }

    /// A broker that lets us in and throws us out does not get us to hurry.
    #[test]
    fn only_a_broker_that_works_for_long_begins_anew() {
        let (mut backoff, mut rng) = (Backoff::default(), Seed::from_u64(1).fork("x"));
        let joined = Some(Instant::ZERO);
        for _ in 0..6 {
            backoff.lost(Instant::ZERO + PROVEN - Duration::from_nanos(1), joined, false, &mut rng);
        }
        assert_eq!(backoff.most(), LONGEST);
        assert!(backoff.lost(Instant::ZERO + PROVEN, joined, false, &mut rng) < FIRST);
        assert_eq!(backoff.most(), 2 * FIRST);
    }

    /// One of three restarts under a thousand nodes: not more than 15 of 100 are back within any one second.
    #[test]
    fn nobody_hurries_who_has_others() {
        let mut rng = Seed::from_u64(1).fork("x");
        let mut seconds = [0; 10];
        for _ in 0..1000 {
            let rest = Backoff::default().lost(Instant::ZERO + PROVEN, Some(Instant::ZERO), true, &mut rng);
            seconds[usize::try_from(rest.as_secs()).unwrap()] += 1;
        }
        assert!(seconds.iter().all(|n| (50..=150).contains(n)), "{seconds:?}");
    }
}
