//! How each event looks, as JSON and for people. Words of strangers are made safe on the way.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use sluis_core::Reject;
use sluis_core::driver::{DriverStats, PingNotice, PingReply};
use sluis_core::framing::{Decision, Number, Packet, Text, Value, ValueBuf, Zone};
use sluis_core::identity::PublicKey;
use sluis_core::node::{
    Answered, Auth, Decided, Outcome, Received, SessionChange, SessionState, Stats, Tables, WaitId,
};
use sluis_core::relay::RelayStats;
use sluis_core::session::Down;

use crate::output::json::Object;
use crate::output::{Color, Flow, Out, escape, put_readable};

/// How many happenings were recorded, and how many were not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recorded {
    /// On the disk.
    pub(crate) recorded: u64,
    /// Nowhere.
    pub(crate) lost: u64,
}

/// What a listening node says of itself beside its counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) elapsed: Duration,
    /// Where it records.
    pub(crate) recorded: Option<Recorded>,
    /// Lines that nobody read, where lines can be lost.
    pub(crate) lost_output: Option<u64>,
    /// Where it relays.
    pub(crate) relay: Option<RelayStats>,
}

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
    auth: Auth,
}

impl<'a> From<&Received<'a>> for Heard<'a> {
    fn from(ping: &Received<'a>) -> Self {
        let Packet { source_did, target_did, packet_id, intent, purpose, payload, .. } = ping.packet();
        let Received { zone, decision, trust, rule, from, auth, .. } = *ping;
        let (wait, from) = (ping.wait.map(WaitId::number), from.remote);
        Self {
            wait,
            source_did,
            target_did,
            packet_id,
            intent,
            purpose,
            payload,
            zone,
            decision,
            trust,
            rule,
            from,
            auth,
        }
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
            auth: ping.auth,
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
        .str("auth", ping.auth.as_str())
        .maybe("fingerprint", fingerprint(ping.auth).as_deref())
}

/// The key that a packet proves to be of, as people compare it.
pub(crate) fn fingerprint(auth: Auth) -> Option<String> {
    auth.key().map(|key| key.fingerprint().to_string())
}

/// The same for people; how to decide about it, where it waits.
pub(crate) fn ping_text(flow: &mut Flow<'_>, ping: &Heard<'_>) {
    zone_text(flow, ping.zone, ping.decision);
    flow.quoted("", ping.source_did).quoted("", ping.intent);
    flow.piece(Color::Plain, |line| drop(write!(line, "trust {:.2}", ping.trust)));
    flow.piece(Color::Plain, |line| drop(write!(line, "from {}", ping.from)));
    if let Some(rule) = ping.rule {
        flow.quoted("rule ", Text::new(rule));
    }
    if !ping.purpose.is_empty() {
        flow.quoted("why ", ping.purpose);
    }
    payload_text(flow, ping.payload);
    if let Some(number) = ping.wait {
        if let Some(fingerprint) = fingerprint(ping.auth) {
            flow.piece(Color::Plain, |line| drop(write!(line, "key {fingerprint}")));
            flow.piece(Color::Bold, |line| drop(write!(line, "approve {number} --pin (or without, or reject)")));
        } else {
            flow.piece(Color::Bold, |line| drop(write!(line, "approve {number} (or reject)")));
        }
    }
}

/// Something that happened to a session, as a node tells it, lent or owned.
#[derive(Clone, Copy)]
pub(crate) struct Session<'a> {
    pub(crate) did: &'a str,
    pub(crate) key: Option<PublicKey>,
    pub(crate) from: SocketAddr,
    pub(crate) relayed: bool,
    pub(crate) state: SessionState,
    pub(crate) suite: u8,
}

impl<'a> From<&SessionChange<'a>> for Session<'a> {
    fn from(change: &SessionChange<'a>) -> Self {
        let SessionChange { did, key, path, relayed, state, suite, .. } = *change;
        Self { did, key, from: path.remote, relayed, state, suite }
    }
}

/// Tell what happened to a session, and the way that it takes where that is new.
pub(crate) fn tell_session(out: &mut Out, session: &Session<'_>) {
    out.event("session", |o| session_json(o, session), |flow| session_text(flow, session));
    let came_up = matches!(session.state, SessionState::Up { .. }) && session.relayed;
    if came_up || matches!(session.state, SessionState::Moved { .. }) {
        let via = if session.relayed { "relayed" } else { "direct" };
        let way = if session.relayed { "over relays that read nothing of it" } else { "with no relay between" };
        let hops = if session.relayed { "null" } else { "0" };
        out.event(
            "path",
            |o| o.str("did", session.did).raw("packet_id", "null").str("via", via).raw("hops", hops),
            |flow| {
                flow.word(Color::Bold, "path").quoted("", Text::new(session.did)).words(way);
            },
        );
    }
}

pub(crate) fn session_json<'l>(object: Object<'l>, session: &Session<'_>) -> Object<'l> {
    let fingerprint = session.key.map(|key| key.fingerprint().to_string());
    let object = object
        .str("did", session.did)
        .maybe("fingerprint", fingerprint.as_deref())
        .addr("from", session.from)
        .str("state", session.state.name())
        .raw("suite", session.suite)
        .maybe("reason", session.state.reason());
    match session.state {
        SessionState::Cloned { elsewhere } => object.addr("elsewhere", elsewhere.remote),
        _ => object,
    }
}

/// The same for people.
pub(crate) fn session_text(flow: &mut Flow<'_>, session: &Session<'_>) {
    flow.text(Color::Dim, "session");
    flow.text(Color::Plain, session.state.name());
    flow.quoted("", Text::new(session.did));
    if let Some(key) = session.key {
        flow.piece(Color::Plain, |line| drop(write!(line, "key {}", key.fingerprint())));
    }
    flow.piece(Color::Plain, |line| drop(write!(line, "at {}", session.from)));
    match session.state {
        SessionState::Moved { from } => flow.piece(Color::Plain, |line| drop(write!(line, "was at {}", from.remote))),
        SessionState::Cloned { elsewhere } => {
            flow.piece(Color::Plain, |line| drop(write!(line, "other than at {}", elsewhere.remote)))
        }
        _ => flow,
    };
    let why = match session.state {
        SessionState::Down(Down::NoAnswer) => "nobody answers the handshake",
        SessionState::Down(Down::Silent) => "nothing was heard for three minutes",
        SessionState::Down(Down::Closed) => "closed by the other side",
        SessionState::Down(Down::Revoked) => "its key is not believed any more",
        SessionState::Down(Down::Rood) => "it is not let in any more, and told nothing",
        SessionState::Cloned { .. } => {
            "two nodes speak with one key: its state directory was copied; neither is heard until one of them is started again"
        }
        SessionState::Down(Down::Clone) => "two nodes speak with its key",
        SessionState::Down(Down::Cloned) => {
            "the other side hears two nodes with this key: the state directory was copied; end the other node and start this one again"
        }
        _ => return,
    };
    flow.text(Color::Plain, why);
}

/// A waiting ping that was decided, as a node tells it, lent or owned.
#[derive(Clone, Copy)]
pub(crate) struct Verdict<'a> {
    pub(crate) wait: u64,
    pub(crate) packet_id: &'a str,
    pub(crate) source_did: &'a str,
    pub(crate) intent: &'a str,
    pub(crate) outcome: Outcome,
    /// How long it had waited.
    pub(crate) waited: Duration,
    /// Whether its sender is told.
    pub(crate) answered: bool,
}

impl<'a> From<&Decided<'a>> for Verdict<'a> {
    fn from(decided: &Decided<'a>) -> Self {
        let Decided { wait, packet_id, source_did, intent, outcome, waited, answered, .. } = *decided;
        Self { wait: wait.number(), packet_id, source_did, intent, outcome, waited, answered }
    }
}

pub(crate) fn decided_json<'l>(object: Object<'l>, verdict: &Verdict<'_>) -> Object<'l> {
    object
        .raw("wait", verdict.wait)
        .str("packet_id", verdict.packet_id)
        .str("source_did", verdict.source_did)
        .str("intent", verdict.intent)
        .str("decision", outcome_name(verdict.outcome))
        .rounded("waited_s", Some(verdict.waited.as_secs_f64()), 3)
        .raw("answered", verdict.answered)
}

/// The same for people.
pub(crate) fn decided_text(flow: &mut Flow<'_>, verdict: &Verdict<'_>) {
    flow.text(Color::Plain, outcome_name(verdict.outcome));
    flow.piece(Color::Plain, |line| drop(write!(line, "{}", verdict.wait)));
    flow.quoted("", Text::new(verdict.source_did)).quoted("", Text::new(verdict.intent));
    if let seconds @ 1.. = verdict.waited.as_secs() {
        flow.text(Color::Dim, &format!("after {seconds} s"));
    }
    if verdict.outcome == Outcome::Rejected && !verdict.answered {
        flow.text(Color::Plain, "there was no room for an answer");
    }
}

/// What was decided about a waiting ping.
const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Approved => "accept",
        Outcome::Rejected => "reject",
        Outcome::Expired => "expired",
        Outcome::Displaced => "displaced",
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
    auth: Auth,
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
            auth: answer.auth,
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
            auth: reply.auth,
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
        .str("auth", reply.auth.as_str())
        .maybe("fingerprint", fingerprint(reply.auth).as_deref())
}

/// The same for people.
pub(crate) fn response_text(flow: &mut Flow<'_>, reply: &Reply<'_>) {
    match Zone::from_wire(&reply.zone.to_cow()) {
        Some(zone) => zone_text(flow, zone, reply.decision),
        None => flow.quoted("", reply.zone).text(Color::Plain, decision_word(reply.decision)),
    };
    flow.piece(Color::Plain, |line| drop(write!(line, "trust {:.2}", reply.trust_score.to_f64())));
    flow.piece(Color::Plain, |line| drop(write!(line, "{:8.3} ms", millis(reply.rtt))));
    payload_text(flow, reply.payload);
}

/// Zone and decision, in columns of their own.
fn zone_text<'f, 'l>(flow: &'f mut Flow<'l>, zone: Zone, decision: Decision) -> &'f mut Flow<'l> {
    let color = match zone {
        Zone::Groen => Color::Green,
        Zone::Geel => Color::Yellow,
        Zone::Rood => Color::Red,
    };
    let decision = decision_word(decision);
    flow.piece(color, |line| drop(write!(line, "{:<5}  {decision:<8}", zone.as_str())))
}

const fn decision_word(decision: Decision) -> &'static str {
    match decision {
        Decision::Accept => "accepted",
        Decision::Pending => "waits",
        Decision::Reject => "refused",
    }
}

/// A payload for people, unless there is nothing in it.
fn payload_text(flow: &mut Flow<'_>, payload: Value<'_>) {
    let mut text = Vec::new();
    put_readable(&mut text, payload);
    if text != b"{}" {
        flow.json(Color::Dim, &text);
    }
}

/// Fill up to a column; at least two spaces follow.
pub(crate) fn padded(line: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let start = line.len();
    write(line);
    let shown = escape::columns_of(&line[start..]);
    line.resize(line.len() + width.saturating_sub(shown).max(2), b' ');
}

/// How many datagrams and accepted pings there were, heartbeats and what only keeps sessions up aside.
const fn pings(stats: &Stats) -> [u64; 2] {
    [
        stats.received.saturating_sub(stats.heartbeats).saturating_sub(stats.sessions),
        stats.accepted.saturating_sub(stats.heartbeats),
    ]
}

/// What a listening node did in all.
pub(crate) fn totals_json<'l>(object: Object<'l>, stats: &Stats, totals: &Totals) -> Object<'l> {
    let [received, accepted] = pings(stats);
    let mut object = object
        .raw("received", received)
        .raw("accepted", accepted)
        .raw("pending", stats.waiting)
        .object("rejected", |o| stats.rejected.iter().fold(o, |o, (why, n)| o.raw(why.name(), n)));
    if let Some(Recorded { recorded, lost }) = totals.recorded {
        object = object.object("record", |o| o.raw("recorded", recorded).raw("lost", lost));
    }
    if let Some(relay) = &totals.relay {
        let RelayStats { forwarded, answered, carried, rejects, .. } = relay;
        object = object.object("forwarded", |o| {
            let o = o.raw("count", forwarded).raw("answered", answered).raw("carried", carried);
            o.object("dropped", |o| rejects.iter().fold(o, |o, (why, n)| o.raw(why.name(), n)))
        });
    }
    if let Some(lost) = totals.lost_output {
        object = object.raw("lost_output", lost);
    }
    object.rounded("elapsed_s", Some(totals.elapsed.as_secs_f64()), 6)
}

/// What a listening node did in all.
pub(crate) fn totals_text(stats: &Stats, totals: &Totals) -> String {
    let mut line = totals_words(stats);
    if let Some(Recorded { recorded, lost }) = totals.recorded {
        let _ = write!(line, "; {recorded} recorded");
        if lost > 0 {
            let _ = write!(line, ", {lost} lost");
        }
    }
    if let Some(relay) = &totals.relay {
        let dropped = relay.rejects.total();
        let _ =
            write!(line, "; {} passed on, {} answers passed back, {dropped} dropped", relay.forwarded, relay.answered);
    }
    if let Some(lost @ 1..) = totals.lost_output {
        let _ = write!(line, "; {lost} lines not shown");
    }
    let _ = write!(line, "; {:.1} s", totals.elapsed.as_secs_f64());
    line
}

fn totals_words(stats: &Stats) -> String {
    let [received, accepted] = pings(stats);
    let mut line = format!("{received} received: {accepted} accepted, {} made to wait, ", stats.waiting);
    let rejected = stats.rejected.total();
    let _ = write!(line, "{rejected} turned away");
    if rejected > 0 {
        let _ = write!(line, " ({})", reasons_text(stats.rejected.iter()));
    }
    line
}

/// `3 rood, 1 replay`
pub(crate) fn reasons_text(counts: impl Iterator<Item = (Reject, u64)>) -> String {
    let reasons: Vec<String> = counts.map(|(why, n)| format!("{n} {why}")).collect();
    reasons.join(", ")
}

/// What the tables of a node hold, and what went through it.
pub(crate) fn counters(stats: &Stats) -> String {
    let mut line = totals_words(stats);
    let Tables { peers, waiting, requests, nonces, .. } = stats.tables;
    let _ = write!(line, "; {} requests, {} answers, {} timeouts", stats.requests, stats.responses, stats.timeouts);
    let _ = write!(line, "; now {peers} peers, {waiting} waiting, {requests} requests open, {nonces} nonces");
    line
}

/// What the driver did.
pub(crate) fn driver(stats: &DriverStats) -> String {
    let DriverStats { wakes, batches, received, sent, discarded, recv_errors, .. } = stats;
    format!(
        "{received} datagrams in {batches} batches received, {sent} sent, {discarded} not sent, {recv_errors} receive \
         errors, {wakes} wakes"
    )
}
