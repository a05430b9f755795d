//! Checks JSON text by the rules of Python's `json.loads`, in one pass and without recursion.
//!
//! The hot parts are inlined and keep their position in a register; what is rare is a function of its own that takes
//! and gives back positions.

use super::super::error::ParseError;
use super::super::hex;
use super::super::text::{Form, Text};
use super::super::value::{Known, MAX_DEPTH, Repr, Value};
use super::keys::KeyFilter;
use super::{flat, numeral, spaced, swar};

/// What is checked is good, or why not.
type Checked<T> = Result<T, ParseError>;

const BAD: ParseError = ParseError::BadJson;

/// A position in a JSON text that is being checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    pos: usize,
}

/// What the scanner knows about a number besides that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Literal<'a> {
    pub(crate) text: &'a str,
    /// The reference would print the number like this.
    pub(crate) wire: bool,
}

/// One bit for each open container: whether it is an object.
struct Nesting {
    /// The innermost up to 64.
    top: u64,
    below: heapless::Vec<u64, { MAX_DEPTH.div_ceil(64) }>,
    depth: usize,
}

impl Nesting {
    #[inline(always)]
    fn push(&mut self, object: bool) -> Checked<()> {
        if self.depth == MAX_DEPTH {
            return Err(ParseError::TooDeep);
        }
        if self.depth.is_multiple_of(64) {
            self.below.push(self.top).map_err(|_| ParseError::TooDeep)?;
        }
        self.top = self.top << 1 | u64::from(object);
        self.depth += 1;
        Ok(())
    }

    #[inline(always)]
    fn pop(&mut self) {
        self.depth -= 1;
        self.top >>= 1;
        if self.depth.is_multiple_of(64) {
            self.top = self.below.pop().unwrap_or(0);
        }
    }

    #[inline(always)]
    const fn in_object(&self) -> bool {
        self.top & 1 == 1
    }
}

impl<'a> Scanner<'a> {
    /// Start at `pos` of a text.
    #[inline(always)]
    pub(crate) const fn new(text: &'a str, pos: usize) -> Self {
        Self { text, pos }
    }

    /// Where the scanner is.
    #[inline(always)]
    pub(crate) const fn pos(&self) -> usize {
        self.pos
    }

    #[inline(always)]
    const fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The next byte.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes().get(self.pos).copied()
    }

    /// Take `literal` if it is next.
    #[inline(always)]
    pub(crate) fn eat<const N: usize>(&mut self, literal: &[u8; N]) -> bool {
        let found = self.bytes().get(self.pos..).and_then(|rest| rest.first_chunk::<N>()) == Some(literal);
        if found {
            self.pos += N;
        }
        found
    }

    /// Take `literal` if it is next. Inlined, so that its length is known to the compiler.
    #[inline(always)]
    pub(crate) fn eat_slice(&mut self, literal: &'static [u8]) -> bool {
        let found = self.bytes().get(self.pos..).is_some_and(|rest| rest.starts_with(literal));
        if found {
            self.pos += literal.len();
        }
        found
    }

    /// Pass over white space, and say whether there was any.
    #[inline(always)]
    pub(crate) fn space(&mut self) -> bool {
        // What is not white space is seldom below 0x21.
        if self.peek().is_none_or(|b| b > b' ') {
            return false;
        }
        let start = self.pos;
        self.pos = end_of_space(self.bytes(), start);
        self.pos != start
    }

    #[inline(always)]
    fn text_from(&self, start: usize, end: usize) -> &'a str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The rest of a string after its opening quote, closing quote included.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Checked<Text<'a>> {
        let start = self.pos;
        let end = swar::find(self.bytes(), start, swar::escaped);
        if self.bytes().get(end) == Some(&b'"') {
            self.pos = end + 1;
            return Ok(Text::from_scan(self.text_from(start, end), Form::PlainWire));
        }
        let (form, end) = long_string(self.bytes(), end)?;
        self.pos = end + 1;
        Ok(Text::from_scan(self.text_from(start, end), form))
    }

    /// A number, `NaN` and infinities included.
    #[inline]
    pub(crate) fn number(&mut self) -> Checked<Literal<'a>> {
        let start = self.pos;
        let (end, wire) = numeral::check(self.bytes(), start)?;
        self.pos = end;
        Ok(Literal { text: self.text_from(start, end), wire })
    }

    /// An integer of at most 18 digits that ends before a comma or bracket; nothing is taken for anything else.
    #[inline]
    pub(crate) fn small_int(&mut self) -> Option<i64> {
        let negative = self.peek() == Some(b'-');
        let digits = self.bytes().get(self.pos + usize::from(negative)..)?;
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
    #[inline]
    pub(crate) fn value(&mut self) -> Checked<Value<'a>> {
        let start = self.pos;
        let mut known = Known::ALL;
        match self.peek().ok_or(BAD)? {
            b'{' if self.eat(b"{}") => {}
            b'[' if self.eat(b"[]") => {}
            open @ (b'{' | b'[') => {
                let flat = if open == b'{' { flat::object(self.bytes(), start) } else { None };
                let (end, checked) = flat.map_or_else(|| nested(*self), |end| (end, Ok(known)));
                self.pos = end;
                known = checked?;
            }
            _ => known.wire = self.scalar()?,
        }
        Ok(Value::from_parts(Repr::Json(self.text_from(start, self.pos)), known))
    }

    /// Any value, checked to its end; quick for values as [`spaced`] has them.
    #[inline]
    pub(crate) fn spaced_value(&mut self) -> Checked<Value<'a>> {
        let start = self.pos;
        let Some((end, sorted)) = spaced::value(self.bytes(), start) else { return self.value() };
        self.pos = end;
        let text = self.text_from(start, end);
        let wire = text.len() == 2 || !text.starts_with(['{', '[']);
        Ok(Value::from_parts(Repr::Json(text), Known { wire, unique: sorted, spaced: true, sorted }))
    }

    /// A value that is no container; whether the reference would write it like this.
    #[inline(always)]
    fn scalar(&mut self) -> Checked<bool> {
        match self.peek().ok_or(BAD)? {
            b'"' => {
                self.pos += 1;
                Ok(self.string()?.wire().is_some())
            }
            b't' if self.eat(b"true") => Ok(true),
            b'f' if self.eat(b"false") => Ok(true),
            b'n' if self.eat(b"null") => Ok(true),
            _ => {
                let (end, wire) = numeral::check(self.bytes(), self.pos)?;
                self.pos = end;
                Ok(wire)
            }
        }
    }

    /// A key and its colon.
    #[inline(always)]
    fn key(&mut self, known: &mut Known, keys: &mut KeyFilter, depth: usize) -> Checked<()> {
        if !self.eat(b"\"") {
            return Err(BAD);
        }
        let start = self.pos;
        match self.string()?.wire() {
            Some(_) => known.unique &= keys.insert(self.bytes(), start, self.pos - 1, depth),
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

/// A container with all that is in it: where reading ended, and what is known about it.
#[inline(never)]
pub(super) fn nested(mut s: Scanner<'_>) -> (usize, Checked<Known>) {
    let checked = container(&mut s);
    (s.pos, checked)
}

#[inline(always)]
fn container(s: &mut Scanner<'_>) -> Checked<Known> {
    let mut known = Known::ALL;
    let mut nesting = Nesting { top: 0, below: heapless::Vec::new(), depth: 0 };
    let mut keys = KeyFilter::new();
    loop {
        // At a value.
        let mut ended = true;
        match s.peek().ok_or(BAD)? {
            open @ (b'{' | b'[') => {
                let object = open == b'{';
                s.pos += 1;
                nesting.push(object)?;
                known.wire &= !s.space();
                if s.peek() == Some(if object { b'}' } else { b']' }) {
                    s.pos += 1;
                    nesting.pop();
                } else {
                    ended = false;
                    if object {
                        keys.open(nesting.depth);
                        s.key(&mut known, &mut keys, nesting.depth)?;
                    }
                }
            }
            _ => known.wire &= s.scalar()?,
        }
        while ended {
            if nesting.depth == 0 {
                known.wire &= known.unique;
                return Ok(known);
            }
            known.wire &= !s.space();
            let object = nesting.in_object();
            match s.peek().ok_or(BAD)? {
                b',' => {
                    s.pos += 1;
                    known.wire &= !s.space();
                    if object {
                        s.key(&mut known, &mut keys, nesting.depth)?;
                    }
                    ended = false;
                }
                b'}' if object => {
                    s.pos += 1;
                    nesting.pop();
                }
                b']' if !object => {
                    s.pos += 1;
                    nesting.pop();
                }
                _ => return Err(BAD),
            }
        }
    }
}

#[inline(never)]
fn end_of_space(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(pos) {
        pos += 1;
    }
    pos
}

/// A string with something in it that is not printable ASCII; `pos` is the first such byte. Where its closing quote is.
#[inline(never)]
pub(super) fn long_string(bytes: &[u8], mut pos: usize) -> Checked<(Form, usize)> {
    let (mut escapes, mut wire) = (false, true);
    loop {
        match bytes.get(pos).ok_or(BAD)? {
            b'"' => break,
            b'\\' => {
                escapes = true;
                let (end, as_reference) = escape(bytes, pos)?;
                pos = end;
                wire &= as_reference;
            }
            0..0x20 => return Err(BAD),
            0x7f.. => {
                wire = false;
                pos += 1;
            }
            _ => {}
        }
        pos = if wire { swar::find(bytes, pos, swar::escaped) } else { swar::find(bytes, pos, swar::special) };
    }
    let form = match (escapes, wire) {
        (true, true) => Form::EscapedWire,
        (true, false) => Form::Escaped,
        (false, true) => Form::PlainWire,
        (false, false) => Form::Plain,
    };
    Ok((form, pos))
}

/// An escape from its backslash on: where it ends, and whether the reference would write it like this.
fn escape(bytes: &[u8], pos: usize) -> Checked<(usize, bool)> {
    match bytes.get(pos + 1).ok_or(BAD)? {
        b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => return Ok((pos + 2, true)),
        b'/' => return Ok((pos + 2, false)),
        b'u' => {}
        _ => return Err(BAD),
    }
    let digits = bytes.get(pos + 2..).and_then(|rest| rest.first_chunk::<4>()).ok_or(BAD)?;
    let unit = digits.iter().try_fold(0_u16, |unit, b| Some(unit << 4 | u16::from(hex::digit(*b)?))).ok_or(BAD)?;
    let lower = !digits.iter().any(u8::is_ascii_uppercase);
    Ok((pos + 6, lower && matches!(unit, 0..8 | 0xb | 0xe..0x20 | 0x7f..)))
}
