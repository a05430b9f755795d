//! What is said in sealed packets.

use super::super::sealed::MessageId;

/// The kind of a packet with a message, to be handed over in order.
pub const MESSAGE: u8 = 1;
/// The kind of a packet with acknowledgements.
pub const ACK: u8 = 2;
/// The kind of a packet with a message that is handed over when it comes.
pub const UNORDERED: u8 = 3;

/// The kind of a packet that says where its sender is joined.
pub const JOINED: u8 = 4;
/// The kind of a packet that says that this was heard.
pub const JOINED_HEARD: u8 = 5;

/// The most acknowledgements of one packet.
pub const MAX_ACKS: usize = 128;

/// A record: the kind, the id and the body of a sealed packet, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A message. Its id is the epoch and the number; its body begins with the oldest number that is still tried, and when it was said.
    Message {
        /// Chosen by the sender at its start.
        epoch: u64,
        /// From 0.
        number: u64,
        /// What is below was acknowledged or given up. At most `number`.
        oldest: u64,
        /// When it was sent first, in milliseconds since 1970 by the sender's clock.
        said: u64,
        /// To be handed over in order.
        ordered: bool,
        /// What is said.
        body: &'a [u8],
    },
    /// The application has these messages. The id is their epoch and how many they are.
    Ack {
        /// That of their sender.
        epoch: u64,
        /// Eight bytes each, big endian.
        numbers: &'a [[u8; 8]],
    },
    /// Where its sender is joined, and by which name it goes.
    Joined {
        /// Chosen by the sender at its start.
        epoch: u64,
        /// The higher, the newer.
        version: u64,
        /// As [`rendezvous`](crate::rendezvous) reads it.
        body: &'a [u8],
    },
    /// That was heard.
    JoinedHeard {
        /// That of who is joined there.
        epoch: u64,
        /// Which.
        version: u64,
    },
}

/// Bytes that a message's record adds to it.
#[must_use]
pub const fn message_overhead() -> usize {
    16
}

impl<'a> Record<'a> {
    /// Understand the kind, the id and the body of a packet; `None` for what has another form.
    #[must_use]
    pub fn parse(kind: u8, id: &MessageId, body: &'a [u8]) -> Option<Self> {
        let (epoch, number) = split(id);
        match kind {
            MESSAGE | UNORDERED => {
                let (oldest, body) = body.split_first_chunk()?;
                let (said, body) = body.split_first_chunk()?;
                let (oldest, said) = (u64::from_be_bytes(*oldest), u64::from_be_bytes(*said));
                // A number above all others could not be followed by one.
                let valid = oldest <= number && number < u64::MAX;
                valid.then_some(Self::Message { epoch, number, oldest, said, ordered: kind == MESSAGE, body })
            }
            ACK => {
                let (numbers, rest) = body.as_chunks();
                let counted = u64::try_from(numbers.len()).is_ok_and(|count| count == number);
                let valid = counted && rest.is_empty() && numbers.len() <= MAX_ACKS;
                valid.then_some(Self::Ack { epoch, numbers })
            }
            JOINED => Some(Self::Joined { epoch, version: number, body }),
            JOINED_HEARD => body.is_empty().then_some(Self::JoinedHeard { epoch, version: number }),
            _ => None,
        }
    }

    /// The kind of its packet.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Message { ordered: true, .. } => MESSAGE,
            Self::Message { ordered: false, .. } => UNORDERED,
            Self::Ack { .. } => ACK,
            Self::Joined { .. } => JOINED,
            Self::JoinedHeard { .. } => JOINED_HEARD,
        }
    }

    /// The id of its packet.
    #[must_use]
    pub fn id(&self) -> MessageId {
        match self {
            Self::Message { epoch, number, .. } => joined(*epoch, *number),
            Self::Ack { epoch, numbers } => joined(*epoch, numbers.len() as u64),
            Self::Joined { epoch, version, .. } | Self::JoinedHeard { epoch, version } => joined(*epoch, *version),
        }
    }

    /// Write the body of its packet to the start of `out`, and say how long it is; `None` where `out` is too short.
    #[must_use]
    pub fn write(&self, out: &mut [u8]) -> Option<usize> {
        let parts: [&[u8]; 3] = match self {
            Self::Message { oldest, said, body, .. } => [&oldest.to_be_bytes(), &said.to_be_bytes(), body],
            Self::Ack { numbers, .. } => [numbers.as_flattened(), &[], &[]],
            Self::Joined { body, .. } => [body, &[], &[]],
            Self::JoinedHeard { .. } => [&[], &[], &[]],
        };
        let mut rest = out;
        let mut len = 0;
        for part in parts {
            let (room, after) = rest.split_at_mut_checked(part.len())?;
            room.copy_from_slice(part);
            (rest, len) = (after, len + part.len());
        }
        Some(len)
    }

    /// Length of the body of its packet.
    #[must_use]
    pub const fn body_len(&self) -> usize {
        match self {
            Self::Message { body, .. } => message_overhead() + body.len(),
            Self::Ack { numbers, .. } => 8 * numbers.len(),
            Self::Joined { body, .. } => body.len(),
            Self::JoinedHeard { .. } => 0,
        }
    }
}

fn split(id: &MessageId) -> (u64, u64) {
    let id = u128::from_be_bytes(*id);
    // The upper and the lower half.
    #[allow(clippy::cast_possible_truncation)]
    let halves = ((id >> 64) as u64, id as u64);
    halves
}

fn joined(epoch: u64, number: u64) -> MessageId {
    (u128::from(epoch) << 64 | u128::from(number)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_survive_and_garbage_is_none(
            epoch: u64, number in 0..u64::MAX, back: u64, said: u64, ordered: bool, body: Vec<u8>, numbers in proptest::collection::vec(any::<[u8; 8]>(), 0..=MAX_ACKS),
            kind: u8, id: [u8; 16],
        ) {
            let oldest = number - back.min(number);
            for record in [
                Record::Message { epoch, number, oldest, said, ordered, body: &body },
                Record::Ack { epoch, numbers: &numbers },
                Record::Joined { epoch, version: number, body: &body },
                Record::JoinedHeard { epoch, version: number },
            ] {
                let mut out = [0; 2048];
                let len = record.write(&mut out).unwrap();
                prop_assert_eq!(len, record.body_len());
                prop_assert_eq!(Record::parse(record.kind(), &record.id(), &out[..len]), Some(record));
                prop_assert_eq!(record.write(&mut out[..len.saturating_sub(1)]).is_some(), len == 0);
            }
            if let Some(record) = Record::parse(kind, &id, &body) {
                let mut out = [0; 2048];
                let len = record.write(&mut out).unwrap();
                prop_assert_eq!((record.kind(), record.id(), &out[..len]), (kind, id, &body[..]));
            }
        }
    }
}
