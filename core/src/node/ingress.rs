//! A datagram on its way in: decoded once.

use super::identity::FromSession;
use crate::airlock::Subject;
use crate::framing::{Frame, Packet, PingType, Text, TextError};
use crate::limits::{MAX_DID, MAX_INTENT, MAX_NONCE, MAX_PACKET_ID};
use crate::{Path, Reject};

/// A datagram that was decoded, with all that is known of how it came.
#[derive(Clone, Copy)]
pub(super) struct Ingress<'a> {
    /// Of what came through a session: the address that the session has.
    pub(super) path: Path,
    /// The session that it came through, if it did.
    pub(super) session: Option<FromSession>,
    /// Decoded once; nobody copies it.
    pub(super) frame: &'a Frame<'a>,
    /// The frame in bytes: of a datagram that came through a session what was inside.
    pub(super) bytes: &'a [u8],
}

/// The texts of a ping that are looked at and kept, each within its limit.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) did: &'a str,
    pub(super) packet_id: &'a str,
    pub(super) intent: &'a str,
    pub(super) pod_id: Option<&'a str>,
    pub(super) ping_type: PingType,
}

impl<'a> Sender<'a> {
    /// What rules look at in it.
    pub(super) const fn subject(&self) -> Subject<'a> {
        let &Self { did, intent, pod_id, ping_type, .. } = self;
        Subject { source_did: did, intent, pod_id, ping_type }
    }

    /// Bytes of its packet id, name and intent.
    pub(super) const fn text_bytes(&self) -> usize {
        self.did.len() + self.packet_id.len() + self.intent.len()
    }
}

/// The texts that the gate and the tables look at.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    pub(super) sender: Sender<'a>,
    pub(super) nonce: &'a str,
    pub(super) timestamp: Text<'a>,
}

/// Where texts are unescaped.
pub(super) struct Scratch {
    did: [u8; MAX_DID],
    intent: [u8; MAX_INTENT],
    pod_id: [u8; MAX_DID],
    packet_id: [u8; MAX_PACKET_ID],
    nonce: [u8; MAX_NONCE],
}

impl Scratch {
    pub(super) const fn new() -> Self {
        Self {
            did: [0; MAX_DID],
            intent: [0; MAX_INTENT],
            pod_id: [0; MAX_DID],
            packet_id: [0; MAX_PACKET_ID],
            nonce: [0; MAX_NONCE],
        }
    }
}

impl<'a> Texts<'a> {
    /// Read them out of a packet, with `scratch` for those that hold escapes.
    pub(super) fn read(packet: &'a Packet<'a>, scratch: &'a mut Scratch) -> Result<Self, Reject> {
        Ok(Self {
            sender: Sender {
                did: plain(packet.source_did, &mut scratch.did)?,
                intent: plain(packet.intent, &mut scratch.intent)?,
                packet_id: plain(packet.packet_id, &mut scratch.packet_id)?,
                pod_id: packet.pod_id.map(|text| plain(text, &mut scratch.pod_id)).transpose()?,
                ping_type: packet.ping_type,
            },
            nonce: plain(packet.nonce, &mut scratch.nonce)?,
            timestamp: packet.timestamp,
        })
    }

    /// The same for the usual packet, in which none holds escapes: needs no scratch.
    pub(super) fn read_plain(packet: &Packet<'a>) -> Option<Result<Self, Reject>> {
        let texts = Self {
            sender: Sender {
                did: packet.source_did.as_str()?,
                intent: packet.intent.as_str()?,
                packet_id: packet.packet_id.as_str()?,
                pod_id: match packet.pod_id {
                    Some(text) => Some(text.as_str()?),
                    None => None,
                },
                ping_type: packet.ping_type,
            },
            nonce: packet.nonce.as_str()?,
            timestamp: packet.timestamp,
        };
        let Sender { did, intent, packet_id, pod_id, .. } = texts.sender;
        let within = did.len() <= MAX_DID
            && intent.len() <= MAX_INTENT
            && packet_id.len() <= MAX_PACKET_ID
            && texts.nonce.len() <= MAX_NONCE
            && pod_id.is_none_or(|pod| pod.len() <= MAX_DID);
        Some(if within { Ok(texts) } else { Err(Reject::TooLong) })
    }
}

/// A text of a packet as a plain string of at most `N` bytes.
fn plain<'b, const N: usize>(text: Text<'b>, scratch: &'b mut [u8; N]) -> Result<&'b str, Reject> {
    match text.resolve(scratch) {
        Ok(plain) if plain.len() <= N => Ok(plain),
        Ok(_) | Err(TextError::TooLong) => Err(Reject::TooLong),
        Err(TextError::LoneSurrogate) => Err(Reject::Malformed),
    }
}
