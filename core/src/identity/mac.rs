//! HMAC-SHA256 with a shared key.

use core::fmt;

use hmac::digest::block_api::{
    Block, BlockSizeUser, Buffer, BufferKindUser, CoreProxy, FixedOutputCore, OutputSizeUser, UpdateCore,
};
use hmac::digest::{HashMarker, Output};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::ZeroizeOnDrop;

use crate::data::{Full, Sink};

type Core = <Sha256 as CoreProxy>::Core;

/// The state of SHA-256 behind a key's block, which is as good as the key: overwritten when dropped.
///
/// Features of `hmac` and `sha2` would do that for every SHA-256 of the program, and tokens and Merkle nodes would pay for it.
#[derive(Clone, Default)]
pub(super) struct KeyedCore(Core);

impl Drop for KeyedCore {
    fn drop(&mut self) {
        self.0 = Core::default();
        // The value is looked at, so it is written.
        core::hint::black_box(&mut self.0);
    }
}

impl HashMarker for KeyedCore {}

impl BlockSizeUser for KeyedCore {
    type BlockSize = <Core as BlockSizeUser>::BlockSize;
}

impl BufferKindUser for KeyedCore {
    type BufferKind = <Core as BufferKindUser>::BufferKind;
}

impl OutputSizeUser for KeyedCore {
    type OutputSize = <Core as OutputSizeUser>::OutputSize;
}

impl UpdateCore for KeyedCore {
    #[inline]
    fn update_blocks(&mut self, blocks: &[Block<Self>]) {
        self.0.update_blocks(blocks);
    }
}

impl FixedOutputCore for KeyedCore {
    #[inline]
    fn finalize_fixed_core(&mut self, buffer: &mut Buffer<Self>, out: &mut Output<Self>) {
        self.0.finalize_fixed_core(buffer, out);
    }
}

hmac::digest::buffer_fixed!(
    /// SHA-256 whose state is overwritten when dropped.
    pub(super) struct KeyedSha256(KeyedCore);
    impl: BaseFixedTraits Default Clone HashMarker;
);

/// A key for HMAC-SHA256 (RFC 2104), of any length. Wiped when dropped, never printed.
///
/// It keeps the two states of SHA-256 behind its padded blocks, so a tag costs the hash of its message and one block more.
#[derive(Clone)]
pub struct MacKey(Hmac<KeyedSha256>);

impl ZeroizeOnDrop for MacKey {}

impl MacKey {
    /// A key of these bytes. One longer than 64 bytes stands for its SHA-256. The caller wipes its own copy.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub fn new(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("any length"))
    }

    /// Begin a tag.
    #[must_use]
    pub fn begin(&self) -> Mac {
        Mac(self.0.clone())
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

/// In constant time: keys whose tags of the empty message differ are different.
impl PartialEq for MacKey {
    fn eq(&self, other: &Self) -> bool {
        self.verify(b"", &other.tag(b""))
    }
}

impl Eq for MacKey {}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacKey(<redacted>)")
    }
}

/// A tag in the making: takes its message in pieces, also as a [`Sink`]. Its state is wiped when dropped.
pub struct Mac(Hmac<KeyedSha256>);

impl Mac {
    /// Take more of the message.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The tag: all 32 bytes of it.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }
}

impl Sink for Mac {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.update(bytes);
        Ok(())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(<redacted>)")
    }
}
