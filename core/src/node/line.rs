//! Writing one line of a recording: see [`record`](crate::record).

use alloc::string::String;
use core::fmt::{self, Write};

use super::event::{Event, OpenId, WaitId};
use super::ping::AnswerError;
use super::{Ping, version_one};
use crate::airlock::{Expiry, Pod, Rule, Vouch};
use crate::framing::{Encoding, PingType, Value};
use crate::time::{Duration, Now, Wall};
use crate::{Path, SocketId};

/// The version of the format that is written: see [`record`](crate::record).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// Events are written as the types of that time printed themselves.
    One,
    /// Events are written member by member, and bear the numbers of waiting pings.
    #[default]
    Two,
}

#[cfg(feature = "record")]
impl Version {
    /// As the first line of a recording says it.
    pub(crate) const fn number(self) -> u64 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// The version of this number.
    pub(crate) const fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        }
    }
}

/// A JSON object that is written member by member.
#[derive(Debug, Default)]
pub(crate) struct Line {
    text: String,
    version: Version,
}

impl Line {
    /// An empty object.
    #[cfg(feature = "record")]
    pub(crate) fn new(version: Version) -> Self {
        Self { text: String::from("{"), version }
    }

    /// The finished object.
    #[cfg(feature = "record")]
    pub(crate) fn finish(mut self) -> String {
        self.text.push('}');
        self.text
    }

    fn key(&mut self, key: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
    }

    /// JSON as it is.
    pub(crate) fn raw(&mut self, key: &str, json: fmt::Arguments<'_>) -> &mut Self {
        self.key(key);
        // Writing to a `String` cannot fail.
        let _ = self.text.write_fmt(json);
        self
    }

    /// A whole number.
    pub(crate) fn number(&mut self, key: &str, number: u64) -> &mut Self {
        self.raw(key, format_args!("{number}"))
    }

    /// Any number, as text: JSON has no form for some.
    pub(crate) fn float(&mut self, key: &str, number: f64) -> &mut Self {
        self.raw(key, format_args!("\"{number:?}\""))
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &str, text: &str) -> &mut Self {
        self.show(key, &text)
    }

    /// A text, or `null`.
    pub(crate) fn maybe(&mut self, key: &str, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.text(key, text),
            None => self.raw(key, format_args!("null")),
        }
    }

    /// Anything that prints, as a text.
    pub(crate) fn show(&mut self, key: &str, shown: &dyn fmt::Display) -> &mut Self {
        self.key(key);
        self.text.push('"');
        let _ = write!(Escaped(&mut self.text), "{shown}");
        self.text.push('"');
        self
    }

    /// Both clocks: nanoseconds of the one, microseconds of the other.
    pub(crate) fn at(&mut self, now: Now) -> &mut Self {
        self.raw("at", format_args!("[{},{}]", now.mono.as_nanos(), now.wall.as_micros()))
    }

    /// Where a datagram comes from or goes to.
    pub(crate) fn path(&mut self, path: Path) -> &mut Self {
        self.raw("remote", format_args!("\"{}\"", path.remote));
        match path.local {
            Some(local) => self.raw("local", format_args!("\"{local}\"")),
            None => self.raw("local", format_args!("null")),
        };
        // Left out for the main socket, as before there were others.
        if path.socket != SocketId::MAIN {
            self.number("socket", path.socket.number().into());
        }
        self
    }

    /// Bytes in hexadecimal digits.
    pub(crate) fn hex(&mut self, key: &str, bytes: &[u8]) -> &mut Self {
        self.key(key);
        self.text.push('"');
        for byte in bytes {
            let _ = write!(self.text, "{byte:02x}");
        }
        self.text.push('"');
        self
    }

    /// A payload as JSON; `null` if it has no such form (byte strings of msgpack), which cannot be replayed.
    pub(crate) fn value(&mut self, key: &str, value: Value<'_>) -> &mut Self {
        self.maybe(key, value.to_json_string().ok().as_deref())
    }

    /// A ping that waits for a decision.
    pub(crate) fn waiting(&mut self, id: WaitId) -> &mut Self {
        self.show("id", &format_args!("Waiting {}", id.slot.to_bits()))
    }

    /// A ping that waits for an answer.
    pub(crate) fn open(&mut self, id: OpenId) -> &mut Self {
        self.show("id", &format_args!("Open {}", id.0.to_bits()))
    }

    /// What came of an approval.
    pub(crate) fn approval(&mut self, out: Result<Option<OpenId>, AnswerError>) -> &mut Self {
        match self.version {
            Version::One => self.out(&version_one::approval(out)),
            Version::Two => self.out(&out),
        }
    }

    /// A ping to be sent.
    pub(crate) fn asked(&mut self, ping: &Ping<'_>) -> &mut Self {
        self.text("target", ping.target)
            .path(ping.path)
            .text("intent", ping.intent)
            .text("purpose", ping.purpose)
            .value("payload", ping.payload)
            .text("ping_type", ping.ping_type.as_str())
            .number("priority", u64::from(ping.priority.to_wire()))
            .text("routing_mode", ping.routing_mode.as_str())
            .maybe("pod_id", ping.pod_id)
            .maybe("station_id", ping.station_id)
            .text("encoding", encoding_name(ping.encoding))
            .span("timeout", ping.timeout)
    }

    /// A rule of the gate.
    pub(crate) fn rule(&mut self, rule: &Rule<&str>) -> &mut Self {
        self.text("id", rule.id)
            .text("name", rule.name)
            .maybe("source_did", rule.source_did)
            .maybe("intent", rule.intent)
            .maybe("ping_type", rule.ping_type.map(PingType::as_str))
            .text("zone", rule.zone.as_str())
            .raw("priority", format_args!("{}", rule.priority));
        match rule.pod_id {
            None => {}
            Some(Pod::None) => {
                self.text("no_pod", "");
            }
            Some(Pod::Is(id)) => {
                self.text("pod_id", id);
            }
        }
        if rule.any && self.version >= Version::Two {
            self.raw("any", format_args!("true"));
        }
        match rule.min_trust {
            Some(trust) => self.float("min_trust", trust),
            None => self,
        }
    }

    /// A vouch.
    pub(crate) fn vouch(&mut self, vouch: &Vouch<'_>, wall: Wall) -> &mut Self {
        self.raw("wall", format_args!("{}", wall.as_micros()))
            .text("id", vouch.id)
            .text("voucher_did", vouch.voucher_did)
            .float("voucher_trust", vouch.voucher_trust)
            .float("factor", vouch.factor);
        self.key("vouched");
        self.text.push('[');
        for (i, did) in vouch.vouched.iter().enumerate() {
            self.text.push_str(if i == 0 { "\"" } else { ",\"" });
            let _ = write!(Escaped(&mut self.text), "{did}");
            self.text.push('"');
        }
        self.text.push(']');
        match vouch.expires {
            Expiry::Never => self.text("expires", "never"),
            Expiry::Unreadable => self.text("expires", "unreadable"),
            Expiry::After(wall) => self.raw("after", format_args!("{}", wall.as_micros())),
        }
    }

    /// What came of it.
    pub(crate) fn out(&mut self, out: &dyn fmt::Debug) -> &mut Self {
        self.show("out", &format_args!("{out:?}"))
    }

    /// An event, without the datagram that it lends: that was an input already.
    pub(crate) fn event(&mut self, event: &Event<'_>) -> &mut Self {
        if self.version == Version::One {
            return self.show("out", &version_one::Shown(event));
        }
        match event {
            Event::Ping(ping) => {
                self.text("event", "ping").ids(ping.wait, ping.open).path(ping.from);
                self.text("encoding", encoding_name(ping.encoding)).text("zone", ping.zone.as_str());
                self.text("decision", ping.decision.as_str()).float("trust", ping.trust);
                self.show("source", &format_args!("{:?}", ping.source)).maybe("rule", ping.rule)
            }
            Event::Decided(decided) => {
                self.text("event", "decided").ids(Some(decided.wait), decided.open).path(decided.from);
                self.text("packet_id", decided.packet_id)
                    .text("did", decided.source_did)
                    .text("intent", decided.intent);
                self.show("outcome", &format_args!("{:?}", decided.outcome));
                self.raw("answered", format_args!("{}", decided.answered))
            }
            Event::Response(answer) => {
                self.text("event", "response").number("request", answer.request.0.to_bits()).path(answer.from);
                self.text("decision", answer.decision.as_str()).span("rtt", Some(answer.rtt));
                self.raw("last", format_args!("{}", answer.last))
            }
            Event::Timeout { request, pending } => {
                self.text("event", "timeout").number("request", request.0.to_bits());
                self.raw("pending", format_args!("{pending}"))
            }
            Event::Unsent { request, why } => {
                self.text("event", "unsent").number("request", request.0.to_bits()).number("why", why.code())
            }
            Event::Unanswered(id) => self.text("event", "unanswered").ids(None, Some(*id)),
            Event::Heartbeat { did, path } => self.text("event", "heartbeat").text("did", did).path(*path),
            Event::PeerSeen { did, path } => self.text("event", "peer_seen").text("did", did).path(*path),
            Event::PeerLost { did } => self.text("event", "peer_lost").text("did", did),
        }
    }

    /// The ids of a ping that waits for the application.
    fn ids(&mut self, wait: Option<WaitId>, open: Option<OpenId>) -> &mut Self {
        if let Some(id) = wait {
            self.number("wait", id.number()).number("slot", id.slot.to_bits());
        }
        if let Some(id) = open {
            self.number("open", id.0.to_bits());
        }
        self
    }

    /// A length of time in nanoseconds, or `null`.
    pub(crate) fn span(&mut self, key: &str, span: Option<Duration>) -> &mut Self {
        match span {
            Some(span) => self.raw(key, format_args!("{}", span.as_nanos())),
            None => self.raw(key, format_args!("null")),
        }
    }
}

/// The name of an encoding in a recording.
pub(crate) const fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "json",
        Encoding::Msgpack => "msgpack",
        Encoding::Postcard => "postcard",
    }
}

/// Escapes what a JSON text may not have as it is.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            match c {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                c if c.is_control() => write!(self.0, "\\u{:04x}", u32::from(c))?,
                c => self.0.push(c),
            }
        }
        Ok(())
    }
}
