//! What the room promises in single cases; properties of it all are in `tests/framing_properties.rs`.

use super::{
    Counter, EncodeError, FnSink, Full, Member, Number, Order, ParseError, Separators, Sink, SliceSink, Style, Text,
    Value, ValueToken, canonical, hex,
};

/// Write into a fixed buffer, so that these tests run without a heap as well.
struct Written {
    bytes: [u8; 8192],
    len: usize,
}

impl Written {
    fn by(write: impl FnOnce(&mut SliceSink<'_>) -> Result<(), EncodeError>) -> Result<Self, EncodeError> {
        let mut bytes = [0; 8192];
        let mut sink = SliceSink::new(&mut bytes);
        write(&mut sink)?;
        let len = sink.len();
        Ok(Self { bytes, len })
    }

    fn str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap()
    }
}

fn json(text: &str) -> Value<'_> {
    Value::from_json(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[track_caller]
fn assert_written(text: &str, expected: &str) {
    let written = Written::by(|sink| json(text).write_json(sink, Style::WIRE)).unwrap();
    assert_eq!(written.str(), expected);
}

/// The bytes are those of the text, at the same place.
#[cfg(feature = "alloc")]
#[test]
fn owned_values_become_bytes_without_a_copy() {
    let value = super::ValueBuf::new(json(r#"{"a": [1, "x"]}"#)).unwrap();
    let text = value.as_json().as_ptr();
    let bytes = bytes::Bytes::from(value);
    assert_eq!((&bytes[..], bytes.as_ptr()), (&br#"{"a":[1,"x"]}"#[..], text));
    assert_eq!(bytes.slice(5..12).as_ptr(), text.wrapping_add(5));
}

#[test]
fn sinks() {
    let mut buf = [0; 4];
    let mut sink = SliceSink::new(&mut buf);
    assert!(sink.is_empty());
    assert_eq!(sink.put(b"abc"), Ok(()));
    assert_eq!(sink.put(b"de"), Err(Full));
    assert_eq!((sink.written(), sink.len()), (&b"abc"[..], 3));
    assert_eq!(sink.put(b"f"), Ok(()));
    sink.patch(1, b"XY");
    sink.patch(3, b"ZZ");
    assert_eq!(sink.written(), b"aXYf");

    let mut counter = Counter::default();
    let mut sum = 0;
    counter.put(b"abc").unwrap();
    FnSink(|bytes: &[u8]| sum += bytes.len()).put(b"abc").unwrap();
    assert_eq!((counter.count(), sum), (3, 3));
}

#[test]
fn hex_both_ways() {
    assert_eq!(&hex::u64_digits(0x0123_4567_89ab_cdef), b"0123456789abcdef");
    assert_eq!(hex::parse_u64(b"0123456789abcdef"), Some(0x0123_4567_89ab_cdef));
    for bad in ["0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "0123456789abcdeg", ""] {
        assert_eq!(hex::parse_u64(bad.as_bytes()), None, "{bad}");
    }
    let written = Written::by(|sink| Ok(hex::write(sink, &[0, 0x7f, 0xff])?)).unwrap();
    assert_eq!(written.str(), "007fff");
}

#[test]
fn numbers_keep_kind_and_size() {
    let number = |text| json(text).as_number().unwrap();
    assert_eq!(number("-0"), Number::Int(0));
    assert_eq!(number("-9223372036854775808"), Number::Int(i64::MIN));
    assert_eq!(number("9223372036854775808"), Number::Uint(1 << 63));
    assert_eq!(number("18446744073709551615"), Number::Uint(u64::MAX));
    assert!(matches!(number("18446744073709551616"), Number::Big(n) if n.digits() == "18446744073709551616"));
    assert!(matches!(number("-9223372036854775809"), Number::Big(_)));
    assert_eq!(number("1e400"), Number::Float(f64::INFINITY));
    assert_eq!(number("NaN"), Number::Float(f64::NAN));
    assert_ne!(number("1"), number("1.0"));
    assert_ne!(number("0.0"), number("-0.0"));
    assert_eq!(number("18446744073709551616").to_f64().to_bits(), 18_446_744_073_709_551_616.0_f64.to_bits());
    assert_eq!(Number::from(u64::MAX), Number::Uint(u64::MAX));
    assert_eq!(Number::from(1_u64), Number::Int(1));
    for (text, written) in [
        ("-0", "0"),
        ("1E5", "100000.0"),
        ("1e16", "1e+16"),
        ("-1.50", "-1.5"),
        ("1e-400", "0.0"),
        ("-1e-400", "-0.0"),
        ("-1e400", "-Infinity"),
        ("0.00001", "1e-05"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("[0.0,-0.0,100.0,0.0001,0.00010]", "[0.0,-0.0,100.0,0.0001,0.0001]"),
        ("[123456789012345.6,1234567890123456.7]", "[123456789012345.6,1234567890123456.8]"),
    ] {
        assert_written(text, written);
    }
}

#[test]
fn integers_have_at_most_4300_digits() {
    let digits = std::string::String::from("-") + &"9".repeat(4301);
    assert!(Value::from_json(&digits[..4301]).is_ok());
    let error = Value::from_json(&digits).unwrap_err();
    assert_eq!(error.error, ParseError::IntTooLong);
    let fraction = std::format!("{}.0", &digits[1..]);
    assert_eq!(json(&fraction).as_number(), Some(Number::Float(f64::INFINITY)));
}

#[test]
fn values_answer_questions() {
    let value = json(r#" { "a" : 1 , "b" : [ true , null ] , "\u0061" : {"x":"y"}, "t":"\u00e9" } "#);
    assert!(value.is_object() && !value.is_array() && !value.is_null());
    assert!(value.get("a").is_some_and(|a| a.get("x").is_some_and(|x| x.as_text() == Some(Text::new("y")))));
    assert!(value.get("b").is_some_and(Value::is_array));
    assert_eq!(value.get("t").and_then(Value::as_text), Some(Text::new("é")));
    assert_eq!(value.get("x"), None);
    assert_eq!(json("[]").get("x"), None);
    assert_eq!((json("true").as_bool(), json("1").as_bool()), (Some(true), None));
    assert!(Value::NULL.is_null() && Value::EMPTY_ARRAY.is_array() && Value::default() == Value::EMPTY_OBJECT);
    assert_eq!(json("{}"), json(" { } "));
    assert_ne!(json("[1,2]"), json("[1,2,3]"));
    assert_ne!(json(r#"{"a":1,"b":2}"#), json(r#"{"b":2,"a":1}"#));
    assert_eq!(json(r#"{"a":1,"b":2,"\u0061":3}"#), json(r#"{"a":3,"b":2}"#));
    assert!(json("[{},1]").tokens().eq([
        ValueToken::ArrayStart,
        ValueToken::ObjectStart,
        ValueToken::ObjectEnd,
        ValueToken::Number(Number::Int(1)),
        ValueToken::ArrayEnd
    ]));
}

#[test]
fn errors_say_where() {
    for (text, at) in [("", 0), ("[1,]", 3), ("{\"a\" 1}", 5), ("1 2", 2), ("nul", 0), ("[1,\"a\\x\"]", 4)] {
        let error = Value::from_json(text).unwrap_err();
        assert_eq!((error.error, error.at), (ParseError::BadJson, at), "{text}");
    }
}

#[test]
fn nesting_has_a_limit() {
    for (depth, ok) in [(500, true), (super::MAX_DEPTH, true), (super::MAX_DEPTH + 1, false), (20_000, false)] {
        let expected = if ok { Ok(()) } else { Err(ParseError::TooDeep) };
        for (open, close) in [("[", "]"), ("{\"\":", "}"), ("[null, ", "]"), ("{\"a\":1,\"\":", "}")] {
            let text = open.repeat(depth) + "1" + &close.repeat(depth);
            assert_eq!(Value::from_json(&text).map(|_| ()).map_err(|e| e.error), expected, "{depth} {open}");
            let unclosed = Value::from_json(&text[..text.len() - 1]).unwrap_err();
            assert_eq!(unclosed.error, if ok { ParseError::BadJson } else { ParseError::TooDeep });
        }
    }
    // Kinds of brackets are told apart at every depth.
    for depth in [1, 2, 63, 64, 65, 128, 129, 500] {
        let open: std::string::String = (0..depth).map(|n| if n % 3 == 0 { "{\"k\":" } else { "[" }).collect();
        let close = |wrong: usize| -> std::string::String {
            (0..depth).rev().map(|n| if (n % 3 == 0) == (n != wrong) { "}" } else { "]" }).collect()
        };
        assert!(Value::from_json(&(open.clone() + "1" + &close(depth))).is_ok());
        for wrong in 0..depth {
            assert!(Value::from_json(&(open.clone() + "1" + &close(wrong))).is_err(), "{wrong} of {depth}");
        }
    }
}

#[test]
fn duplicate_keys_are_one_however_they_are_spelled() {
    for (text, written) in [
        (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
        (r#"{"a":1,"\u0061":3}"#, r#"{"a":3}"#),
        (r#"{"é":1,"\u00e9":2,"\u00E9":3}"#, r#"{"\u00e9":3}"#),
        (r#"{"\ud83d\ude00":1,"😀":2}"#, r#"{"\ud83d\ude00":2}"#),
        (r#"[{"a":1},{"a":2},{"a":{"a":3}}]"#, r#"[{"a":1},{"a":2},{"a":{"a":3}}]"#),
        (r#"{"":1,"":2}"#, r#"{"":2}"#),
        (r#"{"a":{"x":1,"x":2},"a":[{"y":1,"y":2}]}"#, r#"{"a":[{"y":2}]}"#),
        // Alike at both ends and in length.
        (r#"{"12345678A12345678":1,"12345678B12345678":2}"#, r#"{"12345678A12345678":1,"12345678B12345678":2}"#),
        (r#"{"12345678A12345678":1,"12345678A12345678":2}"#, r#"{"12345678A12345678":2}"#),
    ] {
        assert_written(text, written);
    }
    // Nested deeper than the key filter tells objects apart.
    let text = "[".repeat(30) + r#"{"a":1},{"a":2},{"b":1,"b":2}"# + &"]".repeat(30);
    let written = "[".repeat(30) + r#"{"a":1},{"a":2},{"b":2}"# + &"]".repeat(30);
    assert_written(&text, &written);
}

#[test]
fn keys_are_sorted_by_code_point() {
    let text =
        r#"{"\ud83d\ude00":1,"\uffff":2,"\ud800":3,"é":4,"b":5,"ba":6,"a\u0000":7,"a":8,"":9,"abcd":10,"abcc":11}"#;
    let expected = r#"{"":9,"a":8,"a\u0000":7,"abcc":11,"abcd":10,"b":5,"ba":6,"\u00e9":4,"\ud800":3,"\uffff":2,"\ud83d\ude00":1}"#;
    let written = Written::by(|sink| canonical::write(sink, json(text), Separators::Compact)).unwrap();
    assert_eq!(written.str(), expected);
}

#[test]
fn objects_by_hand() {
    let members = [
        ("é", Member::Null),
        ("b", Member::from(Text::new("\"\n"))),
        ("a", Member::from(json(r#"{"y": 1, "x": [ ]}"#))),
        ("c", Member::from(Number::Float(1.0))),
        ("d", Member::from(None::<Text<'_>>)),
        ("e", Member::Bool(true)),
    ];
    for (style, expected) in [
        (Style::WIRE, r#"{"\u00e9":null,"b":"\"\n","a":{"y":1,"x":[]},"c":1.0,"d":null,"e":true}"#),
        (
            Style::canonical(Separators::Spaced),
            r#"{"a": {"x": [], "y": 1}, "b": "\"\n", "c": 1.0, "d": null, "e": true, "\u00e9": null}"#,
        ),
        (
            Style { separators: Separators::Compact, order: Order::ByKey },
            r#"{"a":{"x":[],"y":1},"b":"\"\n","c":1.0,"d":null,"e":true,"\u00e9":null}"#,
        ),
    ] {
        let written = Written::by(|sink| canonical::write_object(sink, &members, style)).unwrap();
        assert_eq!(written.str(), expected);
    }
    let empty = Written::by(|sink| canonical::write_object(sink, &[], Style::WIRE)).unwrap();
    assert_eq!(empty.str(), "{}");
}

/// With a heap there is no limit to what can be put in order.
#[cfg(feature = "alloc")]
#[test]
fn sorts_what_is_deep_and_wide() {
    let deep = r#"{"b":0,"a":"#.repeat(400) + "1" + &"}".repeat(400);
    let sorted = r#"{"a":"#.repeat(400) + "1" + &r#","b":0}"#.repeat(400);
    let written = Written::by(|sink| canonical::write(sink, json(&deep), Separators::Compact)).unwrap();
    assert_eq!(written.str(), sorted);
}

/// Without one there is, and it is said.
#[cfg(not(feature = "alloc"))]
#[test]
fn sorts_what_fits_the_stack() {
    let sort = |text: &str| Written::by(|sink| canonical::write(sink, json(text), Separators::Compact)).map(|_| ());
    let deep = |levels| "[{\"a\":".repeat(levels) + "1" + &"}]".repeat(levels);
    assert_eq!(sort(&deep(16)), Ok(()));
    assert_eq!(sort(&deep(17)), Err(EncodeError::TooDeep));
    let wide = |members| {
        let members: std::vec::Vec<_> = (0..members).map(|n| std::format!("\"{n}\":0")).collect();
        std::format!("{{{}}}", members.join(","))
    };
    assert_eq!(sort(&wide(255)), Ok(()));
    assert_eq!(sort(&wide(256)), Err(EncodeError::TooManyMembers));
    // What need not be put in order has no such limits.
    let written =
        Written::by(|sink| json(&("[ ".repeat(900) + &"]".repeat(900))).write_json(sink, Style::WIRE)).unwrap();
    assert_eq!(written.str(), "[".repeat(900) + &"]".repeat(900));
}
