//! What strangers send as payloads and metadata, printed: as JSON that every reader understands as it was meant, or for people.

use std::borrow::Cow;
use std::io::Write as _;

use sluis_core::data::canonical::Style;
use sluis_core::data::{Number, Text, Value, ValueToken};

use super::escape::Escaper;
use super::json::{Object, put_char, put_number, put_str};

/// Containers inside each other that every JSON reader follows: the event around them is one more.
const MAX_DEPTH: usize = 64;
/// The largest integer that a reader who keeps numbers as floats does not change (RFC 7493, section 2.2).
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Any value of the wire, as the reference prints it; what JSON has no form for is written in another, and what JSON readers
/// stumble over, RFC 7493 (I-JSON) forbids or printing would change as a text in `{"text":…}` (see the help of `listen`).
pub(crate) fn put_value(line: &mut Vec<u8>, value: Value<'_>) {
    let start = line.len();
    match forms(value) {
        Forms::Plain if value.write_json(line, Style::WIRE).is_ok() => {}
        Forms::Plain | Forms::Others => {
            line.truncate(start);
            put_tokens(line, value, put_as_written);
        }
        Forms::Unsafe => Object::new(line)
            .with("text", |line| match value.json_text() {
                Some(text) => put_str(line, &without_noncharacters(text)),
                None => {
                    let mut text = Vec::new();
                    put_tokens(&mut text, value, put_as_written);
                    put_str(line, &String::from_utf8_lossy(&text));
                }
            })
            .end(),
    }
}

/// A value for people: texts as they are, made safe for a terminal. What printing would change is shown as it was sent.
pub(crate) fn put_readable(line: &mut Vec<u8>, value: Value<'_>) {
    if let (Some(text), Forms::Unsafe) = (value.json_text(), forms(value)) {
        let mut escaper = Escaper::default();
        return text.chars().for_each(|c| escaper.put(line, c));
    }
    put_tokens(line, value, |line, text| {
        let mut escaper = Escaper::default();
        line.push(b'"');
        for c in text.chars() {
            match c {
                Ok('"') => {
                    line.push(b'\\');
                    escaper.put(line, '"');
                }
                Ok(c) => escaper.put(line, c),
                Err(_) => escaper.put(line, char::REPLACEMENT_CHARACTER),
            }
        }
        line.push(b'"');
    });
}

/// Which forms the parts of a value have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forms {
    /// What the reference writes, and every JSON reader understands.
    Plain,
    /// Something in it has no form in JSON, and is written in another.
    Others,
    /// A reader would fail over it or understand something else, or printing would change it: nested too deeply, a key twice, a
    /// number too large or too precise, half a character.
    Unsafe,
}

fn forms(value: Value<'_>) -> Forms {
    if !value.is_exact() {
        return Forms::Unsafe;
    }
    let mut plain = true;
    // The keys of all objects that are open, and where those of each begin.
    let (mut keys, mut open) = (Vec::new(), Vec::new());
    for token in value.tokens() {
        match token {
            ValueToken::ArrayStart | ValueToken::ObjectStart => {
                open.push(keys.len());
                if open.len() > MAX_DEPTH {
                    return Forms::Unsafe;
                }
            }
            ValueToken::ArrayEnd | ValueToken::ObjectEnd => {
                let of_this = keys.split_off(open.pop().unwrap_or(0));
                if has_twice(of_this) {
                    return Forms::Unsafe;
                }
            }
            ValueToken::Key(text) | ValueToken::Str(text) if !is_sound(text) => return Forms::Unsafe,
            ValueToken::Key(key) => keys.push(key.to_cow()),
            ValueToken::KeyBytes(key) => {
                plain = false;
                let mut hex = Vec::new();
                put_hex(&mut hex, key);
                keys.push(String::from_utf8_lossy(&hex[1..hex.len() - 1]).into_owned().into());
            }
            ValueToken::Number(Number::Int(n)) if n.unsigned_abs() > MAX_INTEGER => return Forms::Unsafe,
            ValueToken::Number(Number::Uint(_) | Number::Big(_)) => return Forms::Unsafe,
            ValueToken::Number(Number::Float(n)) if !n.is_finite() => plain = false,
            ValueToken::Bytes(_) | ValueToken::Ext(..) => plain = false,
            ValueToken::Null | ValueToken::Bool(_) | ValueToken::Number(_) | ValueToken::Str(_) => {}
        }
    }
    if plain { Forms::Plain } else { Forms::Others }
}

/// Whether I-JSON allows a text: no half characters (lone surrogates), no noncharacters.
fn is_sound(text: Text<'_>) -> bool {
    match text.as_str() {
        Some(plain) => plain.is_ascii() || !plain.chars().any(is_noncharacter),
        None => text.chars().all(|c| c.is_ok_and(|c| !is_noncharacter(c))),
    }
}

/// A code point that Unicode keeps for no character, now or later.
const fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || c as u32 & 0xfffe == 0xfffe
}

fn has_twice(mut keys: Vec<Cow<'_, str>>) -> bool {
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

/// A JSON text in which noncharacters are written as escapes; they stand nowhere in it but in texts.
fn without_noncharacters(json: &str) -> Cow<'_, str> {
    if json.is_ascii() || !json.chars().any(is_noncharacter) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_noncharacter(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn put_hex(line: &mut Vec<u8>, bytes: &[u8]) {
    line.push(b'"');
    for byte in bytes {
        let _ = write!(line, "{byte:02x}");
    }
    line.push(b'"');
}

/// A text in quotes as JSON, ASCII only; half a character stays the escape that it is.
fn put_as_written(line: &mut Vec<u8>, text: Text<'_>) {
    if let Some(plain) = text.as_str() {
        return put_str(line, plain);
    }
    line.push(b'"');
    for c in text.chars() {
        match c {
            Ok(c) => put_char(line, c),
            Err(unit) => drop(write!(line, "\\u{unit:04x}")),
        }
    }
    line.push(b'"');
}

/// The long way, in which every token has a form.
fn put_tokens(line: &mut Vec<u8>, value: Value<'_>, put_text: impl Fn(&mut Vec<u8>, Text<'_>)) {
    // A comma comes before everything but the first in a container and the value of a key.
    let mut comma = false;
    for token in value.tokens() {
        let ends = matches!(token, ValueToken::ArrayEnd | ValueToken::ObjectEnd);
        if comma && !ends {
            line.push(b',');
        }
        comma = true;
        match token {
            ValueToken::Null => line.extend_from_slice(b"null"),
            ValueToken::Bool(b) => line.extend_from_slice(if b { b"true" } else { b"false" }),
            ValueToken::Number(number) => put_number(line, number),
            ValueToken::Str(text) => put_text(line, text),
            ValueToken::Bytes(bytes) => Object::new(line).with("bytes", |line| put_hex(line, bytes)).end(),
            ValueToken::Ext(code, bytes) => {
                Object::new(line).raw("ext", code).with("bytes", |line| put_hex(line, bytes)).end();
            }
            ValueToken::ArrayStart | ValueToken::ObjectStart => {
                line.push(if matches!(token, ValueToken::ArrayStart) { b'[' } else { b'{' });
                comma = false;
            }
            ValueToken::ArrayEnd => line.push(b']'),
            ValueToken::ObjectEnd => line.push(b'}'),
            ValueToken::Key(key) => {
                put_text(line, key);
                line.push(b':');
                comma = false;
            }
            ValueToken::KeyBytes(key) => {
                put_hex(line, key);
                line.push(b':');
                comma = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str) -> String {
        let mut line = Vec::new();
        put_value(&mut line, Value::from_json(json).unwrap());
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn values_come_out_as_they_went_in() {
        for same in [
            r#"{"a":[1,2.5,-0.0,1e-07,[],{},null,true,false,"x"],"b":{"c":9007199254740991,"a":1e+308}}"#,
            "[]",
            "\"\"",
            "[[[]],[{}]]",
            r#"{"\u00e9\ud83d\ude00":"\u001b\"\\\n"}"#,
        ] {
            assert_eq!(shown(same), same);
        }
    }

    #[test]
    fn values_are_laid_out_as_the_reference_does() {
        assert_eq!(shown(r#"{ "é" : 1e-7, "a" : 2 }"#), r#"{"\u00e9":1e-07,"a":2}"#);
    }

    #[test]
    fn what_json_cannot_say_is_said_otherwise() {
        assert_eq!(shown(r#"[NaN,-Infinity,"\u0085","\ufffd"]"#), r#"["NaN","-Infinity","\u0085","\ufffd"]"#);
    }

    /// What is printed as JSON reads as what was sent, to the last digit, and is I-JSON; all else is the text that was sent.
    #[test]
    fn nothing_is_printed_as_another_value() {
        for text in [
            r#"["\ud800"]"#,
            r#"{"\udc00x":1}"#,
            r#"["\ud800\ud800\udc00"]"#,
            "1e-400",
            "[0.0,-1e-999999999999999999999]",
            "9007199254740993.0",
            "[1.00000000000000000001]",
            "0.1000000000000000055511151231257827",
            r#"["Infinity",1e400]"#,
            r#"["1.5\\",2e99999]"#,
            r#"["\uffff"]"#,
            r#"{"\ud83f\udffe":[]}"#,
        ] {
            let mut expected = Vec::new();
            Object::new(&mut expected).str("text", text).end();
            assert_eq!(shown(text), String::from_utf8(expected).unwrap());
        }
        assert_eq!(shown("[\"é\u{fdd0}\u{1ffff}\"]"), r#"{"text":"[\"\u00e9\\ufdd0\\ud83f\\udfff\"]"}"#);
        for (sent, printed) in [
            ("[1.50,1e2,100e-2,0e99999999999999999999,-0.00]", "[1.5,100.0,1.0,0.0,-0.0]"),
            ("[9007199254740994.0,1e22,5e-324,1E+300]", "[9007199254740994.0,1e+22,5e-324,1e+300]"),
            (r#"["1e-400","\"9007199254740993.0"]"#, r#"["1e-400","\"9007199254740993.0"]"#),
        ] {
            assert_eq!(shown(sent), printed);
        }
        // A text of MessagePack may hold half a character, too.
        let mut line = Vec::new();
        if let Ok(value) = Value::from_msgpack(b"\xa3\xed\xa0\x80") {
            put_value(&mut line, value);
            assert_eq!(String::from_utf8(line).unwrap(), r#"{"text":"\"\\ud800\""}"#);
        }
    }

    #[test]
    fn what_readers_stumble_over_is_a_text() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(shown(&deep(64)), deep(64));
        for text in [
            &*deep(65),
            &deep(989),
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"x":{"b":1,"c":2,"b":1}}]"#,
            "9007199254740992",
            "[-9007199254740993]",
            "18446744073709551615",
            "123456789012345678901234567890",
            "1e400",
            "[-1e999,NaN]",
        ] {
            let mut expected = Vec::new();
            Object::new(&mut expected).str("text", text).end();
            assert_eq!(shown(text), String::from_utf8(expected).unwrap());
        }
        // The same key in two objects is none twice.
        let twice = r#"[{"a":{"a":1}},{"a":2}]"#;
        assert_eq!(shown(twice), twice);
        // A key of bytes that looks like a key that is there.
        let mut line = Vec::new();
        put_value(&mut line, Value::from_msgpack(b"\x82\xc4\x01\x61\x01\xa2\x36\x31\x02").unwrap());
        assert_eq!(String::from_utf8(line).unwrap(), r#"{"text":"{\"61\":1,\"61\":2}"}"#);
    }

    #[test]
    fn people_read_letters() {
        let mut line = Vec::new();
        put_readable(&mut line, Value::from_json(r#"{"\u00e9":["\u001b[2J\"","\u6e29"]}"#).unwrap());
        assert_eq!(String::from_utf8(line).unwrap(), r#"{"é":["\x1b[2J\"","温"]}"#);
        // They, too, are shown nothing else than was sent.
        for (sent, read) in [
            ("[ 9007199254740993.0 ]", "[ 9007199254740993.0 ]"),
            ("[\"\u{202e}\", 1e-400]", "[\"\\u{202e}\", 1e-400]"),
            (r#"["\ud800\u001b"]"#, r#"["\ud800\u001b"]"#),
        ] {
            let mut line = Vec::new();
            put_readable(&mut line, Value::from_json(sent).unwrap());
            assert_eq!(String::from_utf8(line).unwrap(), read);
        }
    }
}
