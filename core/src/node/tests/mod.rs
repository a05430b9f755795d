//! What a user of the node would miss if it broke, by room. Rows of the fixture tables are in `core/tests/machines`.

mod admission;
mod application;
mod identity;
mod inbox;
mod kept;
mod machine;
mod peers;
mod sessions;

use std::net::SocketAddr;
use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::{
    AnswerError, Event, Node, NodeConfig, OpenId, Outcome, Ping, PingError, Reply, RequestId, RoodBecause, WaitId,
};
use crate::airlock::Rule;
use crate::framing::{Decision, Encoding, Frame, Message, Packet, Response, Text, Value, ValueBuf, Zone};
use crate::limits::MAX_DATAGRAM_V6;
use crate::time::{Duration, Instant, Now, Wall};
use crate::{Datagrams, Did, Machine, Path, Reject, Seed, Unsent, Wants};

pub(super) const HUB: &str = "jis:home:hub";
pub(super) const SENSOR: &str = "jis:home:sensor";

pub(super) fn at(seconds: u64) -> Now {
    let micros = 1_736_942_400_000_000 + i64::try_from(seconds).unwrap() * 1_000_000;
    Now::new(Instant::from_nanos(seconds * 1_000_000_000), Wall::from_micros(micros))
}

pub(super) fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub(super) fn node(did: &str, seed: u64) -> Node {
    Node::new(NodeConfig::new(Did::new(did).unwrap()), &Seed::from_u64(seed)).unwrap()
}

/// A hub that trusts the sensor this far, and the sensor.
pub(super) fn pair(trust: f64) -> (Node, Node) {
    let mut hub = node(HUB, 1);
    hub.allow_legacy("*").unwrap();
    hub.set_trust(SENSOR, trust).unwrap();
    (hub, node(SENSOR, 2))
}

pub(super) fn drain(node: &mut Node, now: Now) -> Vec<(Path, Vec<u8>)> {
    let mut buf = vec![0; MAX_DATAGRAM_V6];
    let mut out = Vec::new();
    while let Some(t) = node.poll_transmit(now, &mut buf) {
        out.push((t.path, buf[..t.len].to_vec()));
    }
    out
}

/// Every event in a few words.
pub(super) fn told(node: &mut Node) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(event) = node.poll_event() {
        out.push(match event {
            Event::Ping(p) => std::format!("ping {} {} {}", p.packet().source_did, p.decision, p.zone),
            Event::Decided(d) => std::format!("decided {} {:?}", d.source_did, d.outcome),
            Event::Response(r) => {
                let payload = r.response().payload.to_json_string().unwrap();
                std::format!("response {} {payload} last={}", r.decision, r.last)
            }
            Event::Timeout { pending, .. } => std::format!("timeout pending={pending}"),
            Event::Unsent { why, .. } => std::format!("unsent: {why}"),
            Event::Unanswered(_) => "unanswered".to_string(),
            Event::PeerSeen { did, .. } => std::format!("seen {did}"),
            Event::Heartbeat { did, .. } => std::format!("heartbeat {did}"),
            Event::PeerLost { did } => std::format!("lost {did}"),
            Event::Retired { successor, .. } => std::format!("retired, successor={}", successor.is_some()),
            Event::Session(change) => std::format!("session {} {}", change.did, change.state.name()),
            Event::Pinned { did, .. } => std::format!("pinned {did}"),
            Event::Kept { upto, result } => std::format!("kept {} {result:?}", upto.0),
            Event::Lan(news) => std::format!("{news:?}"),
            Event::Reservation(news) => std::format!("reservation {} {:?}", news.relay, news.lasts),
            Event::Trace(news) => std::format!("trace {} {:?}", news.did, news.tampered),
            Event::Overlay(news) => std::format!("{news:?}"),
            Event::Operation { result, .. } => std::format!("{result:?}"),
        });
    }
    out
}

pub(super) fn waiting_id(node: &mut Node) -> WaitId {
    ids(node).0.expect("a ping that waits for a decision")
}

pub(super) fn open_id(node: &mut Node) -> OpenId {
    ids(node).1.expect("a ping that waits for an answer")
}

/// What the ping that was told last waits for.
pub(super) fn ids(node: &mut Node) -> (Option<WaitId>, Option<OpenId>) {
    let mut found = (None, None);
    while let Some(event) = node.poll_event() {
        if let Event::Ping(p) = event {
            found = (p.wait, p.open);
        }
    }
    found
}

pub(super) fn ask(sensor: &mut Node, now: Now, encoding: Encoding) -> (RequestId, Vec<u8>) {
    let mut ping = Ping::new(HUB, addr(7150), "temperature.read");
    ping.encoding = encoding;
    ping.purpose = "Check \u{1f321} now";
    let id = sensor.ping(now, &ping).unwrap();
    let mut sent = drain(sensor, now);
    assert_eq!(sent.len(), 1);
    let (path, bytes) = sent.remove(0);
    assert_eq!(path.remote, addr(7150));
    (id, bytes)
}

pub(super) fn from(port: u16) -> Path {
    Path::to(addr(port))
}

/// A packet from nobody in particular, with what is not given left out.
pub(super) fn packet<'a>(packet_id: &'a str, nonce: &'a str, intent: &'a str) -> Packet<'a> {
    Packet {
        packet_id: Text::new(packet_id),
        source_did: Text::new(SENSOR),
        target_did: Text::new(HUB),
        intent: Text::new(intent),
        nonce: Text::new(nonce),
        timestamp: Text::new("2025-01-15T12:00:00Z"),
        ..Packet::default()
    }
}

pub(super) fn written(packet: &Packet<'_>, encoding: Encoding) -> Vec<u8> {
    let mut out = vec![0; MAX_DATAGRAM_V6];
    let len = packet.encode(encoding, &mut out).unwrap();
    out.truncate(len);
    out
}

/// A path from this host.
pub(super) fn host(n: u8, port: u16) -> Path {
    Path::to(SocketAddr::from(([192, 0, 2, n], port)))
}

pub(super) fn named<'a>(did: &'a str, nonce: &'a str) -> Packet<'a> {
    Packet { source_did: Text::new(did), ..packet("p", nonce, "door.open") }
}
