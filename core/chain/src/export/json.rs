//! JSON put together by hand, compact, members in the order in which they are said.

use alloc::string::String;
use alloc::vec::Vec;

use sluis_core::data::{EncodeError, Text};

/// An object or array that is being written.
pub(super) struct Json {
    out: Vec<u8>,
    comma: bool,
}

impl Json {
    pub(super) const fn new() -> Self {
        Self { out: Vec::new(), comma: false }
    }

    /// Begin an object or array.
    pub(super) fn open(&mut self, bracket: u8) -> &mut Self {
        self.separate();
        self.out.push(bracket);
        self.comma = false;
        self
    }

    /// End it.
    pub(super) fn close(&mut self, bracket: u8) -> &mut Self {
        self.out.push(bracket);
        self.comma = true;
        self
    }

    /// A key; its value follows.
    pub(super) fn key(&mut self, key: &str) -> Result<&mut Self, EncodeError> {
        self.text(Text::new(key))?;
        self.out.push(b':');
        self.comma = false;
        Ok(self)
    }

    /// A text.
    pub(super) fn text(&mut self, text: Text<'_>) -> Result<&mut Self, EncodeError> {
        self.separate();
        self.out.push(b'"');
        sluis_core::data::put_inside(text, &mut self.out)?;
        self.out.push(b'"');
        self.comma = true;
        Ok(self)
    }

    /// A whole number.
    pub(super) fn number(&mut self, number: u32) -> &mut Self {
        self.separate();
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.comma = true;
        self
    }

    /// A member that is a text.
    pub(super) fn member(&mut self, key: &str, text: Text<'_>) -> Result<&mut Self, EncodeError> {
        self.key(key)?.text(text)
    }

    pub(super) fn finish(self) -> String {
        // All that is put is ASCII.
        String::from_utf8(self.out).unwrap_or_default()
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
    }
}
