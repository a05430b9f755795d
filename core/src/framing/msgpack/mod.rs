//! msgpack as msgpack-python 1.2.4 reads and writes it for the reference.
//!
//! Promises: every form that the format allows is read; texts are checked UTF-8, map keys are texts or bytes, extension
//! codes are 0 to 127 or a good timestamp, nesting is at most 1,023 levels below the packet, and nothing announces more
//! than is there. Nothing is copied and nothing recurses. What is written is always the shortest form.

mod by_key;
mod check;
mod decode;
mod encode;
mod item;
mod shortest;
#[cfg(test)]
mod tests;
mod tokens;
mod transcode;
mod write;

use super::value::{Count, Head};
use super::{Number, Text};
use item::{Item, Reader};

pub(super) use decode::{packet as decode_packet, response as decode_response, value_from_bytes};
pub(super) use encode::{packet as encode_packet, response as encode_response};
pub(super) use tokens::Tokens;

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
