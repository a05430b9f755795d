//! JSON lines: ASCII only, valid JSON whatever came in.

use std::fmt::Display;
use std::io::Write as _;
use std::net::SocketAddr;

use sluis_core::data::{Number, Text, Value};

use super::payload::put_value;

/// A JSON object that is written member by member.
#[must_use = "an object has an end"]
pub(crate) struct Object<'l> {
    line: &'l mut Vec<u8>,
    first: bool,
}

impl<'l> Object<'l> {
    /// An object within a line.
    pub(crate) fn new(line: &'l mut Vec<u8>) -> Self {
        line.push(b'{');
        Self { line, first: true }
    }

    /// An object that names its event first.
    pub(crate) fn event(line: &'l mut Vec<u8>, event: &str) -> Self {
        Self::new(line).str("event", event)
    }

    pub(crate) fn end(self) {
        self.line.push(b'}');
    }

    fn key(&mut self, key: &str) {
        if !std::mem::replace(&mut self.first, false) {
            self.line.push(b',');
        }
        put_str(self.line, key);
        self.line.push(b':');
    }

    /// A member that `write` writes.
    pub(crate) fn with(mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        self.key(key);
        write(self.line);
        self
    }

    pub(crate) fn str(self, key: &str, value: &str) -> Self {
        self.with(key, |line| put_str(line, value))
    }

    pub(crate) fn text(self, key: &str, value: Text<'_>) -> Self {
        self.with(key, |line| put_text(line, value))
    }

    /// A text, or `null`.
    pub(crate) fn maybe(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.str(key, value),
            None => self.raw(key, "null"),
        }
    }

    pub(crate) fn value(self, key: &str, value: Value<'_>) -> Self {
        self.with(key, |line| put_value(line, value))
    }

    pub(crate) fn addr(self, key: &str, addr: SocketAddr) -> Self {
        self.with(key, |line| {
            let _ = write!(line, "\"{addr}\"");
        })
    }

    /// Something whose text is JSON: an integer, `true`, `null`.
    pub(crate) fn raw(self, key: &str, value: impl Display) -> Self {
        self.with(key, |line| {
            let _ = write!(line, "{value}");
        })
    }

    pub(crate) fn number(self, key: &str, value: Number<'_>) -> Self {
        self.with(key, |line| put_number(line, value))
    }

    /// A number with so many decimals at most; `null` for none.
    pub(crate) fn rounded(self, key: &str, value: Option<f64>, decimals: i32) -> Self {
        let scale = 10f64.powi(decimals);
        match value {
            Some(value) if value.is_finite() => self.raw(key, (value * scale).round() / scale),
            _ => self.raw(key, "null"),
        }
    }

    pub(crate) fn object(self, key: &str, write: impl FnOnce(Object<'_>) -> Object<'_>) -> Self {
        self.with(key, |line| write(Object::new(line)).end())
    }
}

/// A text in quotes, or `null`.
pub(crate) fn put_maybe(line: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_str(line, text),
        None => line.extend_from_slice(b"null"),
    }
}

/// A text in quotes, ASCII only.
pub(super) fn put_str(line: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\') {
        line.push(b'"');
        line.extend_from_slice(text.as_bytes());
        line.push(b'"');
    } else {
        put_chars(line, text.chars());
    }
}

fn put_chars(line: &mut Vec<u8>, chars: impl Iterator<Item = char>) {
    line.push(b'"');
    chars.for_each(|c| put_char(line, c));
    line.push(b'"');
}

/// A character inside of quotes, ASCII only.
pub(super) fn put_char(line: &mut Vec<u8>, c: char) {
    match c {
        '"' => line.extend_from_slice(b"\\\""),
        '\\' => line.extend_from_slice(b"\\\\"),
        '\n' => line.extend_from_slice(b"\\n"),
        '\r' => line.extend_from_slice(b"\\r"),
        '\t' => line.extend_from_slice(b"\\t"),
        ' '..='~' => line.extend(u8::try_from(c)),
        c => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        }
    }
}

/// A text of the wire. A lone surrogate, which most JSON readers refuse, comes as U+FFFD.
pub(crate) fn put_text(line: &mut Vec<u8>, text: Text<'_>) {
    match text.as_str() {
        Some(plain) => put_str(line, plain),
        None => put_chars(line, text.chars().map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))),
    }
}

/// A number as the reference prints it, its name in quotes when it is not finite.
pub(super) fn put_number(line: &mut Vec<u8>, number: Number<'_>) {
    let finite = !matches!(number, Number::Float(n) if !n.is_finite());
    if !finite {
        line.push(b'"');
    }
    // A vector has always room.
    let _ = number.write(line);
    if !finite {
        line.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_separated() {
        let mut line = Vec::new();
        Object::event(&mut line, "x")
            .maybe("n", None)
            .rounded("r", Some(0.123_456), 3)
            .rounded("none", Some(f64::NAN), 3)
            .object("o", |o| o.raw("a", 1).raw("b", 2))
            .object("e", |o| o)
            .end();
        let text = String::from_utf8(line).unwrap();
        assert_eq!(text, r#"{"event":"x","n":null,"r":0.123,"none":null,"o":{"a":1,"b":2},"e":{}}"#);
    }
}
