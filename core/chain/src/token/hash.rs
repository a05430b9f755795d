//! SHA-256 over text that is put together piece by piece.

use core::fmt;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use sluis_core::data::{Full, Sink, hex};
use sluis_core::identity::Mac;

/// A SHA-256 or HMAC-SHA256 value. Shown and read as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash32(pub [u8; 32]);

impl Hash32 {
    /// SHA-256 of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Read exactly 64 lower-case hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::parse(text.as_bytes(), &mut bytes)?;
        Some(Self(bytes))
    }

    /// Its 64 lower-case hex digits.
    #[must_use]
    pub fn to_hex(self) -> [u8; 64] {
        let mut out = [0; 64];
        for (two, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *two = hex::pair(byte);
        }
        out
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    #[must_use]
    pub(crate) fn ct_eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.to_hex()).unwrap_or_default())
    }
}

impl fmt::Debug for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes that are gathered before the hash sees them.
const STAGE: usize = 1024;

/// Something that takes bytes to be hashed.
pub(super) trait Update {
    fn update(&mut self, bytes: &[u8]);
}

impl Update for Sha256 {
    #[inline]
    fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(self, bytes);
    }
}

impl Update for Mac {
    #[inline]
    fn update(&mut self, bytes: &[u8]) {
        Self::update(self, bytes);
    }
}

/// Gathers small pieces, so that the hash works on whole blocks and is called seldom.
pub(super) struct Stage<'h, H> {
    hash: &'h mut H,
    bytes: heapless::Vec<u8, STAGE>,
}

impl<'h, H: Update> Stage<'h, H> {
    #[inline]
    pub(super) const fn new(hash: &'h mut H) -> Self {
        Self { hash, bytes: heapless::Vec::new() }
    }

    /// Give the rest to the hash.
    #[inline]
    pub(super) fn finish(self) {
        self.hash.update(&self.bytes);
    }

    /// A piece for which there is no room: fill up, and pass on what need not be kept.
    #[inline(never)]
    fn overflow(&mut self, bytes: &[u8]) {
        let (fill, rest) = bytes.split_at_checked(STAGE - self.bytes.len()).unwrap_or((bytes, &[]));
        // There is room for what fills it up, and then for less than a block.
        let _ = self.bytes.extend_from_slice(fill);
        self.hash.update(&self.bytes);
        self.bytes.clear();
        let (whole, rest) = rest.split_at_checked(rest.len() / 64 * 64).unwrap_or((rest, &[]));
        if !whole.is_empty() {
            self.hash.update(whole);
        }
        let _ = self.bytes.extend_from_slice(rest);
    }
}

impl<H: Update> Sink for Stage<'_, H> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if self.bytes.extend_from_slice(bytes).is_err() {
            self.overflow(bytes);
        }
        Ok(())
    }
}
