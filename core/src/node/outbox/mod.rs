//! Everything that a node sends, and the queue in which it waits for the driver.

mod answer;
mod ids;
mod relayed;

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

pub(super) use self::answer::Answer;
use self::answer::{Breakdown, overhead};
use self::ids::Ids;
pub(super) use self::ids::{packet_id, packet_key};
use super::client::RequestId;
use super::config::Caps;
use super::identity::Identity;
use super::ping::{AnswerError, Ping, PingError, ReplyError};
use super::queue::{Queue, StageError, Written};
use super::replies::MAX_REPLY;
use crate::airlock::Rank;
use crate::data::ValueToken;
use crate::framing::{
    Digest, EncodeError, Encoding, Frame, Message, Packet, PingSignatures, PingType, Priority, Proof, Response,
    RoutingMode, SigningError, Text, Value, ValueBuf,
};
use crate::limits::{BROADCAST, HEADER_LEN, MAX_DATAGRAM_V4};
use crate::relay::CIRCUIT_HEAD;
use crate::session::{HEAD_ROOM, MAX_BODY, SessionId, sealed_len};
use crate::time::{Now, iso};
use crate::{Did, Path, Seed};

/// Payload of a heartbeat, as the reference sends it.
const ALIVE: &str = "{\"status\":{\"alive\":true}}";

/// What the text of a signature takes beside the payload: five texts of at most 256 bytes and their names, escaped at worst.
const TEXT_BESIDE: usize = 8 * 1024;
/// A larger buffer for it is not kept.
const MAX_SCRATCH: usize = 64 * 1024;

/// As long as the id of any answer.
const SAMPLE_ID: &str = "resp_0000000000000000";
/// As long as the longest time stamp of our era.
const SAMPLE_STAMP: &str = "2000-01-01T00:00:00.000001+00:00";

/// How a datagram gets to where it goes. A frame is encoded once; sealing happens in place, in the buffer that the driver hands in, in
/// front of and behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextHop {
    /// As it is, to this address.
    Direct(Path),
    /// Through this session, which had this address.
    Session(SessionId, Path),
    /// To this address as the payload of a ping: it is an answer to what came over a relay that passes none back.
    Carried(Path),
}

impl NextHop {
    /// The addresses of the datagram; those of a session may be others by the time it is sent.
    pub(super) const fn path(self) -> Path {
        match self {
            Self::Direct(path) | Self::Session(_, path) | Self::Carried(path) => path,
        }
    }

    pub(super) const fn is_session(self) -> bool {
        matches!(self, Self::Session(..))
    }

    /// What it makes of a frame.
    pub(super) const fn wrap(self) -> Wrap {
        match self {
            Self::Direct(_) | Self::Carried(_) => Wrap::Plain,
            Self::Session(..) => Wrap::Sealed,
        }
    }
}

/// What is made of a frame on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrap {
    /// Nothing. It is signed, where we sign.
    Plain,
    /// A packet of a session. It needs no signature.
    Sealed,
}

impl Wrap {
    /// Bytes that it adds in front of a frame.
    pub(super) const fn before(self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Sealed => HEAD_ROOM,
        }
    }

    /// How long the datagram of a frame is.
    const fn datagram_len(self, frame: usize) -> usize {
        match self {
            Self::Plain => frame,
            Self::Sealed => sealed_len(frame),
        }
    }

    /// The largest frame that a datagram to this address carries.
    fn max_frame(self, path: Path) -> usize {
        match self {
            Self::Plain => path.max_datagram(),
            Self::Sealed if path.circuit().is_some() => MAX_IN_CIRCUIT,
            Self::Sealed => MAX_BODY,
        }
    }
}

/// The largest frame that goes through a session over relays.
pub(super) const MAX_IN_CIRCUIT: usize = MAX_BODY - 64;
const _: () = assert!(sealed_len(MAX_IN_CIRCUIT) + CIRCUIT_HEAD <= MAX_DATAGRAM_V4);

/// What waits to be sent: bytes as long as the datagram will be, with the frame behind the room that is [needed](Wrap::before) in front.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outgoing {
    /// As it is.
    Direct(Path),
    /// Through this session; and the request that it asks, to be told should it not leave.
    Session(SessionId, Option<RequestId>),
}

impl Outgoing {
    const fn of(hop: NextHop, request: Option<RequestId>) -> Self {
        match hop {
            NextHop::Direct(path) | NextHop::Carried(path) => Self::Direct(path),
            NextHop::Session(id, _) => Self::Session(id, request),
        }
    }
}

/// How long the frame is that this begins with.
pub(super) fn frame_len(bytes: &[u8]) -> usize {
    match bytes.first_chunk::<HEADER_LEN>() {
        Some([_, _, _, _, len @ ..]) => HEADER_LEN + u32::from_be_bytes(*len) as usize,
        None => 0,
    }
}

/// Writes packets and answers in the node's name, behind one bounded queue.
///
/// What is staged is written behind the queue and overwritten by whatever is staged next, unless it is committed.
#[derive(Debug)]
pub(super) struct Outbox {
    did: Did,
    /// Signs all that is written, where somebody does.
    signing: Option<Box<Signing>>,
    ids: Ids,
    /// Made with the first answer.
    breakdown: Option<Box<Breakdown>>,
    heartbeat: Option<Box<Heartbeat>>,
    queue: Queue<Outgoing>,
    /// Most datagrams that wait, and most bytes.
    bounds: (usize, usize),
    sent: u64,
    unsent: u64,
}

/// What heartbeats say besides that the node is alive.
#[derive(Debug)]
struct Heartbeat {
    payload: ValueBuf,
    pod_id: Option<Box<str>>,
}

/// What signs, and where the text that it signs is written.
#[derive(Debug)]
struct Signing {
    identity: Identity,
    scratch: Vec<u8>,
}

impl Signing {
    fn sign(&mut self, packet: &Packet<'_>, encoding: Encoding) -> Result<PingSignatures, SigningError> {
        // The text of the payload, escaped at worst, and all else that is signed.
        self.scratch.resize(TEXT_BESIDE + 6 * packet.payload.raw_len(), 0);
        let signatures = packet.sign(encoding, self.identity.signer(), &mut self.scratch);
        if self.scratch.len() > MAX_SCRATCH {
            self.scratch = Vec::new();
        }
        signatures
    }
}

impl Outbox {
    /// Empty.
    pub(super) fn new(did: Did, identity: Option<Identity>, seed: &Seed, caps: &Caps) -> Self {
        let bounds = (caps.transmits as usize, caps.transmit_bytes);
        let queue = Queue::new(bounds.0, bounds.1);
        Self {
            did,
            signing: identity.map(|identity| Box::new(Signing { identity, scratch: Vec::new() })),
            ids: Ids::new(seed),
            breakdown: None,
            heartbeat: None,
            queue,
            bounds,
            sent: 0,
            unsent: 0,
        }
    }

    /// Whether what it writes is signed.
    pub(super) const fn signs(&self) -> bool {
        self.signing.is_some()
    }

    /// The key that it signs with.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.signing.as_ref().map(|signing| &signing.identity)
    }

    /// In whose name it writes.
    pub(super) fn did(&self) -> &str {
        self.did.as_str()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes of storage.
    #[cfg(feature = "sim")]
    pub(super) fn storage(&self) -> usize {
        self.queue.storage()
    }

    /// The random part of the id of a packet.
    pub(super) fn key(&mut self) -> u64 {
        self.ids.key()
    }

    /// Whether there is room beside what is kept free for senders that are better known than this.
    pub(super) fn has_room(&self, rank: Rank) -> bool {
        let (records, bytes) = self.bounds;
        self.queue.has_room(1 + Caps::reserved(records, rank), Caps::reserved(bytes, rank))
    }

    /// Queue what was staged last.
    pub(super) fn commit(&mut self, hop: NextHop, len: usize) {
        self.queue.commit(Outgoing::of(hop, None), len);
    }

    /// Queue the ping that was staged last.
    pub(super) fn commit_ping(&mut self, hop: NextHop, request: RequestId, len: usize) {
        self.queue.commit(Outgoing::of(hop, Some(request)), len);
    }

    /// The frame that was staged last, in so many bytes.
    pub(super) fn staged(&self, wrap: Wrap, len: usize) -> &[u8] {
        let frame = self.queue.staged(len).get(wrap.before()..).unwrap_or_default();
        frame.get(..frame_len(frame)).unwrap_or_default()
    }

    /// Take what is queued first into `out`, if there is room for it; and its length.
    pub(super) fn next(&mut self, out: &mut [u8]) -> Option<(Outgoing, usize)> {
        let (_, bytes) = self.queue.front()?;
        let room = out.get_mut(..bytes.len())?;
        room.copy_from_slice(bytes);
        let (outgoing, bytes) = self.queue.pop()?;
        Some((outgoing, bytes.len()))
    }

    /// Take the frame that is queued first to the start of `room`, if it goes through this session and fits; the request that it asks, and its
    /// length.
    pub(super) fn next_through(&mut self, session: SessionId, room: &mut [u8]) -> Option<(Option<RequestId>, usize)> {
        let (Outgoing::Session(to, request), bytes) = self.queue.front()? else { return None };
        let frame = bytes.get(Wrap::Sealed.before()..)?;
        let frame = frame.get(..frame_len(frame)).filter(|_| to == session)?;
        room.get_mut(..frame.len())?.copy_from_slice(frame);
        let len = frame.len();
        self.queue.pop()?;
        Some((request, len))
    }

    /// A datagram was handed out.
    pub(super) const fn count_sent(&mut self) {
        self.sent = self.sent.saturating_add(1);
    }

    /// Datagrams handed out, and those of them that did not leave.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.sent, self.unsent)
    }

    /// What waited to be sent is given up.
    pub(super) const fn count_lost(&mut self) {
        self.sent = self.sent.saturating_add(1);
        self.count_unsent();
    }

    /// A datagram that was handed out did not leave.
    pub(super) const fn count_unsent(&mut self) {
        self.unsent = self.unsent.saturating_add(1);
    }

    /// Stage an answer; its length.
    pub(super) fn stage(&mut self, now: Now, answer: &Answer<'_>) -> Result<usize, AnswerError> {
        let (id, mut stamp) = (self.ids.response(), [0; 32]);
        let stamp = iso::format(now.wall, &mut stamp);
        let len = match answer.hop {
            NextHop::Carried(_) => self.write_carried(now, answer, (id.as_str(), stamp), false)?,
            NextHop::Direct(_) | NextHop::Session(..) => self.write(answer, id.as_str(), stamp, false)?,
        };
        match answer.allowance {
            Some(allowed) if len > allowed => Err(AnswerError::Unproven { len, allowed }),
            _ => Ok(len),
        }
    }

    /// The most that an answer takes, whenever it will be written. Nothing is staged.
    pub(super) fn measure(&mut self, now: Now, answer: &Answer<'_>) -> Result<usize, AnswerError> {
        match answer.hop {
            NextHop::Carried(_) => self.write_carried(now, answer, (SAMPLE_ID, SAMPLE_STAMP), true),
            NextHop::Direct(_) | NextHop::Session(..) => self.write(answer, SAMPLE_ID, SAMPLE_STAMP, true),
        }
    }

    /// Write an answer behind the queue, signed if we sign; only to `measure` it any signature will do.
    fn write(&mut self, answer: &Answer<'_>, id: &str, stamp: &str, measure: bool) -> Result<usize, AnswerError> {
        let Self { did, signing, breakdown, queue, .. } = self;
        let (did, breakdown) = (did.as_str(), breakdown.get_or_insert_default().value(&answer.judged, answer.encoding));
        let (wrap, path) = (answer.hop.wrap(), answer.hop.path());
        let max = wrap.max_frame(path);
        let guess = overhead(answer.encoding) + did.len() + answer.payload.raw_len();
        let response = answer.response(did, id, stamp, breakdown);
        // Who hears it through a session knows whom it is from.
        let digest = answer.digest.filter(|_| wrap == Wrap::Plain);
        let proof = match (signing, digest) {
            (Some(_), Some(_)) if measure => Some(Proof::SAMPLE),
            (Some(signing), Some(ping)) => Some(response.sign(answer.encoding, ping, signing.identity.signer())?),
            _ => None,
        };
        let response = Response { proof: proof.as_ref().map(Proof::as_text), ..response };
        let staged = stage_frame(queue, guess, wrap, |space| response.encode(answer.encoding, space));
        match staged {
            Ok((frame, len)) if frame <= max => Ok(len),
            Ok(_) | Err(StageError::Failed(EncodeError::TooLarge { .. })) => Err(AnswerError::TooLarge { max }),
            Err(StageError::Full) => Err(AnswerError::QueueFull),
            Err(StageError::Failed(why)) => Err(AnswerError::Encode(why)),
        }
    }

    /// Stage a packet of ours, whose id has this random part; its length, and what an answer to it is bound to, if we sign or it is
    /// `expected` that the answer is signed.
    pub(super) fn stage_packet(
        &mut self,
        now: Now,
        ping: &Ping<'_>,
        (wrap, key): (Wrap, u64),
        expected: bool,
    ) -> Result<(usize, Option<Digest>), PingError> {
        let (packet_id, nonce, mut stamp) = (packet_id(key), self.ids.nonce(), [0; 32]);
        let packet = Packet {
            packet_id: Text::from_wire(packet_id.as_str()),
            source_did: Text::new(self.did.as_str()),
            target_did: Text::new(ping.target),
            ping_type: ping.ping_type,
            priority: ping.priority,
            routing_mode: if ping.via.is_some() { RoutingMode::Mesh } else { ping.routing_mode },
            max_hops: ping.max_hops.map_or(Packet::default().max_hops, i64::from),
            intent: Text::new(ping.intent),
            purpose: Text::new(ping.purpose),
            payload: if is_falsy(ping.payload) { Value::EMPTY_OBJECT } else { ping.payload },
            pod_id: ping.pod_id.map(Text::new),
            station_id: ping.station_id.map(Text::new),
            nonce: Text::from_wire(nonce.as_str()),
            timestamp: Text::from_wire(iso::format(now.wall, &mut stamp)),
            ..Packet::default()
        };
        let signing = self.signing.as_mut().filter(|_| wrap == Wrap::Plain);
        let signatures = signing.map(|signing| signing.sign(&packet, ping.encoding)).transpose()?;
        let packet = signatures.as_ref().map_or(packet, |signatures| signatures.on(packet));
        let bound = wrap == Wrap::Plain && (expected || signatures.is_some());
        let digest = bound.then(|| packet.digest(ping.encoding)).transpose().map_err(PingError::Encode)?;
        let max = wrap.max_frame(ping.path);
        let guess = overhead(ping.encoding) + ping.target.len() + ping.purpose.len() + ping.payload.raw_len();
        match stage_frame(&mut self.queue, guess, wrap, |space| packet.encode(ping.encoding, space)) {
            Ok((frame, len)) if frame <= max => Ok((len, digest)),
            Ok(_) | Err(StageError::Failed(EncodeError::TooLarge { .. })) => Err(PingError::TooLarge { max }),
            Err(StageError::Full) => Err(PingError::QueueFull),
            Err(StageError::Failed(why)) => Err(PingError::Encode(why)),
        }
    }

    /// Have heartbeats say this status, and this pod. What Python takes for false is `{"alive":true}`.
    pub(super) fn set_heartbeat(&mut self, status: Value<'_>, pod_id: Option<&str>) -> Result<(), ReplyError> {
        let status = if is_falsy(status) { None } else { Some(status.to_json_string()?) };
        let json = status.map_or_else(|| ALIVE.into(), |status| format!("{{\"status\":{status}}}"));
        let (len, max) = (json.len() + pod_id.map_or(0, str::len), MAX_REPLY);
        if len > max {
            return Err(ReplyError::TooLarge { len, max });
        }
        let payload = Value::from_json(&json).map_or(Value::from_wire(ALIVE), |value| value);
        self.heartbeat = Some(Box::new(Heartbeat { payload: ValueBuf::new(payload)?, pod_id: pod_id.map(Into::into) }));
        Ok(())
    }

    /// Sign a ping that was written without a signature, and write it into `out`: its length, and what an answer to it is bound to.
    pub(super) fn sign_frame(&mut self, frame: &[u8], out: &mut [u8]) -> Option<(usize, Digest)> {
        let Ok(Frame { message: Message::Packet(packet), encoding }) = Frame::decode(frame) else { return None };
        let signatures = self.signing.as_mut()?.sign(&packet, encoding).ok()?;
        let packet = signatures.on(packet);
        let digest = packet.digest(encoding).ok()?;
        Some((packet.encode(encoding, out).ok()?, digest))
    }

    /// Write a beacon with this payload straight into the caller's buffer; its length.
    pub(super) fn write_beacon(&mut self, now: Now, to: &str, payload: &[u8], out: &mut [u8]) -> Option<usize> {
        let payload = Value::from_json(core::str::from_utf8(payload).ok()?).ok()?;
        let (packet_id, nonce) = (packet_id(self.ids.key()), self.ids.nonce());
        let mut stamp = [0; 32];
        let (routing_mode, purpose) = if to == BROADCAST {
            (RoutingMode::Broadcast, "Looking for devices")
        } else {
            (RoutingMode::Direct, "Answer to a beacon")
        };
        let packet = Packet {
            packet_id: Text::from_wire(packet_id.as_str()),
            source_did: Text::new(self.did.as_str()),
            target_did: Text::new(to),
            ping_type: PingType::Discover,
            priority: Priority::Normal,
            routing_mode,
            intent: Text::from_wire("discover"),
            purpose: Text::from_wire(purpose),
            payload,
            nonce: Text::from_wire(nonce.as_str()),
            timestamp: Text::from_wire(iso::format(now.wall, &mut stamp)),
            ..Packet::default()
        };
        let signing = self.signing.as_mut();
        let signatures = signing.map(|signing| signing.sign(&packet, Encoding::Json)).transpose().ok()?;
        let packet = signatures.as_ref().map_or(packet, |signatures| signatures.on(packet));
        packet.encode(Encoding::Json, out).ok()
    }

    /// Write a heartbeat straight into the caller's buffer, behind the room that is needed in front; the length of the frame.
    pub(super) fn write_heartbeat(
        &mut self,
        now: Now,
        (to, wrap): (&str, Wrap),
        encoding: Encoding,
        out: &mut [u8],
    ) -> Option<usize> {
        let (packet_id, nonce) = (packet_id(self.ids.key()), self.ids.nonce());
        let mut stamp = [0; 32];
        let packet = Packet {
            packet_id: Text::from_wire(packet_id.as_str()),
            source_did: Text::new(self.did.as_str()),
            target_did: Text::new(to),
            ping_type: PingType::Heartbeat,
            priority: Priority::Lazy,
            routing_mode: RoutingMode::Direct,
            intent: Text::from_wire("heartbeat"),
            purpose: Text::from_wire("Periodic keep-alive"),
            payload: self.heartbeat.as_ref().map_or(Value::from_wire(ALIVE), |said| said.payload.as_value()),
            pod_id: self.heartbeat.as_ref().and_then(|said| said.pod_id.as_deref()).map(Text::new),
            nonce: Text::from_wire(nonce.as_str()),
            timestamp: Text::from_wire(iso::format(now.wall, &mut stamp)),
            ..Packet::default()
        };
        let signing = self.signing.as_mut().filter(|_| wrap == Wrap::Plain);
        let signatures = signing.map(|signing| signing.sign(&packet, encoding)).transpose().ok()?;
        let packet = signatures.as_ref().map_or(packet, |signatures| signatures.on(packet));
        packet.encode(encoding, out.get_mut(wrap.before()..)?).ok()
    }
}

/// Whether Python takes a payload for false: the reference sends `{}` instead.
fn is_falsy(payload: Value<'_>) -> bool {
    let mut tokens = payload.tokens();
    match (tokens.next(), tokens.next()) {
        (Some(ValueToken::Null | ValueToken::Bool(false)), _) => true,
        (Some(ValueToken::Number(number)), _) => number.to_f64() == 0.0,
        (Some(ValueToken::Str(text)), _) => text.is_empty(),
        (Some(ValueToken::ArrayStart), Some(ValueToken::ArrayEnd)) => true,
        (Some(ValueToken::ObjectStart), Some(ValueToken::ObjectEnd)) => true,
        _ => false,
    }
}

/// Write a frame behind a queue, offering more space until it fits; its length, and that of the datagram that is made of it.
fn stage_frame(
    out: &mut Queue<Outgoing>,
    guess: usize,
    wrap: Wrap,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<(usize, usize), StageError<EncodeError>> {
    let mut frame = 0;
    let len = out.stage(wrap.datagram_len(guess), |space| {
        match encode(space.get_mut(wrap.before()..).unwrap_or_default()) {
            Ok(len) => {
                frame = len;
                Written::Bytes(wrap.datagram_len(len))
            }
            Err(EncodeError::BufferFull) => Written::MoreSpace,
            Err(why) => Written::Failed(why),
        }
    })?;
    Ok((frame, len))
}
