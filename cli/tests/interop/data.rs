//! Values that are easy to get wrong, and checks that the cases share.

use crate::common::json::Json;

/// Text from everywhere, floats at their edges, integers far beyond 64 bits, nesting.
pub(crate) const HARD_JSON: &str = r#"{"text":"żółw 🐢 𝔘𝔫𝔦 \u202eשלום\u202c مرحبا \u0000\u001f\u007f\u2028 \"q\\\" /","floats":[1e-07,1e16,1e15,5e-324,-0.0,0.1,1.7976931348623157e308,1e-05,0.0001,123456789.123],"ints":[0,-1,9223372036854775807,-9223372036854775808,18446744073709551615,123456789012345678901234567890,-99999999999999999999999],"nested":{"b":[{"c":{"d":[[],{},null,true,false]}}],"a":[[[[[[1]]]]]]},"":1,"ключ 🔑":"значение"}"#;

/// The same without integers that msgpack cannot hold.
pub(crate) const HARD_MSGPACK: &str = r#"{"text":"żółw 🐢 𝔘𝔫𝔦 \u202eשלום\u202c مرحبا \u0000\u001f\u007f\u2028 \"q\\\" /","floats":[1e-07,1e16,1e15,5e-324,-0.0,0.1,1.7976931348623157e308,1e-05,0.0001,123456789.123],"ints":[0,-1,127,128,-32,-33,65536,-2147483649,9223372036854775807,-9223372036854775808,18446744073709551615],"nested":{"b":[{"c":{"d":[[],{},null,true,false]}}],"a":[[[[[[1]]]]]]},"":1,"ключ 🔑":"значение"}"#;

/// An intent and a purpose outside ASCII and outside the basic plane.
pub(crate) const INTENT: &str = "température.lire/🌡";
pub(crate) const PURPOSE: &str = "wärum? למה — 因为 🤷";

/// Some payload of everyday size.
pub(crate) const EVERYDAY: &str = r#"{"value":21.5,"unit":"C","ok":true}"#;

/// Fails unless the object has exactly these members with exactly these values, and the rest of its keys are `others`.
#[track_caller]
pub(crate) fn assert_members(object: &Json, expected: &[(&str, Json)], others: &[&str]) {
    let Json::Object(members) = object else { panic!("{object:?} is no object") };
    for (key, value) in expected {
        assert_eq!(object.get(key), value, "member {key:?} of {object:?}");
    }
    for (key, _) in members {
        assert!(
            others.contains(&key.as_str()) || expected.iter().any(|(known, _)| known == key),
            "member {key:?} of {object:?} was not expected"
        );
    }
    for key in others {
        object.get(key);
    }
}

/// Fails unless the text is this prefix and `digits` lower-case hex digits.
#[track_caller]
pub(crate) fn assert_id(text: &str, prefix: &str, digits: usize) {
    let rest = text.strip_prefix(prefix).unwrap_or_else(|| panic!("{text:?} does not begin with {prefix:?}"));
    let hex = rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    assert!(hex && rest.len() == digits, "{text:?} is not {prefix:?} and {digits} hex digits");
}

/// Fails unless the reference could read the stamp of this event, and it is of just now.
#[track_caller]
pub(crate) fn assert_fresh(event: &Json) {
    let age = event.number("age_s");
    assert!((-1.0..60.0).contains(&age), "stamped {age} s ago: {event:?}");
}
