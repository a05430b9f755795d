//! Paths and queries of request targets.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use sluis_core::data::hex;

/// Undo percent-encoding, and in a query (`plus`) the plus signs. What is not UTF-8 becomes U+FFFD.
pub(crate) fn decode(text: &str, plus: bool) -> Cow<'_, str> {
    if !text.bytes().any(|b| b == b'%' || (plus && b == b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => match (hex::digit(*high), hex::digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'%'),
            },
            (b'+', _) if plus => out.push(b' '),
            (byte, _) => out.push(*byte),
        }
    }
    Cow::Owned(String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

/// Path and query of a target.
pub(crate) fn split(target: &str) -> (&str, &str) {
    let target = target.split('#').next().unwrap_or_default();
    target.split_once('?').unwrap_or((target, ""))
}

/// A parameter of the query, the last one if there are several.
pub(crate) fn parameter<'a>(target: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let mut pairs = split(target).1.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.rfind(|(key, _)| decode(key, true) == name).map(|(_, value)| decode(value, true))
}

#[cfg(test)]
mod tests {
    use super::{decode, parameter};

    #[test]
    fn decodes_what_is_encoded_and_leaves_the_rest() {
        for (text, plus, clear) in [
            ("a+b", true, "a b"),
            ("a+b", false, "a+b"),
            ("%e2%82%AC", true, "\u{20ac}"),
            ("%", true, "%"),
            ("%4", true, "%4"),
            ("%zz%41", true, "%zzA"),
            ("%ff", true, "\u{fffd}"),
        ] {
            assert_eq!(decode(text, plus), clear, "{text}");
        }
    }

    #[test]
    fn the_last_parameter_of_a_name_counts() {
        assert_eq!(parameter("/x?a=1&b=2&a=3", "a").as_deref(), Some("3"));
        assert_eq!(parameter("/x?a", "a").as_deref(), Some(""));
        assert_eq!(parameter("/x?aa=1", "a"), None);
        assert_eq!(parameter("/x", "a"), None);
    }
}
