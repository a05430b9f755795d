//! The two packets as the reference writes them: a map with every field, in declared order.

use super::super::{Packet, Response};
use crate::data::msgpack::{transcode, write};
use crate::data::{EncodeError, Sink, Text, Value};

type Done = Result<(), EncodeError>;

/// A key in its written form: what the two packets have in common with [`super::decode`].
pub(super) mod key {
    macro_rules! keys {
        ($($name:ident = $bytes:literal),+ $(,)?) => { $(pub(in super::super) const $name: &[u8] = $bytes;)+ };
    }
    keys! {
        PACKET_ID = b"\xa9packet_id",
        SOURCE_DID = b"\xaasource_did",
        TARGET_DID = b"\xaatarget_did",
        PING_TYPE = b"\xa9ping_type",
        PRIORITY = b"\xa8priority",
        ROUTING_MODE = b"\xacrouting_mode",
        INTENT = b"\xa6intent",
        PURPOSE = b"\xa7purpose",
        PAYLOAD = b"\xa7payload",
        POD_ID = b"\xa6pod_id",
        STATION_ID = b"\xaastation_id",
        HOP_COUNT = b"\xa9hop_count",
        MAX_HOPS = b"\xa8max_hops",
        NONCE = b"\xa5nonce",
        TIMESTAMP = b"\xa9timestamp",
        TIBET_TOKEN_ID = b"\xaetibet_token_id",
        VOUCHED_BY = b"\xaavouched_by",
        VOUCH_SIGNATURE = b"\xafvouch_signature",
        SIGNATURE = b"\xa9signature",
        RESPONSE_ID = b"\xabresponse_id",
        IN_RESPONSE_TO = b"\xaein_response_to",
        RESPONDER_DID = b"\xadresponder_did",
        DECISION = b"\xa8decision",
        CAPABILITIES = b"\xaccapabilities",
        TRUST_SCORE = b"\xabtrust_score",
        FIRA_BREAKDOWN = b"\xaefira_breakdown",
        RTT_MS = b"\xa6rtt_ms",
        AIRLOCK_ZONE = b"\xacairlock_zone",
        APPLIED_RULE = b"\xacapplied_rule",
    }
}

/// The payload of a ping's frame.
pub(in super::super) fn packet(p: &Packet<'_>, sink: &mut impl Sink) -> Done {
    sink.put(b"\xde\x00\x13")?;
    text(sink, key::PACKET_ID, p.packet_id)?;
    text(sink, key::SOURCE_DID, p.source_did)?;
    text(sink, key::TARGET_DID, p.target_did)?;
    word(sink, key::PING_TYPE, p.ping_type.as_str())?;
    int(sink, key::PRIORITY, i64::from(p.priority.to_wire()))?;
    word(sink, key::ROUTING_MODE, p.routing_mode.as_str())?;
    text(sink, key::INTENT, p.intent)?;
    text(sink, key::PURPOSE, p.purpose)?;
    value(sink, key::PAYLOAD, p.payload)?;
    option(sink, key::POD_ID, p.pod_id)?;
    option(sink, key::STATION_ID, p.station_id)?;
    int(sink, key::HOP_COUNT, p.hop_count)?;
    int(sink, key::MAX_HOPS, p.max_hops)?;
    text(sink, key::NONCE, p.nonce)?;
    text(sink, key::TIMESTAMP, p.timestamp)?;
    option(sink, key::TIBET_TOKEN_ID, p.tibet_token_id)?;
    option(sink, key::VOUCHED_BY, p.vouched_by)?;
    option(sink, key::VOUCH_SIGNATURE, p.vouch_signature)?;
    text(sink, key::SIGNATURE, p.signature)
}

/// The payload of a response's frame.
pub(in super::super) fn response(r: &Response<'_>, sink: &mut impl Sink) -> Done {
    sink.put(b"\x8d")?;
    text(sink, key::RESPONSE_ID, r.response_id)?;
    text(sink, key::IN_RESPONSE_TO, r.in_response_to)?;
    text(sink, key::RESPONDER_DID, r.responder_did)?;
    word(sink, key::DECISION, r.decision.as_str())?;
    value(sink, key::PAYLOAD, r.payload)?;
    value(sink, key::CAPABILITIES, r.capabilities)?;
    sink.put(key::TRUST_SCORE)?;
    write::number(sink, r.trust_score)?;
    value(sink, key::FIRA_BREAKDOWN, r.fira_breakdown)?;
    option(sink, key::TIBET_TOKEN_ID, r.tibet_token_id)?;
    text(sink, key::TIMESTAMP, r.timestamp)?;
    sink.put(key::RTT_MS)?;
    match r.rtt_ms {
        Some(rtt) => write::number(sink, rtt)?,
        None => sink.put(&[0xc0])?,
    }
    text(sink, key::AIRLOCK_ZONE, r.airlock_zone)?;
    option(sink, key::APPLIED_RULE, r.applied_rule)
}

#[inline]
fn word(sink: &mut impl Sink, key: &[u8], word: &str) -> Done {
    sink.put(key)?;
    Ok(write::str(sink, word)?)
}

#[inline]
fn int(sink: &mut impl Sink, key: &[u8], n: i64) -> Done {
    sink.put(key)?;
    Ok(write::int(sink, n)?)
}

#[inline]
fn text(sink: &mut impl Sink, key: &[u8], text: Text<'_>) -> Done {
    sink.put(key)?;
    write::text(sink, text)
}

#[inline]
fn option(sink: &mut impl Sink, key: &[u8], text: Option<Text<'_>>) -> Done {
    sink.put(key)?;
    match text {
        Some(text) => write::text(sink, text),
        None => Ok(sink.put(&[0xc0])?),
    }
}

fn value(sink: &mut impl Sink, key: &[u8], value: Value<'_>) -> Done {
    sink.put(key)?;
    transcode::value(sink, value)
}
