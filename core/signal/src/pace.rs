//! So much work in a time, and some of it at once.

use sluis_core::Instant;
use sluis_core::time::Duration;

/// When the next piece of work would be done if all were done at the rate: the later that lies ahead, the more of the burst is used up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace(Instant);

impl Pace {
    pub(crate) const fn new() -> Self {
        Self(Instant::ZERO)
    }

    /// Whether there is budget for one more, at one for each `interval` in the long run and `burst` at once; it is spent.
    pub(crate) fn spend(&mut self, now: Instant, interval: Duration, burst: u32) -> bool {
        if self.0 > now + interval * burst {
            return false;
        }
        self.0 = self.0.max(now) + interval;
        true
    }
}
