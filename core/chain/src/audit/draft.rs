//! The members of the token for a happening, as the reference's bridge fills them in.

use alloc::string::String;
use core::fmt::{self, Write as _};
use core::net::SocketAddr;

use super::short::{Shortened, Whole, gauge, shorten};
use super::{Happening, Judgement, MAX_PAYLOAD};
use crate::token::{GAP, Token};
use sluis_core::data::{Full, Number, Separators, Sink, Style, Text, Value, hex, put_inside};
use sluis_core::framing::{Decision, Packet, PingType};
use sluis_core::identity::PublicKey;
use sluis_core::time::{Duration, Wall, iso};

/// Memory of drafts, used again for each.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    action: String,
    actor: String,
    pub(super) erin: Json,
    pub(super) eraan: Json,
    pub(super) eromheen: Json,
    erachter: String,
    /// What actor and reason were before they were shortened.
    shortened: Shortened,
}

/// JSON text in the making: an object or an array of which everything is known.
#[derive(Debug, Default)]
pub(super) struct Json {
    text: String,
    /// The member of the token that it is.
    name: &'static str,
    shortened: Shortened,
    /// Memory for the beginning of a long text.
    kept: String,
}

/// How values of somebody else's are written.
const STYLE: Style = Style { separators: Separators::Spaced, ..Style::WIRE };

/// What is written is ASCII, piece by piece.
impl Sink for Json {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.text.push_str(core::str::from_utf8(bytes).map_err(|_| Full)?);
        Ok(())
    }
}

impl Json {
    fn begin(&mut self, name: &'static str, open: &str) {
        self.name = name;
        self.shortened.clear();
        self.text.clear();
        self.text.push_str(open);
    }

    fn next(&mut self) {
        if self.text.len() > 1 {
            self.text.push_str(", ");
        }
    }

    fn key(&mut self, key: &str) {
        self.next();
        let _ = write!(self.text, "\"{key}\": ");
    }

    // A string is never full, so nothing below is ever cut off.

    /// A text, or its beginning; `key` names it in the latter case.
    fn text(&mut self, key: fmt::Arguments<'_>, text: Text<'_>) {
        let mut kept = core::mem::take(&mut self.kept);
        let whole = shorten(text, &mut kept);
        self.text.push('"');
        let _ = put_inside(if whole.is_some() { Text::new(&kept) } else { text }, self);
        self.text.push('"');
        if let Some(whole) = whole {
            self.shortened.add(format_args!("{}.{key}", self.name), whole);
        }
        self.kept = kept;
    }

    pub(super) fn member(&mut self, key: &str, text: Text<'_>) {
        self.key(key);
        self.text(format_args!("{key}"), text);
    }

    pub(super) fn optional(&mut self, key: &str, text: Option<Text<'_>>) {
        if let Some(text) = text {
            self.member(key, text);
        }
    }

    pub(super) fn number(&mut self, key: &str, number: Number<'_>) {
        self.key(key);
        let _ = match number {
            Number::Float(x) if !x.is_finite() => self.put(b"null"),
            number => number.write(self),
        };
    }

    pub(super) fn word(&mut self, key: &str, word: bool) {
        self.key(key);
        self.text.push_str(if word { "true" } else { "false" });
    }

    pub(super) fn place(&mut self, host: &str, port: &str, at: Option<SocketAddr>) {
        if let Some(at) = at {
            self.key(host);
            let _ = write!(self.text, "\"{}\"", at.ip());
            self.number(port, Number::Int(at.port().into()));
        }
    }

    /// A value of somebody else's; whether it could be put. One that cannot be put as what it is, or is too long, is known by its
    /// length and hash; of the former the JSON text as it came is put as a text.
    fn value(&mut self, key: &str, value: Value<'_>) -> bool {
        let before = self.text.len();
        self.key(key);
        let from = self.text.len();
        let put = value.is_finite() && value.is_exact() && value.write_json(self, STYLE).is_ok();
        let fits = self.text.len() - from <= MAX_PAYLOAD;
        if put && fits {
            return true;
        }
        self.text.truncate(before);
        let whole = if put { gauge(value, STYLE) } else { Some(Whole::of(value.as_bytes())) };
        if let Some(whole) = whole {
            self.shortened.add(format_args!("{}.{key}", self.name), whole);
        }
        if let (false, Some(json)) = (put, value.json_text()) {
            self.next();
            let _ = write!(self.text, "\"{key}_text\": ");
            self.text(format_args!("{key}_text"), Text::new(json));
        }
        false
    }

    pub(super) fn refs(&mut self, refs: &[Text<'_>]) {
        self.begin("eraan", "[");
        for (i, text) in refs.iter().enumerate() {
            self.next();
            self.text(format_args!("{i}"), *text);
        }
        self.text.push(']');
    }

    pub(super) fn texts<'t>(&mut self, key: &str, texts: impl Iterator<Item = Text<'t>>) {
        self.key(key);
        self.text.push('[');
        for (i, text) in texts.enumerate() {
            if i > 0 {
                self.text.push_str(", ");
            }
            self.text(format_args!("{key}.{i}"), text);
        }
        self.text.push(']');
    }

    pub(super) fn hex(&mut self, key: &str, bytes: &[u8]) {
        self.key(key);
        self.text.push('"');
        let _ = hex::write(self, bytes);
        self.text.push('"');
    }

    pub(super) fn fingerprint(&mut self, key: PublicKey) {
        self.key("fingerprint");
        let _ = write!(self.text, "\"{}\"", key.fingerprint());
    }

    fn as_value(&self) -> Value<'_> {
        Value::from_json(&self.text).unwrap_or_default()
    }
}

fn set(to: &mut String, text: fmt::Arguments<'_>) {
    to.clear();
    let _ = to.write_fmt(text);
}

impl Scratch {
    pub(super) fn draft(&mut self, happening: &Happening<'_>) -> Token<'_> {
        self.actor.clear();
        self.shortened.clear();
        self.erin.begin("erin", "{");
        self.eraan.begin("eraan", "[");
        self.eromheen.begin("eromheen", "{");
        match happening {
            Happening::Ping { packet, judgement, at } => self.ping(packet, judgement.as_ref(), *at),
            Happening::Response { packet_id, responder, judgement, rtt, at } => {
                self.response(*packet_id, *responder, judgement, *rtt, *at);
            }
            Happening::Heartbeat { source, at, status } => self.heartbeat(*source, *at, *status),
            Happening::Discovery { did, at, decision } => self.discovery(*did, *at, decision),
            Happening::Lost { did } => self.lost(*did),
            Happening::Relay { source, target, hop_count, to } => self.relay(*source, *target, *hop_count, *to),
            Happening::Trust { did, old, new, reason, zones } => self.trust(*did, (*old, *new), *reason, *zones),
            Happening::Gap { count, from, until } => self.gap(*count, *from, *until),
            Happening::Decided { packet_id, source, decision } => self.decided(*packet_id, *source, *decision),
            Happening::Overlay(action) => self.overlay(action),
            Happening::Statement(statement) => self.statement(statement),
        }
        self.shorten();
        self.erin.text.push('}');
        self.eromheen.text.push('}');
        Token {
            action: Text::new(&self.action),
            actor: Text::new(&self.actor),
            erin: self.erin.as_value(),
            eraan: self.eraan.as_value(),
            eromheen: self.eromheen.as_value(),
            erachter: Text::new(&self.erachter),
            ..Token::default()
        }
    }

    pub(super) fn begin(&mut self, action: &str, why: fmt::Arguments<'_>) {
        set(&mut self.action, format_args!("{action}"));
        set(&mut self.erachter, why);
    }

    /// Somebody else than the node did it.
    pub(super) fn by(&mut self, actor: Text<'_>) {
        set(&mut self.actor, format_args!("{actor}"));
    }

    /// Say in `eromheen` what was shortened, and what it was.
    fn shorten(&mut self) {
        for (name, text) in [("actor", &mut self.actor), ("erachter", &mut self.erachter)] {
            let mut kept = core::mem::take(&mut self.erin.kept);
            if let Some(whole) = shorten(Text::new(text), &mut kept) {
                self.shortened.add(format_args!("{name}"), whole);
                text.clone_from(&kept);
            }
            self.erin.kept = kept;
        }
        let Self { erin, eraan, eromheen, shortened, .. } = self;
        let (text, own) = (&mut eromheen.text, &eromheen.shortened);
        let mut open = false;
        for members in [shortened, &erin.shortened, &eraan.shortened, own].into_iter().filter_map(|of| of.members()) {
            let before = match (open, text.len()) {
                (true, _) => ", ",
                (false, 1) => "\"shortened\": {",
                (false, _) => ", \"shortened\": {",
            };
            open = true;
            text.push_str(before);
            text.push_str(members);
        }
        if open {
            text.push('}');
        }
    }

    fn judgement(&mut self, judgement: &Judgement<'_>) {
        let eromheen = &mut self.eromheen;
        eromheen.member("decision", judgement.decision);
        eromheen.number("trust_score", judgement.trust_score);
        eromheen.member("zone", judgement.zone);
        eromheen.optional("rule", judgement.rule);
    }

    fn ping(&mut self, packet: &Packet<'_>, judgement: Option<&Judgement<'_>>, at: Option<SocketAddr>) {
        let (source, target) = (packet.source_did, packet.target_did);
        set(&mut self.action, format_args!("ping.{}", packet.ping_type));
        set(&mut self.actor, format_args!("{source}"));
        self.erin.member("intent", packet.intent);
        self.erin.member("purpose", packet.purpose);
        let whole = self.erin.value("payload", packet.payload);
        self.eraan.refs(&[source, target]);
        self.eromheen.member("routing_mode", Text::new(packet.routing_mode.as_str()));
        self.eromheen.number("hop_count", Number::Int(packet.hop_count));
        self.eromheen.optional("pod_id", packet.pod_id.filter(|pod| !pod.is_empty()));
        if let Some(judgement) = judgement {
            self.judgement(judgement);
        }
        if at.is_some() {
            self.eromheen.member("packet_id", packet.packet_id);
        }
        self.eromheen.place("host", "port", at);
        if !whole {
            self.eromheen.word("payload_left_out", true);
        }
        if packet.purpose.is_empty() {
            set(&mut self.erachter, format_args!("Ping from {source} to {target}"));
        } else {
            set(&mut self.erachter, format_args!("{}", packet.purpose));
        }
    }

    fn response(
        &mut self,
        packet_id: Text<'_>,
        responder: Text<'_>,
        judgement: &Judgement<'_>,
        rtt: Duration,
        at: Option<SocketAddr>,
    ) {
        set(&mut self.action, format_args!("response"));
        set(&mut self.actor, format_args!("{responder}"));
        self.erin.member("packet_id", packet_id);
        self.erin.member("decision", judgement.decision);
        self.eraan.refs(&[responder, packet_id]);
        self.judgement(judgement);
        self.eromheen.number("rtt_ms", Number::Float(rtt.as_secs_f64() * 1000.0));
        self.eromheen.place("host", "port", at);
        set(&mut self.erachter, format_args!("Response from {responder}: {}", judgement.decision));
    }

    fn heartbeat(&mut self, source: Text<'_>, at: Option<SocketAddr>, status: Option<Text<'_>>) {
        set(&mut self.action, format_args!("{}", PingType::Heartbeat));
        set(&mut self.actor, format_args!("{source}"));
        self.erin.member("source", source);
        self.erin.optional("status", status.filter(|status| !status.is_empty()));
        self.eraan.refs(&[source]);
        self.eromheen.place("host", "port", at);
        set(&mut self.erachter, format_args!("Heartbeat from {source}"));
    }

    fn discovery(&mut self, did: Text<'_>, at: Option<SocketAddr>, decision: &str) {
        set(&mut self.action, format_args!("discovery"));
        self.erin.member("discovered_did", did);
        self.erin.member("decision", Text::new(decision));
        self.eraan.refs(&[did]);
        self.eromheen.place("host", "port", at);
        match at {
            // As the reference: no brackets around an address of IPv6.
            Some(at) => set(
                &mut self.erachter,
                format_args!("Discovered {did} at {}:{} \u{2014} {decision}", at.ip(), at.port()),
            ),
            None => set(&mut self.erachter, format_args!("Discovered {did} \u{2014} {decision}")),
        }
    }

    fn lost(&mut self, did: Text<'_>) {
        set(&mut self.action, format_args!("peer_lost"));
        self.erin.member("did", did);
        self.eraan.refs(&[did]);
        set(&mut self.erachter, format_args!("{did} is silent and forgotten"));
    }

    fn relay(&mut self, source: Text<'_>, target: Text<'_>, hop_count: i64, to: Option<SocketAddr>) {
        set(&mut self.action, format_args!("{}", PingType::Relay));
        self.erin.member("source_did", source);
        self.erin.member("target_did", target);
        self.erin.number("hop_count", Number::Int(hop_count));
        self.eraan.refs(&[source, target]);
        self.eromheen.number("hop_count", Number::Int(hop_count));
        self.eromheen.place("forwarded_host", "forwarded_port", to);
        set(&mut self.erachter, format_args!("Relaying packet from {source} to {target} (hop {hop_count})"));
    }

    fn trust(&mut self, did: Text<'_>, (old, new): (f64, f64), reason: Text<'_>, (groen, rood): (f64, f64)) {
        let zone = |trust: f64| match trust {
            _ if trust >= groen => "GROEN",
            _ if trust >= rood => "GEEL",
            _ => "ROOD",
        };
        let (from, to) = (zone(old), zone(new));
        set(&mut self.action, format_args!("trust_change"));
        self.erin.member("did", did);
        self.erin.number("old_trust", Number::Float(old));
        self.erin.number("new_trust", Number::Float(new));
        self.erin.member("old_zone", Text::new(from));
        self.erin.member("new_zone", Text::new(to));
        self.eraan.refs(&[did]);
        self.eromheen.word("zone_changed", from != to);
        if reason.is_empty() {
            set(&mut self.erachter, format_args!("Trust change for {did}: {old:.2} -> {new:.2}"));
        } else {
            set(&mut self.erachter, format_args!("{reason}"));
        }
        if from != to {
            let _ = write!(self.erachter, " (zone: {from} -> {to})");
        }
    }

    fn gap(&mut self, count: u64, from: Wall, until: Wall) {
        let mut room = [0; iso::FORMAT_LEN];
        set(&mut self.action, format_args!("{GAP}"));
        self.erin.number("count", Number::from(count));
        self.erin.member("from", Text::new(iso::format(from, &mut room)));
        self.erin.member("until", Text::new(iso::format(until, &mut room)));
        self.eraan.refs(&[]);
        let events = if count == 1 { "event is" } else { "events are" };
        set(&mut self.erachter, format_args!("{count} {events} not recorded"));
    }

    fn decided(&mut self, packet_id: Text<'_>, source: Text<'_>, decision: Option<Decision>) {
        let (word, what) = match decision {
            Some(Decision::Accept) => ("accept", "was let in"),
            Some(Decision::Reject) => ("reject", "was refused"),
            Some(Decision::Pending) => ("pending", "still waits"),
            None => ("expired", "waited too long for a decision"),
        };
        set(&mut self.action, format_args!("decision"));
        self.erin.member("packet_id", packet_id);
        self.erin.member("source_did", source);
        self.erin.member("decision", Text::new(word));
        self.eraan.refs(&[source, packet_id]);
        set(&mut self.erachter, format_args!("Ping {packet_id} of {source} {what}"));
    }
}
