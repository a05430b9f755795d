//! `node_flow.jsonl`: what a node sends for each packet, to whom, and whom it knows afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::common::{Deviations, Json, Row, rows};
use crate::nodes::{Differences, Led, WAYS, address, compare_responses, encoded, frames_of};
use sluis_core::Machine;
use sluis_core::framing::{Decision, Encoding, Message, Number, Response, Text, Value};

/// Rows that need a room which does not exist yet. The `relay` member of every other row (its counters) waits for the
/// same room.
const WAITING: &[(&str, &str)] = &[
    ("mesh_known_target_forwarded", "relay: forwards to a known peer"),
    ("mesh_unknown_target_broadcast", "relay: forwards to everyone"),
    ("mesh_stale_target_broadcast", "relay: forwards to everyone when the peer is stale"),
    ("mesh_duplicate_dropped", "relay: its cache of seen packets"),
    ("mesh_same_nonce_not_checked", "relay: its cache of seen packets"),
    ("mesh_hop_limit", "relay: its hop limit"),
    ("mesh_back_to_sender", "relay: forwards to a known peer"),
    ("mesh_source_is_self", "relay: forwards to everyone"),
    ("peer_poisoning", "relay: forwards to a known peer"),
];

/// What the reference sent: responses only, `None` where it forwarded.
fn sent(op: &Json) -> Option<Vec<(Option<SocketAddr>, &Json)>> {
    let actions = op.get("actions").and_then(Json::array).unwrap().iter();
    actions.map(|action| Some((Some(address(action.get("addr")?)), action.get("response")?))).collect()
}

/// A response that nobody asked for.
fn orphan(op: &Json) -> Vec<u8> {
    let response = Response {
        response_id: Text::new("resp_0123456789abcdef"),
        in_response_to: Text::new(op.get("in_response_to").and_then(Json::str).unwrap()),
        responder_did: Text::new("jis:home:sensor"),
        decision: Decision::Accept,
        payload: Value::EMPTY_OBJECT,
        capabilities: Value::EMPTY_ARRAY,
        trust_score: Number::Float(0.9),
        fira_breakdown: Value::EMPTY_OBJECT,
        tibet_token_id: None,
        timestamp: Text::new("2025-01-15T12:00:00+00:00"),
        rtt_ms: None,
        airlock_zone: Text::new("GROEN"),
        applied_rule: None,
        proof: None,
    };
    encoded(&Message::Response(response), Encoding::Json)
}

fn outcome(row: &Row, way: usize) -> String {
    let mut led = Led::new(Led::config(row));
    let mut differences = Differences::default();
    for (n, op) in row.get("ops").and_then(Json::array).unwrap().iter().enumerate() {
        let kind = op.get("op").and_then(Json::str).unwrap();
        let place = format!("{n} {kind}");
        led.set_time(op);
        match kind {
            "in" => {
                let frames = frames_of(op.get("packet").unwrap());
                let _ = led.receive(address(op.get("addr").unwrap()), frames.get(way).unwrap_or(&frames[0]));
            }
            "in_response" => {
                let taken = led.receive(address(op.get("addr").unwrap()), &orphan(op));
                assert!(taken.is_err(), "nobody asked");
            }
            "trust" => assert_eq!(led.trust(op), op.get("trust").and_then(Json::f64)),
            "rule" => led.rule(op),
            "approve" => {
                let found = led.decide(op.get("packet_id").and_then(Json::str).unwrap(), true);
                differences.compare(
                    &format!("{place}: found"),
                    &op.get("result").and_then(Json::bool).unwrap(),
                    &found,
                );
            }
            "prune" => {
                let before = led.lost.len();
                led.node.handle_timeout(led.now);
                led.drain();
                let pruned = i64::try_from(led.lost.len() - before).unwrap();
                differences.compare(
                    &format!("{place}: removed"),
                    &op.get("result").and_then(Json::int).unwrap(),
                    &pruned,
                );
            }
            other => panic!("unknown operation {other}"),
        }
        let out = led.drain();
        match sent(op) {
            Some(sent) => compare_responses(&mut differences, &place, &sent, &out),
            None => differences.compare(&format!("{place}: forwarded"), &true, &!out.is_empty()),
        }
        let peers = op.get("peers").and_then(Json::object).unwrap();
        let peers: BTreeMap<_, _> = peers.iter().map(|(did, at)| (did.clone(), address(at))).collect();
        differences.compare(&format!("{place}: peers"), &peers, &led.peers());
        let pending = op.get("pending").and_then(Json::array).unwrap();
        let pending: Vec<String> = pending.iter().map(|p| p.str().unwrap().to_owned()).collect();
        differences.compare(&format!("{place}: waiting"), &pending, &led.waiting());
        let nonces = usize::try_from(op.get("nonces").and_then(Json::int).unwrap()).unwrap();
        differences.compare(&format!("{place}: nonces"), &nonces, &led.node.stats().tables.nonces);
    }
    differences.outcome()
}

#[test]
fn node_flow() {
    let mut deviations = Deviations::of("node_flow.jsonl");
    let waiting: BTreeMap<_, _> = WAITING.iter().copied().collect();
    let mut waited = BTreeSet::new();
    let rows = rows("node_flow.jsonl");
    assert_eq!(rows.len(), 31);
    for row in rows {
        for way in 0..WAYS {
            let outcome = outcome(&row, way);
            match waiting.get(row.id()) {
                // A row that agrees waits for nothing.
                Some(reason) => {
                    assert_ne!(outcome, crate::nodes::AGREES, "{}: does not wait any more for {reason}", row.id());
                    assert!(!deviations.lists(row.id()), "{} both waits and differs", row.id());
                    waited.insert(row.id().to_owned());
                }
                None => deviations.check(row.id(), crate::nodes::AGREES, &outcome),
            }
        }
    }
    assert_eq!(waited.len(), WAITING.len(), "a row that waits is not in the table: {waited:?}");
    deviations.finish();
}
