//! Envelopes: the signed messages of the reference (its "AppPacket"), borrowed from the bytes they came in.
//!
//! ```text
//! key 33 · signature 64 · queue 32 · seq u32 · timestamp u64 · kind u8 · body          integers big endian
//! ```
//!
//! The signature is ECDSA over SHA-1 of everything behind it. It covers neither the key nor to whom it goes: a message for Bob
//! verifies at Carol's too. Towards peers of ours that is left to [sealed sessions](crate::sealed), which bind both.

use crate::key::{BadSignature, PUBLIC_LEN, PublicKey, SecretKey, Signature};

/// The shortest envelope in bytes: one with an empty body.
pub const HEADER_LEN: usize = PUBLIC_LEN + 64 + 32 + 4 + 8 + 1;

/// What an envelope is for. Other values are let through by the decoder, as the reference does, and mean nothing to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A message.
    Message = 1,
    /// The acknowledgement of one, or the answer to a probe.
    Ack = 2,
    /// Is anybody there?
    Probe = 3,
}

impl Kind {
    /// By its byte; `None` for one that means nothing.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Message),
            2 => Some(Self::Ack),
            3 => Some(Self::Probe),
            _ => None,
        }
    }
}

/// Why bytes are no envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Shorter than [`HEADER_LEN`].
    #[error("shorter than an envelope")]
    Short,
    /// Not signed by the key it names, or that is no key.
    #[error("the signature does not hold")]
    Signature,
    /// The caller's buffer is too short for what is to be written.
    #[error("the buffer is too short for this envelope")]
    Room,
}

impl From<BadSignature> for EnvelopeError {
    fn from(_: BadSignature) -> Self {
        Self::Signature
    }
}

/// What an envelope says, its sender and signature aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    /// Chosen by the sender for a row of messages.
    pub queue: [u8; 32],
    /// The number in that row, from 0.
    pub seq: u32,
    /// When it was made, in seconds since 1970 by the sender's clock.
    pub timestamp: u64,
    /// See [`Kind`].
    pub kind: u8,
    /// What is said.
    pub body: &'a [u8],
}

impl Content<'_> {
    /// Length of the envelope of this content.
    #[must_use]
    pub const fn envelope_len(&self) -> usize {
        HEADER_LEN.saturating_add(self.body.len())
    }

    /// Sign it and write the envelope to the start of `out`; says how long that is.
    ///
    /// # Errors
    /// [`EnvelopeError::Room`].
    pub fn sign(&self, key: &SecretKey, out: &mut [u8]) -> Result<usize, EnvelopeError> {
        let len = self.envelope_len();
        let out = out.get_mut(..len).ok_or(EnvelopeError::Room)?;
        let fixed = self.fixed();
        let signature = key.sign_sha1(&[&fixed, self.body]);
        let public = key.public();
        let parts: [&[u8]; 4] = [public.as_bytes(), &signature, &fixed, self.body];
        let mut rest = out;
        for part in parts {
            let (room, after) = rest.split_at_mut_checked(part.len()).ok_or(EnvelopeError::Room)?;
            room.copy_from_slice(part);
            rest = after;
        }
        Ok(len)
    }

    /// What is signed before the body.
    fn fixed(&self) -> [u8; 45] {
        let mut out = [0; 45];
        let parts: [&[u8]; 4] = [&self.queue, &self.seq.to_be_bytes(), &self.timestamp.to_be_bytes(), &[self.kind]];
        out.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        out
    }
}

/// An envelope whose signature nobody has looked at: anybody may have written anything into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unverified<'a> {
    source: [u8; PUBLIC_LEN],
    signature: Signature,
    content: Content<'a>,
}

impl<'a> Unverified<'a> {
    /// Take bytes apart. This costs next to nothing: no arithmetic, no allocation.
    ///
    /// # Errors
    /// [`EnvelopeError::Short`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let (source, rest) = bytes.split_first_chunk().ok_or(EnvelopeError::Short)?;
        let (signature, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Short)?;
        let (queue, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Short)?;
        let (seq, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Short)?;
        let (timestamp, rest) = rest.split_first_chunk().ok_or(EnvelopeError::Short)?;
        let (kind, body) = rest.split_first().ok_or(EnvelopeError::Short)?;
        let (seq, timestamp) = (u32::from_be_bytes(*seq), u64::from_be_bytes(*timestamp));
        let content = Content { queue: *queue, seq, timestamp, kind: *kind, body };
        Ok(Self { source: *source, signature: *signature, content })
    }

    /// Whose it says it is: to look up a budget by, for nothing else.
    #[must_use]
    pub const fn claimed_source(&self) -> &[u8; PUBLIC_LEN] {
        &self.source
    }

    /// What it says: to drop early what is not wanted whoever signed it, for nothing else.
    #[must_use]
    pub const fn claimed(&self) -> &Content<'a> {
        &self.content
    }

    /// Check the signature. This is the expensive part.
    ///
    /// # Errors
    /// [`EnvelopeError::Signature`].
    pub fn verify(&self) -> Result<Envelope<'a>, EnvelopeError> {
        let source = PublicKey::from_bytes(self.source).map_err(|_| EnvelopeError::Signature)?;
        source.verify_sha1(&[&self.content.fixed(), self.content.body], &self.signature)?;
        Ok(Envelope { source, content: self.content })
    }
}

/// An envelope whose signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope<'a> {
    /// Who signed it.
    pub source: PublicKey,
    /// What it says.
    pub content: Content<'a>,
}
