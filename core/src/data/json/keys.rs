//! Notices that an object may have a key twice, in constant space and time.

use super::swar;

/// Objects nested deeper than this are told apart by their depth only.
const LEVELS: usize = 16;
/// Words of the filter.
const WORDS: usize = 16;

/// A Bloom filter over (object, key), two bits of 1,024 for each. It never overlooks a duplicate; it may see one that is
/// none, once in some hundred objects with a dozen keys.
pub(crate) struct KeyFilter {
    bits: [u64; WORDS],
    /// Number of the object that is open at each level.
    objects: [u16; LEVELS],
    opened: u16,
}

impl KeyFilter {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self { bits: [0; WORDS], objects: [0; LEVELS], opened: 0 }
    }

    /// An object was opened at this depth.
    #[inline]
    pub(crate) fn open(&mut self, depth: usize) {
        self.opened = self.opened.wrapping_add(1);
        if let Some(object) = self.objects.get_mut(depth) {
            *object = self.opened;
        }
    }

    /// Remember the key at `start..end` in the object that is open at this depth; whether it is certainly new there.
    #[inline]
    pub(crate) fn insert(&mut self, bytes: &[u8], start: usize, end: usize, depth: usize) -> bool {
        let deep = u16::try_from(depth).unwrap_or(u16::MAX) | 1 << 15;
        let object = self.objects.get(depth).copied().unwrap_or(deep);
        let hash = hash(bytes, start, end, object);
        // Both shifts leave less than WORDS.
        let (a, b) = ((hash >> 60) as usize, (hash >> 56 & 15) as usize);
        let (bit_a, bit_b) = (1_u64 << (hash >> 50 & 63), 1_u64 << (hash >> 44 & 63));
        let seen = self.bits[a] & bit_a != 0 && self.bits[b] & bit_b != 0;
        self.bits[a] |= bit_a;
        self.bits[b] |= bit_b;
        !seen
    }
}

/// The first and the last eight bytes, the length and the object. Equal keys hash alike; that is all it must do.
#[inline(always)]
fn hash(bytes: &[u8], start: usize, end: usize, object: u16) -> u64 {
    let len = end.saturating_sub(start);
    let head = swar::prefix(bytes, start, end);
    let tail = if len > 8 { swar::prefix(bytes, end - 8, end) } else { 0 };
    let scope = u64::from(object) << 32 ^ len as u64;
    let mixed = (head ^ scope.rotate_left(7)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ tail.rotate_left(29) ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93)
}
