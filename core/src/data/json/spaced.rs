//! Values as Python's `json.dumps` writes them when nobody asks for anything else: `, ` between members, `: ` behind keys.
//! So are tokens written, and hashed.
//!
//! `None` means "not like that" and says nothing else: the [scanner](super::scan) then starts over and decides.

use core::cmp::Ordering;

use super::super::error::EncodeError;
use super::super::number::Number;
use super::super::sink::{Sink, SliceSink};
use super::super::text::{Form, Text};
use super::super::value::{Known, Repr, Value};
use super::keys::KeyFilter;
use super::read::end_of_string;
use super::{flat, numeral, scan, sorted, swar};

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
    // The key before, at every level: its first eight bytes, which mostly tell, and all of it.
    let mut keys: [(u64, &[u8]); LEVELS] = [(0, &[]); LEVELS];
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
                    *keys.get_mut(depth - 1)? = (head(bytes, pos, key), key);
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
                        let this = (head(bytes, pos, key), key);
                        sorted &= plain && (before.0 < this.0 || before.0 == this.0 && before.1 < this.1);
                        *before = this;
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

/// The first eight bytes of the key whose quote is at `at`, so that comparing them as a number is comparing them as text.
#[inline(always)]
pub(super) fn head(bytes: &[u8], at: usize, key: &[u8]) -> u64 {
    swar::prefix(bytes, at + 1, at + 1 + key.len()).swap_bytes()
}

/// The key that begins with the quote at `at`, whether its bytes sort as its characters do, and where its value begins.
#[inline(always)]
pub(super) fn key(bytes: &[u8], at: usize) -> Option<(&[u8], bool, usize)> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let (end, plain) = string(bytes, at + 1)?;
    let colon = bytes.get(end + 1..end + 3)? == b": ";
    colon.then_some((bytes.get(at + 1..end)?, plain, end + 3))
}

/// The closing quote of the string whose content begins at `at`, and whether there are no escapes in it.
#[inline(always)]
pub(super) fn string(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
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

/// A member of an object that is to be put in order, or an element of an array.
#[derive(Clone, Copy)]
struct Part {
    /// The first eight bytes of the key, so that comparing them as a number is comparing them as text.
    head: u64,
    /// Of the key's opening quote, or of the element.
    start: u32,
    key_end: u32,
    value: u32,
    end: u32,
    /// There are no escapes in the key.
    plain: bool,
    sorted: bool,
}

/// What is yet to be written, last first.
#[derive(Clone, Copy)]
enum Piece {
    Verbatim(u32, u32),
    Comma,
    /// A container in which something has to be put in order.
    Container(u32, u32),
}

type Parts = heapless::Vec<Part, MEMBERS>;
type Pieces = heapless::Vec<Piece, PIECES>;

/// Write a container of this form with the members of every object in order.
#[inline]
pub(super) fn write_sorted(text: &str, sink: &mut impl Sink) -> Result<(), EncodeError> {
    if sorted::write(text, sink)? { Ok(()) } else { write_by_level(text, sink) }
}

/// The same, however many members there are.
#[inline(never)]
fn write_by_level(text: &str, sink: &mut impl Sink) -> Result<(), EncodeError> {
    let bytes = text.as_bytes();
    let range = |start: u32, end: u32| bytes.get(start as usize..end as usize).unwrap_or_default();
    let (mut pieces, mut parts) = (Pieces::new(), Parts::new());
    // A text of more than 4 GiB is none.
    let mut next = Some(Piece::Container(0, u32::try_from(text.len()).unwrap_or(u32::MAX)));
    while let Some(piece) = next {
        match piece {
            Piece::Verbatim(start, end) => sink.put(range(start, end))?,
            Piece::Comma => sink.put(b", ")?,
            Piece::Container(start, end) => match in_order(bytes, start, end, &mut parts) {
                Some(true) => {
                    sink.put(range(start, start + 1))?;
                    // What stands in order already goes in one piece.
                    let mut run: Option<(u32, u32)> = None;
                    for part in &parts {
                        run = match run {
                            Some((from, to)) if part.start == to + 2 => Some((from, part.end)),
                            Some((from, to)) => {
                                sink.put(range(from, to))?;
                                sink.put(b", ")?;
                                Some((part.start, part.end))
                            }
                            None => Some((part.start, part.end)),
                        };
                    }
                    let (from, to) = run.unwrap_or_default();
                    sink.put(range(from, to))?;
                    sink.put(range(end - 1, end))?;
                }
                ordered => {
                    let room = pieces.len();
                    if ordered.and_then(|_| spread(&parts, start, end, &mut pieces)).is_none() {
                        // More members than there is room for, or one that comes twice.
                        pieces.truncate(room);
                        let text = text.get(start as usize..end as usize).unwrap_or_default();
                        let value = Value::from_parts(Repr::Json(text), Known::NOTHING);
                        super::write_value(
                            value,
                            sink,
                            super::super::Style::canonical(super::super::Separators::Spaced),
                        )?;
                    }
                }
            },
        }
        next = pieces.pop();
    }
    Ok(())
}

/// Find the members of an object and put them in the order of their keys, or the elements of an array; whether each is in
/// order in itself. `None`: too many, or a key comes twice.
#[inline(never)]
fn in_order(bytes: &[u8], start: u32, end: u32, parts: &mut Parts) -> Option<bool> {
    parts.clear();
    let object = bytes.get(start as usize) == Some(&b'{');
    let mut all_sorted = true;
    let mut pos = start as usize + 1;
    while pos < end as usize {
        let (len, plain, at) = if object {
            let (key, plain, at) = key(bytes, pos)?;
            (key.len(), plain, at)
        } else {
            (0, true, pos)
        };
        let (after, sorted) = skip(bytes, at)?;
        let key_end = pos + 1 + len;
        let head = if object { swar::prefix(bytes, pos + 1, key_end).swap_bytes() } else { 0 };
        // No text is longer than 4 GiB.
        #[allow(clippy::cast_possible_truncation)]
        let part = Part {
            head,
            start: pos as u32,
            key_end: key_end as u32,
            value: at as u32,
            end: after as u32,
            plain,
            sorted,
        };
        parts.push(part).ok()?;
        if object {
            sink_in(parts, bytes)?;
        }
        all_sorted &= sorted;
        pos = after + 2;
    }
    Some(all_sorted)
}

/// Where a value ends that is known to be of this form, and whether it is in order.
#[inline(always)]
fn skip(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    match bytes.get(at)? {
        b'"' => string(bytes, at + 1).map(|(end, _)| (end + 1, true)),
        b'{' | b'[' => nested(bytes, at),
        _ => {
            let rest = bytes.get(at..)?;
            let len = rest.iter().position(|b| matches!(b, b',' | b'}' | b']'))?;
            Some((at + len, true))
        }
    }
}

/// Let the last part sink to its place among the others, which are in order; `None`: one of them has the same key.
#[inline(always)]
fn sink_in(parts: &mut Parts, bytes: &[u8]) -> Option<()> {
    let mut at = parts.len().checked_sub(1)?;
    while at > 0 {
        let two = parts.get_mut(at - 1..=at)?;
        let [before, part] = two else { return None };
        match compare(part, before, bytes) {
            Ordering::Greater => break,
            Ordering::Equal => return None,
            Ordering::Less => core::mem::swap(before, part),
        }
        at -= 1;
    }
    Some(())
}

#[inline(always)]
fn compare(a: &Part, b: &Part, bytes: &[u8]) -> Ordering {
    let key = |part: &Part| bytes.get(part.start as usize + 1..part.key_end as usize).unwrap_or_default();
    if a.plain && b.plain {
        return a.head.cmp(&b.head).then_with(|| key(a).cmp(key(b)));
    }
    let text = |raw| Text::from_scan(core::str::from_utf8(raw).unwrap_or_default(), Form::EscapedWire);
    text(key(a)).cmp(&text(key(b)))
}

/// Push what a container is made of.
fn spread(parts: &Parts, start: u32, end: u32, pieces: &mut Pieces) -> Option<()> {
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

/// Whether no object in a value of this form has a key twice; `false` is "not known".
#[inline(never)]
pub(in super::super) fn unique(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut keys = KeyFilter::new();
    let (mut depth, mut pos) = (0_usize, 0);
    while let Some(b) = bytes.get(pos) {
        pos += 1;
        match b {
            b'{' => {
                depth += 1;
                keys.open(depth);
            }
            b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let Some(end) = end_of_string(bytes, pos) else { return false };
                if bytes.get(end) == Some(&b':') && !keys.insert(bytes, pos, end - 1, depth) {
                    return false;
                }
                pos = end;
            }
            _ => {}
        }
    }
    true
}
