//! What appending needs to be quick: copies of short texts without a call, and SHA-256 of bytes that lie together.

use sha2::block_api::compress256;

use sluis_core::data::{Full, Sink};

/// The state that SHA-256 begins with (FIPS 180-4, 5.3.3).
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

fn bytes(state: [u32; 8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (four, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *four = word.to_be_bytes();
    }
    out
}

/// A message as the blocks that SHA-256 takes. The last ones are put together before the first is hashed: bytes that were
/// written a moment ago are slow to be loaded in other pieces.
struct Blocks<'m> {
    front: [[u8; 64]; 1],
    fronts: usize,
    whole: &'m [[u8; 64]],
    last: [[u8; 64]; 2],
    lasts: usize,
}

impl<'m> Blocks<'m> {
    const NONE: Self = Self { front: [[0; 64]], fronts: 0, whole: &[], last: [[0; 64]; 2], lasts: 0 };

    /// All of a message.
    #[inline(always)]
    fn of(message: &'m [u8]) -> Self {
        let mut blocks = Self::NONE;
        let rest;
        (blocks.whole, rest) = message.as_chunks();
        blocks.pad(rest, message.len());
        blocks
    }

    /// All of a message of one byte and others.
    #[inline(always)]
    fn after(first: u8, message: &'m [u8]) -> Self {
        let mut blocks = Self::NONE;
        let len = message.len() + 1;
        let rest = blocks.begin(first, message);
        if blocks.fronts > 0 {
            blocks.pad(rest, len);
        } else {
            let mut short = [first; 64];
            short.iter_mut().skip(1).zip(message).for_each(|(to, byte)| *to = *byte);
            blocks.pad(short.get(..len).unwrap_or_default(), len);
        }
        blocks
    }

    /// The whole blocks that a message of one byte and others begins with; what is not in them.
    #[inline(always)]
    fn begin(&mut self, first: u8, message: &'m [u8]) -> &'m [u8] {
        let Some((front, rest)) = message.split_first_chunk::<63>() else { return message };
        let [block] = &mut self.front;
        if let Some(one) = block.first_mut() {
            *one = first;
        }
        if let Some(room) = block.last_chunk_mut() {
            *room = *front;
        }
        self.fronts = 1;
        let rest = rest.as_chunks();
        self.whole = rest.0;
        rest.1
    }

    /// `rest` is what is left of a message of `len` bytes.
    #[inline(always)]
    fn pad(&mut self, rest: &[u8], len: usize) {
        let flat = self.last.as_flattened_mut();
        if let Some(room) = flat.get_mut(..rest.len()) {
            copy(room, rest);
        }
        if let Some(end) = flat.get_mut(rest.len()) {
            *end = 0x80;
        }
        let two = rest.len() + 9 > 64;
        let bits = (len as u64).wrapping_mul(8).to_be_bytes();
        let [one, other] = &mut self.last;
        if let Some(tail) = if two { other } else { one }.last_chunk_mut() {
            *tail = bits;
        }
        self.lasts = if two { 2 } else { 1 };
    }

    #[inline(always)]
    fn front(&self) -> &[[u8; 64]] {
        self.front.get(..self.fronts).unwrap_or_default()
    }

    #[inline(always)]
    fn last(&self) -> &[[u8; 64]] {
        self.last.get(..self.lasts).unwrap_or_default()
    }

    #[inline(always)]
    fn iter(&self) -> impl Iterator<Item = &[u8; 64]> {
        self.front().iter().chain(self.whole).chain(self.last())
    }

    #[inline(always)]
    fn hash(&self) -> [u8; 32] {
        let mut state = START;
        compress256(&mut state, self.front());
        compress256(&mut state, self.whole);
        compress256(&mut state, self.last());
        bytes(state)
    }
}

/// Hash two messages block by block, in turns. A round of SHA-256 waits for the one before it; a processor that looks
/// ahead works on the other message meanwhile.
#[inline(always)]
fn both(one: &Blocks<'_>, other: &Blocks<'_>) -> ([u32; 8], [u32; 8]) {
    let (mut a, mut b) = (START, START);
    let (mut left, mut right) = (one.iter(), other.iter());
    loop {
        match (left.next(), right.next()) {
            (Some(l), Some(r)) => {
                compress256(&mut a, core::slice::from_ref(l));
                compress256(&mut b, core::slice::from_ref(r));
            }
            (Some(l), None) => compress256(&mut a, core::slice::from_ref(l)),
            (None, Some(r)) => compress256(&mut b, core::slice::from_ref(r)),
            (None, None) => return (a, b),
        }
    }
}

/// SHA-256 of bytes.
#[inline]
pub(crate) fn sha256(message: &[u8]) -> [u8; 32] {
    Blocks::of(message).hash()
}

/// SHA-256 of one byte and others.
#[inline]
pub(crate) fn sha256_after(first: u8, message: &[u8]) -> [u8; 32] {
    Blocks::after(first, message).hash()
}

/// SHA-256 of bytes, and of one byte and others: quicker than one after the other.
#[cfg(any(test, feature = "alloc"))]
#[inline]
pub(crate) fn sha256_and_after(one: &[u8], first: u8, other: &[u8]) -> ([u8; 32], [u8; 32]) {
    let (a, b) = both(&Blocks::of(one), &Blocks::after(first, other));
    (bytes(a), bytes(b))
}

/// SHA-256 of a message of which only the front is there yet.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    state: [u32; 8],
    /// Bytes of the message that are in it, without the one before them.
    taken: usize,
    first: u8,
}

/// SHA-256 of bytes, and as much as there can be of that of one byte and a message that begins like this.
#[inline]
pub(crate) fn sha256_and_begin(one: &[u8], first: u8, front: &[u8]) -> ([u8; 32], Begun) {
    let mut begun = Blocks::NONE;
    let taken = front.len() - begun.begin(first, front).len();
    let (a, state) = both(&Blocks::of(one), &begun);
    (bytes(a), Begun { state, taken, first })
}

impl Begun {
    /// The message is whole.
    #[inline]
    pub(crate) fn finish(mut self, message: &[u8]) -> [u8; 32] {
        let Some(rest) = message.get(self.taken..).filter(|_| self.taken > 0) else {
            return sha256_after(self.first, message);
        };
        let mut blocks = Blocks::NONE;
        let (whole, rest) = rest.as_chunks();
        blocks.pad(rest, message.len() + 1);
        compress256(&mut self.state, whole);
        compress256(&mut self.state, blocks.last());
        bytes(self.state)
    }
}

/// SHA-256 of one byte and two hashes.
#[inline]
pub(crate) fn sha256_node(first: u8, left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut blocks = [[0; 64]; 2];
    let flat = blocks.as_flattened_mut();
    let (message, padding) = flat.split_at_mut(65);
    let (prefix, children) = message.split_at_mut(1);
    let (l, r) = children.split_at_mut(32);
    prefix.fill(first);
    l.copy_from_slice(left);
    r.copy_from_slice(right);
    // 520 bits.
    if let Some(end) = padding.first_mut() {
        *end = 0x80;
    }
    if let Some(bits) = padding.last_chunk_mut::<2>() {
        *bits = 520_u16.to_be_bytes();
    }
    let mut state = START;
    compress256(&mut state, &blocks);
    bytes(state)
}

/// Writes into a borrowed buffer as `SliceSink` does; short pieces are copied in place.
pub(crate) struct SliceWriter<'b> {
    buf: &'b mut [u8],
    len: usize,
}

impl<'b> SliceWriter<'b> {
    pub(crate) const fn new(buf: &'b mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn written(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or_default()
    }
}

impl Sink for SliceWriter<'_> {
    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.len + bytes.len();
        let Some(room) = self.buf.get_mut(self.len..end) else { return Err(Full) };
        self.len = end;
        copy(room, bytes);
        Ok(())
    }
}

/// Two pieces from both ends, which overlap, for every length up to 64.
#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    macro_rules! ends {
        ($n:literal) => {
            if let (Some(front), Some(back)) = (from.first_chunk::<$n>(), from.last_chunk::<$n>()) {
                if let Some(room) = to.first_chunk_mut::<$n>() {
                    *room = *front;
                }
                if let Some(room) = to.last_chunk_mut::<$n>() {
                    *room = *back;
                }
            }
        };
    }
    match from.len() {
        0 => {}
        1..4 => to.iter_mut().zip(from).for_each(|(to, byte)| *to = *byte),
        4..8 => ends!(4),
        8..16 => ends!(8),
        16..=32 => ends!(16),
        33..=64 => ends!(32),
        _ => to.copy_from_slice(from),
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn every_length_is_hashed_and_copied_as_it_should_be() {
        let bytes: Vec<u8> = (0..400_u16).map(|n| n.to_le_bytes()[0] ^ 0x5a).collect();
        for len in 0..bytes.len() {
            let message = &bytes[..len];
            assert_eq!(sha256(message), <[u8; 32]>::from(Sha256::digest(message)), "{len}");
            let prefixed = Sha256::new().chain_update([7]).chain_update(message).finalize();
            assert_eq!(sha256_after(7, message), <[u8; 32]>::from(prefixed), "{len}");
            for other in [&bytes[..len / 2], &bytes[..63], message] {
                let long = [message, other].concat();
                let both = (<[u8; 32]>::from(Sha256::digest(other)), sha256_after(7, message));
                assert_eq!(sha256_and_after(other, 7, message), both, "{len}");
                let (hash, begun) = sha256_and_begin(other, 7, message);
                assert_eq!((hash, begun.finish(&long)), (both.0, sha256_after(7, &long)), "{len}");
            }
            let mut out = [0; 450];
            let mut quick = SliceWriter::new(&mut out);
            quick.put(b"ab").unwrap();
            quick.put(message).unwrap();
            let end = quick.len();
            assert_eq!((end, &out[2..end], out[end]), (len + 2, message, 0));
        }
        let (left, right) = ([3; 32], [9; 32]);
        let node = Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize();
        assert_eq!(sha256_node(1, &left, &right), <[u8; 32]>::from(node));
        assert_eq!(SliceWriter::new(&mut [0; 3]).put(b"four"), Err(Full));
    }
}
