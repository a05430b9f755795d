//! Puts the members of objects in order while passing once over a value as [`spaced`](super::spaced) has them.
//!
//! "No" means "not like that" and says nothing else: `spaced` then does it level by level.

use core::cmp::Ordering;

use super::super::sink::{Full, Sink};
use super::spaced::{head, key, string};
use super::swar;

/// Nesting that is followed.
const LEVELS: usize = 16;
/// Members and elements in objects that are not in order, and around them.
const PARTS: usize = 96;
/// No part.
const NONE: u8 = u8::MAX;

/// A member of an object, or an element of an array.
#[derive(Clone, Copy)]
struct Part {
    /// The first eight bytes of the key.
    head: u64,
    /// Of the key's opening quote, or of the element.
    start: u32,
    key_end: u32,
    value: u32,
    end: u32,
    /// Where something in it has to be put in order: the first part in it.
    child: u8,
    /// The part that comes after it in the same container.
    next: u8,
}

/// A container that is open.
struct Frame {
    /// As a part of the container around it.
    part: Part,
    object: bool,
    /// How many parts there were before it.
    base: usize,
    first: u8,
    last: u8,
    in_order: bool,
}

type Parts = heapless::Vec<Part, PARTS>;

/// Write a container that is not empty; whether it could be done.
#[inline(never)]
pub(super) fn write(text: &str, sink: &mut impl Sink) -> Result<bool, Full> {
    let mut parts = Parts::new();
    match scan(text.as_bytes(), &mut parts) {
        Some(first) => put(text.as_bytes(), &parts, first, sink).map(|()| true),
        None => Ok(false),
    }
}

/// Find what has to be put in order; the first part of the outermost container.
// No text is longer than 4 GiB, and there are fewer parts than a byte can count.
#[allow(clippy::cast_possible_truncation)]
#[inline(always)]
fn scan(bytes: &[u8], parts: &mut Parts) -> Option<u8> {
    let whole = Part { head: 0, start: 0, key_end: 0, value: 0, end: bytes.len() as u32, child: NONE, next: NONE };
    let open = |part: Part, base: usize| Frame {
        part,
        object: bytes.get(part.value as usize) == Some(&b'{'),
        base,
        first: NONE,
        last: NONE,
        in_order: true,
    };
    let mut around = heapless::Vec::<Frame, LEVELS>::new();
    let mut frame = open(whole, 0);
    let mut pos = 1;
    loop {
        // At a member or an element.
        let mut part = Part { start: pos as u32, value: pos as u32, ..whole };
        if frame.object {
            let (key, plain, value) = key(bytes, pos)?;
            if !plain {
                return None;
            }
            (part.head, part.key_end, part.value) = (head(bytes, pos, key), (pos + 1 + key.len()) as u32, value as u32);
            pos = value;
        }
        match bytes.get(pos)? {
            b'"' => pos = string(bytes, pos + 1)?.0 + 1,
            open_bracket @ (b'{' | b'[') => {
                if bytes.get(pos + 1) == Some(&(open_bracket + 2)) {
                    pos += 2;
                } else {
                    around.push(core::mem::replace(&mut frame, open(part, parts.len()))).ok()?;
                    pos += 1;
                    continue;
                }
            }
            // A number or a word.
            _ => pos = swar::find(bytes, pos, swar::closing),
        }
        // Behind it.
        loop {
            part.end = pos as u32;
            add(&mut frame, part, parts, bytes)?;
            if bytes.get(pos)? == &b',' {
                pos += 2;
                break;
            }
            pos += 1;
            if frame.in_order {
                // It goes in one piece.
                parts.truncate(frame.base);
                frame.first = NONE;
            }
            let Some(parent) = around.pop() else { return Some(frame.first) };
            part = Part { child: frame.first, ..frame.part };
            frame = parent;
        }
    }
}

/// Put a part in its place among the others of its container; `None`: too many, or one of them has the same key.
#[allow(clippy::cast_possible_truncation)]
#[inline(always)]
fn add(frame: &mut Frame, mut part: Part, parts: &mut Parts, bytes: &[u8]) -> Option<()> {
    let this = parts.len() as u8;
    frame.in_order &= part.child == NONE;
    let mut before = frame.last;
    if frame.object
        && let Some(last) = parts.get(usize::from(before))
        && compare(last, &part, bytes)? == Ordering::Greater
    {
        frame.in_order = false;
        (before, part.next) = (NONE, frame.first);
        while let Some(other) = parts.get(usize::from(part.next))
            && compare(other, &part, bytes)? == Ordering::Less
        {
            (before, part.next) = (part.next, other.next);
        }
    } else {
        frame.last = this;
    }
    match parts.get_mut(usize::from(before)) {
        Some(before) => before.next = this,
        None => frame.first = this,
    }
    parts.push(part).ok()
}

/// The order of two keys; `None`: they are the same.
#[inline(always)]
fn compare(a: &Part, b: &Part, bytes: &[u8]) -> Option<Ordering> {
    let key = |part: &Part| bytes.get(part.start as usize + 1..part.key_end as usize).unwrap_or_default();
    match a.head.cmp(&b.head) {
        Ordering::Equal => Some(key(a).cmp(key(b))).filter(|order| order.is_ne()),
        order => Some(order),
    }
}

/// Write the parts in their order, in as few pieces as there can be.
#[inline(always)]
fn put(bytes: &[u8], parts: &Parts, first: u8, sink: &mut impl Sink) -> Result<(), Full> {
    let piece = |from: u32, to: u32| bytes.get(from as usize..to as usize).unwrap_or_default();
    let mut around = heapless::Vec::<(u8, u32), LEVELS>::new();
    let mut close = u32::try_from(bytes.len()).unwrap_or(u32::MAX).saturating_sub(1);
    // What is to be written next, and whether a part stands before the next one.
    let (mut from, mut to, mut at, mut more) = (0, 1, first, false);
    loop {
        if let Some(part) = parts.get(usize::from(at)) {
            if part.start != to + if more { 2 } else { 0 } {
                sink.put(piece(from, to))?;
                if more {
                    sink.put(b", ")?;
                }
                from = part.start;
            }
            if part.child == NONE {
                (to, at, more) = (part.end, part.next, true);
            } else {
                // There are no more levels than there were.
                let _ = around.push((part.next, close));
                (to, at, close, more) = (part.value + 1, part.child, part.end - 1, false);
            }
        } else {
            if to != close {
                sink.put(piece(from, to))?;
                from = close;
            }
            to = close + 1;
            let Some((next, outer)) = around.pop() else { return sink.put(piece(from, to)) };
            (at, close, more) = (next, outer, true);
        }
    }
}
