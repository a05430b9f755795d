//! msgpack items in the one form that the reference writes: the shortest.

use super::super::error::{EncodeError, Unrepresentable};
use super::super::number::Number;
use super::super::sink::{Full, Sink};
use super::super::text::Text;
use super::shortest::{int_len, timestamp, timestamp_len};

/// An integer.
pub(crate) fn int(sink: &mut impl Sink, n: i64) -> Result<(), Full> {
    let [_, _, _, _, b4, b5, b6, b7] = n.to_be_bytes();
    match (int_len(n), n < 0) {
        (1, _) => sink.put(&[b7]),
        (2, false) => sink.put(&[0xcc, b7]),
        (2, true) => sink.put(&[0xd0, b7]),
        (3, false) => sink.put(&[0xcd, b6, b7]),
        (3, true) => sink.put(&[0xd1, b6, b7]),
        (5, false) => sink.put(&[0xce, b4, b5, b6, b7]),
        (5, true) => sink.put(&[0xd2, b4, b5, b6, b7]),
        (_, false) => eight(sink, 0xcf, n.to_be_bytes()),
        (_, true) => eight(sink, 0xd3, n.to_be_bytes()),
    }
}

/// An integer above `i64::MAX`.
pub(crate) fn uint(sink: &mut impl Sink, n: u64) -> Result<(), Full> {
    match i64::try_from(n) {
        Ok(n) => int(sink, n),
        Err(_) => eight(sink, 0xcf, n.to_be_bytes()),
    }
}

/// A float64; the reference never writes float32.
pub(crate) fn float(sink: &mut impl Sink, n: f64) -> Result<(), Full> {
    eight(sink, 0xcb, n.to_bits().to_be_bytes())
}

fn eight(sink: &mut impl Sink, head: u8, body: [u8; 8]) -> Result<(), Full> {
    let [b0, b1, b2, b3, b4, b5, b6, b7] = body;
    sink.put(&[head, b0, b1, b2, b3, b4, b5, b6, b7])
}

/// A head with a length: `small | len` below `limit`, else one of these before 8, 16 or 32 bits of length.
struct Heads {
    small: u8,
    limit: u32,
    /// 0: there is no such head.
    len8: u8,
    len16: u8,
    len32: u8,
}

const STR: Heads = Heads { small: 0xa0, limit: 32, len8: 0xd9, len16: 0xda, len32: 0xdb };
const BIN: Heads = Heads { small: 0, limit: 0, len8: 0xc4, len16: 0xc5, len32: 0xc6 };
const EXT: Heads = Heads { small: 0, limit: 0, len8: 0xc7, len16: 0xc8, len32: 0xc9 };
const ARRAY: Heads = Heads { small: 0x90, limit: 16, len8: 0, len16: 0xdc, len32: 0xdd };
const MAP: Heads = Heads { small: 0x80, limit: 16, len8: 0, len16: 0xde, len32: 0xdf };

impl Heads {
    #[inline]
    fn put(&self, sink: &mut impl Sink, len: u32) -> Result<(), Full> {
        let [b0, b1, b2, b3] = len.to_be_bytes();
        match len {
            _ if len < self.limit => sink.put(&[self.small | b3]),
            0..=0xff if self.len8 != 0 => sink.put(&[self.len8, b3]),
            0..=0xffff => sink.put(&[self.len16, b2, b3]),
            _ => sink.put(&[self.len32, b0, b1, b2, b3]),
        }
    }

    /// Nothing of 4 GiB fits a sink.
    #[inline]
    fn put_len(&self, sink: &mut impl Sink, len: usize) -> Result<(), Full> {
        self.put(sink, u32::try_from(len).map_err(|_| Full)?)
    }
}

/// The head of a text of `len` bytes.
#[inline]
pub(crate) fn str_head(sink: &mut impl Sink, len: usize) -> Result<(), Full> {
    STR.put_len(sink, len)
}

/// A text.
#[inline]
pub(crate) fn str(sink: &mut impl Sink, text: &str) -> Result<(), Full> {
    str_head(sink, text.len())?;
    sink.put(text.as_bytes())
}

/// Bytes.
pub(crate) fn bin(sink: &mut impl Sink, bytes: &[u8]) -> Result<(), Full> {
    BIN.put_len(sink, bytes.len())?;
    sink.put(bytes)
}

/// An extension value. A timestamp is written in its shortest form, whatever form it came in.
pub(crate) fn ext(sink: &mut impl Sink, code: i8, body: &[u8]) -> Result<(), Full> {
    if let Some((seconds, nanoseconds)) = timestamp(code, body) {
        return stamp(sink, seconds, nanoseconds);
    }
    let [code] = code.to_be_bytes();
    match body.len() {
        1 => sink.put(&[0xd4, code])?,
        2 => sink.put(&[0xd5, code])?,
        4 => sink.put(&[0xd6, code])?,
        8 => sink.put(&[0xd7, code])?,
        16 => sink.put(&[0xd8, code])?,
        len => {
            EXT.put_len(sink, len)?;
            sink.put(&[code])?;
        }
    }
    sink.put(body)
}

fn stamp(sink: &mut impl Sink, seconds: i64, nanoseconds: u32) -> Result<(), Full> {
    let [_, _, _, _, low @ ..] = seconds.to_be_bytes();
    match timestamp_len(seconds, nanoseconds) {
        4 => {
            sink.put(&[0xd6, 0xff])?;
            sink.put(&low)
        }
        8 => {
            sink.put(&[0xd7, 0xff])?;
            sink.put(&(u64::from(nanoseconds) << 34 | seconds.cast_unsigned()).to_be_bytes())
        }
        _ => {
            sink.put(&[0xc7, 12, 0xff])?;
            sink.put(&nanoseconds.to_be_bytes())?;
            sink.put(&seconds.to_be_bytes())
        }
    }
}

/// The head of an array of `n` elements.
pub(crate) fn array(sink: &mut impl Sink, n: u32) -> Result<(), Full> {
    ARRAY.put(sink, n)
}

/// The head of a map of `n` pairs.
pub(crate) fn map(sink: &mut impl Sink, n: u32) -> Result<(), Full> {
    MAP.put(sink, n)
}

/// A text; unescaped where it still holds JSON escapes.
#[inline]
pub(crate) fn text(sink: &mut impl Sink, text: Text<'_>) -> Result<(), EncodeError> {
    match text.as_str() {
        Some(plain) => Ok(str(sink, plain)?),
        None => escaped(sink, text),
    }
}

fn escaped(sink: &mut impl Sink, text: Text<'_>) -> Result<(), EncodeError> {
    str_head(sink, text.len())?;
    for c in text.chars() {
        let c = c.map_err(|_| EncodeError::Unrepresentable(Unrepresentable::LoneSurrogate))?;
        sink.put(c.encode_utf8(&mut [0; 4]).as_bytes())?;
    }
    Ok(())
}

/// A number. The reference's msgpack has no integers beyond 64 bits.
pub(crate) fn number(sink: &mut impl Sink, n: Number<'_>) -> Result<(), EncodeError> {
    match n {
        Number::Int(n) => int(sink, n)?,
        Number::Uint(n) => uint(sink, n)?,
        Number::Float(n) => float(sink, n)?,
        Number::Big(_) => return Err(EncodeError::Unrepresentable(Unrepresentable::BigInteger)),
    }
    Ok(())
}
