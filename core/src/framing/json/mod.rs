//! The two packets in JSON as the reference reads and writes them.

mod by_key;
mod fast;

use super::error::DecodeError;
use super::packet::{Packet, Response};
use crate::data::json::{inside, write_value};
use crate::data::{EncodeError, Sink, Style};

/// Decode the payload of a frame as a ping.
#[inline]
pub(super) fn decode_packet(payload: &[u8]) -> Result<Packet<'_>, DecodeError> {
    let text = core::str::from_utf8(payload).map_err(|_| DecodeError::BadUtf8)?;
    match fast::packet(text) {
        Some(packet) => Ok(packet),
        None => by_key::packet(text),
    }
}

/// Decode the payload of a frame as a response.
#[inline]
pub(super) fn decode_response(payload: &[u8]) -> Result<Response<'_>, DecodeError> {
    let text = core::str::from_utf8(payload).map_err(|_| DecodeError::BadUtf8)?;
    match fast::response(text) {
        Some(response) => Ok(response),
        None => by_key::response(text),
    }
}

macro_rules! put {
    ($sink:ident, $($text:literal),+) => { $sink.put(concat!($($text),+).as_bytes())? };
}

/// A member that is a text or `null`.
macro_rules! put_optional {
    ($sink:ident, $key:literal, $text:expr) => {
        match $text {
            None => put!($sink, ",\"", $key, "\":null"),
            Some(text) => {
                put!($sink, ",\"", $key, "\":\"");
                inside(text, $sink)?;
                put!($sink, "\"");
            }
        }
    };
}

/// Write the payload of a frame that holds a ping.
#[inline]
pub(super) fn encode_packet(packet: &Packet<'_>, sink: &mut impl Sink) -> Result<(), EncodeError> {
    put!(sink, "{\"packet_id\":\"");
    inside(packet.packet_id, sink)?;
    put!(sink, "\",\"source_did\":\"");
    inside(packet.source_did, sink)?;
    put!(sink, "\",\"target_did\":\"");
    inside(packet.target_did, sink)?;
    put!(sink, "\",\"ping_type\":\"");
    sink.put(packet.ping_type.as_str().as_bytes())?;
    put!(sink, "\",\"priority\":");
    sink.put(&[b'0' + packet.priority.to_wire()])?;
    put!(sink, ",\"routing_mode\":\"");
    sink.put(packet.routing_mode.as_str().as_bytes())?;
    put!(sink, "\",\"intent\":\"");
    inside(packet.intent, sink)?;
    put!(sink, "\",\"purpose\":\"");
    inside(packet.purpose, sink)?;
    put!(sink, "\",\"payload\":");
    write_value(packet.payload, sink, Style::WIRE)?;
    put_optional!(sink, "pod_id", packet.pod_id);
    put_optional!(sink, "station_id", packet.station_id);
    put!(sink, ",\"hop_count\":");
    sink.put(itoa::Buffer::new().format(packet.hop_count).as_bytes())?;
    put!(sink, ",\"max_hops\":");
    sink.put(itoa::Buffer::new().format(packet.max_hops).as_bytes())?;
    put!(sink, ",\"nonce\":\"");
    inside(packet.nonce, sink)?;
    put!(sink, "\",\"timestamp\":\"");
    inside(packet.timestamp, sink)?;
    put!(sink, "\"");
    put_optional!(sink, "tibet_token_id", packet.tibet_token_id);
    put_optional!(sink, "vouched_by", packet.vouched_by);
    put_optional!(sink, "vouch_signature", packet.vouch_signature);
    put!(sink, ",\"signature\":\"");
    inside(packet.signature, sink)?;
    put!(sink, "\"}");
    Ok(())
}

/// Write the payload of a frame that holds a response.
#[inline]
pub(super) fn encode_response(response: &Response<'_>, sink: &mut impl Sink) -> Result<(), EncodeError> {
    put!(sink, "{\"response_id\":\"");
    inside(response.response_id, sink)?;
    put!(sink, "\",\"in_response_to\":\"");
    inside(response.in_response_to, sink)?;
    put!(sink, "\",\"responder_did\":\"");
    inside(response.responder_did, sink)?;
    put!(sink, "\",\"decision\":\"");
    sink.put(response.decision.as_str().as_bytes())?;
    put!(sink, "\",\"payload\":");
    write_value(response.payload, sink, Style::WIRE)?;
    put!(sink, ",\"capabilities\":");
    write_value(response.capabilities, sink, Style::WIRE)?;
    put!(sink, ",\"trust_score\":");
    response.trust_score.write(sink)?;
    put!(sink, ",\"fira_breakdown\":");
    write_value(response.fira_breakdown, sink, Style::WIRE)?;
    put_optional!(sink, "tibet_token_id", response.tibet_token_id);
    put!(sink, ",\"timestamp\":\"");
    inside(response.timestamp, sink)?;
    put!(sink, "\",\"rtt_ms\":");
    match response.rtt_ms {
        Some(rtt) => rtt.write(sink)?,
        None => put!(sink, "null"),
    }
    put!(sink, ",\"airlock_zone\":\"");
    inside(response.airlock_zone, sink)?;
    put!(sink, "\"");
    put_optional!(sink, "applied_rule", response.applied_rule);
    put!(sink, "}");
    Ok(())
}
