//! Ids of tokens, in the shape that the reference gives them.

use core::fmt;

use sluis_core::data::Text;
use sluis_core::time::{Wall, iso};
use sluis_core::{Rng, Seed};

/// Bytes of an id.
const LEN: usize = 35;

/// `tibet_`, the time as 20 digits (year to microsecond, UTC), `_` and 8 random hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId([u8; LEN]);

impl TokenId {
    /// The id for a time and a random number.
    #[must_use]
    pub(crate) fn new(at: Wall, random: u32) -> Self {
        let mut id = *b"tibet_00000000000000000000_00000000";
        let mut written = [0; iso::FORMAT_LEN];
        let text = iso::format(at, &mut written);
        let (front, tail) = id.split_at_mut(27);
        // `2025-01-15T12:00:00`, and `.000001` where that is not zero.
        for (to, from, len) in [(6, 0, 4), (10, 5, 2), (12, 8, 2), (14, 11, 2), (16, 14, 2), (18, 17, 2), (20, 20, 6)] {
            let digits =
                text.as_bytes().get(from..from + len).filter(|_| from < 20 || text.as_bytes().get(19) == Some(&b'.'));
            if let (Some(room), Some(digits)) = (front.get_mut(to..to + len), digits) {
                room.copy_from_slice(digits);
            }
        }
        for (two, byte) in tail.as_chunks_mut::<2>().0.iter_mut().zip(random.to_be_bytes()) {
            *two = sluis_core::data::hex::pair(byte);
        }
        Self(id)
    }

    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // ASCII only.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// As a member of a token.
    #[must_use]
    pub fn as_text(&self) -> Text<'_> {
        Text::from_wire(self.as_str())
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Where ids come from. No two of its ids are equal, and each is greater than the one before: where the clock stands still
/// or goes back, the time in the id runs ahead by a microsecond.
#[derive(Debug)]
pub(crate) struct TokenIds {
    rng: Rng,
    last: i64,
}

impl TokenIds {
    /// Draw from the stream `token.ids` of a seed.
    #[must_use]
    pub(crate) fn new(seed: &Seed) -> Self {
        Self { rng: seed.fork("token.ids"), last: i64::MIN }
    }

    /// A new id.
    #[must_use]
    pub(crate) fn next(&mut self, now: Wall) -> TokenId {
        self.last = now.as_micros().max(self.last.saturating_add(1));
        #[allow(clippy::cast_possible_truncation)] // all bits are equally random
        let random = self.rng.u64() as u32;
        TokenId::new(Wall::from_micros(self.last), random)
    }
}
