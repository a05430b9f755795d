//! How far in the future a timestamp may lie.

use super::Token;
use sluis_core::time::{Duration, Wall, iso};

/// How far ahead of our clock a timestamp with an offset may be.
pub const MAX_FUTURE: Duration = Duration::from_secs(60);

/// How far ahead of UTC a timestamp without an offset may be: it is the local time of wherever it was written, and the
/// clocks of Kiritimati are 14 hours ahead.
pub const MAX_NAIVE_FUTURE: Duration = Duration::from_secs(14 * 3600);

/// What a timestamp says, seen from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// In the past, or as far ahead as clocks may differ.
    Good,
    /// Too far in the future, by this much more than it may be.
    Future(Duration),
    /// No timestamp.
    Bad,
}

impl Token<'_> {
    /// Look at the timestamp, seen from `now`.
    #[must_use]
    pub fn stamp(&self, now: Wall) -> Stamp {
        let mut scratch = [0; iso::MAX_TEXT];
        let Some((at, zoned)) = self.timestamp.resolve(&mut scratch).ok().and_then(iso::parse_zoned) else {
            return Stamp::Bad;
        };
        let latest = now.saturating_add(if zoned { MAX_FUTURE } else { MAX_NAIVE_FUTURE });
        match u64::try_from(at.micros_since(latest)) {
            Ok(micros) if micros > 0 => Stamp::Future(Duration::from_micros(micros)),
            _ => Stamp::Good,
        }
    }
}
