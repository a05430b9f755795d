//! The two packets in any form that JSON allows: members in any order, with white space, escaped or unknown or repeated
//! keys. Where a key comes again the last one counts and the others are not even looked at, as in the reference.

use super::super::error::DecodeError;
use super::super::fields;
use super::super::packet::{Packet, Response};
use crate::data::Value;
use crate::data::json::Scanner;

/// Check the whole text, then look at its members.
#[inline(never)]
pub(super) fn packet(text: &str) -> Result<Packet<'_>, DecodeError> {
    fields::packet(members(text, &fields::PACKET)?)
}

/// Check the whole text, then look at its members.
#[inline(never)]
pub(super) fn response(text: &str) -> Result<Response<'_>, DecodeError> {
    fields::response(members(text, &fields::RESPONSE)?)
}

/// The members with these names.
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
            let key = if s.eat(b"\"") { s.string()? } else { return Err(DecodeError::BadJson) };
            s.space();
            if !s.eat(b":") {
                return Err(DecodeError::BadJson);
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
                return Err(DecodeError::BadJson);
            }
        }
    } else {
        s.value()?;
    }
    s.space();
    match s.peek() {
        Some(_) => Err(DecodeError::BadJson),
        None if object => Ok(found),
        None => Err(DecodeError::WrongContainer),
    }
}
