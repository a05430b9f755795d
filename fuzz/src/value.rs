//! Any text as a JSON value.

use serde::de::IgnoredAny;
use sluis_core::data::ParseError;
use sluis_core::data::canonical::{self, Separators};
use sluis_core::data::{Order, Style, Value, ValueBuf, ValueToken};

use crate::frame::look_at_value;

/// Read a text as a value; write it in every style.
pub fn value(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let theirs = serde_json::from_str::<IgnoredAny>(text);
    let value = match Value::from_json(text) {
        Ok(value) => value,
        Err(refused) => {
            assert!(refused.at <= text.len());
            // Python's limits; nothing else that is JSON is refused.
            let limit = matches!(refused.error, ParseError::TooDeep | ParseError::IntTooLong);
            assert!(limit || theirs.is_err(), "{refused}");
            return;
        }
    };
    look_at_value(value);
    // What Python adds to JSON, and what the other reader's limits are.
    let more = ["NaN", "Infinity", "\\u"].iter().any(|extra| text.contains(extra)) || depth(value) > 100;
    assert!(theirs.is_ok() || more, "{:?}", theirs.err());
    writes(value);
}

/// Every style reads back as the same value and is written again as the same text.
fn writes(value: Value<'_>) {
    let wire = value.to_json_string().expect("JSON has a form for JSON");
    assert!(wire.is_ascii());
    let read = Value::from_json(&wire).expect("what is written can be read");
    assert_eq!(read, value);
    assert_eq!(value, read);
    assert_eq!(read.to_json_string().as_ref(), Ok(&wire));
    let owned = ValueBuf::new(value).expect("as above");
    assert_eq!((owned.as_json(), owned.as_value()), (wire.as_str(), value));

    let spaced = written(value, Style::SPACED);
    let read = Value::from_json(&spaced).expect("what is written can be read");
    assert_eq!(read, value);
    assert_eq!(written(read, Style::SPACED), spaced);
    assert_eq!(written(read, Style::WIRE), wire);

    let sorted = canonical(value);
    let read = Value::from_json(&sorted).expect("what is written can be read");
    assert_eq!(read.to_json_string().as_ref(), Ok(&sorted), "sorted members are written as they stand");
    assert_eq!(canonical(read), sorted);
    assert_eq!(canonical(Value::from_json(&spaced).expect("as above")), sorted);
    let spaced = written(value, Style { separators: Separators::Spaced, order: Order::ByKey });
    let read = Value::from_json(&spaced).expect("what is written can be read");
    assert_eq!(canonical(read), sorted);
    let mut both = Vec::new();
    canonical::write(&mut both, value, Separators::Spaced).expect("as above");
    assert_eq!(both, spaced.as_bytes());
}

/// The canonical text with compact separators.
pub(crate) fn canonical(value: Value<'_>) -> String {
    written(value, Style::canonical(Separators::Compact))
}

fn written(value: Value<'_>, style: Style) -> String {
    let mut out = Vec::new();
    value.write_json(&mut out, style).expect("a vector has room");
    String::from_utf8(out).expect("ASCII")
}

fn depth(value: Value<'_>) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for token in value.tokens() {
        match token {
            ValueToken::ObjectStart | ValueToken::ArrayStart => now += 1,
            ValueToken::ObjectEnd | ValueToken::ArrayEnd => now -= 1,
            _ => {}
        }
        most = most.max(now);
    }
    most
}
