//! Signed packets: the reference takes them, finds its signature good, and passes them on without what it does not know; a
//! verifier in Python that was written from `docs/wire.md` finds the proofs good.

use std::path::Path;
use std::process::Command;

use sluis_core::framing::{Decision, Encoding, Number, Packet, Response, Text, Value};
use sluis_core::identity::SecretKey;
use sluis_core::limits::MAX_FRAME;

use crate::common::json::Json;
use crate::peers;

const PAYLOAD: &str = r#"{"z":[1,1.0,-0.0,1e16,1e-07,true,null],"text":"quote \" slash \\ / \u00e9 \ud83d\ude80 \u0000\u007f","\u00e9":{"b":{},"a":[]}}"#;

fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn encoded(encode: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let mut out = vec![0; MAX_FRAME];
    let len = encode(&mut out);
    out.truncate(len);
    out
}

fn judged(python: &Path, ping: &[u8], answer: &[u8]) -> Json {
    let done = Command::new(python).arg(peers::script("ref_signature.py")).args([hex(ping), hex(answer)]).output();
    let done = done.expect("python runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Json::parse(&String::from_utf8_lossy(&done.stdout))
}

fn signed_packets_hold_in_python(python: &Path, encoding: Encoding) {
    let (sensor, hub) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
    let plain = Packet {
        packet_id: Text::new("ping_0123456789abcdef"),
        source_did: Text::new("jis:a"),
        target_did: Text::new("jis:b"),
        intent: Text::new("temperature.read"),
        purpose: Text::new("caf\u{e9} \u{1f680}"),
        payload: Value::from_json(PAYLOAD).expect("JSON"),
        pod_id: Some(Text::new("pod")),
        hop_count: 3,
        nonce: Text::new("00112233445566778899aabbccddeeff"),
        timestamp: Text::new("2025-01-15T12:00:00+00:00"),
        ..Packet::default()
    };
    let made = plain.sign(encoding, &sensor, &mut [0; 4096]).expect("JSON has a form for it");
    let ping = made.on(plain);
    let asked = ping.digest(encoding).expect("JSON has a form for it");
    let answer = Response {
        in_response_to: plain.packet_id,
        decision: Decision::Accept,
        payload: plain.payload,
        trust_score: Number::Float(0.9),
        rtt_ms: Some(Number::Int(7)),
        ..Response::default()
    };
    let proof = answer.sign(encoding, &asked, &hub).expect("JSON has a form for it");
    let answer = Response { proof: Some(proof.as_text()), ..answer };
    let frames = |purpose: &'static str| {
        let changed = Packet { purpose: if purpose.is_empty() { ping.purpose } else { Text::new(purpose) }, ..ping };
        [
            encoded(|out| changed.encode(encoding, out).expect("room")),
            encoded(|out| answer.encode(encoding, out).expect("room")),
        ]
    };

    let [frame, reply] = frames("");
    let said = judged(python, &frame, &reply);
    for what in ["signature", "ping", "answer"] {
        assert_eq!(said.get(what), &Json::Bool(true), "{what}");
    }
    assert_eq!(said.str("decision"), "accept");
    let without = encoded(|out| Packet { proof: None, ..ping }.encode(encoding, out).expect("room"));
    assert_eq!(said.str("again"), hex(&without));

    // Another purpose: the reference's signature still holds, and neither proof does.
    let [frame, reply] = frames("another");
    let said = judged(python, &frame, &reply);
    let held = ["signature", "ping", "answer"].map(|what| said.get(what).clone());
    assert_eq!(held, [true, false, false].map(Json::Bool));
}

#[test]
fn json() {
    if let Some(python) = peers::python() {
        signed_packets_hold_in_python(python, Encoding::Json);
    }
}

#[test]
fn msgpack() {
    if let Some(python) = peers::python() {
        signed_packets_hold_in_python(python, Encoding::Msgpack);
    }
}
