//! Patterns for DIDs and intents: a star at either end, nothing else is special.
//!
//! As `tibet_ping.airlock`: `*` matches everything, `a*` what starts with `a`, `*a` what ends with `a`, `*a*` what contains
//! `a`; any other text, a star in the middle included, matches only itself. `**` has no middle, so it is "starts with
//! `*`". The empty pattern matches the empty text. Upper and lower case differ.

/// Whether `value` matches `pattern`.
#[must_use]
pub fn matches(pattern: &str, value: &str) -> bool {
    Pattern::new(pattern).matches(value)
}

/// Refuse a pattern with a star where none means anything: one that is neither the first nor the last character. It would match
/// only a text with that very star, while whoever wrote it means more.
///
/// # Errors
/// There is such a star.
pub fn check(pattern: &str) -> Result<(), StarInside> {
    let inner = pattern.strip_prefix('*').unwrap_or(pattern);
    let inner = inner.strip_suffix('*').unwrap_or(inner);
    // `**` has no middle, and would be "starts with a star".
    if inner.contains('*') || pattern == "**" { Err(StarInside) } else { Ok(()) }
}

/// A pattern has a star that is neither its first nor its last character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a star stands for something only as the first or the last character of a pattern")]
pub struct StarInside;

/// Refuse a text with a control character, or with a blank as its first or last character. No sender may have a control character in its
/// name, and neither is seen by whoever reads a rule: it would match nothing, or something else than it seems to.
///
/// # Errors
/// There is such a character.
pub fn check_seen(text: &str) -> Result<(), Unseen> {
    if text.trim() != text || text.chars().any(char::is_control) { Err(Unseen) } else { Ok(()) }
}

/// A text has a control character, or a blank as its first or last character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a control character in it, or a blank as its first or last character, is not seen: write it without")]
pub struct Unseen;

/// A pattern, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern<'a> {
    /// Everything.
    Any,
    /// Only this.
    Exact(&'a str),
    /// What starts with this.
    Prefix(&'a str),
    /// What ends with this.
    Suffix(&'a str),
    /// What has this somewhere.
    Contains(&'a str),
}

impl<'a> Pattern<'a> {
    /// Take a pattern apart. Every text is a pattern.
    #[must_use]
    pub(crate) fn new(pattern: &'a str) -> Self {
        if pattern == "*" {
            return Self::Any;
        }
        match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(rest), Some(prefix)) => match rest.strip_suffix('*') {
                Some(middle) if !middle.is_empty() => Self::Contains(middle),
                _ => Self::Prefix(prefix),
            },
            (None, Some(prefix)) => Self::Prefix(prefix),
            (Some(suffix), None) => Self::Suffix(suffix),
            (None, None) => Self::Exact(pattern),
        }
    }

    /// Whether `value` matches.
    #[must_use]
    pub(crate) fn matches(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(text) => value == *text,
            Self::Prefix(text) => value.starts_with(text),
            Self::Suffix(text) => value.ends_with(text),
            Self::Contains(text) => value.len() >= text.len() && value.contains(text),
        }
    }
}
