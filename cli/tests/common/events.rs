//! The JSON lines that `sluis` promises: exactly these members, each of its kind, and nothing else on standard output.

use super::json::Json;

/// What a member may hold.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    TextOrNull,
    Did,
    Address,
    /// RFC 3339.
    Time,
    Count,
    CountOrNull,
    Bool,
    Number,
    Any,
    Zone,
    Decision,
    /// One of the names of `Reject`.
    Reason,
    /// Reasons and how often each was counted, none of them 0.
    Reasons,
    /// The five figures of the round-trip times, rising; all null when nothing came back.
    Figures,
}

type Shape = &'static [(&'static str, Kind)];

/// Members that are not in every object of a shape: the time is missing from those that are made up in tests, the losses of
/// output from the summary of the demo, which waits for its reader, and only a pin that nobody asked for says where it comes from.
const OPTIONAL: Shape = &[
    ("t", Kind::Time),
    ("lost_output", Kind::Count),
    ("record", Kind::Any),
    ("origin", Kind::Text),
    ("elsewhere", Kind::Address),
    // Of a join token that was just made.
    ("token", Kind::Text),
    // Of a node with --metrics.
    ("metrics", Kind::Address),
    // Of who relays.
    ("forwarded", Kind::Any),
    ("relays", Kind::Text),
];

/// Which command speaks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Speaker {
    Listen,
    Ping,
}

const LISTENING: Shape = &[("did", Kind::Did), ("addr", Kind::Address), ("fingerprint", Kind::TextOrNull)];
const PING: Shape = &[
    ("wait", Kind::CountOrNull),
    ("source_did", Kind::Did),
    ("target_did", Kind::Text),
    ("packet_id", Kind::Text),
    ("intent", Kind::Text),
    ("purpose", Kind::Text),
    ("payload", Kind::Any),
    ("zone", Kind::Zone),
    ("decision", Kind::Decision),
    ("trust_score", Kind::Number),
    ("rule", Kind::TextOrNull),
    ("from", Kind::Address),
    ("auth", Kind::Text),
    ("fingerprint", Kind::TextOrNull),
];
const DECIDED: Shape = &[
    ("wait", Kind::Count),
    ("packet_id", Kind::Text),
    ("source_did", Kind::Did),
    ("intent", Kind::Text),
    ("decision", Kind::Decision),
    ("waited_s", Kind::Number),
    ("answered", Kind::Bool),
];
const WAITING: Shape = &[
    ("wait", Kind::Count),
    ("packet_id", Kind::Text),
    ("source_did", Kind::Did),
    ("intent", Kind::Text),
    ("from", Kind::Address),
    ("auth", Kind::Text),
    ("fingerprint", Kind::TextOrNull),
    ("age_s", Kind::Number),
];
const PIN: Shape = &[("source_did", Kind::Did), ("fingerprint", Kind::Text), ("change", Kind::CountOrNull)];
const PING_PIN: Shape = &[("source_did", Kind::Did), ("fingerprint", Kind::Text)];
const TRUST: Shape = &[("source_did", Kind::Did), ("trust_score", Kind::Number), ("change", Kind::CountOrNull)];
const UNPIN: Shape = &[("source_did", Kind::Did), ("change", Kind::CountOrNull)];
const RETIRED: Shape = &[("fingerprint", Kind::Text), ("successor", Kind::TextOrNull), ("change", Kind::CountOrNull)];
const KEPT: Shape = &[("change", Kind::Count), ("ok", Kind::Bool), ("reason", Kind::TextOrNull)];
const SESSION: Shape = &[
    ("did", Kind::Did),
    ("fingerprint", Kind::TextOrNull),
    ("from", Kind::Address),
    ("state", Kind::Text),
    ("suite", Kind::Count),
    ("reason", Kind::TextOrNull),
];
const RESERVATION: Shape = &[("relay", Kind::Did), ("addr", Kind::Address), ("lasts_s", Kind::CountOrNull)];
const PATH: Shape =
    &[("did", Kind::Did), ("packet_id", Kind::TextOrNull), ("via", Kind::Text), ("hops", Kind::CountOrNull)];
const TAMPERED: Shape = &[
    ("relay", Kind::TextOrNull),
    ("between", Kind::Any),
    ("field", Kind::Text),
    ("did", Kind::Did),
    ("packet_id", Kind::Text),
];
const REGISTERED: Shape =
    &[("did", Kind::Did), ("endpoint", Kind::TextOrNull), ("seq", Kind::Count), ("expires", Kind::Count)];
const MOVED: Shape = &[("did", Kind::Did), ("from", Kind::TextOrNull), ("to", Kind::TextOrNull)];
const JOINED: Shape =
    &[("did", Kind::Did), ("token", Kind::Text), ("fingerprint", Kind::Text), ("trust_score", Kind::Number)];
const VERIFIED: Shape = &[
    ("did", Kind::Did),
    ("verified", Kind::Bool),
    ("trust_score", Kind::Any),
    ("fingerprint", Kind::TextOrNull),
    ("rtt_ms", Kind::Any),
    ("addr", Kind::TextOrNull),
];
const VOUCHED: Shape =
    &[("id", Kind::Text), ("voucher_did", Kind::Did), ("expires", Kind::Count), ("vouched", Kind::Count)];
const VOUCH_REVOKED: Shape = &[("id", Kind::Text)];
const TOKEN: Shape = &[
    ("id", Kind::Text),
    ("uses", Kind::Count),
    ("used", Kind::Count),
    ("expires", Kind::Count),
    ("trust_score", Kind::Number),
];
const TOKEN_REVOKED: Shape = &[("id", Kind::Text)];
const VOUCH: Shape = &[("id", Kind::Text), ("change", Kind::CountOrNull)];
const FOUND: Shape = &[
    ("did", Kind::Did),
    ("addr", Kind::Address),
    ("capabilities", Kind::Any),
    ("device_type", Kind::Text),
    ("fingerprint", Kind::TextOrNull),
    ("zone", Kind::Zone),
    ("rtt_ms", Kind::Any),
];
const GONE: Shape = &[("did", Kind::Did), ("addr", Kind::Address)];
const BEACON: Shape = &[
    ("wait", Kind::CountOrNull),
    ("did", Kind::Did),
    ("fingerprint", Kind::TextOrNull),
    ("device_type", Kind::Text),
    ("capabilities", Kind::Any),
    ("from", Kind::Address),
    ("decision", Kind::Text),
    ("rule", Kind::TextOrNull),
    ("pod", Kind::TextOrNull),
];
const LIST: Shape = &[("waiting", Kind::Count)];
const HELP: Shape = &[("command", Kind::Text), ("does", Kind::Text)];
const RELOADED: Shape =
    &[("trust", Kind::Count), ("legacy", Kind::Count), ("rules", Kind::Count), ("replies", Kind::Count)];
const LOST_OUTPUT: Shape = &[("count", Kind::Count)];
const REJECTED: Shape = &[("reason", Kind::Reason), ("count", Kind::Count)];
const LISTEN_SUMMARY: Shape = &[
    ("received", Kind::Count),
    ("accepted", Kind::Count),
    ("pending", Kind::Count),
    ("rejected", Kind::Reasons),
    ("elapsed_s", Kind::Number),
];
const RESPONSE: Shape = &[
    ("packet_id", Kind::Text),
    ("seq", Kind::Count),
    ("decision", Kind::Decision),
    ("zone", Kind::Zone),
    ("trust_score", Kind::Number),
    ("payload", Kind::Any),
    ("rtt_ms", Kind::Number),
    ("responder_did", Kind::Did),
    ("from", Kind::Address),
    ("auth", Kind::Text),
    ("fingerprint", Kind::TextOrNull),
];
const UNSENT: Shape = &[("seq", Kind::Count), ("reason", Kind::Text)];
const HINT: Shape = &[("reason", Kind::Text), ("addr", Kind::Address)];
const TIMEOUT: Shape = &[("seq", Kind::Count)];
const PING_SUMMARY: Shape = &[
    ("sent", Kind::Count),
    ("received", Kind::Count),
    ("lost", Kind::Count),
    ("accept", Kind::Count),
    ("pending", Kind::Count),
    ("reject", Kind::Count),
    ("elapsed_s", Kind::Number),
    ("per_second", Kind::Number),
    ("rtt_ms", Kind::Figures),
];

const REASONS: &[&str] = &[
    "header",
    "malformed",
    "too_long",
    "bad_signature",
    "unpinned",
    "revoked",
    "not_for_us",
    "own_name",
    "rood",
    "heartbeat_not_accepted",
    "bad_timestamp",
    "stale",
    "future",
    "replay",
    "duplicate",
    "amplification",
    "busy",
    "unrequested",
    "wrong_responder",
    "handshake",
    "cookie",
    "sealed",
    "clone",
    "keyless",
];

impl Speaker {
    fn shape(self, event: &str) -> Option<Shape> {
        Some(match (self, event) {
            (Self::Listen, "listening") => LISTENING,
            (Self::Listen, "ping") => PING,
            (Self::Listen, "decided") => DECIDED,
            (Self::Listen, "rejected") => REJECTED,
            (Self::Listen, "summary") => LISTEN_SUMMARY,
            (Self::Listen, "waiting") => WAITING,
            (_, "session") => SESSION,
            (Self::Listen, "reservation") => RESERVATION,
            (_, "path") => PATH,
            (_, "tampered") => TAMPERED,
            (Self::Listen, "pin") => PIN,
            (Self::Listen, "unpin") => UNPIN,
            (Self::Listen, "trust") => TRUST,
            (Self::Ping, "pin") => PING_PIN,
            (Self::Listen, "retired") => RETIRED,
            (Self::Listen, "kept") => KEPT,
            (Self::Listen, "registered") => REGISTERED,
            (Self::Listen, "moved") => MOVED,
            (Self::Listen, "joined") => JOINED,
            (Self::Listen, "verified") => VERIFIED,
            (Self::Listen, "vouched") => VOUCHED,
            (Self::Listen, "vouch_revoked") => VOUCH_REVOKED,
            (Self::Listen, "vouch" | "revoke") => VOUCH,
            (Self::Listen, "token") => TOKEN,
            (Self::Listen, "token_revoked") => TOKEN_REVOKED,
            (Self::Listen, "found") => FOUND,
            (Self::Listen, "gone") => GONE,
            (Self::Listen, "beacon") => BEACON,
            (Self::Listen, "list") => LIST,
            (Self::Listen, "help") => HELP,
            (Self::Listen, "reloaded") => RELOADED,
            (_, "lost_output") => LOST_OUTPUT,
            (Self::Ping, "response") => RESPONSE,
            (Self::Ping, "timeout") => TIMEOUT,
            (Self::Ping, "unsent") => UNSENT,
            (Self::Ping, "hint") => HINT,
            (Self::Ping, "summary") => PING_SUMMARY,
            _ => return None,
        })
    }

    /// Parse one line of standard output; panics when it is not exactly one of this command's events.
    pub(crate) fn read(self, line: &str) -> Json {
        let event = Json::parse(line);
        if let Err(why) = self.check(&event) {
            panic!("not an event of {self:?}: {why}: {line}");
        }
        event
    }

    fn check(self, event: &Json) -> Result<(), String> {
        let Json::Object(members) = event else { return Err("not an object".to_owned()) };
        let Some(Json::Text(name)) = event.find("event") else { return Err("no `event`".to_owned()) };
        let shape = self.shape(name).ok_or_else(|| format!("no event {name:?} is promised"))?;
        for (key, kind) in shape {
            let value = event.find(key).ok_or_else(|| format!("`{key}` is missing"))?;
            kind.check(value).map_err(|why| format!("`{key}`: {why}"))?;
        }
        for (key, kind) in OPTIONAL {
            if let Some(value) = event.find(key) {
                kind.check(value).map_err(|why| format!("`{key}`: {why}"))?;
            }
        }
        let extra =
            members.iter().map(|(key, _)| key.as_str()).filter(|key| OPTIONAL.iter().all(|(known, _)| known != key));
        match extra.filter(|key| *key != "event").find(|key| shape.iter().all(|(known, _)| known != key)) {
            Some(key) => Err(format!("`{key}` is not promised")),
            None => Ok(()),
        }
    }
}

impl Kind {
    fn check(self, value: &Json) -> Result<(), String> {
        let fine = match (self, value) {
            (Self::Any | Self::TextOrNull, Json::Null)
            | (Self::Any, _)
            | (Self::Text | Self::TextOrNull, Json::Text(_)) => true,
            (Self::Did, Json::Text(text)) => text.starts_with("jis:") && text.len() <= 256,
            (Self::Address, Json::Text(text)) => {
                text.parse::<std::net::SocketAddr>().is_ok_and(|addr| addr.port() != 0)
            }
            (Self::Time, Json::Text(text)) => {
                text.as_bytes().get(10) == Some(&b'T')
                    && sluis_core::time::iso::parse_zoned(text).is_some_and(|(_, zoned)| zoned)
            }
            (Self::Zone, Json::Text(text)) => matches!(text.as_str(), "GROEN" | "GEEL" | "ROOD"),
            (Self::Decision, Json::Text(text)) => matches!(text.as_str(), "accept" | "pending" | "reject"),
            (Self::Reason, Json::Text(text)) => REASONS.contains(&text.as_str()),
            (Self::CountOrNull, Json::Null) | (Self::Bool, Json::Bool(_)) => true,
            (Self::Count | Self::CountOrNull, Json::Int(digits)) => digits.parse::<u64>().is_ok(),
            (Self::Number, value) => value.as_number().is_some_and(|n| n >= 0.0 && n.is_finite()),
            (Self::Reasons, Json::Object(reasons)) => reasons.iter().all(|(name, n)| {
                REASONS.contains(&name.as_str()) && matches!(n, Json::Int(d) if d.parse::<u64>().is_ok_and(|n| n > 0))
            }),
            (Self::Figures, figures) => return rising(figures),
            _ => false,
        };
        if fine { Ok(()) } else { Err(format!("{value:?} is not of kind {self:?}")) }
    }
}

fn rising(figures: &Json) -> Result<(), String> {
    let Json::Object(members) = figures else { return Err(format!("{figures:?} is no object")) };
    let keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
    if keys != ["min", "p50", "p90", "p99", "max"] {
        return Err(format!("figures {keys:?}"));
    }
    if members.iter().all(|(_, value)| *value == Json::Null) {
        return Ok(());
    }
    let numbers: Option<Vec<f64>> = members.iter().map(|(_, value)| value.as_number()).collect();
    match numbers {
        Some(numbers) if numbers.is_sorted() && numbers[0] >= 0.0 => Ok(()),
        _ => Err(format!("{figures:?} do not rise")),
    }
}

#[test]
fn exactly_the_promised_members_pass() {
    let good = r#"{"event":"decided","wait":1,"source_did":"jis:a","intent":"i","waited_s":1.5,"answered":true,"packet_id":"ping_1","decision":"accept"}"#;
    Speaker::Listen.read(good);
    for (bad, why) in [
        (
            r#"{"event":"decided","wait":1,"source_did":"jis:a","intent":"i","waited_s":1.5,"answered":true,"packet_id":"ping_1"}"#,
            "`decision` is missing",
        ),
        (
            r#"{"event":"decided","wait":1,"source_did":"jis:a","intent":"i","waited_s":1.5,"answered":true,"packet_id":"ping_1","decision":"accept","x":1}"#,
            "`x` is not promised",
        ),
        (
            r#"{"event":"decided","wait":1,"source_did":"jis:a","intent":"i","waited_s":1.5,"answered":true,"packet_id":1,"decision":"accept"}"#,
            "`packet_id`: 1 is not of kind Text",
        ),
        (
            r#"{"event":"decided","wait":1,"source_did":"jis:a","intent":"i","waited_s":1.5,"answered":true,"packet_id":"p","decision":"GROEN"}"#,
            "`decision`: \"GROEN\" is not of kind Decision",
        ),
        (r#"{"event":"rejected","reason":"rude","count":1}"#, "`reason`: \"rude\" is not of kind Reason"),
        (r#"{"event":"rejected","reason":"rood","count":1.0}"#, "`count`: 1.0 is not of kind Count"),
        (r#"{"event":"listening","did":"hub","addr":"127.0.0.1:1"}"#, "`did`: \"hub\" is not of kind Did"),
        (
            r#"{"event":"listening","did":"jis:hub","addr":"127.0.0.1:0"}"#,
            "`addr`: \"127.0.0.1:0\" is not of kind Address",
        ),
        (r#"{"event":"timeout","seq":1}"#, "no event \"timeout\" is promised"),
        ("[]", "not an object"),
    ] {
        assert_eq!(Speaker::Listen.check(&Json::parse(bad)).unwrap_err(), why, "{bad}");
    }
    let figures = |text| rising(&Json::parse(text)).is_ok();
    assert!(figures(r#"{"min":1,"p50":1.5,"p90":2,"p99":2,"max":3}"#));
    assert!(figures(r#"{"min":null,"p50":null,"p90":null,"p99":null,"max":null}"#));
    assert!(!figures(r#"{"min":1,"p50":0.5,"p90":2,"p99":2,"max":3}"#));
    assert!(!figures(r#"{"min":1,"p50":null,"p90":2,"p99":2,"max":3}"#));
    assert!(!figures(r#"{"min":1,"p50":1,"p90":2,"max":3}"#));
}

#[test]
fn json_is_compared_exactly() {
    for (a, b) in [("1", "1.0"), ("0.0", "-0.0"), ("18446744073709551616", "18446744073709551617"), ("[]", "{}")] {
        assert_ne!(Json::parse(a), Json::parse(b));
    }
    for (a, b) in [
        ("1e-7", "1e-07"),
        ("1e16", "1E+16"),
        (r#""\u00e9\ud83d\ude00""#, "\"é😀\""),
        ("{ \"a\" : [ 1 ] }", "{\"a\":[1]}"),
    ] {
        assert_eq!(Json::parse(a), Json::parse(b));
    }
}
