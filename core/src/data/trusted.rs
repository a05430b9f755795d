//! Values and texts that this crate writes itself.

use super::text::{Form, Text};
#[cfg(feature = "alloc")]
use super::value::{Known, Repr, Value};

impl<'a> Text<'a> {
    /// Text of the caller's own making (digits, hex, a time stamp): printable ASCII without `"` and `\`. It is not looked at
    /// again, so of any other text no JSON would be written.
    #[must_use]
    pub const fn from_wire(text: &'a str) -> Self {
        Self::from_scan(text, Form::PlainWire)
    }
}

#[cfg(feature = "alloc")]
impl<'a> Value<'a> {
    /// Text of our own making that is exactly what the reference would write: it is not checked again.
    pub(crate) const fn from_wire(text: &'a str) -> Self {
        Self::from_parts(Repr::Json(text), Known::ALL)
    }

    /// msgpack of our own making that is exactly what the reference would write: it is not checked again.
    pub(crate) const fn from_wire_msgpack(bytes: &'a [u8]) -> Self {
        Self::from_parts(Repr::Msgpack(bytes), Known::ALL)
    }

    /// How long it is as it was written, in bytes: a good guess at how long it will be when written again.
    pub(crate) const fn raw_len(self) -> usize {
        match self.repr() {
            Repr::Json(text) => text.len(),
            Repr::Msgpack(bytes) => bytes.len(),
        }
    }
}
