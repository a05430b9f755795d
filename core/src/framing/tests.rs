//! What the room promises in single cases; properties of it all are in `tests/formats`.

use super::{DecodeError, EncodeError, Encoding, Frame, Header, Message, ParseError, Text, Value};
use crate::Reject;
use crate::data::MAX_DEPTH;
use crate::limits::{MAX_FRAME, MAX_PAYLOAD};

/// A minimal ping with this payload.
fn ping(payload: &str) -> std::vec::Vec<u8> {
    let head = r#"{"packet_id":"p","source_did":"a","target_did":"b","ping_type":"intent","priority":2,"#;
    let text = std::format!(r#"{head}"routing_mode":"direct","intent":"i","purpose":"","payload":{payload}}}"#);
    framed(0, text.as_bytes())
}

fn framed(flags: u8, payload: &[u8]) -> std::vec::Vec<u8> {
    let mut frame = std::vec![b'T', b'P', 1, flags];
    frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend(payload);
    frame
}

#[test]
fn headers() {
    for encoding in [Encoding::Json, Encoding::Msgpack, Encoding::Postcard] {
        for response in [false, true] {
            let header = Header { response, encoding, len: 0x0102_0304 };
            assert_eq!(Header::parse(&header.to_bytes()), Ok(header));
        }
    }
    for flags in 0..=255_u8 {
        let parsed = Header::parse(&[b'T', b'P', 1, flags, 0, 0, 0, 0]).map(|header| header.encoding);
        let expected = match flags {
            _ if flags & 4 != 0 && flags & !1 != 4 => Err(DecodeError::BadFlags),
            4 | 5 => Ok(Encoding::Postcard),
            _ if flags & 2 != 0 => Ok(Encoding::Msgpack),
            _ => Ok(Encoding::Json),
        };
        assert_eq!(parsed, expected, "{flags:#x}");
    }
    assert_eq!(Header::split(b"TP\x01\x00\x00\x00\x00\x02abc").map(|(_, payload)| payload), Ok(&b"ab"[..]));
    assert_eq!(Header::split(b"TP\x01\x00\x00\x00\x00\x02a"), Err(DecodeError::TruncatedPayload));
    let large = framed(0, &[b' '; MAX_PAYLOAD + 1]);
    assert_eq!(Header::split(&large), Err(DecodeError::TooLarge));
}

#[test]
fn rejects_are_counted_by_what_they_are() {
    for (error, reject) in [
        (DecodeError::TruncatedHeader, Reject::Header),
        (DecodeError::BadFlags, Reject::Header),
        (DecodeError::TruncatedPayload, Reject::Header),
        (DecodeError::TooLarge, Reject::TooLong),
        (DecodeError::Value(ParseError::TooDeep), Reject::TooLong),
        (DecodeError::Value(ParseError::BadJson), Reject::Malformed),
        (DecodeError::Mistyped, Reject::Malformed),
    ] {
        assert_eq!(Reject::from(error), reject, "{error}");
    }
}

#[test]
fn nesting_has_a_limit() {
    for (depth, expected) in
        [(500, Ok(())), (MAX_DEPTH, Ok(())), (MAX_DEPTH + 1, Err(DecodeError::Value(ParseError::TooDeep)))]
    {
        for (open, close) in [("[", "]"), ("{\"\":", "}"), ("[null, ", "]"), ("{\"a\":1,\"\":", "}")] {
            let frame = ping(&(open.repeat(depth) + "1" + &close.repeat(depth)));
            assert_eq!(Frame::decode(&frame).map(|_| ()), expected, "{depth} {open}");
        }
    }
}

#[test]
fn packet_keys_may_be_escaped_and_come_twice() {
    let text = r#"{"\u0070acket_id":1,"packet_id":"p","source_did":"a","target_did":"b","ping_type":"int\u0065nt",
        "priority":2,"routing_mode":"direct","intent":"i","purpose":"", "unknown" : [{}], "hop_count": -3 }"#;
    let frame = framed(0, text.as_bytes());
    let Ok(Frame { message: Message::Packet(packet), .. }) = Frame::decode(&frame) else { panic!("a ping") };
    assert_eq!((packet.packet_id, packet.hop_count, packet.max_hops), (Text::new("p"), -3, 5));
    assert_eq!((packet.payload, packet.nonce, packet.pod_id), (Value::EMPTY_OBJECT, Text::EMPTY, None));

    let twice = text.replace("\"unknown\"", "\"source_did\":null,\"x\"");
    assert_eq!(Frame::decode(&framed(0, twice.as_bytes())), Err(DecodeError::Mistyped));
    let beyond = text.replace("-3", "9223372036854775808");
    assert_eq!(Frame::decode(&framed(0, beyond.as_bytes())), Err(DecodeError::Mistyped));
}

#[test]
fn too_large_is_said_before_too_small() {
    let text = std::format!("\"{}\"", "z".repeat(MAX_PAYLOAD));
    let frame = ping("{}");
    let Ok(Frame { message: Message::Packet(packet), .. }) = Frame::decode(&frame) else { panic!("a ping") };
    let packet = super::Packet { payload: Value::from_json(&text).unwrap(), ..packet };
    let mut out = std::vec![0; MAX_FRAME + 1000];
    for room in [0, 100, MAX_FRAME, MAX_FRAME + 1000] {
        let result = packet.encode(Encoding::Json, &mut out[..room]);
        let expected = |e: &EncodeError| matches!(e, EncodeError::TooLarge { len } if *len > MAX_PAYLOAD);
        assert!(result.as_ref().is_err_and(|e| expected(e) || room < 8), "{room}: {result:?}");
    }
}
