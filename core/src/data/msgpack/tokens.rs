//! A checked msgpack value as a sequence of tokens.

use super::super::{Number, Text, ValueToken};
use super::check::{self, MAX_DEPTH};
use super::item::{Item, Reader};

/// Pull iterator over a checked value. Containers in msgpack have no end mark, so it keeps one count for each open one:
/// 2 KiB, no heap, no recursion.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'a> {
    reader: Reader<'a>,
    /// Items still to come in the open containers around the current one, keys and values counted apart.
    outer: [u16; MAX_DEPTH],
    /// Which of them are maps.
    outer_maps: [u64; MAX_DEPTH.div_ceil(64)],
    depth: usize,
    items: u16,
    is_map: bool,
}

impl<'a> Tokens<'a> {
    /// Over the one value that `bytes` holds.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(bytes),
            outer: [0; MAX_DEPTH],
            outer_maps: [0; MAX_DEPTH.div_ceil(64)],
            depth: 0,
            items: 1,
            is_map: false,
        }
    }

    fn leave(&mut self) -> Option<ValueToken<'a>> {
        let outer = self.depth.checked_sub(1)?;
        let end = if self.is_map { ValueToken::ObjectEnd } else { ValueToken::ArrayEnd };
        self.items = *self.outer.get(outer)?;
        self.is_map = *self.outer_maps.get(outer / 64)? >> (outer % 64) & 1 == 1;
        self.depth = outer;
        Some(end)
    }

    fn enter(&mut self, n: u32, is_map: bool) -> Option<ValueToken<'a>> {
        let items = check::elements(n, is_map, &self.reader).ok()?;
        *self.outer.get_mut(self.depth)? = self.items;
        let maps = self.outer_maps.get_mut(self.depth / 64)?;
        *maps = *maps & !(1 << (self.depth % 64)) | u64::from(self.is_map) << (self.depth % 64);
        self.depth += 1;
        (self.items, self.is_map) = (items, is_map);
        Some(if is_map { ValueToken::ObjectStart } else { ValueToken::ArrayStart })
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = ValueToken<'a>;

    fn next(&mut self) -> Option<ValueToken<'a>> {
        if self.items == 0 {
            return self.leave();
        }
        let is_key = self.is_map && self.items & 1 == 0;
        self.items -= 1;
        let item = self.reader.item().ok()?;
        Some(match item {
            Item::Nil => ValueToken::Null,
            Item::Bool(b) => ValueToken::Bool(b),
            Item::Int(n) => ValueToken::Number(Number::Int(n)),
            Item::Uint(n) => ValueToken::Number(Number::Uint(n)),
            Item::Float(n) => ValueToken::Number(Number::Float(n)),
            Item::Str(text) => {
                let text = Text::new(core::str::from_utf8(text).ok()?);
                if is_key { ValueToken::Key(text) } else { ValueToken::Str(text) }
            }
            Item::Bin(bytes) if is_key => ValueToken::KeyBytes(bytes),
            Item::Bin(bytes) => ValueToken::Bytes(bytes),
            Item::Ext(code, body) => ValueToken::Ext(code, body),
            Item::Array(n) => return self.enter(n, false),
            Item::Map(n) => return self.enter(n, true),
        })
    }
}
