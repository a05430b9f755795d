//! Small objects without containers in them, written as the reference writes them: what most payloads are.
//!
//! `None` means "not like that" and says nothing else: the [scanner](super::scan) then starts over and decides.

use super::swar;

/// Members that are looked at.
const MOST: usize = 8;

/// Where the object that begins at `start` ends. All that can be [`Known`](super::super::value::Known) of it holds.
#[inline(never)]
pub(super) fn object(bytes: &[u8], start: usize) -> Option<usize> {
    let mut keys = [0; MOST];
    let mut pos = start + 1;
    for n in 0..MOST {
        if bytes.get(pos) != Some(&b'"') {
            return None;
        }
        let (key, end) = key(bytes, pos + 1)?;
        // Equal keys have equal digests, and seldom has anything else.
        let (before, _) = keys.split_at_checked(n)?;
        if before.contains(&key) || bytes.get(end + 1) != Some(&b':') {
            return None;
        }
        *keys.get_mut(n)? = key;
        pos = scalar(bytes, end + 2)?;
        match bytes.get(pos) {
            Some(b',') => pos += 1,
            Some(b'}') => return Some(pos + 1),
            _ => return None,
        }
    }
    None
}

/// A digest of the key from `at` on, and where its closing quote is.
#[inline(always)]
fn key(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let word = swar::load_padded(bytes, at)?;
    let marks = swar::escaped(word);
    let len = swar::first(marks);
    if marks == 0 || len == 0 {
        return if marks == 0 { long_key(bytes, at, word) } else { None };
    }
    // No byte of a key is zero, so the padded word is the key.
    (bytes.get(at + len) == Some(&b'"')).then_some((word & !(u64::MAX << (8 * len)), at + len))
}

/// The same for a key of eight bytes and more.
fn long_key(bytes: &[u8], at: usize, head: u64) -> Option<(u64, usize)> {
    let end = string(bytes, at)?;
    let tail = swar::load(bytes, end - 8)?;
    let len = (end - at) as u64;
    // Where a short key has a zero, or ASCII, this has the high bit.
    Some((head.rotate_left(7) ^ tail.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ len | 1 << 63, end))
}

/// The closing quote of the string whose content begins at `at`.
#[inline(always)]
fn string(bytes: &[u8], at: usize) -> Option<usize> {
    let end = swar::find(bytes, at, swar::escaped);
    (bytes.get(end) == Some(&b'"')).then_some(end)
}

/// Where the value that begins at `at` ends, if it is no container.
#[inline(always)]
fn scalar(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    match rest.first()? {
        b'"' => string(bytes, at + 1).map(|end| end + 1),
        b't' => rest.starts_with(b"true").then_some(at + 4),
        b'f' => rest.starts_with(b"false").then_some(at + 5),
        b'n' => rest.starts_with(b"null").then_some(at + 4),
        _ => number(rest).map(|len| at + len),
    }
}

/// The length of a number as the reference prints it, of at most 15 digits: as many survive the way through a float.
#[inline(always)]
pub(super) fn number(bytes: &[u8]) -> Option<usize> {
    let negative = bytes.first() == Some(&b'-');
    let digits = bytes.get(usize::from(negative)..)?;
    let int = run(digits);
    let zero = digits.first() == Some(&b'0');
    if int == 0 || (zero && int > 1) {
        return None;
    }
    let len = match digits.get(int) {
        Some(b'.') => {
            let fraction = run(digits.get(int + 1..)?);
            let len = int + 1 + fraction;
            // No zeros at the end, unless the fraction is one zero; no exponent for lack of leading digits.
            let ends_well = fraction == 1 || (fraction > 1 && digits.get(len - 1) != Some(&b'0'));
            if !ends_well || (zero && fraction > 3) {
                return None;
            }
            len
        }
        _ if zero && negative => return None,
        _ => int,
    };
    let done = len <= 15 && !matches!(digits.get(len), Some(b'e' | b'E'));
    done.then_some(len + usize::from(negative))
}

/// How many digits come first.
#[inline(always)]
fn run(bytes: &[u8]) -> usize {
    let mut len = 0;
    while let Some(b'0'..=b'9') = bytes.get(len) {
        len += 1;
    }
    len
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::super::super::value::Known;
    use super::super::scan::{Scanner, nested};
    use super::object;

    fn member() -> impl Strategy<Value = String> {
        let text = "[a-z\"\\\\ \u{e9}]{0,12}";
        let number = "-?[0-9]{1,4}(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?|-?[0-9]{14,17}(\\.[0-9]{0,3})?";
        let value = prop_oneof![
            number,
            text.prop_map(|text| format!("\"{text}\"")),
            "true|false|null|nul|tru|NaN|-|-?Infinity|\\[\\]|\\{\\}",
        ];
        ("[a-c]{0,3}|[a-c]{6,10}|[ab]{20}", value).prop_map(|(key, value)| format!("\"{key}\":{value}"))
    }

    proptest! {
        /// What is taken is what the scanner takes, and as good as the scanner finds it.
        #[test]
        fn takes_nothing_that_the_scanner_does_not(
            members in prop::collection::vec(member(), 0..10),
            change in (any::<prop::sample::Index>(), any::<bool>(), "[ -~]"),
            tail in "[,} a]{0,9}",
        ) {
            let mut text = format!("{{{}}}{tail}", members.join(","));
            let (at, changed, byte) = (change.0.index(text.len()), change.1, change.2);
            if changed && text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                text.replace_range(at..=at, &byte);
            }
            if text.starts_with('{') && let Some(end) = object(text.as_bytes(), 0) {
                let (scanned, known) = nested(Scanner::new(&text, 0));
                prop_assert_eq!((end, Ok(Known::ALL)), (scanned, known), "{}", text);
            }
        }
    }

    #[test]
    fn takes_what_payloads_are_made_of() {
        let payloads = [
            r#"{"value":21.5,"unit":"C","rh":48.2,"battery":87,"ok":true}"#,
            r#"{"score":0.9,"source":"known"}"#,
            r#"{"temperature":-0.5,"timestamps":"2025-01-15T12:00:00Z","n":null,"f":false,"zero":0.0,"i":-7}"#,
        ];
        let taken: Vec<_> = payloads.iter().map(|text| object(text.as_bytes(), 0)).collect();
        assert_eq!(taken, payloads.map(|text| Some(text.len())));
        for not in
            [r#"{"a":1,"a":2}"#, r#"{"aaaaaaaaa":1,"aaaaaaaaa":2}"#, r#"{"a":-0}"#, r#"{"a":1.50}"#, r#"{"a": 1}"#]
        {
            assert_eq!(object(not.as_bytes(), 0), None, "{not}");
        }
    }
}
