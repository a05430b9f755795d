//! msgpack against what msgpack-python makes of the same bytes, and at its limits.

use std::sync::LazyLock;

use crate::common::{fixture_bytes, rows, unhex};
use proptest::prelude::*;
use sluis_core::data::{ParseError, Style, Unrepresentable, Value, ValueToken};
use sluis_core::framing::{EncodeError, ValueError};
use sluis_core::framing::{Encoding, Frame, Message, Packet};
use sluis_core::limits::{HEADER_LEN, MAX_FRAME};

/// A msgpack frame with this payload.
fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![b'T', b'P', 1, flags];
    frame.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

static MINIMAL: LazyLock<Vec<u8>> =
    LazyLock::new(|| rows("frames.jsonl").iter().find(|row| row.id() == "p_minimal.msgpack").unwrap().frame());

/// The msgpack form that a value has in a frame of ours.
fn repacked(value: Value<'_>) -> Result<Vec<u8>, EncodeError> {
    let minimal = &*MINIMAL;
    let Ok(Frame { message: Message::Packet(packet), .. }) = Frame::decode(minimal) else { panic!("p_minimal") };
    let mut out = vec![0; MAX_FRAME];
    let len = Packet { payload: value, ..packet }.encode(Encoding::Msgpack, &mut out)?;
    let empty = 1;
    // The payload is the same bytes from the front in both; what is behind it is as long in both.
    let key = b"\xa7payload";
    let start = minimal.windows(key.len()).position(|w| w == key).unwrap() + key.len();
    let behind = minimal.len() - start - empty;
    Ok(out[start..len - behind].to_vec())
}

#[test]
fn values_are_read_and_written_as_python_does() {
    let table = String::from_utf8(fixture_bytes("../python_msgpack.txt")).unwrap();
    let (mut taken, mut refused, mut as_json) = (0, 0, 0);
    for line in table.lines() {
        let [bytes, packed, json] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let bytes = unhex(bytes);
        let value = Value::from_msgpack(&bytes);
        assert_eq!(value.is_ok(), packed != "!", "{line}: {value:?}");
        let Ok(value) = value else {
            refused += 1;
            continue;
        };
        taken += 1;
        let again = repacked(value).unwrap();
        assert_eq!(again, unhex(packed), "{line}");
        let second = Value::from_msgpack(&again).unwrap();
        assert_eq!(second, value, "{line}");
        assert_eq!(repacked(second).unwrap(), again, "{line}");

        let mut text = Vec::new();
        match value.write_json(&mut text, Style::WIRE) {
            Ok(()) => {
                as_json += 1;
                assert_eq!(String::from_utf8(text.clone()).unwrap(), json, "{line}");
                let from_json = Value::from_json(json).unwrap();
                assert_eq!(from_json, value, "{line}");
                // JSON has one NaN, the positive quiet one; everything else comes back with the same bits.
                if !json.contains("NaN") {
                    assert_eq!(repacked(from_json).unwrap(), again, "{line}");
                }
            }
            Err(error) => {
                assert_eq!(json, "!", "{line}: {error}");
                let what = [Unrepresentable::Bytes, Unrepresentable::Extension];
                assert!(what.map(EncodeError::Unrepresentable).contains(&error), "{line}: {error}");
            }
        }
    }
    assert!(taken > 500 && refused > 300 && as_json > 400, "{taken} {refused} {as_json}");
}

#[test]
fn nesting_ends_where_it_ends_in_the_reference() {
    let nested = |depth: usize, opening: &[u8], inner: &[u8]| [&opening.repeat(depth)[..], inner].concat();
    for (opening, inner) in [(&b"\x91"[..], &b"\xc0"[..]), (b"\x81\xa1k", b"\xc0"), (b"\xdc\x00\x01", b"\x05")] {
        for depth in [1, 15, 16, 17, 18, 900, 1022, 1023] {
            let bytes = nested(depth, opening, inner);
            let value = Value::from_msgpack(&bytes).unwrap();
            let opened =
                value.tokens().filter(|t| matches!(t, ValueToken::ArrayStart | ValueToken::ObjectStart)).count();
            let closed = value.tokens().filter(|t| matches!(t, ValueToken::ArrayEnd | ValueToken::ObjectEnd)).count();
            assert_eq!((opened, closed), (depth, depth));
            assert_eq!(
                repacked(value).unwrap().len(),
                bytes.len() - if opening.len() == 3 && opening[0] == 0xdc { 2 * depth } else { 0 }
            );
            assert_eq!(value, value);
            assert_eq!(value.to_json_string().is_ok(), depth <= sluis_core::data::MAX_DEPTH, "{depth}");
        }
        for depth in [1024, 1025, 20_000] {
            let bytes = nested(depth, opening, inner);
            let error = Value::from_msgpack(&bytes).map_err(|e: ValueError| e.error);
            assert_eq!(error, Err(ParseError::TooDeep));
        }
        // An empty container is a level like any other.
        assert!(Value::from_msgpack(&nested(1022, opening, b"\x90")).is_ok());
        assert!(Value::from_msgpack(&nested(1023, opening, b"\x80")).is_err());
    }
}

#[test]
fn what_is_announced_must_be_there() {
    for (bytes, why) in [
        (&b"\xdd\xff\xff\xff\xff"[..], ParseError::MsgpackTruncated),
        (b"\xdf\xff\xff\xff\xff\xa1a", ParseError::MsgpackTruncated),
        (b"\xdf\x80\x00\x00\x00", ParseError::MsgpackTruncated),
        (b"\xdc\x00\x02\x01", ParseError::MsgpackTruncated),
        (b"\x82\xa1a\x01\xa1b", ParseError::MsgpackTruncated),
        (b"\xc6\xff\xff\xff\xff", ParseError::MsgpackTruncated),
        (b"\xdb\xff\xff\xff\xff", ParseError::MsgpackTruncated),
        (b"\xc9\xff\xff\xff\xff\x01", ParseError::MsgpackTruncated),
        (b"\x91\xc1", ParseError::MsgpackFormat),
        (b"\xc0\xc0", ParseError::MsgpackTrailing),
        (b"\xa1\xff", ParseError::BadUtf8),
        (b"\x81\xa1\xff\xc0", ParseError::BadUtf8),
        (b"\x81\x01\xc0", ParseError::MsgpackMapKey),
        (b"\x81\x90\xc0", ParseError::MsgpackMapKey),
        (b"\xd4\x80\x00", ParseError::MsgpackExt),
        (b"", ParseError::MsgpackTruncated),
    ] {
        assert_eq!(Value::from_msgpack(bytes).map_err(|e| e.error), Err(why), "{bytes:x?}");
    }
    let mut text = vec![0xdb, 0, 0, 0xff, 0xfb];
    text.resize(65_536, b'x');
    assert!(Value::from_msgpack(&text).is_ok());
    text.push(b'x');
    assert_eq!(Value::from_msgpack(&text).map_err(|e| e.error), Err(ParseError::TooLarge));
}

#[test]
fn the_last_of_equal_keys_counts_at_the_place_of_the_first() {
    // {"a": 1, b"a": 2, "b": {"x": 1, "x": 2}, "a": 3}
    let bytes = b"\x84\xa1a\x01\xc4\x01a\x02\xa1b\x82\xa1x\x01\xa1x\x02\xd9\x01a\x03";
    let value = Value::from_msgpack(bytes).unwrap();
    assert_eq!(value.get("a"), Some(Value::from_json("3").unwrap()));
    assert_eq!(value.get("b"), Some(Value::from_json("{\"x\":2}").unwrap()));
    assert_eq!(value.get("c"), None);
    assert_eq!(repacked(value).unwrap(), b"\x83\xa1a\x03\xc4\x01a\x02\xa1b\x81\xa1x\x02");
}

#[test]
fn json_is_packed_with_every_length_of_head() {
    for n in [0, 1, 15, 16, 17, 255, 256, 300, 8000] {
        let array = format!("[{}]", vec!["[]"; n].join(", "));
        let object = format!(
            "{{{}}}",
            (0..n).map(|i| format!("\"k{i}\":\"{}\"", "v".repeat(i % 40))).collect::<Vec<_>>().join(",")
        );
        let text = format!("\"{}\"", "t".repeat(n));
        for json in [array, object, text] {
            let value = Value::from_json(&json).unwrap();
            let Ok(packed) = repacked(value) else {
                assert!(json.len() > 60_000);
                continue;
            };
            let mut expected = Vec::new();
            crate::common::Row(serde_json::from_str(&json).unwrap()).0.tagged().msgpack(&mut expected).unwrap();
            assert_eq!(packed, expected);
            assert_eq!(Value::from_msgpack(&packed).unwrap(), value);
        }
    }
}

#[test]
fn a_frame_cut_short_is_never_a_frame() {
    let mut cut = 0;
    for row in rows("frames.jsonl").iter().filter(|row| row.str("codec") == "msgpack" && row.opt_str("frame").is_some())
    {
        let whole = row.frame();
        let Ok(decoded) = Frame::decode(&whole) else { continue };
        let payload = &whole[HEADER_LEN..];
        for len in 0..payload.len() {
            assert!(Frame::decode(&whole[..HEADER_LEN + len]).is_err());
            assert!(Frame::decode(&frame(whole[3], &payload[..len])).is_err(), "{} {len}", row.id());
        }
        assert!(Frame::decode(&frame(whole[3], &[payload, &[0xc0]].concat())).is_err());
        // By key it is the same packet, in any order and with other keys in between.
        cut += 1;
        assert_eq!(Frame::decode(&shuffled(&whole)), Ok(decoded), "{}", row.id());
    }
    assert!(cut > 50);
}

/// The same packet with its pairs the other way round, an unknown key, a key of bytes and a wrong value that is
/// overridden, under a longer head.
fn shuffled(whole: &[u8]) -> Vec<u8> {
    let payload = &whole[HEADER_LEN..];
    let (head, count) = if payload[0] == 0xde { (3, 19) } else { (1, 13) };
    let mut pairs = Vec::new();
    let mut rest = &payload[head..];
    while !rest.is_empty() {
        let key = usize::from(rest[0] & 0x1f) + 1;
        let value = (1..).find(|len| Value::from_msgpack(&rest[key..key + len]).is_ok()).unwrap();
        pairs.push(&rest[..key + value]);
        rest = &rest[key + value..];
    }
    assert_eq!(pairs.len(), count);
    pairs.push(b"\xa7unknown\x81\xa1x\x90");
    pairs.push(b"\xc4\x06intent\xa1?");
    pairs.push(b"\xa9timestamp\xc3");
    pairs.reverse();
    let mut out = vec![0xdf];
    out.extend_from_slice(&u32::try_from(pairs.len()).unwrap().to_be_bytes());
    out.extend(pairs.concat());
    frame(whole[3], &out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is taken is read to its end, equals itself and is written in a form that is a fixed point.
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = Value::from_msgpack(&bytes) {
            let once = repacked(value).unwrap();
            let second = Value::from_msgpack(&once).unwrap();
            prop_assert_eq!(second, value);
            prop_assert_eq!(repacked(second).unwrap(), once);
        }
        let _ = Frame::decode(&frame(2, &bytes));
        let _ = Frame::decode(&frame(3, &bytes));
    }

    /// Bytes changed in a good frame: rejected, or a packet that can be passed on.
    #[test]
    fn spoilt_frames_are_read_without_a_panic(at in 0_usize..366, byte: u8, other in 0_usize..366, second: u8) {
        let mut frame = MINIMAL.clone();
        frame[HEADER_LEN + at] = byte;
        frame[HEADER_LEN + other] = second;
        if let Ok(decoded) = Frame::decode(&frame) {
            let mut out = vec![0; MAX_FRAME];
            let len = decoded.message.encode(Encoding::Msgpack, &mut out).unwrap();
            prop_assert_eq!(Frame::decode(&out[..len]), Ok(decoded));
        }
    }
}
