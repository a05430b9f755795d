//! Everything that a node sends, and the queue in which it waits for the driver.

use alloc::boxed::Box;
use alloc::format;

use super::answer::{Answer, Breakdown, overhead};
use super::config::Caps;
use super::ids::{self, Ids};
use super::ping::{AnswerError, Ping, PingError, ReplyError};
use super::queue::{Queue, StageError, Written};
use super::replies::MAX_REPLY;
use crate::airlock::Rank;
use crate::data::ValueToken;
use crate::framing::{EncodeError, Encoding, Packet, PingType, Priority, RoutingMode, Text, Value, ValueBuf};
use crate::time::{Now, iso};
use crate::{Did, Path, Seed, Transmit};

/// Payload of a heartbeat, as the reference sends it.
const ALIVE: &str = "{\"status\":{\"alive\":true}}";

/// As long as the id of any answer.
const SAMPLE_ID: &str = "resp_0000000000000000";
/// As long as the longest time stamp of our era.
const SAMPLE_STAMP: &str = "2000-01-01T00:00:00.000001+00:00";

/// Writes packets and answers in the node's name, behind one bounded queue.
///
/// What is staged is written behind the queue and overwritten by whatever is staged next, unless it is committed.
#[derive(Debug)]
pub(super) struct Outbox {
    did: Did,
    ids: Ids,
    breakdown: Breakdown,
    heartbeat: Option<Box<Heartbeat>>,
    queue: Queue<Path>,
    /// Most datagrams that wait, and most bytes.
    bounds: (usize, usize),
}

/// What heartbeats say besides that the node is alive.
#[derive(Debug)]
struct Heartbeat {
    payload: ValueBuf,
    pod_id: Option<Box<str>>,
}

impl Outbox {
    /// Empty.
    pub(super) fn new(did: Did, seed: &Seed, caps: &Caps) -> Self {
        let bounds = (caps.transmits as usize, caps.transmit_bytes);
        let queue = Queue::new(bounds.0, bounds.1);
        Self { did, ids: Ids::new(seed), breakdown: Breakdown::default(), heartbeat: None, queue, bounds }
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
    pub(super) fn commit(&mut self, path: Path, len: usize) {
        self.queue.commit(path, len);
    }

    /// The next queued datagram, copied out if there is room for it.
    pub(super) fn next(&mut self, out: &mut [u8]) -> Option<Transmit> {
        if self.queue.front_len()? > out.len() {
            return None;
        }
        let (path, bytes) = self.queue.pop()?;
        out.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Transmit { path, len: bytes.len() })
    }

    /// Stage an answer; its length.
    pub(super) fn stage(&mut self, now: Now, answer: &Answer<'_>) -> Result<usize, AnswerError> {
        let (id, mut stamp) = (self.ids.response(), [0; 32]);
        let stamp = iso::format(now.wall, &mut stamp);
        let len = self.write(answer, id.as_str(), stamp)?;
        match answer.allowance {
            Some(allowed) if len > allowed => Err(AnswerError::Unproven { len, allowed }),
            _ => Ok(len),
        }
    }

    /// The most that an answer takes, whenever it will be written. Nothing is staged.
    pub(super) fn measure(&mut self, answer: &Answer<'_>) -> Result<usize, AnswerError> {
        self.write(answer, SAMPLE_ID, SAMPLE_STAMP)
    }

    fn write(&mut self, answer: &Answer<'_>, id: &str, stamp: &str) -> Result<usize, AnswerError> {
        let Self { did, breakdown, queue, .. } = self;
        let (did, breakdown) = (did.as_str(), breakdown.value(&answer.judged, answer.encoding));
        let max = answer.path.max_datagram();
        let guess = overhead(answer.encoding) + did.len() + answer.payload.raw_len();
        let staged = stage_frame(queue, guess, |space| answer.encode(did, id, stamp, breakdown, space));
        match staged {
            Ok(len) if len <= max => Ok(len),
            Ok(_) | Err(StageError::Failed(EncodeError::TooLarge { .. })) => Err(AnswerError::TooLarge { max }),
            Err(StageError::Full) => Err(AnswerError::QueueFull),
            Err(StageError::Failed(why)) => Err(AnswerError::Encode(why)),
        }
    }

    /// Stage a packet of ours, whose id has this random part; its length.
    pub(super) fn stage_packet(&mut self, now: Now, ping: &Ping<'_>, key: u64) -> Result<usize, PingError> {
        let (packet_id, nonce, mut stamp) = (ids::packet_id(key), self.ids.nonce(), [0; 32]);
        let packet = Packet {
            packet_id: Text::from_wire(packet_id.as_str()),
            source_did: Text::new(self.did.as_str()),
            target_did: Text::new(ping.target),
            ping_type: ping.ping_type,
            priority: ping.priority,
            routing_mode: ping.routing_mode,
            intent: Text::new(ping.intent),
            purpose: Text::new(ping.purpose),
            payload: if is_falsy(ping.payload) { Value::EMPTY_OBJECT } else { ping.payload },
            pod_id: ping.pod_id.map(Text::new),
            station_id: ping.station_id.map(Text::new),
            nonce: Text::from_wire(nonce.as_str()),
            timestamp: Text::from_wire(iso::format(now.wall, &mut stamp)),
            ..Packet::default()
        };
        let max = ping.path.max_datagram();
        let guess = overhead(ping.encoding) + ping.target.len() + ping.purpose.len() + ping.payload.raw_len();
        match stage_frame(&mut self.queue, guess, |space| packet.encode(ping.encoding, space)) {
            Ok(len) if len <= max => Ok(len),
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

    /// Write a heartbeat straight into the caller's buffer; its length.
    pub(super) fn write_heartbeat(&mut self, now: Now, to: &str, encoding: Encoding, out: &mut [u8]) -> Option<usize> {
        let (packet_id, nonce) = (ids::packet_id(self.ids.key()), self.ids.nonce());
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
        packet.encode(encoding, out).ok()
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

/// Write a frame behind a queue, offering more space until it fits.
fn stage_frame(
    out: &mut Queue<Path>,
    guess: usize,
    mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeError>,
) -> Result<usize, StageError<EncodeError>> {
    out.stage(guess, |space| match encode(space) {
        Ok(len) => Written::Bytes(len),
        Err(EncodeError::BufferFull) => Written::MoreSpace,
        Err(why) => Written::Failed(why),
    })
}
