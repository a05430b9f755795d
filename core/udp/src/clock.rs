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
    runtime: Option<RuntimeTime>,
}

/// The time of a runtime that has its own, and the wall clock at its origin.
#[derive(Clone, Copy, Debug)]
struct RuntimeTime {
    read: fn() -> StdInstant,
    wall: Wall,
}

impl SystemClock {
    /// Starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: StdInstant::now(), runtime: None }
    }

    /// The time of a runtime that is not the system's (tokio's paused clock). It starts with the system's wall clock of now; from
    /// there on both clocks advance as `read` does.
    #[must_use]
    pub fn of_runtime(read: fn() -> StdInstant) -> Self {
        Self { origin: read(), runtime: Some(RuntimeTime { read, wall: wall(SystemTime::now()) }) }
    }

    /// Read both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let Some(RuntimeTime { read, wall: start }) = self.runtime else {
            return Now::new(nanos(self.origin.elapsed()), wall(SystemTime::now()));
        };
        let since = read().saturating_duration_since(self.origin);
        Now::new(nanos(since), Wall::from_micros(start.as_micros().saturating_add(micros(since))))
    }

    /// The system's name for an instant. One that it cannot express (centuries away) becomes a day from now.
    #[must_use]
    pub(crate) fn to_std(self, at: Instant) -> StdInstant {
        let now = self.runtime.map_or(StdInstant::now as fn() -> StdInstant, |runtime| runtime.read);
        let at = self.origin.checked_add(Duration::from_nanos(at.as_nanos()));
        at.unwrap_or_else(|| now() + Duration::from_secs(24 * 3600))
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

fn nanos(since: Duration) -> Instant {
    Instant::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

fn wall(time: SystemTime) -> Wall {
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
    fn both_clocks_advance_with_a_runtime_of_its_own_time() {
        // A runtime that stands still an hour ahead.
        fn read() -> std::time::Instant {
            static STANDS: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
            *STANDS.get_or_init(|| std::time::Instant::now() + Duration::from_secs(3600))
        }
        let clock = SystemClock::of_runtime(read);
        let (first, second) = (clock.now(), clock.now());
        assert_eq!((first.mono, second.mono), (sluis_core::Instant::ZERO, sluis_core::Instant::ZERO));
        assert_eq!(first.wall, second.wall);
        assert!((first.wall.as_micros() - SystemClock::new().now().wall.as_micros()).abs() < 60_000_000);
        assert_eq!(clock.to_std(first.mono), read());
    }

    #[test]
    fn no_seed_is_given_twice() {
        let draw = || system_seed().unwrap().fork("x").u64();
        assert_ne!(draw(), draw());
    }
}
