use core::net::SocketAddr;
use std::boxed::Box;
use std::string::{String, ToString};

use sha2::Digest as _;

use super::{Happening, Judgement, Kinds, Losses, MAX_LINE, MAX_PAYLOAD, MAX_TEXT, OverlayAction, Recorder};
use crate::token::Token;
use crate::verify::{Settings, Verifier};
use sluis_core::Seed;
use sluis_core::data::{Number, Text, Value};
use sluis_core::framing::Packet;
use sluis_core::identity::SecretKey;
use sluis_core::time::{Duration, Wall};

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

/// What a writer would change is kept as the text that it was, and is known by its length and hash.
#[test]
fn what_a_token_would_say_otherwise_is_kept_as_it_was_sent() {
    let mut recorder = Recorder::new("jis:hub");
    let msgpack = b"\x82\xa1a\x01\xa1a\x02";
    let long = std::format!("[1e-400, \"{}\"]", "x".repeat(2 * MAX_TEXT));
    for (payload, kept) in [
        (Value::from_json("1e-400").unwrap(), Some("1e-400")),
        (Value::from_json(r#"{"a":1,"a":2}"#).unwrap(), Some(r#"{"a":1,"a":2}"#)),
        (Value::from_json("[1, NaN]").unwrap(), Some("[1, NaN]")),
        (Value::from_json(&long).unwrap(), Some(&long[..MAX_TEXT])),
        (Value::from_msgpack(msgpack).unwrap(), None),
    ] {
        let draft = recorder.draft(&ping(payload)).unwrap();
        assert_eq!((draft.erin.get("payload"), draft.eromheen.get("payload_left_out").is_some()), (None, true));
        assert_eq!(draft.erin.get("payload_text").and_then(Value::as_text), kept.map(Text::new));
        let known = draft.eromheen.get("shortened").and_then(|all| all.get("erin.payload")).unwrap();
        let hash = crate::token::Hash32::of(payload.as_bytes()).to_string();
        assert_eq!(known.get("sha256").and_then(Value::as_text), Some(Text::new(&hash)));
        let len = i64::try_from(payload.as_bytes().len()).unwrap();
        assert_eq!(known.get("bytes").and_then(Value::as_number), Some(Number::Int(len)));
        line(draft);
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

fn addr() -> SocketAddr {
    "[::1]:7150".parse().unwrap()
}

/// Every text of the happening is this one.
fn everywhere(text: Text<'_>) -> [Happening<'_>; 9] {
    let judgement = Judgement { decision: text, trust_score: Number::Float(0.5), zone: text, rule: Some(text) };
    let packet = Packet {
        packet_id: text,
        source_did: text,
        target_did: text,
        intent: text,
        purpose: text,
        pod_id: Some(text),
        station_id: Some(text),
        ..Packet::default()
    };
    let at = Some(addr());
    [
        Happening::Ping { packet, judgement: Some(judgement), at },
        Happening::Response { packet_id: text, responder: text, judgement, rtt: Duration::from_secs(1), at },
        Happening::Heartbeat { source: text, at, status: Some(text) },
        Happening::Discovery { did: text, at, decision: "accepted" },
        Happening::Relay { source: text, target: text, hop_count: i64::MAX, to: at },
        Happening::Trust { did: text, old: 0.1, new: 0.9, reason: text, zones: (0.7, 0.3) },
        Happening::Decided { packet_id: text, source: text, decision: None },
        Happening::Overlay(OverlayAction::Registered {
            did: text,
            endpoint: Some(text),
            seq: 1,
            expires: 2,
            at: addr(),
        }),
        Happening::Overlay(OverlayAction::Moved { did: text, from: Some(text), to: Some(text) }),
    ]
}

/// The line of a draft, hashed, which a reader takes.
fn line(draft: Token<'_>) -> std::vec::Vec<u8> {
    let (mut line, mut hashed) = (std::vec::Vec::new(), draft);
    hashed.timestamp = Text::new("2025-01-15T12:00:00+00:00");
    let hash = hashed.content_hash(None).unwrap().to_string();
    hashed.content_hash = Text::new(&hash);
    hashed.write_json(&mut line).unwrap();
    assert_eq!(Token::parse_bytes(&line).unwrap().verify(None), Ok(()));
    line
}

#[test]
fn a_token_always_fits_whatever_strangers_wrote() {
    let mut recorder = Recorder::new("jis:hub");
    // As long as a datagram can bring them, and as JSON blows them up most.
    for piece in ["\u{1}", "\"", "\u{e9}", "\u{1f980}", "x", "\\ud800"] {
        let long = piece.repeat(65_536 / piece.len());
        let json = std::format!("\"{long}\"");
        let escaped = piece.starts_with('\\');
        let text = if escaped { Value::from_json(&json).unwrap().as_text().unwrap() } else { Text::new(&long) };
        for happening in everywhere(text) {
            let draft = recorder.draft(&happening).unwrap();
            assert!(draft.eromheen.get("shortened").is_some_and(Value::is_object));
            // Beside the largest payload there is room for id, time, parent, links and a seal.
            let len = line(draft).len();
            assert!(len + MAX_PAYLOAD + 4096 <= MAX_LINE, "{piece:?}: {len} bytes for {happening:?}");
        }
    }
}

#[test]
fn what_is_shortened_is_known_by_length_and_hash() {
    let purpose = "\u{e9}".repeat(22_000);
    let payload = std::format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_PAYLOAD));
    let packet = Packet {
        source_did: Text::new("jis:a"),
        target_did: Text::new("jis:b"),
        purpose: Text::new(&purpose),
        payload: Value::from_json(&payload).unwrap(),
        ..Packet::default()
    };
    let mut recorder = Recorder::new("jis:hub");
    let draft = recorder.draft(&Happening::Ping { packet, judgement: None, at: None }).unwrap();
    let kept = "\u{e9}".repeat(MAX_TEXT / 2);
    assert_eq!(draft.erin.get("purpose").and_then(Value::as_text), Some(Text::new(&kept)));
    assert_eq!(draft.erachter, Text::new(&kept));
    let sha256 = |bytes: &[u8]| crate::token::Hash32(sha2::Sha256::digest(bytes).into());
    let shortened = draft.eromheen.get("shortened").unwrap();
    // As Python's `json.dumps` writes it.
    let whole_payload = payload.replacen("\":\"", "\": \"", 1);
    for (path, whole) in [("erin.purpose", &purpose), ("erachter", &purpose), ("erin.payload", &whole_payload)] {
        let known = shortened.get(path).unwrap_or_else(|| panic!("{path} in {shortened:?}"));
        assert_eq!(known.get("bytes"), Some(Value::from_json(&whole.len().to_string()).unwrap()), "{path}");
        let hash = known.get("sha256").and_then(Value::as_text).unwrap().to_string();
        assert_eq!(hash, sha256(whole.as_bytes()).to_string(), "{path}");
    }
    // What is not long says nothing of it.
    let packet = Packet { purpose: Text::new("short"), payload: Value::EMPTY_OBJECT, ..packet };
    let draft = recorder.draft(&Happening::Ping { packet, judgement: None, at: None }).unwrap();
    assert_eq!(draft.eromheen.get("shortened"), None);
}

/// Whoever reads it later learns which token let a device in, and who made it worth nothing.
#[test]
fn what_happens_in_the_overlay_is_told_by_names_and_ids() {
    let mut recorder = Recorder::new("jis:hub");
    let key = SecretKey::from_seed(&[7; 32]).public();
    let named = [Box::from("jis:a"), Box::from("jis:\"b")];
    let did = Text::new("jis:lamp");
    let id = [0xab; 16];
    let joined = OverlayAction::Joined { did, key, token: [1; 8], trust: 0.8 };
    let failed = OverlayAction::Verified { did, key, at: addr(), took: None, score: Some(0.5) };
    let fingerprint = std::format!(r#""fingerprint": "{}""#, key.fingerprint());
    let with_key = |rest: &str| rest.replace("KEY", &fingerprint);
    for (action, name, actor, erin, eromheen) in [
        (
            OverlayAction::TokenMade { id: [1; 8], uses: 3, expires: 9, trust: 0.75 },
            "join_token_made",
            "jis:hub",
            r#"{"join_token": "0101010101010101", "uses": 3, "expires": 9}"#,
            r#"{"trust_score": 0.75}"#,
        ),
        (
            OverlayAction::TokenRevoked { id: [1; 8] },
            "join_token_revoked",
            "jis:hub",
            r#"{"join_token": "0101010101010101"}"#,
            "{}",
        ),
        (
            joined,
            "joined",
            "jis:lamp",
            r#"{"did": "jis:lamp", "join_token": "0101010101010101", KEY}"#,
            r#"{"trust_score": 0.8}"#,
        ),
        (
            failed,
            "failed_verify",
            "jis:hub",
            r#"{"did": "jis:lamp", KEY, "verified": false}"#,
            r#"{"host": "::1", "port": 7150, "trust_score": 0.5}"#,
        ),
        (
            OverlayAction::Vouched { id, voucher: did, named: &named, expires: 9 },
            "vouched",
            "jis:lamp",
            r#"{"did": "jis:lamp", "vouch": "abababababababababababababababab", "named": ["jis:a", "jis:\"b"], "expires": 9}"#,
            "{}",
        ),
    ] {
        let draft = recorder.draft(&Happening::Overlay(action)).unwrap();
        assert_eq!((draft.action, draft.actor), (Text::new(name), Text::new(actor)));
        assert_eq!(draft.erin.json_text(), Some(&*with_key(erin)), "{name}");
        assert_eq!(draft.eromheen.json_text(), Some(eromheen), "{name}");
        line(draft);
    }
}

#[test]
fn a_gap_says_how_many_and_since_when() {
    let mut losses = Losses::default();
    assert_eq!(losses.happening(), None);
    let at = |seconds: i64| Wall::from_micros((1_736_942_400 + seconds) * 1_000_000);
    losses.add(at(5));
    losses.add(at(3));
    let mut others = Losses::NONE;
    others.add(at(9));
    losses.merge(others);
    // Whatever is recorded.
    let mut recorder = Recorder::new("jis:hub").kinds(Kinds::NONE);
    let draft = recorder.draft(&losses.happening().unwrap()).unwrap();
    assert_eq!((draft.lost_events(), draft.actor), (Some(3), Text::new("jis:hub")));
    assert_eq!(draft.erachter, "3 events are not recorded");
    assert_eq!(draft.erin.get("from").and_then(Value::as_text), Some(Text::new("2025-01-15T12:00:03+00:00")));
    assert_eq!(draft.erin.get("until").and_then(Value::as_text), Some(Text::new("2025-01-15T12:00:09+00:00")));
    let mut file = line(draft);
    file.push(b'\n');
    let mut twice = file.clone();
    twice.extend_from_slice(&file);
    let (mut verifier, mut findings) =
        (Verifier::new(Settings::default(), None, &Seed::from_u64(1)), std::vec::Vec::new());
    verifier.push(&twice, &mut |finding| findings.push(finding));
    let (summary, ()) = verifier.finish(&mut |finding| findings.push(finding));
    // The same one twice, but its number counts by what is written.
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((summary.lost, summary.tokens), (6, 2));
    // A token that does not hold says nothing.
    let forged = String::from_utf8(file).unwrap().replace("\"count\": 3", "\"count\": 9");
    let mut verifier = Verifier::new(Settings::default(), None, &Seed::from_u64(1));
    verifier.push(forged.as_bytes(), &mut |_| {});
    assert_eq!(verifier.finish(&mut |_| {}).0.lost, 0);
}
