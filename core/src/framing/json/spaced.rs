//! Values as Python's `json.dumps` writes them when nobody asks for anything else: `, ` between members, `: ` behind keys.
//! So are tokens written, and hashed.
//!
//! `None` means "not like that" and says nothing else: the [scanner](super::scan) then starts over and decides.

use super::super::error::EncodeError;
use super::super::number::Number;
use super::super::sink::{Sink, SliceSink};
use super::super::text::Form;
use super::super::value::{Known, Repr, Value};
use super::{flat, numeral, scan, swar};

/// Nesting that is followed.
const LEVELS: usize = 16;
/// Members of one object that are put in order here.
const MEMBERS: usize = 24;
/// Pieces that wait to be written.
const PIECES: usize = 96;

/// Where the value that begins at `start` ends, and whether the members of every object in it are in the order of their
/// keys, none of them twice. Every number in it is finite.
#[inline]
pub(super) fn value(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    match bytes.get(start)? {
        b'{' | b'[' => nested(bytes, start),
        _ => scalar(bytes, start).map(|end| (end, true)),
    }
}

#[inline(never)]
fn nested(bytes: &[u8], start: usize) -> Option<(usize, bool)> {
    // The key before, at every level.
    let mut keys: [&[u8]; LEVELS] = [&[]; LEVELS];
    let (mut objects, mut depth, mut pos, mut sorted) = (0_u32, 0, start, true);
    loop {
        // At a value.
        let open = *bytes.get(pos)?;
        if let b'{' | b'[' = open {
            let object = open == b'{';
            if bytes.get(pos + 1) == Some(&(open + 2)) {
                pos += 2;
            } else if depth == LEVELS {
                return None;
            } else {
                objects = objects << 1 | u32::from(object);
                depth += 1;
                pos += 1;
                if object {
                    let (key, plain, after) = key(bytes, pos)?;
                    *keys.get_mut(depth - 1)? = key;
                    sorted &= plain;
                    pos = after;
                }
                continue;
            }
        } else {
            pos = scalar(bytes, pos)?;
        }
        // Behind a value.
        loop {
            if depth == 0 {
                return Some((pos, sorted));
            }
            let object = objects & 1 == 1;
            match bytes.get(pos)? {
                b',' if bytes.get(pos + 1) == Some(&b' ') => {
                    pos += 2;
                    if object {
                        let (key, plain, after) = key(bytes, pos)?;
                        let before = keys.get_mut(depth - 1)?;
                        sorted &= plain && *before < key;
                        *before = key;
                        pos = after;
                    }
                    break;
                }
                b'}' if object => {}
                b']' if !object => {}
                _ => return None,
            }
            pos += 1;
            depth -= 1;
            objects >>= 1;
        }
    }
}

/// The key that begins with the quote at `at`, whether its bytes sort as its characters do, and where its value begins.
#[inline(always)]
fn key(bytes: &[u8], at: usize) -> Option<(&[u8], bool, usize)> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let (end, plain) = string(bytes, at + 1)?;
    let colon = bytes.get(end + 1..end + 3)? == b": ";
    colon.then_some((bytes.get(at + 1..end)?, plain, end + 3))
}

/// The closing quote of the string whose content begins at `at`, and whether there are no escapes in it.
#[inline(always)]
fn string(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    let end = swar::find(bytes, at, swar::escaped);
    if bytes.get(end) == Some(&b'"') {
        return Some((end, true));
    }
    match scan::long_string(bytes, end).ok()? {
        (Form::PlainWire | Form::EscapedWire, end) => Some((end, false)),
        _ => None,
    }
}

/// Where the value that begins at `at` ends, if it is no container.
#[inline(always)]
fn scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    match rest.first()? {
        b'"' => string(bytes, at + 1).map(|(end, _)| end + 1),
        b't' => rest.starts_with(b"true").then_some(at + 4),
        b'f' => rest.starts_with(b"false").then_some(at + 5),
        b'n' => rest.starts_with(b"null").then_some(at + 4),
        _ => match flat::number(rest) {
            Some(len) => Some(at + len),
            None => long_number(bytes, at),
        },
    }
}

/// A number of any length that is finite and that the reference prints like this.
#[inline(never)]
fn long_number(bytes: &[u8], at: usize) -> Option<usize> {
    let (end, wire) = numeral::check(bytes, at).ok()?;
    let literal = core::str::from_utf8(bytes.get(at..end)?).ok()?;
    match Number::from_json_literal(literal) {
        Number::Float(x) if !x.is_finite() => None,
        number @ Number::Float(_) if !wire => {
            let mut printed = [0; 32];
            let mut sink = SliceSink::new(&mut printed);
            number.write(&mut sink).ok()?;
            (sink.written() == literal.as_bytes()).then_some(end)
        }
        _ => wire.then_some(end),
    }
}

/// A member of an object that is to be put in order.
#[derive(Clone, Copy)]
struct Part<'a> {
    /// Without quotes.
    key: &'a [u8],
    /// From the quote before the key to behind the value.
    start: usize,
    value: usize,
    end: usize,
    sorted: bool,
}

/// What is yet to be written, last first.
#[derive(Clone, Copy)]
enum Piece {
    Verbatim(usize, usize),
    Comma,
    /// A container in which something has to be put in order.
    Container(usize, usize),
}

/// Write a value of this form with the members of every object in order.
#[inline(never)]
pub(super) fn write_sorted(text: &str, sink: &mut impl Sink) -> Result<(), EncodeError> {
    let mut pieces: heapless::Vec<Piece, PIECES> = heapless::Vec::new();
    let _ = pieces.push(Piece::Container(0, text.len()));
    while let Some(piece) = pieces.pop() {
        match piece {
            Piece::Verbatim(start, end) => sink.put(text.as_bytes().get(start..end).unwrap_or_default())?,
            Piece::Comma => sink.put(b", ")?,
            Piece::Container(start, end) => {
                let room = pieces.len();
                if spread(text.as_bytes(), start, end, &mut pieces).is_none() {
                    // More members than there is room for, keys with escapes, or one that comes twice.
                    pieces.truncate(room);
                    let text = text.get(start..end).unwrap_or_default();
                    let value = Value::from_parts(Repr::Json(text), Known::NOTHING);
                    super::write_value(value, sink, super::Style::canonical(super::super::Separators::Spaced))?;
                }
            }
        }
    }
    Ok(())
}

/// Push what a container is made of.
fn spread(bytes: &[u8], start: usize, end: usize, pieces: &mut heapless::Vec<Piece, PIECES>) -> Option<()> {
    let object = bytes.get(start) == Some(&b'{');
    let mut parts: heapless::Vec<Part<'_>, MEMBERS> = heapless::Vec::new();
    let mut pos = start + 1;
    while pos < end {
        let (key, plain, at) = if object { key(bytes, pos)? } else { (&[][..], true, pos) };
        let (after, sorted) = value(bytes, at)?;
        if !plain {
            return None;
        }
        parts.push(Part { key, start: pos, value: at, end: after, sorted }).ok()?;
        pos = after + 2;
    }
    if object {
        parts.sort_unstable_by_key(|part| part.key);
        if parts.windows(2).any(|two| matches!(two, [a, b] if a.key == b.key)) {
            return None;
        }
    }
    pieces.push(Piece::Verbatim(end - 1, end)).ok()?;
    for (n, part) in parts.iter().enumerate().rev() {
        if part.sorted {
            pieces.push(Piece::Verbatim(part.start, part.end)).ok()?;
        } else {
            pieces.push(Piece::Container(part.value, part.end)).ok()?;
            if part.value > part.start {
                pieces.push(Piece::Verbatim(part.start, part.value)).ok()?;
            }
        }
        if n > 0 {
            pieces.push(Piece::Comma).ok()?;
        }
    }
    pieces.push(Piece::Verbatim(start, start + 1)).ok()
}
