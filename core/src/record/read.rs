//! Reading one line of a recording.

use alloc::string::String;
use alloc::vec::Vec;
use core::str::FromStr;

use crate::data::{Number, Value, ValueBuf, ValueToken};
use crate::time::{Duration, Instant, Now, Wall};
use crate::{Path, SocketId};

/// What is odd about a line of a recording, as the rest of a sentence that begins with the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRecord(pub &'static str);

/// A line, or an object in it.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a>(Value<'a>);

impl<'a> Object<'a> {
    pub(super) fn parse(line: &'a str) -> Result<Self, BadRecord> {
        Value::from_json(line).ok().filter(|v| v.is_object()).map(Self).ok_or(BadRecord("is not a JSON object"))
    }

    /// A member; `None` when it is `null` or missing.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A member that is an object.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn object(self, key: &str) -> Result<Self, BadRecord> {
        self.get(key).filter(|v| v.is_object()).map(Self).ok_or(BadRecord("lacks an object"))
    }

    /// Whether there is such a member, other than `null`.
    pub fn has(self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// A text, or nothing.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn maybe(self, key: &str) -> Result<Option<String>, BadRecord> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let text = value.as_text().ok_or(BadRecord("has something else where a text should be"))?;
        let mut plain = String::new();
        for c in text.chars() {
            plain.push(c.map_err(|_| BadRecord("has half a character in a text"))?);
        }
        Ok(Some(plain))
    }

    /// A text.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn text(self, key: &str) -> Result<String, BadRecord> {
        self.maybe(key)?.ok_or(BadRecord("lacks a text"))
    }

    /// Anything that is written as a text.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn parsed<T: FromStr>(self, key: &str) -> Result<T, BadRecord> {
        self.text(key)?.parse().map_err(|_| BadRecord("has a text that cannot be read"))
    }

    /// Anything that is written as a text, or nothing.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn parsed_maybe<T: FromStr>(self, key: &str) -> Result<Option<T>, BadRecord> {
        let text = self.maybe(key)?;
        text.map(|text| text.parse().map_err(|_| BadRecord("has a text that cannot be read"))).transpose()
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn u64(self, key: &str) -> Result<u64, BadRecord> {
        self.get(key).and_then(unsigned).ok_or(BadRecord("lacks a number"))
    }

    /// A number of whatever width the configuration has.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn number<N: TryFrom<u64>>(self, key: &str) -> Result<N, BadRecord> {
        self.u64(key)?.try_into().map_err(|_| BadRecord("has a number that is too large here"))
    }

    /// A whole number with a sign.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn i64(self, key: &str) -> Result<i64, BadRecord> {
        self.get(key).and_then(signed).ok_or(BadRecord("lacks a number"))
    }

    /// A length of time in nanoseconds, or nothing.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn span(self, key: &str) -> Result<Option<Duration>, BadRecord> {
        let Some(value) = self.get(key) else { return Ok(None) };
        Ok(Some(Duration::from_nanos(unsigned(value).ok_or(BadRecord("has no length of time where one should be"))?)))
    }

    /// A length of time in nanoseconds.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn sure_span(self, key: &str) -> Result<Duration, BadRecord> {
        self.span(key)?.ok_or(BadRecord("lacks a length of time"))
    }

    /// Both clocks.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn at(self) -> Result<Now, BadRecord> {
        let missing = BadRecord("lacks its time");
        let mut numbers = self.get("at").ok_or(missing)?.tokens().filter_map(|token| match token {
            ValueToken::Number(number) => Some(number),
            _ => None,
        });
        let (Some(mono), Some(wall)) = (numbers.next(), numbers.next()) else { return Err(missing) };
        let mono = match mono {
            Number::Int(n) => u64::try_from(n).map_err(|_| missing)?,
            Number::Uint(n) => n,
            _ => return Err(missing),
        };
        let Number::Int(wall) = wall else { return Err(missing) };
        Ok(Now::new(Instant::from_nanos(mono), Wall::from_micros(wall)))
    }

    /// Where a datagram comes from or goes to.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn path(self) -> Result<Path, BadRecord> {
        let socket = if self.get("socket").is_some() { SocketId::new(self.number("socket")?) } else { SocketId::MAIN };
        Ok(Path { remote: self.parsed("remote")?, local: self.parsed_maybe("local")?, socket })
    }

    /// Bytes in hexadecimal digits.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn hex(self, key: &str) -> Result<Vec<u8>, BadRecord> {
        let text = self.text(key)?;
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes: Option<Vec<u8>> = pairs.iter().map(|[a, b]| Some(digit(*a)? << 4 | digit(*b)?)).collect();
        bytes.filter(|_| rest.is_empty()).ok_or(BadRecord("has a text that is not hexadecimal"))
    }

    /// A payload, which is JSON in a text.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn value(self, key: &str) -> Result<ValueBuf, BadRecord> {
        let json = self.maybe(key)?.ok_or(BadRecord("has a payload that could not be recorded"))?;
        let value = Value::from_json(&json).map_err(|_| BadRecord("has a payload that is not JSON"))?;
        ValueBuf::new(value).map_err(|_| BadRecord("has a payload that is not JSON"))
    }

    /// A list of texts.
    ///
    /// # Errors
    /// It is not there, or something else.
    pub fn texts(self, key: &str) -> Result<Vec<String>, BadRecord> {
        let list = self.get(key).filter(|v| v.is_array()).ok_or(BadRecord("lacks a list"))?;
        let texts = list.tokens().filter_map(|token| match token {
            ValueToken::Str(text) => Some(text.chars().flatten().collect()),
            _ => None,
        });
        Ok(texts.collect())
    }
}

fn unsigned(value: Value<'_>) -> Option<u64> {
    match value.as_number()? {
        Number::Int(n) => u64::try_from(n).ok(),
        Number::Uint(n) => Some(n),
        _ => None,
    }
}

fn signed(value: Value<'_>) -> Option<i64> {
    match value.as_number()? {
        Number::Int(n) => Some(n),
        _ => None,
    }
}
