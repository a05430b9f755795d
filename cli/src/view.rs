//! How each event looks, as JSON and for people. Words of strangers are made safe on the way.

use std::io::Write as _;
use std::time::Duration;

use sluis_core::framing::{Decision, Number, Text, Value, Zone};
use sluis_core::node::{Answered, Outcome, Received};
use sluis_core::{Reject, RejectCounts};

use crate::output::json::{self, Object};
use crate::output::{Color, Paint, escape};

/// Characters of a payload that people are shown.
const MAX_SHOWN: usize = 120;

/// Milliseconds.
pub(crate) fn millis(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

/// A ping that passed the gate.
pub(crate) fn ping_json<'l>(object: Object<'l>, ping: &Received<'_>) -> Object<'l> {
    let packet = &ping.packet;
    object
        .text("source_did", packet.source_did)
        .text("target_did", packet.target_did)
        .text("packet_id", packet.packet_id)
        .text("intent", packet.intent)
        .text("purpose", packet.purpose)
        .value("payload", packet.payload)
        .str("zone", ping.zone.as_str())
        .str("decision", ping.decision.as_str())
        .number("trust_score", Number::Float(ping.trust))
        .maybe("rule", ping.rule)
        .addr("from", ping.from.remote)
}

/// A ping that passed the gate.
pub(crate) fn ping_text(line: &mut Vec<u8>, paint: Paint, ping: &Received<'_>) {
    let packet = &ping.packet;
    zone_text(line, paint, ping.zone.as_str());
    decision_text(line, ping.decision);
    padded(line, 28, |line| escape::put_text(line, packet.source_did));
    padded(line, 22, |line| escape::put_text(line, packet.intent));
    let _ = write!(line, "trust {:.2}  from {}", ping.trust, ping.from.remote);
    if let Some(rule) = ping.rule {
        line.extend_from_slice(b"  rule ");
        escape::put(line, rule);
    }
    if !packet.purpose.is_empty() {
        line.extend_from_slice(b"  (");
        escape::put_text(line, packet.purpose);
        line.push(b')');
    }
    payload_text(line, paint, packet.payload);
}

/// How to decide about a waiting ping.
pub(crate) fn hint_text(line: &mut Vec<u8>, paint: Paint, packet_id: Text<'_>) {
    paint.put(line, Color::Dim, |line| {
        line.extend_from_slice(b"       approve ");
        packet_id_text(line, packet_id);
        line.extend_from_slice(b"   or   reject ");
        packet_id_text(line, packet_id);
    });
}

/// A packet id as it must be typed: one that is not a plain word as a JSON text.
fn packet_id_text(line: &mut Vec<u8>, packet_id: Text<'_>) {
    match packet_id.as_str() {
        Some(word) if !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && b != b'"') => {
            line.extend_from_slice(word.as_bytes());
        }
        _ => json::put_text(line, packet_id),
    }
}

/// What was decided about a waiting ping.
pub(crate) const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Approved => "accept",
        Outcome::Rejected => "reject",
        Outcome::Expired => "expired",
    }
}

/// An answer to a ping of ours.
pub(crate) fn response_json<'l>(object: Object<'l>, seq: u64, answer: &Answered<'_>) -> Object<'l> {
    let response = &answer.response;
    object
        .text("packet_id", response.in_response_to)
        .raw("seq", seq)
        .str("decision", response.decision.as_str())
        .text("zone", response.airlock_zone)
        .number("trust_score", response.trust_score)
        .value("payload", response.payload)
        .rounded("rtt_ms", Some(millis(answer.rtt)), 4)
        .text("responder_did", response.responder_did)
        .addr("from", answer.from.remote)
}

/// An answer to a ping of ours.
pub(crate) fn response_text(line: &mut Vec<u8>, paint: Paint, answer: &Answered<'_>) {
    let response = &answer.response;
    zone_text(line, paint, &response.airlock_zone.to_cow());
    decision_text(line, response.decision);
    let _ = write!(line, "trust {:.2}  {:8.3} ms", response.trust_score.to_f64(), millis(answer.rtt));
    payload_text(line, paint, response.payload);
}

fn zone_text(line: &mut Vec<u8>, paint: Paint, zone: &str) {
    let color = match Zone::from_wire(zone) {
        Some(Zone::Groen) => Color::Green,
        Some(Zone::Geel) => Color::Yellow,
        _ => Color::Red,
    };
    paint.put(line, color, |line| padded(line, 7, |line| escape::put(line, zone)));
}

fn decision_text(line: &mut Vec<u8>, decision: Decision) {
    let word = match decision {
        Decision::Accept => "accepted",
        Decision::Pending => "waits",
        Decision::Reject => "refused",
    };
    padded(line, 10, |line| line.extend_from_slice(word.as_bytes()));
}

/// A payload, unless there is nothing in it.
fn payload_text(line: &mut Vec<u8>, paint: Paint, payload: Value<'_>) {
    let mut text = Vec::new();
    json::put_value(&mut text, payload);
    if text == b"{}" {
        return;
    }
    line.extend_from_slice(b"  ");
    paint.put(line, Color::Dim, |line| match text.get(..MAX_SHOWN) {
        // It is ASCII.
        Some(start) if text.len() > MAX_SHOWN => {
            line.extend_from_slice(start);
            line.extend_from_slice(b"...");
        }
        _ => line.extend_from_slice(&text),
    });
}

/// Fill up to a column; at least two spaces follow.
pub(crate) fn padded(line: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let start = line.len();
    write(line);
    // Of a character in UTF-8, one byte is no continuation byte.
    let shown = line[start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    line.resize(line.len() + width.saturating_sub(shown).max(2), b' ');
}

/// Reject reasons that were counted, and how often.
pub(crate) fn reasons_json<'l>(object: Object<'l>, counts: &RejectCounts) -> Object<'l> {
    counts.iter().fold(object, |object, (why, n)| object.raw(why.name(), n))
}

/// `3 rood, 1 replay`
pub(crate) fn reasons_text(line: &mut Vec<u8>, counts: impl Iterator<Item = (Reject, u64)>) {
    for (i, (why, n)) in counts.enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        let _ = write!(line, "{comma}{n} {why}");
    }
}
