//! What needs no table, with and without a heap. The tables are in `tests/msgpack.rs`.

use std::string::String;
use std::vec;
use std::vec::Vec;

use super::super::sink::SliceSink;
use super::super::{EncodeError, Value, ValueToken};
use super::{item, shortest, transcode, write};

fn packed(value: Value<'_>) -> Result<Vec<u8>, EncodeError> {
    let mut out = vec![0; 80_000];
    let mut sink = SliceSink::new(&mut out);
    transcode::value(&mut sink, value)?;
    Ok(sink.written().to_vec())
}

fn json(text: &str) -> Value<'_> {
    Value::from_json(text).unwrap()
}

#[test]
fn containers_are_counted_ahead() {
    for (text, expected) in [
        ("{}", &b"\x80"[..]),
        ("[ ]", b"\x90"),
        ("[[],[ {} ],{\"a,\\\"[\":[1,2]}]", b"\x93\x90\x91\x80\x81\xa4a,\"[\x92\x01\x02"),
        ("{\"a\":{\"b\":{\"c\":[null,true]}},\"d\":-1}", b"\x82\xa1a\x81\xa1b\x81\xa1c\x92\xc0\xc3\xa1d\xff"),
        ("\"],[\"", b"\xa3],["),
        ("7", b"\x07"),
        // Equal keys: walked.
        ("{\"a\":1,\"b\":2,\"\\u0061\":[ 3 ]}", b"\x82\xa1a\x91\x03\xa1b\x02"),
    ] {
        assert_eq!(packed(json(text)).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn many_containers_and_deep_ones_are_walked() {
    let many = |n: usize| std::format!("[{}]", vec!["[1]"; n].join(","));
    let deep = |n: usize| std::format!("{}1{}", "[".repeat(n), "]".repeat(n));
    for n in [1, 15, 16, 62, 63, 64, 65, 200] {
        let text = many(n);
        let out = packed(json(&text)).unwrap();
        assert_eq!(Value::from_msgpack(&out).unwrap(), json(&text));
    }
    for n in [1, 15, 16, 17, 30] {
        let expected: Vec<u8> = [vec![0x91; n], vec![1]].concat();
        assert_eq!(packed(json(&deep(n))), Ok(expected));
    }
    let heap = cfg!(feature = "alloc");
    assert_eq!(packed(json(&many(300))).err(), if heap { None } else { Some(EncodeError::TooManyMembers) });
    assert_eq!(packed(json(&deep(40))).err(), if heap { None } else { Some(EncodeError::TooDeep) });
    // What is in msgpack already, and as it should be, is copied, however much or deep it is.
    let wire = [vec![0x91; 1000], vec![0x90]].concat();
    assert_eq!(packed(Value::from_msgpack(&wire).unwrap()), Ok(wire));
}

/// Every length of integer, written and read, is the shortest and the same number.
#[test]
fn integers_take_the_least_room() {
    let mut n = 1_i64;
    let mut edges = vec![0, i64::MIN, i64::MAX];
    while n < i64::MAX / 2 {
        edges.extend([n - 1, n, n + 1, -n - 1, -n, -n + 1]);
        n *= 2;
    }
    for n in edges {
        let mut out = [0; 9];
        let mut sink = SliceSink::new(&mut out);
        write::int(&mut sink, n).unwrap();
        let len = sink.len();
        assert_eq!(len, shortest::int_len(n));
        let item = item::Reader::new(&out[..len]).item().unwrap();
        assert_eq!(item, item::Item::Int(n));
        assert!(shortest::is_shortest(&out[..len], 0, item));
    }
    let mut out = [0; 9];
    write::uint(&mut SliceSink::new(&mut out), u64::MAX).unwrap();
    assert_eq!(item::Reader::new(&out).item(), Ok(item::Item::Uint(u64::MAX)));
}

#[test]
fn texts_lose_their_escapes() {
    let value = json("[\"a\\u00e9\\ud83d\\ude80\\n\\/\"]");
    let Some(ValueToken::Str(text)) = value.tokens().nth(1) else { panic!("a text") };
    let mut out = [0; 32];
    let mut sink = SliceSink::new(&mut out);
    write::text(&mut sink, text).unwrap();
    let plain: String = "aé🚀\n/".into();
    assert_eq!(sink.written()[0], 0xa0 | u8::try_from(plain.len()).unwrap());
    assert_eq!(&sink.written()[1..], plain.as_bytes());
}

#[test]
fn a_narrow_nan_keeps_its_bits() {
    for (narrow, wide) in [
        (0x7fc0_0000_u32, 0x7ff8_0000_0000_0000_u64),
        (0xffff_fff0, 0xffff_fffe_0000_0000),
        (0x7fa0_0000, 0x7ffc_0000_0000_0000),
        (0x3fc0_0000, 0x3ff8_0000_0000_0000),
    ] {
        let mut bytes = vec![0xca];
        bytes.extend_from_slice(&narrow.to_be_bytes());
        let out = packed(Value::from_msgpack(&bytes).unwrap()).unwrap();
        assert_eq!(out[1..], wide.to_be_bytes(), "{narrow:x}");
    }
}
