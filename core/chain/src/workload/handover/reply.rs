//! What an executor answers.

use super::offer::Declined;
use sluis_core::data::{EncodeError, Sink, Text, Value, put_inside};

/// The answer to an offer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reply<'a> {
    /// The finished token, as a line.
    Token(Text<'a>),
    /// It was declined: the reason, in a word.
    Refused(Text<'a>),
}

impl<'a> Reply<'a> {
    /// With a line.
    #[must_use]
    pub fn token(line: &'a str) -> Self {
        Self::Token(Text::new(line))
    }

    /// With a reason.
    #[must_use]
    pub fn refused(declined: Declined) -> Self {
        Self::Refused(Text::new(declined.as_str()))
    }

    /// Write it as the payload of an answer.
    ///
    /// # Errors
    /// The sink is full.
    pub fn write(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let (key, text) = match *self {
            Self::Token(line) => ("{\"step_token\":\"", line),
            Self::Refused(reason) => ("{\"step_refused\":\"", reason),
        };
        sink.put(key.as_bytes())?;
        put_inside(text, sink)?;
        Ok(sink.put(b"\"}")?)
    }

    /// Read the payload of an answer; `None` if it is no answer to an offer.
    #[must_use]
    pub fn read(payload: Value<'a>) -> Option<Self> {
        let text = |key| payload.get(key).and_then(Value::as_text);
        text("step_token").map(Self::Token).or_else(|| text("step_refused").map(Self::Refused))
    }
}
