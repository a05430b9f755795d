//! Reads JSON text that was checked before.

use super::super::number::Number;
use super::super::value::{Count, Head, ValueToken};
use super::scan::Scanner;
use super::swar;

/// White space, commas and colons: what stands between values.
pub(crate) const fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | ',' | ':')
}

/// From `pos`, the first byte that is no separator.
#[inline]
fn skip_separators(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') = bytes.get(pos) {
        pos += 1;
    }
    pos
}

/// What begins at `pos` behind separators, and where to read on.
pub(crate) fn head(text: &str, pos: usize) -> Option<(Head<'_>, usize)> {
    let bytes = text.as_bytes();
    let pos = skip_separators(bytes, pos);
    Some(match bytes.get(pos)? {
        b'"' => {
            let mut scanner = Scanner::new(text, pos + 1);
            let string = scanner.string().ok()?;
            (Head::Str(string), scanner.pos())
        }
        b'{' => (Head::Object(Count::UntilEnd), pos + 1),
        b'[' => (Head::Array(Count::UntilEnd), pos + 1),
        b'}' | b']' => (Head::End, pos + 1),
        b't' => (Head::Bool(true), pos + 4),
        b'f' => (Head::Bool(false), pos + 5),
        b'n' => (Head::Null, pos + 4),
        _ => {
            let mut scanner = Scanner::new(text, pos);
            let literal = scanner.number().ok()?;
            (Head::Number(Number::from_json_literal(literal.text)), scanner.pos())
        }
    })
}

/// The position after the value that begins at `pos` behind separators.
pub(crate) fn end_of(text: &str, pos: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut pos = skip_separators(bytes, pos);
    let mut depth = 0_usize;
    loop {
        match bytes.get(pos)? {
            b'"' => pos = end_of_string(bytes, pos + 1)?,
            b'{' | b'[' => {
                depth += 1;
                pos += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                pos += 1;
            }
            b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => {
                pos += 1;
                continue;
            }
            _ => {
                // A number or a word ends before the next separator or bracket.
                let ends = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b'}' | b']');
                let rest = bytes.get(pos..)?;
                pos += rest.iter().position(ends).unwrap_or(rest.len());
            }
        }
        if depth == 0 {
            return Some(pos);
        }
    }
}

/// The position after the closing quote.
pub(super) fn end_of_string(bytes: &[u8], mut pos: usize) -> Option<usize> {
    loop {
        pos = swar::find(bytes, pos, swar::special);
        match bytes.get(pos)? {
            b'"' => return Some(pos + 1),
            b'\\' => pos += 2,
            _ => pos += 1,
        }
    }
}

/// The tokens of one checked JSON value.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'a> {
    text: &'a str,
    pos: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, pos: 0 }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = ValueToken<'a>;

    fn next(&mut self) -> Option<ValueToken<'a>> {
        let (head, after) = head(self.text, self.pos)?;
        self.pos = after;
        Some(match head {
            Head::Null => ValueToken::Null,
            Head::Bool(b) => ValueToken::Bool(b),
            Head::Number(n) => ValueToken::Number(n),
            Head::Bytes(b) => ValueToken::Bytes(b),
            Head::Ext(code, data) => ValueToken::Ext(code, data),
            Head::Array(_) => ValueToken::ArrayStart,
            Head::Object(_) => ValueToken::ObjectStart,
            Head::End if self.text.as_bytes().get(after - 1) == Some(&b'}') => ValueToken::ObjectEnd,
            Head::End => ValueToken::ArrayEnd,
            // In a checked value a colon comes after a key, and after nothing else.
            Head::Str(text) => {
                let bytes = self.text.as_bytes();
                let mut next = after;
                while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(next) {
                    next += 1;
                }
                if bytes.get(next) == Some(&b':') { ValueToken::Key(text) } else { ValueToken::Str(text) }
            }
        })
    }
}
