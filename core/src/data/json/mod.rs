//! JSON as the reference reads and writes it: Python's `json.loads` and `json.dumps`.

mod counts;
mod exact;
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
pub(super) use exact::numbers_are_exact;
pub(super) use keys::KeyFilter;
pub(super) use read::{Tokens, end_of, head, is_separator};
pub(crate) use scan::Scanner;
pub(super) use spaced::unique as is_unique;
pub(super) use write::write_object;
pub(crate) use write::{inside, write_value};

/// Check a text inside of a frame that must be one value; quick for values without white space.
#[inline]
pub(crate) fn checked(text: &str) -> Result<Value<'_>, ParseError> {
    whole(text, Scanner::value).map_err(|e| e.error)
}

/// Check a text that must be one value; quick for values with a space behind commas and colons.
pub(super) fn value_from_text(text: &str) -> Result<Value<'_>, ValueError> {
    whole(text, Scanner::spaced_value)
}

#[inline(always)]
fn whole<'a>(
    text: &'a str,
    read: impl FnOnce(&mut Scanner<'a>) -> Result<Value<'a>, ParseError>,
) -> Result<Value<'a>, ValueError> {
    let mut scanner = Scanner::new(text, 0);
    scanner.space();
    let value = read(&mut scanner).and_then(|value| {
        scanner.space();
        match scanner.peek() {
            _ if u32::try_from(text.len()).is_err() => Err(ParseError::TooLarge),
            Some(_) => Err(ParseError::BadJson),
            None => Ok(value),
        }
    });
    value.map_err(|error| ValueError { error, at: scanner.pos() })
}
