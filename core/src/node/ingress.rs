//! A datagram on its way in: decoded once, and who vouches for it.

use crate::airlock::Subject;
use crate::framing::{Frame, Packet, PingType, Text, TextError};
use crate::identity::PublicKey;
use crate::limits::{MAX_DID, MAX_INTENT, MAX_NONCE, MAX_PACKET_ID};
use crate::table::SlotId;
use crate::{Path, Reject};

/// What a datagram proves about who sent it. To whom a key belongs the [policy](super::policy) knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Auth {
    /// Nothing: it bears no signature, or none that anything was asked of.
    #[default]
    Unsigned,
    /// The holder of this key signed it.
    #[cfg_attr(not(test), expect(dead_code, reason = "made where signatures are verified: see `Authenticator`"))]
    Signed(PublicKey),
    /// It came through this session, whose other end is the holder of this key.
    #[cfg_attr(not(test), expect(dead_code, reason = "made where sessions are opened: see `Authenticator`"))]
    Session(SlotId, PublicKey),
}

impl Auth {
    /// The key that is proven to be its sender's.
    pub(super) const fn key(self) -> Option<PublicKey> {
        match self {
            Self::Unsigned => None,
            Self::Signed(key) | Self::Session(_, key) => Some(key),
        }
    }
}

/// A datagram that was decoded, with all that is known of how it came.
#[derive(Clone, Copy)]
pub(super) struct Ingress<'a> {
    pub(super) path: Path,
    pub(super) auth: Auth,
    /// Decoded once; nobody copies it.
    pub(super) frame: &'a Frame<'a>,
    /// The frame in bytes: of a datagram that came through a session what was inside.
    pub(super) bytes: &'a [u8],
}

/// The steps from a datagram to an [`Ingress`]: the one place where [`Auth`] is decided.
///
/// A session frame is opened in place, and what is inside is decoded like any other; a signature in what was decoded is verified.
/// What does not hold is no [`Auth::Unsigned`] but a reason to turn the datagram away.
#[derive(Debug, Default)]
pub(super) struct Authenticator;

impl Authenticator {
    /// Before it is decoded: the frame in a datagram, opened in place where it is sealed, and what that proves.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "sessions are opened here")]
    pub(super) const fn open<'a>(&self, _: Path, datagram: &'a mut [u8]) -> Result<(Auth, &'a [u8]), Reject> {
        Ok((Auth::Unsigned, datagram))
    }

    /// Once it is decoded: what the frame itself proves, if it did not come through a session.
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "signatures are verified here")]
    pub(super) const fn verify(&self, opened: Auth, _: &Frame<'_>) -> Result<Auth, Reject> {
        Ok(opened)
    }
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

#[cfg(test)]
mod tests {
    use super::{Auth, Authenticator};
    use crate::Path;
    use crate::framing::{Frame, Packet, Text};
    use crate::limits::MAX_DATAGRAM_V6;

    #[test]
    fn what_proves_nothing_is_unsigned() {
        let packet = Packet { source_did: Text::new("jis:a"), signature: Text::new("00"), ..Packet::default() };
        let mut bytes = std::vec![0; MAX_DATAGRAM_V6];
        let len = packet.encode(crate::framing::Encoding::Json, &mut bytes).unwrap();
        let from = Path::to(([192, 0, 2, 1], 7150).into());
        let (opened, bytes) = Authenticator.open(from, &mut bytes[..len]).unwrap();
        assert_eq!((opened, bytes.len()), (Auth::Unsigned, len));
        let frame = Frame::decode(bytes).unwrap();
        assert_eq!(Authenticator.verify(opened, &frame), Ok(Auth::Unsigned));
        assert_eq!(Auth::Unsigned.key(), None);
    }
}
