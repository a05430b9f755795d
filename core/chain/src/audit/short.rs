//! Long texts, kept as their beginning, their length and their hash.

use alloc::string::String;
use core::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};
use sluis_core::data::{FnSink, Style, Text, Value};

use super::MAX_TEXT;
use crate::token::Hash32;

/// What a text or a value was of which a token holds only the beginning, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    bytes: u64,
    sha256: Hash32,
}

impl Whole {
    /// What bytes are.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: Hash32::of(bytes) }
    }
}

impl fmt::Display for Whole {
    /// As a JSON object.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{\"bytes\": {}, \"sha256\": \"{}\"}}", self.bytes, self.sha256)
    }
}

/// Length and hash of bytes that come in pieces.
#[derive(Default)]
struct Gauge {
    bytes: u64,
    hash: Sha256,
}

impl Gauge {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }

    fn whole(self) -> Whole {
        Whole { bytes: self.bytes, sha256: Hash32(self.hash.finalize().into()) }
    }
}

/// The beginning of a text that is longer than [`MAX_TEXT`] bytes, put into `kept`, and what the whole is. The hash is that of its
/// UTF-8, a lone surrogate as the three bytes that Python's `surrogatepass` gives it.
pub(super) fn shorten(text: Text<'_>, kept: &mut String) -> Option<Whole> {
    if text.len() <= MAX_TEXT {
        return None;
    }
    kept.clear();
    let (mut gauge, mut full) = (Gauge::default(), false);
    for c in text.chars() {
        let shown = c.unwrap_or(char::REPLACEMENT_CHARACTER);
        full |= kept.len() + shown.len_utf8() > MAX_TEXT;
        if !full {
            kept.push(shown);
        }
        match c {
            Ok(c) => gauge.put(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Err(unit) => {
                let [high, low] = unit.to_be_bytes();
                gauge.put(&[0xe0 | high >> 4, 0x80 | high << 2 & 0x3c | low >> 6, 0x80 | low & 0x3f]);
            }
        }
    }
    Some(gauge.whole())
}

/// What a value is that is left out: its JSON text as a token would hold it; `None` where it has none.
pub(super) fn gauge(value: Value<'_>, style: Style) -> Option<Whole> {
    let mut gauge = Gauge::default();
    value.write_json(&mut FnSink(|bytes: &[u8]| gauge.put(bytes)), style).ok()?;
    Some(gauge.whole())
}

/// What was shortened in one member of a token, as members of one JSON object.
#[derive(Debug, Default)]
pub(super) struct Shortened(String);

impl Shortened {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// `name` is a path in the token, in letters, digits and dots.
    pub(super) fn add(&mut self, name: fmt::Arguments<'_>, whole: Whole) {
        let separator = if self.0.is_empty() { "" } else { ", " };
        let _ = write!(self.0, "{separator}\"{name}\": {whole}");
    }

    pub(super) fn members(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn the_hash_is_that_of_the_whole_text() {
        let mut kept = String::new();
        assert_eq!(shorten(Text::new(&"x".repeat(MAX_TEXT)), &mut kept), None);
        // Two bytes each: the limit falls between characters.
        let long = "é".repeat(22_000);
        let whole = shorten(Text::new(&long), &mut kept).unwrap();
        assert_eq!(kept, "é".repeat(MAX_TEXT / 2));
        assert_eq!(whole.bytes, 44_000);
        assert_eq!(whole.sha256.0, <[u8; 32]>::from(Sha256::digest(&long)));
        // The same text, escaped on the wire.
        let json = alloc::format!("\"{}\"", "\\u00e9".repeat(22_000));
        let escaped = Value::from_json(&json).unwrap().as_text().unwrap();
        assert_eq!(shorten(escaped, &mut kept), Some(whole));
    }

    #[test]
    fn lone_surrogates_have_the_bytes_that_python_gives_them() {
        let json = alloc::format!("\"{}\"", "\\ud83e".repeat(400));
        let mut kept = String::new();
        let whole = shorten(Value::from_json(&json).unwrap().as_text().unwrap(), &mut kept).unwrap();
        // hashlib.sha256(("\ud83e" * 400).encode("utf-8", "surrogatepass")).hexdigest()
        let bytes = [0xed, 0xa0, 0xbe].repeat(400);
        assert_eq!((whole.bytes, whole.sha256.0), (1200, <[u8; 32]>::from(Sha256::digest(&bytes))));
        assert_eq!(kept, "\u{fffd}".repeat(MAX_TEXT / 3));
        assert!(whole.to_string().starts_with("{\"bytes\": 1200, \"sha256\": \""));
    }
}
