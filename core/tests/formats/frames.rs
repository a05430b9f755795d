//! `frames.jsonl` and `encode_errors.jsonl`: our bytes are the reference's bytes.

use crate::common::{Deviations, Row, rows};
use sluis_core::data::{EncodeError, Unrepresentable, Value};
use sluis_core::framing::{Encoding, Frame, Message, Packet};
use sluis_core::limits::MAX_FRAME;

fn encoding(row: &Row) -> Encoding {
    match row.str("codec") {
        "json" => Encoding::Json,
        "msgpack" => Encoding::Msgpack,
        codec => panic!("unknown codec {codec}"),
    }
}

/// Encode in every way there is, and see that they agree.
fn encode(message: &Message<'_>, encoding: Encoding) -> Result<Vec<u8>, EncodeError> {
    let mut out = vec![0xaa; MAX_FRAME + 8];
    let counted = match message {
        Message::Packet(packet) => packet.encoded_len(encoding),
        Message::Response(response) => response.encoded_len(encoding),
    };
    let len = message.encode(encoding, &mut out);
    assert_eq!(len, counted);
    let len = len?;
    assert!(out[len..].iter().all(|b| *b == 0xaa), "written behind the end");
    out.truncate(len);

    let mut exact = vec![0; len];
    assert_eq!(message.encode(encoding, &mut exact), Ok(len));
    assert_eq!(exact, out);
    for short in [0, 1, 7, 8, len / 2, len - 1] {
        assert_eq!(message.encode(encoding, &mut exact[..short]), Err(EncodeError::BufferFull), "{short}");
    }
    Ok(out)
}

/// What becomes of a row: the same bytes both ways round, or which step went wrong.
fn outcome(row: &Row) -> String {
    let (frame, encoding) = (row.frame(), encoding(row));
    let Ok(decoded) = Frame::decode(&frame) else { return "error".into() };
    if decoded.encoding != encoding {
        return "other encoding".into();
    }
    if encode(&decoded.message, encoding).as_ref() != Ok(&frame) {
        return "decode and encode differ".into();
    }
    if row.get("fields").is_none() {
        return "identical".into();
    }
    let Some(built) = crate::packets::of_row(row) else { return "cannot be built".into() };
    if built != decoded.message {
        return format!("decoded as {:?}", decoded.message);
    }
    if encode(&built, encoding).as_ref() != Ok(&frame) {
        return "build and encode differ".into();
    }
    "identical".into()
}

#[test]
fn frames_are_byte_identical() {
    let mut deviations = Deviations::of("frames.jsonl");
    for row in rows("frames.jsonl") {
        assert!(row.bool("reencode_identical"));
        deviations.check(row.id(), "identical", &outcome(&row));
    }
    deviations.finish();
}

#[test]
fn what_the_encoder_refuses() {
    let mut deviations = Deviations::of("encode_errors.jsonl");
    let frames = rows("frames.jsonl");
    let minimal = frames.iter().find(|row| row.id() == "p_minimal.json").unwrap();
    let Some(Message::Packet(minimal)) = crate::packets::of_row(minimal) else { panic!("p_minimal is a packet") };
    for row in rows("encode_errors.jsonl") {
        let message = match row.opt_str("build") {
            Some(build) => {
                let count = build.strip_prefix("p_minimal with payload {\"s\": \"z\" * ").unwrap();
                let count = count.strip_suffix('}').unwrap().parse().unwrap();
                let payload = format!("{{\"s\":\"{}\"}}", "z".repeat(count)).leak();
                Some(Message::Packet(Packet { payload: Value::from_json(payload).unwrap(), ..minimal }))
            }
            None => crate::packets::of_row(&row),
        };
        // A value cannot even be built from sets or from maps with other keys than texts and bytes.
        let ours = match message.map(|message| encode(&message, encoding(&row))) {
            None => "unrepresentable".into(),
            Some(Err(EncodeError::TooLarge { .. })) => "payload_too_large".into(),
            Some(Err(EncodeError::Unrepresentable(what))) => match what {
                Unrepresentable::Bytes | Unrepresentable::Extension => "unrepresentable".into(),
                Unrepresentable::BigInteger => "int_out_of_range".into(),
                Unrepresentable::LoneSurrogate => "lone_surrogate".into(),
            },
            Some(Err(error)) => error.to_string(),
            Some(Ok(_)) => "encoded".into(),
        };
        let reference = match row.opt_str("error") {
            Some("wrong_container_type") => "unrepresentable",
            Some(error) => error,
            None => "encoded",
        };
        deviations.check(row.id(), reference, &ours);
    }
    deviations.finish();
}
