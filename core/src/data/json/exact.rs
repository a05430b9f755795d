//! The numbers of a JSON text, as they are written.

use super::super::exact::prints_the_same;
use super::read::end_of_string;

/// Whether every number with a fraction or an exponent in a checked text is printed as the same number; others always are.
pub(crate) fn numbers_are_exact(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(b) = bytes.get(at) {
        let start = at;
        match b {
            b'"' => match end_of_string(bytes, at + 1) {
                Some(end) => at = end,
                None => return false,
            },
            b'-' | b'0'..=b'9' => {
                while bytes.get(at).is_some_and(|b| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
                    at += 1;
                }
                let numeral = text.get(start..at).unwrap_or_default();
                if numeral.contains(['.', 'e', 'E']) && !prints_the_same(numeral) {
                    return false;
                }
            }
            _ => at += 1,
        }
    }
    true
}
