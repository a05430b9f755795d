//! The messages of one direction that are not acknowledged.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::record;
use crate::proof::Tag;

/// Messages, and bytes of them, that wait for their acknowledgement.
pub(crate) const MAX_KEPT: usize = 1024;
pub(crate) const MAX_KEPT_BYTES: usize = 256 * 1024;

/// Messages of so many bytes are not put together with others before they are written.
const LONG: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Kept {
    kind: u8,
    length: usize,
    tag: Option<Tag>,
}

impl Kept {
    fn tag(&self) -> &[u8] {
        self.tag.as_ref().map_or(&[], |tag| tag)
    }
}

/// Messages are numbered from 1; they are kept until they are acknowledged, and written again on a new stream.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    kept: VecDeque<Kept>,
    bytes: VecDeque<u8>,
    /// The last that was acknowledged.
    acked: u64,
    /// The last that was written on this stream, and where the bytes of the next one begin.
    written: u64,
    written_bytes: usize,
    /// Bytes of the record of that next one that the stream has taken.
    part: usize,
    /// Somebody wants to know when there is room.
    blocked: bool,
}

impl Sending {
    /// The number of the last message.
    pub(crate) fn last(&self) -> u64 {
        self.acked + self.kept.len() as u64
    }

    pub(crate) const fn acked(&self) -> u64 {
        self.acked
    }

    /// Whether a message of this size has room. One that is larger than all the room passes alone.
    pub(crate) fn has_room(&mut self, size: usize) -> bool {
        let room = self.kept.is_empty() || self.kept.len() < MAX_KEPT && self.bytes.len() + size <= MAX_KEPT_BYTES;
        self.blocked |= !room;
        room
    }

    /// How many messages and bytes have room.
    pub(crate) fn room(&self) -> (usize, usize) {
        if self.kept.is_empty() {
            return (MAX_KEPT, usize::MAX);
        }
        (MAX_KEPT.saturating_sub(self.kept.len()), MAX_KEPT_BYTES.saturating_sub(self.bytes.len()))
    }

    /// Add one: its number.
    pub(crate) fn push(&mut self, kind: u8, body: &[u8], tag: Option<Tag>) -> u64 {
        self.kept.push_back(Kept { kind, length: body.len(), tag });
        self.bytes.extend(body);
        self.last()
    }

    /// Messages up to this one were taken. `None`: it was never written. Else whether there is room that somebody waits for.
    pub(crate) fn acknowledge(&mut self, upto: u64) -> Option<bool> {
        if upto > self.written {
            return None;
        }
        while self.acked < upto {
            let Some(kept) = self.kept.pop_front() else { break };
            self.bytes.drain(..kept.length);
            self.written_bytes = self.written_bytes.saturating_sub(kept.length);
            self.acked += 1;
        }
        let room = self.bytes.len() <= MAX_KEPT_BYTES / 2 && self.kept.len() <= MAX_KEPT / 2;
        Some(room && core::mem::take(&mut self.blocked))
    }

    /// The other side has all up to this one and goes on from there on a new stream; `false` when that cannot be.
    pub(crate) fn go_on_from(&mut self, received: u64) -> bool {
        if received > self.last() || received < self.acked {
            return false;
        }
        let behind = usize::try_from(received - self.acked).unwrap_or(usize::MAX);
        self.written = received;
        self.written_bytes = self.kept.iter().take(behind).map(|kept| kept.length).sum();
        true
    }

    /// The last that was written.
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    /// Whether the stream has taken the beginning of a record, and not its end.
    pub(crate) const fn is_in_part(&self) -> bool {
        self.part > 0
    }

    /// The stream is gone: what it has taken in part is to be written anew.
    pub(crate) const fn forget_part(&mut self) {
        self.part = 0;
    }

    /// The next message, and its body in two pieces.
    fn next(&self) -> Option<(Kept, [&[u8]; 2])> {
        let at = usize::try_from(self.written - self.acked).unwrap_or(usize::MAX);
        let kept = *self.kept.get(at)?;
        let (front, back) = self.bytes.as_slices();
        let (from, to) = (self.written_bytes, self.written_bytes + kept.length);
        let split = front.len();
        let first = front.get(from.min(split)..to.min(split)).unwrap_or_default();
        let second = back.get(from.max(split) - split..to.max(split) - split).unwrap_or_default();
        Some((kept, [first, second]))
    }

    fn is_written(&mut self, kept: Kept) {
        self.written += 1;
        self.written_bytes += kept.length;
        self.part = 0;
    }

    /// Append the next message as a record; `false` where there is none, or it is long.
    pub(crate) fn put_short(&mut self, out: &mut Vec<u8>) -> bool {
        let Some((kept, [first, second])) = self.next().filter(|(kept, _)| kept.length < LONG) else { return false };
        record::put(out, kept.kind, &[kept.tag(), first, second]);
        self.is_written(kept);
        true
    }

    /// Write the next message as a record, whatever its length, without putting it together: `write` says how much of a piece is taken.
    /// Whether all of it was; if not, the next call goes on where this one stopped.
    pub(crate) fn write_next<E>(&mut self, mut write: impl FnMut(&[u8]) -> Result<usize, E>) -> Result<bool, E> {
        let Some((kept, [first, second])) = self.next() else { return Ok(false) };
        let head = record::head(kept.kind, kept.tag().len() + kept.length);
        let (mut skip, mut part, mut all) = (self.part, self.part, true);
        for piece in [&head[..], kept.tag(), first, second] {
            let rest = piece.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(piece.len());
            let taken = if rest.is_empty() { 0 } else { write(rest)? };
            part += taken;
            all = taken == rest.len();
            if !all {
                break;
            }
        }
        if all {
            self.is_written(kept);
        } else {
            self.part = part;
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::Sending;
    use crate::channel::record::Reader;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is acknowledged and lost, the other side has each message once, in order.
        #[test]
        fn nothing_is_lost_and_nothing_comes_twice(
            steps in prop::collection::vec((0..4u8, 0..3000usize), 1..200),
        ) {
            let (mut sending, mut reader) = (Sending::default(), Reader::default());
            let (mut sent, mut got): (Vec<Vec<u8>>, Vec<Vec<u8>>) = Default::default();
            for (n, (step, size)) in steps.into_iter().enumerate() {
                match step {
                    0 | 1 => if sending.has_room(size) {
                        let body: Vec<u8> = (0..size).map(|i| u8::try_from((i + n) % 256).unwrap()).collect();
                        sending.push(4, &body, None);
                        sent.push(body);
                    },
                    2 => {
                        let mut wire = Vec::new();
                        while !sending.is_in_part() && wire.len() < size && sending.put_short(&mut wire) {}
                        // A stream that has room for so many bytes more.
                        let mut room = size;
                        let mut write = |bytes: &[u8]| {
                            let some = &bytes[..bytes.len().min(room)];
                            room -= some.len();
                            wire.extend_from_slice(some);
                            Ok::<_, ()>(some.len())
                        };
                        while sending.write_next(&mut write).unwrap() {}
                        let mut rest = &wire[..];
                        while !rest.is_empty() {
                            let (used, kind) = reader.take(rest).unwrap();
                            rest = &rest[used..];
                            got.extend(kind.map(|_| reader.body().to_vec()));
                        }
                    }
                    _ if size % 3 == 0 => {
                        // What came last is lost with the connection, as far as it was not acknowledged.
                        let keep = usize::try_from(sending.acked()).unwrap().max(got.len().saturating_sub(size % 7));
                        got.truncate(keep);
                        reader.reset();
                        sending.forget_part();
                        prop_assert!(sending.go_on_from(got.len() as u64));
                    }
                    _ => prop_assert!(sending.acknowledge((got.len() as u64).saturating_sub(size as u64 % 4)).is_some()),
                }
                prop_assert!(got[..] == sent[..got.len()]);
                prop_assert!(sending.acknowledge(sent.len() as u64 + 1).is_none());
            }
        }
    }
}
