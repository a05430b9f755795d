//! How much of what nobody has proven is looked at, and whose.

use alloc::vec;
use alloc::vec::Vec;

use sluis_core::Instant;
use sluis_core::time::Duration;

use crate::pace::Pace;

/// The least that is looked at at once of what one broker brings, beyond what all share.
const LEAST: u32 = 2;

/// A budget that brokers share. One half is for whatever comes first; the other is divided evenly among the brokers that are joined, so a flood at
/// one of them takes nothing of the part of another.
#[derive(Debug)]
pub(super) struct Budget {
    interval: Duration,
    burst: u32,
    all: Pace,
    /// By the place of the broker.
    own: Vec<Pace>,
}

impl Budget {
    /// One for each `interval` in the long run and `burst` at once, in all, of so many brokers.
    pub(super) fn new(brokers: usize, interval: Duration, burst: u32) -> Self {
        Self { interval: interval * 2, burst: burst / 2, all: Pace::new(), own: vec![Pace::new(); brokers] }
    }

    /// Whether there is budget for one more of what a broker brings, while so many are joined; it is spent.
    pub(super) fn spend(&mut self, now: Instant, at: usize, joined: usize) -> bool {
        let parts = u32::try_from(joined).unwrap_or(u32::MAX).max(1);
        let part = (self.burst / parts).max(LEAST);
        let own = self.own.get_mut(at);
        own.is_some_and(|own| own.spend(now, self.interval * parts, part))
            || self.all.spend(now, self.interval, self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_at_one_broker_leaves_the_parts_of_the_others() {
        let mut budget = Budget::new(4, Duration::from_millis(1), 1000);
        let second = |n: u64| Instant::ZERO + Duration::from_secs(1000 + n);
        let mut spent = |n, at| (0..10_000).filter(|_| budget.spend(second(n), at, 4)).count();
        assert!((620..=630).contains(&spent(0, 0)), "what all share, and its own part");
        for at in 1..4 {
            assert!((120..=130).contains(&spent(0, at)), "its own part");
        }
        // In the long run it is what it says, whoever comes.
        let all: usize = (1..=20).map(|n| (0..4).map(|at| spent(n, at)).sum::<usize>()).sum();
        assert!((19_900..=20_100).contains(&all), "{all}");
    }
}
