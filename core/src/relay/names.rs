//! Keyed hashes of what a ping says: a relay keeps no texts.

use super::reject::RelayReject;
use crate::check_did;
use crate::framing::{Packet, Priority, Response, Text, TextError};
use crate::limits::{MAX_DID, MAX_PACKET_ID};
use crate::seed::SipKey;

/// What a relay looks at in a ping.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) packet_id: &'a str,
    pub(super) source: &'a str,
    pub(super) target: &'a str,
}

/// Where texts with escapes are unescaped.
pub(super) struct Scratch([u8; MAX_PACKET_ID], [u8; MAX_DID], [u8; MAX_DID]);

impl Scratch {
    pub(super) const fn new() -> Self {
        Self([0; MAX_PACKET_ID], [0; MAX_DID], [0; MAX_DID])
    }
}

impl<'a> Names<'a> {
    pub(super) fn of_packet(packet: &Packet<'a>, scratch: &'a mut Scratch) -> Result<Self, RelayReject> {
        let Scratch(id, first, second) = scratch;
        let names = Self {
            packet_id: plain(packet.packet_id, id)?,
            source: plain(packet.source_did, first)?,
            target: plain(packet.target_did, second)?,
        };
        for did in [names.source, names.target] {
            check_did(did).map_err(|_| RelayReject::Malformed)?;
        }
        Ok(names)
    }

    /// The id of the ping that is answered, and who answers.
    pub(super) fn of_response(
        response: &Response<'a>,
        scratch: &'a mut Scratch,
    ) -> Result<(&'a str, &'a str), RelayReject> {
        let Scratch(id, did, _) = scratch;
        Ok((plain(response.in_response_to, id)?, plain(response.responder_did, did)?))
    }
}

fn plain<'b, const N: usize>(text: Text<'b>, scratch: &'b mut [u8; N]) -> Result<&'b str, RelayReject> {
    match text.resolve(scratch) {
        Ok(plain) if plain.len() <= N => Ok(plain),
        Ok(_) | Err(TextError::TooLong) => Err(RelayReject::TooLong),
        Err(TextError::LoneSurrogate) => Err(RelayReject::Malformed),
    }
}

/// How much is collected before it is hashed.
const HELD: usize = 1024;
/// The hash of what stood there before, in front of what follows.
const CHAINED: usize = size_of::<u64>();

/// A hash over several members, each behind its length. They are collected first: one long run is hashed faster than many short ones.
struct Members<'k> {
    key: &'k SipKey,
    held: [u8; HELD],
    len: usize,
}

impl<'k> Members<'k> {
    const fn new(key: &'k SipKey) -> Self {
        Self { key, held: [0; HELD], len: CHAINED }
    }

    /// The hash of all so far, which stands in front of what follows.
    fn fold(&mut self) -> u64 {
        let hash = self.key.hash(self.held.get(..self.len).unwrap_or_default());
        self.held[..CHAINED].copy_from_slice(&hash.to_le_bytes());
        self.len = CHAINED;
        hash
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        match self.held.get_mut(self.len..self.len + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.put_in_parts(bytes),
        }
    }

    fn put_in_parts(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.len == HELD {
                self.fold();
            }
            let room = self.held.get_mut(self.len..).unwrap_or_default();
            let (now, later) = bytes.split_at(bytes.len().min(room.len()));
            room[..now.len()].copy_from_slice(now);
            self.len += now.len();
            bytes = later;
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.put(&(bytes.len() as u64).to_le_bytes());
        self.put(bytes);
    }

    fn text(&mut self, text: Text<'_>) {
        match text.as_str() {
            Some(plain) => self.bytes(plain.as_bytes()),
            None => {
                // No text is as long as that.
                self.put(&u64::MAX.to_le_bytes());
                text.chars().for_each(|c| self.put(&c.map_or_else(u32::from, u32::from).to_le_bytes()));
                self.put(&u32::MAX.to_le_bytes());
            }
        }
    }

    fn optional(&mut self, text: Option<Text<'_>>) {
        self.put(&[u8::from(text.is_some())]);
        text.into_iter().for_each(|text| self.text(text));
    }
}

/// By what a ping is recognised that was passed on before: the keyed hashes of all that it says but its hops, with and without the
/// proof.
///
/// Everything counts, the sender and its signatures first: whoever sees a ping and is faster than it with another one that bears its
/// id, or its signature, does not have it taken for a duplicate. The proof counts for itself, because a reference relay takes it off,
/// and the same ping without it must not go round.
pub(super) fn fingerprints(key: &SipKey, packet: &Packet<'_>) -> (u64, Option<u64>) {
    let mut members = Members::new(key);
    let Packet { packet_id, source_did, target_did, intent, purpose, nonce, timestamp, signature, .. } = *packet;
    [source_did, signature, packet_id, target_did, intent, purpose, nonce, timestamp]
        .into_iter()
        .for_each(|text| members.text(text));
    let Packet { pod_id, station_id, tibet_token_id, vouched_by, vouch_signature, .. } = *packet;
    [pod_id, station_id, tibet_token_id, vouched_by, vouch_signature]
        .into_iter()
        .for_each(|text| members.optional(text));
    let priority = match packet.priority {
        Priority::Lazy => 1_u8,
        Priority::Normal => 2,
        Priority::Urgent => 3,
    };
    members.put(&[packet.ping_type as u8, priority, packet.routing_mode as u8]);
    members.put(&packet.max_hops.to_le_bytes());
    members.bytes(packet.payload.as_bytes());
    let bare = members.fold();
    let signed = packet.proof.map(|proof| {
        members.text(proof);
        members.fold()
    });
    (bare, signed)
}
