//! A line that is being written, and hashed where it stands.

use sha2::{Digest as _, Sha256};

use super::protect::{InLog, WriteError, Written};
use crate::token::Protection;
use crate::token::{Hash32, SIGNED_TEXT_LEN, signed_text};
use sluis_core::data::{Full, Sink, SliceSink, Text, put_inside};
use sluis_core::time::{Wall, iso};

/// The ten members that are hashed, as they stand in the line, by the order of their keys.
const SORTED: [usize; 10] = [1, 3, 5, 7, 4, 6, 8, 9, 2, 0];

/// Writes the members of one token into the caller's buffer, in their order.
pub(super) struct Draft<'b> {
    sink: SliceSink<'b>,
    /// Where each of the ten begins; one more for where the last ends.
    starts: [usize; 11],
    next: usize,
}

impl<'b> Draft<'b> {
    pub(super) fn new(out: &'b mut [u8]) -> Result<Self, Full> {
        let mut sink = SliceSink::new(out);
        sink.put(b"{")?;
        Ok(Self { sink, starts: [1; 11], next: 0 })
    }

    /// Begin the next member: `text` is its key, quoted, its colon, and what of its value is always the same.
    #[inline]
    pub(super) fn begin(&mut self, text: &str) -> Result<(), Full> {
        if self.next > 0 {
            self.sink.put(b", ")?;
        }
        if let Some(start) = self.starts.get_mut(self.next) {
            *start = self.sink.len();
        }
        self.next += 1;
        self.put(text)
    }

    #[inline]
    pub(super) fn put(&mut self, text: &str) -> Result<(), Full> {
        self.sink.put(text.as_bytes())
    }

    /// A text with its quotes.
    #[inline]
    pub(super) fn text(&mut self, text: Text<'_>) -> Result<(), Full> {
        self.put("\"")?;
        put_inside(text, &mut self.sink)?;
        self.put("\"")
    }

    /// A text without quotes.
    #[inline]
    pub(super) fn inside(&mut self, text: Text<'_>) -> Result<(), Full> {
        put_inside(text, &mut self.sink)
    }

    #[inline]
    pub(super) fn number(&mut self, number: u32) -> Result<(), Full> {
        self.put(itoa::Buffer::new().format(number))
    }

    #[inline]
    pub(super) fn hash(&mut self, hash: Hash32) -> Result<(), Full> {
        self.sink.put(&hash.to_hex())
    }

    /// A hash in both lengths, with what stands between them and behind; or nothing in both places.
    #[inline]
    pub(super) fn both(&mut self, hash: Option<Hash32>, between: &str) -> Result<(), Full> {
        let Some(hash) = hash else { return self.put(between) };
        let digits = hash.to_hex();
        self.sink.put(digits.get(..32).unwrap_or_default())?;
        self.put(between)?;
        self.sink.put(&digits)
    }

    /// The digits of an id.
    #[inline]
    pub(super) fn id(&mut self, digits: &[u8]) -> Result<(), Full> {
        self.sink.put(digits)
    }

    #[inline]
    pub(super) fn stamp(&mut self, at: Wall) -> Result<(), Full> {
        self.put(iso::format(at, &mut [0; iso::FORMAT_LEN]))
    }

    pub(super) const fn sink(&mut self) -> &mut SliceSink<'b> {
        &mut self.sink
    }

    /// Hash what is there, seal it, and end the line.
    pub(super) fn finish(mut self, how: InLog<'_>) -> Result<Written, WriteError> {
        if let Some(end) = self.starts.last_mut() {
            *end = self.sink.len() + 2;
        }
        self.put(", ")?;
        let (line, free) = self.sink.into_parts();
        let hash = content_hash(line, &self.starts, free, &how.protection);
        let mut rest = SliceSink::new(free);
        rest.put(b"\"content_hash\": \"")?;
        rest.put(&hash.to_hex())?;
        rest.put(b"\", \"signature\": \"")?;
        let mut len = line.len() + rest.len();
        let (_, free) = rest.into_parts();
        if let Some(seal) = how.protection.seal {
            let text: [u8; SIGNED_TEXT_LEN] = signed_text(&hash);
            let sealed = seal.seal(&text, free)?;
            len += sealed;
            let free = free.get_mut(sealed..).unwrap_or_default();
            free.get_mut(..2).ok_or(Full)?.copy_from_slice(b"\"}");
        } else {
            free.get_mut(..2).ok_or(Full)?.copy_from_slice(b"\"}");
        }
        Ok(Written { len: len + 2, content_hash: hash })
    }
}

/// SHA-256 or HMAC over the canonical text: the members of the line, put in order.
fn content_hash(line: &[u8], starts: &[usize; 11], free: &mut [u8], protection: &Protection<'_>) -> Hash32 {
    let piece = |n: &usize| {
        let (start, end) = (starts.get(*n).copied().unwrap_or(0), starts.get(*n + 1).copied().unwrap_or(0));
        // The last member in the order of keys is the first of the line: no comma follows it.
        let end = if *n == 0 { end.saturating_sub(2) } else { end };
        line.get(start..end).unwrap_or_default()
    };
    // What is free of the buffer has room for the text, as a rule, and then the hash sees it in one piece.
    let len = line.len();
    if let Some(room) = free.get_mut(..len) {
        let mut sink = SliceSink::new(room);
        let filled =
            sink.put(b"{").is_ok() && SORTED.iter().all(|n| sink.put(piece(n)).is_ok()) && sink.put(b"}").is_ok();
        if filled {
            return match protection.mac {
                None => Hash32::of(sink.written()),
                Some(key) => Hash32(key.tag(sink.written())),
            };
        }
    }
    let pieces = SORTED.iter().map(piece);
    match protection.mac {
        None => {
            let mut hash = Sha256::new();
            hash.update(b"{");
            pieces.for_each(|piece| hash.update(piece));
            hash.update(b"}");
            Hash32(hash.finalize().into())
        }
        Some(key) => {
            let mut mac = key.begin();
            mac.update(b"{");
            pieces.for_each(|piece| mac.update(piece));
            mac.update(b"}");
            Hash32(mac.finish())
        }
    }
}
