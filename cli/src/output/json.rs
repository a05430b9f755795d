//! JSON lines: ASCII only, valid JSON whatever came in.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write as _;
use std::net::SocketAddr;

use sluis_core::data::canonical::Style;
use sluis_core::data::{Number, Text, Value, ValueToken};

use super::escape;

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

/// A text in quotes, ASCII only.
fn put_str(line: &mut Vec<u8>, text: &str) {
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
    for c in chars {
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
    line.push(b'"');
}

/// A text of the wire. A lone surrogate, which most JSON readers refuse, comes as U+FFFD.
pub(crate) fn put_text(line: &mut Vec<u8>, text: Text<'_>) {
    match text.as_str() {
        Some(plain) => put_str(line, plain),
        None => put_chars(line, text.chars().map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))),
    }
}

/// A number as the reference prints it, its name in quotes when it is not finite.
fn put_number(line: &mut Vec<u8>, number: Number<'_>) {
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

fn put_hex(line: &mut Vec<u8>, bytes: &[u8]) {
    line.push(b'"');
    for byte in bytes {
        let _ = write!(line, "{byte:02x}");
    }
    line.push(b'"');
}

/// Any value of the wire, as the reference prints it; what JSON has no form for is written in another, and what JSON readers
/// stumble over as a text in `{"text":…}` (see the help of `listen`).
pub(crate) fn put_value(line: &mut Vec<u8>, value: Value<'_>) {
    let start = line.len();
    match forms(value) {
        Forms::Plain if value.write_json(line, Style::WIRE).is_ok() => {}
        Forms::Plain | Forms::Others => {
            line.truncate(start);
            put_tokens(line, value, put_text);
        }
        Forms::Unsafe => Object::new(line)
            .with("text", |line| match value.json_text() {
                Some(text) => put_str(line, text),
                None => {
                    let mut text = Vec::new();
                    put_tokens(&mut text, value, put_text);
                    put_str(line, &String::from_utf8_lossy(&text));
                }
            })
            .end(),
    }
}

/// A value for people: texts as they are, made safe for a terminal.
pub(crate) fn put_readable(line: &mut Vec<u8>, value: Value<'_>) {
    put_tokens(line, value, |line, text| {
        line.push(b'"');
        for c in text.chars() {
            match c {
                Ok('"') => line.extend_from_slice(b"\\\""),
                Ok(c) => escape::put_char(line, c),
                Err(_) => escape::put_char(line, char::REPLACEMENT_CHARACTER),
            }
        }
        line.push(b'"');
    });
}

/// Containers inside each other that every JSON reader follows: the event around them is one more.
const MAX_DEPTH: usize = 64;
/// The largest integer that a reader who keeps numbers as floats does not change (RFC 7493, section 2.2).
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Which forms the parts of a value have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forms {
    /// What the reference writes, and every JSON reader understands.
    Plain,
    /// Something in it has no form in JSON, and is written in another.
    Others,
    /// A reader would fail over it or understand something else: nested too deeply, a key twice, a number too large.
    Unsafe,
}

fn forms(value: Value<'_>) -> Forms {
    let (mut plain, mut infinities) = (true, 0);
    // The keys of all objects that are open, and where those of each begin.
    let (mut keys, mut open) = (Vec::new(), Vec::new());
    for token in value.tokens() {
        match token {
            ValueToken::ArrayStart | ValueToken::ObjectStart => {
                open.push(keys.len());
                if open.len() > MAX_DEPTH {
                    return Forms::Unsafe;
                }
            }
            ValueToken::ArrayEnd | ValueToken::ObjectEnd => {
                let of_this = keys.split_off(open.pop().unwrap_or(0));
                if has_twice(of_this) {
                    return Forms::Unsafe;
                }
            }
            ValueToken::Key(key) => {
                plain &= is_sound(key);
                keys.push(key.to_cow());
            }
            ValueToken::KeyBytes(key) => {
                plain = false;
                let mut hex = Vec::new();
                put_hex(&mut hex, key);
                keys.push(String::from_utf8_lossy(&hex[1..hex.len() - 1]).into_owned().into());
            }
            ValueToken::Number(Number::Int(n)) if n.unsigned_abs() > MAX_INTEGER => return Forms::Unsafe,
            ValueToken::Number(Number::Uint(_) | Number::Big(_)) => return Forms::Unsafe,
            ValueToken::Number(Number::Float(n)) if !n.is_finite() => {
                plain = false;
                infinities += usize::from(n.is_infinite());
            }
            ValueToken::Str(text) => plain &= is_sound(text),
            ValueToken::Bytes(_) | ValueToken::Ext(..) => plain = false,
            ValueToken::Null | ValueToken::Bool(_) | ValueToken::Number(_) => {}
        }
    }
    // An infinity that was not written as one is a number beyond the range of floats, such as 1e400.
    match value.json_text() {
        Some(text) if infinities > text.matches("Infinity").count() => Forms::Unsafe,
        _ if plain => Forms::Plain,
        _ => Forms::Others,
    }
}

/// Whether a text is one in Unicode: no lone surrogates.
fn is_sound(text: Text<'_>) -> bool {
    text.as_str().is_some() || text.chars().all(|c| c.is_ok())
}

fn has_twice(mut keys: Vec<Cow<'_, str>>) -> bool {
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

/// The long way, in which every token has a form.
fn put_tokens(line: &mut Vec<u8>, value: Value<'_>, put_text: impl Fn(&mut Vec<u8>, Text<'_>)) {
    // A comma comes before everything but the first in a container and the value of a key.
    let mut comma = false;
    for token in value.tokens() {
        let ends = matches!(token, ValueToken::ArrayEnd | ValueToken::ObjectEnd);
        if comma && !ends {
            line.push(b',');
        }
        comma = true;
        match token {
            ValueToken::Null => line.extend_from_slice(b"null"),
            ValueToken::Bool(b) => line.extend_from_slice(if b { b"true" } else { b"false" }),
            ValueToken::Number(number) => put_number(line, number),
            ValueToken::Str(text) => put_text(line, text),
            ValueToken::Bytes(bytes) => Object::new(line).with("bytes", |line| put_hex(line, bytes)).end(),
            ValueToken::Ext(code, bytes) => {
                Object::new(line).raw("ext", code).with("bytes", |line| put_hex(line, bytes)).end();
            }
            ValueToken::ArrayStart | ValueToken::ObjectStart => {
                line.push(if matches!(token, ValueToken::ArrayStart) { b'[' } else { b'{' });
                comma = false;
            }
            ValueToken::ArrayEnd => line.push(b']'),
            ValueToken::ObjectEnd => line.push(b'}'),
            ValueToken::Key(key) => {
                put_text(line, key);
                line.push(b':');
                comma = false;
            }
            ValueToken::KeyBytes(key) => {
                put_hex(line, key);
                line.push(b':');
                comma = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        let mut line = Vec::new();
        put_value(&mut line, Value::from_json(json).unwrap());
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn values_come_out_as_they_went_in() {
        for same in [
            r#"{"a":[1,2.5,-0.0,1e-07,[],{},null,true,false,"x"],"b":{"c":9007199254740991,"a":1e+308}}"#,
            "[]",
            "\"\"",
            "[[[]],[{}]]",
            r#"{"\u00e9\ud83d\ude00":"\u001b\"\\\n"}"#,
        ] {
            assert_eq!(shown(same), same);
        }
    }

    #[test]
    fn values_are_laid_out_as_the_reference_does() {
        assert_eq!(shown(r#"{ "é" : 1e-7, "a" : 2 }"#), r#"{"\u00e9":1e-07,"a":2}"#);
    }

    #[test]
    fn what_json_cannot_say_is_said_otherwise() {
        assert_eq!(shown(r#"[NaN,-Infinity,"\ud800x","\u0085"]"#), r#"["NaN","-Infinity","\ufffdx","\u0085"]"#);
    }

    #[test]
    fn what_readers_stumble_over_is_a_text() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(shown(&deep(64)), deep(64));
        for text in [
            &*deep(65),
            &deep(989),
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"x":{"b":1,"c":2,"b":1}}]"#,
            "9007199254740992",
            "[-9007199254740993]",
            "18446744073709551615",
            "123456789012345678901234567890",
            "1e400",
            "[-1e999,NaN]",
        ] {
            let mut expected = Vec::new();
            Object::new(&mut expected).str("text", text).end();
            assert_eq!(shown(text), String::from_utf8(expected).unwrap());
        }
        // The same key in two objects is none twice.
        let twice = r#"[{"a":{"a":1}},{"a":2}]"#;
        assert_eq!(shown(twice), twice);
        // A key of bytes that looks like a key that is there.
        let mut line = Vec::new();
        put_value(&mut line, Value::from_msgpack(b"\x82\xc4\x01\x61\x01\xa2\x36\x31\x02").unwrap());
        assert_eq!(String::from_utf8(line).unwrap(), r#"{"text":"{\"61\":1,\"61\":2}"}"#);
    }

    #[test]
    fn people_read_letters() {
        let mut line = Vec::new();
        put_readable(&mut line, Value::from_json(r#"{"\u00e9":["\u001b[2J\"","\u6e29"]}"#).unwrap());
        assert_eq!(String::from_utf8(line).unwrap(), r#"{"é":["\x1b[2J\"","温"]}"#);
    }

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
