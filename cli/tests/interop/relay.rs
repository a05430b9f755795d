//! A relay of ours with nodes of the reference behind it: they answer, and the answers find their way back.

use std::path::Path;

use crate::common::json::Json;
use crate::data::EVERYDAY;
use crate::peers::Peer;
use crate::sluis::{HUB, Listen, Ping, SENSOR};
use crate::{Setup, matrix};

/// The name of the reference node.
const LAMP: &str = "jis:ref:lamp";
/// More than its address may be sent for what it said of its own accord.
const COUNT: u64 = 20;

matrix! {
    a_reference_node_that_the_operator_named_answers_over_a_relay
    a_reference_node_that_was_heard_answers_over_a_relay
}

fn relay(setup: Setup, args: &[&str]) -> Listen {
    Listen::start(setup, &[&["--relay", "--allow", "jis:sluis:*"], args].concat())
}

/// Every ping to the lamp over the relay is answered with what it said.
#[track_caller]
fn assert_answered(setup: Setup, relay: &Listen) {
    let via = format!("{HUB}@{}", relay.addr);
    let count = COUNT.to_string();
    let args = ["--intent", "lamp.on", "--payload", EVERYDAY, "--count", &count, "--interval", "0"];
    let outcome = Ping::over(setup, LAMP, &via, &args).finish();
    outcome.assert(0, &[("sent", COUNT), ("accept", COUNT), ("lost", 0)]);
    for answer in outcome.events.iter().filter(|event| event.str("event") == "response") {
        assert_eq!((answer.str("responder_did"), answer.str("from")), (LAMP, relay.addr.as_str()), "{answer:?}");
    }
}

fn assert_passed_on(relay: Listen) {
    let summary = relay.quit();
    let forwarded = summary.get("forwarded");
    assert_eq!((forwarded.count("count"), forwarded.count("answered")), (COUNT, COUNT), "{summary:?}");
    assert_eq!(forwarded.get("dropped"), &Json::parse("{}"), "{summary:?}");
}

fn a_reference_node_that_the_operator_named_answers_over_a_relay(python: &Path, setup: Setup) {
    let trust = format!("{SENSOR}=0.9");
    let lamp = Peer::node(python, &[&["--did", LAMP, "--trust", &trust, "--echo"], setup.peer_flag()].concat());
    let relay = relay(setup, &["--peer", &format!("{LAMP}={}", lamp.addr)]);
    assert_answered(setup, &relay);
    assert_passed_on(relay);
}

/// It has proven nothing but by its answers, each of which lets the next pings come.
fn a_reference_node_that_was_heard_answers_over_a_relay(python: &Path, setup: Setup) {
    let trust = format!("{LAMP}=0.9");
    let relay = relay(setup, &["--allow-legacy", "--trust", &trust]);
    let trust = format!("{SENSOR}=0.9");
    let args = ["--did", LAMP, "--target", HUB, "--addr", &relay.addr, "--trust", &trust];
    let mut lamp = Peer::sender(python, &[&args, setup.peer_flag()].concat());
    lamp.tell("ping", "\"intent\":\"lamp.here\"");
    relay.expect("ping");
    assert_answered(setup, &relay);
    assert_passed_on(relay);
}
