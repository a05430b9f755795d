//! The tokens that everything about tokens is measured with.

use sluis_chain::token::{Hash32, Token};
use sluis_core::framing::{Text, Value};
use sluis_core::identity::MacKey;

/// What a token is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A ping, as the reference records it: ERIN in the order in which it was put together, a payload in it, naive time.
    Ping,
    /// The same, and everything in the order of its keys.
    Sorted,
    /// As ours writes it into a log: a link to the entry before and a seal.
    Sealed,
    /// Little more than the members that must be there.
    Small,
    /// Deep, with escapes, floats of many digits and many members out of order.
    Involved,
}

impl Kind {
    /// Every kind and its name.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Ping, "ping"),
        (Self::Sorted, "sorted"),
        (Self::Sealed, "sealed"),
        (Self::Small, "small"),
        (Self::Involved, "involved"),
    ];
}

const SEAL: &str = concat!(
    "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a:",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
);

/// The line of a token, hashed with the key or without one. No two numbers give the same token.
///
/// # Panics
/// Never: the values are JSON.
#[must_use]
pub fn line(kind: Kind, number: u64, key: Option<&MacKey>) -> String {
    let micros = number % 1_000_000;
    let id = format!("tibet_20250115120000{micros:06}_{:08x}", number.wrapping_mul(0x9e37_79b9) & 0xffff_ffff);
    let parent = format!("tibet_20250115115959{micros:06}_00000000");
    let naive = format!("2025-01-15T12:00:00.{micros:06}");
    let payload = r#"{"temperature": 21.5, "unit": "C", "rh": 48.2, "battery": 87, "ok": true}"#;
    let erin = match kind {
        Kind::Small => r#"{"source": "jis:home:sensor"}"#.into(),
        Kind::Sorted | Kind::Sealed => {
            r#"{"intent": "temperature.report", "payload": {"battery": 87, "ok": true, "rh": 48.2, "temperature": 21.5, "unit": "C"}, "purpose": "Periodic reading"}"#.into()
        }
        Kind::Ping => format!(r#"{{"intent": "temperature.report", "purpose": "Periodic reading", "payload": {payload}}}"#),
        Kind::Involved => format!(
            r#"{{"z": [{payload}, {payload}], "text": "Gr\u00fc\u00dfe\naus \u6e29\u5ea6", "at": 1736942400.123456, "a": {{"y": {{"x": {{"w": [1, 2, {{"v": 0.30000000000000004, "u": null}}]}}}}, "b": 1}}, "caf\u00e9": 1}}"#
        ),
    };
    let eromheen = match kind {
        Kind::Small => "{}",
        Kind::Sorted | Kind::Sealed => {
            r#"{"decision": "accept", "hop_count": 2, "pod_id": "kitchen", "routing_mode": "direct", "trust_score": 0.9, "zone": "GROEN"}"#
        }
        Kind::Ping | Kind::Involved => {
            r#"{"routing_mode": "direct", "hop_count": 2, "pod_id": "kitchen", "decision": "accept", "trust_score": 0.9, "zone": "GROEN"}"#
        }
    };
    let token = Token {
        token_id: Text::new(&id),
        action: Text::new(if kind == Kind::Small { "heartbeat" } else { "ping.intent" }),
        timestamp: Text::new(&naive),
        actor: Text::new("jis:home:sensor"),
        erin: Value::from_json(&erin).expect("JSON"),
        eraan: Value::from_json(r#"["jis:home:sensor", "jis:home:hub"]"#).expect("JSON"),
        eromheen: Value::from_json(eromheen).expect("JSON"),
        erachter: Text::new("Periodic reading"),
        parent_id: (kind != Kind::Small).then(|| Text::new(&parent)),
        signature: if kind == Kind::Sealed { Text::new(SEAL) } else { Text::EMPTY },
        link: (kind == Kind::Sealed).then(|| Hash32::of(&number.to_le_bytes())),
        ..Token::default()
    };
    let hash = token.content_hash(key).expect("room").to_string();
    let mut line = Vec::new();
    token.with(Text::new(&hash), token.signature).write_json(&mut line).expect("room");
    String::from_utf8(line).expect("ASCII")
}
