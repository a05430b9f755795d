//! Writes a token as a line, and as the text that is hashed.

use super::{Hash32, PREV_PREFIX, Token};
use sluis_core::data::{
    Counter, EncodeError, Full, Order, Separators, Sink, SliceSink, Style, Text, Value, put_inside,
};

/// A text member and what stands before it.
macro_rules! text {
    ($sink:ident, $before:literal, $text:expr) => {
        $sink.put(concat!($before, "\"").as_bytes())?;
        put_inside($text, $sink)?;
        $sink.put(b"\"")?;
    };
}

macro_rules! put {
    ($sink:ident, $text:literal) => {
        $sink.put($text.as_bytes())?
    };
}

impl Token<'_> {
    /// Write the line of the token, without a line feed: the twelve members in their order, as the reference's `to_json`.
    ///
    /// # Errors
    /// The sink is full, or JSON has no form for something in it (as in [`Value::write_json`]).
    pub fn write_json(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        self.write_members(sink)?;
        write_seal(self.content_hash, self.signature, sink)
    }

    /// The front of the line: what the content hash covers.
    #[inline]
    pub(crate) fn write_members(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        text!(sink, "{\"token_id\": ", self.token_id);
        text!(sink, ", \"action\": ", self.action);
        text!(sink, ", \"timestamp\": ", self.timestamp);
        text!(sink, ", \"actor\": ", self.actor);
        put!(sink, ", \"erin\": ");
        self.erin.write_json(sink, Style::SPACED)?;
        put!(sink, ", \"eraan\": ");
        self.put_eraan(sink, Order::AsWritten)?;
        put!(sink, ", \"eromheen\": ");
        self.eromheen.write_json(sink, Style::SPACED)?;
        text!(sink, ", \"erachter\": ", self.erachter);
        put!(sink, ", \"parent_id\": ");
        put_optional(self.parent_id, sink)?;
        put!(sink, ", \"state\": \"");
        sink.put(self.state.as_str().as_bytes())?;
        Ok(put!(sink, "\""))
    }

    /// Write the line of the token into the front of `out`; how long it is.
    ///
    /// # Errors
    /// As [`write_json`](Self::write_json).
    pub fn write_to(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let mut sink = SliceSink::new(out);
        self.write_json(&mut sink)?;
        Ok(sink.len())
    }

    /// Bytes of the line, without a line feed.
    ///
    /// # Errors
    /// As [`write_json`](Self::write_json), but for a full sink.
    pub fn json_len(&self) -> Result<usize, EncodeError> {
        let mut counter = Counter::default();
        self.write_json(&mut counter)?;
        Ok(counter.count())
    }

    /// Write what the content hash covers: the first ten members sorted by key, and everything in them as well.
    ///
    /// # Errors
    /// As [`write_json`](Self::write_json). Without `alloc` also when there is more to be put in order than fits the stack.
    #[inline]
    pub fn hash_input(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        let style = Style::canonical(Separators::Spaced);
        text!(sink, "{\"action\": ", self.action);
        text!(sink, ", \"actor\": ", self.actor);
        put!(sink, ", \"eraan\": ");
        self.put_eraan(sink, Order::ByKey)?;
        text!(sink, ", \"erachter\": ", self.erachter);
        put!(sink, ", \"erin\": ");
        self.erin.write_json(sink, style)?;
        put!(sink, ", \"eromheen\": ");
        self.eromheen.write_json(sink, style)?;
        put!(sink, ", \"parent_id\": ");
        put_optional(self.parent_id, sink)?;
        put!(sink, ", \"state\": \"");
        sink.put(self.state.as_str().as_bytes())?;
        text!(sink, "\", \"timestamp\": ", self.timestamp);
        text!(sink, ", \"token_id\": ", self.token_id);
        Ok(put!(sink, "}"))
    }

    /// The references, and the link behind them.
    #[inline]
    fn put_eraan(&self, sink: &mut impl Sink, order: Order) -> Result<(), EncodeError> {
        let style = Style { separators: Separators::Spaced, order };
        match (self.header, self.link) {
            (None, None) => self.eraan.write_json(sink, style),
            (None, Some(link)) if self.eraan.as_json() == Some("[]") => {
                sink.put(b"[")?;
                put_link(link, sink)?;
                Ok(sink.put(b"]")?)
            }
            (header, link) => put_behind(self.eraan, header, link, sink, style),
        }
    }
}

/// The rest of a line, behind its [members](Token::write_members).
#[inline]
pub(crate) fn write_seal(content_hash: Text<'_>, signature: Text<'_>, sink: &mut impl Sink) -> Result<(), EncodeError> {
    text!(sink, ", \"content_hash\": ", content_hash);
    text!(sink, ", \"signature\": ", signature);
    Ok(put!(sink, "}"))
}

#[inline]
fn put_optional(text: Option<Text<'_>>, sink: &mut impl Sink) -> Result<(), Full> {
    match text {
        None => sink.put(b"null"),
        Some(text) => {
            sink.put(b"\"")?;
            put_inside(text, sink)?;
            sink.put(b"\"")
        }
    }
}

fn put_link(link: Hash32, sink: &mut impl Sink) -> Result<(), Full> {
    sink.put(b"\"")?;
    sink.put(PREV_PREFIX.as_bytes())?;
    sink.put(&link.to_hex())?;
    sink.put(b"\"")
}

/// References, and behind them a header and a link.
fn put_behind(
    eraan: Value<'_>,
    header: Option<Text<'_>>,
    link: Option<Hash32>,
    sink: &mut impl Sink,
    style: Style,
) -> Result<(), EncodeError> {
    let mut open = Open { sink, held: None };
    eraan.write_json(&mut open, style)?;
    let Open { sink, .. } = open;
    let mut comma = eraan.tokens().nth(1).is_some_and(|token| token != sluis_core::data::ValueToken::ArrayEnd);
    if let Some(header) = header {
        sink.put(if comma { b", \"" } else { b"\"" })?;
        put_inside(header, sink)?;
        sink.put(b"\"")?;
        comma = true;
    }
    if let Some(link) = link {
        sink.put(if comma { b", " } else { b"" })?;
        put_link(link, sink)?;
    }
    Ok(sink.put(b"]")?)
}

/// Passes on everything but the last byte.
struct Open<'s, S> {
    sink: &'s mut S,
    held: Option<u8>,
}

impl<S: Sink> Sink for Open<'_, S> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let Some((last, front)) = bytes.split_last() else { return Ok(()) };
        if let Some(held) = self.held {
            self.sink.put(&[held])?;
        }
        self.held = Some(*last);
        self.sink.put(front)
    }
}
