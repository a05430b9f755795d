//! Notices that an object may have a key twice, in constant space and time.

/// Containers nested deeper than this are not told apart.
const LEVELS: usize = 32;
/// Words of the filter: 1,024 bits, so a dozen keys seldom meet by chance.
const WORDS: usize = 16;

/// A Bloom filter over (object, key). It never overlooks a duplicate; it may see one that is none.
pub(super) struct KeyFilter {
    bits: [u64; WORDS],
    /// Number of the object that is open at each level.
    objects: [u32; LEVELS],
    opened: u32,
}

impl KeyFilter {
    pub(super) const fn new() -> Self {
        Self { bits: [0; WORDS], objects: [0; LEVELS], opened: 0 }
    }

    /// An object was opened at this depth.
    #[inline]
    pub(super) fn open(&mut self, depth: usize) {
        self.opened = self.opened.wrapping_add(1);
        if let Some(object) = self.objects.get_mut(depth) {
            *object = self.opened;
        }
    }

    /// Remember a key of the object that is open at this depth; whether it is certainly new there.
    #[inline]
    pub(super) fn insert(&mut self, key: &[u8], depth: usize) -> bool {
        // All objects that are nested too deep count as one.
        let object = self.objects.get(depth).copied().unwrap_or(0);
        let hash = hash(key, object);
        let (word, bit) = ((hash >> 60) as usize % WORDS, 1_u64 << (hash >> 54 & 63));
        let Some(word) = self.bits.get_mut(word) else { return false };
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

/// The first and the last eight bytes, the length and the object. Equal keys hash alike; that is all it must do.
#[inline]
fn hash(key: &[u8], object: u32) -> u64 {
    let word = |chunk: Option<&[u8; 8]>| chunk.map(|c| u64::from_le_bytes(*c));
    let (head, tail) = match (word(key.first_chunk()), word(key.last_chunk())) {
        (Some(head), Some(tail)) => (head, tail),
        _ => (key.iter().fold(0, |word, b| word << 8 | u64::from(*b)), 0),
    };
    let scope = u64::from(object) << 32 ^ key.len() as u64;
    let mixed = (head ^ scope).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ tail.rotate_left(29) ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93)
}
