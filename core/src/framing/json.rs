//! The two packets in JSON as the reference reads and writes them.
//!
//! Nearly every payload has every member, in declared order and without white space: `read_declared` reads those and
//! nothing else. Any other is read again by key, which is where the rules and the errors are.

use super::error::DecodeError;
use super::schema::packets;
use super::types::{Decision, PingType, Priority, RoutingMode};
use super::{Encoding, Frame, Message, Packet, Response};
use crate::data::json::{Scanner, inside, write_value};
use crate::data::{EncodeError, Number, ParseError, Sink, Style, Text, Value};

/// Take these literals, which are next in any declared payload.
macro_rules! expect {
    ($s:ident $($text:expr),+) => {
        if !eat(&mut $s, concat!($($text),+)) {
            return None;
        }
    };
}

/// The members that follow, each with what stands before its name; `None` where one is not like that.
macro_rules! read_members {
    ($s:ident $before:literal) => {};
    ($s:ident $before:literal $name:ident: trailing_text (),) => {
        let $name = match eat(&mut $s, concat!($before, "\"", stringify!($name), key_end!(text))) {
            true => Some($s.string().ok()?),
            false => None,
        };
    };
    ($s:ident $before:literal $name:ident: $kind:ident $default:tt, $($rest:tt)*) => {
        expect!($s $before, "\"", stringify!($name), key_end!($kind));
        let $name = read_member!($s $kind $default);
        read_members!($s "," $($rest)*);
    };
}

/// What stands between the name of a member and its value.
macro_rules! key_end {
    (text) => {
        "\":\""
    };
    (word) => {
        "\":\""
    };
    ($kind:ident) => {
        "\":"
    };
}

macro_rules! read_member {
    ($s:ident text $default:tt) => {
        $s.string().ok()?
    };
    ($s:ident word ($word:ident::$default:ident)) => {
        $word::from_wire($s.string().ok()?.as_str()?)?
    };
    ($s:ident level $default:tt) => {
        Priority::from_wire($s.small_int()?)?
    };
    ($s:ident int $default:tt) => {
        $s.small_int()?
    };
    ($s:ident any $default:tt) => {
        $s.value().ok()?
    };
    ($s:ident array $default:tt) => {
        $s.value().ok().filter(|value| value.is_array())?
    };
    ($s:ident object $default:tt) => {
        $s.value().ok().filter(|value| value.is_object())?
    };
    ($s:ident $kind:ident $default:tt) => {
        $kind(&mut $s)?
    };
}

/// Write these literals.
macro_rules! put {
    ($sink:ident $($text:expr),+) => { $sink.put(concat!($($text),+).as_bytes())? };
}

/// The members that follow. `$close` ends the value before them, `$next` stands before another: both are written together
/// with what comes next.
macro_rules! write_members {
    ($sink:ident $packet:ident [$close:literal $next:literal]) => { put!($sink $close, "}") };
    ($sink:ident $packet:ident [$close:literal $next:literal] $name:ident: text $default:tt, $($rest:tt)*) => {
        put!($sink $close, $next, "\"", stringify!($name), "\":\"");
        inside($packet.$name, $sink)?;
        write_members!($sink $packet ["\"" ","] $($rest)*);
    };
    ($sink:ident $packet:ident [$close:literal $next:literal] $name:ident: word $default:tt, $($rest:tt)*) => {
        put!($sink $close, $next, "\"", stringify!($name), "\":\"");
        $sink.put($packet.$name.as_str().as_bytes())?;
        write_members!($sink $packet ["\"" ","] $($rest)*);
    };
    ($sink:ident $packet:ident [$close:literal $next:literal] $name:ident: optional_text (), $($rest:tt)*) => {
        match $packet.$name {
            None => put!($sink $close, $next, "\"", stringify!($name), "\":null"),
            Some(text) => {
                put!($sink $close, $next, "\"", stringify!($name), "\":\"");
                inside(text, $sink)?;
                put!($sink "\"");
            }
        }
        write_members!($sink $packet ["" ","] $($rest)*);
    };
    ($sink:ident $packet:ident [$close:literal $next:literal] $name:ident: trailing_text (),) => {
        match $packet.$name {
            None => put!($sink $close, "}"),
            Some(text) => {
                put!($sink $close, $next, "\"", stringify!($name), "\":\"");
                inside(text, $sink)?;
                put!($sink "\"}");
            }
        }
    };
    ($sink:ident $packet:ident [$close:literal $next:literal] $name:ident: $kind:ident $default:tt, $($rest:tt)*) => {
        put!($sink $close, $next, "\"", stringify!($name), "\":");
        write_member!($kind $packet.$name, $sink);
        write_members!($sink $packet ["" ","] $($rest)*);
    };
}

macro_rules! write_member {
    (level $level:expr, $sink:ident) => { $sink.put(&[b'0' + $level.to_wire()])? };
    (int $n:expr, $sink:ident) => { $sink.put(itoa::Buffer::new().format($n).as_bytes())? };
    (number $number:expr, $sink:ident) => { $number.write($sink)? };
    (optional_number $number:expr, $sink:ident) => {
        match $number {
            Some(number) => number.write($sink)?,
            None => put!($sink "null"),
        }
    };
    ($value:ident $member:expr, $sink:ident) => { write_value($member, $sink, Style::WIRE)? };
}

macro_rules! codec {
    ($(
        $(#[$meta:meta])* $packet:ident $title:literal { $($name:ident: $kind:ident $default:tt, $doc:literal;)+ }
    )+) => { $(
        impl<'a> $packet<'a> {
            /// Read the payload of a frame.
            #[inline]
            pub(super) fn read_json(payload: &'a [u8]) -> Result<Frame<'a>, DecodeError> {
                let text = core::str::from_utf8(payload).map_err(|_| ParseError::BadUtf8)?;
                match Self::read_declared_json(text) {
                    Some(frame) => Ok(frame),
                    None => {
                        let packet = Self::from_members(members(text, &Self::NAMES)?)?;
                        Ok(Frame { encoding: Encoding::Json, message: Message::$packet(packet) })
                    }
                }
            }

            #[inline]
            fn read_declared_json(text: &'a str) -> Option<Frame<'a>> {
                let mut s = Scanner::new(text, 0);
                read_members!(s "{" $($name: $kind $default,)+);
                expect!(s "}");
                if s.pos() < text.len() {
                    return None;
                }
                Some(Frame { encoding: Encoding::Json, message: Message::$packet(Self { $($name),+ }) })
            }

            /// Write the payload of a frame.
            #[inline]
            pub(super) fn write_json(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
                write_members!(sink self ["" "{"] $($name: $kind $default,)+);
                Ok(())
            }
        }
    )+ };
}

packets!(codec);

/// Take `literal` if it is next.
#[inline(always)]
fn eat(s: &mut Scanner<'_>, literal: &'static str) -> bool {
    s.eat_slice(literal.as_bytes())
}

#[inline(always)]
fn optional_text<'a>(s: &mut Scanner<'a>) -> Option<Option<Text<'a>>> {
    if s.eat(b"\"") {
        return s.string().ok().map(Some);
    }
    s.eat(b"null").then_some(None)
}

#[inline]
fn number<'a>(s: &mut Scanner<'a>) -> Option<Number<'a>> {
    s.number().ok().map(|literal| Number::from_json_literal(literal.text))
}

#[inline]
fn optional_number<'a>(s: &mut Scanner<'a>) -> Option<Option<Number<'a>>> {
    if s.eat(b"null") { Some(None) } else { number(s).map(Some) }
}

/// The members with these names, in any form that JSON allows: any order, white space, escaped or unknown or repeated keys.
/// Where a key comes again the last one counts and the others are not even looked at, as in the reference.
#[inline(never)]
fn members<'a, const N: usize>(text: &'a str, names: &[&str; N]) -> Result<[Option<Value<'a>>; N], DecodeError> {
    let mut found = [None; N];
    let mut s = Scanner::new(text, 0);
    s.space();
    let object = s.eat(b"{");
    // Most senders keep the declared order.
    let mut expected = 0;
    if object {
        s.space();
        let mut more = !s.eat(b"}");
        while more {
            let key = if s.eat(b"\"") { s.string()? } else { return Err(ParseError::BadJson.into()) };
            s.space();
            if !s.eat(b":") {
                return Err(ParseError::BadJson.into());
            }
            s.space();
            let value = s.value()?;
            let mut at = (expected..N).chain(0..expected);
            if let Some(at) = at.find(|at| names.get(*at).is_some_and(|name| key == **name)) {
                expected = at + 1;
                if let Some(slot) = found.get_mut(at) {
                    *slot = Some(value);
                }
            }
            s.space();
            more = s.eat(b",");
            if more {
                s.space();
            } else if !s.eat(b"}") {
                return Err(ParseError::BadJson.into());
            }
        }
    } else {
        s.value()?;
    }
    s.space();
    match s.peek() {
        Some(_) => Err(ParseError::BadJson.into()),
        None if object => Ok(found),
        None => Err(DecodeError::WrongContainer),
    }
}
