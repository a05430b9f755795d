//! The randomness of a world: fast, and drawn from its one seed.

use crate::Seed;

/// A SplitMix64 generator. Everything that a world decides by chance it draws from generators like these, forked from one
/// [`Seed`] by label; what nodes under test draw stays their own.
#[derive(Clone, Debug)]
pub struct SimRng(u64);

impl SimRng {
    /// The dice of one part of a world.
    #[must_use]
    pub fn new(seed: &Seed, label: &str) -> Self {
        Self(seed.fork(label).u64())
    }

    /// 64 random bits.
    pub(crate) fn u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.u64()) * u128::from(n)) >> 64) as u64
    }

    /// A place in a list of `len` entries.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A number from `low` to `high`, both included; `low` if they are the wrong way round.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True with this probability. Draws nothing for 0, so a fault that is off shifts no other.
    pub fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && ((self.u64() >> 11) as f64) < probability * (1_u64 << 53) as f64
    }

    /// Fresh randomness for a machine.
    pub fn seed(&mut self) -> Seed {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&self.u64().to_le_bytes());
        }
        Seed::new(bytes)
    }
}
