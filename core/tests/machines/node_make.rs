//! `node_make.jsonl`: the packets a node makes.

use std::net::SocketAddr;

use crate::common::{Deviations, Json, Row, rows};
use crate::nodes::{Differences, ENCODINGS, Led, assert_stamp, is_hex};
use sluis_core::airlock::{Expiry, Vouch};
use sluis_core::framing::{Encoding, Frame, Message, Packet, PingType, Priority, RoutingMode, Value};
use sluis_core::node::{Node, NodeConfig, Ping};
use sluis_core::time::{Duration, Instant, Now, Wall};
use sluis_core::{Datagrams, Did, Machine, Path, Seed};

const SENSOR: &str = "jis:home:sensor";

/// Rows that need a room which does not exist yet.
const WAITING: &[(&str, &str)] = &[
    ("discover_defaults", "discovery: asks on the discovery group"),
    ("discover_caps", "discovery: asks on the discovery group"),
    ("beacon", "beacon: how a device asks to be let in"),
];

fn at(seconds: u64) -> Now {
    let micros = 1_736_942_400_000_000 + i64::try_from(seconds).unwrap() * 1_000_000;
    Now::new(Instant::from_nanos(seconds * 1_000_000_000), Wall::from_micros(micros))
}

fn sensor() -> Node {
    Node::new(NodeConfig::new(Did::new(SENSOR).unwrap()), &Seed::from_u64(1)).unwrap()
}

fn hub() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7150))
}

fn next_frame(node: &mut Node, now: Now) -> Vec<u8> {
    let mut buf = vec![0; sluis_core::limits::MAX_DATAGRAM_V6];
    let transmit = node.poll_transmit(now, &mut buf).expect("something to send");
    assert_eq!(transmit.path, Path::to(hub()));
    buf.truncate(transmit.len);
    buf
}

fn packet(frame: &[u8]) -> Packet<'_> {
    match Frame::decode(frame).unwrap().message {
        Message::Packet(packet) => packet,
        Message::Response(_) => panic!("not a packet"),
    }
}

/// What is random has its form; otherwise ours must be the packet of the table.
fn compare(row: &Row, ours: &Packet<'_>) -> String {
    assert!(ours.packet_id.to_cow().strip_prefix("ping_").is_some_and(|hex| is_hex(hex, 16)));
    assert!(is_hex(&ours.nonce.to_cow(), 32));
    assert_stamp(&ours.timestamp.to_cow());
    let Some(Message::Packet(reference)) = crate::packets::message("packet", row.get("packet").unwrap()) else {
        panic!("{}: not a packet of ours", row.id())
    };
    for any in [reference.packet_id, reference.nonce, reference.timestamp] {
        assert_eq!(any, *"<any>");
    }
    let mut differences = Differences::default();
    differences.compare("target_did", &reference.target_did, &ours.target_did);
    differences.compare("routing_mode", &reference.routing_mode, &ours.routing_mode);
    let payloads = [reference.payload, ours.payload].map(|payload| payload.to_json_string().unwrap());
    differences.compare("payload", &payloads[0], &payloads[1]);
    differences.compare("pod_id", &reference.pod_id, &ours.pod_id);
    let Packet { packet_id, nonce, timestamp, target_did, routing_mode, payload, pod_id, .. } = *ours;
    let rest = Packet { packet_id, nonce, timestamp, target_did, routing_mode, payload, pod_id, ..reference };
    assert_eq!(rest, *ours, "{}", row.id());
    differences.outcome()
}

/// Have a node make what the call asks for.
fn ping(row: &Row, encoding: Encoding) -> String {
    let call = row.get("call").unwrap();
    let text = |key: &str| call.get(key).and_then(Json::str);
    let mut ping = Ping::new(text("target").unwrap(), hub(), text("intent").unwrap());
    ping.encoding = encoding;
    ping.purpose = text("purpose").unwrap();
    ping.pod_id = text("pod_id");
    ping.station_id = text("station_id");
    if let Some(kind) = text("ping_type") {
        ping.ping_type = PingType::from_wire(kind).unwrap();
    }
    if let Some(mode) = text("routing_mode") {
        ping.routing_mode = RoutingMode::from_wire(mode).unwrap();
    }
    if let Some(priority) = call.get("priority") {
        ping.priority = Priority::from_wire(priority.int().unwrap()).unwrap();
    }
    if let Some(payload) = call.get("payload") {
        ping.payload = crate::packets::value(payload).unwrap();
    }
    let mut node = sensor();
    node.ping(at(0), &ping).unwrap();
    let frame = next_frame(&mut node, at(0));
    assert_eq!(Frame::decode(&frame).unwrap().encoding, encoding);
    compare(row, &packet(&frame))
}

/// The heartbeat that a node sends to a peer that has proven where it is.
fn heartbeat(row: &Row, encoding: Encoding) -> String {
    let mut config = NodeConfig::new(Did::new(SENSOR).unwrap());
    config.heartbeat_encoding = encoding;
    let mut node = Node::new(config, &Seed::from_u64(1)).unwrap();
    let call = row.get("call").unwrap();
    let (status, pod_id) = (call.get("status"), call.get("pod_id").and_then(Json::str));
    if status.is_some() || pod_id.is_some() {
        let status = status.map_or(Value::EMPTY_OBJECT, |status| crate::packets::value(status).unwrap());
        node.set_heartbeat(status, pod_id).unwrap();
    }
    node.ping(at(0), &Ping::new("jis:home:hub", hub(), "x")).unwrap();
    let mut config = NodeConfig::new(Did::new("jis:home:hub").unwrap());
    config.gate.groen = 0.0;
    config.gate.rood = 0.0;
    let mut answerer = Led::new(config);
    answerer.now = at(0);
    answerer.receive(hub(), &next_frame(&mut node, at(0))).unwrap();
    let answer = answerer.drain().remove(0).1;
    node.handle_datagram(at(0), Path::to(hub()), &mut answer.clone()).unwrap();
    node.handle_timeout(at(30));
    let frame = next_frame(&mut node, at(30));
    assert_eq!(Frame::decode(&frame).unwrap().encoding, encoding);
    compare(row, &packet(&frame))
}

/// Of a vouch record only the trust that it lends exists here.
fn vouch(row: &Row) -> String {
    let record = row.get("vouch").unwrap();
    let number = |key: &str| record.get(key).and_then(Json::f64).unwrap();
    let dids: Vec<_> = record.get("vouched_dids").and_then(Json::array).unwrap().iter().filter_map(Json::str).collect();
    let mut node = sensor();
    let vouch = Vouch {
        id: "vouch_1",
        voucher_did: record.get("voucher_did").and_then(Json::str).unwrap(),
        voucher_trust: number("voucher_trust"),
        factor: number("vouch_factor"),
        vouched: &dids,
        expires: Expiry::from_text(record.get("expires_at").and_then(Json::str)),
    };
    node.vouch(&vouch, at(0).wall).unwrap();
    let mut differences = Differences::default();
    for did in dids {
        let far = at(1_000_000_000).wall.saturating_add(Duration::from_secs(1));
        differences.compare("lends", &number("computed_trust").to_bits(), &node.standing(did, far).trust.to_bits());
    }
    differences.outcome()
}

#[test]
fn node_make() {
    let mut deviations = Deviations::of("node_make.jsonl");
    let rows = rows("node_make.jsonl");
    assert_eq!(rows.len(), 11);
    let mut waited = 0;
    for row in rows {
        if WAITING.iter().any(|(id, _)| *id == row.id()) {
            waited += 1;
            continue;
        }
        let function = row.get("call").and_then(|call| call.get("fn")).and_then(Json::str).unwrap();
        for encoding in ENCODINGS {
            let outcome = match function {
                "ping" => ping(&row, encoding),
                "heartbeat" => heartbeat(&row, encoding),
                "vouch" => vouch(&row),
                other => panic!("unknown call {other}"),
            };
            deviations.check(row.id(), crate::nodes::AGREES, &outcome);
        }
    }
    assert_eq!(waited, WAITING.len(), "a row that waits is not in the table");
    deviations.finish();
}
