//! Number literals by the rules of Python's `json.loads`.

use super::super::error::ParseError;
use super::super::number::MAX_INT_DIGITS;

/// A number from `start` on: where it ends, and whether the reference would print it like this. What looks wrong after
/// it is left for whoever reads on.
#[inline]
pub(super) fn check(bytes: &[u8], start: usize) -> Result<(usize, bool), ParseError> {
    let negative = bytes.get(start) == Some(&b'-');
    let int = start + usize::from(negative);
    let end = match bytes.get(int) {
        Some(b'0') => int + 1,
        Some(b'1'..=b'9') => end_of_digits(bytes, int + 1),
        _ => return word(bytes, start).map(|end| (end, true)).ok_or(ParseError::BadJson),
    };
    let fraction = match bytes.get(end) {
        Some(b'.') => end_of_digits(bytes, end + 1),
        Some(b'e' | b'E') => end,
        _ if end - int > MAX_INT_DIGITS => return Err(ParseError::IntTooLong),
        _ => return Ok((end, !negative || bytes.get(int) != Some(&b'0'))),
    };
    if fraction == end + 1 {
        // A point without digits is no part of the number.
        return Ok((end, false));
    }
    if let Some(b'e' | b'E') = bytes.get(fraction) {
        let sign = matches!(bytes.get(fraction + 1), Some(b'+' | b'-'));
        let digits = fraction + 1 + usize::from(sign);
        let exponent = end_of_digits(bytes, digits);
        return Ok((if exponent == digits { fraction } else { exponent }, false));
    }
    let part = |range: core::ops::Range<usize>| bytes.get(range).unwrap_or_default();
    Ok((fraction, prints_the_same(part(int..end), part(end + 1..fraction))))
}

#[inline(always)]
fn end_of_digits(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(b'0'..=b'9') = bytes.get(pos) {
        pos += 1;
    }
    pos
}

/// The end of a number that is a word.
fn word(bytes: &[u8], start: usize) -> Option<usize> {
    let rest = bytes.get(start..)?;
    let words: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    words.iter().find(|word| rest.starts_with(word)).map(|word| start + word.len())
}

/// Whether a decimal fraction is what the reference prints for the float it reads as. At most 15 significant digits
/// survive the way through a float and back, so no shorter text reads as the same float. May say no too often.
#[inline]
fn prints_the_same(int: &[u8], fraction: &[u8]) -> bool {
    if fraction == b"0" {
        return int.len() <= 15;
    }
    if fraction.last() == Some(&b'0') {
        return false;
    }
    if int != b"0" {
        return int.len() + fraction.len() <= 15;
    }
    let zeros = fraction.iter().take_while(|b| **b == b'0').count();
    zeros <= 3 && fraction.len() - zeros <= 15
}
