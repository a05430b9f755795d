//! The records that a stream of a channel is made of: `kind u8 · length u24 big-endian · body`.

use alloc::vec::Vec;

use crate::proof::TAG_LEN;

/// Longest message in bytes.
pub const MAX_MESSAGE: usize = 2 << 20;

/// Longest body of a record that is not a message, in bytes.
pub(crate) const MAX_CONTROL: usize = 16 * 1024;

/// Bytes of a record's head.
pub(crate) const HEAD: usize = 4;

/// The head of a record with a body of this length.
pub(crate) fn head(kind: u8, length: usize) -> [u8; HEAD] {
    // Bodies are checked where they come in: none is longer than 24 bits count.
    let [_, a, b, c] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [kind, a, b, c]
}

/// Append a record of these parts of a body.
pub(crate) fn put(out: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    out.extend_from_slice(&head(kind, parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// A record is longer than its kind may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Puts records together from bytes that come in any pieces.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    head: [u8; HEAD],
    have: usize,
    length: usize,
    body: Vec<u8>,
}

impl Reader {
    /// Take bytes in: how many, and the kind of the record that is whole then. Its [body](Self::body) is there until the next call.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(usize, Option<u8>), TooLong> {
        let mut used = 0;
        if self.have < HEAD {
            if self.have == 0 {
                self.body.clear();
            }
            let some = bytes.iter().take(HEAD - self.have);
            used = some.len();
            self.head.iter_mut().skip(self.have).zip(some).for_each(|(to, from)| *to = *from);
            self.have += used;
            if self.have < HEAD {
                return Ok((used, None));
            }
            let [kind, a, b, c] = self.head;
            self.length = u32::from_be_bytes([0, a, b, c]) as usize;
            if self.length > most(kind) {
                return Err(TooLong);
            }
        }
        let rest = bytes.get(used..).unwrap_or_default();
        let some = rest.get(..self.length - self.body.len()).unwrap_or(rest);
        if self.body.capacity() - self.body.len() < some.len() {
            let ahead = (self.length - self.body.len()).min(some.len().max(MAX_CONTROL).max(3 * self.body.len()));
            self.body.reserve(ahead);
        }
        self.body.extend_from_slice(some);
        used += some.len();
        if self.body.len() < self.length {
            return Ok((used, None));
        }
        self.have = 0;
        let [kind, ..] = self.head;
        Ok((used, Some(kind)))
    }

    /// The body of the record that was whole last.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Give back what the last record took, and forget half of one.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Give back the memory of a long record.
    pub(crate) fn shrink(&mut self) {
        if self.have == 0 && self.body.capacity() > MAX_CONTROL {
            self.body = Vec::new();
        }
    }
}

/// How long the body of a record may be.
fn most(kind: u8) -> usize {
    match kind {
        crate::proof::JSON | crate::proof::BYTES => MAX_MESSAGE + TAG_LEN,
        _ => MAX_CONTROL,
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, put};
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn records_come_out_as_they_went_in_however_they_are_cut(
            records in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..2000)), 1..20),
            sizes in prop::collection::vec(1..700usize, 1..6),
        ) {
            let mut wire = Vec::new();
            records.iter().for_each(|(kind, body)| put(&mut wire, *kind, &[body]));
            let (mut reader, mut read, mut rest, mut sizes) = (Reader::default(), Vec::new(), &wire[..], sizes.iter().cycle());
            while !rest.is_empty() {
                let some = &rest[..rest.len().min(*sizes.next().unwrap())];
                let (used, kind) = reader.take(some).unwrap();
                rest = &rest[used..];
                read.extend(kind.map(|kind| (kind, reader.body().to_vec())));
            }
            prop_assert_eq!(read, records);
        }
    }

    #[test]
    fn a_long_record_is_refused_by_its_head() {
        assert!(Reader::default().take(&[1, 1, 0, 0]).is_err());
        assert!(Reader::default().take(&[4, 0x20, 0, 0x10]).is_ok());
        assert!(Reader::default().take(&[4, 0x20, 0, 0x11]).is_err());
    }
}
