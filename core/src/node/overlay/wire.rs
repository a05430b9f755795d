//! What the pings of the overlay say: intents, and the members of their payloads.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::data::{Number, Sink, Text, Value, hex, put_inside};
use crate::did::check_did;
use crate::registry::Record;

/// A device hands in its record.
pub const REGISTER: &str = "overlay.register";
/// Where is a name?
pub const RESOLVE: &str = "overlay.resolve";
/// Who can do this?
pub const FIND: &str = "overlay.find";
/// Is the key there?
pub const VERIFY: &str = "overlay.verify";
/// A device that has a join token wants to be let in.
pub const JOIN: &str = "overlay.join";
/// A signed vouch, or the revocation of one.
pub const VOUCH: &str = "overlay.vouch";

/// A question is at least so long, so that an address that has proven nothing may be sent a record in answer (three times what it sent).
const MIN_QUESTION: usize = 640;

/// A JSON object in the making; a vector takes everything, so nothing here fails.
pub(super) struct Members(Vec<u8>);

impl Members {
    pub(super) fn new() -> Self {
        Self(Vec::from(*b"{"))
    }

    fn name(&mut self, name: &str) -> &mut Self {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        self
    }

    pub(super) fn text(mut self, name: &str, text: &str) -> Self {
        self.name(name).put_text(text);
        self
    }

    pub(super) fn texts<'t>(mut self, name: &str, texts: impl Iterator<Item = &'t str>) -> Self {
        self.name(name).0.push(b'[');
        for (n, text) in texts.enumerate() {
            if n > 0 {
                self.0.push(b',');
            }
            self.put_text(text);
        }
        self.0.push(b']');
        self
    }

    pub(super) fn hex(mut self, name: &str, bytes: &[u8]) -> Self {
        self.name(name).0.push(b'"');
        let _ = hex::write(&mut self.0, bytes);
        self.0.push(b'"');
        self
    }

    /// Held below 2^63.
    pub(super) fn number(mut self, name: &str, number: u64) -> Self {
        let number = Number::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let _ = number.write(&mut self.name(name).0);
        self
    }

    pub(super) fn float(mut self, name: &str, number: f64) -> Self {
        let _ = Number::Float(number).write(&mut self.name(name).0);
        self
    }

    pub(super) fn flag(mut self, name: &str, flag: bool) -> Self {
        self.name(name).0.extend_from_slice(if flag { b"true" } else { b"false" });
        self
    }

    /// With blanks behind, as many as a question needs.
    pub(super) fn question(mut self) -> String {
        let missing = MIN_QUESTION.saturating_sub(self.0.len());
        if missing > 0 {
            self.name("pad").0.push(b'"');
            self.0.resize(self.0.len() + missing, b'.');
            self.0.push(b'"');
        }
        self.finish()
    }

    pub(super) fn finish(mut self) -> String {
        self.0.push(b'}');
        String::from_utf8(self.0).unwrap_or_default()
    }

    fn put_text(&mut self, text: &str) {
        self.0.push(b'"');
        let _ = put_inside(Text::new(text), &mut self.0);
        let _ = self.0.put(b"\"");
    }
}

/// A text in a payload.
pub(super) fn text<'a>(payload: Value<'a>, name: &str) -> Option<Cow<'a, str>> {
    payload.get(name)?.as_text().map(Text::to_cow)
}

/// A DID in a payload.
pub(super) fn did<'a>(payload: Value<'a>, name: &str) -> Option<Cow<'a, str>> {
    text(payload, name).filter(|did| check_did(did).is_ok())
}

/// Bytes in hex.
pub(super) fn bytes<const N: usize>(payload: Value<'_>, name: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    hex::parse(payload.get(name)?.as_text()?.as_str()?.as_bytes(), &mut out)?;
    Some(out)
}

pub(super) fn number(payload: Value<'_>, name: &str) -> Option<u64> {
    match payload.get(name)?.as_number()? {
        Number::Int(n) => u64::try_from(n).ok(),
        _ => None,
    }
}

pub(super) fn float(payload: Value<'_>, name: &str) -> Option<f64> {
    payload.get(name)?.as_number().map(Number::to_f64)
}

/// The texts of an array.
pub(super) fn texts<'a>(payload: Value<'a>, name: &str) -> Vec<Cow<'a, str>> {
    use crate::data::ValueToken;
    let tokens = payload.get(name).filter(|value| value.is_array()).into_iter().flat_map(Value::tokens);
    let text = |token| match token {
        ValueToken::Str(text) => Some(Text::to_cow(text)),
        _ => None,
    };
    tokens.filter_map(text).collect()
}

/// The bytes of a record in a payload, not looked at yet.
pub(super) fn record<'b>(payload: Value<'_>, buf: &'b mut [u8; Record::MAX_LEN]) -> Option<&'b [u8]> {
    Record::from_text(&text(payload, "record")?, buf)
}
