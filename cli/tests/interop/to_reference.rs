//! `sluis ping` → reference node.

use std::collections::HashSet;
use std::path::Path;

use crate::common::json::Json;
use crate::data::{EVERYDAY, INTENT, PURPOSE, assert_fresh, assert_id, assert_members};
use crate::peers::Peer;
use crate::sluis::{Ping, SENSOR};
use crate::{Setup, matrix};

const HUB: &str = "jis:ref:hub";

matrix! {
    groen_carries_data_both_ways
    geel_is_done_at_pending_with_no_wait
    geel_waits_for_the_decision
    geel_without_a_decision_fails
    rood_times_out
    the_answer_may_come_in_the_other_encoding
    five_thousand_with_64_in_flight
}

/// A reference hub that trusts the sensor so far.
fn hub(python: &Path, flags: &[&str], trust: &str) -> Peer {
    let trust = format!("{SENSOR}={trust}");
    Peer::node(python, &[&["--did", HUB, "--trust", &trust, "--echo"], flags].concat())
}

/// The packet as the reference decoded it: every one of the nineteen fields.
#[track_caller]
fn assert_packet(setup: Setup, heard: &Json, intent: &str, purpose: &str, priority: i64, payload: &str) {
    let flags = if setup.encoding == "msgpack" { "02" } else { "00" };
    assert_eq!(&heard.str("frame")[..8], format!("545001{flags}"), "the encoding asked for");
    assert_fresh(heard);
    let fields = heard.get("fields");
    let expected = [
        ("source_did", Json::text(SENSOR)),
        ("target_did", Json::text(HUB)),
        ("ping_type", Json::text("intent")),
        ("priority", Json::int(priority)),
        ("routing_mode", Json::text("direct")),
        ("intent", Json::text(intent)),
        ("purpose", Json::text(purpose)),
        ("payload", Json::parse(payload)),
        ("pod_id", Json::Null),
        ("station_id", Json::Null),
        ("hop_count", Json::int(0)),
        ("max_hops", Json::int(5)),
        ("tibet_token_id", Json::Null),
        ("vouched_by", Json::Null),
        ("vouch_signature", Json::Null),
        ("signature", Json::text("")),
    ];
    assert_members(fields, &expected, &["packet_id", "nonce", "timestamp"]);
    assert_id(fields.str("packet_id"), "ping_", 16);
    assert_id(fields.str("nonce"), "", 32);
}

/// The `response` event that `sluis ping` prints for a packet.
#[track_caller]
fn assert_response(event: &Json, packet_id: &Json, seq: i64, hub: &Peer, decision: &str, zone: &str, payload: &str) {
    let expected = [
        ("event", Json::text("response")),
        ("packet_id", packet_id.clone()),
        ("seq", Json::int(seq)),
        ("decision", Json::text(decision)),
        ("zone", Json::text(zone)),
        ("payload", Json::parse(payload)),
        ("responder_did", Json::text(HUB)),
        ("from", Json::text(&hub.addr)),
        ("auth", Json::text("none")),
        ("fingerprint", Json::Null),
    ];
    assert_members(event, &expected, &["trust_score", "rtt_ms", "t"]);
}

fn groen_carries_data_both_ways(python: &Path, setup: Setup) {
    let hub = hub(python, setup.peer_flag(), "0.9");
    let payload = setup.payload();
    let args = ["--intent", INTENT, "--purpose", PURPOSE, "--payload", payload, "--priority", "urgent", "--count", "1"];
    let outcome = Ping::start(setup, HUB, &hub.addr, &args).finish();
    let heard = hub.expect("packet");
    assert_packet(setup, &heard, INTENT, PURPOSE, 3, payload);
    assert_eq!(hub.expect("handled").str("decision"), "accept");

    let id = heard.get("fields").get("packet_id");
    let [event] = &outcome.events[..] else { panic!("one response was expected: {outcome:?}") };
    assert_response(event, id, event.count("seq").try_into().expect("small"), &hub, "accept", "GROEN", payload);
    assert!((event.number("trust_score") - 0.9).abs() < 1e-9, "{event:?}");
    let counts = [("sent", 1), ("received", 1), ("lost", 0), ("accept", 1), ("pending", 0), ("reject", 0)];
    outcome.assert(0, &counts);
    assert_eq!(hub.quit().get("verdicts").count("accept"), 1);
}

fn geel_is_done_at_pending_with_no_wait(python: &Path, setup: Setup) {
    let hub = hub(python, setup.peer_flag(), "0.5");
    let args = ["--intent", "door.open", "--count", "2", "--interval", "0", "--no-wait"];
    let outcome = Ping::start(setup, HUB, &hub.addr, &args).finish();
    outcome.assert(0, &[("sent", 2), ("received", 2), ("lost", 0), ("accept", 0), ("pending", 2), ("reject", 0)]);
    assert!(outcome.events.iter().all(|event| event.str("decision") == "pending" && event.str("zone") == "GEEL"));
    assert_eq!(outcome.events.len(), 2);
    assert_eq!(hub.take(4).len(), 4);
    assert_eq!(hub.quit().get("verdicts").count("pending"), 2);
}

fn geel_waits_for_the_decision(python: &Path, setup: Setup) {
    for (decision, code) in [("accept", 0), ("reject", 1)] {
        let mut hub = hub(python, setup.peer_flag(), "0.5");
        let ping = Ping::start(setup, HUB, &hub.addr, &["--intent", "door.open", "--count", "1", "--timeout", "50"]);
        let heard = hub.expect("packet");
        assert_packet(setup, &heard, "door.open", heard.get("fields").str("purpose"), 2, "{}");
        let id = heard.get("fields").get("packet_id");
        hub.expect("handled");
        let first = ping.expect("response");
        let seq = first.count("seq").try_into().expect("small");
        assert_response(&first, id, seq, &hub, "pending", "GEEL", "{}");

        hub.tell("decide", &format!("\"packet_id\":{id:?},\"decision\":{decision:?}"));
        assert_eq!(hub.expect("decided").get("known"), &Json::Bool(true));
        let second = ping.expect("response");
        assert_response(&second, id, seq, &hub, decision, "GEEL", "{}");
        let outcome = ping.finish();
        outcome.assert(code, &[("sent", 1), ("received", 1), ("lost", 0), (decision, 1)]);
        assert!(outcome.events.is_empty(), "{outcome:?}");
        hub.quit();
    }
}

fn geel_without_a_decision_fails(python: &Path, setup: Setup) {
    let hub = hub(python, setup.peer_flag(), "0.5");
    let args = ["--intent", "door.open", "--count", "1", "--timeout", "1.5"];
    let outcome = Ping::start(setup, HUB, &hub.addr, &args).finish();
    outcome.assert(1, &[("sent", 1), ("accept", 0), ("pending", 1)]);
    assert_eq!(outcome.events[0].str("decision"), "pending");
}

fn rood_times_out(python: &Path, setup: Setup) {
    let hub = hub(python, setup.peer_flag(), "0.1");
    let args = ["--intent", "x", "--count", "2", "--in-flight", "2", "--interval", "0", "--timeout", "0.4"];
    let outcome = Ping::start(setup, HUB, &hub.addr, &args).finish();
    outcome.assert(1, &[("sent", 2), ("received", 0), ("lost", 2), ("accept", 0), ("pending", 0), ("reject", 0)]);
    let lost: HashSet<u64> = outcome.events.iter().map(|event| event.count("seq")).collect();
    assert_eq!(lost.len(), 2, "one timeout for each: {outcome:?}");
    assert!(outcome.events.iter().all(|event| event.str("event") == "timeout"), "{outcome:?}");
    assert_eq!(hub.take(4).len(), 4, "both did arrive");
    assert_eq!(hub.quit().get("verdicts").count("reject"), 2);
}

/// The reference answers in its own encoding, whatever it was asked in.
fn the_answer_may_come_in_the_other_encoding(python: &Path, setup: Setup) {
    let other: &[&str] = if setup.encoding == "json" { &["--msgpack"] } else { &[] };
    let hub = hub(python, other, "0.9");
    let args = ["--intent", "x", "--count", "1", "--payload", crate::data::HARD_MSGPACK];
    let outcome = Ping::start(setup, HUB, &hub.addr, &args).finish();
    outcome.assert(0, &[("accept", 1)]);
    assert_eq!(outcome.events[0].get("payload"), &Json::parse(crate::data::HARD_MSGPACK));
}

fn five_thousand_with_64_in_flight(python: &Path, setup: Setup) {
    const PINGS: usize = 5000;
    let hub = hub(python, setup.peer_flag(), "0.9");
    let args =
        ["--count", "5000", "--in-flight", "64", "--interval", "0", "--intent", "meter.read", "--payload", EVERYDAY];
    let ping = Ping::start(setup, HUB, &hub.addr, &args);
    // A timeout in between ends the test here, and not after five thousand of them.
    let responses: Vec<Json> = (0..PINGS).map(|_| ping.expect("response")).collect();
    let outcome = ping.finish();
    outcome
        .assert(0, &[("sent", 5000), ("received", 5000), ("lost", 0), ("accept", 5000), ("pending", 0), ("reject", 0)]);
    assert!(outcome.events.is_empty(), "{outcome:?}");

    let payload = Json::parse(EVERYDAY);
    let (mut ids, mut nonces) = (HashSet::new(), HashSet::new());
    for event in hub.take(2 * PINGS) {
        if event.str("event") == "packet" {
            let fields = event.get("fields");
            assert_eq!((fields.str("source_did"), fields.str("intent")), (SENSOR, "meter.read"));
            assert_eq!(fields.get("payload"), &payload);
            ids.insert(fields.str("packet_id").to_owned());
            nonces.insert(fields.str("nonce").to_owned());
        } else {
            assert_eq!(event.str("decision"), "accept");
        }
    }
    assert_eq!((ids.len(), nonces.len()), (PINGS, PINGS), "ids and nonces are never used twice");
    let mut seqs = HashSet::new();
    for event in &responses {
        assert_eq!(event.get("payload"), &payload);
        assert!(ids.remove(event.str("packet_id")), "answered twice or never asked: {event:?}");
        assert!(seqs.insert(event.count("seq")));
    }
    assert!(ids.is_empty());
    let (first, last) = (seqs.iter().min().expect("not empty"), seqs.iter().max().expect("not empty"));
    assert_eq!(last - first + 1, PINGS as u64, "sequence numbers without gaps");
    assert_eq!(hub.quit().get("verdicts").count("accept"), PINGS as u64);
}
