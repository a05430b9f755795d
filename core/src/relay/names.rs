//! Keyed hashes of what a ping says: a relay keeps no texts.

use core::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::reject::RelayReject;
use crate::check_did;
use crate::framing::{Packet, Priority, Response, Text, TextError, Value};
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

/// A hash over several members, each behind its length.
struct Members(SipHasher13);

impl Members {
    fn text(&mut self, text: Text<'_>) {
        match text.as_str() {
            Some(plain) => self.bytes(plain.as_bytes()),
            None => text.chars().for_each(|c| self.0.write_u32(c.map_or_else(u32::from, u32::from))),
        }
    }

    fn optional(&mut self, text: Option<Text<'_>>) {
        self.0.write_u8(u8::from(text.is_some()));
        text.into_iter().for_each(|text| self.text(text));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.write_u64(bytes.len() as u64);
        self.0.write(bytes);
    }

    fn value(&mut self, value: Value<'_>) {
        self.bytes(value.as_bytes());
    }
}

/// By what a ping is recognised that was passed on before: the keyed hashes of all that it says but its hops, with and without the
/// proof.
///
/// Everything counts, the sender and its signatures first: whoever sees a ping and is faster than it with another one that bears its
/// id, or its signature, does not have it taken for a duplicate. The proof counts for itself, because a reference relay takes it off,
/// and the same ping without it must not go round.
pub(super) fn fingerprints(key: &SipKey, packet: &Packet<'_>) -> (u64, Option<u64>) {
    let mut members = Members(key.hasher());
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
    members.0.write(&[packet.ping_type as u8, priority, packet.routing_mode as u8]);
    members.0.write_i64(packet.max_hops);
    members.value(packet.payload);
    let bare = members.0.finish();
    let signed = packet.proof.map(|proof| {
        members.text(proof);
        members.0.finish()
    });
    (bare, signed)
}
