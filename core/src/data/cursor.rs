//! Packed fields: big-endian integers, and texts behind their length.

use super::{Full, Sink};

/// Reads packed fields from the front; `None` where there are not enough bytes, or no UTF-8.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A text behind one byte with its length.
    pub(crate) fn short_text(&mut self) -> Option<&'a str> {
        let len = self.u8()?;
        core::str::from_utf8(self.take(len.into())?).ok()
    }

    /// A text behind two bytes with its length.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let len = self.u16()?;
        core::str::from_utf8(self.take(len.into())?).ok()
    }
}

/// Write a text behind one byte with its length; [`Full`] when it is longer than 255 bytes, too.
pub(crate) fn put_short_text(sink: &mut impl Sink, text: &str) -> Result<(), Full> {
    sink.put(&[u8::try_from(text.len()).map_err(|_| Full)?])?;
    sink.put(text.as_bytes())
}

/// Write a text behind two bytes with its length; [`Full`] when it is longer than 65,535 bytes, too.
pub(crate) fn put_text(sink: &mut impl Sink, text: &str) -> Result<(), Full> {
    sink.put(&u16::try_from(text.len()).map_err(|_| Full)?.to_be_bytes())?;
    sink.put(text.as_bytes())
}
