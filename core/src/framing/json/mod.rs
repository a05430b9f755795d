//! JSON as the reference reads and writes it: Python's `json.loads` and `json.dumps`.

mod by_key;
mod counts;
mod fast;
mod flat;
mod keys;
mod numeral;
mod read;
mod scan;
mod sorted;
mod spaced;
mod swar;
mod write;

use super::canonical::Style;
use super::error::{DecodeError, EncodeError, ValueError};
use super::packet::{Packet, Response};
use super::sink::{Full, Sink};
use super::text::Text;
use super::value::Value;

pub(super) use counts::Counts;
pub(super) use keys::KeyFilter;
pub(super) use read::{Tokens, end_of, head, is_separator};
pub(super) use scan::Scanner;
pub(super) use write::{write_object, write_value};

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

/// Check a text of a packet that must be one value.
#[inline]
pub(super) fn checked(text: &str) -> Result<Value<'_>, DecodeError> {
    value_from_text(text).map_err(|e| e.error)
}

/// Check a text that must be one value.
pub(super) fn value_from_text(text: &str) -> Result<Value<'_>, ValueError> {
    let mut scanner = Scanner::new(text, 0);
    scanner.space();
    let value = scanner.spaced_value().and_then(|value| {
        scanner.space();
        match scanner.peek() {
            _ if u32::try_from(text.len()).is_err() => Err(DecodeError::TooLarge),
            Some(_) => Err(DecodeError::BadJson),
            None => Ok(value),
        }
    });
    value.map_err(|error| ValueError { error, at: scanner.pos() })
}

/// Write what stands between the quotes of a text.
#[inline(always)]
pub(super) fn put_inside(text: Text<'_>, sink: &mut impl Sink) -> Result<(), Full> {
    write::inside(text, sink)
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
                write::inside(text, $sink)?;
                put!($sink, "\"");
            }
        }
    };
}

/// Write the payload of a frame that holds a ping.
#[inline]
pub(super) fn encode_packet(packet: &Packet<'_>, sink: &mut impl Sink) -> Result<(), EncodeError> {
    put!(sink, "{\"packet_id\":\"");
    write::inside(packet.packet_id, sink)?;
    put!(sink, "\",\"source_did\":\"");
    write::inside(packet.source_did, sink)?;
    put!(sink, "\",\"target_did\":\"");
    write::inside(packet.target_did, sink)?;
    put!(sink, "\",\"ping_type\":\"");
    sink.put(packet.ping_type.as_str().as_bytes())?;
    put!(sink, "\",\"priority\":");
    sink.put(&[b'0' + packet.priority.to_wire()])?;
    put!(sink, ",\"routing_mode\":\"");
    sink.put(packet.routing_mode.as_str().as_bytes())?;
    put!(sink, "\",\"intent\":\"");
    write::inside(packet.intent, sink)?;
    put!(sink, "\",\"purpose\":\"");
    write::inside(packet.purpose, sink)?;
    put!(sink, "\",\"payload\":");
    write_value(packet.payload, sink, Style::WIRE)?;
    put_optional!(sink, "pod_id", packet.pod_id);
    put_optional!(sink, "station_id", packet.station_id);
    put!(sink, ",\"hop_count\":");
    sink.put(itoa::Buffer::new().format(packet.hop_count).as_bytes())?;
    put!(sink, ",\"max_hops\":");
    sink.put(itoa::Buffer::new().format(packet.max_hops).as_bytes())?;
    put!(sink, ",\"nonce\":\"");
    write::inside(packet.nonce, sink)?;
    put!(sink, "\",\"timestamp\":\"");
    write::inside(packet.timestamp, sink)?;
    put!(sink, "\"");
    put_optional!(sink, "tibet_token_id", packet.tibet_token_id);
    put_optional!(sink, "vouched_by", packet.vouched_by);
    put_optional!(sink, "vouch_signature", packet.vouch_signature);
    put!(sink, ",\"signature\":\"");
    write::inside(packet.signature, sink)?;
    put!(sink, "\"}");
    Ok(())
}

/// Write the payload of a frame that holds a response.
#[inline]
pub(super) fn encode_response(response: &Response<'_>, sink: &mut impl Sink) -> Result<(), EncodeError> {
    put!(sink, "{\"response_id\":\"");
    write::inside(response.response_id, sink)?;
    put!(sink, "\",\"in_response_to\":\"");
    write::inside(response.in_response_to, sink)?;
    put!(sink, "\",\"responder_did\":\"");
    write::inside(response.responder_did, sink)?;
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
    write::inside(response.timestamp, sink)?;
    put!(sink, "\",\"rtt_ms\":");
    match response.rtt_ms {
        Some(rtt) => rtt.write(sink)?,
        None => put!(sink, "null"),
    }
    put!(sink, ",\"airlock_zone\":\"");
    write::inside(response.airlock_zone, sink)?;
    put!(sink, "\"");
    put_optional!(sink, "applied_rule", response.applied_rule);
    put!(sink, "}");
    Ok(())
}
