//! The reference against itself: what holds here is what the other cases may take for granted.

use std::path::Path;

use crate::common::json::Json;
use crate::data::{EVERYDAY, HARD_JSON, HARD_MSGPACK, assert_fresh};
use crate::peers::{Peer, python};

const HUB: &str = "jis:ref:hub";
const SENSOR: &str = "jis:ref:sensor";

#[test]
fn json() {
    if let Some(python) = python() {
        pair(python, &[], HARD_JSON);
    }
}

#[test]
fn msgpack() {
    if let Some(python) = python() {
        pair(python, &["--msgpack"], HARD_MSGPACK);
    }
}

fn pair(python: &Path, encoding: &[&str], payload: &str) {
    let trust = format!("{SENSOR}=0.9");
    let hub = Peer::node(python, &[&["--did", HUB, "--trust", &trust, "--echo"], encoding].concat());
    let args = ["--did", SENSOR, "--target", HUB, "--addr", &hub.addr];
    let mut sensor = Peer::sender(python, &[&args, encoding].concat());

    sensor.tell("ping", &format!("\"payload\":{payload}"));
    let (sent, answer) = (sensor.expect("sent"), sensor.expect("response"));
    sensor.expect("batch");
    let heard = hub.expect("packet");
    assert_eq!(heard.get("fields"), sent.get("fields"));
    assert_eq!(heard.get("frame"), sent.get("frame"));
    assert_eq!(heard.get("fields").get("payload"), &Json::parse(payload));
    assert_eq!(answer.get("fields").get("payload"), &Json::parse(payload));
    assert_fresh(&heard);
    assert_eq!(hub.expect("handled").str("decision"), "accept");

    sensor.tell("replay", &format!("\"packet_id\":{:?}", sent.get("fields").str("packet_id")));
    sensor.expect("replayed");
    hub.expect("packet");
    assert_eq!(hub.expect("handled").str("reason"), "replay_detected");

    sensor.tell("ping", &format!("\"count\":500,\"in_flight\":64,\"payload\":{EVERYDAY}"));
    let answered = sensor.take(1001);
    let batch = answered.last().expect("1001 lines");
    assert_eq!((batch.str("event"), batch.count("accept"), batch.count("lost")), ("batch", 500, 0));
    assert_eq!(sensor.quit().count("orphans"), 0);
    let packets = hub.take(1000);
    assert!(packets.iter().any(|event| event.str("event") == "packet"));
    assert_eq!(hub.quit().get("verdicts").count("accept"), 501);
}
