//! `node_receive.jsonl`: what a node makes of the packets it receives, seen from outside.
//!
//! The table is of the reference's device, which returns a response for everything; its transport sends none that says
//! ROOD. Ours has no such function in between, so what is compared is what leaves the node.

use std::net::SocketAddr;

use crate::common::{Deviations, Json, Row, rows};
use crate::nodes::{Differences, Led, WAYS, compare_responses, frames_of, seconds};
use sluis_core::Duration;

fn led(row: &Row) -> Led {
    let mut config = Led::config(row);
    let number = |key: &str| row.get(key).map(seconds).unwrap();
    config.replay.window = Duration::from_secs_f64(number("nonce_window"));
    config.gate.groen = number("trust_groen");
    config.gate.rood = number("trust_rood");
    Led::new(config)
}

/// The responses of the reference that its transport sends.
fn sent(op: &Json) -> Vec<(Option<SocketAddr>, &Json)> {
    let response = op.get("response").filter(|r| r.get("airlock_zone").and_then(Json::str) != Some("ROOD"));
    response.map(|r| (None, r)).into_iter().collect()
}

/// Lead a node through the row, its packets written in one of the ways there are.
fn outcome(row: &Row, way: usize) -> String {
    let mut led = led(row);
    let mut differences = Differences::default();
    let from = SocketAddr::from(([127, 0, 0, 1], 1001));
    for (n, op) in row.get("ops").and_then(Json::array).unwrap().iter().enumerate() {
        let kind = op.get("op").and_then(Json::str).unwrap();
        let place = format!("{n} {kind}");
        led.set_time(op);
        match kind {
            "recv" => {
                let frames = frames_of(op.get("packet").unwrap());
                let refused = led.receive(from, frames.get(way).unwrap_or(&frames[0])).is_err();
                assert!(
                    !refused || led.node.stats().tables.transmits == 0,
                    "{}: a byte for a refused packet",
                    row.id()
                );
            }
            "trust" => {
                let stored = op.get("stored").and_then(Json::f64);
                let ours = led.trust(op);
                differences.compare(&format!("{place}: stored"), &stored, &ours);
            }
            "vouch" => {
                let taken = led.vouch(op);
                differences.compare(&format!("{place}: taken"), &true, &taken);
            }
            "revoke" => {
                let found = led.node.revoke_vouch(op.get("vouch_id").and_then(Json::str).unwrap());
                differences.compare(
                    &format!("{place}: found"),
                    &op.get("result").and_then(Json::bool).unwrap(),
                    &found,
                );
            }
            "rule" => led.rule(op),
            "approve" | "reject" => {
                let found = led.decide(op.get("packet_id").and_then(Json::str).unwrap(), kind == "approve");
                differences.compare(
                    &format!("{place}: found"),
                    &op.get("result").and_then(Json::bool).unwrap(),
                    &found,
                );
            }
            other => panic!("unknown operation {other}"),
        }
        let out = led.drain();
        compare_responses(&mut differences, &place, &sent(op), &out);
        let pending = op.get("pending").and_then(Json::array).unwrap();
        let pending: Vec<String> = pending.iter().map(|p| p.str().unwrap().to_owned()).collect();
        differences.compare(&format!("{place}: waiting"), &pending, &led.waiting());
        let nonces = usize::try_from(op.get("nonces").and_then(Json::int).unwrap()).unwrap();
        differences.compare(&format!("{place}: nonces"), &nonces, &led.node.stats().tables.nonces);
    }
    differences.outcome()
}

#[test]
fn node_receive() {
    let mut deviations = Deviations::of("node_receive.jsonl");
    let rows = rows("node_receive.jsonl");
    assert_eq!(rows.len(), 39);
    for row in rows {
        for way in 0..WAYS {
            deviations.check(row.id(), crate::nodes::AGREES, &outcome(&row, way));
        }
    }
    deviations.finish();
}
