//! The system's clocks and its randomness.

use std::io;
use std::time::{Duration, Instant as StdInstant, SystemTime, UNIX_EPOCH};

use sluis_core::driver::Clock;
use sluis_core::{Instant, Now, Seed, Wall};
use zeroize::Zeroize;

/// The clocks of the operating system; the monotonic one starts at zero when this is made. Copies agree.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: StdInstant,
}

impl SystemClock {
    /// Starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: StdInstant::now() }
    }

    /// Read both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let mono = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Now::new(Instant::from_nanos(mono), wall(SystemTime::now()))
    }

    /// The system's name for an instant. One that it cannot express (centuries away) becomes a day from now.
    #[must_use]
    pub fn to_std(&self, at: Instant) -> StdInstant {
        let at = self.origin.checked_add(Duration::from_nanos(at.as_nanos()));
        at.unwrap_or_else(|| StdInstant::now() + Duration::from_secs(24 * 3600))
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Self::now(self)
    }
}

fn wall(time: SystemTime) -> Wall {
    let micros = |d: Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
    Wall::from_micros(match time.duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    })
}

/// A fresh seed from the operating system. Every machine gets one of its own.
///
/// # Errors
/// The system has no randomness to give.
pub fn system_seed() -> io::Result<Seed> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let seed = Seed::new(bytes);
    bytes.zeroize();
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use super::{SystemClock, system_seed, wall};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn instants_come_back_as_they_were() {
        let clock = SystemClock::new();
        let now = clock.now();
        assert_eq!(clock.to_std(now.mono).duration_since(clock.origin).as_nanos(), u128::from(now.mono.as_nanos()));
        assert!(clock.to_std(sluis_core::Instant::from_nanos(u64::MAX)) > clock.origin);
        assert_eq!(wall(UNIX_EPOCH - Duration::from_secs(1)).as_micros(), -1_000_000);
    }

    #[test]
    fn no_seed_is_given_twice() {
        let draw = || system_seed().unwrap().fork("x").u64();
        assert_ne!(draw(), draw());
    }
}
