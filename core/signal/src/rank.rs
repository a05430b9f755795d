//! Rendezvous hashing: both sides put the brokers of a pool into the same order for a key, without asking each other.
//!
//! `score = -ln((SHA-256(family ‖ key ‖ host) + 1) / 2^256) / weight`, low first. The score falls as the hash grows, so with equal
//! weights the hashes themselves are compared, as integers, and no logarithm is taken. Different weights compare by a logarithm in
//! integers (48 bits behind the point), so that every machine, with or without floating point, finds the same order.

use alloc::vec::Vec;
use core::cmp::Reverse;

use sha2::{Digest as _, Sha256};

use crate::key::PUBLIC_LEN;

/// The protocol by which a broker is reached. Each has an order of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The byte that is hashed: `AF_INET` and `AF_INET6` as Linux numbers them.
    #[must_use]
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }
}

/// How much of the traffic a broker is to draw compared to others, in thousandths. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u32);

impl Weight {
    /// What a broker has unless told otherwise.
    pub const ONE: Self = Self(1000);
    /// The largest: one million.
    pub const MAX: Self = Self(1_000_000_000);

    /// From thousandths, 1 to 10^9; `None` outside of them.
    #[must_use]
    pub const fn from_thousandths(n: u32) -> Option<Self> {
        if n >= 1 && n <= Self::MAX.0 { Some(Self(n)) } else { None }
    }

    /// In thousandths.
    #[must_use]
    pub const fn thousandths(self) -> u32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::ONE
    }
}

/// A broker to be ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// By which protocol.
    pub family: Family,
    /// Its host as the pool spells it: case and dots count, what is not ASCII is left out.
    pub host: &'a str,
    /// Its port. It has no part in the hash; of two ports of one host the lower comes first.
    pub port: u16,
    /// Its weight.
    pub weight: Weight,
}

/// The hash of a broker for a key, big endian: the larger, the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Hash a broker for the key of who is looked for.
    #[must_use]
    pub(crate) fn of(family: Family, key: &[u8; PUBLIC_LEN], host: &str) -> Self {
        let mut hash = Sha256::new().chain_update([family.byte()]).chain_update(key);
        for part in host.as_bytes().split(|byte| !byte.is_ascii()) {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// Wrap 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// `(hash + 1) / 2^256`, above 0 and at most 1, rounded to nearest, ties to even.
    #[must_use]
    pub fn uniform(&self) -> f64 {
        let Some((top, shift)) = self.normal() else { return 1.0 };
        // 64 significant bits, of which 53 stay; a bit below stands for all that were cut off.
        let mut mantissa = top.bits >> 11;
        let (half, below) = (top.bits >> 10 & 1 == 1, top.bits & 0x3ff != 0 || top.more);
        if half && (below || mantissa & 1 == 1) {
            mantissa += 1;
        }
        // At most 2^53 and exact; then a power of two, exact too: the smallest result is 2^-256.
        #[allow(clippy::cast_precision_loss)]
        let mantissa = mantissa as f64;
        let exponent = 1023_u64.saturating_sub(u64::from(shift) + 53);
        mantissa * f64::from_bits(exponent << 52)
    }

    /// `-ln` of [`uniform`](Self::uniform), divided by the weight: what the reference prints, where the weight is 1.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn score(&self, weight: Weight) -> f64 {
        let score = -self.uniform().ln();
        if weight == Weight::ONE { score } else { score / (f64::from(weight.thousandths()) / 1000.0) }
    }

    /// `-log2((hash + 1) / 2^256)` times 2^48, rounded up. Never rises where the hash does.
    fn cost(&self) -> u64 {
        let Some((top, shift)) = self.normal() else { return 0 };
        // log2 of the mantissa in [1, 2), bit by bit: square it, and note whether it passed 2.
        let (mut mantissa, mut fraction) = (u128::from(top.bits), 0_u64);
        for _ in 0..48 {
            mantissa = (mantissa * mantissa) >> 63;
            fraction <<= 1;
            if mantissa >> 64 != 0 {
                mantissa >>= 1;
                fraction |= 1;
            }
        }
        ((u64::from(shift) + 1) << 48) - fraction
    }

    /// `hash + 1` as 64 bits from its highest set bit on, and how many zeros are before them; `None` for 2^256.
    fn normal(&self) -> Option<(Top, u32)> {
        let mut number = self.0;
        let carried = number.iter_mut().rev().all(|byte| {
            *byte = byte.wrapping_add(1);
            *byte == 0
        });
        if carried {
            return None;
        }
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let rest = number.get(zeros..).unwrap_or_default();
        let mut window = [0; 16];
        window.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let window = u128::from_be_bytes(window);
        let bits = window.leading_zeros();
        let window = window << bits;
        // The upper half.
        #[allow(clippy::cast_possible_truncation)]
        let (upper, lower) = ((window >> 64) as u64, window as u64);
        let more = lower != 0 || rest.iter().skip(16).any(|byte| *byte != 0);
        #[allow(clippy::cast_possible_truncation)]
        let shift = 8 * zeros as u32 + bits;
        Some((Top { bits: upper, more }, shift))
    }
}

/// The highest 64 bits of a number, and whether anything below them is set.
#[derive(Clone, Copy)]
struct Top {
    bits: u64,
    more: bool,
}

/// A broker's place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// Which of the candidates it is.
    pub index: usize,
    /// Its hash.
    pub hash: Hash,
    /// Its weight.
    pub weight: Weight,
}

/// Put brokers into the order for a key, the first to be tried first. With more than one family among them, see [`interleave`].
///
/// Real ties (hosts that differ only in what is not ASCII) stay in the order in which they came.
pub fn order<'a>(key: &[u8; PUBLIC_LEN], brokers: impl IntoIterator<Item = Candidate<'a>>) -> Vec<Ranked> {
    let mut rows: Vec<(Ranked, u16)> = brokers
        .into_iter()
        .enumerate()
        .map(|(index, broker)| {
            let hash = Hash::of(broker.family, key, broker.host);
            (Ranked { index, hash, weight: broker.weight }, broker.port)
        })
        .collect();
    let same = rows.windows(2).all(|pair| pair[0].0.weight == pair[1].0.weight);
    rows.sort_by_cached_key(|(row, port)| {
        let cost = if same { 0 } else { (u128::from(row.hash.cost()) << 32) / u128::from(row.weight.0) };
        (cost, Reverse(row.hash), *port, row.index)
    });
    rows.into_iter().map(|(row, _)| row).collect()
}

/// One order of both families for people to read, and for a peer that has both: v4, v6, v4, …, then what is left of the longer.
pub fn interleave<T: Copy>(v4: &[T], v6: &[T]) -> Vec<T> {
    let mut out = Vec::with_capacity(v4.len() + v6.len());
    for at in 0..v4.len().max(v6.len()) {
        out.extend(v4.get(at));
        out.extend(v6.get(at));
    }
    out
}
