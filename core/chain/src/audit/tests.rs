use std::string::{String, ToString};

use super::{Happening, Judgement, Kinds, MAX_PAYLOAD, Recorder};
use crate::token::Token;
use sluis_core::framing::{Number, Packet, Text, Value};

fn ping(payload: Value<'_>) -> Happening<'_> {
    let judgement = Judgement {
        decision: Text::new("accept"),
        trust_score: Number::Float(f64::NAN),
        zone: Text::new("GROEN"),
        rule: Some(Text::new("r\u{e9}gle")),
    };
    let packet = Packet { source_did: Text::new("jis:a\"\n"), payload, ..Packet::default() };
    Happening::Ping { packet, judgement: Some(judgement), at: Some("[::1]:7150".parse().unwrap()) }
}

#[test]
fn what_others_cannot_check_is_left_out_and_said_to_be() {
    let long = std::format!("\"{}\"", "x".repeat(MAX_PAYLOAD - 1));
    let fits = std::format!("\"{}\"", "x".repeat(MAX_PAYLOAD - 2));
    let bytes = [0xc4, 1, 7];
    let mut recorder = Recorder::new("jis:hub");
    for (payload, whole) in [
        (Value::from_json("[1, NaN]").unwrap(), false),
        (Value::from_json(&long).unwrap(), false),
        (Value::from_json(&fits).unwrap(), true),
        (Value::from_msgpack(&bytes).unwrap(), false),
        (Value::from_json(r#"{"b":1,"a":[2]}"#).unwrap(), true),
    ] {
        let draft = recorder.draft(&ping(payload)).unwrap();
        assert_eq!(draft.erin.get("payload").is_some(), whole);
        assert_eq!(draft.eromheen.get("payload_left_out").is_some(), !whole);
        let (mut line, mut hashed) = (std::vec::Vec::new(), draft);
        let hash = draft.content_hash(None).unwrap().to_string();
        hashed.content_hash = Text::new(&hash);
        hashed.write_json(&mut line).unwrap();
        assert_eq!(Token::parse_bytes(&line).unwrap().verify(None), Ok(()));
        assert_eq!(draft.actor, "jis:a\"\n");
        assert_eq!(draft.eromheen.get("host").and_then(Value::as_text), Some(Text::new("::1")));
        assert!(draft.eromheen.get("trust_score").is_some_and(Value::is_null));
    }
}

#[test]
fn the_operator_switches() {
    let mut recorder = Recorder::new("jis:hub").kinds(Kinds::ALL.without(Kinds::PING));
    assert!(!recorder.wants(Kinds::PING) && recorder.wants(Kinds::TRUST.and(Kinds::DECISION)));
    assert_eq!(recorder.draft(&ping(Value::NULL)), None);
    let lost = Happening::Lost { did: Text::new("jis:b") };
    let draft = recorder.draft(&lost).unwrap();
    assert_eq!((draft.actor, draft.parent_id), (Text::new("jis:hub"), None));
    recorder.follow(Text::new("tibet_1"));
    let draft = recorder.draft(&lost).unwrap();
    assert_eq!(draft.parent_id.map(|id| id.to_string()), Some(String::from("tibet_1")));
    assert_eq!(recorder.kinds(Kinds::NONE).draft(&lost), None);
}
