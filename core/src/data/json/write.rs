//! Writes JSON text as Python's `json.dumps` does.

use super::super::canonical::{Member, Order, Separators, Style};
use super::super::error::{EncodeError, Unrepresentable};
use super::super::hex;
use super::super::sink::{Full, Sink};
use super::super::text::Text;
use super::super::value::{MAX_DEPTH, Value, ValueToken};
use super::super::walk::Walk;
use super::{spaced, swar};

/// Write a value in any style.
pub(crate) fn write_value(value: Value<'_>, sink: &mut impl Sink, style: Style) -> Result<(), EncodeError> {
    if let Some(text) = value.json_wire()
        && (style == Style::WIRE || !text.starts_with(['{', '[']) || text.len() == 2)
    {
        return Ok(sink.put(text.as_bytes())?);
    }
    if let Some((text, known)) = value.json_spaced()
        && style.separators == Separators::Spaced
    {
        match style.order {
            _ if known.sorted => return Ok(sink.put(text.as_bytes())?),
            Order::AsWritten if known.unique || spaced::unique(text) => return Ok(sink.put(text.as_bytes())?),
            Order::AsWritten => {}
            Order::ByKey => return spaced::write_sorted(text, sink),
        }
    }
    let mut out = Layout::new(sink, style.separators);
    if style.order == Order::AsWritten && value.known().unique {
        return value.tokens().try_for_each(|token| out.token(token));
    }
    Walk::new(value, style.order).try_for_each(|event| out.token(event?.token()))
}

/// Write an object from its members.
pub(crate) fn write_object(
    sink: &mut impl Sink,
    members: &[(&str, Member<'_>)],
    style: Style,
) -> Result<(), EncodeError> {
    let (comma, colon) = marks(style.separators);
    // The order of UTF-8 bytes is the order of code points.
    let as_given = style.order == Order::AsWritten || members.is_sorted_by(|a, b| a.0 < b.0);
    sink.put(b"{")?;
    let mut last: Option<&str> = None;
    for given in members {
        let next = match last {
            _ if as_given => Some(given),
            None => members.iter().min_by_key(|member| member.0),
            Some(last) => members.iter().filter(|member| member.0 > last).min_by_key(|member| member.0),
        };
        let Some((key, member)) = next else { break };
        if last.is_some() {
            sink.put(comma)?;
        }
        last = Some(key);
        string(Text::new(key), sink)?;
        sink.put(colon)?;
        write_member(*member, sink, style)?;
    }
    Ok(sink.put(b"}")?)
}

fn write_member(member: Member<'_>, sink: &mut impl Sink, style: Style) -> Result<(), EncodeError> {
    match member {
        Member::Null => sink.put(b"null")?,
        Member::Bool(b) => sink.put(word(b))?,
        Member::Number(number) => number.write(sink)?,
        Member::Text(text) => string(text, sink)?,
        Member::Value(value) => write_value(value, sink, style)?,
    }
    Ok(())
}

const fn word(b: bool) -> &'static [u8] {
    if b { b"true" } else { b"false" }
}

const fn marks(separators: Separators) -> (&'static [u8], &'static [u8]) {
    match separators {
        Separators::Compact => (b",", b":"),
        Separators::Spaced => (b", ", b": "),
    }
}

/// Puts separators between the tokens of one value.
struct Layout<'s, S> {
    sink: &'s mut S,
    comma: &'static [u8],
    colon: &'static [u8],
    depth: usize,
    /// Something stands before the next token in the same container.
    next: bool,
}

impl<'s, S: Sink> Layout<'s, S> {
    const fn new(sink: &'s mut S, separators: Separators) -> Self {
        let (comma, colon) = marks(separators);
        Self { sink, comma, colon, depth: 0, next: false }
    }

    fn token(&mut self, token: ValueToken<'_>) -> Result<(), EncodeError> {
        if let ValueToken::ArrayEnd | ValueToken::ObjectEnd = token {
            self.depth = self.depth.saturating_sub(1);
            self.next = true;
            return Ok(self.sink.put(if token == ValueToken::ArrayEnd { b"]" } else { b"}" })?);
        }
        if self.next {
            self.sink.put(self.comma)?;
        }
        self.next = true;
        match token {
            ValueToken::Null => self.sink.put(b"null")?,
            ValueToken::Bool(b) => self.sink.put(word(b))?,
            ValueToken::Number(number) => number.write(self.sink)?,
            ValueToken::Str(text) => string(text, self.sink)?,
            ValueToken::Key(text) => {
                string(text, self.sink)?;
                self.sink.put(self.colon)?;
                self.next = false;
            }
            ValueToken::ArrayStart => self.open(b"[")?,
            ValueToken::ObjectStart => self.open(b"{")?,
            ValueToken::Bytes(_) | ValueToken::KeyBytes(_) => {
                return Err(EncodeError::Unrepresentable(Unrepresentable::Bytes));
            }
            ValueToken::Ext(..) => return Err(EncodeError::Unrepresentable(Unrepresentable::Extension)),
            ValueToken::ArrayEnd | ValueToken::ObjectEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, bracket: &[u8]) -> Result<(), EncodeError> {
        if self.depth == MAX_DEPTH {
            return Err(EncodeError::TooDeep);
        }
        self.depth += 1;
        self.next = false;
        Ok(self.sink.put(bracket)?)
    }
}

/// Write a text with its quotes.
#[inline]
pub(crate) fn string(text: Text<'_>, sink: &mut impl Sink) -> Result<(), Full> {
    sink.put(b"\"")?;
    inside(text, sink)?;
    sink.put(b"\"")
}

/// Write what stands between the quotes of a text.
#[inline]
pub(crate) fn inside(text: Text<'_>, sink: &mut impl Sink) -> Result<(), Full> {
    match (text.wire(), text.as_str()) {
        (Some(wire), _) => sink.put(wire.as_bytes()),
        (None, Some(plain)) => escape(plain, sink),
        (None, None) => text.chars().try_for_each(|c| match c {
            Ok(c) => escape_char(c, sink),
            Err(unit) => unicode(unit, sink),
        }),
    }
}

/// Write a plain text, run by run.
fn escape(plain: &str, sink: &mut impl Sink) -> Result<(), Full> {
    let mut rest = plain;
    loop {
        let end = swar::find(rest.as_bytes(), 0, swar::escaped);
        // What stops a run is ASCII or the first byte of a character.
        let Some((run, tail)) = rest.split_at_checked(end) else { return Ok(()) };
        sink.put(run.as_bytes())?;
        let mut chars = tail.chars();
        let Some(c) = chars.next() else { return Ok(()) };
        escape_char(c, sink)?;
        rest = chars.as_str();
    }
}

fn escape_char(c: char, sink: &mut impl Sink) -> Result<(), Full> {
    match c {
        '"' => sink.put(b"\\\""),
        '\\' => sink.put(b"\\\\"),
        '\n' => sink.put(b"\\n"),
        '\r' => sink.put(b"\\r"),
        '\t' => sink.put(b"\\t"),
        '\u{8}' => sink.put(b"\\b"),
        '\u{c}' => sink.put(b"\\f"),
        ' '..='~' => sink.put(c.encode_utf8(&mut [0; 4]).as_bytes()),
        _ => c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| unicode(*unit, sink)),
    }
}

fn unicode(unit: u16, sink: &mut impl Sink) -> Result<(), Full> {
    let [high, low] = unit.to_be_bytes();
    let ([a, b], [c, d]) = (hex::pair(high), hex::pair(low));
    sink.put(&[b'\\', b'u', a, b, c, d])
}
