//! Walks over one msgpack value without building anything and says whether the reference would take it.

use super::super::ParseError;
use super::super::json::KeyFilter;
use super::super::value::Known;
use super::item::{Item, Reader};
use super::shortest::{is_shortest, timestamp};

/// Deepest nesting below the top-level map (msgpack-python 1.2.4 holds 1,024 levels in all).
pub(super) const MAX_DEPTH: usize = 1023;
/// Levels that are followed without the big stack.
const SHALLOW: usize = 16;

/// Step over one value, checking all of it, and say what is known about it.
///
/// # Errors
/// What the reference would refuse: see the variants of [`ParseError`].
#[inline]
pub(super) fn value(reader: &mut Reader<'_>) -> Result<Known, ParseError> {
    match reader.peek() {
        // Nil and empty containers are what most free members are.
        Some(0x80 | 0x90 | 0xc0) => {
            reader.byte()?;
            Ok(Known::ALL)
        }
        _ => walk(reader),
    }
}

fn walk(reader: &mut Reader<'_>) -> Result<Known, ParseError> {
    let start = *reader;
    if let Some(known) = Checker::<SHALLOW>::new().run(reader)? {
        return Ok(known);
    }
    *reader = start;
    Checker::<MAX_DEPTH>::new().run(reader)?.ok_or(ParseError::TooDeep)
}

/// An open container: what is still to come, keys and values counted apart.
#[derive(Clone, Copy)]
struct Level {
    left: u16,
    is_map: bool,
}

struct Checker<const N: usize> {
    /// The containers around the current one.
    outer: [Level; N],
    depth: usize,
    keys: KeyFilter,
    shortest: bool,
    unique: bool,
}

impl<const N: usize> Checker<N> {
    const fn new() -> Self {
        let outer = [Level { left: 0, is_map: false }; N];
        Self { outer, depth: 0, keys: KeyFilter::new(), shortest: true, unique: true }
    }

    /// `None` when the value is deeper than `N`.
    #[inline]
    fn run(&mut self, reader: &mut Reader<'_>) -> Result<Option<Known>, ParseError> {
        let mut level = Level { left: 1, is_map: false };
        loop {
            while level.left == 0 {
                let Some(outer) = self.depth.checked_sub(1) else {
                    return Ok(Some(Known {
                        wire: self.shortest && self.unique,
                        unique: self.unique,
                        ..Known::NOTHING
                    }));
                };
                level = self.outer.get(outer).copied().unwrap_or(level);
                self.depth = outer;
            }
            let is_key = level.is_map && level.left & 1 == 0;
            level.left -= 1;
            if !is_key && reader.eat_scalar() {
                continue;
            }
            let before = reader.rest();
            let item = reader.item()?;
            self.shortest &= is_shortest(before, reader.rest().len(), item);
            match item {
                Item::Str(text) => {
                    utf8(text)?;
                    if is_key {
                        self.unique &= self.keys.insert(text, 0, text.len(), self.depth);
                    }
                }
                // May be taken for the text of the same bytes: then it only looks as if a key came twice.
                Item::Bin(bytes) if is_key => self.unique &= self.keys.insert(bytes, 0, bytes.len(), self.depth),
                _ if is_key => return Err(ParseError::MsgpackMapKey),
                Item::Ext(code, body) => check_ext(code, body)?,
                Item::Array(n) | Item::Map(n) => {
                    let is_map = matches!(item, Item::Map(_));
                    let left = elements(n, is_map, reader)?;
                    let Some(slot) = self.outer.get_mut(self.depth) else { return Ok(None) };
                    *slot = level;
                    self.depth += 1;
                    level = Level { left, is_map };
                    if is_map {
                        self.keys.open(self.depth);
                    }
                }
                _ => {}
            }
        }
    }
}

/// How many items a container announces, keys and values counted apart. Each takes at least one byte, so the input
/// bounds it, and no frame has more than 65,536 bytes.
#[inline]
pub(crate) fn elements(n: u32, is_map: bool, reader: &Reader<'_>) -> Result<u16, ParseError> {
    let items = if is_map { n.saturating_mul(2) } else { n };
    match u16::try_from(items) {
        Ok(items) if usize::from(items) <= reader.rest().len() => Ok(items),
        _ => Err(ParseError::MsgpackTruncated),
    }
}

#[inline]
pub(crate) fn utf8(text: &[u8]) -> Result<&str, ParseError> {
    core::str::from_utf8(text).map_err(|_| ParseError::BadUtf8)
}

/// Codes 0 to 127 carry anything; code -1 is a timestamp of 4, 8 or 12 bytes with less than 10⁹ nanoseconds.
fn check_ext(code: i8, body: &[u8]) -> Result<(), ParseError> {
    if code >= 0 {
        return Ok(());
    }
    match timestamp(code, body) {
        Some((_, 0..1_000_000_000)) => Ok(()),
        _ => Err(ParseError::MsgpackExt),
    }
}
