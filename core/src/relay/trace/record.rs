//! One record of a trace, and all of them as they stand behind a frame.

use sha2::{Digest as _, Sha256};

use crate::check_did;
use crate::framing::Digest;
use crate::identity::{PublicKey, Signature};
use crate::time::Wall;

/// Goes before a record in what is signed.
pub(super) const DOMAIN: [u8; 16] = *b"sluis trace\0\0\0\0\x01";
/// What a trace begins with: magic, version.
const MAGIC: [u8; 3] = *b"TR\x01";
/// Bytes in front of the records.
pub(super) const TRACE_HEAD: usize = MAGIC.len() + 1 + 2;
/// Bytes of a record in front of its name, without the second digest.
const RECORD_HEAD: usize = 12 + LINK + 32;
/// Bytes of a link.
pub(super) const LINK: usize = 16;
const SIGNATURE: usize = 64;

/// What a relay puts behind a ping without a trace: a trace of no records. It says that who passed this on passes answers back, and so did everybody before him. A
/// reference relay takes it off.
pub const MARK: [u8; TRACE_HEAD] = [b'T', b'R', 1, 0, 0, 0];

/// Most records in a trace.
pub const MAX_RECORDS: usize = 32;
/// Longest record in bytes.
pub(super) const MAX_RECORD: usize = RECORD_HEAD + 32 + crate::limits::MAX_DID + SIGNATURE;

/// What a record says beside its numbers.
pub(crate) mod flag {
    /// By the source of the ping: nothing was received.
    pub(crate) const ORIGIN: u8 = 1;
    /// By who answered: received was the ping, passed on the answer.
    pub(crate) const TURN: u8 = 2;
    /// What was received is not what the record before says was passed on, and it did not come from its signer.
    pub(crate) const GAP: u8 = 4;
    /// The same, and it did come from its signer.
    pub(crate) const DISPUTE: u8 = 8;
    /// Passed on was something else than was received: a second digest follows.
    pub(crate) const CHANGED: u8 = 16;
    pub(crate) const ALL: u8 = ORIGIN | TURN | GAP | DISPUTE | CHANGED;
}

/// What one hop signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    pub(super) flags: u8,
    pub(super) hop: u8,
    pub(super) depth: u8,
    pub(super) when: u64,
    pub(super) link: [u8; LINK],
    pub(super) received: Digest,
    pub(super) passed: Digest,
    pub(super) did: &'a str,
    pub(super) bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// Who says this.
    #[must_use]
    pub const fn did(&self) -> &'a str {
        self.did
    }

    /// The hops that the ping had travelled when it left there: 0 at its source. On the way back it goes on from there.
    #[must_use]
    pub const fn hop(&self) -> u8 {
        self.hop
    }

    /// When it says that it was, by its own clock.
    #[must_use]
    pub fn when(&self) -> Wall {
        Wall::from_micros(i64::try_from(self.when).unwrap_or(i64::MAX))
    }

    /// Whether it is by who answered.
    #[must_use]
    pub const fn is_turn(&self) -> bool {
        self.has(flag::TURN)
    }

    pub(super) const fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    /// What the record behind this one is to bear as its link.
    pub(super) fn link_to(bytes: &[u8]) -> [u8; LINK] {
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        let mut link = [0; LINK];
        link.copy_from_slice(&hash[..LINK]);
        link
    }

    /// Whether the one whose key this is signed it.
    pub(super) fn is_by(&self, key: &PublicKey) -> bool {
        let Some((said, signature)) = self.bytes.split_last_chunk::<SIGNATURE>() else { return false };
        let mut message = [0; DOMAIN.len() + MAX_RECORD];
        let Some(message) = signed(&mut message, said) else { return false };
        key.verify(message, signature).is_ok()
    }

    /// Read one from the front of some bytes; it and how long it is.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[flags, hop, depth, did_len], rest) = bytes.split_first_chunk::<4>()?;
        let (when, rest) = rest.split_first_chunk::<8>()?;
        let (link, rest) = rest.split_first_chunk::<LINK>()?;
        let (received, rest) = rest.split_first_chunk::<32>()?;
        let (passed, rest) = match flags & (flag::CHANGED | flag::TURN) {
            0 => (received, rest),
            _ => rest.split_first_chunk::<32>()?,
        };
        let (did, rest) = rest.split_at_checked(usize::from(did_len) + 1)?;
        let (_, rest) = rest.split_first_chunk::<SIGNATURE>()?;
        let did = core::str::from_utf8(did).ok().filter(|did| check_did(did).is_ok())?;
        let (when, (link, received, passed)) = (u64::from_be_bytes(*when), (*link, *received, *passed));
        let bytes = bytes.get(..bytes.len() - rest.len())?;
        (flags & !flag::ALL == 0).then_some(Self { flags, hop, depth, when, link, received, passed, did, bytes })
    }

    /// Write all but the signature to the front of a buffer; how long it is. `bytes` does not matter.
    pub(super) fn write(&self, out: &mut [u8; MAX_RECORD]) -> usize {
        let did_len = u8::try_from(self.did.len().saturating_sub(1)).unwrap_or(u8::MAX);
        let head = [self.flags, self.hop, self.depth, did_len];
        let second: &[u8] = if self.has(flag::CHANGED | flag::TURN) { &self.passed } else { &[] };
        let parts = [&head, &self.when.to_be_bytes()[..], &self.link, &self.received, second, self.did.as_bytes()];
        let mut len = 0;
        for part in parts {
            if let Some(place) = out.get_mut(len..len + part.len()) {
                place.copy_from_slice(part);
                len += part.len();
            }
        }
        len
    }
}

impl core::fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { did, hop, depth, flags, .. } = self;
        write!(f, "Record({did} hop {hop} depth {depth} flags {flags:#x})")
    }
}

/// The bytes that are signed for a record without its signature.
pub(super) fn signed<'b>(buffer: &'b mut [u8; DOMAIN.len() + MAX_RECORD], said: &[u8]) -> Option<&'b [u8]> {
    let (head, rest) = buffer.split_at_mut(DOMAIN.len());
    head.copy_from_slice(&DOMAIN);
    rest.get_mut(..said.len())?.copy_from_slice(said);
    buffer.get(..DOMAIN.len() + said.len())
}

/// Put a signature behind what it signs; how long both are.
pub(super) fn seal(out: &mut [u8; MAX_RECORD], len: usize, signature: &Signature) -> usize {
    if let Some(place) = out.get_mut(len..len + SIGNATURE) {
        place.copy_from_slice(signature);
    }
    len + SIGNATURE
}

/// The records of all hops, in the order in which they were made, as they stand behind the frame of a ping or response.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Trace<'a> {
    records: &'a [u8],
    count: u8,
}

impl<'a> Trace<'a> {
    /// Split a datagram into its frame and the trace behind it, where there is one. What stands behind a frame and is no trace is
    /// nothing, as in the reference.
    #[must_use]
    pub fn split(datagram: &'a [u8]) -> (&'a [u8], Option<Self>) {
        let Some(len) = frame_len(datagram) else { return (datagram, None) };
        match datagram.split_at_checked(len) {
            Some((frame, rest)) => (frame, Self::read(rest)),
            None => (datagram, None),
        }
    }

    /// Whether a trace or a [`MARK`] stands behind the frame of a datagram.
    #[must_use]
    pub fn is_marked(datagram: &[u8]) -> bool {
        frame_len(datagram).and_then(|len| datagram.get(len..)).is_some_and(|behind| behind.starts_with(&MAGIC))
    }

    /// Read what stands behind a frame.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[m0, m1, m2, count, l0, l1], rest) = bytes.split_first_chunk::<TRACE_HEAD>()?;
        let records = rest.get(..usize::from(u16::from_be_bytes([l0, l1])))?;
        if [m0, m1, m2] != MAGIC || count == 0 || usize::from(count) > MAX_RECORDS {
            return None;
        }
        let trace = Self { records, count };
        let (mut read, mut len, mut depth) = (0, 0, None);
        for record in trace.records() {
            let first = read == 0;
            if depth >= Some(record.depth)
                || record.has(flag::ORIGIN) != (first && record.depth == 0 && record.hop == 0)
            {
                return None;
            }
            (read, len, depth) = (read + 1, len + record.bytes.len(), Some(record.depth));
        }
        (read == usize::from(count) && len == records.len()).then_some(trace)
    }

    /// The records, first made first.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let mut rest = self.records;
        core::iter::from_fn(move || {
            let record = Record::read(rest)?;
            rest = rest.get(record.bytes.len()..)?;
            Some(record)
        })
    }

    /// The record that was made last.
    #[must_use]
    pub fn last(&self) -> Option<Record<'a>> {
        self.records().last()
    }

    /// How many bytes it takes behind a frame.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        TRACE_HEAD + self.records.len()
    }

    /// How many records it holds. Those that were folded do not count.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count as usize
    }
}

impl core::fmt::Debug for Trace<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.records()).finish()
    }
}

/// What goes in front of so many records of so many bytes.
pub(super) fn head(count: usize, records: usize) -> Option<[u8; TRACE_HEAD]> {
    let ([m0, m1, m2], [l0, l1]) = (MAGIC, u16::try_from(records).ok()?.to_be_bytes());
    Some([m0, m1, m2, u8::try_from(count).ok()?, l0, l1])
}

/// How long the frame at the front of a datagram is.
fn frame_len(datagram: &[u8]) -> Option<usize> {
    let header = crate::framing::Header::parse(datagram).ok()?;
    crate::limits::HEADER_LEN.checked_add(usize::try_from(header.len).ok()?)
}
