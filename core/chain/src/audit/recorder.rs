//! The operator's switch.

use alloc::boxed::Box;
use alloc::string::String;

use super::Happening;
use super::draft::Scratch;
use crate::token::Token;
use sluis_core::data::Text;

/// Kinds of happenings, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// None.
    pub const NONE: Self = Self(0);
    /// Pings.
    pub const PING: Self = Self(1);
    /// Answers to our pings.
    pub const RESPONSE: Self = Self(2);
    /// Signs of life.
    pub const HEARTBEAT: Self = Self(4);
    /// Peers that come and go.
    pub const DISCOVERY: Self = Self(8);
    /// What is passed on.
    pub const RELAY: Self = Self(16);
    /// Changes of trust.
    pub const TRUST: Self = Self(32);
    /// Decisions about pings that waited.
    pub const DECISION: Self = Self(64);
    /// What happens in the overlay: registrations, challenges, join tokens and who joins by them, vouches.
    pub const OVERLAY: Self = Self(128);
    /// Signatures for what was said on channels.
    pub const STATEMENT: Self = Self(256);
    /// All.
    pub const ALL: Self = Self(511);

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of those are among these.
    #[must_use]
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The kind of a happening.
    #[must_use]
    pub const fn of(happening: &Happening<'_>) -> Self {
        match happening {
            Happening::Ping { .. } => Self::PING,
            Happening::Response { .. } => Self::RESPONSE,
            Happening::Heartbeat { .. } => Self::HEARTBEAT,
            Happening::Discovery { .. } | Happening::Lost { .. } => Self::DISCOVERY,
            Happening::Relay { .. } => Self::RELAY,
            Happening::Trust { .. } => Self::TRUST,
            Happening::Decided { .. } => Self::DECISION,
            Happening::Overlay(_) => Self::OVERLAY,
            Happening::Statement(_) => Self::STATEMENT,
            // That something is missing is said whatever is recorded.
            Happening::Gap { .. } => Self::NONE,
        }
    }
}

/// Draws up a token for whatever happens, one following from the other.
///
/// It reuses its memory: what a draft needs grows to the largest that there was and is then enough.
#[derive(Debug)]
pub struct Recorder {
    actor: Box<str>,
    kinds: Kinds,
    last: Option<String>,
    scratch: Scratch,
}

impl Recorder {
    /// For the node of this name, all kinds switched on, following from nothing yet.
    #[must_use]
    pub fn new(actor: &str) -> Self {
        Self { actor: actor.into(), kinds: Kinds::ALL, last: None, scratch: Scratch::default() }
    }

    /// Record these kinds and no others.
    #[must_use]
    pub const fn kinds(mut self, kinds: Kinds) -> Self {
        self.kinds = kinds;
        self
    }

    /// Whether happenings of a kind are recorded: worth asking before one is put together.
    #[must_use]
    pub const fn wants(&self, kind: Kinds) -> bool {
        self.kinds.has(kind)
    }

    /// The members of the token for a happening; `None` where the kind is switched off. Id, time and hash are left for whoever
    /// seals it.
    pub fn draft(&mut self, happening: &Happening<'_>) -> Option<Token<'_>> {
        if !self.wants(Kinds::of(happening)) {
            return None;
        }
        let draft = self.scratch.draft(happening);
        Some(Token {
            actor: if draft.actor.is_empty() { Text::new(&self.actor) } else { draft.actor },
            parent_id: self.last.as_deref().map(Text::new),
            ..draft
        })
    }

    /// The next token follows from this one.
    pub fn follow(&mut self, token_id: Text<'_>) {
        let last = self.last.get_or_insert_default();
        last.clear();
        last.push_str(&token_id.to_cow());
    }
}
