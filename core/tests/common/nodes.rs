//! A node that is led through the operations of a table.
#![allow(dead_code, unreachable_pub, reason = "every suite uses its own part of this")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use sluis_core::airlock::{Expiry, Rule, Vouch};
use sluis_core::framing::{Encoding, Frame, Message, Response, Zone};
use sluis_core::limits::MAX_DATAGRAM_V6;
use sluis_core::node::{Event, Node, NodeConfig, WaitId};
use sluis_core::time::{Duration, Instant, Now, Wall, iso};
use sluis_core::{Datagrams, Did, Machine, Path, Reject, Seed};

use crate::common::{Json, Row};
use crate::packets;

/// Seconds of the reference, whole or not.
pub fn seconds(json: &Json) -> f64 {
    json.f64().unwrap_or_else(|| panic!("no seconds: {json:?}"))
}

/// An address of the reference. Where a table has a name for a host, it stands for one that has no other meaning.
pub fn address(json: &Json) -> SocketAddr {
    let parts = json.array().unwrap();
    let host = parts[0].str().unwrap().parse().unwrap_or(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));
    SocketAddr::new(host, u16::try_from(parts[1].int().unwrap()).unwrap())
}

/// A frame with these members, whatever their types.
pub fn json_frame(members: &Json, flags: u8) -> Vec<u8> {
    let payload = members.tagged().json().unwrap();
    let mut frame = vec![b'T', b'P', 1, flags];
    frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend(payload.into_bytes());
    frame
}

/// Every way to write a packet: as the table says it, and where it is one of ours, in every encoding.
pub fn frames_of(packet: &Json) -> Vec<Vec<u8>> {
    let mut frames = vec![json_frame(packet, 0)];
    if let Some(message) = packets::message("packet", packet) {
        for encoding in ENCODINGS {
            frames.push(encoded(&message, encoding));
        }
    }
    frames
}

/// Every encoding.
pub const ENCODINGS: [Encoding; 3] = [Encoding::Json, Encoding::Msgpack, Encoding::Postcard];

/// How many ways [`frames_of`] knows at most.
pub const WAYS: usize = 1 + ENCODINGS.len();

pub fn encoded(message: &Message<'_>, encoding: Encoding) -> Vec<u8> {
    let mut out = vec![0; MAX_DATAGRAM_V6];
    let len = message.encode(encoding, &mut out).unwrap();
    out.truncate(len);
    out
}

/// Where the reference and ours part ways, operation by operation.
#[derive(Debug, Default)]
pub struct Differences(Vec<String>);

impl Differences {
    /// Note a difference, named by where it is.
    pub fn compare<T: PartialEq + std::fmt::Debug>(&mut self, place: &str, reference: &T, ours: &T) {
        if reference != ours {
            self.0.push(format!("{place} {ours:?}"));
        }
    }

    /// [`AGREES`], or ours wherever it differs.
    pub fn outcome(&self) -> String {
        if self.0.is_empty() { AGREES.into() } else { self.0.join("; ") }
    }
}

/// What comes of a row that ours does as the reference does.
pub const AGREES: &str = "agrees";

/// A node, its clock and everything that it let out.
pub struct Led {
    pub node: Node,
    start: Option<f64>,
    pub now: Now,
    pub lost: Vec<String>,
}

impl Led {
    /// A node whose gate lets unsigned senders pass, as the reference does.
    pub fn new(config: NodeConfig) -> Self {
        let mut node = Node::new(config, &Seed::from_u64(1)).unwrap();
        node.allow_legacy("*").unwrap();
        let now = Now::new(Instant::ZERO, Wall::from_micros(0));
        Self { node, start: None, now, lost: Vec::new() }
    }

    /// The settings of a node of this name that removes stale peers whenever it is told the time.
    pub fn config(row: &Row) -> NodeConfig {
        let mut config = NodeConfig::new(Did::new(row.str("device_did")).unwrap());
        config.peer_cleanup = Duration::from_millis(1);
        config
    }

    /// Both clocks, as they were for this operation.
    pub fn set_time(&mut self, op: &Json) {
        let now = seconds(op.get("now").unwrap());
        let start = *self.start.get_or_insert(now);
        let mono = Instant::ZERO + Duration::from_secs_f64(now - start);
        #[allow(clippy::cast_possible_truncation, reason = "times of our era in microseconds")]
        let wall = Wall::from_micros((now * 1e6).round() as i64);
        self.now = Now::new(mono, wall);
    }

    pub fn receive(&mut self, from: SocketAddr, frame: &[u8]) -> Result<(), Reject> {
        self.node.handle_datagram(self.now, Path::to(from), &mut frame.to_vec())
    }

    /// Everything that is to be sent, and note what the events say.
    pub fn drain(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut out = Vec::new();
        let mut buf = vec![0; MAX_DATAGRAM_V6];
        while let Some(transmit) = self.node.poll_transmit(self.now, &mut buf) {
            out.push((transmit.path.remote, buf[..transmit.len].to_vec()));
        }
        while let Some(event) = self.node.poll_event() {
            if let Event::PeerLost { did } = event {
                self.lost.push(did.to_owned());
            }
        }
        out
    }

    /// Packet ids of the pings that wait.
    pub fn waiting(&self) -> Vec<String> {
        self.node.waiting().map(|ping| ping.packet_id.to_owned()).collect()
    }

    /// The peers that are not stale.
    pub fn peers(&self) -> BTreeMap<String, SocketAddr> {
        self.node.peers().alive(self.now.mono).map(|p| (p.did().to_owned(), p.path().remote)).collect()
    }

    /// Do to every ping that waits under this packet id what the operator says; whether there was one.
    pub fn decide(&mut self, packet_id: &str, approve: bool) -> bool {
        let ids: Vec<WaitId> = self.node.waiting().filter(|w| w.packet_id == packet_id).map(|w| w.id).collect();
        for id in &ids {
            let done =
                if approve { self.node.approve(self.now, *id).map(|_| ()) } else { self.node.reject(self.now, *id) };
            done.unwrap();
        }
        !ids.is_empty()
    }

    /// Set the trust as the operation says; what was stored.
    pub fn trust(&mut self, op: &Json) -> Option<f64> {
        let did = op.get("did").and_then(Json::str).unwrap();
        self.node.set_trust(did, op.get("trust").and_then(Json::f64).unwrap()).ok()
    }

    /// Add the rule of the operation.
    pub fn rule(&mut self, op: &Json) {
        let json = op.get("rule").unwrap();
        let text = |key: &str| json.get(key).and_then(Json::str).unwrap();
        let mut rule = Rule::new(text("rule_id"), text("name"), Zone::from_wire(text("zone")).unwrap());
        if let Some(priority) = json.get("priority").and_then(Json::int) {
            rule.priority = priority;
        }
        for (key, value) in json.get("pattern").and_then(Json::object).unwrap() {
            match key.as_str() {
                "source_did" => rule.source_did = value.str(),
                "intent" => rule.intent = value.str(),
                other => panic!("unknown condition {other}"),
            }
        }
        self.node.add_rule(&rule).unwrap();
    }

    /// Add the vouch of the operation; whether it was taken.
    pub fn vouch(&mut self, op: &Json) -> bool {
        let json = op.get("vouch").unwrap();
        let dids: Vec<&str> =
            json.get("dids").and_then(Json::array).unwrap().iter().map(|d| d.str().unwrap()).collect();
        let vouch = Vouch {
            id: json.get("vouch_id").and_then(Json::str).unwrap_or("vouch"),
            voucher_did: "jis:voucher",
            voucher_trust: json.get("my_trust").and_then(Json::f64).unwrap(),
            factor: json.get("factor").map_or(0.7, |f| f.f64().unwrap()),
            vouched: &dids,
            expires: Expiry::from_text(json.get("expires_at").and_then(Json::str)),
        };
        self.node.vouch(&vouch, self.now.wall).is_ok()
    }
}

/// A response in a few words, for telling apart.
pub fn in_words(response: &Response<'_>) -> String {
    format!("{} {} to {}", response.decision, response.airlock_zone.to_cow(), response.in_response_to.to_cow())
}

/// The response that the reference gave, with ours put in where the table says `<any>`. What is `<any>` is checked for
/// its form first.
pub fn expected<'a>(reference: &Json, ours: &Response<'a>) -> Response<'a>
where
    'static: 'a,
{
    const ANY: [&str; 4] = ["response_id", "tibet_token_id", "timestamp", "rtt_ms"];
    let members = reference.object().unwrap().iter().map(|(key, value)| match value.str() {
        Some("<any>") => {
            assert!(ANY.contains(&key.as_str()), "{key} is free");
            // A text where a text must be, and null where it may be.
            (key.clone(), if key == "rtt_ms" || key == "tibet_token_id" { Json::Null } else { Json::Str("any".into()) })
        }
        _ => (key.clone(), value.clone()),
    });
    let Some(Message::Response(built)) = packets::message("response", &Json::Object(members.collect())) else {
        panic!("a response that ours cannot hold: {reference:?}")
    };
    let any = |key: &str| reference.get(key).and_then(Json::str) == Some("<any>");
    let mut built: Response<'a> = built;
    if any("response_id") {
        let id = ours.response_id.to_cow();
        assert!(id.strip_prefix("resp_").is_some_and(|hex| is_hex(hex, 16)), "{id}");
        built.response_id = ours.response_id;
    }
    if any("timestamp") {
        assert_stamp(&ours.timestamp.to_cow());
        built.timestamp = ours.timestamp;
    }
    // Tokens and measured times are not made yet: null, which is what both say of "none".
    built
}

pub fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// UTC isoformat with `+00:00`, microseconds omitted when 0.
pub fn assert_stamp(text: &str) {
    let Some(local) = text.strip_suffix("+00:00") else { panic!("{text} has another zone") };
    assert!([19, 26].contains(&local.len()) && iso::parse(text).is_some(), "{text}");
    assert!(!local.ends_with(".000000"), "{text}");
}

/// Compare what was sent with the responses that the reference sent: `(address, response)`.
pub fn compare_responses(
    differences: &mut Differences,
    place: &str,
    reference: &[(Option<SocketAddr>, &Json)],
    ours: &[(SocketAddr, Vec<u8>)],
) {
    let decoded: Vec<Response<'_>> = ours
        .iter()
        .map(|(_, bytes)| match Frame::decode(bytes).unwrap().message {
            Message::Response(response) => response,
            Message::Packet(packet) => panic!("a packet was sent: {packet:?}"),
        })
        .collect();
    let wanted: Vec<String> = reference
        .iter()
        .map(|(_, json)| {
            let text = |key: &str| json.get(key).and_then(Json::str).unwrap();
            format!("{} {} to {}", text("decision"), text("airlock_zone"), text("in_response_to"))
        })
        .collect();
    let sent: Vec<String> = decoded.iter().map(in_words).collect();
    differences.compare(&format!("{place}: sent"), &wanted, &sent);
    if wanted != sent {
        return;
    }
    for (((to, json), response), (address, _)) in reference.iter().zip(&decoded).zip(ours) {
        differences.compare(&format!("{place}: response"), &expected(json, response), response);
        if let Some(to) = to {
            differences.compare(&format!("{place}: sent to"), to, address);
        }
    }
}
