//! Events that are not recorded.

use sluis_core::time::Wall;

use super::Happening;

/// What happened and is not recorded, until a token says so.
///
/// Whoever records adds what could not be written. Before the next event he writes the token of [`happening`](Self::happening); if
/// that is not written either, it is [put back](Self::merge).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    count: u64,
    when: Option<(Wall, Wall)>,
}

impl Losses {
    /// Nothing is lost.
    pub const NONE: Self = Self { count: 0, when: None };

    /// An event of this time is not recorded.
    pub fn add(&mut self, at: Wall) {
        self.merge(Self { count: 1, when: Some((at, at)) });
    }

    /// These are not recorded either.
    pub fn merge(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.when = match (self.when, other.when) {
            (Some((from, until)), Some((other_from, other_until))) => {
                Some((from.min(other_from), until.max(other_until)))
            }
            (when, None) | (None, when) => when,
        };
    }

    /// How many.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// What the next token has to say; `None` if nothing is lost.
    #[must_use]
    pub fn happening(&self) -> Option<Happening<'static>> {
        self.when.map(|(from, until)| Happening::Gap { count: self.count, from, until })
    }
}
