//! The two packets as the reference writes them: every member, in declared order, without white space.
//!
//! `None` means "not like that" and says nothing else: [`by_key`](super::by_key) then starts over and decides.

use super::super::packet::{Packet, Response};
use super::super::types::{Decision, PingType, Priority, RoutingMode};
use crate::data::json::Scanner;
use crate::data::{Number, Text};

macro_rules! expect {
    ($s:ident, $($text:literal),+) => {
        if !eat(&mut $s, concat!($($text),+)) {
            return None;
        }
    };
}

/// The text after its opening quote.
macro_rules! text {
    ($s:ident) => {
        match $s.string() {
            Ok(text) => text,
            Err(_) => return None,
        }
    };
}

/// A member that is a text or `null`.
macro_rules! optional {
    ($s:ident, $key:literal) => {{
        expect!($s, ",\"", $key, "\":");
        optional_text(&mut $s)?
    }};
}

/// Take `literal` if it is next.
#[inline(always)]
fn eat(s: &mut Scanner<'_>, literal: &'static str) -> bool {
    s.eat_slice(literal.as_bytes())
}

#[inline(always)]
fn optional_text<'a>(s: &mut Scanner<'a>) -> Option<Option<Text<'a>>> {
    if s.eat(b"\"") {
        return s.string().ok().map(Some);
    }
    s.eat(b"null").then_some(None)
}

#[inline]
fn number<'a>(s: &mut Scanner<'a>) -> Option<Number<'a>> {
    s.number().ok().map(|literal| Number::from_json_literal(literal.text))
}

#[inline]
pub(super) fn packet(text: &str) -> Option<Packet<'_>> {
    let mut s = Scanner::new(text, 0);
    expect!(s, "{\"packet_id\":\"");
    let packet_id = text!(s);
    expect!(s, ",\"source_did\":\"");
    let source_did = text!(s);
    expect!(s, ",\"target_did\":\"");
    let target_did = text!(s);
    expect!(s, ",\"ping_type\":\"");
    let ping_type = PingType::from_wire(text!(s).as_str()?)?;
    expect!(s, ",\"priority\":");
    let priority = Priority::from_wire(s.small_int()?)?;
    expect!(s, ",\"routing_mode\":\"");
    let routing_mode = RoutingMode::from_wire(text!(s).as_str()?)?;
    expect!(s, ",\"intent\":\"");
    let intent = text!(s);
    expect!(s, ",\"purpose\":\"");
    let purpose = text!(s);
    expect!(s, ",\"payload\":");
    let payload = s.value().ok()?;
    let pod_id = optional!(s, "pod_id");
    let station_id = optional!(s, "station_id");
    expect!(s, ",\"hop_count\":");
    let hop_count = s.small_int()?;
    expect!(s, ",\"max_hops\":");
    let max_hops = s.small_int()?;
    expect!(s, ",\"nonce\":\"");
    let nonce = text!(s);
    expect!(s, ",\"timestamp\":\"");
    let timestamp = text!(s);
    let tibet_token_id = optional!(s, "tibet_token_id");
    let vouched_by = optional!(s, "vouched_by");
    let vouch_signature = optional!(s, "vouch_signature");
    expect!(s, ",\"signature\":\"");
    let signature = text!(s);
    expect!(s, "}");
    (s.pos() == text.len()).then_some(Packet {
        packet_id,
        source_did,
        target_did,
        ping_type,
        priority,
        routing_mode,
        intent,
        purpose,
        payload,
        pod_id,
        station_id,
        hop_count,
        max_hops,
        nonce,
        timestamp,
        tibet_token_id,
        vouched_by,
        vouch_signature,
        signature,
    })
}

#[inline]
pub(super) fn response(text: &str) -> Option<Response<'_>> {
    let mut s = Scanner::new(text, 0);
    expect!(s, "{\"response_id\":\"");
    let response_id = text!(s);
    expect!(s, ",\"in_response_to\":\"");
    let in_response_to = text!(s);
    expect!(s, ",\"responder_did\":\"");
    let responder_did = text!(s);
    expect!(s, ",\"decision\":\"");
    let decision = Decision::from_wire(text!(s).as_str()?)?;
    expect!(s, ",\"payload\":");
    let payload = s.value().ok()?;
    expect!(s, ",\"capabilities\":");
    let capabilities = s.value().ok().filter(|v| v.is_array())?;
    expect!(s, ",\"trust_score\":");
    let trust_score = number(&mut s)?;
    expect!(s, ",\"fira_breakdown\":");
    let fira_breakdown = s.value().ok().filter(|v| v.is_object())?;
    let tibet_token_id = optional!(s, "tibet_token_id");
    expect!(s, ",\"timestamp\":\"");
    let timestamp = text!(s);
    expect!(s, ",\"rtt_ms\":");
    let rtt_ms = if s.eat(b"null") { None } else { Some(number(&mut s)?) };
    expect!(s, ",\"airlock_zone\":\"");
    let airlock_zone = text!(s);
    let applied_rule = optional!(s, "applied_rule");
    expect!(s, "}");
    (s.pos() == text.len()).then_some(Response {
        response_id,
        in_response_to,
        responder_did,
        decision,
        payload,
        capabilities,
        trust_score,
        fira_breakdown,
        tibet_token_id,
        timestamp,
        rtt_ms,
        airlock_zone,
        applied_rule,
    })
}
