//! Where a token is in its life.

/// State of a token. Changing it makes a new token; the old one keeps its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
pub enum State {
    /// Made, nothing known about it yet.
    #[default]
    Created,
    /// Noticed.
    Detected,
    /// Sorted.
    Classified,
    /// Something was done about it.
    Mitigated,
    /// Done with.
    Resolved,
}

impl State {
    /// Every state, in the order of a life.
    pub const ALL: &'static [Self] =
        &[Self::Created, Self::Detected, Self::Classified, Self::Mitigated, Self::Resolved];

    /// The word in a token.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Detected => "detected",
            Self::Classified => "classified",
            Self::Mitigated => "mitigated",
            Self::Resolved => "resolved",
        }
    }

    /// The state with exactly this word.
    #[must_use]
    pub fn from_word(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.as_str() == text)
    }
}

impl core::fmt::Display for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}
