//! What a token hashes to, and whether it is what it says.

use sha2::{Digest as _, Sha256};

use super::hash::Stage;
use super::{Fault, Field, HEADER_PREFIX, Hash32, PREV_PREFIX, Token};
use sluis_core::data::{EncodeError, Text, Value, ValueToken as Piece};
use sluis_core::identity::MacKey;

impl<'a> Token<'a> {
    /// The hash of its first ten members: HMAC-SHA256 with a key, SHA-256 without one. The hash that it says is its own is
    /// not looked at.
    ///
    /// An empty key is a key here; the reference takes it for none.
    ///
    /// # Errors
    /// Something in it has no canonical text: bytes that came in msgpack, or, without `alloc`, more than can be put in order.
    #[inline]
    pub fn content_hash(&self, key: Option<&MacKey>) -> Result<Hash32, EncodeError> {
        match key {
            None => {
                let mut hash = Sha256::new();
                let mut stage = Stage::new(&mut hash);
                self.hash_input(&mut stage)?;
                stage.finish();
                Ok(Hash32(hash.finalize().into()))
            }
            Some(key) => {
                let mut mac = key.begin();
                let mut stage = Stage::new(&mut mac);
                self.hash_input(&mut stage)?;
                stage.finish();
                Ok(Hash32(mac.finish()))
            }
        }
    }

    /// Check the content hash, in constant time. The seal is not looked at, nor what the token follows from.
    ///
    /// # Errors
    /// What is wrong.
    #[inline]
    pub fn verify(&self, key: Option<&MacKey>) -> Result<(), Fault> {
        if self.content_hash.is_empty() {
            return Err(Fault::MissingHash);
        }
        self.check_finite()?;
        self.check_exact()?;
        let actual = self.content_hash(key).map_err(|_| Fault::TooLarge)?;
        let said = self.said_hash().is_some_and(|said| said.ct_eq(&actual));
        if said { Ok(()) } else { Err(Fault::ContentHash { actual: key.is_none().then_some(actual) }) }
    }

    /// The content hash that stands in the token, where it is one.
    #[must_use]
    #[inline]
    pub fn said_hash(&self) -> Option<Hash32> {
        Hash32::from_hex(self.content_hash.as_str()?)
    }

    /// Every number in it is one.
    ///
    /// # Errors
    /// [`Fault::NonFinite`] with the first member that holds one that is not.
    #[inline]
    pub fn check_finite(&self) -> Result<(), Fault> {
        self.check_values(Value::is_finite).map_err(Fault::NonFinite)
    }

    /// What the content hash covers is what the line says: see [`Value::is_exact`].
    ///
    /// # Errors
    /// [`Fault::Inexact`] with the first member that says something else.
    #[inline]
    pub fn check_exact(&self) -> Result<(), Fault> {
        self.check_values(Value::is_exact).map_err(Fault::Inexact)
    }

    /// Ask something of the members that are of any form; the first that is not so.
    #[inline(always)]
    fn check_values(&self, good: impl Fn(Value<'a>) -> bool) -> Result<(), Field> {
        let bad = if !good(self.erin) {
            Field::Erin
        } else if !good(self.eraan) {
            Field::Eraan
        } else if !good(self.eromheen) {
            Field::Eromheen
        } else {
            return Ok(());
        };
        Err(bad)
    }

    /// The link to the entry before it in its log: its last reference, where that is `prev:sha256:` and 64 hex digits.
    #[must_use]
    pub fn prev(&self) -> Option<Hash32> {
        split_link(self.eraan.as_json()?).map(|(_, link)| link)
    }

    /// The [header](crate::log::LogHeader) of a log: the last reference but the link, where it begins with `log:`.
    #[must_use]
    pub fn log_header(&self) -> Option<Text<'a>> {
        self.link_and_header().1
    }

    /// [`prev`](Self::prev) and [`log_header`](Self::log_header) at once.
    #[inline]
    pub(crate) fn link_and_header(&self) -> (Option<Hash32>, Option<Text<'a>>) {
        const QUOTED: &str = "\"log:";
        let Some(json) = self.eraan.as_json() else { return (None, None) };
        let (front, link) = split_link(json).map_or((json, None), |(front, link)| (front, Some(link)));
        // Nearly no token has a header, and most have nothing before their link.
        let header = if front.contains(QUOTED) { self.find_header(link.is_some()) } else { None };
        (link, header)
    }

    /// The header, where there is one. Only a text counts, and only as a reference of its own.
    fn find_header(&self, linked: bool) -> Option<Text<'a>> {
        let (mut depth, mut last, mut before) = (0_usize, None, None);
        for piece in self.eraan.tokens() {
            let (opens, closes) = match piece {
                Piece::ArrayStart | Piece::ObjectStart => (true, false),
                Piece::ArrayEnd | Piece::ObjectEnd => (false, true),
                _ => (false, false),
            };
            depth -= usize::from(closes).min(depth);
            if depth == 1 && !closes {
                before = last.replace(piece);
            }
            depth += usize::from(opens);
        }
        match if linked { before } else { last }? {
            Piece::Str(text) if starts_with(text, HEADER_PREFIX) => Some(text),
            _ => None,
        }
    }

    /// A token of the same members whose hash and seal are these.
    #[must_use]
    pub const fn with(self, content_hash: Text<'a>, signature: Text<'a>) -> Self {
        Self { content_hash, signature, ..self }
    }
}

/// References as JSON, taken apart: what stands before the link, and the link.
fn split_link(eraan: &str) -> Option<(&str, Hash32)> {
    // A quote without a backslash before it stands at the end of a text.
    let text = eraan.strip_suffix(']')?.trim_ascii_end().strip_suffix('"')?;
    let (front, digits) = text.split_at_checked(text.len().checked_sub(64)?)?;
    let front = front.strip_suffix(PREV_PREFIX)?.strip_suffix('"')?;
    if front.ends_with('\\') { None } else { Some((front, Hash32::from_hex(digits)?)) }
}

fn starts_with(text: Text<'_>, prefix: &str) -> bool {
    let mut chars = text.chars();
    prefix.chars().all(|c| chars.next() == Some(Ok(c)))
}
