//! Randomness as a value: it comes in once, as a [`Seed`].

use core::fmt;

use chacha20::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};
use siphasher::sip::SipHasher13;
use zeroize::ZeroizeOnDrop;

/// 256 bits of secret randomness from which a machine draws everything random it ever uses.
///
/// Same seed and same inputs give byte-identical outputs, so a seed must never be used twice outside of a replay: an
/// adapter takes it from the operating system. It is wiped when dropped and never printed.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

impl Seed {
    /// Wrap 32 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A seed for tests and simulations, spread from a small number. Never use it in production: it is guessable.
    #[must_use]
    pub fn from_u64(n: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        let mut rng = ChaCha20Rng::from_seed(bytes);
        let mut out = [0; 32];
        rng.fill_bytes(&mut out);
        Self(out)
    }

    /// The bytes themselves, for a recording.
    #[cfg(feature = "record")]
    pub(crate) const fn secret(&self) -> &[u8; 32] {
        &self.0
    }

    /// The generator of one component. Components with different labels draw independent streams, so adding a draw in
    /// one never shifts another.
    #[must_use]
    pub fn fork(&self, label: &str) -> Rng {
        let (mut a, mut b) = ([0; 8], [0; 8]);
        a.copy_from_slice(&self.0[..8]);
        b.copy_from_slice(&self.0[8..16]);
        // The label is public and fixed by the code: a keyed hash of it, laid over the seed, keeps streams apart.
        let tag = SipHasher13::new_with_keys(u64::from_le_bytes(a), u64::from_le_bytes(b)).hash(label.as_bytes());
        let mut rng = ChaCha20Rng::from_seed(self.0);
        rng.set_stream(tag);
        Rng(rng)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(<redacted>)")
    }
}

/// The ChaCha20 generator of one component.
pub struct Rng(ChaCha20Rng);

impl Rng {
    /// 64 random bits.
    #[must_use]
    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Fill a buffer with random bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        self.0.fill_bytes(out);
    }

    /// A key for tables whose keys strangers choose.
    #[must_use]
    pub fn sip_key(&mut self) -> SipKey {
        SipKey(self.u64(), self.u64())
    }
}

impl fmt::Debug for Rng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rng(<redacted>)")
    }
}

/// A secret SipHash-1-3 key: hashes of texts that strangers choose cannot be made to collide.
#[derive(Clone, ZeroizeOnDrop)]
pub struct SipKey(u64, u64);

impl SipKey {
    /// Hash one text.
    #[must_use]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.0, self.1).hash(bytes)
    }

    /// A text together with its hash, for tables that are keyed alike.
    #[must_use]
    pub fn name<'a>(&self, text: &'a str) -> Name<'a> {
        Name { text, hash: self.hash(text.as_bytes()) }
    }

    /// Hash a text in the scope of a number (a sender's slot, say): the same text in two scopes has unrelated hashes.
    #[must_use]
    pub fn hash_in(&self, scope: u64, bytes: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.0 ^ scope, self.1.rotate_left(17) ^ scope).hash(bytes)
    }
}

/// A text that was hashed once for all tables that hash with the same [`SipKey`].
#[derive(Clone, Copy, Debug)]
pub struct Name<'a> {
    text: &'a str,
    hash: u64,
}

impl<'a> Name<'a> {
    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'a str {
        self.text
    }

    /// Its keyed hash. Never tell it to strangers.
    #[must_use]
    pub const fn hash(self) -> u64 {
        self.hash
    }
}

impl fmt::Debug for SipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SipKey(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::Seed;

    #[test]
    fn same_seed_same_stream_and_labels_are_independent() {
        let (mut a, mut b) = (Seed::from_u64(7).fork("ids"), Seed::from_u64(7).fork("ids"));
        let mut c = Seed::from_u64(7).fork("nonces");
        let first = [a.u64(), a.u64()];
        assert_eq!(first, [b.u64(), b.u64()]);
        assert_ne!(first, [c.u64(), c.u64()]);
        assert_ne!(first[0], Seed::from_u64(8).fork("ids").u64());
    }

    #[test]
    fn secrets_are_not_printed() {
        let seed = Seed::from_u64(7);
        let mut rng = seed.fork("x");
        let shown = std::format!("{seed:?} {:?} {:?}", rng.sip_key(), rng);
        assert_eq!(shown, "Seed(<redacted>) SipKey(<redacted>) Rng(<redacted>)");
    }
}
