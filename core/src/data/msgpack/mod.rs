//! msgpack as msgpack-python 1.2.4 reads and writes it for the reference.
//!
//! Promises: every form that the format allows is read; texts are checked UTF-8, map keys are texts or bytes, extension
//! codes are 0 to 127 or a good timestamp, nesting is at most 1,023 levels, and nothing announces more
//! than is there. Nothing is copied and nothing recurses. What is written is always the shortest form.

pub(crate) mod check;
pub(crate) mod item;
mod shortest;
#[cfg(test)]
mod tests;
mod tokens;
pub(crate) mod transcode;
pub(crate) mod write;

use super::error::{ParseError, ValueError};
use super::number::Number;
use super::text::Text;
use super::value::{Count, Head, Repr, Value};
use crate::limits::MAX_PAYLOAD;
use item::{Item, Reader};

pub(super) use tokens::Tokens;

/// Check bytes that must be one value.
pub(super) fn value_from_bytes(bytes: &[u8]) -> Result<Value<'_>, ValueError> {
    let mut reader = Reader::new(bytes);
    let value = value(&mut reader);
    let at = bytes.len() - reader.rest().len();
    match value {
        _ if bytes.len() > MAX_PAYLOAD => Err(ValueError { error: ParseError::TooLarge, at: MAX_PAYLOAD }),
        Ok(_) if at < bytes.len() => Err(ValueError { error: ParseError::MsgpackTrailing, at }),
        Ok(value) => Ok(value),
        Err(error) => Err(ValueError { error, at }),
    }
}

/// Step over one value, checked.
#[inline]
pub(crate) fn value<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, ParseError> {
    let before = reader.rest();
    let known = check::value(reader)?;
    let len = before.len() - reader.rest().len();
    Ok(Value::from_parts(Repr::Msgpack(before.get(..len).unwrap_or(before)), known))
}

/// What begins at `pos` of a checked value, and the position after its head: see [`Value::head`](super::Value).
pub(super) fn head(bytes: &[u8], pos: usize) -> Option<(Head<'_>, usize)> {
    let mut reader = Reader::new(bytes.get(pos..)?);
    let head = match reader.item().ok()? {
        Item::Nil => Head::Null,
        Item::Bool(b) => Head::Bool(b),
        Item::Int(n) => Head::Number(Number::Int(n)),
        Item::Uint(n) => Head::Number(Number::Uint(n)),
        Item::Float(n) => Head::Number(Number::Float(n)),
        Item::Str(text) => Head::Str(Text::new(core::str::from_utf8(text).ok()?)),
        Item::Bin(bytes) => Head::Bytes(bytes),
        Item::Ext(code, body) => Head::Ext(code, body),
        Item::Array(n) => Head::Array(Count::Exactly(n)),
        Item::Map(n) => Head::Object(Count::Exactly(n)),
    };
    Some((head, bytes.len() - reader.rest().len()))
}

/// Whether two extension values are the same: code and bytes, or as timestamps the instant.
pub(super) fn same_ext(a: i8, a_data: &[u8], b: i8, b_data: &[u8]) -> bool {
    a == b && (a_data == b_data || a == -1 && shortest::timestamp(a, a_data) == shortest::timestamp(b, b_data))
}

/// The position after the checked value that begins at `pos`.
pub(super) fn end_of(bytes: &[u8], pos: usize) -> Option<usize> {
    let mut reader = Reader::new(bytes.get(pos..)?);
    let mut left = 1_usize;
    while left > 0 {
        left -= 1;
        left += match reader.item().ok()? {
            item @ (Item::Array(n) | Item::Map(n)) => {
                usize::from(check::elements(n, matches!(item, Item::Map(_)), &reader).ok()?)
            }
            _ => 0,
        };
    }
    Some(bytes.len() - reader.rest().len())
}
