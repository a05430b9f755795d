//! The one form of every item that the reference writes: the shortest.

use super::item::Item;

/// Length of the shortest form of an integer, head included.
pub(super) const fn int_len(n: i64) -> usize {
    match n {
        -32..=0x7f => 1,
        -0x80..=0xff => 2,
        -0x8000..=0xffff => 3,
        -0x8000_0000..=0xffff_ffff => 5,
        _ => 9,
    }
}

/// Seconds and nanoseconds of a timestamp.
pub(super) fn timestamp(code: i8, body: &[u8]) -> Option<(i64, u32)> {
    if code != -1 {
        return None;
    }
    if let Ok(seconds) = <[u8; 4]>::try_from(body) {
        return Some((i64::from(u32::from_be_bytes(seconds)), 0));
    }
    if let Ok(both) = <[u8; 8]>::try_from(body) {
        let both = u64::from_be_bytes(both);
        return Some(((both & 0x3_ffff_ffff).cast_signed(), u32::try_from(both >> 34).unwrap_or(u32::MAX)));
    }
    let (nanoseconds, seconds) = body.split_first_chunk::<4>()?;
    let seconds = <[u8; 8]>::try_from(seconds).ok()?;
    Some((i64::from_be_bytes(seconds), u32::from_be_bytes(*nanoseconds)))
}

/// The body in which the reference writes a timestamp: its length.
pub(super) const fn timestamp_len(seconds: i64, nanoseconds: u32) -> usize {
    match (seconds, nanoseconds) {
        (0..=0xffff_ffff, 0) => 4,
        (0..=0x3_ffff_ffff, _) => 8,
        _ => 12,
    }
}

/// Is this the form the reference writes? `before` starts with the item, `after` bytes of it are beyond the item.
#[inline]
pub(super) fn is_shortest(before: &[u8], after: usize, item: Item<'_>) -> bool {
    let len = before.len() - after;
    match item {
        Item::Nil | Item::Bool(_) => true,
        Item::Int(n) => len == 1 || len == int_len(n) && (n < 0 || !matches!(before, [0xd0..=0xd3, ..])),
        Item::Uint(_) => true,
        Item::Float(_) => len == 9,
        Item::Str(text) => len == text.len() + str_head(text.len()),
        Item::Bin(bytes) => len == bytes.len() + bin_head(bytes.len()),
        Item::Ext(code, body) => {
            len == body.len() + ext_head(body.len())
                && timestamp(code, body).is_none_or(|(s, ns)| timestamp_len(s, ns) == body.len())
        }
        Item::Array(n) | Item::Map(n) => len == container_head(n),
    }
}

/// Length of the shortest head of a text.
const fn str_head(len: usize) -> usize {
    match len {
        0..=31 => 1,
        32..=0xff => 2,
        0x100..=0xffff => 3,
        _ => 5,
    }
}

/// Length of the shortest head of bytes.
const fn bin_head(len: usize) -> usize {
    match len {
        0..=0xff => 2,
        0x100..=0xffff => 3,
        _ => 5,
    }
}

/// Length of the shortest head of an extension value, code included.
const fn ext_head(len: usize) -> usize {
    match len {
        1 | 2 | 4 | 8 | 16 => 2,
        0..=0xff => 3,
        0x100..=0xffff => 4,
        _ => 6,
    }
}

/// Length of the shortest head of an array or map.
const fn container_head(n: u32) -> usize {
    match n {
        0..=15 => 1,
        16..=0xffff => 3,
        _ => 5,
    }
}
