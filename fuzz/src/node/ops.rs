//! What can be done to a node, as fuzz input: small numbers that choose from small sets, so that things meet.

use std::net::SocketAddr;

use arbitrary::Arbitrary;
use sluis_core::framing::Encoding;
use sluis_core::{Path, SocketId};

/// The node under test.
pub(super) const OWN: &str = "jis:hub";

/// How a node is set up.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub(super) struct Setup {
    pub(super) seed: u8,
    /// Unsigned senders may be accepted.
    pub(super) legacy: bool,
    pub(super) heartbeat: bool,
    /// Queues hold hardly anything.
    pub(super) tight: bool,
}

/// One thing that happens.
#[derive(Clone, Debug, Arbitrary)]
pub(super) enum Op<'a> {
    /// A datagram out of thin air.
    Raw { from: u8, bytes: &'a [u8] },
    /// A frame with this payload.
    Frame { from: u8, flags: u8, payload: &'a [u8] },
    /// A ping, well formed unless it is damaged.
    Ping(Sent),
    /// Something that was received before, as it was or damaged.
    Replay { which: u8, from: Option<u8>, damage: Option<(u16, u8)> },
    /// A response to a ping of ours, true or forged.
    Answer(Answered),
    /// Ping somebody.
    Ask { whom: u8, at: u8, encoding: u8, intent: u8, payload: u8, seconds: Option<u8> },
    /// Answer an open ping.
    Respond { which: u8, payload: u8 },
    /// Decide a waiting ping.
    Decide { which: u8, approve: bool },
    /// Forget a request.
    Forget { which: u8 },
    /// Trust somebody.
    Trust { whom: u8, percent: u8 },
    /// Forget that trust.
    Distrust { whom: u8 },
    /// Add or remove a rule.
    Rule { id: u8, remove: bool, whom: Option<u8>, intent: Option<u8>, zone: u8, priority: i8 },
    /// Say how pings are answered.
    Reply { intent: u8, payload: Option<u8> },
    /// Vouch for somebody, or take it back.
    Vouch { id: u8, whom: u8, percent: u8, seconds: Option<u8>, revoke: bool },
    /// Time passes.
    Pass { ticks: u8, scale: u8 },
    /// The wall clock steps.
    Step { seconds: i16, scale: u8 },
    /// The node is told the time.
    Timeout,
    /// Poll some events.
    Events { count: u8, kind: u8 },
    /// Poll some datagrams into a buffer of this size.
    Transmits { count: u8, room: u16 },
    /// Poll everything.
    Drain,
}

/// A ping to be received.
#[derive(Clone, Copy, Debug, Default, Arbitrary)]
pub(super) struct Sent {
    pub(super) from: u8,
    pub(super) sender: u8,
    pub(super) target: u8,
    pub(super) kind: u8,
    pub(super) intent: u8,
    pub(super) id: u8,
    pub(super) nonce: u8,
    /// Seconds from now.
    pub(super) stamp: i8,
    /// How it is written, and how large it is.
    pub(super) form: u8,
    pub(super) payload: u8,
    pub(super) damage: Option<(u16, u8)>,
    /// Bytes after the frame.
    pub(super) tail: u8,
}

/// A response to be received.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub(super) struct Answered {
    /// Which of our pings.
    pub(super) which: u8,
    pub(super) decision: u8,
    pub(super) form: u8,
    pub(super) payload: u8,
    /// Where it comes from, if not from where it was asked.
    pub(super) from: Option<u8>,
    /// Who says so, if not who was asked.
    pub(super) who: Option<u8>,
    pub(super) damage: Option<(u16, u8)>,
}

/// Names: usable ones first, then ones that are not, or that look like ours.
pub(super) fn did(n: u8) -> String {
    match n % 12 {
        0 => "jis:a".into(),
        1 => "jis:b".into(),
        2 => "jis:c".into(),
        3 => "jis:d".into(),
        4 => "jis:\u{e9}\u{1f600}\"\\/".into(),
        5 => "x".repeat(256),
        6 => "jis:f".into(),
        7 => "broadcast".into(),
        8 => OWN.into(),
        9 => "x".repeat(257),
        10 => String::new(),
        _ => "jis:\u{7}".into(),
    }
}

/// Rules that may exist.
pub(super) fn rule_id(n: u8) -> String {
    format!("rule{}", n % 6)
}

pub(super) fn path(n: u8) -> Path {
    let port = 1000 + u16::from(n % 5);
    let remote = match n % 3 {
        0 => SocketAddr::from(([127, 0, 0, 1], port)),
        1 => SocketAddr::from(([10, 0, 0, 7], port)),
        _ => SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port)),
    };
    let local = (n & 0x80 != 0).then(|| [127, 0, 0, 2].into());
    Path { remote, local, socket: SocketId::new(u16::from(n >> 6 & 1)) }
}

pub(super) fn intent(n: u8) -> String {
    match n % 6 {
        0 => "temperature.read".into(),
        1 => "door.open".into(),
        2 => "door.close".into(),
        3 => "\u{2603}".into(),
        4 => "i".repeat(256),
        _ => "i".repeat(257),
    }
}

pub(super) fn pattern(n: u8) -> String {
    match n % 6 {
        0 => "*".into(),
        1 => "door.*".into(),
        2 => "*.read".into(),
        3 => "*o*".into(),
        4 => "i*".into(),
        _ => "door.open".into(),
    }
}

/// The text of a payload: from nothing to more than any answer may have.
pub(super) fn payload(n: u8) -> String {
    match n % 8 {
        0 => "{}".into(),
        1 => r#"{"celsius":21.5}"#.into(),
        2 => r#"{ "deep": [[[{"caf\u00e9": null}]]], "big": 123456789012345678901234567890 }"#.into(),
        3 => r#"{"twice":1,"twice":2,"\ud800":NaN}"#.into(),
        4 => "[]".into(),
        5 => format!("{{\"pad\":\"{}\"}}", "p".repeat(usize::from(n) * 8)),
        6 => format!("{{\"pad\":\"{}\"}}", "\u{1f600}".repeat(usize::from(n) * 8)),
        _ => format!("\"{}\"", "q".repeat(usize::from(n) * 257)),
    }
}

pub(super) fn encoding(n: u8) -> Encoding {
    [Encoding::Json, Encoding::Msgpack, Encoding::Postcard][usize::from(n % 3)]
}
