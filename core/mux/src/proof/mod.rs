//! The running hash of a channel and the tags made from it: each frame's tag covers all before it.
//!
//! Per direction, with `n` counting from 1:
//!
//! ```text
//! record(kind, body) = kind u8 · length of body u24 big-endian · body
//! h(0) = SHA-256(label · record(1, open) · record(2, accept))
//! h(n) = SHA-256(h(n-1) · n u64 big-endian · kind u8 · body)
//! tag(n) = the first 16 bytes of HMAC-SHA256(key, h(n))
//! ```
//!
//! The label is `sluis mux 1` from the agent that opened the channel to its target, and `sluis mux 1 back` the other way: one key
//! serves both, and no frame can be turned round.
//!
//! On a channel of the JSON dialogue the hub and a client share the key (`"proof":"hop"`); `open` is the object
//! `{"agent","target","intent","metadata"}` and `accept` the object `{"channel_id"}`. Who is given the key is given both h(0) too. A
//! frame's kind is [`JSON`] and its body the JSON text of the payload. `tag(0)` stands for the opening, a record of kind [`CLOSE`]
//! whose body is the reason for the closing.
//!
//! On a native channel both ends sign what they open and accept it with (Ed25519), agree on a key that no hub has (X25519, HKDF), and sign
//! the running hash now and then. The records of a stream have the kinds that are named here.

mod agreement;

pub(crate) use agreement::{Agreement, Purpose, digest, verify_signed};

use sha2::{Digest as _, Sha256};
use sluis_core::identity::MacKey;

/// The kind of the record that opens a channel.
pub const OPEN: u8 = 1;
/// The kind of the record that accepts it.
pub const ACCEPT: u8 = 2;
/// The kind of the record that refuses it.
pub const REFUSE: u8 = 3;
/// The kind of a message that is JSON text.
pub const JSON: u8 = 4;
/// The kind of a message of any bytes.
pub const BYTES: u8 = 5;
/// The kind of the record that says how many messages an application took.
pub const ACK: u8 = 6;
/// The kind of the record that signs the running hash.
pub const SIGN: u8 = 7;
/// The kind of the record that goes on with a channel on a new stream.
pub const RESUME: u8 = 8;
/// The kind of the last record of a direction.
pub const CLOSE: u8 = 9;
/// The kind of the record by which a side of a connection says who it is.
pub const HELLO: u8 = 10;

/// Bytes of a tag.
pub const TAG_LEN: usize = 16;

/// A tag.
pub type Tag = [u8; TAG_LEN];

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the agent that opened the channel to its target.
    Out,
    /// From the target.
    Back,
}

/// The running hash of one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    hash: [u8; 32],
    count: u64,
}

impl Running {
    /// Begin with the records that opened the channel.
    #[must_use]
    pub fn new(direction: Direction, open: &[u8], accept: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(match direction {
            Direction::Out => &b"sluis mux 1"[..],
            Direction::Back => b"sluis mux 1 back",
        });
        for (kind, body) in [(OPEN, open), (ACCEPT, accept)] {
            let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
            hash.update([kind, length[1], length[2], length[3]]);
            hash.update(body);
        }
        Self { hash: hash.finalize().into(), count: 0 }
    }

    /// Begin with an h(0) that the other side gave out.
    #[must_use]
    pub const fn begin_at(start: [u8; 32]) -> Self {
        Self { hash: start, count: 0 }
    }

    /// How many records were taken in.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The hash so far.
    #[must_use]
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Take in the next record.
    pub fn record(&mut self, kind: u8, body: &[u8]) {
        let mut hash = self.begin(kind);
        hash.update(body);
        self.end(hash);
    }

    /// The hash of the next record, whose body comes in pieces; [`end`](Self::end) takes it in.
    pub(crate) fn begin(&self, kind: u8) -> Sha256 {
        let mut head = [kind; 32 + 8 + 1];
        let (before, rest) = head.split_at_mut(32);
        before.copy_from_slice(&self.hash);
        rest.iter_mut().zip((self.count + 1).to_be_bytes()).for_each(|(to, from)| *to = from);
        let mut hash = Sha256::new();
        hash.update(head);
        hash
    }

    /// The body of the next record is whole.
    pub(crate) fn end(&mut self, hash: Sha256) {
        self.count += 1;
        self.hash = hash.finalize().into();
    }

    /// The tag of all that was taken in.
    #[must_use]
    pub fn tag(&self, key: &MacKey) -> Tag {
        let full = key.tag(&self.hash);
        full.first_chunk().copied().unwrap_or([0; TAG_LEN])
    }
}

#[cfg(test)]
mod tests {
    use super::{Direction, JSON, Running};
    use sluis_core::identity::MacKey;

    /// Computed with Python's `hashlib` and `hmac` from the page above.
    #[test]
    fn the_page_is_what_is_computed() {
        let mut running = Running::new(Direction::Out, b"{\"agent\":\"a\"}", b"{}");
        let key = MacKey::new(&[7; 32]);
        let mut tags = std::vec![hex(&running.tag(&key))];
        for body in [&b"{\"text\":\"hi\"}"[..], b"1"] {
            running.record(JSON, body);
            tags.push(hex(&running.tag(&key)));
        }
        assert_eq!(
            tags,
            [
                "aaa54056e19a14af17ca7d50c876aff2",
                "6e77aa37c9b1f972fe01cdcbcbe0cfe0",
                "933b1361c5eb79f56849cfb6edf4cb4b"
            ]
        );
    }

    #[test]
    fn the_two_directions_never_share_a_tag() {
        let key = MacKey::new(b"k");
        let tag = |direction| Running::new(direction, b"o", b"a").tag(&key);
        assert_ne!(tag(Direction::Out), tag(Direction::Back));
    }

    #[test]
    fn every_bit_of_the_history_counts() {
        let key = MacKey::new(b"k");
        let after = |bodies: &[(u8, &[u8])]| {
            let mut running = Running::new(Direction::Out, b"o", b"a");
            bodies.iter().for_each(|(kind, body)| running.record(*kind, body));
            running.tag(&key)
        };
        let base = after(&[(4, b"1"), (4, b"2")]);
        for other in [
            &[(4, &b"2"[..]), (4, b"1")][..],
            &[(4, b"1")],
            &[(4, b"12")],
            &[(4, b"1"), (9, b"2")],
            &[(4, b"1"), (4, b"2"), (4, b"")],
        ] {
            assert_ne!(base, after(other), "{other:?}");
        }
    }

    fn hex(tag: &[u8]) -> std::string::String {
        tag.iter().map(|byte| std::format!("{byte:02x}")).collect()
    }
}
