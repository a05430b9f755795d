//! Free-form members, checked when they are decoded and read only when somebody asks.

use super::canonical::Style;
use super::error::{EncodeError, ValueError};
use super::json;
use super::msgpack;
use super::number::Number;
use super::sink::Sink;
use super::text::Text;
use super::walk::{Order, Walk};

/// Most containers inside each other in one value; a scalar has none.
///
/// The reference gives up at 990 in JSON and at 1,024 in msgpack, where its interpreter does.
pub const MAX_DEPTH: usize = 989;

/// Any JSON or msgpack value, borrowed as it was written.
///
/// It was checked as a whole, so reading it cannot fail. Comparison is by content, whatever it was written in:
/// duplicate keys count once, as in a Python dict, and the order of keys matters, as on the wire.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    repr: Repr<'a>,
    known: Known,
}

/// How a value is written: one variant for each encoding that has its own form of free-form members.
#[derive(Clone, Copy)]
pub(crate) enum Repr<'a> {
    /// Exactly one checked JSON value, without white space around it.
    Json(&'a str),
    /// Exactly one checked msgpack value.
    Msgpack(&'a [u8]),
}

/// What the decoder noticed about a value, so that encoders need not look again. `false` is "not known".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    /// The bytes are exactly what the reference would write for the value in the same encoding. Implies `unique`.
    pub(crate) wire: bool,
    /// No object in it has a key twice.
    pub(crate) unique: bool,
    /// The text is what the reference writes with a space behind every comma and colon, every key of an object as often
    /// as it was written. All numbers are finite.
    pub(crate) spaced: bool,
    /// Together with `spaced`: the members of every object are in the order of their keys, and none comes twice.
    pub(crate) sorted: bool,
}

impl Known {
    pub(super) const NOTHING: Self = Self { wire: false, unique: false, spaced: false, sorted: false };
    /// As on the wire.
    pub(super) const ALL: Self = Self { wire: true, unique: true, ..Self::NOTHING };
    /// An empty container, or a word that is no number.
    const PLAIN: Self = Self { wire: true, unique: true, spaced: true, sorted: true };
}

/// One step of reading a value from front to back.
///
/// Comparison is by content: a timestamp of msgpack equals the same instant written in another length.
#[derive(Clone, Copy, Debug)]
pub enum ValueToken<'a> {
    /// `null`, nil.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number<'a>),
    /// A text that is not a key.
    Str(Text<'a>),
    /// A byte string (msgpack).
    Bytes(&'a [u8]),
    /// An extension value (msgpack), timestamps with their code -1 included.
    Ext(i8, &'a [u8]),
    /// An array begins.
    ArrayStart,
    /// It ends.
    ArrayEnd,
    /// An object begins.
    ObjectStart,
    /// A key; its value follows.
    Key(Text<'a>),
    /// A key that is a byte string (msgpack); its value follows.
    KeyBytes(&'a [u8]),
    /// The object ends.
    ObjectEnd,
}

impl PartialEq for ValueToken<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (*self, *other) {
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Str(a), Self::Str(b)) | (Self::Key(a), Self::Key(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) | (Self::KeyBytes(a), Self::KeyBytes(b)) => a == b,
            (Self::Ext(a, a_data), Self::Ext(b, b_data)) => msgpack::same_ext(a, a_data, b, b_data),
            _ => core::mem::discriminant(self) == core::mem::discriminant(other),
        }
    }
}

/// The tokens of a [`Value`] in the order in which they were written, duplicate keys included. Allocates nothing.
#[derive(Clone)]
pub struct Tokens<'a>(TokensRepr<'a>);

/// The iterator of each encoding.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "without a heap, msgpack needs room for a count for each open container")]
enum TokensRepr<'a> {
    Json(json::Tokens<'a>),
    Msgpack(msgpack::Tokens<'a>),
}

impl<'a> Iterator for Tokens<'a> {
    type Item = ValueToken<'a>;

    #[inline]
    fn next(&mut self) -> Option<ValueToken<'a>> {
        match &mut self.0 {
            TokensRepr::Json(tokens) => tokens.next(),
            TokensRepr::Msgpack(tokens) => tokens.next(),
        }
    }
}

/// What begins at a position of a value, in every encoding's terms.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Head<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    Str(Text<'a>),
    Bytes(&'a [u8]),
    Ext(i8, &'a [u8]),
    Array(Count),
    Object(Count),
    /// The end of the innermost container, where the encoding marks it.
    End,
}

/// How a reader knows where a container ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    /// After this many elements or members (a key and its value are one).
    Exactly(u32),
    /// At [`Head::End`].
    UntilEnd,
}

impl<'a> Value<'a> {
    /// `{}`
    pub const EMPTY_OBJECT: Self = Self { repr: Repr::Json("{}"), known: Known::PLAIN };
    /// `[]`
    pub const EMPTY_ARRAY: Self = Self { repr: Repr::Json("[]"), known: Known::PLAIN };
    /// `null`
    pub const NULL: Self = Self { repr: Repr::Json("null"), known: Known::PLAIN };

    /// Check a JSON text: exactly one value by the reference's rules (`NaN` and `Infinity` included), with white space
    /// around it if need be.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn from_json(text: &'a str) -> Result<Self, ValueError> {
        json::value_from_text(text)
    }

    /// Check msgpack bytes: exactly one value by the reference's rules, and no more bytes than a frame has room for.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn from_msgpack(bytes: &'a [u8]) -> Result<Self, ValueError> {
        msgpack::value_from_bytes(bytes)
    }

    /// `repr` must have been checked, and be what `known` says.
    #[inline]
    pub(super) const fn from_parts(repr: Repr<'a>, known: Known) -> Self {
        Self { repr, known }
    }

    #[inline]
    pub(super) const fn repr(self) -> Repr<'a> {
        self.repr
    }

    #[inline]
    pub(super) const fn known(self) -> Known {
        self.known
    }

    /// The JSON text of the value, where it has one that is exactly what the reference would write.
    #[inline]
    pub(crate) const fn json_wire(self) -> Option<&'a str> {
        match self.repr {
            Repr::Json(text) if self.known.wire => Some(text),
            Repr::Json(_) | Repr::Msgpack(_) => None,
        }
    }

    /// The JSON text of the value, where it is spaced, and what is known of it.
    #[inline]
    pub(super) const fn json_spaced(self) -> Option<(&'a str, Known)> {
        match self.repr {
            Repr::Json(text) if self.known.spaced => Some((text, self.known)),
            Repr::Json(_) | Repr::Msgpack(_) => None,
        }
    }

    /// The text it was written in, where that is JSON: numbers, escapes and duplicate keys as the writer chose them.
    #[must_use]
    pub const fn json_text(self) -> Option<&'a str> {
        match self.repr {
            Repr::Json(text) => Some(text),
            Repr::Msgpack(_) => None,
        }
    }

    /// Whether every number in it is finite: no `NaN`, no infinity, nothing beyond the range of floats.
    #[must_use]
    pub fn is_finite(self) -> bool {
        self.known.spaced
            || !self.tokens().any(|token| matches!(token, ValueToken::Number(Number::Float(x)) if !x.is_finite()))
    }

    /// What begins at `pos`, and the position after it: after the opening for a container, after the whole of anything
    /// else. Position 0 is the value itself. Separators between values are passed over.
    #[inline]
    pub(crate) fn head(self, pos: usize) -> Option<(Head<'a>, usize)> {
        match self.repr {
            Repr::Json(text) => json::head(text, pos),
            Repr::Msgpack(bytes) => msgpack::head(bytes, pos),
        }
    }

    /// The position behind the value that begins at `pos`.
    #[inline]
    pub(super) fn end_of(self, pos: usize) -> Option<usize> {
        match self.repr {
            Repr::Json(text) => json::end_of(text, pos),
            Repr::Msgpack(bytes) => msgpack::end_of(bytes, pos),
        }
    }

    /// Read the value token by token.
    #[must_use]
    pub fn tokens(self) -> Tokens<'a> {
        Tokens(match self.repr {
            Repr::Json(text) => TokensRepr::Json(json::Tokens::new(text)),
            Repr::Msgpack(bytes) => TokensRepr::Msgpack(msgpack::Tokens::new(bytes)),
        })
    }

    /// Write it as JSON text.
    ///
    /// # Errors
    /// The sink is full, or JSON has no form for something in it.
    pub fn write_json(self, sink: &mut impl Sink, style: Style) -> Result<(), EncodeError> {
        json::write_value(self, sink, style)
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(self) -> bool {
        matches!(self.head(0), Some((Head::Object(_), _)))
    }

    /// Whether it is an array.
    #[must_use]
    pub fn is_array(self) -> bool {
        matches!(self.head(0), Some((Head::Array(_), _)))
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self.head(0), Some((Head::Null, _)))
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(self) -> Option<Text<'a>> {
        match self.head(0)? {
            (Head::Str(text), _) => Some(text),
            _ => None,
        }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_number(self) -> Option<Number<'a>> {
        match self.head(0)? {
            (Head::Number(number), _) => Some(number),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.head(0)? {
            (Head::Bool(b), _) => Some(b),
            _ => None,
        }
    }

    /// The member of an object with this key; the last one if there are several.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Self> {
        super::walk::get(self, Text::new(key))
    }

    /// Exactly the value between two positions of this one, separators before it aside.
    pub(super) fn slice(self, start: usize, end: usize) -> Option<Self> {
        let repr = match self.repr {
            Repr::Json(text) => Repr::Json(text.get(start..end)?.trim_start_matches(json::is_separator)),
            Repr::Msgpack(bytes) => Repr::Msgpack(bytes.get(start..end)?),
        };
        Some(Self { repr, known: self.known })
    }

    /// The value as an owned JSON text in the reference's compact form.
    ///
    /// # Errors
    /// JSON has no form for something in it.
    #[cfg(feature = "alloc")]
    pub fn to_json_string(self) -> Result<alloc::string::String, EncodeError> {
        let mut out = alloc::vec::Vec::new();
        self.write_json(&mut out, Style::WIRE)?;
        // What the writer puts is ASCII.
        Ok(alloc::string::String::from_utf8(out).unwrap_or_default())
    }
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        if let (Some(a), Some(b)) = (self.json_wire(), other.json_wire()) {
            return a == b;
        }
        if self.known.unique && other.known.unique {
            return self.tokens().eq(other.tokens());
        }
        let (mut a, mut b) = (Walk::new(*self, Order::AsWritten), Walk::new(*other, Order::AsWritten));
        loop {
            match (a.next(), b.next()) {
                (None, None) => return true,
                (Some(Ok(a)), Some(Ok(b))) if a.token() == b.token() => {}
                _ => return false,
            }
        }
    }
}

impl Default for Value<'_> {
    fn default() -> Self {
        Self::EMPTY_OBJECT
    }
}

impl core::fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.repr {
            Repr::Json(text) => f.write_str(text),
            Repr::Msgpack(_) => f.debug_list().entries(self.tokens()).finish(),
        }
    }
}

/// An owned [`Value`]: JSON text in the reference's compact form. Clones share it.
#[cfg(feature = "alloc")]
#[derive(Clone, PartialEq, Eq)]
pub struct ValueBuf(alloc::sync::Arc<str>);

#[cfg(feature = "alloc")]
impl ValueBuf {
    /// Own a value.
    ///
    /// # Errors
    /// JSON has no form for something in it.
    pub fn new(value: Value<'_>) -> Result<Self, EncodeError> {
        Ok(Self(value.to_json_string()?.into()))
    }

    /// Borrow it.
    #[must_use]
    pub fn as_value(&self) -> Value<'_> {
        Value { repr: Repr::Json(&self.0), known: Known::ALL }
    }

    /// Its JSON text.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Its JSON text as bytes that can be shared and cut up without a copy; the text is not copied here either.
    #[must_use]
    pub fn into_bytes(self) -> bytes::Bytes {
        bytes::Bytes::from_owner(self)
    }
}

/// Its JSON text, for [`bytes::Bytes::from_owner`] and other takers of bytes.
#[cfg(feature = "alloc")]
impl AsRef<[u8]> for ValueBuf {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// See [`ValueBuf::into_bytes`].
#[cfg(feature = "alloc")]
impl From<ValueBuf> for bytes::Bytes {
    fn from(value: ValueBuf) -> Self {
        value.into_bytes()
    }
}

#[cfg(feature = "alloc")]
impl<'a> From<&'a ValueBuf> for Value<'a> {
    fn from(value: &'a ValueBuf) -> Self {
        value.as_value()
    }
}

#[cfg(feature = "alloc")]
impl core::str::FromStr for ValueBuf {
    type Err = ValueError;

    /// Check a JSON text and own its value.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let value = Value::from_json(text)?;
        // A checked JSON value always has a JSON form.
        Self::new(value).map_err(|_| ValueError { error: super::ParseError::TooDeep, at: 0 })
    }
}

#[cfg(feature = "alloc")]
impl core::fmt::Debug for ValueBuf {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}
