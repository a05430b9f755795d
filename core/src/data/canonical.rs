//! JSON text as Python's `json.dumps` writes it, and with `sort_keys=True` the canonical text that is signed and hashed.
//!
//! One writer for all of it, streaming into any [`Sink`]: two separator styles, members as written or sorted by code
//! point at every level, duplicate keys collapsed, escapes and numbers as Python prints them.

use super::error::EncodeError;
use super::json;
use super::number::Number;
use super::sink::Sink;
use super::text::Text;
use super::value::Value;
pub use super::walk::Order;

/// What stands between members, and between a key and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separators {
    /// `,` and `:`, on the wire and under signatures.
    Compact,
    /// `, ` and `: `, under the hashes of tokens and steps.
    Spaced,
}

/// How JSON text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Between members.
    pub separators: Separators,
    /// Of members.
    pub order: Order,
}

impl Style {
    /// As on the wire: compact, members in their order.
    pub const WIRE: Self = Self { separators: Separators::Compact, order: Order::AsWritten };
    /// As Python's `json.dumps` without arguments: spaced, members in their order.
    pub const SPACED: Self = Self { separators: Separators::Spaced, order: Order::AsWritten };

    /// Canonical text: members sorted.
    #[must_use]
    pub const fn canonical(separators: Separators) -> Self {
        Self { separators, order: Order::ByKey }
    }
}

/// A member of an object that is put together by hand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Member<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number<'a>),
    /// A text.
    Text(Text<'a>),
    /// Any value.
    Value(Value<'a>),
}

impl<'a> From<Text<'a>> for Member<'a> {
    fn from(text: Text<'a>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a str> for Member<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Text::new(text))
    }
}

impl<'a> From<Value<'a>> for Member<'a> {
    fn from(value: Value<'a>) -> Self {
        Self::Value(value)
    }
}

impl<'a> From<Number<'a>> for Member<'a> {
    fn from(number: Number<'a>) -> Self {
        Self::Number(number)
    }
}

impl<'a, T: Into<Member<'a>>> From<Option<T>> for Member<'a> {
    fn from(member: Option<T>) -> Self {
        member.map_or(Self::Null, Into::into)
    }
}

/// Write a value as canonical text.
///
/// # Errors
/// The sink is full, or JSON has no form for something in the value. Without `alloc` also when more than 256 containers
/// and members, or more than 32 levels, would have to be put in order.
pub fn write(sink: &mut impl Sink, value: Value<'_>, separators: Separators) -> Result<(), EncodeError> {
    value.write_json(sink, Style::canonical(separators))
}

/// Write an object from its members, given in any order: sorted by key or as given, as `style` says.
///
/// Keys must differ; sorting takes time quadratic in their number, so this is for objects with a fixed set of members.
///
/// # Errors
/// As [`write`](write()).
pub fn write_object(sink: &mut impl Sink, members: &[(&str, Member<'_>)], style: Style) -> Result<(), EncodeError> {
    json::write_object(sink, members, style)
}
