//! What is sent for others, and answers that go as pings.

use alloc::vec;
use alloc::vec::Vec;

use super::{Answer, Breakdown, NextHop, Outbox, Outgoing, Proof, Wrap};
use crate::Path;
use crate::airlock::Rank;
use crate::framing::{Digest, EncodeError, Encoding, Packet, Response, RoutingMode, Value};
use crate::limits::{HEADER_LEN, MAX_PAYLOAD};
use crate::node::config::Caps;
use crate::node::ingress::Ingress;
use crate::node::ping::{AnswerError, Ping, PingError};
use crate::node::queue::Written;
use crate::node::relay;
use crate::relay::{ANSWER_INTENT, pack_answer};
use crate::time::Now;

/// The most hops that relays let a ping take, by default.
const MOST_HOPS: u8 = 16;

impl Outbox {
    /// Whether there is room for so many datagrams of strangers, and their bytes.
    pub(in crate::node) fn has_room_for(&self, count: usize, len: usize) -> bool {
        let (records, bytes) = self.bounds;
        let (records, bytes) = (Caps::reserved(records, Rank::Stranger), Caps::reserved(bytes, Rank::Stranger));
        self.queue.has_room(count + records, len + bytes)
    }

    /// Queue a datagram in these parts; false where there is no room.
    pub(in crate::node) fn push(&mut self, path: Path, parts: &[&[u8]]) -> bool {
        self.queue.push(Outgoing::Direct(path), parts).is_ok()
    }

    /// Queue somebody's ping, in so many bytes at most, with this behind its frame if both fit into a datagram; how many there are, `None` where it cannot be sent.
    pub(in crate::node) fn pass_on(
        &mut self,
        (path, most): (Path, usize),
        packet: &Packet<'_>,
        encoding: Encoding,
        trailer: &[u8],
    ) -> Option<usize> {
        let most = most.min(path.max_datagram());
        let guess = packet.payload.raw_len() + 1024 + trailer.len();
        let staged = self.queue.stage(guess, |space| match packet.encode(encoding, space) {
            Ok(len) if len + trailer.len() > most => Written::Bytes(len),
            Ok(len) => match space.get_mut(len..len + trailer.len()) {
                Some(place) => {
                    place.copy_from_slice(trailer);
                    Written::Bytes(len + trailer.len())
                }
                None => Written::MoreSpace,
            },
            Err(EncodeError::BufferFull) => Written::MoreSpace,
            Err(why) => Written::Failed(why),
        });
        match staged {
            Ok(len) if len <= most => {
                self.commit(NextHop::Direct(path), len);
                Some(len)
            }
            _ => None,
        }
    }

    /// Put something behind the frame that was staged last as a datagram of its own; how long both are. Where it finds no room the frame stays as it is.
    pub(in crate::node) fn stage_behind(&mut self, path: Path, frame: &[u8], trailer: &[u8]) -> usize {
        let len = frame.len() + trailer.len();
        let write = |space: &mut [u8]| match space.split_at_mut_checked(frame.len()) {
            Some((front, rest)) if rest.len() >= trailer.len() => {
                front.copy_from_slice(frame);
                rest.iter_mut().zip(trailer).for_each(|(place, byte)| *place = *byte);
                Written::<()>::Bytes(len)
            }
            _ => Written::MoreSpace,
        };
        match len <= path.max_datagram() && self.queue.stage(len, write).is_ok() {
            true => len,
            false => self.stage_again(frame),
        }
    }

    /// Stage a frame that was staged before: there is room for it.
    fn stage_again(&mut self, frame: &[u8]) -> usize {
        let write = |space: &mut [u8]| match space.get_mut(..frame.len()) {
            Some(place) => {
                place.copy_from_slice(frame);
                Written::<()>::Bytes(frame.len())
            }
            None => Written::MoreSpace,
        };
        self.queue.stage(frame.len(), write).unwrap_or(0)
    }

    /// Put a trace behind the ping that was staged last, and say what was asked; where it finds no room the ping goes without.
    pub(in crate::node) fn stage_trace(&mut self, now: Now, path: Path, len: &mut usize) -> Option<Digest> {
        let frame: Vec<u8> = self.staged(Wrap::Plain, *len).into();
        let signer = self.signing.as_ref()?.identity.signer();
        let (trailer, asked) = relay::begin(&frame, (self.did.as_str(), now.wall), signer)?;
        *len = self.stage_behind(path, &frame, &trailer);
        (*len > frame.len()).then_some(asked)
    }

    /// Put a trace behind a ping that stands in `out`, and say what was asked; where it finds no room the ping goes without.
    pub(in crate::node) fn trace_behind(
        &self,
        now: Now,
        path: Path,
        (out, len): (&mut [u8], &mut usize),
    ) -> Option<Digest> {
        let signer = self.signing.as_ref()?.identity.signer();
        let (trailer, asked) = relay::begin(out.get(..*len)?, (self.did.as_str(), now.wall), signer)?;
        let whole = *len + trailer.len();
        out.get_mut(*len..whole).filter(|_| whole <= path.max_datagram())?.copy_from_slice(&trailer);
        *len = whole;
        Some(asked)
    }

    /// Put the trace of a ping behind the answer that was staged last, with a record of ours; at most so many bytes together.
    pub(in crate::node) fn trace_answer(
        &mut self,
        now: Now,
        (ingress, packet): (&Ingress<'_>, &Packet<'_>),
        most: usize,
        len: &mut usize,
    ) {
        let frame: Vec<u8> = self.staged(Wrap::Plain, *len).into();
        let Some(signing) = &self.signing else { return };
        let who = (self.did.as_str(), now.wall);
        let trailer = relay::answer(&frame, (ingress, packet), (who, None), signing.identity.signer());
        if let Some(trailer) = trailer.filter(|trailer| frame.len() + trailer.len() <= most) {
            *len = self.stage_behind(ingress.path, &frame, &trailer);
        }
    }

    /// Stage an answer as a ping, for it goes over relays that pass no answers back; its length.
    pub(super) fn write_carried(
        &mut self,
        now: Now,
        answer: &Answer<'_>,
        (id, stamp): (&str, &str),
        measure: bool,
    ) -> Result<usize, AnswerError> {
        let path = answer.hop.path();
        let payload = self.pack(answer, (id, stamp), measure)?;
        let json = core::str::from_utf8(&payload).ok().and_then(|text| Value::from_json(text).ok());
        let mut ping = Ping::new(answer.to, path, ANSWER_INTENT);
        ping.payload = json.ok_or(AnswerError::TooLarge { max: MAX_PAYLOAD })?;
        ping.purpose = "Answer over a relay";
        ping.routing_mode = RoutingMode::Mesh;
        // As many as any question may have taken.
        ping.max_hops = Some(MOST_HOPS);
        let key = self.key();
        self.stage_packet(now, &ping, (Wrap::Plain, key), false).map(|(len, _)| len).map_err(|why| match why {
            PingError::TooLarge { max } => AnswerError::TooLarge { max },
            PingError::Encode(why) => AnswerError::Encode(why),
            PingError::Sign(why) => AnswerError::Sign(why),
            _ => AnswerError::QueueFull,
        })
    }

    /// The payload that carries an answer.
    fn pack(&mut self, answer: &Answer<'_>, (id, stamp): (&str, &str), measure: bool) -> Result<Vec<u8>, AnswerError> {
        let Self { did, signing, breakdown, .. } = self;
        let breakdown: &mut Breakdown = breakdown.get_or_insert_default();
        let response = answer.response(did.as_str(), id, stamp, breakdown.value(&answer.judged, Encoding::Json));
        let digest: Option<&Digest> = answer.digest;
        let proof = match (signing, digest) {
            (Some(_), Some(_)) if measure => Some(Proof::SAMPLE),
            (Some(signing), Some(ping)) => Some(response.sign(Encoding::Json, ping, signing.identity.signer())?),
            _ => None,
        };
        let response = Response { proof: proof.as_ref().map(Proof::as_text), ..response };
        let mut bytes = vec![0; HEADER_LEN + MAX_PAYLOAD];
        let len = pack_answer(&response, &mut bytes).map_err(AnswerError::Encode)?;
        bytes.truncate(len);
        Ok(bytes)
    }
}
