//! Checks JSON text by the rules of Python's `json.loads`, in one pass and without recursion.

use super::super::error::DecodeError;
use super::super::hex;
use super::super::text::{Form, Text};
use super::super::value::{Known, MAX_DEPTH, Repr, Value};
use super::keys::KeyFilter;
use super::swar;

/// CPython refuses integers with more digits than this.
const MAX_INT_DIGITS: usize = 4300;

/// What is checked is good, or why not.
type Checked<T> = Result<T, DecodeError>;

const BAD: DecodeError = DecodeError::BadJson;

/// A position in a JSON text that is being checked.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pos: usize,
}

/// What the scanner knows about a number besides that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Literal<'a> {
    pub(super) text: &'a str,
    /// The reference would print the number like this.
    pub(super) wire: bool,
}

/// One bit for each open container: whether it is an object.
struct Nesting {
    bits: [u64; MAX_DEPTH.div_ceil(64)],
    depth: usize,
}

impl Nesting {
    fn push(&mut self, object: bool) -> Checked<()> {
        if self.depth == MAX_DEPTH {
            return Err(DecodeError::TooDeep);
        }
        if let Some(word) = self.bits.get_mut(self.depth / 64) {
            let bit = 1 << (self.depth % 64);
            *word = if object { *word | bit } else { *word & !bit };
        }
        self.depth += 1;
        Ok(())
    }

    fn in_object(&self) -> bool {
        let at = self.depth.wrapping_sub(1);
        self.bits.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }
}

impl<'a> Scanner<'a> {
    /// Start at `pos` of a text.
    #[inline]
    pub(super) const fn new(text: &'a str, pos: usize) -> Self {
        Self { text, bytes: text.as_bytes(), pos }
    }

    /// Where the scanner is.
    #[inline]
    pub(super) const fn pos(&self) -> usize {
        self.pos
    }

    /// The next byte.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.pos).copied()
    }

    /// Take `literal` if it is next.
    #[inline(always)]
    pub(super) fn eat(&mut self, literal: &[u8]) -> bool {
        let found = self.bytes.get(self.pos..).is_some_and(|rest| rest.starts_with(literal));
        if found {
            self.pos += literal.len();
        }
        found
    }

    /// Pass over white space, and say whether there was any.
    #[inline]
    pub(super) fn space(&mut self) -> bool {
        let start = self.pos;
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.pos += 1;
        }
        self.pos != start
    }

    #[inline]
    fn text_from(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The rest of a string after its opening quote, closing quote included.
    #[inline]
    pub(super) fn string(&mut self) -> Checked<Text<'a>> {
        let start = self.pos;
        let end = swar::find(self.bytes, start, swar::escaped);
        if self.bytes.get(end) == Some(&b'"') {
            self.pos = end + 1;
            return Ok(Text::from_scan(self.text_from(start, end), Form::PlainWire));
        }
        self.long_string(start, end)
    }

    /// A string with something in it that is not printable ASCII; `pos` is the first such byte.
    #[inline(never)]
    fn long_string(&mut self, start: usize, pos: usize) -> Checked<Text<'a>> {
        self.pos = pos;
        let (mut escapes, mut wire) = (false, true);
        loop {
            match self.peek().ok_or(BAD)? {
                b'"' => break,
                b'\\' => {
                    escapes = true;
                    wire &= self.escape()?;
                }
                0..0x20 => return Err(BAD),
                0x7f.. => {
                    wire = false;
                    self.pos += 1;
                }
                _ => {}
            }
            self.pos = match wire {
                true => swar::find(self.bytes, self.pos, swar::escaped),
                false => swar::find(self.bytes, self.pos, swar::special),
            };
        }
        let text = self.text_from(start, self.pos);
        self.pos += 1;
        let form = match (escapes, wire) {
            (true, true) => Form::EscapedWire,
            (true, false) => Form::Escaped,
            (false, true) => Form::PlainWire,
            (false, false) => Form::Plain,
        };
        Ok(Text::from_scan(text, form))
    }

    /// An escape from its backslash on; whether the reference would write it like this.
    fn escape(&mut self) -> Checked<bool> {
        let kind = self.bytes.get(self.pos + 1).ok_or(BAD)?;
        self.pos += 2;
        match kind {
            b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => return Ok(true),
            b'/' => return Ok(false),
            b'u' => {}
            _ => return Err(BAD),
        }
        let digits = self.bytes.get(self.pos..).and_then(|rest| rest.first_chunk::<4>()).ok_or(BAD)?;
        self.pos += 4;
        let unit = digits.iter().try_fold(0_u16, |unit, b| Some(unit << 4 | u16::from(hex::digit(*b)?))).ok_or(BAD)?;
        let lower = !digits.iter().any(u8::is_ascii_uppercase);
        Ok(lower && matches!(unit, 0..8 | 0xb | 0xe..0x20 | 0x7f..))
    }

    /// A number, `NaN` and infinities included.
    pub(super) fn number(&mut self) -> Checked<Literal<'a>> {
        let start = self.pos;
        let negative = self.eat(b"-");
        let int_start = self.pos;
        let wire = match self.peek() {
            Some(b'0') => {
                self.pos += 1;
                self.after_int(int_start, negative)?
            }
            Some(b'1'..=b'9') => {
                self.digits();
                self.after_int(int_start, negative)?
            }
            Some(b'I') if self.eat(b"Infinity") => true,
            Some(b'N') if !negative && self.eat(b"NaN") => true,
            _ => return Err(BAD),
        };
        Ok(Literal { text: self.text_from(start, self.pos), wire })
    }

    /// Pass over digits, and say how many.
    #[inline]
    fn digits(&mut self) -> usize {
        let start = self.pos;
        while let Some(b'0'..=b'9') = self.peek() {
            self.pos += 1;
        }
        self.pos - start
    }

    /// The rest of a number after its integer part. What looks wrong after it is left for whoever reads on.
    fn after_int(&mut self, int_start: usize, negative: bool) -> Checked<bool> {
        let int = self.bytes.get(int_start..self.pos).unwrap_or_default();
        let before = self.clone();
        let fraction = match self.eat(b".") {
            true if self.digits() > 0 => self.bytes.get(before.pos + 1..self.pos),
            _ => {
                *self = before;
                None
            }
        };
        let before = self.clone();
        let mut exponent = self.eat(b"e") || self.eat(b"E");
        if exponent {
            let _sign = self.eat(b"+") || self.eat(b"-");
            if self.digits() == 0 {
                *self = before;
                exponent = false;
            }
        }
        match fraction {
            _ if exponent => Ok(false),
            None if int.len() > MAX_INT_DIGITS => Err(DecodeError::IntTooLong),
            None => Ok(!(negative && int == b"0")),
            Some(fraction) => Ok(prints_the_same(int, fraction)),
        }
    }

    /// An integer of at most 18 digits that ends before a comma or bracket; nothing is taken for anything else.
    #[inline]
    pub(super) fn small_int(&mut self) -> Option<i64> {
        let negative = self.peek() == Some(b'-');
        let digits = self.bytes.get(self.pos + usize::from(negative)..)?;
        let (mut n, mut len) = (0_i64, 0);
        while let Some(b @ b'0'..=b'9') = digits.get(len) {
            if len == 18 {
                return None;
            }
            n = n * 10 + i64::from(b - b'0');
            len += 1;
        }
        let padded = len > 1 && digits.first() == Some(&b'0');
        if len == 0 || padded || !matches!(digits.get(len), Some(b',' | b'}')) {
            return None;
        }
        self.pos += len + usize::from(negative);
        Some(if negative { -n } else { n })
    }

    /// Any value, checked to its end.
    pub(super) fn value(&mut self) -> Checked<Value<'a>> {
        let start = self.pos;
        let mut known = Known::ALL;
        match self.peek().ok_or(BAD)? {
            b'{' if self.eat(b"{}") => {}
            b'[' if self.eat(b"[]") => {}
            b'{' | b'[' => self.nested(&mut known)?,
            _ => known.wire = self.scalar()?,
        }
        Ok(Value::from_parts(Repr::Json(self.text_from(start, self.pos)), known))
    }

    /// A value that is no container; whether the reference would write it like this.
    #[inline]
    fn scalar(&mut self) -> Checked<bool> {
        match self.peek().ok_or(BAD)? {
            b'"' => {
                self.pos += 1;
                Ok(self.string()?.wire().is_some())
            }
            b't' if self.eat(b"true") => Ok(true),
            b'f' if self.eat(b"false") => Ok(true),
            b'n' if self.eat(b"null") => Ok(true),
            _ => Ok(self.number()?.wire),
        }
    }

    /// A container with all that is in it.
    fn nested(&mut self, known: &mut Known) -> Checked<()> {
        let mut nesting = Nesting { bits: [0; MAX_DEPTH.div_ceil(64)], depth: 0 };
        let mut keys = KeyFilter::new();
        loop {
            // At a value.
            let mut ended = true;
            match self.peek().ok_or(BAD)? {
                open @ (b'{' | b'[') => {
                    let object = open == b'{';
                    self.pos += 1;
                    nesting.push(object)?;
                    known.wire &= !self.space();
                    if self.peek() == Some(if object { b'}' } else { b']' }) {
                        self.pos += 1;
                        nesting.depth -= 1;
                    } else {
                        ended = false;
                        if object {
                            keys.open(nesting.depth);
                            self.key(known, &mut keys, nesting.depth)?;
                        }
                    }
                }
                _ => known.wire &= self.scalar()?,
            }
            while ended {
                if nesting.depth == 0 {
                    known.wire &= known.unique;
                    return Ok(());
                }
                known.wire &= !self.space();
                let object = nesting.in_object();
                match self.peek().ok_or(BAD)? {
                    b',' => {
                        self.pos += 1;
                        known.wire &= !self.space();
                        if object {
                            self.key(known, &mut keys, nesting.depth)?;
                        }
                        ended = false;
                    }
                    b'}' if object => {
                        self.pos += 1;
                        nesting.depth -= 1;
                    }
                    b']' if !object => {
                        self.pos += 1;
                        nesting.depth -= 1;
                    }
                    _ => return Err(BAD),
                }
            }
        }
    }

    /// A key and its colon.
    fn key(&mut self, known: &mut Known, keys: &mut KeyFilter, depth: usize) -> Checked<()> {
        if !self.eat(b"\"") {
            return Err(BAD);
        }
        let key = self.string()?;
        match key.wire() {
            Some(raw) => known.unique &= keys.insert(raw.as_bytes(), depth),
            // The same key may be spelled in another way elsewhere.
            None => *known = Known::NOTHING,
        }
        known.wire &= !self.space();
        if !self.eat(b":") {
            return Err(BAD);
        }
        known.wire &= !self.space();
        Ok(())
    }
}

/// Whether a decimal fraction is what the reference prints for the float it reads as. At most 15 significant digits
/// survive the way through a float and back, so no shorter text reads as the same float. May say no too often.
fn prints_the_same(int: &[u8], fraction: &[u8]) -> bool {
    if fraction == b"0" {
        return int.len() <= 15;
    }
    if fraction.last() == Some(&b'0') {
        return false;
    }
    let zeros = fraction.iter().take_while(|b| **b == b'0').count();
    if int == b"0" { zeros <= 3 && fraction.len() - zeros <= 15 } else { int.len() + fraction.len() <= 15 }
}
