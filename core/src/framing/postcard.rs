//! The compact encoding between two Sluis nodes: what the `postcard` crate makes of the two packets with serde's derive.
//!
//! - Fields in declared order; texts as length and UTF-8; closed sets as the index of the variant in declared order;
//!   integers as zigzag varints; `Option` as 0 or 1 and the value.
//! - `proof` is 1 and a text behind all that, or nothing.
//! - `payload`, `capabilities` and `fira_breakdown` are texts that hold JSON in the reference's wire form, so a relay
//!   can pass them on in any encoding without loss.
//! - `trust_score` and `rtt_ms` are the enum [`Number`] in its declared order: `Int(i64)`, `Uint(u64)`, `Big(str)` (decimal
//!   digits), `Float(f64)` (8 bytes, little-endian).
//!
//! Reading checks all of it: lengths, UTF-8, the JSON inside, nothing after the last field. As in the crate, a varint may
//! be longer than it must be.

use super::error::DecodeError;
use super::schema::packets;
use super::types::{Priority, Word};
use super::{Encoding, Frame, Message, Packet, Response};
use crate::data::{
    BigInt, Counter, EncodeError, Full, Number, ParseError, Sink, Style, Text, Unrepresentable, Value, json,
};

type Done = Result<(), EncodeError>;

macro_rules! codec {
    ($(
        $(#[$meta:meta])* $packet:ident $title:literal { $($name:ident: $kind:ident $default:tt, $doc:literal;)+ }
    )+) => { $(
        impl<'a> $packet<'a> {
            /// Read the payload of a frame. The frame is made where the caller wants it: it is large, and copies are slow.
            #[inline]
            pub(super) fn read_postcard(payload: &'a [u8]) -> Result<Frame<'a>, DecodeError> {
                let mut r = Reader::new(payload);
                $(let Some($name) = r.$kind() else { return Err(r.error) };)+
                if !r.is_empty() {
                    return Err(DecodeError::BadPostcard);
                }
                let packet = Self { $($name: keep!($kind $name)),+ };
                Ok(Frame { encoding: Encoding::Postcard, message: Message::$packet(packet) })
            }

            /// Write the payload of a frame.
            pub(super) fn write_postcard(&self, sink: &mut impl Sink) -> Done {
                $($kind(sink, self.$name)?;)+
                Ok(())
            }
        }
    )+ };
}

/// Texts are kept as `&str` until all is read: that stays in registers, which a [`Text`] does not.
macro_rules! keep {
    (trailing_text $text:ident) => {
        $text.map(Text::new)
    };
    (text $text:ident) => {
        Text::new($text)
    };
    (optional_text $text:ident) => {
        $text.map(Text::new)
    };
    ($kind:ident $member:ident) => {
        $member
    };
}

packets!(codec);

/// Seven bits a byte, lowest first.
#[inline]
fn varint(sink: &mut impl Sink, mut n: u64) -> Result<(), Full> {
    loop {
        let [low, ..] = n.to_le_bytes();
        n >>= 7;
        if n == 0 {
            return sink.put(&[low]);
        }
        sink.put(&[low | 0x80])?;
    }
}

#[inline]
fn int(sink: &mut impl Sink, n: i64) -> Done {
    Ok(varint(sink, (n << 1 ^ n >> 63).cast_unsigned())?)
}

#[inline]
fn str(sink: &mut impl Sink, text: &str) -> Done {
    varint(sink, text.len() as u64)?;
    Ok(sink.put(text.as_bytes())?)
}

#[inline]
fn text(sink: &mut impl Sink, text: Text<'_>) -> Done {
    match text.as_str() {
        Some(plain) => str(sink, plain),
        None => escaped(sink, text),
    }
}

fn escaped(sink: &mut impl Sink, text: Text<'_>) -> Done {
    varint(sink, text.len() as u64)?;
    for c in text.chars() {
        let c = c.map_err(|_| EncodeError::Unrepresentable(Unrepresentable::LoneSurrogate))?;
        sink.put(c.encode_utf8(&mut [0; 4]).as_bytes())?;
    }
    Ok(())
}

#[inline]
fn optional_text(sink: &mut impl Sink, option: Option<Text<'_>>) -> Done {
    match option {
        None => Ok(sink.put(&[0])?),
        Some(some) => {
            sink.put(&[1])?;
            text(sink, some)
        }
    }
}

#[inline]
fn trailing_text(sink: &mut impl Sink, option: Option<Text<'_>>) -> Done {
    match option {
        None => Ok(()),
        Some(_) => optional_text(sink, option),
    }
}

fn optional_number(sink: &mut impl Sink, option: Option<Number<'_>>) -> Done {
    match option {
        None => Ok(sink.put(&[0])?),
        Some(some) => {
            sink.put(&[1])?;
            number(sink, some)
        }
    }
}

fn number(sink: &mut impl Sink, n: Number<'_>) -> Done {
    match n {
        Number::Int(n) => {
            sink.put(&[0])?;
            int(sink, n)
        }
        Number::Uint(n) => {
            sink.put(&[1])?;
            Ok(varint(sink, n)?)
        }
        Number::Big(n) => {
            sink.put(&[2])?;
            str(sink, n.digits())
        }
        Number::Float(n) => {
            sink.put(&[3])?;
            Ok(sink.put(&n.to_bits().to_le_bytes())?)
        }
    }
}

#[inline]
fn word(sink: &mut impl Sink, word: impl Word) -> Done {
    Ok(sink.put(&[word.index()])?)
}

#[inline]
fn level(sink: &mut impl Sink, level: Priority) -> Done {
    Ok(sink.put(&[level as u8])?)
}

use {any as array, any as object};

#[inline]
fn any(sink: &mut impl Sink, value: Value<'_>) -> Done {
    if let Some(wire) = value.json_wire() {
        return str(sink, wire);
    }
    let mut len = Counter::default();
    value.write_json(&mut len, Style::WIRE)?;
    varint(sink, len.count() as u64)?;
    value.write_json(sink, Style::WIRE)
}

/// What is left of the input. Its methods give `None` when it is not what they read; `error` says why.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The start of the input as far as it is UTF-8: all of it, mostly, since lengths below 128 are ASCII too. Texts in
    /// there need no check of their own.
    utf8: &'a str,
    error: DecodeError,
}

impl<'a> Reader<'a> {
    #[inline]
    fn new(bytes: &'a [u8]) -> Self {
        let utf8 = core::str::from_utf8(bytes).or_else(|e| {
            let good = bytes.get(..e.valid_up_to()).unwrap_or_default();
            core::str::from_utf8(good)
        });
        Self { bytes, at: 0, utf8: utf8.unwrap_or_default(), error: DecodeError::BadPostcard }
    }

    #[cold]
    fn fail<T>(&mut self, error: DecodeError) -> Option<T> {
        self.error = error;
        None
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A varint of at most `BITS` bits.
    #[inline]
    fn varint<const BITS: u32>(&mut self) -> Option<u64> {
        let first = self.byte()?;
        if first < 0x80 { Some(u64::from(first)) } else { self.long_varint::<BITS>(first) }
    }

    fn long_varint<const BITS: u32>(&mut self, first: u8) -> Option<u64> {
        let (mut n, mut shift) = (u64::from(first & 0x7f), 7);
        loop {
            let byte = self.byte()?;
            let low = u64::from(byte & 0x7f);
            if shift >= BITS || BITS - shift < 7 && low >> (BITS - shift) != 0 {
                return None;
            }
            n |= low << shift;
            if byte < 0x80 {
                return Some(n);
            }
            shift += 7;
        }
    }

    #[inline]
    fn int(&mut self) -> Option<i64> {
        let n = self.varint::<64>()?;
        Some((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
    }

    #[inline]
    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.varint::<{ usize::BITS }>()?).ok()?;
        let (start, end) = (self.at, self.at.checked_add(len)?);
        self.at = end;
        match self.utf8.get(start..end) {
            Some(text) => Some(text),
            None => self.checked_text(start, end),
        }
    }

    #[inline(never)]
    fn checked_text(&mut self, start: usize, end: usize) -> Option<&'a str> {
        match core::str::from_utf8(self.bytes.get(start..end)?) {
            Ok(text) => Some(text),
            Err(_) => self.fail(ParseError::BadUtf8.into()),
        }
    }

    /// Whether an option holds something.
    #[inline]
    fn is_some(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    #[inline]
    fn optional_text(&mut self) -> Option<Option<&'a str>> {
        if self.is_some()? { self.text().map(Some) } else { Some(None) }
    }

    #[inline]
    fn any(&mut self) -> Option<Value<'a>> {
        match json::checked(self.text()?) {
            Ok(value) => Some(value),
            Err(error) => self.fail(error.into()),
        }
    }

    #[inline]
    fn array(&mut self) -> Option<Value<'a>> {
        let value = self.any()?;
        if value.is_array() { Some(value) } else { self.fail(DecodeError::Mistyped) }
    }

    #[inline]
    fn object(&mut self) -> Option<Value<'a>> {
        let value = self.any()?;
        if value.is_object() { Some(value) } else { self.fail(DecodeError::Mistyped) }
    }

    #[inline]
    fn variant<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        all.get(usize::try_from(self.varint::<32>()?).ok()?).copied()
    }

    #[inline]
    fn word<W: Word>(&mut self) -> Option<W> {
        self.variant(W::ALL)
    }

    #[inline]
    fn level(&mut self) -> Option<Priority> {
        self.variant(Priority::ALL)
    }

    #[inline]
    fn trailing_text(&mut self) -> Option<Option<&'a str>> {
        match self.bytes.get(self.at) {
            None => Some(None),
            // One spelling of "none": no byte at all.
            Some(0) => None,
            Some(_) => self.optional_text(),
        }
    }

    #[inline]
    fn optional_number(&mut self) -> Option<Option<Number<'a>>> {
        if self.is_some()? { self.number().map(Some) } else { Some(None) }
    }

    fn number(&mut self) -> Option<Number<'a>> {
        Some(match self.varint::<32>()? {
            0 => Number::Int(self.int()?),
            1 => Number::from(self.varint::<64>()?),
            2 => Number::Big(BigInt::from_digits(self.text()?)?),
            3 => {
                let float = self.bytes.get(self.at..)?.first_chunk::<8>()?;
                self.at += 8;
                Number::Float(f64::from_bits(u64::from_le_bytes(*float)))
            }
            _ => return None,
        })
    }

    /// Whether all was read.
    #[inline]
    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }
}
