//! Tokens built from the members that the tables hold.
#![allow(dead_code, unreachable_pub, reason = "every suite uses its own part of this")]

use sluis_chain::token::{State, Token};
use sluis_core::data::Text;

use crate::common::Json;
use crate::packets;

pub fn text(json: &Json) -> Text<'static> {
    packets::value(json).unwrap().as_text().unwrap()
}

/// The token with these members; `None` where there is no such state.
pub fn token(fields: &Json) -> Option<Token<'static>> {
    let get = |key: &str| fields.get(key).unwrap_or_else(|| panic!("no member {key}"));
    let value = |key: &str| packets::value(get(key)).unwrap();
    Some(Token {
        token_id: text(get("token_id")),
        action: text(get("action")),
        timestamp: text(get("timestamp")),
        actor: text(get("actor")),
        erin: value("erin"),
        eraan: value("eraan"),
        eromheen: value("eromheen"),
        erachter: text(get("erachter")),
        parent_id: Some(get("parent_id")).filter(|parent| !parent.is_null()).map(text),
        state: State::from_word(get("state").str().unwrap())?,
        content_hash: text(get("content_hash")),
        signature: text(get("signature")),
        link: None,
        header: None,
    })
}
