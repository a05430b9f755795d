//! Writing the JSON of answers and events.

use alloc::string::String;

use sluis_core::data::hex;

/// An object in the making: members in the order in which they are put.
#[derive(Debug)]
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self(String::from("{"))
    }

    /// One whose first member is `"event"`.
    pub(crate) fn event(name: &str) -> Self {
        Self::new().text("event", name)
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
    }

    /// A text.
    pub(crate) fn text(mut self, key: &str, text: &str) -> Self {
        self.key(key);
        put_text(&mut self.0, text);
        self
    }

    /// A number.
    pub(crate) fn number(mut self, key: &str, number: u64) -> Self {
        self.key(key);
        put_number(&mut self.0, number);
        self
    }

    /// `true` or `false`.
    pub(crate) fn bool(self, key: &str, value: bool) -> Self {
        self.json(key, if value { "true" } else { "false" })
    }

    /// Bytes in hex.
    pub(crate) fn hex(mut self, key: &str, bytes: &[u8]) -> Self {
        self.key(key);
        self.0.push('"');
        put_hex(&mut self.0, bytes);
        self.0.push('"');
        self
    }

    /// What is JSON text already.
    pub(crate) fn json(mut self, key: &str, json: &str) -> Self {
        self.key(key);
        self.0.push_str(json);
        self
    }

    /// The same under a key that is any text.
    pub(crate) fn json_under(mut self, key: &str, json: &str) -> Self {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        put_text(&mut self.0, key);
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    /// A list of what is JSON text already.
    pub(crate) fn list(mut self, key: &str, items: impl Iterator<Item = String>) -> Self {
        self.key(key);
        self.0.push('[');
        for (n, item) in items.enumerate() {
            if n > 0 {
                self.0.push(',');
            }
            self.0.push_str(&item);
        }
        self.0.push(']');
        self
    }

    /// The text of the object.
    pub(crate) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A text with its quotes. Only what JSON demands is escaped, as the reference's server does.
pub(crate) fn put_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if u32::from(c) < 0x20 => {
                out.push_str("\\u00");
                put_hex(out, &[u8::try_from(c).unwrap_or(0)]);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

pub(crate) fn put_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        out.extend(hex::pair(*byte).map(char::from));
    }
}

fn put_number(out: &mut String, number: u64) {
    use core::fmt::Write as _;
    // Writing into a string cannot fail.
    let _ = write!(out, "{number}");
}
