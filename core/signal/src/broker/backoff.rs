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
    /// The time in which the next try of somebody unhurried lies ends then.
    window: Option<Instant>,
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
        let most = self.most();
        self.failures = self.failures.saturating_add(1).min(31);
        if !(others_up && (joined.is_some() || self.window.is_some())) {
            self.window = None;
            return jitter(rng, most);
        }
        // Each try lies anywhere in a time of its own, which begins where that of the try before ends: so all who lost the broker with us are
        // spread alike over every second, however long it is away.
        let begin = self.window.filter(|end| joined.is_none() && *end > now).unwrap_or(now);
        let most = most.max(UNHURRIED);
        self.window = Some(begin + most);
        begin.saturating_since(now) + jitter(rng, most)
    }

    /// The others were lost, too: how long to rest from now on at most.
    pub(super) fn hurry(&mut self, rng: &mut Rng) -> Duration {
        self.window = None;
        jitter(rng, self.most())
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
    use alloc::vec::Vec;

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

    /// However long it is away.
    #[test]
    fn a_broker_that_was_away_for_long_is_not_met_by_a_crowd() {
        let mut rng = Seed::from_u64(1).fork("x");
        for away in [0, 1, 2, 3, 5, 8, 10, 15, 30, 60, 200].map(Duration::from_secs) {
            let back = Instant::ZERO + PROVEN + away;
            let mut joins = Vec::new();
            for _ in 0..1000 {
                let (mut backoff, mut at, mut joined) =
                    (Backoff::default(), Instant::ZERO + PROVEN, Some(Instant::ZERO));
                loop {
                    at = at + backoff.lost(at, joined.take(), true, &mut rng);
                    if at >= back {
                        break;
                    }
                }
                joins.push(at.saturating_since(back));
            }
            joins.sort_unstable();
            let second = |from: &Duration| joins.iter().filter(|at| (*from..*from + FIRST).contains(at)).count();
            let most = joins.iter().map(second).max().unwrap();
            assert!(most <= 150, "away for {away:?}: {most} within a second");
        }
    }

    /// Who loses the last one is in a hurry for all.
    #[test]
    fn who_has_no_others_any_more_does_not_wait_for_long() {
        let mut rng = Seed::from_u64(1).fork("x");
        for _ in 0..100 {
            let mut backoff = Backoff::default();
            backoff.lost(Instant::ZERO + PROVEN, Some(Instant::ZERO), true, &mut rng);
            assert!(backoff.hurry(&mut rng) < 2 * FIRST);
            assert!(
                backoff.lost(Instant::ZERO + PROVEN, None, true, &mut rng) < 2 * FIRST,
                "as anybody who tries for the first time"
            );
        }
    }
}
