//! Free-form members into msgpack, whatever they were written in.

use super::super::json::Counts;
use super::super::sink::Sink;
use super::super::value::{Repr, Value, ValueToken};
use super::super::walk::{Event, Order, Walk};
use super::super::{EncodeError, json};
use super::write;

/// Write a value as the reference does: copied where it already is in that form, else read and written again, with
/// equal keys collapsed.
#[inline]
pub(crate) fn value(sink: &mut impl Sink, value: Value<'_>) -> Result<(), EncodeError> {
    match value.repr() {
        Repr::Msgpack(bytes) if value.known().wire => Ok(sink.put(bytes)?),
        Repr::Json("{}") => Ok(sink.put(&[0x80])?),
        Repr::Json("[]") => Ok(sink.put(&[0x90])?),
        Repr::Json(text) if value.known().unique => small_json(sink, value, text),
        _ => walked(sink, value),
    }
}

/// JSON says nowhere how much is in a container. Count ahead, in a little space; what does not fit there is walked.
fn small_json(sink: &mut impl Sink, value: Value<'_>, text: &str) -> Result<(), EncodeError> {
    let Some(mut counts) = Counts::of(text) else { return walked(sink, value) };
    for token in json::Tokens::new(text) {
        match token {
            ValueToken::ArrayStart => write::array(sink, counts.next().map_or(0, u32::from))?,
            ValueToken::ObjectStart => write::map(sink, counts.next().map_or(0, u32::from))?,
            token => scalar(sink, token)?,
        }
    }
    Ok(())
}

/// Any value, with its keys made unique and its containers counted.
fn walked(sink: &mut impl Sink, value: Value<'_>) -> Result<(), EncodeError> {
    for event in Walk::new(value, Order::AsWritten) {
        match event? {
            Event::ArrayStart(n) => write::array(sink, n)?,
            Event::ObjectStart(n) => write::map(sink, n)?,
            event => scalar(sink, event.token())?,
        }
    }
    Ok(())
}

/// Anything but the start of a container, whose end is not written at all.
#[inline]
fn scalar(sink: &mut impl Sink, token: ValueToken<'_>) -> Result<(), EncodeError> {
    match token {
        ValueToken::Null => sink.put(&[0xc0])?,
        ValueToken::Bool(b) => sink.put(&[0xc2 | u8::from(b)])?,
        ValueToken::Number(n) => write::number(sink, n)?,
        ValueToken::Str(text) | ValueToken::Key(text) => write::text(sink, text)?,
        ValueToken::Bytes(bytes) | ValueToken::KeyBytes(bytes) => write::bin(sink, bytes)?,
        ValueToken::Ext(code, body) => write::ext(sink, code, body)?,
        ValueToken::ArrayStart | ValueToken::ArrayEnd | ValueToken::ObjectStart | ValueToken::ObjectEnd => {}
    }
    Ok(())
}
