//! Reads a line.

use super::{Field, State, Token, TokenError};
use sluis_core::data::{ParseError, Reader, Text, Value, ValueError};

impl<'a> Token<'a> {
    /// Read a line: one JSON object, with white space around it if need be.
    ///
    /// `token_id`, `action`, `timestamp` and `actor` must be there, the others have the reference's defaults. A member that
    /// comes twice counts as it comes last. `content_hash` may be `null`, which is the same as none.
    ///
    /// # Errors
    /// What is wrong with it. A token that is read need not be true: that is asked of [`verify`](Self::verify).
    #[inline]
    pub fn parse(line: &'a str) -> Result<Self, TokenError> {
        match as_written(line) {
            Some(token) => Ok(token),
            None => by_key(line),
        }
    }

    /// As [`parse`](Self::parse), from bytes that may not even be text.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn parse_bytes(line: &'a [u8]) -> Result<Self, TokenError> {
        let line = core::str::from_utf8(line).map_err(|e| TokenError::NotUtf8 { at: e.valid_up_to() })?;
        Self::parse(line)
    }
}

macro_rules! expect {
    ($r:ident, $text:expr) => {
        if !$r.eat($text) {
            return None;
        }
    };
}

macro_rules! text {
    ($r:ident) => {
        match $r.string() {
            Ok(text) => text,
            Err(_) => return None,
        }
    };
}

/// The form in which both sides write. `None` means "not like that" and says nothing else: [`by_key`] then decides.
#[inline]
fn as_written(line: &str) -> Option<Token<'_>> {
    let mut r = Reader::new(line);
    expect!(r, "{\"token_id\": \"");
    let token_id = text!(r);
    expect!(r, ", \"action\": \"");
    let action = text!(r);
    expect!(r, ", \"timestamp\": \"");
    let timestamp = text!(r);
    expect!(r, ", \"actor\": \"");
    let actor = text!(r);
    expect!(r, ", \"erin\": ");
    let erin = r.value().ok()?;
    expect!(r, ", \"eraan\": ");
    let eraan = r.value().ok().filter(|value| value.is_array())?;
    expect!(r, ", \"eromheen\": ");
    let eromheen = r.value().ok().filter(|value| value.is_object())?;
    expect!(r, ", \"erachter\": \"");
    let erachter = text!(r);
    expect!(r, ", \"parent_id\": ");
    let parent_id = if r.eat("\"") {
        Some(text!(r))
    } else {
        expect!(r, "null");
        None
    };
    expect!(r, ", \"state\": \"");
    let state = State::from_word(text!(r).as_str()?)?;
    expect!(r, ", \"content_hash\": \"");
    let content_hash = text!(r);
    expect!(r, ", \"signature\": \"");
    let signature = text!(r);
    expect!(r, "}");
    r.space();
    (r.at_end() && u32::try_from(line.len()).is_ok()).then_some(Token {
        token_id,
        action,
        timestamp,
        actor,
        erin,
        eraan,
        eromheen,
        erachter,
        parent_id,
        state,
        content_hash,
        signature,
        link: None,
        header: None,
    })
}

/// A line in any form that JSON allows. What is wrong with the text comes before what is wrong with the token.
#[inline(never)]
fn by_key(line: &str) -> Result<Token<'_>, TokenError> {
    let mut r = Reader::new(line);
    let members = members(&mut r).map_err(|error| ValueError { error, at: r.pos() })?;
    r.space();
    let bad = |error| Err(TokenError::NotJson(ValueError { error, at: r.pos() }));
    if !r.at_end() {
        return bad(ParseError::BadJson);
    }
    if u32::try_from(line.len()).is_err() {
        return bad(ParseError::TooLarge);
    }
    let Some(members) = members else { return Err(TokenError::NotAnObject) };
    if let Some(at) = members.unknown {
        return Err(TokenError::UnknownMember { at });
    }
    if let Some(field) = members.twice {
        return Err(TokenError::Twice(field));
    }
    members.token()
}

/// The members of a token, of any type.
struct Members<'a> {
    found: [Option<Value<'a>>; 12],
    /// Where the first key stands that is none of a token's.
    unknown: Option<usize>,
    /// The first member that was there before.
    twice: Option<Field>,
}

/// The members of an object; `None` for any other value.
fn members<'a>(r: &mut Reader<'a>) -> Result<Option<Members<'a>>, ParseError> {
    r.space();
    if !r.eat("{") {
        return r.value().map(|_| None);
    }
    let mut members = Members { found: [None; 12], unknown: None, twice: None };
    r.space();
    if r.eat("}") {
        return Ok(Some(members));
    }
    loop {
        r.space();
        let at = r.pos();
        let key = if r.eat("\"") { r.string()? } else { return Err(ParseError::BadJson) };
        r.space();
        if !r.eat(":") {
            return Err(ParseError::BadJson);
        }
        r.space();
        let value = r.value()?;
        match Field::ALL.iter().zip(&mut members.found).find(|(field, _)| key == field.as_str()) {
            Some((field, slot)) => {
                if slot.replace(value).is_some() {
                    members.twice = members.twice.or(Some(*field));
                }
            }
            None => members.unknown = members.unknown.or(Some(at)),
        }
        r.space();
        if !r.eat(",") {
            return if r.eat("}") { Ok(Some(members)) } else { Err(ParseError::BadJson) };
        }
    }
}

impl<'a> Members<'a> {
    fn get(&self, field: Field) -> Option<Value<'a>> {
        self.found.get(field as usize).copied().flatten()
    }

    fn text(&self, field: Field) -> Result<Option<Text<'a>>, TokenError> {
        self.get(field).map(|value| value.as_text().ok_or(TokenError::Mistyped(field))).transpose()
    }

    /// A text without which there is no token. What is missing is said before what is mistyped.
    fn required(&self, field: Field) -> Result<Text<'a>, TokenError> {
        self.text(field)?.ok_or(TokenError::MissingMember(field))
    }

    fn or_null(&self, field: Field) -> Result<Option<Text<'a>>, TokenError> {
        if self.get(field).is_some_and(Value::is_null) { Ok(None) } else { self.text(field) }
    }

    fn value(&self, field: Field, default: Value<'a>, good: fn(Value<'a>) -> bool) -> Result<Value<'a>, TokenError> {
        let value = self.get(field).unwrap_or(default);
        if good(value) { Ok(value) } else { Err(TokenError::Mistyped(field)) }
    }

    fn state(&self) -> Result<State, TokenError> {
        let Some(word) = self.text(Field::State)? else { return Ok(State::Created) };
        word.resolve(&mut [0; 16]).ok().and_then(State::from_word).ok_or(TokenError::UnknownState)
    }

    fn token(&self) -> Result<Token<'a>, TokenError> {
        let required = [Field::TokenId, Field::Action, Field::Timestamp, Field::Actor];
        if let Some(missing) = required.into_iter().find(|field| self.get(*field).is_none()) {
            return Err(TokenError::MissingMember(missing));
        }
        Ok(Token {
            token_id: self.required(Field::TokenId)?,
            action: self.required(Field::Action)?,
            timestamp: self.required(Field::Timestamp)?,
            actor: self.required(Field::Actor)?,
            erin: self.get(Field::Erin).unwrap_or(Value::NULL),
            eraan: self.value(Field::Eraan, Value::EMPTY_ARRAY, Value::is_array)?,
            eromheen: self.value(Field::Eromheen, Value::EMPTY_OBJECT, Value::is_object)?,
            erachter: self.text(Field::Erachter)?.unwrap_or(Text::EMPTY),
            parent_id: self.or_null(Field::ParentId)?,
            state: self.state()?,
            content_hash: self.or_null(Field::ContentHash)?.unwrap_or(Text::EMPTY),
            signature: self.text(Field::Signature)?.unwrap_or(Text::EMPTY),
            link: None,
            header: None,
        })
    }
}
