//! What the two ends of a channel prove to each other, whoever carries it.

use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};
use sluis_core::identity::{BadSignature, MacKey, PublicKey, SignError, Signature, Signer};
use sluis_core::noise::{Curve as _, X25519, X25519Public, X25519Secret};
use subtle::ConstantTimeEq as _;

use super::{Direction, Running, TAG_LEN, Tag};

/// What a signature is for: a text that is signed for one purpose is worth nothing for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Hello,
    Open,
    Accept,
    Sign,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Hello => b"sluis mux hello 1\0",
            Self::Open => b"sluis mux open 1\0",
            Self::Accept => b"sluis mux accept 1\0",
            Self::Sign => b"sluis mux sign 1\0",
        }
    }

    /// What is signed: the label, what it is bound to, and the text.
    fn message(self, bound: &[&[u8]], text: &[u8]) -> Vec<u8> {
        let mut message = self.label().to_vec();
        bound.iter().for_each(|part| message.extend_from_slice(part));
        message.extend_from_slice(text);
        message
    }

    /// Sign a text that is bound to what both sides know.
    pub(crate) fn sign(self, signer: &dyn Signer, bound: &[&[u8]], text: &[u8]) -> Result<Signature, SignError> {
        signer.sign(&self.message(bound, text))
    }
}

/// Whether this key signed this text for this purpose.
pub(crate) fn verify_signed(
    purpose: Purpose,
    key: &PublicKey,
    bound: &[&[u8]],
    text: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    key.verify(&purpose.message(bound, text), signature)
}

/// HKDF-SHA256 (RFC 5869) for one block.
fn hkdf(salt: &[u8], secret: &[u8], info: &[u8]) -> [u8; 32] {
    let key = MacKey::new(&MacKey::new(salt).tag(secret));
    let mut mac = key.begin();
    mac.update(info);
    mac.update(&[1]);
    mac.finish()
}

/// The key that the two ends of a channel share, and the running hashes of both directions.
#[derive(Clone, Debug)]
pub(crate) struct Agreement {
    key: MacKey,
    out: Running,
    back: Running,
}

impl Agreement {
    /// Agree on a key: HKDF of the X25519 secret with h(0) of the way out as the salt, so that a key belongs to one opening. `None`
    /// where the other side's public key is one that makes a secret which everybody knows.
    pub(crate) fn new(own: &X25519Secret, other: [u8; 32], open: &[u8], accept: &[u8]) -> Option<Self> {
        let shared = X25519::dh(own, &X25519Public::from_bytes(other))?;
        let out = Running::new(Direction::Out, open, accept);
        let back = Running::new(Direction::Back, open, accept);
        let key = MacKey::new(&hkdf(out.hash(), &*shared, b"sluis mux 1 tags"));
        Some(Self { key, out, back })
    }

    /// The key, and the running hash of a direction.
    const fn way(&mut self, direction: Direction) -> (&MacKey, &mut Running) {
        match direction {
            Direction::Out => (&self.key, &mut self.out),
            Direction::Back => (&self.key, &mut self.back),
        }
    }

    /// Take in the next record of a direction: its tag.
    pub(crate) fn tag(&mut self, direction: Direction, kind: u8, body: &[u8]) -> Tag {
        let (key, way) = self.way(direction);
        way.record(kind, body);
        way.tag(key)
    }

    /// Take in the next record of a direction, if this is its tag.
    #[must_use]
    pub(crate) fn check(&mut self, direction: Direction, kind: u8, body: &[u8], tag: &[u8]) -> bool {
        let (key, way) = self.way(direction);
        let mut next = way.clone();
        next.record(kind, body);
        let genuine: bool = next.tag(key).as_slice().ct_eq(tag).into();
        if genuine {
            *way = next;
        }
        genuine
    }

    /// The tag of a record that stands outside of the running hash: an acknowledgement, or where a channel goes on. It is of one
    /// direction, kind and text.
    pub(crate) fn aside(&self, direction: Direction, kind: u8, text: &[u8]) -> Tag {
        let mut mac = self.key.begin();
        mac.update(b"sluis mux aside 1\0");
        mac.update(&[kind, u8::from(direction == Direction::Back)]);
        mac.update(text);
        mac.finish().first_chunk().copied().unwrap_or([0; TAG_LEN])
    }

    /// Whether this is the tag of such a record.
    #[must_use]
    pub(crate) fn check_aside(&self, direction: Direction, kind: u8, text: &[u8], tag: &[u8]) -> bool {
        self.aside(direction, kind, text).as_slice().ct_eq(tag).into()
    }

    /// What SIGN signs of a direction: how many records, and the hash of them.
    pub(crate) fn statement(&self, direction: Direction) -> (u64, [u8; 40]) {
        let way = match direction {
            Direction::Out => &self.out,
            Direction::Back => &self.back,
        };
        let mut statement = [0; 40];
        let (count, hash) = statement.split_at_mut(8);
        count.copy_from_slice(&way.count().to_be_bytes());
        hash.copy_from_slice(way.hash());
        (way.count(), statement)
    }
}

/// SHA-256, to which a signature of an acceptance is bound.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::{Agreement, hkdf};
    use crate::proof::{ACK, BYTES, Direction};
    use sluis_core::Seed;
    use sluis_core::noise::{Curve as _, X25519};

    /// RFC 5869, test case 1, the first block.
    #[test]
    fn hkdf_is_that_of_the_rfc() {
        let salt: std::vec::Vec<u8> = (0..=0x0c).collect();
        let info: std::vec::Vec<u8> = (0xf0..=0xf9).collect();
        let okm = hkdf(&salt, &[0x0b; 22], &info);
        let hex: std::string::String = okm.iter().map(|byte| std::format!("{byte:02x}")).collect();
        assert_eq!(hex, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    }

    #[test]
    fn both_ends_agree_and_nobody_else_does() {
        let mut rng = Seed::from_u64(1).fork("keys");
        let [a, b, c] = [X25519::generate(&mut rng), X25519::generate(&mut rng), X25519::generate(&mut rng)];
        let public = |secret| X25519::public(secret).to_bytes();
        let mut near = Agreement::new(&a, public(&b), b"open", b"accept").unwrap();
        let mut far = Agreement::new(&b, public(&a), b"open", b"accept").unwrap();
        let mut between = Agreement::new(&c, public(&a), b"open", b"accept").unwrap();
        let tag = near.tag(Direction::Out, BYTES, b"one");
        assert!(!between.check(Direction::Out, BYTES, b"one", &tag));
        assert!(!far.check(Direction::Back, BYTES, b"one", &tag));
        assert!(!far.check(Direction::Out, BYTES, b"two", &tag));
        assert!(far.check(Direction::Out, BYTES, b"one", &tag));
        assert!(!far.check(Direction::Out, BYTES, b"one", &tag), "a second time");
        assert_eq!(near.statement(Direction::Out), far.statement(Direction::Out));
        let aside = near.aside(Direction::Out, ACK, b"1");
        assert!(far.check_aside(Direction::Out, ACK, b"1", &aside));
        assert!(!far.check_aside(Direction::Back, ACK, b"1", &aside));
        // Another opening, another key.
        let mut other = Agreement::new(&b, public(&a), b"open", b"accept!").unwrap();
        assert!(!other.check(Direction::Out, BYTES, b"one", &tag));
        assert!(Agreement::new(&a, [0; 32], b"open", b"accept").is_none(), "a point of small order");
    }
}
