//! Moments in whole seconds.

use sluis_core::Instant;
use sluis_core::time::Duration;

const NANOS: u64 = 1_000_000_000;

/// A moment, rounded up to a second: half the room of an [`Instant`], for what is only asked after many of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Second(u32);

impl Second {
    pub(crate) fn of(now: Instant) -> Self {
        Self(u32::try_from(now.as_nanos().div_ceil(NANOS)).unwrap_or(u32::MAX))
    }

    /// How long ago it was, at least: it never seems to be longer ago than it is.
    pub(crate) fn since(self, now: Instant) -> Duration {
        Duration::from_secs((now.as_nanos() / NANOS).saturating_sub(u64::from(self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_longer_ago_than_it_is() {
        for (then, now, least) in [(0, 0, 0), (1, 999, 0), (1, 1_000, 0), (1, 2_000, 1), (1_000, 3_500, 2), (9, 1, 0)] {
            let at = |millis| Instant::ZERO + Duration::from_millis(millis);
            assert_eq!(Second::of(at(then)).since(at(now)), Duration::from_secs(least), "{then} {now}");
        }
    }
}
