//! Writing one line of a recording.

use alloc::string::String;
use core::fmt::{self, Write};

use crate::framing::Value;
use crate::time::{Duration, Now};
use crate::{Path, SocketId};

/// The version of the format of recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Version {
    /// Events are written as the types of that time printed themselves.
    One,
    /// Events are written member by member, and bear the numbers of waiting pings.
    #[default]
    Two,
}

impl Version {
    /// As the first line of a recording says it.
    pub(super) const fn number(self) -> u64 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// The version of this number.
    pub(super) const fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        }
    }
}

/// A line of a recording: a JSON object that is written member by member, each key once.
#[derive(Debug, Default)]
pub struct Line {
    text: String,
    version: Version,
}

impl Line {
    /// An empty object.
    pub(super) fn new(version: Version) -> Self {
        Self { text: String::from("{"), version }
    }

    /// The finished object.
    pub(super) fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }

    pub(super) fn key(&mut self, key: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
    }

    /// All members of another object, which has some.
    pub(super) fn members(&mut self, object: &str) {
        if let Some(inside) = object.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            self.text.push(',');
            self.text.push_str(inside);
        }
    }

    /// JSON as it is.
    pub fn raw(&mut self, key: &str, json: fmt::Arguments<'_>) -> &mut Self {
        self.key(key);
        // Writing to a `String` cannot fail.
        let _ = self.text.write_fmt(json);
        self
    }

    /// A whole number.
    pub fn number(&mut self, key: &str, number: u64) -> &mut Self {
        self.raw(key, format_args!("{number}"))
    }

    /// Any number, as text: JSON has no form for some.
    pub fn float(&mut self, key: &str, number: f64) -> &mut Self {
        self.raw(key, format_args!("\"{number:?}\""))
    }

    /// A text.
    pub fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.show(key, &text)
    }

    /// A text, or `null`.
    pub fn maybe(&mut self, key: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(key, text),
            None => self.raw(key, format_args!("null")),
        }
    }

    /// Anything that prints, as a text.
    pub fn show(&mut self, key: &str, shown: &dyn fmt::Display) -> &mut Self {
        self.key(key);
        self.text.push('"');
        let _ = write!(Escaped(&mut self.text), "{shown}");
        self.text.push('"');
        self
    }

    /// Both clocks: nanoseconds of the one, microseconds of the other.
    pub fn at(&mut self, now: Now) -> &mut Self {
        self.raw("at", format_args!("[{},{}]", now.mono.as_nanos(), now.wall.as_micros()))
    }

    /// Where a datagram comes from or goes to.
    pub fn path(&mut self, path: Path) -> &mut Self {
        self.raw("remote", format_args!("\"{}\"", path.remote));
        match path.local {
            Some(local) => self.raw("local", format_args!("\"{local}\"")),
            None => self.raw("local", format_args!("null")),
        };
        // Left out for the main socket, as before there were others.
        if path.socket != SocketId::MAIN {
            self.number("socket", path.socket.number().into());
        }
        self
    }

    /// Bytes in hexadecimal digits.
    pub fn hex(&mut self, key: &str, bytes: &[u8]) -> &mut Self {
        self.key(key);
        self.text.push('"');
        for byte in bytes {
            let _ = write!(self.text, "{byte:02x}");
        }
        self.text.push('"');
        self
    }

    /// A payload as JSON; `null` if it has no such form (byte strings of msgpack), which cannot be replayed.
    pub fn value(&mut self, key: &str, value: Value<'_>) -> &mut Self {
        self.maybe(key, value.to_json_string().ok().as_deref())
    }

    /// The version of the recording.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// What came of an input, as it prints itself for debugging.
    pub fn out(&mut self, out: &dyn fmt::Debug) -> &mut Self {
        self.show("out", &format_args!("{out:?}"))
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &str, texts: &[&str]) -> &mut Self {
        self.key(key);
        self.text.push('[');
        for (i, text) in texts.iter().enumerate() {
            self.text.push_str(if i == 0 { "\"" } else { ",\"" });
            let _ = write!(Escaped(&mut self.text), "{text}");
            self.text.push('"');
        }
        self.text.push(']');
        self
    }

    /// A length of time in nanoseconds, or `null`.
    pub fn span(&mut self, key: &str, span: Option<Duration>) -> &mut Self {
        match span {
            Some(span) => self.raw(key, format_args!("{}", span.as_nanos())),
            None => self.raw(key, format_args!("null")),
        }
    }
}

/// Escapes what a JSON text may not have as it is.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                c if c.is_control() => write!(self.0, "\\u{:04x}", u32::from(c))?,
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}
