//! `tokens.jsonl` and `token_verify.jsonl`: tokens read, hashed, verified and written as the reference does.

use crate::common::{Deviations, Json, Row, fixture_bytes, rows, unhex};
use crate::made::token;
use sluis_chain::token::{Fault, Stamp, Token};
use sluis_core::Wall;
use sluis_core::data::{Text, Value};
use sluis_core::identity::MacKey;

fn line(token: &Token<'_>) -> String {
    let mut out = Vec::new();
    token.write_json(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn hash_input(token: &Token<'_>) -> String {
    let mut out = Vec::new();
    token.hash_input(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Keys by name.
fn keys() -> Vec<(String, MacKey)> {
    let rows = rows("tokens.jsonl");
    let keys = rows.iter().find(|row| row.id() == "hmac_keys").unwrap().get("keys_hex").unwrap();
    keys.object().unwrap().iter().map(|(k, v)| (k.clone(), MacKey::new(&unhex(v.str().unwrap())))).collect()
}

fn hash(token: &Token<'_>, key: Option<&MacKey>) -> String {
    token.content_hash(key).unwrap().to_string()
}

#[test]
fn tokens() {
    let mut deviations = Deviations::of("tokens.jsonl");
    let keys = keys();
    for row in rows("tokens.jsonl").iter().filter(|row| row.get("fields").is_some()) {
        let id = row.id();
        let to_json = row.str("to_json");
        let read = Token::parse(to_json);
        let built = token(row.get("fields").unwrap());
        // Members given one by one, and the line of them: the same token.
        for token in built.into_iter().chain(read) {
            assert_eq!(hash_input(&token), row.str("hash_input"), "{id}");
            let preset = id == "content_hash_preset";
            assert_eq!(hash(&token, None) == row.str("content_hash"), !preset, "{id}");
            assert_eq!(line(&token), to_json, "{id}");
            let hmac = row.get("hmac").unwrap().object().unwrap();
            assert_eq!(hmac.len(), keys.len());
            for (name, key) in &keys {
                let expected = hmac.iter().find(|(k, _)| k == name).unwrap().1.str().unwrap();
                assert_eq!(hash(&token, Some(key)), expected, "{id} {name}");
                let (hashed, wrong) = (token.with(Text::new(expected), token.signature), MacKey::new(b"wrong"));
                let finite = token.check_finite();
                assert_eq!(hashed.verify(Some(key)).is_ok(), finite.is_ok(), "{id} {name}");
                assert!(hashed.verify(Some(&wrong)).is_err() && hashed.verify(None).is_err(), "{id} {name}");
            }
        }
        assert_eq!(built.is_some(), read.is_ok(), "{id}");
        let reference = match (row.opt_str("from_json_error"), row.bool("verify")) {
            (Some(_), _) => "error",
            (None, true) => "true",
            (None, false) => "false",
        };
        deviations.check(id, reference, outcome(to_json, None));
    }
    deviations.finish();
}

/// What verifying a line gives, in the words of the tables; a named fault where it is none of the reference's.
fn outcome(line: &str, key: Option<&MacKey>) -> &'static str {
    match Token::parse(line).map(|token| token.verify(key)) {
        Err(_) => "error",
        Ok(Ok(())) => "true",
        Ok(Err(Fault::ContentHash { .. })) => "false",
        Ok(Err(Fault::MissingHash)) => "missing_hash",
        Ok(Err(Fault::NonFinite(_))) => "non_finite",
        Ok(Err(Fault::Inexact(_))) => "inexact",
        Ok(Err(Fault::TooLarge)) => "too_large",
    }
}

fn word(verified: bool) -> &'static str {
    if verified { "true" } else { "false" }
}

fn verify_with_keys(row: &Row, deviations: &mut Deviations) {
    let (id, json) = (row.id(), row.str("json"));
    let key = unhex(row.str("key_hex"));
    let wrong = MacKey::new(b"another key");
    // No key and the empty key are the same to the reference; here the empty key is nobody's.
    let tries = [
        ("verify_with_key", Some(MacKey::new(&key))),
        ("verify_without_key", None),
        ("verify_empty_key", None),
        ("verify_wrong_key", Some(wrong)),
    ];
    for (name, key) in &tries {
        if let Some(expected) = row.get(name).and_then(Json::bool) {
            deviations.check(&format!("{id}.{name}"), word(expected), outcome(json, key.as_ref()));
        }
    }
}

#[test]
fn token_verify() {
    let mut deviations = Deviations::of("token_verify.jsonl");
    for row in rows("token_verify.jsonl") {
        let id = row.id();
        if let Some(timestamp) = row.opt_str("timestamp") {
            #[allow(clippy::cast_possible_truncation, reason = "whole seconds of the table")]
            let now = Wall::from_micros(row.get("now").unwrap().f64().unwrap() as i64 * 1_000_000);
            let token = Token { timestamp: Text::new(timestamp), ..Token::default() };
            let stamp = token.stamp(now);
            deviations.check(id, word(row.bool("valid")), word(stamp == Stamp::Good));
        } else if row.get("key_hex").is_some() {
            verify_with_keys(&row, &mut deviations);
        } else {
            let reference = if row.opt_str("error").is_some() { "error" } else { word(row.bool("verify")) };
            deviations.check(id, reference, outcome(row.str("json"), None));
        }
    }
    deviations.finish();
}

/// Every line of a file that the reference wrote verifies, and is written again to the byte.
#[test]
fn a_file_of_the_reference() {
    let bytes = fixture_bytes("filestore_sample.jsonl");
    let lines: Vec<_> = bytes.strip_suffix(b"\n").unwrap().split(|b| *b == b'\n').collect();
    assert_eq!(lines.len(), 3);
    for bytes in lines {
        let token = Token::parse_bytes(bytes).unwrap();
        assert_eq!(token.verify(None), Ok(()));
        assert_eq!(line(&token).as_bytes(), bytes);
    }
}

/// Reading in order, out of order, spaced and not, is reading the same token.
#[test]
fn the_form_of_a_line_does_not_matter() {
    for row in rows("tokens.jsonl").iter().filter(|row| row.get("to_json").is_some()) {
        let Ok(token) = Token::parse(row.str("to_json")) else { continue };
        let value = Value::from_json(row.str("to_json")).unwrap();
        let compact = value.to_json_string().unwrap();
        let mut sorted = Vec::new();
        let style = sluis_core::data::Style::canonical(sluis_core::data::Separators::Compact);
        value.write_json(&mut sorted, style).unwrap();
        let sorted = String::from_utf8(sorted).unwrap();
        let read = Token::parse(&compact).unwrap();
        assert_eq!(read, token, "{}", row.id());
        assert_eq!(line(&read), line(&token), "{}", row.id());
        for text in [&compact, &sorted, &format!(" \t{sorted}\r\n")] {
            let read = Token::parse(text).unwrap();
            assert_eq!(read.content_hash(None), token.content_hash(None), "{}", row.id());
        }
    }
}
