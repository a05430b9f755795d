//! One msgpack item: its head and, for texts and bytes, its body.

use super::super::ParseError;

/// A msgpack item. Containers are only announced: their elements follow in the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Item<'a> {
    /// `nil`.
    Nil,
    /// `false` or `true`.
    Bool(bool),
    /// Any integer that fits.
    Int(i64),
    /// An integer above `i64::MAX`.
    Uint(u64),
    /// float32 (widened) or float64.
    Float(f64),
    /// A text, UTF-8 not yet checked.
    Str(&'a [u8]),
    /// Bytes.
    Bin(&'a [u8]),
    /// An extension value with its code, not yet checked.
    Ext(i8, &'a [u8]),
    /// An array of this many elements.
    Array(u32),
    /// A map of this many pairs.
    Map(u32),
}

/// What is left of the input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Read from the start of `bytes`.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Step over `prefix` if it comes next.
    #[inline]
    pub(crate) fn eat(&mut self, prefix: &[u8]) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Step over an item of one byte that holds no others and is always in its shortest form.
    #[inline]
    pub(crate) fn eat_scalar(&mut self) -> bool {
        match self.rest {
            [0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff, rest @ ..] => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// The next byte, not taken.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next byte.
    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, ParseError> {
        let (first, rest) = self.rest.split_first().ok_or(ParseError::MsgpackTruncated)?;
        self.rest = rest;
        Ok(*first)
    }

    /// The next `n` bytes.
    #[inline]
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], ParseError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(ParseError::MsgpackTruncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ParseError> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(ParseError::MsgpackTruncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    fn len8(&mut self) -> Result<usize, ParseError> {
        Ok(usize::from(self.byte()?))
    }

    #[inline]
    fn len16(&mut self) -> Result<usize, ParseError> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    #[inline]
    fn len32(&mut self) -> Result<usize, ParseError> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| ParseError::MsgpackTruncated)
    }

    fn ext(&mut self, len: usize) -> Result<Item<'a>, ParseError> {
        let [code] = self.array::<1>()?;
        Ok(Item::Ext(i8::from_be_bytes([code]), self.take(len)?))
    }

    /// The next item, in any of the forms that msgpack allows for it.
    #[inline]
    pub(crate) fn item(&mut self) -> Result<Item<'a>, ParseError> {
        let head = self.byte()?;
        Ok(match head {
            0x00..=0x7f => Item::Int(i64::from(head)),
            0xe0..=0xff => Item::Int(i64::from(i8::from_be_bytes([head]))),
            0x80..=0x8f => Item::Map(u32::from(head & 0x0f)),
            0x90..=0x9f => Item::Array(u32::from(head & 0x0f)),
            0xa0..=0xbf => Item::Str(self.take(usize::from(head & 0x1f))?),
            0xc0 => Item::Nil,
            0xc1 => return Err(ParseError::MsgpackFormat),
            0xc2 => Item::Bool(false),
            0xc3 => Item::Bool(true),
            0xcb => Item::Float(f64::from_be_bytes(self.array()?)),
            0xd9 => {
                let len = self.len8()?;
                Item::Str(self.take(len)?)
            }
            _ => return self.rare(head),
        })
    }

    /// The forms that a small ping does not hold.
    fn rare(&mut self, head: u8) -> Result<Item<'a>, ParseError> {
        let len = match head {
            0xc4 | 0xc7 => self.len8()?,
            0xc5 | 0xc8 | 0xda => self.len16()?,
            0xc6 | 0xc9 | 0xdb => self.len32()?,
            0xd4..=0xd8 => 1 << (head - 0xd4),
            _ => 0,
        };
        Ok(match head {
            0xc4..=0xc6 => Item::Bin(self.take(len)?),
            0xc7..=0xc9 | 0xd4..=0xd8 => return self.ext(len),
            0xca => Item::Float(widen(f32::from_be_bytes(self.array()?))),
            0xcc => Item::Int(i64::from(self.byte()?)),
            0xcd => Item::Int(i64::from(u16::from_be_bytes(self.array()?))),
            0xce => Item::Int(i64::from(u32::from_be_bytes(self.array()?))),
            0xcf => {
                let n = u64::from_be_bytes(self.array()?);
                i64::try_from(n).map_or(Item::Uint(n), Item::Int)
            }
            0xd0 => Item::Int(i64::from(i8::from_be_bytes(self.array()?))),
            0xd1 => Item::Int(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Item::Int(i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => Item::Int(i64::from_be_bytes(self.array()?)),
            0xda | 0xdb => Item::Str(self.take(len)?),
            0xdc => Item::Array(u32::from(u16::from_be_bytes(self.array()?))),
            0xdd => Item::Array(u32::from_be_bytes(self.array()?)),
            0xde => Item::Map(u32::from(u16::from_be_bytes(self.array()?))),
            0xdf => Item::Map(u32::from_be_bytes(self.array()?)),
            _ => return Err(ParseError::MsgpackFormat),
        })
    }
}

/// float32 to float64 with the same bits on every machine: a NaN keeps its sign and payload and becomes quiet.
fn widen(narrow: f32) -> f64 {
    if !narrow.is_nan() {
        return f64::from(narrow);
    }
    let bits = u64::from(narrow.to_bits());
    f64::from_bits((bits >> 31) << 63 | 0x7ff8 << 48 | (bits & 0x7f_ffff) << 29)
}
