//! A name for a device or agent.

#[cfg(feature = "alloc")]
use core::fmt;

use crate::limits::MAX_DID;

/// Why a text is not a usable DID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DidError {
    /// It is empty.
    #[error("a DID must not be empty")]
    Empty,
    /// It is longer than [`MAX_DID`] bytes.
    #[error("a DID has at most {MAX_DID} bytes, this one has {0}")]
    TooLong(usize),
    /// It contains a control character, which no log or terminal should be shown.
    #[error("a DID must not contain control characters")]
    Control,
}

/// Check a DID that the operator or a stranger names: 1 to [`MAX_DID`] bytes, no control characters.
///
/// The reference takes any text; by convention it starts with `jis:`, which is not enforced, so that a node can be
/// swapped into a network whose names do not.
///
/// # Errors
/// What is wrong with it.
pub fn check_did(text: &str) -> Result<(), DidError> {
    match text.len() {
        0 => Err(DidError::Empty),
        n if n > MAX_DID => Err(DidError::TooLong(n)),
        // The usual name is printable ASCII; only others are looked at character by character.
        _ if text.bytes().all(|b| matches!(b, 0x20..0x7f)) => Ok(()),
        _ if text.chars().any(char::is_control) => Err(DidError::Control),
        _ => Ok(()),
    }
}

#[cfg(feature = "alloc")]
/// Whether a device may take this name by itself, by joining or registering: a DID that is not everybody's, without characters that are not seen or turn the order of others around.
pub(crate) fn may_be_taken(did: &str) -> bool {
    let unseen = |c| matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    check_did(did).is_ok() && did != crate::limits::BROADCAST && !did.chars().any(unseen)
}

/// An owned, checked DID: see [`check_did`].
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did(alloc::boxed::Box<str>);

#[cfg(feature = "alloc")]
impl Did {
    /// Check and own a DID.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, DidError> {
        check_did(text)?;
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(feature = "alloc")]
impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(feature = "alloc")]
impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(feature = "alloc")]
impl core::str::FromStr for Did {
    type Err = DidError;
    fn from_str(text: &str) -> Result<Self, DidError> {
        Self::new(text)
    }
}
