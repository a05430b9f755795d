//! What a verifier says.

use alloc::string::String;
use core::fmt;

use sluis_core::data::{EncodeError, Member, Number, Sink, Style, Text, canonical};

/// Longest text in a finding, in bytes: what strangers wrote is cut there.
pub const MAX_TEXT: usize = 512;

/// What is wrong. `Display` and [`as_str`](Self::as_str) are the word in the JSON form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The line is no token: not UTF-8, not JSON, a member missing or mistyped, torn.
    BrokenLine,
    /// The line is longer than the verifier takes.
    LineTooLong,
    /// There is no content hash.
    MissingHash,
    /// The members are not what was hashed, or the key is another one.
    ContentHash,
    /// A number in it is not finite.
    NonFinite,
    /// The timestamp is none.
    BadTimestamp,
    /// The timestamp is too far in the future.
    FutureTimestamp,
    /// The signature does not hold.
    BadSignature,
    /// Whoever signed is not known.
    UnknownKey,
    /// There is no signature where there must be one.
    Unsigned,
    /// Somebody else signed than the actor that the token names.
    Actor,
    /// An earlier token has the same id.
    DuplicateId,
    /// There is no token with the id that this one follows from.
    MissingParent,
    /// Tokens follow from one another in a circle.
    ParentCycle,
    /// The entry after this one was written after another one than this, or an entry has no link in a file of linked ones.
    Link,
    /// The entries are not those of the checkpoint; with a tree file this is the first that is another.
    Root,
    /// The log ends before its checkpoint.
    Truncated,
    /// The line is none of the log's.
    Inserted,
    /// Entries before this line are gone.
    Dropped,
    /// The line is an entry from another place.
    Swapped,
    /// Lines end with a carriage return that was not there when they were logged.
    LineEnd,
    /// Found by a [`Checker`](super::Checker): its own word, in snake case.
    Other(&'static str),
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BrokenLine => "broken_line",
            Self::LineTooLong => "line_too_long",
            Self::MissingHash => "missing_hash",
            Self::ContentHash => "content_hash",
            Self::NonFinite => "non_finite",
            Self::BadTimestamp => "bad_timestamp",
            Self::FutureTimestamp => "future_timestamp",
            Self::BadSignature => "bad_signature",
            Self::UnknownKey => "unknown_key",
            Self::Unsigned => "unsigned",
            Self::Actor => "actor",
            Self::DuplicateId => "duplicate_id",
            Self::MissingParent => "missing_parent",
            Self::ParentCycle => "parent_cycle",
            Self::Link => "link",
            Self::Root => "root",
            Self::Truncated => "truncated",
            Self::Inserted => "inserted",
            Self::Dropped => "dropped",
            Self::Swapped => "swapped",
            Self::LineEnd => "line_end",
            Self::Other(word) => word,
        }
    }
}

/// What a finding of some kind is about. The more it says, the less is said beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Nothing was found.
    #[default]
    Nothing,
    /// What the token says, which an honest one may say too.
    Claim,
    /// Who signed it.
    Signer,
    /// The bytes of the line: they are not those that were logged, or not in this place. What else is wrong with it follows.
    Bytes,
}

impl Kind {
    pub(super) const fn weight(self) -> Weight {
        match self {
            Self::BadTimestamp
            | Self::FutureTimestamp
            | Self::DuplicateId
            | Self::MissingParent
            | Self::ParentCycle
            | Self::Other(_) => Weight::Claim,
            Self::UnknownKey | Self::Unsigned | Self::Actor => Weight::Signer,
            Self::BrokenLine
            | Self::LineTooLong
            | Self::MissingHash
            | Self::ContentHash
            | Self::NonFinite
            | Self::BadSignature
            | Self::Link
            | Self::Root
            | Self::Truncated
            | Self::Inserted
            | Self::Dropped
            | Self::Swapped
            | Self::LineEnd => Weight::Bytes,
        }
    }

    /// Whether it is that an earlier token says the same: `duplicate_id` and whatever a checker calls so.
    pub(super) fn is_repetition(self) -> bool {
        self.as_str().starts_with("duplicate_")
    }

    /// Whether it is about other lines than the one it is said of: such that are not there.
    pub(super) const fn is_of_others(self) -> bool {
        matches!(self, Self::Dropped | Self::Truncated)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong with a file: the cause, not what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Number of the line, from 1.
    pub line: u64,
    /// The token in it, where there is one that can be read.
    pub token_id: Option<String>,
    /// What is wrong.
    pub kind: Kind,
    /// What should be there.
    pub expected: Option<String>,
    /// What is there.
    pub actual: Option<String>,
}

impl Finding {
    /// Write it as one JSON object without a line feed: `{"event":"finding","line","token_id","kind","expected","actual"}`.
    ///
    /// # Errors
    /// The sink is full.
    pub fn write_json(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        fn text(text: &Option<String>) -> Member<'_> {
            text.as_deref().map_or(Member::Null, Member::from)
        }
        let line = i64::try_from(self.line).unwrap_or(i64::MAX);
        canonical::write_object(
            sink,
            &[
                ("event", "finding".into()),
                ("line", Number::from(line).into()),
                ("token_id", text(&self.token_id)),
                ("kind", self.kind.as_str().into()),
                ("expected", text(&self.expected)),
                ("actual", text(&self.actual)),
            ],
            Style::WIRE,
        )
    }
}

/// For people: `line 3, token tibet_…: content_hash: expected …, found …`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(id) = &self.token_id {
            write!(f, ", token {}", id.escape_debug())?;
        }
        write!(f, ": {}", self.kind)?;
        if let Some(expected) = &self.expected {
            write!(f, ": expected {}", expected.escape_debug())?;
        }
        if let Some(actual) = &self.actual {
            let comma = if self.expected.is_some() { "," } else { ":" };
            write!(f, "{comma} found {}", actual.escape_debug())?;
        }
        Ok(())
    }
}

/// A text of a stranger's, cut where it becomes too long.
pub(super) fn cut(text: Text<'_>) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
        if out.len() + c.len_utf8() > MAX_TEXT {
            break;
        }
        out.push(c);
    }
    out
}
