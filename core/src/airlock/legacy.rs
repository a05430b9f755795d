//! Which senders may go on without signatures.

use alloc::string::String;
use alloc::vec::Vec;

use super::gate::MAX_RULE_TEXT;
use super::glob::{self, Pattern, StarInside, Unseen};

/// DID [patterns](super::glob) of the senders that the operator allows as legacy: they may stay unsigned and are judged by rules
/// and trust alone. Empty: nobody.
#[derive(Debug)]
pub struct LegacyList {
    pub(super) patterns: Vec<String>,
    everyone: bool,
    limit: u32,
}

/// Why a pattern is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LegacyError {
    /// It is longer than any DID between two stars.
    #[error("a pattern has at most {MAX_RULE_TEXT} bytes, this one has {0}")]
    TooLong(usize),
    /// It is empty: no DID is.
    #[error("a pattern must not be empty, since no DID is: write one like jis:home:* or just *")]
    Empty,
    /// It has a star that stands for nothing.
    #[error(transparent)]
    Star(#[from] StarInside),
    /// It has a character that is not seen.
    #[error(transparent)]
    Unseen(#[from] Unseen),
    /// The list is full.
    #[error("there are {0} legacy patterns already, the most that are allowed")]
    TooMany(usize),
}

impl Default for LegacyList {
    fn default() -> Self {
        Self::new(1024)
    }
}

impl LegacyList {
    /// Allow nobody, with room for `limit` patterns of at most 258 bytes.
    #[must_use]
    pub(crate) const fn new(limit: u32) -> Self {
        Self { patterns: Vec::new(), everyone: false, limit }
    }

    /// Allow the DIDs that match a pattern; `*` is everyone.
    ///
    /// # Errors
    /// When it is empty or too long, has a star inside or a character that is not seen, or there are too many.
    pub fn allow(&mut self, pattern: &str) -> Result<(), LegacyError> {
        if pattern.len() > MAX_RULE_TEXT {
            return Err(LegacyError::TooLong(pattern.len()));
        }
        if pattern.is_empty() {
            return Err(LegacyError::Empty);
        }
        glob::check_seen(pattern)?;
        glob::check(pattern)?;
        if self.patterns.iter().any(|p| p == pattern) {
            return Ok(());
        }
        if self.patterns.len() >= self.limit as usize {
            return Err(LegacyError::TooMany(self.limit as usize));
        }
        if self.patterns.is_empty() {
            // Most lists have one pattern, and would begin with room for four.
            self.patterns.reserve_exact(1);
        }
        self.patterns.push(pattern.into());
        self.everyone |= Pattern::new(pattern) == Pattern::Any;
        Ok(())
    }

    /// Take a pattern back; false when it is not in the list. It must be the same text as was allowed.
    pub fn disallow(&mut self, pattern: &str) -> bool {
        let before = self.patterns.len();
        self.patterns.retain(|p| p != pattern);
        self.everyone = self.patterns.iter().any(|p| Pattern::new(p) == Pattern::Any);
        self.patterns.len() < before
    }

    /// Whether this DID is allowed.
    #[must_use]
    pub fn allows(&self, did: &str) -> bool {
        self.everyone || self.patterns.iter().any(|p| Pattern::new(p).matches(did))
    }
}
