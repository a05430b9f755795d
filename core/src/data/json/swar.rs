//! Looking at eight bytes at once.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Eight bytes from `at`, if there are as many.
#[inline(always)]
pub(super) fn load(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).map(|chunk| u64::from_le_bytes(*chunk))
}

/// Marks (the high bit of) bytes that are zero. Exact up to and including the first marked byte.
#[inline(always)]
const fn zero(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

/// Marks bytes below 0x20, quotes and backslashes: what ends a run inside of a JSON string.
#[inline(always)]
pub(super) const fn special(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
    control | zero(word ^ (ONES * b'"' as u64)) | zero(word ^ (ONES * b'\\' as u64))
}

/// As [`special`], and all that the reference escapes besides: 0x7f and what is not ASCII.
#[inline(always)]
pub(super) const fn escaped(word: u64) -> u64 {
    special(word) | ((word.wrapping_add(ONES) | word) & HIGHS)
}

/// Marks commas, closing brackets and zeros: what stands behind a number.
#[inline(always)]
pub(super) const fn closing(word: u64) -> u64 {
    // Both brackets are the same but for this bit, and nothing else is either of them with it.
    zero(word) | zero(word ^ (ONES * b',' as u64)) | zero((word | (ONES * 0x20)) ^ (ONES * b'}' as u64))
}

/// Index of the first marked byte.
#[inline(always)]
pub(super) const fn first(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

/// From `at`, the first byte that `marks` marks, or the end. `marks` must mark zero bytes.
#[inline(always)]
pub(super) fn find(bytes: &[u8], mut at: usize, marks: impl Fn(u64) -> u64) -> usize {
    while let Some(word) = load(bytes, at) {
        let found = marks(word);
        if found != 0 {
            return at + first(found);
        }
        at += 8;
    }
    find_at_end(bytes, at, marks)
}

/// As [`find`], in the last bytes.
#[inline(always)]
fn find_at_end(bytes: &[u8], at: usize, marks: impl Fn(u64) -> u64) -> usize {
    let Some(rest) = bytes.len().checked_sub(at).filter(|rest| (1..8).contains(rest)) else { return bytes.len() };
    // Behind the end are zeros, and they are marked.
    at + first(marks(last(bytes, rest))).min(rest)
}

/// The last `rest` bytes, 1 to 7, with zeros behind the end.
#[inline(always)]
fn last(bytes: &[u8], rest: usize) -> u64 {
    match bytes.last_chunk::<8>() {
        Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest),
        None => bytes.iter().rev().take(rest).fold(0, |word, b| word << 8 | u64::from(*b)),
    }
}

/// Eight bytes from `at`, with zeros behind the end; `None` at the end.
#[inline(always)]
pub(super) fn load_padded(bytes: &[u8], at: usize) -> Option<u64> {
    load(bytes, at).or_else(|| {
        let rest = bytes.len().checked_sub(at).filter(|rest| (1..8).contains(rest))?;
        Some(last(bytes, rest))
    })
}

/// The first eight bytes from `at`, those from `end` on as zeros.
#[inline(always)]
pub(super) fn prefix(bytes: &[u8], at: usize, end: usize) -> u64 {
    let len = end.saturating_sub(at);
    match load(bytes, at) {
        Some(word) if len >= 8 => word,
        Some(word) => word & !(u64::MAX << (8 * len)),
        None => bytes.get(at..end).unwrap_or_default().iter().rev().fold(0, |word, b| word << 8 | u64::from(*b)),
    }
}

#[cfg(test)]
mod tests {
    use super::{escaped, find, prefix, special};

    #[test]
    fn finds_the_first_marked_byte_wherever_it_is() {
        for b in 0..=255_u8 {
            let is_special = b < 0x20 || b == b'"' || b == b'\\';
            let is_escaped = is_special || b >= 0x7f;
            for at in 0..20 {
                for after in [b'a', b'"', 0, 0xff, 0x7e] {
                    let mut bytes = [b'z'; 24];
                    bytes[at] = b;
                    bytes[at + 1] = after;
                    let next = |marked: fn(u8) -> bool| if marked(after) { at + 1 } else { 24 };
                    let special_end = next(|b| b < 0x20 || b == b'"' || b == b'\\');
                    let escaped_end = next(|b| b < 0x20 || b == b'"' || b == b'\\' || b >= 0x7f);
                    assert_eq!(find(&bytes, 0, special), if is_special { at } else { special_end });
                    assert_eq!(find(&bytes, 0, escaped), if is_escaped { at } else { escaped_end });
                }
            }
        }
        for len in 0..20 {
            let bytes = [b'z'; 20];
            for at in 0..=len + 1 {
                assert_eq!(find(&bytes[..len], at, special), len);
            }
        }
    }

    #[test]
    fn prefixes_are_padded() {
        let bytes: std::vec::Vec<u8> = (1..=20).collect();
        for len in 0..=20 {
            for at in 0..=len {
                for end in at..=len {
                    let mut padded = [0; 8];
                    let part = &bytes[at..end.min(at + 8)];
                    padded[..part.len()].copy_from_slice(part);
                    assert_eq!(prefix(&bytes[..len], at, end), u64::from_le_bytes(padded));
                }
            }
        }
    }
}
