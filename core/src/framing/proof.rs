//! Packets that say who made them, and hold it: the `proof` member.
//!
//! The reference's `signature` covers eight members of a ping, and none of a response. A proof covers every member that a
//! relay may not change, that is all but `hop_count`, and the encoding; that of a response covers the ping that it answers,
//! too. It names its key, so that it can be checked before anybody knows the key, and shown to a person.
//!
//! - A proof is 192 lower-case hex digits: an Ed25519 public key and a signature. Each has this one spelling.
//! - What is signed is a word for the kind of packet, and a [digest](Packet::digest): see `docs/wire.md`.
//! - It covers values, not how they are spelled. A packet in which a value is more than what is covered of it (a key twice, a number that a double does not hold)
//!   has no proof that could hold.
//! - A proof says that the owner of its key made the packet, and nothing about when: replays are the airlock's.
//!
//! No function here allocates.

use core::fmt;

use sha2::{Digest as _, Sha256};

use super::schema::packets;
use super::types::{Encoding, Priority, Word};
use super::{Packet, Response};
use crate::data::{
    EncodeError, FnSink, Member, Number, Order, Separators, SliceSink, Style, Text, Value, canonical, hex,
};
use crate::identity::{PublicKey, SignError, Signature, Signer};

/// SHA-256 of all that a proof covers.
pub type Digest = [u8; 32];

/// Goes before the digest in what is signed.
const PING: [u8; 16] = *b"sluis ping\0\0\0\0\0\x01";
const RESPONSE: [u8; 16] = *b"sluis response\0\x01";

/// Length of a proof.
const PROOF_LEN: usize = 2 * (32 + 64);

/// Why a packet could not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SigningError {
    /// JSON has no form for something in the packet, or the scratch buffer is too small for the text of `signature`.
    #[error("the packet cannot be signed: {0}")]
    Text(#[from] EncodeError),
    /// The signer did not sign.
    #[error(transparent)]
    Signer(#[from] SignError),
}

/// Why a packet does not prove who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// There is no proof, or none of the reference's signature where that is asked for.
    #[error("the packet is not signed")]
    Missing,
    /// It is not a public key and a signature in their one spelling, or the packet is none that can be signed.
    #[error("the packet holds no signature that could be checked")]
    Malformed,
    /// It is by another key than the one that is expected. Whether it holds was not looked at.
    #[error("the packet is signed by another key")]
    OtherKey,
    /// It does not hold: the packet was changed on its way, or made by somebody else.
    #[error("the signature of the packet does not hold")]
    BadSignature,
}

/// A proof to be put into a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proof([u8; PROOF_LEN]);

impl Proof {
    /// As long as any, and none: for measuring.
    #[cfg(feature = "alloc")]
    pub(crate) const SAMPLE: Self = Self([b'0'; PROOF_LEN]);

    fn new(key: &PublicKey, signature: &Signature) -> Self {
        Self(digits(key.as_bytes().iter().chain(signature)))
    }

    /// Its text, for the `proof` member.
    #[must_use]
    pub fn as_text(&self) -> Text<'_> {
        ascii(&self.0)
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proof({})", self.as_text())
    }
}

/// Both signatures of a ping, to be put into it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PingSignatures {
    signature: [u8; 128],
    proof: Proof,
}

impl PingSignatures {
    /// The packet with them in it.
    #[must_use]
    pub fn on<'a>(&'a self, packet: Packet<'a>) -> Packet<'a> {
        Packet { signature: ascii(&self.signature), proof: Some(self.proof.as_text()), ..packet }
    }
}

impl fmt::Debug for PingSignatures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PingSignatures({})", self.proof.as_text())
    }
}

/// As many hex digits as there are, two a byte.
fn digits<'a, const N: usize>(bytes: impl IntoIterator<Item = &'a u8>) -> [u8; N] {
    let mut digits = [0; N];
    digits.chunks_exact_mut(2).zip(bytes).for_each(|(two, byte)| two.copy_from_slice(&hex::pair(*byte)));
    digits
}

fn ascii(digits: &[u8]) -> Text<'_> {
    Text::from_wire(core::str::from_utf8(digits).unwrap_or_default())
}

/// Whether what a member shows is what is covered of it. What is covered is how the reference prints a value, which is the same for values that
/// an application can tell apart: `{"a":1,"a":2}` prints as `{"a":2}`, `1e-400` as `0.0`.
macro_rules! shown {
    (object $value:expr) => {
        $value.is_exact()
    };
    (array $value:expr) => {
        $value.is_exact()
    };
    (any $value:expr) => {
        $value.is_exact()
    };
    ($kind:ident $value:expr) => {
        true
    };
}

/// A member by the kind that the schema gives it; nothing for what a proof does not cover.
macro_rules! cover {
    // Every relay counts.
    ($members:ident hop_count int $value:expr) => {};
    // The proof itself.
    ($members:ident proof trailing_text $value:expr) => {};
    ($members:ident $name:ident $kind:ident $value:expr) => {
        $members.push((stringify!($name), $kind($value)));
    };
}

macro_rules! members {
    ($(
        $(#[$meta:meta])* $packet:ident $title:literal { $($name:ident: $kind:ident $default:tt, $doc:literal;)+ }
    )+) => { $(
        impl<'a> $packet<'a> {
            /// What a proof covers besides the encoding and, for a response, the ping.
            fn covered(&self) -> Members<'a> {
                let mut members = Members::default();
                $(cover!(members $name $kind self.$name);)+
                members
            }

            /// Whether a signature over what is covered says anything of what the packet shows.
            fn is_exact(&self) -> bool {
                $(shown!($kind self.$name))&&+
            }
        }
    )+ };
}

packets!(members);

fn text(text: Text<'_>) -> Member<'_> {
    text.into()
}

fn optional_text(text: Option<Text<'_>>) -> Member<'_> {
    text.into()
}

fn word<'a>(word: impl Word) -> Member<'a> {
    Text::from_wire(word.as_str()).into()
}

fn level<'a>(level: Priority) -> Member<'a> {
    Number::Int(level.to_wire().into()).into()
}

fn int<'a>(n: i64) -> Member<'a> {
    Number::Int(n).into()
}

fn number(number: Number<'_>) -> Member<'_> {
    number.into()
}

fn optional_number(number: Option<Number<'_>>) -> Member<'_> {
    number.into()
}

use {any as array, any as object};

fn any(value: Value<'_>) -> Member<'_> {
    value.into()
}

/// The members of an object that is to be hashed.
#[derive(Default)]
struct Members<'a>(heapless::Vec<(&'static str, Member<'a>), { Packet::<'static>::NAMES.len() + 2 }>);

impl<'a> Members<'a> {
    fn push(&mut self, member: (&'static str, Member<'a>)) {
        // A ping has the most members, a response two more than the packet: there is room for both.
        let _ = self.0.push(member);
    }

    fn digest(mut self) -> Result<Digest, EncodeError> {
        // What is in order is written in one pass.
        self.0.sort_unstable_by_key(|(name, _)| *name);
        let mut hash = Sha256::new();
        let style = Style { separators: Separators::Compact, order: Order::ByKey };
        canonical::write_object(&mut FnSink(|piece: &[u8]| hash.update(piece)), &self.0, style)?;
        Ok(hash.finalize().into())
    }
}

/// How the encoding is called in what is signed.
const fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "json",
        Encoding::Msgpack => "msgpack",
        Encoding::Postcard => "postcard",
    }
}

fn message(kind: [u8; 16], digest: &Digest) -> [u8; 48] {
    let mut message = [0; 48];
    let (head, tail) = message.split_at_mut(16);
    head.copy_from_slice(&kind);
    tail.copy_from_slice(digest);
    message
}

fn sign(kind: [u8; 16], digest: &Digest, signer: &(impl Signer + ?Sized)) -> Result<Proof, SignError> {
    Ok(Proof::new(&signer.public(), &signer.sign(&message(kind, digest))?))
}

/// Who made what has this proof, and this digest, and is `exact`. Whatever can be refused without arithmetic on the curve is.
fn verify(
    proof: Option<Text<'_>>,
    expected: Option<&PublicKey>,
    kind: [u8; 16],
    exact: impl FnOnce() -> bool,
    digest: impl FnOnce() -> Result<Digest, EncodeError>,
) -> Result<PublicKey, ProofError> {
    let digits = proof.ok_or(ProofError::Missing)?.as_str().ok_or(ProofError::Malformed)?.as_bytes();
    let mut bytes = [0; PROOF_LEN / 2];
    hex::parse(digits, &mut bytes).ok_or(ProofError::Malformed)?;
    let (Some(key), Some(signature)) = (bytes.first_chunk::<32>(), bytes.last_chunk::<64>()) else {
        return Err(ProofError::Malformed);
    };
    let verifier = match expected {
        Some(expected) if expected.as_bytes() != key => return Err(ProofError::OtherKey),
        Some(expected) => expected.verifier(),
        None => crate::identity::Verifier::new(*key),
    };
    let verifier = verifier.map_err(|_| ProofError::Malformed)?;
    if !exact() {
        return Err(ProofError::Malformed);
    }
    let digest = digest().map_err(|_| ProofError::Malformed)?;
    verifier.verify(&message(kind, &digest), signature).map_err(|_| ProofError::BadSignature)?;
    Ok(verifier.key())
}

impl Packet<'_> {
    /// The digest of all that a proof of this ping covers when it goes in this encoding. An answer is bound to it, so who
    /// asks keeps it, signed or not.
    ///
    /// # Errors
    /// JSON has no form for something in it (byte strings and extensions of msgpack).
    pub fn digest(&self, encoding: Encoding) -> Result<Digest, EncodeError> {
        let mut members = self.covered();
        members.push(("encoding", name(encoding).into()));
        members.digest()
    }

    /// Sign it, as it will go in this encoding: the reference's `signature`, and a proof over that and all else. What the
    /// packet holds in these two members does not matter.
    ///
    /// `scratch` takes the text of [`signature_payload`](Self::signature_payload): a kilobyte more than the payload is
    /// enough, unless that is msgpack with much that JSON escapes.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn sign(
        &self,
        encoding: Encoding,
        signer: &(impl Signer + ?Sized),
        scratch: &mut [u8],
    ) -> Result<PingSignatures, SigningError> {
        let mut sink = SliceSink::new(scratch);
        self.signature_payload(&mut sink)?;
        let signature = digits(&signer.sign(sink.written())?);
        let digest = Packet { signature: ascii(&signature), ..*self }.digest(encoding)?;
        Ok(PingSignatures { signature, proof: sign(PING, &digest, signer)? })
    }

    /// Who made this ping, which came in this encoding. With an expected key only that one will do; without, the answer is
    /// whoever says so and holds the key.
    ///
    /// The reference's `signature` is covered like any member and not verified for itself.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify(&self, encoding: Encoding, expected: Option<&PublicKey>) -> Result<PublicKey, ProofError> {
        verify(self.proof, expected, PING, || self.is_exact(), || self.digest(encoding))
    }

    /// The same for a ping whose [digest](Self::digest), in the encoding that it came in, the caller needs anyway to sign the
    /// answer: making it costs some 3 µs.
    ///
    /// # Errors
    /// [`ProofError`].
    pub fn verify_digest(&self, digest: &Digest, expected: Option<&PublicKey>) -> Result<PublicKey, ProofError> {
        verify(self.proof, expected, PING, || self.is_exact(), || Ok(*digest))
    }

    /// Whether the reference's `signature` is by this key. It covers eight members only ([`signature_payload`]), so purpose,
    /// routing and the rest may be anybody's: for packets of peers that have nothing better.
    ///
    /// [`signature_payload`]: Self::signature_payload
    ///
    /// # Errors
    /// [`ProofError`]; [`Malformed`](ProofError::Malformed) also when `scratch` is too small (see [`sign`](Self::sign)).
    pub fn verify_signature(&self, key: &PublicKey, scratch: &mut [u8]) -> Result<(), ProofError> {
        if self.signature.is_empty() {
            return Err(ProofError::Missing);
        }
        let mut signature = [0; 64];
        let digits = self.signature.as_str().ok_or(ProofError::Malformed)?;
        hex::parse(digits.as_bytes(), &mut signature).ok_or(ProofError::Malformed)?;
        if !self.is_exact() {
            return Err(ProofError::Malformed);
        }
        let mut sink = SliceSink::new(scratch);
        self.signature_payload(&mut sink).map_err(|_| ProofError::Malformed)?;
        key.verify(sink.written(), &signature).map_err(|_| ProofError::BadSignature)
    }
}

impl Response<'_> {
    /// The digest of all that a proof of this answer covers: its members, its encoding, and the ping with this
    /// [digest](Packet::digest).
    fn digest(&self, encoding: Encoding, ping: &Digest) -> Result<Digest, EncodeError> {
        let ping = digits::<64>(ping);
        let mut members = self.covered();
        members.push(("encoding", name(encoding).into()));
        members.push(("ping", ascii(&ping).into()));
        members.digest()
    }

    /// Sign it, as it will go in this encoding, as the answer to the ping with this [digest](Packet::digest). What it holds
    /// as a proof does not matter.
    ///
    /// # Errors
    /// [`SigningError`].
    pub fn sign(
        &self,
        encoding: Encoding,
        ping: &Digest,
        signer: &(impl Signer + ?Sized),
    ) -> Result<Proof, SigningError> {
        let digest = self.digest(encoding, ping)?;
        Ok(sign(RESPONSE, &digest, signer)?)
    }

    /// Who gave this answer, which came in this encoding, to the ping with this [digest](Packet::digest); see
    /// [`Packet::verify`].
    ///
    /// # Errors
    /// [`ProofError`]. An answer to another ping is a [`BadSignature`](ProofError::BadSignature).
    pub fn verify(
        &self,
        encoding: Encoding,
        ping: &Digest,
        expected: Option<&PublicKey>,
    ) -> Result<PublicKey, ProofError> {
        verify(self.proof, expected, RESPONSE, || self.is_exact(), || self.digest(encoding, ping))
    }
}
