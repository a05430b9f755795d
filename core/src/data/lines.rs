//! What formats above need to read and write objects of their own whose members they know.

use super::error::ParseError;
use super::json;
use super::sink::{Full, Sink};
use super::text::Text;
use super::value::{Repr, Value};

/// Reads one JSON text from front to back: for formats whose members are known beforehand.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(json::Scanner<'a>);

impl<'a> Reader<'a> {
    /// Start at the front of `text`.
    #[must_use]
    #[inline(always)]
    pub const fn new(text: &'a str) -> Self {
        Self(json::Scanner::new(text, 0))
    }

    /// How many bytes were read.
    #[must_use]
    #[inline(always)]
    pub const fn pos(&self) -> usize {
        self.0.pos()
    }

    /// Whether there is nothing left.
    #[must_use]
    #[inline(always)]
    pub fn at_end(&self) -> bool {
        self.0.peek().is_none()
    }

    /// Take `literal` if it is next.
    #[inline(always)]
    pub fn eat(&mut self, literal: &'static str) -> bool {
        self.0.eat_slice(literal.as_bytes())
    }

    /// Pass over white space.
    #[inline(always)]
    pub fn space(&mut self) {
        self.0.space();
    }

    /// The rest of a string after its opening quote, closing quote included.
    ///
    /// # Errors
    /// [`ParseError`] where no string stands.
    #[inline(always)]
    pub fn string(&mut self) -> Result<Text<'a>, ParseError> {
        self.0.string()
    }

    /// Any value; quickest when it is written as Python's `json.dumps` does without being asked for anything else.
    ///
    /// # Errors
    /// [`ParseError`] where no value stands.
    #[inline]
    pub fn value(&mut self) -> Result<Value<'a>, ParseError> {
        self.0.spaced_value()
    }
}

/// Write what stands between the quotes of a text.
///
/// # Errors
/// [`Full`] when the sink is.
#[inline(always)]
pub fn put_inside(text: Text<'_>, sink: &mut impl Sink) -> Result<(), Full> {
    json::inside(text, sink)
}

impl<'a> Value<'a> {
    /// The text as which it was read, where that was JSON.
    #[must_use]
    pub const fn as_json(self) -> Option<&'a str> {
        match self.repr() {
            Repr::Json(text) => Some(text),
            Repr::Msgpack(_) => None,
        }
    }

    /// Its text, where that is known to be its canonical text with spaces.
    #[must_use]
    pub fn as_canonical(self) -> Option<&'a str> {
        self.json_spaced().filter(|(_, known)| known.sorted).map(|(text, _)| text)
    }
}

impl<'a> Text<'a> {
    /// The bytes between the quotes, where they are exactly what the reference would write.
    #[must_use]
    pub const fn as_wire(self) -> Option<&'a str> {
        self.wire()
    }
}
