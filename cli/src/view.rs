//! How each event looks, as JSON and for people. Words of strangers are made safe on the way.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use sluis_core::Reject;
use sluis_core::driver::{DriverStats, PingNotice, PingReply};
use sluis_core::framing::{Decision, Number, Packet, Text, Value, ValueBuf, Zone};
use sluis_core::node::{Answered, Decided, Outcome, Received, Stats, Tables, WaitId};

use crate::output::json::{self, Object};
use crate::output::{Color, Paint, escape};

/// How many happenings were recorded, and how many were not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// On the disk.
    pub(crate) recorded: u64,
    /// Nowhere.
    pub(crate) lost: u64,
}

/// Characters of a payload that people are shown.
const MAX_SHOWN: usize = 120;

/// Milliseconds.
pub(crate) fn millis(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

/// A ping that passed the gate, as a node tells it, lent or owned.
#[derive(Clone, Copy)]
pub(crate) struct Heard<'a> {
    /// The number of a ping that waits for a decision.
    wait: Option<u64>,
    source_did: Text<'a>,
    target_did: Text<'a>,
    packet_id: Text<'a>,
    intent: Text<'a>,
    purpose: Text<'a>,
    payload: Value<'a>,
    zone: Zone,
    decision: Decision,
    trust: f64,
    rule: Option<&'a str>,
    from: SocketAddr,
}

impl<'a> From<&Received<'a>> for Heard<'a> {
    fn from(ping: &Received<'a>) -> Self {
        let Packet { source_did, target_did, packet_id, intent, purpose, payload, .. } = ping.packet();
        let Received { zone, decision, trust, rule, from, .. } = *ping;
        let (wait, from) = (ping.wait.map(WaitId::number), from.remote);
        Self { wait, source_did, target_did, packet_id, intent, purpose, payload, zone, decision, trust, rule, from }
    }
}

impl<'a> From<&'a PingNotice> for Heard<'a> {
    fn from(ping: &'a PingNotice) -> Self {
        Self {
            wait: ping.wait.map(WaitId::number),
            source_did: Text::new(&ping.source_did),
            target_did: Text::new(&ping.target_did),
            packet_id: Text::new(&ping.packet_id),
            intent: Text::new(&ping.intent),
            purpose: Text::new(&ping.purpose),
            payload: ping.payload.as_ref().map_or(Value::NULL, ValueBuf::as_value),
            zone: ping.zone,
            decision: ping.decision,
            trust: ping.trust,
            rule: ping.rule.as_deref(),
            from: ping.from.remote,
        }
    }
}

pub(crate) fn ping_json<'l>(object: Object<'l>, ping: &Heard<'_>) -> Object<'l> {
    let object = match ping.wait {
        Some(number) => object.raw("wait", number),
        None => object.raw("wait", "null"),
    };
    object
        .text("source_did", ping.source_did)
        .text("target_did", ping.target_did)
        .text("packet_id", ping.packet_id)
        .text("intent", ping.intent)
        .text("purpose", ping.purpose)
        .value("payload", ping.payload)
        .str("zone", ping.zone.as_str())
        .str("decision", ping.decision.as_str())
        .number("trust_score", Number::Float(ping.trust))
        .maybe("rule", ping.rule)
        .addr("from", ping.from)
}

pub(crate) fn ping_text(line: &mut Vec<u8>, paint: Paint, ping: &Heard<'_>) {
    zone_text(line, paint, ping.zone.as_str());
    decision_text(line, ping.decision);
    padded(line, 28, |line| escape::put_text(line, ping.source_did));
    padded(line, 22, |line| escape::put_text(line, ping.intent));
    let _ = write!(line, "trust {:.2}  from {}", ping.trust, ping.from);
    if let Some(rule) = ping.rule {
        line.extend_from_slice(b"  rule ");
        escape::put(line, rule);
    }
    if !ping.purpose.is_empty() {
        line.extend_from_slice(b"  (");
        escape::put_text(line, ping.purpose);
        line.push(b')');
    }
    payload_text(line, paint, ping.payload);
}

/// How to decide about a waiting ping.
pub(crate) fn hint_text(line: &mut Vec<u8>, paint: Paint, number: u64) {
    paint.put(line, Color::Dim, |line| drop(write!(line, "       approve {number}   or   reject {number}")));
}

/// A waiting ping that was decided.
pub(crate) fn decided_json<'l>(object: Object<'l>, decided: &Decided<'_>) -> Object<'l> {
    object
        .raw("wait", decided.wait.number())
        .str("packet_id", decided.packet_id)
        .str("source_did", decided.source_did)
        .str("intent", decided.intent)
        .str("decision", outcome_name(decided.outcome))
        .raw("answered", decided.answered)
}

/// The same for people.
pub(crate) fn decided_words(decided: &Decided<'_>) -> String {
    let (name, number) = (outcome_name(decided.outcome), decided.wait.number());
    let Decided { packet_id, source_did, intent, .. } = decided;
    let untold = if decided.outcome == Outcome::Rejected && !decided.answered {
        " (there was no room for an answer)"
    } else {
        ""
    };
    format!("{name}: {number}, {intent} of {source_did} ({packet_id}){untold}")
}

/// What was decided about a waiting ping.
pub(crate) const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Approved => "accept",
        Outcome::Rejected => "reject",
        Outcome::Expired => "expired",
        _ => "ended",
    }
}

/// An answer to a ping of ours, as a node tells it, lent or owned.
#[derive(Clone, Copy)]
pub(crate) struct Reply<'a> {
    packet_id: Text<'a>,
    decision: Decision,
    zone: Text<'a>,
    trust_score: Number<'a>,
    payload: Value<'a>,
    rtt: Duration,
    responder_did: Text<'a>,
    from: SocketAddr,
}

impl<'a> From<&Answered<'a>> for Reply<'a> {
    fn from(answer: &Answered<'a>) -> Self {
        let response = &answer.response();
        Self {
            packet_id: response.in_response_to,
            decision: response.decision,
            zone: response.airlock_zone,
            trust_score: response.trust_score,
            payload: response.payload,
            rtt: answer.rtt,
            responder_did: response.responder_did,
            from: answer.from.remote,
        }
    }
}

impl<'a> Reply<'a> {
    /// An owned answer does not say which packet it answers.
    pub(crate) fn new(packet_id: &'a str, reply: &'a PingReply) -> Self {
        Self {
            packet_id: Text::new(packet_id),
            decision: reply.decision,
            zone: Text::new(reply.zone.map_or("", Zone::as_str)),
            trust_score: Number::Float(reply.trust_score),
            payload: reply.payload.as_ref().map_or(Value::NULL, ValueBuf::as_value),
            rtt: reply.rtt,
            responder_did: Text::new(&reply.responder_did),
            from: reply.from.remote,
        }
    }
}

pub(crate) fn response_json<'l>(object: Object<'l>, seq: u64, reply: &Reply<'_>) -> Object<'l> {
    object
        .text("packet_id", reply.packet_id)
        .raw("seq", seq)
        .str("decision", reply.decision.as_str())
        .text("zone", reply.zone)
        .number("trust_score", reply.trust_score)
        .value("payload", reply.payload)
        .rounded("rtt_ms", Some(millis(reply.rtt)), 4)
        .text("responder_did", reply.responder_did)
        .addr("from", reply.from)
}

pub(crate) fn response_text(line: &mut Vec<u8>, paint: Paint, reply: &Reply<'_>) {
    zone_text(line, paint, &reply.zone.to_cow());
    decision_text(line, reply.decision);
    let _ = write!(line, "trust {:.2}  {:8.3} ms", reply.trust_score.to_f64(), millis(reply.rtt));
    payload_text(line, paint, reply.payload);
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

/// A payload for people, unless there is nothing in it.
fn payload_text(line: &mut Vec<u8>, paint: Paint, payload: Value<'_>) {
    let mut text = Vec::new();
    json::put_readable(&mut text, payload);
    let text = String::from_utf8_lossy(&text);
    if text == "{}" {
        return;
    }
    line.extend_from_slice(b"  ");
    paint.put(line, Color::Dim, |line| match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => {
            line.extend_from_slice(&text.as_bytes()[..end]);
            line.extend_from_slice(b"...");
        }
        None => line.extend_from_slice(text.as_bytes()),
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

/// How many datagrams and accepted pings there were, heartbeats aside.
const fn pings(stats: &Stats) -> [u64; 2] {
    [stats.received.saturating_sub(stats.heartbeats), stats.accepted.saturating_sub(stats.heartbeats)]
}

/// What a listening node did in all.
pub(crate) fn totals_json<'l>(
    object: Object<'l>,
    stats: &Stats,
    elapsed: Duration,
    recorded: Option<Recorded>,
) -> Object<'l> {
    let [received, accepted] = pings(stats);
    let object = object
        .raw("received", received)
        .raw("accepted", accepted)
        .raw("pending", stats.waiting)
        .object("rejected", |o| stats.rejected.iter().fold(o, |o, (why, n)| o.raw(why.name(), n)));
    let object = match recorded {
        Some(Recorded { recorded, lost }) => object.object("record", |o| o.raw("recorded", recorded).raw("lost", lost)),
        None => object,
    };
    object.rounded("elapsed_s", Some(elapsed.as_secs_f64()), 6)
}

/// What a listening node did in all.
pub(crate) fn totals_text(line: &mut Vec<u8>, stats: &Stats, elapsed: Duration, recorded: Option<Recorded>) {
    totals_words(line, stats);
    if let Some(Recorded { recorded, lost }) = recorded {
        let _ = write!(line, "; {recorded} recorded");
        if lost > 0 {
            let _ = write!(line, ", {lost} lost");
        }
    }
    let _ = write!(line, "; {:.1} s", elapsed.as_secs_f64());
}

fn totals_words(line: &mut Vec<u8>, stats: &Stats) {
    let [received, accepted] = pings(stats);
    let rejected = stats.rejected.total();
    let _ = write!(line, "{received} received: {accepted} accepted, {} made to wait, ", stats.waiting);
    let _ = write!(line, "{rejected} turned away");
    if rejected > 0 {
        line.extend_from_slice(b" (");
        reasons_text(line, stats.rejected.iter());
        line.push(b')');
    }
}

/// `3 rood, 1 replay`
pub(crate) fn reasons_text(line: &mut Vec<u8>, counts: impl Iterator<Item = (Reject, u64)>) {
    for (i, (why, n)) in counts.enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        let _ = write!(line, "{comma}{n} {why}");
    }
}

/// What the tables of a node hold, and what went through it.
pub(crate) fn counters(stats: &Stats) -> String {
    let mut line = Vec::new();
    totals_words(&mut line, stats);
    let Tables { peers, waiting, requests, nonces, .. } = stats.tables;
    let _ = write!(line, "; {} requests, {} answers, {} timeouts", stats.requests, stats.responses, stats.timeouts);
    let _ = write!(line, "; now {peers} peers, {waiting} waiting, {requests} requests open, {nonces} nonces");
    String::from_utf8_lossy(&line).into_owned()
}

/// What the driver did.
pub(crate) fn driver(stats: &DriverStats) -> String {
    let DriverStats { wakes, batches, received, sent, discarded, recv_errors } = stats;
    format!(
        "{received} datagrams in {batches} batches received, {sent} sent, {discarded} not sent, {recv_errors} receive \
         errors, {wakes} wakes"
    )
}
