//! `signature_payload.jsonl` and `tokens.jsonl`: canonical text, to the byte.

use crate::common::{Json, fixture_bytes, rows};
use sha2::{Digest as _, Sha256};
use sluis_core::data::canonical::{self, Member};
use sluis_core::data::{Counter, FnSink, Separators, Style, Value};
use sluis_core::framing::{Frame, Message, Packet};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn signature_payload(packet: &Packet<'_>) -> String {
    let mut out = Vec::new();
    packet.signature_payload(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn signature_payloads() {
    let frames = rows("frames.jsonl");
    for row in rows("signature_payload.jsonl") {
        let id = row.id();
        // The frame of the same packet, where there is one: decoded and built must give the same text.
        let frame = frames.iter().find(|frame| frame.id() == format!("{id}.json")).map(|frame| frame.frame());
        let decoded = frame.as_ref().and_then(|frame| Frame::decode(frame).ok());
        let fields = row.get("fields").filter(|fields| !fields.is_null());
        let built = fields.and_then(|fields| crate::packets::message("packet", fields));
        let mut texts = Vec::new();
        for message in decoded.map(|frame| frame.message).into_iter().chain(built) {
            let Message::Packet(packet) = message else { panic!("{id} is a packet") };
            let text = signature_payload(&packet);
            let mut hasher = Sha256::new();
            packet.signature_payload(&mut FnSink(|bytes: &[u8]| hasher.update(bytes))).unwrap();
            let mut counter = Counter::default();
            packet.signature_payload(&mut counter).unwrap();
            assert_eq!(hex(&hasher.finalize()), row.str("sha256"), "{id}: {text}");
            assert_eq!(i64::try_from(counter.count()).unwrap(), row.int("len"), "{id}");
            texts.push(text);
        }
        if id == "p_hop_count_is_float" {
            // No such packet here (a listed deviation); hops are not signed, so any will do.
            assert!(texts.is_empty());
            let Some(Json::Object(mut members)) = fields.cloned() else { panic!("{id} has members") };
            for (_, value) in members.iter_mut().filter(|(key, _)| key == "hop_count" || key == "max_hops") {
                *value = Json::Int(1);
            }
            let Some(Message::Packet(packet)) = crate::packets::message("packet", &Json::Object(members)) else {
                panic!("{id} is a packet")
            };
            texts.push(signature_payload(&packet));
        }
        assert!(!texts.is_empty(), "{id}: neither built nor decoded");
        if let Some(canonical) = row.opt_str("canonical") {
            assert!(texts.iter().all(|text| text == canonical), "{id}: {texts:?}");
        }
    }
}

/// The members that a token's hash covers; content hash and signature are left out.
const HASHED: usize = 10;

#[test]
fn token_hash_inputs() {
    let mut checked = 0;
    for row in rows("tokens.jsonl") {
        let Some(Json::Object(fields)) = row.get("fields") else { continue };
        let members: Vec<(&str, Member<'_>)> =
            fields.iter().map(|(key, json)| (key.as_str(), crate::packets::value(json).unwrap().into())).collect();
        let hashed = &members[..HASHED];
        let mut reversed = hashed.to_vec();
        reversed.reverse();
        for members in [hashed, &reversed] {
            let mut text = Vec::new();
            canonical::write_object(&mut text, members, Style::canonical(Separators::Spaced)).unwrap();
            assert_eq!(String::from_utf8(text).unwrap(), row.str("hash_input"), "{}", row.id());
        }
        let mut hasher = Sha256::new();
        let mut sink = FnSink(|bytes: &[u8]| hasher.update(bytes));
        canonical::write_object(&mut sink, hashed, Style::canonical(Separators::Spaced)).unwrap();
        // One row holds a hash that was made up.
        assert_eq!(hex(&hasher.finalize()) == row.str("content_hash"), row.bool("verify"), "{}", row.id());

        // The same as one value.
        let whole = Json::Object(fields[..HASHED].to_vec());
        let mut text = Vec::new();
        canonical::write(&mut text, crate::packets::value(&whole).unwrap(), Separators::Spaced).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), row.str("hash_input"), "{}", row.id());

        let mut text = Vec::new();
        canonical::write_object(&mut text, &members, Style::SPACED).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), row.str("to_json"), "{}", row.id());
        let mut text = Vec::new();
        let stored = Value::from_json(row.str("to_json")).unwrap();
        stored.write_json(&mut text, Style::SPACED).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), row.str("to_json"), "{}", row.id());
        checked += 1;
    }
    assert_eq!(checked, 40);
}

#[test]
fn python_prints_floats_like_this() {
    // One a line: the bits in hex, and what Python's `repr` makes of them.
    let table = String::from_utf8(fixture_bytes("../python_floats.txt")).unwrap();
    let mut checked = 0;
    for line in table.lines() {
        let (bits, printed) = line.split_once(' ').unwrap();
        let x = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
        let number = sluis_core::framing::Number::from(x);
        assert_eq!(number.to_string(), printed, "{bits}");
        let read = Value::from_json(printed).unwrap().as_number().unwrap();
        assert_eq!(read, number, "{printed}");
        // A literal that looks like another one is still printed like this.
        let longer = format!("[{x:e}, {printed}]");
        let again = Value::from_json(&longer).unwrap().to_json_string().unwrap();
        assert_eq!(again, format!("[{printed},{printed}]"));
        checked += 1;
    }
    assert!(checked >= 2000, "{checked}");
}
