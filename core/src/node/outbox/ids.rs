//! Ids and nonces as the reference makes them, drawn from the node's own generator.

use crate::data::hex;
use crate::{Rng, Seed};

/// Prefix of a packet id of ours.
const PING: &[u8; 5] = b"ping_";
/// Prefix of a response id of ours.
const RESPONSE: &[u8; 5] = b"resp_";

/// A fixed-size ASCII text.
#[derive(Clone, Copy)]
pub(in crate::node) struct Id<const N: usize>([u8; N]);

impl<const N: usize> Id<N> {
    pub(in crate::node) fn as_str(&self) -> &str {
        // Built from ASCII only.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Where ids and nonces come from.
#[derive(Debug)]
pub(super) struct Ids(Rng);

impl Ids {
    pub(super) fn new(seed: &Seed) -> Self {
        Self(seed.fork("node.ids"))
    }

    /// 64 random bits: the part of a packet id behind its prefix.
    pub(super) fn key(&mut self) -> u64 {
        self.0.u64()
    }

    /// `resp_` and 16 hex digits.
    pub(super) fn response(&mut self) -> Id<21> {
        prefixed(RESPONSE, self.0.u64())
    }

    /// 32 hex digits.
    pub(super) fn nonce(&mut self) -> Id<32> {
        let mut id = [0; 32];
        let (a, b) = id.split_at_mut(16);
        a.copy_from_slice(&hex::u64_digits(self.0.u64()));
        b.copy_from_slice(&hex::u64_digits(self.0.u64()));
        Id(id)
    }
}

/// `ping_` and 16 hex digits.
pub(in crate::node) fn packet_id(key: u64) -> Id<21> {
    prefixed(PING, key)
}

/// The key in a packet id of ours; `None` if it cannot be one.
pub(in crate::node) fn packet_key(id: &str) -> Option<u64> {
    hex::parse_u64(id.as_bytes().strip_prefix(PING)?)
}

fn prefixed(prefix: &[u8; 5], key: u64) -> Id<21> {
    let mut id = [0; 21];
    let (a, b) = id.split_at_mut(5);
    a.copy_from_slice(prefix);
    b.copy_from_slice(&hex::u64_digits(key));
    Id(id)
}
