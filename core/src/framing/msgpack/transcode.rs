//! Free-form members into msgpack, whatever they were written in.

use super::super::EncodeError;
use super::super::sink::Sink;
use super::super::value::{Repr, Value};
use super::super::walk::{Event, Order, Walk};
use super::{encode, write};

/// Write a value as the reference does: copied where it already is in that form, else read and written again, with
/// equal keys collapsed.
#[inline]
pub(super) fn value(sink: &mut impl Sink, value: Value<'_>) -> Result<(), EncodeError> {
    match value.repr() {
        Repr::Msgpack(bytes) if value.known().wire => Ok(sink.put(bytes)?),
        Repr::Json("{}") => Ok(sink.put(&[0x80])?),
        Repr::Json("[]") => Ok(sink.put(&[0x90])?),
        _ => rewrite(sink, value),
    }
}

fn rewrite(sink: &mut impl Sink, value: Value<'_>) -> Result<(), EncodeError> {
    for event in Walk::new(value, Order::AsWritten) {
        match event? {
            Event::Null => sink.put(&[0xc0])?,
            Event::Bool(b) => sink.put(&[0xc2 | u8::from(b)])?,
            Event::Number(n) => encode::number(sink, n)?,
            Event::Str(text) | Event::Key(text) => encode::plain(sink, text)?,
            Event::Bytes(bytes) | Event::KeyBytes(bytes) => write::bin(sink, bytes)?,
            Event::Ext(code, body) => write::ext(sink, code, body)?,
            Event::ArrayStart(n) => write::array(sink, n)?,
            Event::ObjectStart(n) => write::map(sink, n)?,
            Event::ArrayEnd | Event::ObjectEnd => {}
        }
    }
    Ok(())
}
