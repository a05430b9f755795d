//! What the messages of a handshake say, and what is signed in them.

use sha2::{Digest as _, Sha256};

use super::incarnation::Incarnation;
use super::kem::ANNOUNCED;
use super::stamp::Stamp;
use super::wire::{BLOCK, Kind};
use super::{SUITE_HYBRID, SessionReject};
use crate::check_did;
use crate::identity::{PublicKey, SignError, Signature, Signer};
use crate::noise::{NoiseError, Pattern};

/// Every payload begins with a signature.
const SIGNATURE: usize = 64;
/// Of a first message: signature, stamp, key, incarnation, suite, flags, and two lengths.
const OFFER: usize = SIGNATURE + 8 + 32 + Incarnation::LEN + 1 + 1 + 2 + 2;
/// The flag of a sender that has no keys of a session with the receiver.
const FRESH: u8 = 1;
/// The longest payload of a first message: the frame then fits 1,200 bytes, which every path carries that carries QUIC.
const LONGEST_OFFER: usize = 1024;
/// Of a second message: signature, key, incarnation, suite; what suite 2 announces follows.
const ANSWER: usize = SIGNATURE + 32 + Incarnation::LEN + 1;
/// Room for any payload and the rest of a message of Noise.
pub(super) const SCRATCH: usize = 1232;

/// Length of the payload of a second message, in bytes.
pub(super) const fn answer_len(suite: u8) -> usize {
    let announced = if suite == SUITE_HYBRID { ANNOUNCED } else { 0 };
    (ANSWER + announced).next_multiple_of(BLOCK)
}

/// Length of the payload of a third message: a signature.
pub(super) const FINAL_LEN: usize = SIGNATURE;

/// How many bytes of early data the first message of a node with this name can take along.
#[must_use]
pub const fn max_early(did: &str) -> usize {
    LONGEST_OFFER - OFFER - did.len()
}

/// Why a message could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteError {
    Noise(NoiseError),
    Signer(SignError),
}

impl From<NoiseError> for WriteError {
    fn from(why: NoiseError) -> Self {
        Self::Noise(why)
    }
}

/// What a first message says.
#[derive(Debug)]
pub(super) struct Offer<'a> {
    pub(super) stamp: Stamp,
    pub(super) key: PublicKey,
    pub(super) incarnation: Incarnation,
    /// The sender has no keys of a session with us: none yet, or none any more.
    pub(super) fresh: bool,
    /// The best suite that the sender speaks.
    pub(super) best: u8,
    pub(super) did: &'a str,
    /// Early data; in suite 2 what is announced of a key.
    pub(super) early: &'a [u8],
}

impl<'a> Offer<'a> {
    pub(super) const fn len(did: &str, early: &[u8]) -> usize {
        (OFFER + did.len() + early.len()).next_multiple_of(BLOCK)
    }

    /// Write all but the signature; `out` is [`len`](Self::len) long.
    pub(super) fn write(&self, out: &mut [u8]) {
        let lens = [self.did.len(), self.early.len()].map(|len| u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes());
        let stamp = self.stamp.as_micros().to_be_bytes();
        let parts: [&[u8]; 8] = [
            &stamp,
            self.key.as_bytes(),
            &self.incarnation.to_bytes(),
            &[self.best, if self.fresh { FRESH } else { 0 }],
            &lens[0],
            self.did.as_bytes(),
            &lens[1],
            self.early,
        ];
        let mut rest = out.iter_mut().skip(SIGNATURE);
        for byte in parts.into_iter().flatten() {
            if let Some(to) = rest.next() {
                *to = *byte;
            }
        }
        rest.for_each(|to| *to = 0);
    }

    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        if payload.len() > LONGEST_OFFER || !payload.len().is_multiple_of(BLOCK) {
            return None;
        }
        let rest = payload.get(SIGNATURE..)?;
        let (stamp, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk::<32>()?;
        let (incarnation, rest) = rest.split_first_chunk()?;
        let (&[best, flags], rest) = rest.split_first_chunk()?;
        let (did, rest) = text(rest)?;
        let (early, padding) = text(rest)?;
        let did = core::str::from_utf8(did).ok().filter(|did| check_did(did).is_ok())?;
        let key = PublicKey::from_bytes(*key).ok()?;
        if padding.len() >= BLOCK || padding.iter().any(|byte| *byte != 0) {
            return None;
        }
        let stamp = Stamp::from_micros(u64::from_be_bytes(*stamp));
        let (incarnation, fresh) = (Incarnation::from_bytes(incarnation), flags & FRESH != 0);
        Some(Self { stamp, key, incarnation, fresh, best, did, early })
    }
}

/// A length of two bytes and as many bytes.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

/// What a second message says.
pub(super) struct Answer<'a> {
    pub(super) key: PublicKey,
    pub(super) incarnation: Incarnation,
    /// The best suite that the sender speaks.
    pub(super) best: u8,
    /// What is announced of a ciphertext; nothing in suite 1.
    pub(super) announced: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Write all but the signature; `out` is [`answer_len`] long.
    pub(super) fn write(&self, out: &mut [u8]) {
        let incarnation = self.incarnation.to_bytes();
        let parts: [&[u8]; 4] = [self.key.as_bytes(), &incarnation, &[self.best], self.announced];
        let said = parts.into_iter().flatten().copied().chain(core::iter::repeat(0));
        out.iter_mut().skip(SIGNATURE).zip(said).for_each(|(to, from)| *to = from);
    }

    pub(super) fn read(payload: &'a [u8], suite: u8) -> Option<Self> {
        let (key, rest) = payload.get(SIGNATURE..)?.split_first_chunk::<32>()?;
        let (incarnation, rest) = rest.split_first_chunk()?;
        let (best, rest) = rest.split_first()?;
        let announced = if suite == SUITE_HYBRID { rest.get(..ANNOUNCED)? } else { &[] };
        let key = PublicKey::from_bytes(*key).ok().filter(|_| payload.len() == answer_len(suite))?;
        Some(Self { key, incarnation: Incarnation::from_bytes(incarnation), best: *best, announced })
    }
}

/// What is signed: which message of which pattern this is, all of the handshake before this payload, and all that the payload says.
fn signed_text(kind: Kind, pattern: Pattern, binding: &[u8; 32], said: &[u8]) -> [u8; 87] {
    let mut text = [0; 87];
    let said: [u8; 32] = Sha256::digest(said).into();
    let parts: [&[u8]; 4] = [b"sluis session 1 sign\0", &[kind as u8, pattern_byte(pattern)], binding, &said];
    text.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
    text
}

/// How frames name a pattern.
pub(super) const fn pattern_byte(pattern: Pattern) -> u8 {
    match pattern {
        Pattern::Xx => 1,
        Pattern::Ik => 2,
        Pattern::Xk => 3,
    }
}

/// Put the signature to the front of a payload.
pub(super) fn sign(
    signer: &dyn Signer,
    (kind, pattern): (Kind, Pattern),
    binding: &[u8; 32],
    payload: &mut [u8],
) -> Result<(), WriteError> {
    let (room, said) = payload.split_first_chunk_mut().ok_or(NoiseError::Room)?;
    let signature: Signature = signer.sign(&signed_text(kind, pattern, binding, said)).map_err(WriteError::Signer)?;
    *room = signature;
    Ok(())
}

/// Verify the signature at the front of a payload.
pub(super) fn verify(
    key: &PublicKey,
    (kind, pattern): (Kind, Pattern),
    binding: &[u8; 32],
    payload: &[u8],
) -> Result<(), SessionReject> {
    let (signature, said) = payload.split_first_chunk().ok_or(SessionReject::Handshake)?;
    key.verify(&signed_text(kind, pattern, binding, said), signature).map_err(|_| SessionReject::Signature)
}

/// What both sides must agree on before the first message: this protocol, its version and suite, the pattern, and whom the first message is for. (Who it is from
/// stands in its payload, of which the next messages are made as well.)
pub(super) fn prologue(suite: u8, pattern: Pattern, responder: &str) -> ([u8; 320], usize) {
    let mut text = [0; 320];
    let parts: [&[u8]; 3] = [b"sluis session 1\0", &[suite, pattern_byte(pattern)], responder.as_bytes()];
    let len = parts.iter().map(|part| part.len()).sum::<usize>().min(text.len());
    text.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
    (text, len)
}
