//! The two packets in msgpack as the reference reads and writes them: a map with every member, in declared order, a trailing
//! one only where it is there.
//!
//! Nearly every frame is like that and has the types it should have: [`Declared`] reads those and nothing else. Any other
//! frame is read again by key, which is where the rules and the errors are.

use super::error::DecodeError;
use super::schema::packets;
use super::types::{Priority, Word};
use super::{Encoding, Frame, Message, Packet, Response};
use crate::data::msgpack::item::{Item, Reader};
use crate::data::msgpack::{check, transcode, value, write};
use crate::data::{EncodeError, Number, ParseError, Sink, Text, Value};

type Done = Result<(), EncodeError>;

/// A name of a member in its written form.
macro_rules! key {
    ($name:ident) => {
        const { &key::<{ 1 + stringify!($name).len() }>(stringify!($name)) }
    };
}

macro_rules! codec {
    ($(
        $(#[$meta:meta])* $packet:ident $title:literal { $($name:ident: $kind:ident $default:tt, $doc:literal;)+ }
    )+) => { $(
        impl<'a> $packet<'a> {
            /// Read the payload of a frame.
            #[inline]
            pub(super) fn read_msgpack(payload: &'a [u8]) -> Result<Frame<'a>, DecodeError> {
                match Self::read_declared_msgpack(payload) {
                    Some(frame) => Ok(frame),
                    None => {
                        let packet = Self::from_members(members(payload, &Self::NAMES)?)?;
                        Ok(Frame { encoding: Encoding::Msgpack, message: Message::$packet(packet) })
                    }
                }
            }

            #[inline]
            fn read_declared_msgpack(payload: &'a [u8]) -> Option<Frame<'a>> {
                let mut d = Declared::new(payload, const { count(Self::NAMES.len()) })?;
                $(let $name = d.$kind(key!($name))?;)+
                if !d.reader.rest().is_empty() {
                    return None;
                }
                let packet = Self { $($name: keep!($kind $name)),+ };
                Some(Frame { encoding: Encoding::Msgpack, message: Message::$packet(packet) })
            }

            /// Write the payload of a frame.
            pub(super) fn write_msgpack(&self, sink: &mut impl Sink) -> Done {
                let left_out = 0 $(+ left_out!($kind self.$name))+;
                write::map(sink, const { count(Self::NAMES.len()) as u32 } - left_out)?;
                $($kind(sink, key!($name), self.$name)?;)+
                Ok(())
            }
        }
    )+ };
}

/// Texts are kept as `&str` until all is read: that stays in registers, which a [`Text`] does not.
macro_rules! keep {
    (trailing_text $text:ident) => {
        $text.map(Text::new)
    };
    (text $text:ident) => {
        Text::new($text)
    };
    (optional_text $text:ident) => {
        $text.map(Text::new)
    };
    ($kind:ident $member:ident) => {
        $member
    };
}

/// 1 for a member that is not written.
macro_rules! left_out {
    (trailing_text $member:expr) => {
        u32::from($member.is_none())
    };
    ($kind:ident $member:expr) => {
        0
    };
}

packets!(codec);

/// A short text with its head.
const fn key<const LEN: usize>(name: &str) -> [u8; LEN] {
    assert!(name.len() < 32 && name.len() + 1 == LEN, "a name is at most 31 bytes");
    let [len, ..] = name.len().to_le_bytes();
    let mut key = [0xa0 | len; LEN];
    let (_, body) = key.split_at_mut(1);
    body.copy_from_slice(name.as_bytes());
    key
}

/// A number of members.
const fn count(n: usize) -> u16 {
    let [low, high, ..] = n.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// Reads a frame whose layout is the reference's own. `None`: read it by key.
struct Declared<'a> {
    reader: Reader<'a>,
    /// The map has the trailing member.
    trailing: bool,
}

impl<'a> Declared<'a> {
    /// Read the head of a map of `n` members or, without the trailing one, one less: the shortest form.
    #[inline]
    fn new(payload: &'a [u8], n: u16) -> Option<Self> {
        let mut d = Self { reader: Reader::new(payload), trailing: false };
        d.trailing = d.map(n - 1).is_none();
        if d.trailing {
            d.map(n)?;
        }
        Some(d)
    }

    #[inline]
    fn eat(&mut self, bytes: &[u8]) -> Option<()> {
        self.reader.eat(bytes).then_some(())
    }

    /// The head of a map of exactly `n` members.
    #[inline]
    fn map(&mut self, n: u16) -> Option<()> {
        let [high, low] = n.to_be_bytes();
        if n < 16 { self.eat(&[0x80 | low]) } else { self.eat(&[0xde, high, low]) }
    }

    #[inline]
    fn trailing_text(&mut self, key: &[u8]) -> Option<Option<&'a str>> {
        if self.trailing { self.text(key).map(Some) } else { Some(None) }
    }

    #[inline]
    fn text(&mut self, key: &[u8]) -> Option<&'a str> {
        self.eat(key)?;
        let head = self.reader.byte().ok()?;
        self.text_after(head)
    }

    #[inline]
    fn text_after(&mut self, head: u8) -> Option<&'a str> {
        let len = match head {
            0xa0..=0xbf => usize::from(head & 0x1f),
            0xd9 => usize::from(self.reader.byte().ok()?),
            0xda => usize::from(u16::from_be_bytes([self.reader.byte().ok()?, self.reader.byte().ok()?])),
            _ => return None,
        };
        core::str::from_utf8(self.reader.take(len).ok()?).ok()
    }

    #[inline]
    fn optional_text(&mut self, key: &[u8]) -> Option<Option<&'a str>> {
        self.eat(key)?;
        match self.reader.byte().ok()? {
            0xc0 => Some(None),
            head => self.text_after(head).map(Some),
        }
    }

    #[inline]
    fn word<W: Word>(&mut self, key: &[u8]) -> Option<W> {
        W::from_wire(self.text(key)?)
    }

    #[inline]
    fn level(&mut self, key: &[u8]) -> Option<Priority> {
        Priority::from_wire(self.int(key)?)
    }

    #[inline]
    fn int(&mut self, key: &[u8]) -> Option<i64> {
        self.eat(key)?;
        match (self.reader.peek()?, self.reader.item()) {
            (small @ 0..=0x7f, _) => Some(i64::from(small)),
            (_, Ok(Item::Int(n))) => Some(n),
            _ => None,
        }
    }

    #[inline]
    fn number(&mut self, key: &[u8]) -> Option<Number<'a>> {
        self.optional_number(key)?
    }

    #[inline]
    fn optional_number(&mut self, key: &[u8]) -> Option<Option<Number<'a>>> {
        self.eat(key)?;
        match self.reader.item() {
            Ok(Item::Nil) => Some(None),
            Ok(Item::Int(n)) => Some(Some(Number::Int(n))),
            Ok(Item::Uint(n)) => Some(Some(Number::Uint(n))),
            Ok(Item::Float(n)) => Some(Some(Number::Float(n))),
            _ => None,
        }
    }

    #[inline]
    fn any(&mut self, key: &[u8]) -> Option<Value<'a>> {
        self.eat(key)?;
        value(&mut self.reader).ok()
    }

    #[inline]
    fn array(&mut self, key: &[u8]) -> Option<Value<'a>> {
        self.any(key).filter(|value| value.is_array())
    }

    #[inline]
    fn object(&mut self, key: &[u8]) -> Option<Value<'a>> {
        self.any(key).filter(|value| value.is_object())
    }
}

/// The members with these names of the one map that the payload must be, its keys in any order: the last of equal keys
/// counts, other keys are checked and ignored.
#[inline(never)]
fn members<'a, const N: usize>(payload: &'a [u8], names: &[&str; N]) -> Result<[Option<Value<'a>>; N], DecodeError> {
    let mut found = [None; N];
    let mut reader = Reader::new(payload);
    let Item::Map(n) = reader.item()? else {
        value(&mut Reader::new(payload))?;
        return Err(DecodeError::WrongContainer);
    };
    for _ in 0..check::elements(n, true, &reader)? / 2 {
        let key = reader.item()?;
        let slot = match key {
            Item::Str(text) => {
                let text = check::utf8(text)?;
                names.iter().position(|name| *name == text).and_then(|at| found.get_mut(at))
            }
            // The reference has bytes as keys too; they are not the texts it looks for.
            Item::Bin(_) => None,
            _ => return Err(ParseError::MsgpackMapKey.into()),
        };
        let value = value(&mut reader)?;
        if let Some(slot) = slot {
            *slot = Some(value);
        }
    }
    if reader.rest().is_empty() { Ok(found) } else { Err(ParseError::MsgpackTrailing.into()) }
}

#[inline]
fn word(sink: &mut impl Sink, key: &[u8], word: impl Word) -> Done {
    sink.put(key)?;
    Ok(write::str(sink, word.as_str())?)
}

#[inline]
fn level(sink: &mut impl Sink, key: &[u8], level: Priority) -> Done {
    int(sink, key, i64::from(level.to_wire()))
}

#[inline]
fn int(sink: &mut impl Sink, key: &[u8], n: i64) -> Done {
    sink.put(key)?;
    Ok(write::int(sink, n)?)
}

#[inline]
fn text(sink: &mut impl Sink, key: &[u8], text: Text<'_>) -> Done {
    sink.put(key)?;
    write::text(sink, text)
}

#[inline]
fn optional_text(sink: &mut impl Sink, key: &[u8], text: Option<Text<'_>>) -> Done {
    sink.put(key)?;
    match text {
        Some(text) => write::text(sink, text),
        None => Ok(sink.put(&[0xc0])?),
    }
}

#[inline]
fn trailing_text(sink: &mut impl Sink, key: &[u8], text: Option<Text<'_>>) -> Done {
    match text {
        Some(_) => optional_text(sink, key, text),
        None => Ok(()),
    }
}

#[inline]
fn number(sink: &mut impl Sink, key: &[u8], number: Number<'_>) -> Done {
    sink.put(key)?;
    write::number(sink, number)
}

#[inline]
fn optional_number(sink: &mut impl Sink, key: &[u8], number: Option<Number<'_>>) -> Done {
    sink.put(key)?;
    match number {
        Some(number) => write::number(sink, number),
        None => Ok(sink.put(&[0xc0])?),
    }
}

use {any as array, any as object};

fn any(sink: &mut impl Sink, key: &[u8], value: Value<'_>) -> Done {
    sink.put(key)?;
    transcode::value(sink, value)
}
