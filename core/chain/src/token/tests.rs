//! What the fixtures do not hold: ids, stamps, seals, links, and the properties of reading and writing.

use std::format;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::{
    Authority as _, Fault, Field, Hash32, KnownKeys, Seal as _, Stamp, State, Token, TokenError, TokenId, TokenIds,
    Verdict, signed_text,
};
use sluis_core::data::{Text, Value};
use sluis_core::identity::{MacKey, SecretKey};
use sluis_core::{Seed, Wall};

const NOON: Wall = Wall::from_micros(1_736_942_400_000_000);

fn line(token: &Token<'_>) -> String {
    let mut out = Vec::new();
    token.write_json(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn hashed(token: &Token<'_>, key: Option<&MacKey>) -> String {
    let hash = format!("{}", token.content_hash(key).unwrap());
    line(&token.with(Text::new(&hash), token.signature))
}

fn base() -> Token<'static> {
    Token { token_id: Text::new("t"), action: Text::new("a"), ..Token::default() }
}

#[test]
fn ids_have_the_shape_of_the_reference_and_never_repeat() {
    assert_eq!(TokenId::new(NOON, 0xdead_beef).as_str(), "tibet_20250115120000000000_deadbeef");
    let with_micros = TokenId::new(Wall::from_micros(NOON.as_micros() + 123), 7);
    assert_eq!(with_micros.as_str(), "tibet_20250115120000000123_00000007");
    let mut ids = TokenIds::new(&Seed::from_u64(1));
    let made: Vec<_> = (0..1000).map(|n| ids.next(Wall::from_micros(NOON.as_micros() - n / 2))).collect();
    assert!(made.is_sorted_by(|a, b| a < b));
}

#[test]
fn only_what_is_ahead_of_every_clock_is_in_the_future() {
    let stamp = |text| Token { timestamp: Text::new(text), ..base() }.stamp(NOON);
    for good in [
        "2025-01-15T12:01:00+00:00",
        "2025-01-15T12:00:30",
        "2025-01-16T02:00:00",
        "1970-01-01",
        "2025-01-15T14:00:30+02:00",
    ] {
        assert_eq!(stamp(good), Stamp::Good, "{good}");
    }
    let by = |micros| Stamp::Future(sluis_core::Duration::from_micros(micros));
    assert_eq!(stamp("2025-01-15T12:01:00.000001+00:00"), by(1));
    assert_eq!(stamp("2025-01-15T12:02:00Z"), by(60_000_000));
    assert_eq!(stamp("2025-01-16T02:00:00.000002"), by(2));
    for bad in ["", "yesterday", "2025-13-01T00:00:00"] {
        assert_eq!(stamp(bad), Stamp::Bad, "{bad}");
    }
}

#[test]
fn a_seal_holds_for_its_hash_and_its_key() {
    let (key, other) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
    let text = hashed(&base(), None);
    let token = Token::parse(&text).unwrap();
    let hash = token.said_hash().unwrap();
    assert_eq!(&signed_text(&hash)[..], format!("sluis token v1\n{hash}\n").as_bytes());
    let mut room = [0; 201];
    assert!(key.seal(&signed_text(&hash), &mut room[..200]).is_err());
    let len = key.seal(&signed_text(&hash), &mut room).unwrap();
    assert_eq!((len, key.max_len()), (201, 201));
    let sealed = token.with(token.content_hash, Token::seal_text(&room[..len]).unwrap());
    let (text, known) = (line(&sealed), &mut [other.public().verifier().unwrap(), key.public().verifier().unwrap()]);
    let read = Token::parse(&text).unwrap();
    assert_eq!((read, read.sealed_by()), (sealed, Some(key.public())));
    let known = KnownKeys::new(known);
    assert_eq!(read.check_seal(&known), Verdict::Good);
    assert_eq!(known.check(&read, b"another text"), Verdict::Bad);
    let strangers = &mut [other.public().verifier().unwrap()];
    assert_eq!(read.check_seal(&KnownKeys::new(strangers)), Verdict::Unknown);
    let with = |signature| read.with(read.content_hash, Text::new(signature)).check_seal(&known);
    assert_eq!((with(""), with("x509:1"), with("ed25519:00")), (Verdict::Unsigned, Verdict::OtherKind, Verdict::Bad));
    let hash = "0".repeat(64);
    assert_eq!(read.with(Text::new(&hash), read.signature).check_seal(&known), Verdict::Bad);
}

#[test]
fn the_link_is_the_last_reference() {
    let link = Hash32([7; 32]);
    for (eraan, written) in
        [("[]", ""), (r#"["a"]"#, r#""a", "#), (r#"[{"b": 1, "a": 2}, "c"]"#, r#"{"b": 1, "a": 2}, "c", "#)]
    {
        let token = Token { eraan: Value::from_json(eraan).unwrap(), link: Some(link), ..base() };
        let text = hashed(&token, None);
        assert!(text.contains(&format!(r#""eraan": [{written}"prev:sha256:{link}"], "#)), "{text}");
        let read = Token::parse(&text).unwrap();
        assert_eq!((read.prev(), read.verify(None)), (Some(link), Ok(())));
    }
    let digits = "07".repeat(32);
    for none in [
        format!(r#"["\"prev:sha256:{digits}"]"#),
        format!(r#"["xprev:sha256:{digits}"]"#),
        format!(r#"["prev:sha256:{digits}", 1]"#),
        format!(r#"[["prev:sha256:{digits}"]]"#),
        format!(r#"["prev:sha256:{}"]"#, digits.replace('7', "A")),
    ] {
        assert_eq!(Token { eraan: Value::from_json(&none).unwrap(), ..base() }.prev(), None, "{none}");
    }
}

#[test]
fn the_header_is_the_last_reference_but_the_link() {
    let link = Hash32([7; 32]);
    for (eraan, written) in [("[]", ""), (r#"["a"]"#, r#""a", "#), (r#"[["log:no"], "c"]"#, r#"["log:no"], "c", "#)] {
        for (link, behind) in [(None, String::new()), (Some(link), format!(r#", "prev:sha256:{link}""#))] {
            let eraan = Value::from_json(eraan).unwrap();
            let token = Token { eraan, link, header: Some(Text::new("log:é\"x")), ..base() };
            let text = hashed(&token, None);
            assert!(text.contains(&format!(r#""eraan": [{written}"log:\u00e9\"x"{behind}], "#)), "{text}");
            let read = Token::parse(&text).unwrap();
            assert_eq!((read.log_header().unwrap(), read.prev()), (Text::new("log:é\"x"), link));
            assert_eq!(read.verify(None), Ok(()));
        }
    }
    let prev = format!("\"prev:sha256:{link}\"");
    for none in [
        String::from("[]"),
        format!("[{prev}]"),
        String::from(r#"["log:a", "b"]"#),
        String::from(r#"[["log:a"]]"#),
        String::from(r#"[{"a": "log:a"}]"#),
        format!(r#"["log:a", "b", {prev}]"#),
        format!(r#"[["log:a"], {prev}]"#),
    ] {
        assert_eq!(Token { eraan: Value::from_json(&none).unwrap(), ..base() }.log_header(), None, "{none}");
    }
}

#[test]
fn numbers_that_are_none_are_named() {
    for (erin, finite) in
        [("NaN", false), ("[1, -Infinity]", false), ("1e999", false), (r#"{"a": 1e16}"#, true), ("1e308", true)]
    {
        let text = hashed(&Token { erin: Value::from_json(erin).unwrap(), ..base() }, None);
        let expected = if finite { Ok(()) } else { Err(Fault::NonFinite(Field::Erin)) };
        assert_eq!(Token::parse(&text).unwrap().verify(None), expected, "{erin}");
    }
}

/// What was hashed is what every reader reads, whatever it makes of a key that comes twice or of too many digits.
#[test]
fn values_that_say_something_else_than_was_hashed_do_not_verify() {
    let good = hashed(&Token { erin: Value::from_json(r#"{"x": 1.5, "a": [0.0]}"#).unwrap(), ..base() }, None);
    let check = |from: &str, to: &str| Token::parse(&good.replacen(from, to, 1)).unwrap().verify(None);
    assert_eq!(check("", ""), Ok(()));
    for (from, to) in [
        ("1.5", "1.50000000000000000001"),
        ("[0.0]", "[1e-400]"),
        (r#"{"x": "#, r#"{"x": 7, "x": "#),
        (r#"{"x": "#, r#"{"\u0078": 7, "x": "#),
    ] {
        assert_eq!(check(from, to), Err(Fault::Inexact(Field::Erin)), "{to}");
    }
    // The same number in another form is the same number.
    for (from, to) in [("1.5", "1.50"), ("1.5", "15e-1"), (r#"{"x": "#, r#"{ "x":"#)] {
        assert_eq!(check(from, to), Ok(()), "{to}");
    }
    let twice = check(r#""eromheen": {}"#, r#""eromheen": {"q": {"z": 1, "z": 1}}"#);
    assert_eq!(twice, Err(Fault::Inexact(Field::Eromheen)));
}

#[test]
fn what_is_wrong_with_a_line_is_said() {
    let error = |line: &str| Token::parse(line).unwrap_err();
    let good = r#"{"token_id":"t","action":"a","timestamp":"","actor":"b"}"#;
    assert_eq!(Token::parse(good).unwrap().verify(None), Err(Fault::MissingHash));
    assert_eq!(error("[]"), TokenError::NotAnObject);
    assert_eq!(error("{}"), TokenError::MissingMember(Field::TokenId));
    assert_eq!(error(r#"{"x":1,"token_id":2}"#), TokenError::UnknownMember { at: 1 });
    for twice in [r#""action":"evil","token_id""#, r#""\u0061ction":"a","token_id""#] {
        assert_eq!(error(&good.replace(r#""token_id""#, twice)), TokenError::Twice(Field::Action));
    }
    assert_eq!(error(&good.replace('}', r#","actor":"b"}"#)), TokenError::Twice(Field::Actor));
    assert_eq!(error(&good.replace(r#""b""#, "5")), TokenError::Mistyped(Field::Actor));
    assert_eq!(error(&good.replace('}', r#","eraan":{}}"#)), TokenError::Mistyped(Field::Eraan));
    assert_eq!(error(&good.replace('}', r#","state":"lost"}"#)), TokenError::UnknownState);
    assert!(matches!(error(&good[..20]), TokenError::NotJson(_)));
    assert_eq!(Token::parse_bytes(b"{\"a\xff").unwrap_err(), TokenError::NotUtf8 { at: 3 });
}

/// Any JSON value, as text with or without the spaces of `json.dumps`, keys in any order, some twice.
fn value() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?",
        "\"([a-z ]|\\\\n|\\\\u00e9|\u{e9}|\\\\ud83d\\\\ude00){0,8}\"",
        "true|false|null|\\[\\]|\\{\\}",
    ];
    scalar.prop_recursive(4, 64, 6, |inner| {
        let object = |spaced: bool| {
            move |members: Vec<(String, String)>| {
                let colon = if spaced { ": " } else { ":" };
                let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\"{colon}{value}")).collect();
                format!("{{{}}}", members.join(if spaced { ", " } else { "," }))
            }
        };
        let members = prop::collection::vec(("[a-d]{0,2}|\\\\u00e9|[a-c]{9}", inner.clone()), 1..6);
        prop_oneof![
            members.clone().prop_map(object(true)),
            members.prop_map(object(false)),
            prop::collection::vec(inner, 1..4).prop_map(|items| format!("[{}]", items.join(", "))),
        ]
    })
}

proptest! {
    /// What is copied because it looks canonical is what the general writer makes of it.
    #[test]
    fn what_is_known_of_spaced_values_is_true(text in value(), key in any::<[u8; 3]>()) {
        let given = format!(r#"{{"token_id": "t", "action": "a", "timestamp": "", "actor": "", "erin": {text}}}"#);
        let quick = Token::parse(&given).unwrap();
        let slow = Token { erin: Value::from_json(&text).unwrap(), ..quick };
        let key = MacKey::new(&key);
        prop_assert_eq!(quick.content_hash(None).unwrap(), slow.content_hash(None).unwrap());
        prop_assert_eq!(quick.content_hash(Some(&key)).unwrap(), slow.content_hash(Some(&key)).unwrap());
        prop_assert_eq!(quick.erin.is_finite(), slow.erin.is_finite());
        let mut input = Vec::new();
        quick.hash_input(&mut input).unwrap();
        prop_assert_eq!(quick.content_hash(None).unwrap(), Hash32::of(&input));
        prop_assert_eq!(quick.content_hash(Some(&key)).unwrap(), Hash32(key.tag(&input)));
        prop_assert_eq!(line(&quick), line(&slow));
    }

    /// What is written is read as the same token, and written as the same line.
    #[test]
    fn a_round_trip_loses_nothing(
        texts in prop::collection::vec(any::<String>(), 6),
        parent in any::<Option<String>>(),
        state in 0..State::ALL.len(),
        (erin, tail) in (value(), value()),
        (eraan, eromheen) in (prop::collection::vec(value(), 0..3), value()),
        mac in any::<bool>(),
    ) {
        let eraan = format!("[{}]", eraan.join(","));
        let eromheen = format!(r#"{{"x": {eromheen}, "b": {tail}}}"#);
        let key = mac.then(|| MacKey::new(b"key"));
        let token = Token {
            token_id: Text::new(&texts[0]),
            action: Text::new(&texts[1]),
            timestamp: Text::new(&texts[2]),
            actor: Text::new(&texts[3]),
            erin: Value::from_json(&erin).unwrap(),
            eraan: Value::from_json(&eraan).unwrap(),
            eromheen: Value::from_json(&eromheen).unwrap(),
            erachter: Text::new(&texts[4]),
            parent_id: parent.as_deref().map(Text::new),
            state: State::ALL[state],
            signature: Text::new(&texts[5]),
            ..Token::default()
        };
        let written = hashed(&token, key.as_ref());
        prop_assert!(written.is_ascii());
        let read = Token::parse(&written).unwrap();
        let hash = format!("{}", token.content_hash(key.as_ref()).unwrap());
        prop_assert_eq!(read, token.with(Text::new(&hash), token.signature));
        prop_assert_eq!(read.verify(key.as_ref()).is_ok(), token.check_finite().is_ok());
        prop_assert_eq!(line(&read), written.as_str());
        prop_assert_eq!(read.json_len().unwrap(), written.len());
    }

    /// Whatever byte of a line is changed: the line is no token any more, or its hash is found to be wrong, or nothing that
    /// the hash covers has changed.
    #[test]
    fn every_edit_is_found(at in any::<prop::sample::Index>(), byte in any::<u8>(), mac in any::<bool>()) {
        let key = mac.then(|| MacKey::new(b"key"));
        let token = Token {
            erin: Value::from_json(r#"{"temp": 21.5, "a": [1, "\u00e9"], "k": {"z": 1, "b": null}}"#).unwrap(),
            eraan: Value::from_json(r#"["x", "y"]"#).unwrap(),
            eromheen: Value::from_json(r#"{"ip": "1", "n": -7}"#).unwrap(),
            parent_id: Some(Text::new("p")),
            signature: Text::new("s"),
            timestamp: Text::new("2025-01-15T12:00:00"),
            ..base()
        };
        let good = hashed(&token, key.as_ref());
        let mut bad = good.clone().into_bytes();
        let at = at.index(bad.len());
        bad[at] = byte;
        if let Ok(read) = Token::parse_bytes(&bad) && read.verify(key.as_ref()).is_ok() {
            let sound = Token::parse(&good).unwrap();
            // Only the signature is outside of the hash; it is for the seal to find that.
            prop_assert_eq!(read.with(read.content_hash, sound.signature), sound);
        }
    }

    /// No bytes make it panic, and what it reads it can hash.
    #[test]
    fn nothing_panics(line in "[{}\\[\\]\",: a-c0-9.eE\\\\u]{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        for line in [line.as_bytes(), &bytes] {
            if let Ok(token) = Token::parse_bytes(line) {
                prop_assert!(token.content_hash(None).is_ok());
            }
        }
    }
}
