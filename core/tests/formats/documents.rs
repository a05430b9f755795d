//! What `docs/wire.md` shows is what goes over the wire.
#![allow(clippy::disallowed_methods, reason = "the document is a file")]

use sluis_core::data::{Number, Text, Value};
use sluis_core::framing::{Decision, Encoding, Frame, Message, Packet, Response};
use sluis_core::identity::SecretKey;
use sluis_core::limits::HEADER_LEN;

const ENCODINGS: [(&str, Encoding); 3] =
    [("json", Encoding::Json), ("msgpack", Encoding::Msgpack), ("postcard", Encoding::Postcard)];

fn ping() -> Packet<'static> {
    Packet {
        packet_id: Text::new("ping_0123456789abcdef"),
        source_did: Text::new("jis:a"),
        target_did: Text::new("jis:b"),
        intent: Text::new("temperature.read"),
        purpose: Text::new("caf\u{e9}"),
        payload: Value::from_json(r#"{"room":"attic","n":[1,-1,0.5]}"#).unwrap(),
        nonce: Text::new("00112233445566778899aabbccddeeff"),
        timestamp: Text::new("2025-01-15T12:00:00+00:00"),
        ..Packet::default()
    }
}

fn response() -> Response<'static> {
    Response {
        response_id: Text::new("resp_0123456789abcdef"),
        in_response_to: Text::new("ping_0123456789abcdef"),
        responder_did: Text::new("jis:b"),
        decision: Decision::Accept,
        payload: Value::from_json(r#"{"celsius":21.5}"#).unwrap(),
        trust_score: Number::Float(0.9),
        timestamp: Text::new("2025-01-15T12:00:00.000125+00:00"),
        rtt_ms: Some(Number::Float(0.125)),
        airlock_zone: Text::new("GROEN"),
        ..Response::default()
    }
}

/// The frame as the document shows it: hex, 32 bytes a line.
fn shown(name: &str, frame: &[u8]) -> String {
    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<&str> = hex.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("```text\n{name}\n{}\n```\n", lines.join("\n"))
}

/// The payloads of the signed packets.
fn signed() -> (Vec<u8>, Vec<u8>) {
    let (key, hub) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
    let made = ping().sign(Encoding::Json, &key, &mut [0; 1024]).unwrap();
    let ping = made.on(ping());
    let asked = ping.digest(Encoding::Json).unwrap();
    let proof = response().sign(Encoding::Json, &asked, &hub).unwrap();
    let response = Response { proof: Some(proof.as_text()), ..response() };
    let payload = |message: Message<'_>| {
        let mut out = [0; 2048];
        let len = message.encode(Encoding::Json, &mut out).unwrap();
        out[HEADER_LEN..len].to_vec()
    };
    (payload(Message::Packet(ping)), payload(Message::Response(response)))
}

/// A payload in JSON as the document shows it.
fn shown_text(name: &str, payload: &[u8]) -> String {
    format!("```text\n{name}\n{}\n```\n", std::str::from_utf8(payload).unwrap())
}

#[test]
fn the_examples_of_the_wire_document_are_its_bytes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut missing = String::new();
    for (word, encoding) in ENCODINGS {
        let mut out = [0; 2048];
        for (name, message) in [("ping", Message::Packet(ping())), ("response", Message::Response(response()))] {
            let len = match message {
                Message::Packet(packet) => packet.encode(encoding, &mut out).unwrap(),
                Message::Response(response) => response.encode(encoding, &mut out).unwrap(),
            };
            assert_eq!(Frame::decode(&out[..len]).unwrap(), Frame { encoding, message }, "{word} {name}");
            let example = shown(&format!("{name}, {word}"), &out[..len]);
            if !document.contains(&example) {
                missing += &example;
            }
        }
    }
    let mut canonical = Vec::new();
    ping().signature_payload(&mut canonical).unwrap();
    let example = format!("```text\n{}\n```\n", String::from_utf8(canonical).unwrap());
    if !document.contains(&example) {
        missing += &example;
    }
    let signed = signed();
    for example in [shown_text("ping, json, signed", &signed.0), shown_text("response to it, json, signed", &signed.1)]
    {
        if !document.contains(&example) {
            missing += &example;
        }
    }
    assert!(missing.is_empty(), "docs/wire.md does not show\n{missing}");
}

/// The record of a device, with all that a record can have.
#[cfg(feature = "alloc")]
#[test]
fn the_record_of_the_wire_document_is_its_bytes() {
    use sluis_core::registry::{Address, Draft, Record, Role};
    let endpoints = ["hub.example:7150", "192.0.2.7:7150"].map(|text| Address::parse(text).unwrap());
    let draft = Draft {
        did: "jis:home:sensor",
        seq: 9,
        issued: 1_764_400_000,
        expires: 1_764_403_600,
        behind_nat: true,
        role: Role::Hybrid,
        endpoints: &endpoints,
        capabilities: &["temperature", "humidity"],
        pods: &["kitchen"],
        stations: &["A"],
        metadata: &[("model", "x1"), ("fw", "")],
    };
    let mut buf = [0; Record::MAX_LEN];
    let record = draft.sign(&SecretKey::from_seed(&[1; 32]), &mut buf).unwrap();
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire.md")).unwrap();
    let example = shown("record", record.as_bytes());
    assert!(document.contains(&example), "docs/wire.md does not show\n{example}");
}
