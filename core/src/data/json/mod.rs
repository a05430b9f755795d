//! JSON as the reference reads and writes it: Python's `json.loads` and `json.dumps`.

mod counts;
mod flat;
mod keys;
mod numeral;
mod read;
mod scan;
mod sorted;
mod spaced;
mod swar;
mod write;

use super::error::{ParseError, ValueError};
use super::value::Value;

pub(super) use counts::Counts;
pub(super) use keys::KeyFilter;
pub(super) use read::{Tokens, end_of, head, is_separator};
pub(crate) use scan::Scanner;
pub(super) use write::write_object;
pub(crate) use write::{inside, write_value};

/// Check a text inside of something else that must be one value.
#[inline]
pub(crate) fn checked(text: &str) -> Result<Value<'_>, ParseError> {
    value_from_text(text).map_err(|e| e.error)
}

/// Check a text that must be one value.
pub(super) fn value_from_text(text: &str) -> Result<Value<'_>, ValueError> {
    let mut scanner = Scanner::new(text, 0);
    scanner.space();
    let value = scanner.spaced_value().and_then(|value| {
        scanner.space();
        match scanner.peek() {
            _ if u32::try_from(text.len()).is_err() => Err(ParseError::TooLarge),
            Some(_) => Err(ParseError::BadJson),
            None => Ok(value),
        }
    });
    value.map_err(|error| ValueError { error, at: scanner.pos() })
}
