//! HMAC-SHA256 with a shared key.

use core::fmt;

use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop};

use crate::data::{Full, Sink};

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

/// The state of SHA-256 before the first block (FIPS 180-4 5.3.3).
const START: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A key for HMAC-SHA256 (RFC 2104), of any length. Wiped when dropped, never printed.
///
/// It keeps the two states of SHA-256 behind its padded blocks, so a tag costs the hash of its message and one block more.
/// This is built on the compression function because the `hmac` crate wipes its state only with a feature that makes every
/// SHA-256 in the program wipe its buffer, which tokens and Merkle nodes would pay for.
#[derive(Clone, ZeroizeOnDrop)]
pub struct MacKey {
    inner: [u32; 8],
    outer: [u32; 8],
}

impl MacKey {
    /// A key of these bytes. One longer than 64 bytes stands for its SHA-256. The caller wipes its own copy.
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        let mut block = [0; BLOCK];
        match block.get_mut(..key.len()) {
            Some(room) => room.copy_from_slice(key),
            None => block[..32].copy_from_slice(&Sha256::digest(key)),
        }
        let after = |block: &mut [u8; BLOCK], pad: u8| {
            block.iter_mut().for_each(|byte| *byte ^= pad);
            let mut state = START;
            compress256(&mut state, core::slice::from_ref(block));
            state
        };
        let inner = after(&mut block, 0x36);
        // What was laid over the key for the inner hash is taken off again.
        let outer = after(&mut block, 0x36 ^ 0x5c);
        block.zeroize();
        Self { inner, outer }
    }

    /// Begin a tag.
    #[must_use]
    pub fn begin(&self) -> Mac {
        Mac { inner: self.inner, outer: self.outer, buffer: [0; BLOCK], total: 0 }
    }

    /// The tag of a message.
    #[must_use]
    pub fn tag(&self, message: &[u8]) -> [u8; 32] {
        let mut mac = self.begin();
        mac.update(message);
        mac.finish()
    }

    /// Whether this is the tag of the message, in constant time.
    #[must_use]
    pub fn verify(&self, message: &[u8], tag: &[u8; 32]) -> bool {
        self.tag(message).ct_eq(tag).into()
    }
}

/// In constant time.
impl PartialEq for MacKey {
    fn eq(&self, other: &Self) -> bool {
        (self.inner.ct_eq(&other.inner) & self.outer.ct_eq(&other.outer)).into()
    }
}

impl Eq for MacKey {}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(<redacted>)")
    }
}

/// A tag in the making: takes its message in pieces, also as a [`Sink`]. Its state is wiped when dropped.
pub struct Mac {
    inner: [u32; 8],
    outer: [u32; 8],
    /// The start of a block that is not full yet.
    buffer: [u8; BLOCK],
    /// Bytes of the message so far.
    total: u64,
}

impl Mac {
    /// Take more of the message.
    pub fn update(&mut self, mut bytes: &[u8]) {
        let held = self.held();
        self.total = self.total.wrapping_add(bytes.len() as u64);
        if held > 0 {
            let room = self.buffer.get_mut(held..).unwrap_or_default();
            let (first, rest) = bytes.split_at(room.len().min(bytes.len()));
            let full = first.len() == room.len();
            room.iter_mut().zip(first).for_each(|(to, from)| *to = *from);
            if !full {
                return;
            }
            compress256(&mut self.inner, core::slice::from_ref(&self.buffer));
            bytes = rest;
        }
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        compress256(&mut self.inner, blocks);
        self.buffer.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    }

    /// The tag: all 32 bytes of it.
    #[must_use]
    pub fn finish(mut self) -> [u8; 32] {
        let (mut inner, buffer, bits) = (self.inner, self.buffer, self.bits());
        pad(&mut inner, buffer, self.held(), bits);
        let mut block = [0; BLOCK];
        block[..32].copy_from_slice(&bytes(&inner));
        inner.zeroize();
        // One block of the key and the inner hash.
        pad(&mut self.outer, block, 32, 8 * (BLOCK as u64 + 32));
        bytes(&self.outer)
    }

    /// Bytes in the buffer.
    const fn held(&self) -> usize {
        // At most 63.
        #[allow(clippy::cast_possible_truncation)]
        let held = (self.total % BLOCK as u64) as usize;
        held
    }

    /// Bits hashed, the key's block included.
    const fn bits(&self) -> u64 {
        self.total.wrapping_add(BLOCK as u64).wrapping_mul(8)
    }
}

impl Sink for Mac {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.update(bytes);
        Ok(())
    }
}

/// The states only: what waits in the buffer is message.
impl Drop for Mac {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(<redacted>)")
    }
}

/// Hash what is left: `held` bytes of a block, the end mark, zeros, and the length in bits (FIPS 180-4 5.1.1).
fn pad(state: &mut [u32; 8], mut block: [u8; BLOCK], held: usize, bits: u64) {
    let (_, free) = block.split_at_mut(held.min(BLOCK));
    free.fill(0);
    if let [mark, ..] = free {
        *mark = 0x80;
    }
    if held >= BLOCK - 8 {
        compress256(state, core::slice::from_ref(&block));
        block = [0; BLOCK];
    }
    block[BLOCK - 8..].copy_from_slice(&bits.to_be_bytes());
    compress256(state, core::slice::from_ref(&block));
}

/// A state as the 32 bytes of a hash.
fn bytes(state: &[u32; 8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (four, word) in out.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *four = word.to_be_bytes();
    }
    out
}
